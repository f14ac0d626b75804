//! The boundary with C: pointers that come in, places that go out, and panics that stay here.
//!
//! This file holds the `unsafe` code of the arguments, so that the functions for C can be safe. A [`Text`], an
//! [`Array`], a [`Place`] or an [`ErrorPlace`] is a bare pointer in C. Rust code outside of this file cannot make one:
//! it comes from a C program as an argument, and that program has promised what the header says of it, namely that it
//! is NULL or valid until the call returns.

use std::any::Any;
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use crate::failure::{Failure, fencekit_error};
use crate::handle::{self, Opaque};
use crate::result::fencekit_result;

/// A text that ends with a NUL, or NULL.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Text(*const c_char);

impl Text {
    /// The text.
    ///
    /// # Errors
    /// `NullArgument` and `InvalidUtf8`, with the argument's name.
    pub(crate) fn get(&self, name: &str) -> Result<&str, Failure> {
        if self.0.is_null() {
            return Err(Failure::null(name));
        }
        // SAFETY: it is not NULL, so it points to a text with a NUL at its end, which lives and stays as it is until the
        // call returns (see above). The reference cannot live longer than `self`, which is an argument of that call.
        let text = unsafe { CStr::from_ptr(self.0) };
        text.to_str().map_err(|_| {
            Failure::new(
                fencekit_result::InvalidUtf8,
                format!("{name} is not UTF-8; give it in that encoding"),
            )
        })
    }

    /// The text, or none for NULL.
    ///
    /// # Errors
    /// `InvalidUtf8`, with the argument's name.
    pub(crate) fn optional(&self, name: &str) -> Result<Option<&str>, Failure> {
        if self.0.is_null() {
            return Ok(None);
        }
        self.get(name).map(Some)
    }
}

/// So many values in a row, or NULL.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Array<T>(*const T);

impl<T> Array<T> {
    /// The values. NULL is an array without any.
    ///
    /// # Errors
    /// `NullArgument` when there are to be some, and `InvalidArgument` for a number that no memory can hold.
    pub(crate) fn get(&self, count: usize, name: &str) -> Result<&[T], Failure> {
        if count == 0 {
            return Ok(&[]);
        }
        if self.0.is_null() {
            return Err(Failure::null(name));
        }
        let fits = count
            .checked_mul(size_of::<T>())
            .is_some_and(|bytes| isize::try_from(bytes).is_ok());
        if !fits || !self.0.is_aligned() {
            return Err(Failure::new(
                fencekit_result::InvalidArgument,
                format!("{name} is no array of {count}"),
            ));
        }
        // SAFETY: it is neither NULL nor misaligned, its size is one that an object can have, and so it points to as many
        // values as the C program has said, which live and stay as they are until the call returns (see above). `T` is
        // plain data of C, without a pattern of bits that is no value.
        Ok(unsafe { std::slice::from_raw_parts(self.0, count) })
    }
}

/// Where a result goes.
#[repr(transparent)]
pub struct Place<T>(*mut T);

impl<T> Place<T> {
    /// Checks the place before anything is done, so that nothing is switched whose outcome nobody can be told.
    ///
    /// # Errors
    /// `NullArgument`, and `InvalidArgument` for a pointer that is not aligned.
    pub(crate) fn check(&self, name: &str) -> Result<Checked<'_, T>, Failure> {
        match NonNull::new(self.0) {
            None => Err(Failure::null(name)),
            Some(place) if place.is_aligned() => Ok(Checked { place, _call: self }),
            Some(_) => Err(Failure::new(
                fencekit_result::InvalidArgument,
                format!("{name} is not aligned; give the address of a variable of its type"),
            )),
        }
    }
}

/// A place that can be written.
pub(crate) struct Checked<'call, T> {
    place: NonNull<T>,
    _call: &'call Place<T>,
}

impl<T> Checked<'_, T> {
    /// Writes the result.
    pub(crate) fn write(self, value: T) {
        // SAFETY: the place is neither NULL nor misaligned, so it is room for a `T` that belongs to this call until it
        // returns (see above), and the borrow of the argument shows that it has not. What was there is plain data that
        // needs no drop.
        unsafe { self.place.write(value) };
    }
}

/// Where an error goes, or NULL when nobody wants it.
#[repr(transparent)]
pub struct ErrorPlace(*mut *mut fencekit_error);

impl ErrorPlace {
    fn fill(&self, failure: Failure) -> fencekit_result {
        let result = failure.result;
        if let Some(place) = NonNull::new(self.0).filter(|place| place.is_aligned()) {
            // SAFETY: as for `Checked::write`; the call is still under way, since `self` is its argument.
            unsafe { place.write(handle::new(failure)) };
        }
        result
    }
}

