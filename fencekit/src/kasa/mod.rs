//! TP-Link Kasa and Tapo plugs and strips.
//!
//! Two dialects of JSON (IOT of the older Kasa firmware, SMART of Tapo and newer Kasa) travel over several
//! transports; a firmware update, or a power cycle, may change the transport of a plug, so it is found anew on every
//! connection.
//!
//! - `xor`, `klap`, `aes`, `tpap`: a codec each, pure, and the link that drives it. `link`: what they have in common.
//! - `iot`, `smart`: the dialects, pure. `outlets`: which outlet is meant. `dialect`: the questions in either of them.
//! - `findings`: what the settings mean for fencing. `discovery`: finding devices, and waking one. `connect`: which transport and dialect a device speaks. `session`, `device`: the two halves of the backend.

mod aes;
mod carrier;
mod connect;
mod credentials;
mod crypto;
mod device;
mod dialect;
mod discovery;
mod findings;
#[cfg(fuzzing)]
pub mod fuzz;
mod iot;
mod json;
mod klap;
#[cfg(test)]
mod lenient;
mod link;
mod outlets;
mod session;
mod smart;
mod tpap;
#[cfg(test)]
mod vectors;
mod xor;

pub(crate) use device::device;
pub use discovery::{Search, discover};

use crate::options::{Kind, OptionSpec};

/// Options of this method, besides the common ones.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec::of(
        "transport",
        "transport",
        Kind::Choice(&["auto", "xor", "klap", "aes", "tpap"]),
        "Protocol that the plug speaks: auto, xor, klap, aes or tpap",
    )
    .or("auto"),
    OptionSpec::of(
        "strict_signature",
        "strict-signature",
        Kind::Boolean,
        "Take a KLAP reply with a wrong signature for a failure",
    ),
];
