//! What was found on a network by asking everybody, or one address after the other.

mod dns;
#[cfg(all(feature = "kasa", feature = "esphome", feature = "tasmota", feature = "ipmi"))]
mod everywhere;
pub mod mdns;
#[cfg(any(feature = "esphome", feature = "tasmota"))]
pub mod sweep;

#[cfg(all(feature = "kasa", feature = "esphome", feature = "tasmota", feature = "ipmi"))]
pub use everywhere::{Search, Target, search};

use std::net::SocketAddr;

use crate::identity::Identity;
use crate::method::Method;

/// A device that answered a search. It was neither logged in to nor changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The backend that speaks to it.
    pub method: Method,
    /// Where it answers.
    pub address: SocketAddr,
    /// The value for the `transport` option, where the method has one; empty elsewhere.
    pub transport: String,
    /// What it says of itself.
    pub identity: Identity,
    /// Whether it has a meter, where it says so.
    pub metered: Option<bool>,
    /// Anything worth a word to the owner, as "third-party compatibility is off".
    pub note: String,
}

/// What is to be said of an ESPHome device that was found.
pub(crate) const NEEDS_KEY: &str = "needs its encryption_key";
pub(crate) const NOT_ENCRYPTED: &str = "speaks without encryption: give it encryption: under its api:";
pub(crate) const NO_NATIVE_API: &str = "has no native API: what goes over the wire can be read by others";

/// `983569abf679` as `98:35:69:ab:f6:79`.
pub(crate) fn with_colons(mac: &str) -> String {
    if mac.len() != 12 || !mac.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return mac.to_owned();
    }
    let pairs: Vec<_> = mac.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
    pairs.join(":")
}

#[cfg(fuzzing)]
pub(crate) fn fuzz(packet: &[u8]) {
    let _ = dns::records(packet);
}