/// Runs the body of a function that can fail. No panic leaves it.
pub(crate) fn call(error: &ErrorPlace, body: impl FnOnce() -> Result<(), Failure>) -> fencekit_result {
    quietly(fencekit_result::Panic, || match caught(body) {
        Ok(()) => fencekit_result::Ok,
        Err(failure) => error.fill(failure),
    })
}

/// Runs the body of a function that has nowhere to put an error. No panic leaves it.
pub(crate) fn plain(body: impl FnOnce() -> Result<(), Failure>) -> fencekit_result {
    match caught(body) {
        Ok(()) => fencekit_result::Ok,
        Err(failure) => failure.result,
    }
}

/// Runs the body of a function that gives a value back. After a panic that is `otherwise`.
pub(crate) fn quietly<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            discard(payload);
            otherwise
        }
    }
}

/// Frees a handle.
pub(crate) fn release<T: Opaque>(handle: *mut T) -> fencekit_result {
    plain(|| handle::free(handle))
}

fn caught(body: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        let what = words(payload.as_ref()).to_owned();
        discard(payload);
        Err(Failure::new(
            fencekit_result::Panic,
            format!("a fault in fencekit itself: {what}; please report it, and take nothing for done"),
        ))
    })
}

fn words(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without words")
}

/// A payload whose destructor panics, too, is left where it is.
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;
    use std::ptr;

    use super::*;

    fn result<T>(outcome: Result<T, Failure>) -> fencekit_result {
        outcome.map_or_else(|failure| failure.result, |_| fencekit_result::Ok)
    }

    #[test]
    fn texts_are_read_or_refused() {
        assert_eq!(Text(c"kasa".as_ptr()).get("method").unwrap(), "kasa");
        assert_eq!(
            result(Text(ptr::null()).get("method")),
            fencekit_result::NullArgument
        );
        let garbage = c"\xff\xfe";
        assert_eq!(
            result(Text(garbage.as_ptr()).get("method")),
            fencekit_result::InvalidUtf8
        );
    }

    #[test]
    fn arrays_are_read_or_refused() {
        let values = [1_u32, 2, 3];
        let array = Array(values.as_ptr());
        assert_eq!(array.get(3, "values").unwrap(), [1, 2, 3]);
        assert!(array.get(0, "values").unwrap().is_empty());
        assert!(Array::<u32>(ptr::null()).get(0, "values").unwrap().is_empty());
        let null = Array::<u32>(ptr::null());
        assert_eq!(result(null.get(1, "values")), fencekit_result::NullArgument);
        assert_eq!(
            result(array.get(usize::MAX, "values")),
            fencekit_result::InvalidArgument
        );
        let odd = Array(values.as_ptr().cast::<u8>().wrapping_add(1).cast::<u32>());
        assert_eq!(result(odd.get(1, "values")), fencekit_result::InvalidArgument);
    }

    #[test]
    fn places_are_checked_before_they_are_written() {
        let mut value = 7_u32;
        Place(&raw mut value).check("out").unwrap().write(8);
        assert_eq!(value, 8);
        assert_eq!(
            result(Place::<u32>(ptr::null_mut()).check("out").map(drop)),
            fencekit_result::NullArgument
        );
        let odd = Place((&raw mut value).cast::<u8>().wrapping_add(1).cast::<u32>());
        assert_eq!(
            result(odd.check("out").map(drop)),
            fencekit_result::InvalidArgument
        );
    }

    #[test]
    fn a_panic_becomes_a_result_and_an_error() {
        let mut error = ptr::null_mut();
        let outcome = call(&ErrorPlace(&raw mut error), || panic!("out of fuel"));
        assert_eq!(outcome, fencekit_result::Panic);
        let failure = handle::get(error.cast_const()).unwrap();
        assert!(failure.message.to_str().unwrap().contains("out of fuel"));
        assert_eq!(release(error), fencekit_result::Ok);
        assert_eq!(
            call(&ErrorPlace(ptr::null_mut()), || panic!("nobody listens")),
            fencekit_result::Panic
        );
        assert_eq!(quietly(3, || panic!("{}", "a formatted one")), 3);
    }

    #[test]
    fn a_panic_that_panics_again_when_it_goes_stays_here() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        assert_eq!(plain(|| panic_any(Bomb)), fencekit_result::Panic);
    }

    #[test]
    fn an_error_is_written_on_failure_alone() {
        let mut error = ptr::null_mut();
        assert_eq!(call(&ErrorPlace(&raw mut error), || Ok(())), fencekit_result::Ok);
        assert!(error.is_null());
    }
}
