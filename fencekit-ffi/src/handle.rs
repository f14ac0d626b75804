//! Handles: numbers that stand for what the program holds.
//!
//! A handle is no address. It is a number that is never given out twice, and a table says what it stands for. So a
//! handle that was freed, is of another type or was never one is told from a live one without touching memory, and
//! an object that one thread frees while another still works with it lives until that work ends.

use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::Arc;

use crate::boundary::quietly;
use crate::failure::Failure;
use crate::result::fencekit_result;
use crate::state;

/// A type of C that is known by its handle alone.
pub(crate) trait Opaque {
    /// What a handle of it stands for.
    type Value: Any + Send + Sync;
    /// Its name in C.
    const NAME: &'static str;
}

/// The live handles.
pub(crate) struct Table {
    last: usize,
    live: BTreeMap<usize, Arc<dyn Any + Send + Sync>>,
}

/// Between two handles, so that they look aligned.
const STEP: usize = 16;
/// Marks handles where an address cannot have these bits: whoever follows one crashes at once.
const MARK: usize = (0xFE4C_0000_0000_0000_u64 & usize::MAX as u64) as usize;

impl Table {
    pub(crate) const fn new() -> Self {
        Self {
            last: 0,
            live: BTreeMap::new(),
        }
    }

    fn add(&mut self, object: Arc<dyn Any + Send + Sync>) -> usize {
        loop {
            // Bits for 2^44 handles; where there are fewer, those that live are passed over.
            self.last = self.last.wrapping_add(STEP) & !MARK;
            let number = self.last | MARK;
            if number != 0 && !self.live.contains_key(&number) {
                self.live.insert(number, object);
                return number;
            }
        }
    }

    fn remove(&mut self, number: usize) {
        self.live.remove(&number);
        if self.live.is_empty() {
            // Gives back the table's last memory, so that a program that has freed everything has freed it all.
            self.live = BTreeMap::new();
        }
    }
}

/// Takes an object into the table and gives the handle for it.
pub(crate) fn new<T: Opaque>(value: T::Value) -> *mut T {
    let object: Arc<dyn Any + Send + Sync> = Arc::new(value);
    let number = state::with(|state| state.handles.add(object));
    ptr::without_provenance_mut(number)
}

/// What a handle stands for.
///
/// # Errors
/// `NullArgument` and `InvalidHandle`.
pub(crate) fn get<T: Opaque>(handle: *const T) -> Result<Arc<T::Value>, Failure> {
    if handle.is_null() {
        return Err(Failure::null(T::NAME));
    }
    let object = state::with(|state| state.handles.live.get(&handle.addr()).cloned());
    object
        .and_then(|object| object.downcast::<T::Value>().ok())
        .ok_or_else(|| invalid::<T>())
}

/// Takes a handle out of the table. The object goes once nobody works with it any more.
///
/// # Errors
/// `InvalidHandle`; for NULL there is nothing to do.
pub(crate) fn free<T: Opaque>(handle: *mut T) -> Result<(), Failure> {
    if handle.is_null() {
        return Ok(());
    }
    let object = get::<T>(handle)?;
    state::with(|state| state.handles.remove(handle.addr()));
    // Here, outside of the table's lock.
    drop(object);
    Ok(())
}

/// How many handles live.
pub(crate) fn count() -> usize {
    state::with(|state| state.handles.live.len())
}

/// A text within what a handle stands for. It lives as long as the handle.
pub(crate) fn text_of<T: Opaque>(
    handle: *const T,
    text: impl FnOnce(&T::Value) -> Option<&CStr>,
) -> *const c_char {
    quietly(ptr::null(), || match get(handle) {
        Ok(object) => text(&object).map_or(ptr::null(), CStr::as_ptr),
        Err(_) => ptr::null(),
    })
}

fn invalid<T: Opaque>() -> Failure {
    Failure::new(
        fencekit_result::InvalidHandle,
        format!("this is no live {}: it was freed, or is of another type", T::NAME),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One(());
    struct Other(());

    impl Opaque for One {
        type Value = String;
        const NAME: &'static str = "one";
    }

    impl Opaque for Other {
        type Value = Vec<u8>;
        const NAME: &'static str = "other";
    }

    fn result<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> fencekit_result {
        outcome.map_or_else(|failure| failure.result, |_| fencekit_result::Ok)
    }

    #[test]
    fn a_handle_serves_until_it_is_freed() {
        let handle = new::<One>("text".to_owned());
        assert_eq!(*get::<One>(handle).unwrap(), "text");
        assert_eq!(result(free(handle)), fencekit_result::Ok);
        assert_eq!(result(get::<One>(handle)), fencekit_result::InvalidHandle);
        assert_eq!(result(free(handle)), fencekit_result::InvalidHandle);
        let next = new::<One>(String::new());
        assert_ne!(handle, next, "a handle is never given out twice");
        free(next).unwrap();
    }

    #[test]
    fn what_is_no_handle_is_told_from_one() {
        let handle = new::<One>("text".to_owned());
        assert_eq!(
            result(get(handle.cast::<Other>())),
            fencekit_result::InvalidHandle
        );
        assert_eq!(
            result(free(handle.cast::<Other>())),
            fencekit_result::InvalidHandle
        );
        assert_eq!(result(get::<One>(ptr::null())), fencekit_result::NullArgument);
        assert_eq!(result(free::<One>(ptr::null_mut())), fencekit_result::Ok);
        for garbage in [1, 0xdead_beef, usize::MAX, handle.addr() + 1] {
            let garbage = ptr::without_provenance_mut::<One>(garbage);
            assert_eq!(result(get(garbage)), fencekit_result::InvalidHandle);
            assert_eq!(result(free(garbage)), fencekit_result::InvalidHandle);
        }
        free(handle).unwrap();
    }

    #[test]
    fn an_object_in_use_outlives_its_handle() {
        let handle = new::<One>("in use".to_owned());
        let used = get::<One>(handle).unwrap();
        free(handle).unwrap();
        assert_eq!(*used, "in use");
    }

    #[test]
    fn numbers_that_live_are_passed_over_when_they_begin_anew() {
        let mut table = Table::new();
        let first = table.add(Arc::new(()));
        table.last = usize::MAX & !(STEP - 1);
        let second = table.add(Arc::new(()));
        let third = table.add(Arc::new(()));
        assert!(first != second && second != third && first != third);
        assert!(first != 0 && second != 0 && third != 0);
    }
}
