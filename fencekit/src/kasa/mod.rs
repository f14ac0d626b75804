//! TP-Link Kasa and Tapo plugs and strips.
//!
//! Two dialects of JSON (IOT of the older Kasa firmware, SMART of Tapo and newer Kasa) travel over several
//! transports; a firmware update, or a power cycle, may change the transport of a plug, so it is found anew on every
//! connection.
//!
//! - `xor`: the frames of TCP port 9999.
//! - `link`: what carries JSON to a device. `iot`: the dialect. `outlets`: which outlet is meant.
//! - `session`, `device`: the two halves of the backend.

mod device;
mod iot;
mod json;
mod link;
mod outlets;
mod session;
#[cfg(test)]
mod vectors;
mod xor;

pub(crate) use device::device;

use crate::options::{Kind, OptionSpec};

/// Options of this method, besides the common ones.
pub const OPTIONS: &[OptionSpec] = &[OptionSpec::of(
    "transport",
    "transport",
    Kind::Choice(&["auto", "xor", "klap", "aes", "tpap"]),
    "Protocol that the plug speaks: auto, xor, klap, aes or tpap",
)
.or("auto")];
