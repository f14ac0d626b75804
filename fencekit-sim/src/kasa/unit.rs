//! A simulated Kasa or Tapo unit: the device, and the settings that matter to fencing.

use crate::device::Device;

/// Settings of a unit that may undo a fence, or keep one from being judged. All off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Habits {
    /// A schedule turns it on every morning.
    pub schedule: bool,
    /// A countdown is running that turns it on.
    pub countdown: bool,
    /// Away mode turns it on and off at random.
    pub away: bool,
    /// It turns itself off some time after it was turned on (SMART only).
    pub auto_off: bool,
    /// After a power loss it is always on, rather than as it was (SMART only).
    pub always_on: bool,
    /// Its clock was never set.
    pub clock_unset: bool,
    /// It is updating its firmware.
    pub updating: bool,
}

/// A simulated unit; clones share the device.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The device.
    pub device: Device,
    /// Its settings.
    pub habits: Habits,
}

impl Unit {
    /// A unit with settings.
    #[must_use]
    pub fn new(device: Device, habits: Habits) -> Self {
        Self { device, habits }
    }
}

impl From<Device> for Unit {
    fn from(device: Device) -> Self {
        Self::new(device, Habits::default())
    }
}
