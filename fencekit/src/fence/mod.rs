//! The one place where "off" is confirmed, for every backend.
//!
//! An off is confirmed when, within one deadline and in this order:
//!
//! 1. the device reported the expected identity, before anything was switched;
//! 2. it explicitly accepted the command;
//! 3. freshly asked, as often as [`Policy::confirm_reads`] says, it reported the outlet off (and, again, the
//!    expected identity);
//! 4. where [`Policy::off_max_watts`] is set, its meter reads at most that much.
//!
//! Anything else is an error. On and off are idempotent, so they are sent again after a lost reply, a restart of
//! the device, or when the outlet stays as it was. Cycle, reset and toggle are never used.

pub(crate) mod confirm;
#[cfg(test)]
mod tests;

#[cfg(all(feature = "cluster", feature = "verify"))]
pub(crate) use confirm::ask;

use std::future::Future;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::device::{FenceDevice, Inspection, Outlet};
use crate::error::{Error, Result};
use crate::identity::{ExpectedIdentity, Identity};
use crate::options::Settings;
use crate::power::{Observation, PowerReading, PowerState};

/// What it takes for a state to count as confirmed, and how patiently it is sought.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Who must answer before anything is switched, and after.
    pub expect_identity: Option<ExpectedIdentity>,
    /// What the outlet's meter may read at most after an off, in watts.
    pub off_max_watts: Option<f64>,
    /// How many looks in a row must show the state; at least 1.
    pub confirm_reads: u32,
    /// Pause between an accepted command and the first look.
    pub power_wait: Duration,
    /// Longest pause between two looks while the state has not come. The first ones are quicker.
    pub poll: Duration,
    /// How long a state may take to come once its command was sent, before the operation fails.
    pub power_timeout: Duration,
    /// How often a connection is tried before anything was switched; at least 1.
    pub connect_attempts: u32,
    /// How often a power-on is tried in a reboot; at least 1.
    pub on_attempts: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            expect_identity: None,
            off_max_watts: None,
            confirm_reads: 1,
            power_wait: Duration::ZERO,
            poll: Duration::from_secs(1),
            power_timeout: Duration::from_secs(20),
            connect_attempts: 3,
            on_attempts: 1,
        }
    }
}

impl Policy {
    /// From the options `expect_identity`, `off_max_watts`, `confirm_reads`, `power_wait`, `power_timeout`,
    /// `stonith_status_sleep` and `retry_on`.
    ///
    /// # Errors
    /// [`Error::Config`] for a blank `expect_identity`.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let expect_identity = settings
            .has("expect_identity")
            .then(|| settings.text("expect_identity"));
        let defaults = Self::default();
        Ok(Self {
            expect_identity: match expect_identity {
                Some(text) => Some(ExpectedIdentity::parse(text.unwrap_or_default())?),
                None => None,
            },
            off_max_watts: settings.number("off_max_watts"),
            confirm_reads: settings
                .integer("confirm_reads")
                .unwrap_or(defaults.confirm_reads),
            power_wait: settings.seconds("power_wait"),
            poll: settings.seconds("stonith_status_sleep"),
            power_timeout: settings.seconds("power_timeout"),
            connect_attempts: defaults.connect_attempts,
            on_attempts: settings.integer("retry_on").unwrap_or(defaults.on_attempts),
        })
    }
}

/// How long an outlet stays off in a reboot. A power supply bridges short gaps from its capacitors, an idle one for
/// seconds: a node that never noticed was not rebooted.
pub const MIN_OFF: Duration = Duration::from_secs(5);

/// A state that was confirmed, and how.
#[derive(Clone, Debug)]
pub struct Confirmation {
    /// The state before anything was sent.
    pub before: Observation,
    /// How often the command was sent.
    pub commands: u32,
    /// How many looks were taken after it.
    pub looks: u32,
    /// The meter's reading that was below [`Policy::off_max_watts`], where one was asked for.
    pub power: Option<PowerReading>,
    /// Who answered, where the device says.
    pub identity: Option<Identity>,
}

/// How a reboot went. Its off part was confirmed, or there is no `Rebooted`.
#[derive(Debug)]
pub struct Rebooted {
    /// The confirmed off.
    pub off: Confirmation,
    /// The power-on after it. A failed one does not undo the fence.
    pub on: Result<Confirmation>,
}

