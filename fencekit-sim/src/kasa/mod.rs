//! Simulated TP-Link Kasa and Tapo plugs and strips.
//!
//! The codecs here are written from the protocol's description, apart from the backend's: code that both shared
//! would hide a mistake in it.

mod aes;
mod discovery;
mod iot;
mod klap;
mod smart;
mod tpap;
mod unit;
mod web;
mod xor;

pub use aes::serve as serve_aes;
pub use discovery::{Scheme, serve as serve_discovery};
pub use klap::{KlapVersion, serve as serve_klap};
pub use tpap::serve as serve_tpap;
pub use unit::{Dialect, Habits, Quirks, Unit};
pub use xor::serve as serve_xor;

use serde_json::Value;

use crate::device::Device;

/// The device id that a simulated device reports: 40 digits made of its MAC address.
#[must_use]
pub fn device_id(device: &Device) -> String {
    let digits: String = device
        .reported_mac()
        .chars()
        .filter(char::is_ascii_hexdigit)
        .collect();
    format!("8006{:0>36}", digits.to_ascii_uppercase())
}

/// Sets a member of a JSON object.
fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(key.to_owned(), value);
    }
}
