//! What is linked, and what it holds.

use std::ffi::{CStr, c_char};

use crate::boundary::quietly;
use crate::handle;
#[cfg(feature = "panic-test")]
use crate::{
    boundary::{ErrorPlace, call},
    result::fencekit_result,
};

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};

/// The version of the library that runs, as `0.1.0`. `FENCEKIT_VERSION` is that of the header.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The same as one number that grows with every version: major * 1000000 + minor * 1000 + patch.
/// `FENCEKIT_VERSION_NUMBER` is that of the header.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_version_number() -> u32 {
    number(env!("CARGO_PKG_VERSION"))
}

/// How many handles the program holds, errors among them. 0 once everything is freed.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_live_handles() -> usize {
    quietly(0, handle::count)
}

/// Panics within, for the tests of the boundary.
#[cfg(feature = "panic-test")]
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_test_panic(error: ErrorPlace) -> fencekit_result {
    #[allow(clippy::panic, reason = "it is what this function is for")]
    call(&error, || panic!("asked for by a test"))
}

fn number(version: &str) -> u32 {
    version
        .split(['.', '-', '+'])
        .take(3)
        .map(|part| part.parse().unwrap_or(0))
        .fold(0, |number, part: u32| number * 1000 + part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_versions_have_higher_numbers() {
        assert_eq!(number("0.1.0"), 1_000);
        assert_eq!(number("1.2.3"), 1_002_003);
        assert_eq!(number("1.2.3-rc.1"), 1_002_003);
        assert_eq!(VERSION.to_str().unwrap(), env!("CARGO_PKG_VERSION"));
    }
}