/// Something that happened on the way, for a progress line or a log.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A connection stands and the right device answered.
    Connected(&'a Inspection),
    /// A command is being sent, for the n-th time.
    Sending(PowerState, u32),
    /// The device was looked at again.
    Looked(&'a Observation),
    /// The meter was read.
    Metered(&'a PowerReading),
    /// A step failed and will be tried again.
    Retrying(&'a Error),
}

/// Receives [`Event`]s. `()` ignores them.
pub trait Watch: Sync {
    /// Called on the task that fences; it must not block.
    fn event(&self, event: Event<'_>);
}

impl Watch for () {
    fn event(&self, _: Event<'_>) {}
}

impl<F: Fn(Event<'_>) + Sync> Watch for F {
    fn event(&self, event: Event<'_>) {
        self(event);
    }
}

/// What can be done with any device. Implemented for all of them here, so that no backend can redefine it.
pub trait FenceDeviceExt: FenceDevice {
    /// Looks at the outlet once, on a new connection, and checks the identity where one is expected. Connecting is
    /// tried again as the policy allows.
    ///
    /// # Errors
    /// The last error; the state is then unknown.
    fn status(&self, policy: &Policy, deadline: Deadline) -> impl Future<Output = Result<Inspection>> + Send {
        confirm::status(self.as_dyn(), policy, deadline)
    }

    /// As [`status`](Self::status), with every failure turned into [`Observation::Unknown`].
    fn observe(&self, policy: &Policy, deadline: Deadline) -> impl Future<Output = Observation> + Send {
        async move {
            match confirm::status(self.as_dyn(), policy, deadline).await {
                Ok(inspection) => inspection.observation,
                Err(error) => Observation::unknown(error.to_string()),
            }
        }
    }

    /// Switches the outlet off and returns once that is confirmed.
    ///
    /// # Errors
    /// Whatever kept it from being confirmed. Nothing is known of the outlet then, unless the error is
    /// [`Error::WrongDevice`], [`Error::Config`] or [`Error::Authentication`], before which nothing was switched.
    fn off_confirmed(
        &self,
        policy: &Policy,
        deadline: Deadline,
        watch: &dyn Watch,
    ) -> impl Future<Output = Result<Confirmation>> + Send {
        confirm::switch(self.as_dyn(), PowerState::Off, policy, deadline, watch)
    }

    /// Switches the outlet on and returns once the device reports it on.
    ///
    /// # Errors
    /// As [`off_confirmed`](Self::off_confirmed).
    fn on_confirmed(
        &self,
        policy: &Policy,
        deadline: Deadline,
        watch: &dyn Watch,
    ) -> impl Future<Output = Result<Confirmation>> + Send {
        confirm::switch(self.as_dyn(), PowerState::On, policy, deadline, watch)
    }

    /// A confirmed off, [`MIN_OFF`] of rest, then on as often as [`Policy::on_attempts`] says.
    ///
    /// # Errors
    /// Those of [`off_confirmed`](Self::off_confirmed). A failed power-on is in [`Rebooted::on`].
    fn reboot(
        &self,
        policy: &Policy,
        deadline: Deadline,
        watch: &dyn Watch,
    ) -> impl Future<Output = Result<Rebooted>> + Send {
        confirm::reboot(self.as_dyn(), policy, deadline, watch)
    }

    /// The device's own power cycle, after the identity check. It cannot be confirmed: never a fence.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the device has none; an unconfirmed cycle otherwise.
    fn cycle(&self, policy: &Policy, deadline: Deadline) -> impl Future<Output = Result<()>> + Send {
        confirm::cycle(self.as_dyn(), policy, deadline)
    }

    /// All outlets of the device.
    ///
    /// # Errors
    /// The last error.
    fn outlets(
        &self,
        policy: &Policy,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Vec<Outlet>>> + Send {
        async move {
            confirm::ask(self.as_dyn(), policy, deadline, |session, deadline| {
                session.outlets(deadline)
            })
            .await
        }
    }

    /// Who the device is.
    ///
    /// # Errors
    /// The last error.
    fn identity(&self, policy: &Policy, deadline: Deadline) -> impl Future<Output = Result<Identity>> + Send {
        async move {
            confirm::ask(self.as_dyn(), policy, deadline, |session, deadline| {
                session.identity(deadline)
            })
            .await
        }
    }

    /// The outlet's meter.
    ///
    /// # Errors
    /// The last error; [`Error::Unsupported`] where there is no meter.
    fn power_reading(
        &self,
        policy: &Policy,
        deadline: Deadline,
    ) -> impl Future<Output = Result<PowerReading>> + Send {
        async move {
            confirm::ask(self.as_dyn(), policy, deadline, |session, deadline| {
                session.power_reading(deadline)
            })
            .await
        }
    }

    #[doc(hidden)]
    fn as_dyn(&self) -> &dyn FenceDevice;
}

impl<T: FenceDevice> FenceDeviceExt for T {
    fn as_dyn(&self) -> &dyn FenceDevice {
        self
    }
}

impl FenceDeviceExt for dyn FenceDevice + '_ {
    fn as_dyn(&self) -> &dyn FenceDevice {
        self
    }
}
