//! Errors: what went wrong, in words and in numbers.

use std::ffi::{CStr, CString, c_char};

use fencekit_core::{Error, Label};

use crate::boundary::{quietly, release};
use crate::handle::{self, Opaque};
use crate::result::fencekit_result;
use crate::text;

/// What went wrong. Made by a call that failed, when it was given a place for it; freed with `fencekit_error_free`.
///
/// Threads: an error never changes. Any number of threads may read it at once; whoever frees it must be the last.
#[allow(non_camel_case_types, reason = "the name in C")]
pub struct fencekit_error(());

impl Opaque for fencekit_error {
    type Value = Failure;
    const NAME: &'static str = "fencekit_error";
}

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) result: fencekit_result,
    pub(crate) message: CString,
    option: Option<CString>,
    transient: bool,
}

impl Failure {
    pub(crate) fn new(result: fencekit_result, message: impl AsRef<str>) -> Self {
        Self {
            result,
            message: text::line(message.as_ref()),
            option: None,
            transient: false,
        }
    }

    pub(crate) fn null(name: &str) -> Self {
        Self::new(
            fencekit_result::NullArgument,
            format!("{name} is NULL; give a pointer to it"),
        )
    }

    pub(crate) fn out_of_range(index: usize, count: usize) -> Self {
        Self::new(
            fencekit_result::OutOfRange,
            format!("there is no index {index}: there are {count}, counted from 0"),
        )
    }

    /// The error of a device, with its label in front.
    pub(crate) fn of(label: &Label, error: &Error) -> Self {
        Self {
            message: text::line(&format!("{label}: {error}")),
            ..Self::from(error)
        }
    }

    /// The same failure as another result.
    pub(crate) fn with_result(self, result: fencekit_result) -> Self {
        Self { result, ..self }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let option = match error {
            Error::Config { option, .. } => Some(text::line(option)),
            _ => None,
        };
        Self {
            result: fencekit_result::from(error),
            message: text::line(&error.to_string()),
            option,
            transient: error.is_transient(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

/// The result of the call that failed; `FENCEKIT_RESULT_INVALID_HANDLE` when this is no error.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_error_result(error: *const fencekit_error) -> fencekit_result {
    quietly(fencekit_result::Panic, || {
        handle::get(error).map_or_else(|failure| failure.result, |error| error.result)
    })
}

/// One line that says what happened and what to do next, never with a secret in it. It lives as long as the error;
/// NULL when this is no error.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_error_message(error: *const fencekit_error) -> *const c_char {
    handle::text_of(error, |error| Some(&error.message))
}

/// The option that is wrong, where the result is `FENCEKIT_RESULT_CONFIG`; else NULL. It lives as long as the error.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_error_option(error: *const fencekit_error) -> *const c_char {
    handle::text_of(error, |error| error.option.as_deref())
}

/// Whether the same call may go well a moment later: no connection, a timeout, a garbled reply.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_error_is_transient(error: *const fencekit_error) -> bool {
    quietly(false, || handle::get(error).is_ok_and(|error| error.transient))
}

/// Frees an error. NULL is fine.
///
/// Returns `FENCEKIT_RESULT_INVALID_HANDLE`, and does nothing, when it is no live error.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_error_free(error: *mut fencekit_error) -> fencekit_result {
    release(error)
}

/// A few words for a result, for a log; they live as long as the program. Never NULL, whatever the number.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_result_text(result: u32) -> *const c_char {
    let known = fencekit_result::ALL.iter().find(|known| **known as u32 == result);
    let words: &'static CStr =
        known.map_or(c"a result that this version does not know", |known| known.text());
    words.as_ptr()
}
