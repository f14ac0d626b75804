//! What the benchmarks share.

use std::net::SocketAddr;
use std::time::Duration;

use fencekit::{Deadline, Error, FenceDevice, FenceDeviceExt, Method, Observation, Policy, Result, Settings};
use fencekit_sim::kasa::{self, Unit};
use fencekit_sim::{Device, Running, Spec};

/// The middle one of several times; NaN of none.
#[must_use]
pub fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// With one digit after the point.
#[must_use]
pub fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// With two.
#[must_use]
pub fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// A simulated Kasa plug on loopback, the quickest of all devices, for what a call costs besides its device.
///
/// # Errors
/// When no port can be listened on.
pub async fn plug() -> Result<Running> {
    let unit = Unit::from(Device::new(Spec::plug("storage-b")));
    kasa::serve_xor(unit, SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .map_err(|cause| Error::io("serving the simulated device", cause))
}

/// The Rust library's device for [`plug`].
///
/// # Errors
/// None with these options.
pub fn plug_device(port: u16) -> Result<Box<dyn FenceDevice>> {
    let mut settings = Settings::new(Method::Kasa);
    settings.set("ip", "127.0.0.1")?;
    settings.set("ipport", &port.to_string())?;
    settings.set("transport", "xor")?;
    Method::Kasa.device(&settings)
}

/// A status call, which must show it on.
///
/// # Errors
/// Whatever keeps it from doing so.
pub async fn must_be_on(device: &dyn FenceDevice) -> Result<()> {
    let deadline = Deadline::after(Duration::from_secs(5));
    match device.status(&Policy::default(), deadline).await?.observation {
        Observation::On => Ok(()),
        other => Err(Error::protocol(format!("the plug is {other}"))),
    }
}
