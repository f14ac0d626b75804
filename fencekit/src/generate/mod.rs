//! Configuration for others, made of a cluster file: firmware settings that are right for fencing.

#[cfg(feature = "esphome")]
pub mod esphome;
#[cfg(feature = "tasmota")]
mod tasmota;

#[cfg(feature = "tasmota")]
pub use tasmota::{Firmware, tasmota, tasmota_secrets, tasmota_text};
