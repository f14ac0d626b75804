//! Configuration for others, made of a cluster file: of the cluster itself, and of what stands around it.
//!
//! [`produce`] makes any [`Kind`] by its name; the command line, Python and C go through it.

mod ansible;
#[cfg(feature = "esphome")]
pub mod esphome;
mod kind;
mod nftables;
mod produce;
mod prometheus;
#[cfg(feature = "tasmota")]
mod tasmota;

pub use kind::Kind;
pub use nftables::{named_devices, resolve};
pub use produce::{File, Generated, Options, produce};
#[cfg(feature = "tasmota")]
pub use tasmota::{Firmware, tasmota, tasmota_secrets, tasmota_text};

/// The last of two passwords would win without a word, and the other node could not fence.
#[cfg(any(feature = "esphome", feature = "tasmota"))]
fn two_passwords(first: &str, other: &str, address: &str) -> crate::error::Error {
    crate::error::Error::config(
        "password",
        format!("differs between {first} and {other}, which share the device at {address}"),
        "give both the password that the device has",
    )
}
