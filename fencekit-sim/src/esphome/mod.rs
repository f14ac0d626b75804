//! Simulated ESPHome devices.

pub(crate) mod login;
mod web;

pub use login::Scheme;
pub use web::{Names, WebFirmware, serve_web};
