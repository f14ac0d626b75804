//! The GUID of a BMC or its system, and how it is written.

use super::lan::{Request, netfn};

/// Get System GUID.
pub(crate) fn system() -> Request {
    request(0x37)
}

/// Get Device GUID.
pub(crate) fn device() -> Request {
    request(0x08)
}

fn request(command: u8) -> Request {
    Request {
        netfn: netfn::APP,
        command,
        data: Vec::new(),
        repeatable: true,
        doing: "asking for the GUID",
    }
}

/// Reads the answer to either.
pub(crate) fn parse(data: &[u8]) -> Option<[u8; 16]> {
    data.get(..16)?.try_into().ok()
}

/// The GUID in hexadecimal digits, in the order of the bytes on the wire. `None` for one that is all zeros or all
/// ones, which many BMCs have in common.
pub(crate) fn text(guid: [u8; 16]) -> Option<String> {
    if guid == [0; 16] || guid == [0xFF; 16] {
        return None;
    }
    let mut text = String::with_capacity(36);
    for (place, byte) in guid.into_iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Some(text)
}
