//! Who a device says it is.

use std::ffi::{CStr, CString, c_char};

use fencekit_core::Identity;

use crate::boundary::release;
use crate::handle::{self, Opaque};
use crate::result::fencekit_result;
use crate::text;

/// Who a device says it is. Freed with `fencekit_identity_free`.
///
/// Threads: it never changes; any number of threads may read it at once, and whoever frees it must be the last.
#[allow(non_camel_case_types, reason = "the name in C")]
pub struct fencekit_identity(());

impl Opaque for fencekit_identity {
    type Value = Reported;
    const NAME: &'static str = "fencekit_identity";
}

/// An identity in texts for C.
#[derive(Debug)]
pub(crate) struct Reported {
    mac: Option<CString>,
    device_id: Option<CString>,
    guid: Option<CString>,
    name: Option<CString>,
    model: Option<CString>,
    firmware: Option<CString>,
}

impl From<&Identity> for Reported {
    fn from(identity: &Identity) -> Self {
        let text = |value: &Option<String>| value.as_deref().map(text::line);
        Self {
            mac: text(&identity.mac),
            device_id: text(&identity.device_id),
            guid: text(&identity.guid),
            name: text(&identity.name),
            model: text(&identity.model),
            firmware: text(&identity.firmware),
        }
    }
}

fn field(
    identity: *const fencekit_identity,
    of: impl FnOnce(&Reported) -> &Option<CString>,
) -> *const c_char {
    handle::text_of(identity, |reported| {
        of(reported).as_deref().map(|text: &CStr| text)
    })
}

/// The MAC address as the device writes it. NULL when it reports none, or when this is no identity. It lives as long as
/// the identity, as do the others.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_identity_mac(identity: *const fencekit_identity) -> *const c_char {
    field(identity, |reported| &reported.mac)
}

/// The maker's device id, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_identity_device_id(identity: *const fencekit_identity) -> *const c_char {
    field(identity, |reported| &reported.device_id)
}

/// The BMC's GUID, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_identity_guid(identity: *const fencekit_identity) -> *const c_char {
    field(identity, |reported| &reported.guid)
}

/// The name or alias that the owner gave it, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_identity_name(identity: *const fencekit_identity) -> *const c_char {
    field(identity, |reported| &reported.name)
}

/// The model, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_identity_model(identity: *const fencekit_identity) -> *const c_char {
    field(identity, |reported| &reported.model)
}

/// The version of the firmware, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_identity_firmware(identity: *const fencekit_identity) -> *const c_char {
    field(identity, |reported| &reported.firmware)
}

/// Frees an identity. NULL is fine.
///
/// Returns `FENCEKIT_RESULT_INVALID_HANDLE`, and does nothing, when it is no live identity.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_identity_free(identity: *mut fencekit_identity) -> fencekit_result {
    release(identity)
}
