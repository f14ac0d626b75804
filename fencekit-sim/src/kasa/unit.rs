//! A simulated Kasa or Tapo unit: the device, and the settings that matter to fencing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::{iot, smart};
use crate::device::Device;

/// What is spoken over a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Modules and commands: older Kasa.
    Iot,
    /// Methods: Tapo and newer Kasa.
    Smart,
}

impl Dialect {
    pub(super) fn answer(self, unit: &Unit, request: &Value) -> Value {
        match self {
            Self::Iot => iot::answer(unit, request),
            Self::Smart => smart::answer(unit, request),
        }
    }
}

/// Traits of the firmware, besides the faults of any device.
#[derive(Clone, Debug, Default)]
pub struct Quirks {
    /// It closes the connection after each reply, without saying so.
    pub close_each: bool,
    /// Its replies over KLAP carry a wrong signature.
    pub bad_signature: bool,
    /// Its meter knows only the older question.
    pub old_meter: bool,
    /// It says "busy" when it is asked for schedules and the like.
    pub busy_settings: bool,
    /// So many rules of each kind that are off come before the one that is on (SMART only).
    pub idle_rules: usize,
    /// It takes no login, after too many failed ones.
    pub locked_out: bool,
    /// Its login over AES wants the password as version 2 has it.
    pub login_version_2: bool,
    /// So many more logins over TPAP are forgotten half way.
    pub forgotten_logins: Arc<AtomicU32>,
    /// How many logins were tried where the device learns of them.
    pub logins: Arc<AtomicU32>,
    /// How many more requests find their session displaced by another client; see [`displace`](Self::displace).
    pub displacements: Arc<AtomicU32>,
}

impl Quirks {
    /// The session of the next `times` requests is displaced by another client.
    pub fn displace(&self, times: u32) {
        self.displacements.store(times, Ordering::Relaxed);
    }

    pub(super) fn count_login(&self) {
        self.logins.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether this request finds its session displaced.
    pub(super) fn displaced(&self) -> bool {
        take_one(&self.displacements)
    }

    /// Whether this login is forgotten.
    pub(super) fn forgets_login(&self) -> bool {
        take_one(&self.forgotten_logins)
    }
}

fn take_one(left: &AtomicU32) -> bool {
    let take = |left: u32| left.checked_sub(1);
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        .is_ok()
}

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
    /// Traits of its firmware.
    pub quirks: Quirks,
}

impl Unit {
    /// A unit with settings.
    #[must_use]
    pub fn new(device: Device, habits: Habits) -> Self {
        Self {
            device,
            habits,
            quirks: Quirks::default(),
        }
    }

    /// The same with traits of its firmware.
    #[must_use]
    pub fn quirks(mut self, quirks: Quirks) -> Self {
        self.quirks = quirks;
        self
    }
}

impl From<Device> for Unit {
    fn from(device: Device) -> Self {
        Self::new(device, Habits::default())
    }
}
