//! The outlets of a device.

use std::ffi::{CString, c_char};

use fencekit_core::Outlet;

use crate::boundary::{Place, plain, quietly, release};
use crate::failure::Failure;
use crate::handle::{self, Opaque};
use crate::power::fencekit_power;
use crate::result::fencekit_result;
use crate::text;

/// The outlets of a device at one moment. Freed with `fencekit_outlets_free`.
///
/// Threads: they never change; any number of threads may read them at once, and whoever frees them must be the last.
#[allow(non_camel_case_types, reason = "the name in C")]
pub struct fencekit_outlets(());

impl Opaque for fencekit_outlets {
    type Value = Vec<Listed>;
    const NAME: &'static str = "fencekit_outlets";
}

/// An outlet in texts for C.
#[derive(Debug)]
pub(crate) struct Listed {
    plug: CString,
    alias: CString,
    power: fencekit_power,
}

impl From<&Outlet> for Listed {
    fn from(outlet: &Outlet) -> Self {
        Self {
            plug: text::line(&outlet.plug),
            alias: text::line(&outlet.alias),
            power: (&outlet.observation).into(),
        }
    }
}

/// One outlet. Its texts live as long as the `fencekit_outlets` that it comes from.
#[allow(non_camel_case_types, reason = "the name in C")]
#[repr(C)]
pub struct fencekit_outlet {
    /// What to give as the option `plug`.
    pub plug: *const c_char,
    /// The owner's name for it; empty where there is none.
    pub alias: *const c_char,
    /// Its state.
    pub power: fencekit_power,
}

/// How many outlets there are; 0 when these are no outlets.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_outlets_count(outlets: *const fencekit_outlets) -> usize {
    quietly(0, || handle::get(outlets).map_or(0, |outlets| outlets.len()))
}

/// One outlet, counted from 0.
///
/// Returns `FENCEKIT_RESULT_OUT_OF_RANGE` past the last one.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_outlets_get(
    outlets: *const fencekit_outlets,
    index: usize,
    outlet: Place<fencekit_outlet>,
) -> fencekit_result {
    plain(|| {
        let outlets = handle::get(outlets)?;
        let place = outlet.check("outlet")?;
        let listed = outlets
            .get(index)
            .ok_or_else(|| Failure::out_of_range(index, outlets.len()))?;
        place.write(fencekit_outlet {
            plug: listed.plug.as_ptr(),
            alias: listed.alias.as_ptr(),
            power: listed.power,
        });
        Ok(())
    })
}

/// Frees outlets. NULL is fine.
///
/// Returns `FENCEKIT_RESULT_INVALID_HANDLE`, and does nothing, when they are no live outlets.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_outlets_free(outlets: *mut fencekit_outlets) -> fencekit_result {
    release(outlets)
}
