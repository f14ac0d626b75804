//! What a backend is: a device that opens sessions, and a session that observes and switches.
//!
//! A backend sends and observes; it decides nothing. Whether an off is confirmed is decided in
//! [`fence`](crate::fence), in one place for all of them.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::method::Method;
use crate::power::{Observation, PowerReading, PowerState};

/// How a device is called in messages: method, address and outlet, never credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The backend.
    pub method: Method,
    /// Host name or address, with the port where it is not the standard one.
    pub address: String,
    /// The outlet as configured, where one is.
    pub plug: Option<String>,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} @ {}", self.method, self.address)?;
        match &self.plug {
            Some(plug) => write!(f, " plug {plug}"),
            None => Ok(()),
        }
    }
}

/// Where the state is read back after a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readback {
    /// On a new connection: the reply on the old one may come from a buffer, a proxy or another device.
    NewConnection,
    /// On the same session, which is authenticated in both directions and protected against replay (IPMI
    /// RMCP+, ESPHome's Noise).
    SameSession,
}

/// What one look at the configured outlet showed.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The outlet's state.
    pub observation: Observation,
    /// Who answered, when the same reply says so.
    pub identity: Option<Identity>,
    /// Time since the device started, when the same reply says so. Uptime that shrank between two looks means
    /// that the device restarted and may have forgotten what it was told.
    pub uptime: Option<Duration>,
    /// The outlet's meter, when the same reply carries it.
    pub power: Option<PowerReading>,
}

impl Inspection {
    /// An inspection that shows the state and nothing else.
    pub fn of(observation: Observation) -> Self {
        Self {
            observation,
            identity: None,
            uptime: None,
            power: None,
        }
    }
}

/// One outlet of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlet {
    /// What to write as `plug`: an index from 1, or the switch's name.
    pub plug: String,
    /// The owner's name for it; empty where there is none.
    pub alias: String,
    /// Its state.
    pub observation: Observation,
}

/// How much a [`Finding`] matters to fencing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good, or neutral.
    Info,
    /// May undo or delay a fence.
    Warning,
    /// It could not be examined.
    Unknown,
    /// Fencing cannot be relied on until this is mended.
    Problem,
}

/// Something that a device's settings say about how well it fences: a schedule, an auto-off, the power-restore
/// setting, the firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// One word for programs: `schedule`, `countdown`, `restore`, `firmware`, `clock`, `setting`.
    pub topic: &'static str,
    /// What was found.
    pub detail: String,
    /// What to do about it; empty for [`Severity::Info`].
    pub mend: String,
}

/// A device that can cut and restore the power of one outlet.
///
/// It is cheap to make and holds no connection: everything is configured when it is built, and wrong
/// configuration is refused then. Sugar lives in [`FenceDeviceExt`](crate::FenceDeviceExt), so that a
/// wrapper has few methods to forward and no backend can redefine what "confirmed" means.
#[async_trait]
pub trait FenceDevice: fmt::Debug + Send + Sync {
    /// How the device is called in messages.
    fn label(&self) -> &Label;

    /// Where the state is to be read back after a switch. A new connection, unless the protocol itself rules
    /// out a stale or foreign reply.
    fn readback(&self) -> Readback {
        Readback::NewConnection
    }

    /// The shortest pause between two looks at an outlet that has not followed yet. Devices that suffer from being asked
    /// often say so here.
    fn shortest_poll(&self) -> Duration {
        Duration::from_millis(20)
    }

    /// Whether the device can report who it is, so that `expect_identity` can be honoured.
    fn reports_identity(&self) -> bool {
        true
    }

    /// The device as a BMC: thousands of those are asked over a few sockets
    /// ([`ipmi::fleet`](crate::ipmi::fleet)), where each other device takes one.
    #[cfg(feature = "ipmi")]
    fn as_bmc(&self) -> Option<&crate::ipmi::Bmc> {
        None
    }

    /// Opens a new connection, logged in and ready. Never a cached one.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Timeout`], [`Error::Authentication`], [`Error::Protocol`], or
    /// [`Error::Config`] for what only the device can tell (a plug that does not exist).
    async fn connect(&self, deadline: Deadline) -> Result<Box<dyn Session>>;
}

/// An open, logged-in conversation with a device about its configured outlet.
///
/// Each method sends one request or a few and gives back what the device said. It repeats only what is safe to
/// repeat; retrying an operation is [`fence`](crate::fence)'s work.
#[async_trait]
pub trait Session: Send {
    /// Looks at the configured outlet. A reply without a readable state is [`Observation::Unknown`] or an error,
    /// never a guess.
    ///
    /// # Errors
    /// Any but [`Error::NotConfirmed`]; the state is then unknown.
    async fn inspect(&mut self, deadline: Deadline) -> Result<Inspection>;

    /// Tells the outlet to take a state and waits until the device has explicitly accepted. Acceptance is not
    /// proof: only a later [`inspect`](Session::inspect) is.
    ///
    /// # Errors
    /// [`Error::Refused`] when the device says that it did not; any other error means that it may have.
    async fn switch(&mut self, state: PowerState, deadline: Deadline) -> Result<()>;

    /// Asks who the device is.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the protocol has no answer; else as [`inspect`](Session::inspect).
    async fn identity(&mut self, deadline: Deadline) -> Result<Identity>;

    /// All outlets of the device; works without a configured `plug`.
    ///
    /// # Errors
    /// As [`inspect`](Session::inspect).
    async fn outlets(&mut self, deadline: Deadline) -> Result<Vec<Outlet>>;

    /// Reads the outlet's meter.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where there is no meter; a value that is missing or not a number is
    /// [`Error::Protocol`], never zero.
    async fn power_reading(&mut self, deadline: Deadline) -> Result<PowerReading> {
        let _ = deadline;
        Err(Error::unsupported(
            "this device has no power meter that fencekit can read",
        ))
    }

    /// Makes the device itself switch off and on again. Never used to fence, since it cannot be repeated or
    /// confirmed; only for `method=cycle`, when asked for.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the device has no such command.
    async fn cycle(&mut self, deadline: Deadline) -> Result<()> {
        let _ = deadline;
        Err(Error::unsupported(
            "this device has no cycle command; use method=onoff",
        ))
    }

    /// What the device's settings mean for fencing, for `fencekit doctor`.
    ///
    /// # Errors
    /// As [`inspect`](Session::inspect).
    async fn findings(&mut self, deadline: Deadline) -> Result<Vec<Finding>> {
        let _ = deadline;
        Ok(Vec::new())
    }

    /// Ends the conversation. Protocols with sessions say goodbye here, since a device holds few of them; the
    /// outcome no longer matters to anybody.
    async fn close(self: Box<Self>, deadline: Deadline) {
        let _ = deadline;
    }
}
