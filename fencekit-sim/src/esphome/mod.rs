//! Simulated ESPHome devices.

mod line;
pub(crate) mod login;
mod native;
mod web;

pub use login::Scheme;
pub use native::{NativeKey, parse_key, serve_native};
pub use web::{Names, WebFirmware, serve_web};

/// The id that ESPHome makes of an entity's name.
fn object_id(name: &str) -> String {
    name.chars()
        .map(|c| match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() || c == '-' => c,
            _ => '_',
        })
        .collect()
}
