//! The actions on devices: on, off, reboot, status, monitor, list.

use std::fmt::Write;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use fencekit::fence::{Event, MIN_OFF};
use fencekit::{
    Confirmation, Deadline, Error, FenceDevice, FenceDeviceExt, Label, Method, Observation, Outlet, Policy,
    PowerState, Result, Settings,
};

use super::action::Action;
use super::given::{Given, Plugs};
use super::logging::clean;
use super::timing::Timing;

/// What an action came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It succeeded; this line, if any, says so.
    Done(String),
    /// What was asked for is this text itself.
    Text(String),
    /// The status is OFF, which has an exit code of its own.
    StatusOff,
}

/// An error and the device that it is about.
#[derive(Debug)]
pub(crate) struct Failure {
    who: Option<String>,
    error: Error,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { who: None, error }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.who {
            Some(device) => write!(f, "{device}: {}", self.error),
            None => self.error.fmt(f),
        }
    }
}

/// The devices that an action is about, with what it takes to act on them.
#[derive(Debug)]
pub(crate) struct Devices {
    /// One for each plug.
    devices: Vec<Box<dyn FenceDevice>>,
    policy: Policy,
    timing: Timing,
    /// Whether the user named the plugs.
    plugs_are_named: bool,
    missing_as_off: bool,
    cycle: bool,
    separator: String,
}

impl Devices {
    /// Of the options. Nothing is sent.
    ///
    /// # Errors
    /// [`Error::Config`] for options that are wrong, missing or contradict each other.
    pub(crate) fn configure(
        given: &Given,
        method: Method,
        timing: Timing,
        mut settings: Settings,
    ) -> Result<Self> {
        timing.apply(&mut settings)?;
        let plugs = given.plugs()?;
        let mut devices = Vec::new();
        match &plugs {
            Plugs::None => devices.push(method.device(&settings)?),
            Plugs::Node(node) => {
                settings.set_node_name_plug(node);
                devices.push(method.device(&settings)?);
            }
            Plugs::Named(names) => {
                for name in names {
                    settings.set("plug", name)?;
                    devices.push(method.device(&settings)?);
                }
            }
        }
        let mut policy = Policy::from_settings(&settings)?;
        if let Some(attempts) = timing.connect_attempts() {
            policy.connect_attempts = attempts;
        }
        let devices = Self {
            devices,
            policy,
            timing,
            plugs_are_named: matches!(plugs, Plugs::Named(_)),
            missing_as_off: given.boolean("missing_as_off"),
            cycle: given.text("method") == Some("cycle"),
            separator: given.text("separator").unwrap_or(",").to_owned(),
        };
        devices.check_cycle()?;
        Ok(devices)
    }

    fn check_cycle(&self) -> Result<()> {
        let contradiction = if !self.cycle {
            return Ok(());
        } else if self.devices.len() > 1 {
            "would cut the power of several plugs one after the other, and of the node never"
        } else if self.policy.off_max_watts.is_some() {
            "cannot honour off_max_watts, since its off part is not seen"
        } else {
            return Ok(());
        };
        Err(Error::config(
            "method",
            format!("cycle {contradiction}"),
            "use method=onoff",
        ))
    }

    /// Does `action`.
    ///
    /// # Errors
    /// Whatever kept it from succeeding.
    pub(crate) async fn act(&self, action: Action) -> Result<Outcome, Failure> {
        let deadline = self.timing.deadline(self.devices.len());
        match action {
            Action::On => {
                let changed = self.switch(PowerState::On, deadline).await?;
                Ok(done(if changed {
                    "Success: Powered ON"
                } else {
                    "Success: Already ON"
                }))
            }
            Action::Off => {
                let changed = self.switch(PowerState::Off, deadline).await?;
                Ok(done(if changed {
                    "Success: Powered OFF"
                } else {
                    "Success: Already OFF"
                }))
            }
            Action::Reboot => self.reboot(deadline).await,
            Action::Status => self.status(deadline).await,
            Action::Monitor => self.monitor(deadline).await,
            Action::List => self.list(deadline, false).await,
            Action::ListStatus => self.list(deadline, true).await,
            Action::Metadata | Action::ValidateAll => Ok(Outcome::Done(String::new())),
        }
    }

    /// Switches every plug and confirms each; several are then looked at once more together, since the first may
    /// have come back while the last was switched. True when one of them was in another state before.
    async fn switch(&self, state: PowerState, deadline: Deadline) -> Result<bool, Failure> {
        let mut changed = false;
        for device in &self.devices {
            let confirmation = self.switch_one(device.as_ref(), state, deadline).await?;
            changed |= !confirmation.before.is(state);
        }
        if self.devices.len() > 1 {
            for device in &self.devices {
                let seen = self.look(device.as_ref(), deadline).await?;
                if !seen.is(state) {
                    return Err(failed(device.as_ref(), changed_its_mind(state, &seen)));
                }
            }
        }
        Ok(changed)
    }

    async fn switch_one(
        &self,
        device: &dyn FenceDevice,
        state: PowerState,
        deadline: Deadline,
    ) -> Result<Confirmation, Failure> {
        let progress = Progress::new(device.label(), state, &self.timing);
        let watch = |event: Event<'_>| progress.note(&event);
        let outcome = match state {
            PowerState::Off => device.off_confirmed(&self.policy, deadline, &watch).await,
            PowerState::On => device.on_confirmed(&self.policy, deadline, &watch).await,
        };
        let confirmation = outcome.map_err(|error| failed(device, error))?;
        log::info!(
            "{}: confirmed {state} (commands {}, looks {}, before: {})",
            device.label(),
            confirmation.commands,
            confirmation.looks,
            confirmation.before
        );
        Ok(confirmation)
    }

    /// Off on all plugs, confirmed, then on for all. Once the off is confirmed the node is fenced, and a failed on
    /// is an error in the log alone.
    async fn reboot(&self, deadline: Deadline) -> Result<Outcome, Failure> {
        if self.cycle {
            return self.cycle(deadline).await;
        }
        self.switch(PowerState::Off, deadline).await?;
        tokio::time::sleep(MIN_OFF).await;
        for attempt in 1..=self.policy.on_attempts.max(1) {
            let deadline = self.timing.deadline_of_on(self.devices.len());
            match self.switch(PowerState::On, deadline).await {
                Ok(_) => break,
                Err(failure) => log::error!(
                    "{failure}; the node was powered off, but is not on again (attempt {attempt} of {})",
                    self.policy.on_attempts
                ),
            }
        }
        Ok(done("Success: Rebooted"))
    }

    async fn cycle(&self, deadline: Deadline) -> Result<Outcome, Failure> {
        for device in &self.devices {
            log::warn!(
                "{}: method=cycle cannot confirm that the power was off",
                device.label()
            );
            device
                .cycle(&self.policy, deadline)
                .await
                .map_err(|error| failed(device.as_ref(), error))?;
        }
        Ok(done("Success: Rebooted"))
    }

    async fn status(&self, deadline: Deadline) -> Result<Outcome, Failure> {
        let mut seen = Vec::new();
        for device in &self.devices {
            let looked = self.look(device.as_ref(), deadline).await;
            seen.push(match looked {
                Err(failure) if self.is_missing(device.as_ref(), &failure, deadline).await => {
                    log::warn!("{failure}; OFF because of missing_as_off");
                    Observation::Off
                }
                looked => looked?,
            });
        }
        match Observation::combined(seen) {
            Observation::On => Ok(done("Status: ON")),
            Observation::Off => Ok(Outcome::StatusOff),
            Observation::Unknown(reason) => Err(self.unknown(reason)),
        }
    }

    /// Whether a device that is who it should be says that it has no such plug, and the user wants to hear OFF then.
    /// Only ever asked for `status`, which no cluster takes for a fence: an off of a missing plug fails.
    async fn is_missing(&self, device: &dyn FenceDevice, failure: &Failure, deadline: Deadline) -> bool {
        let about_plug = matches!(&failure.error, Error::Config { option, .. } if option == "plug");
        let Some(plug) = device.label().plug.as_deref().filter(|_| about_plug) else {
            return false;
        };
        if !self.missing_as_off || !self.plugs_are_named {
            return false;
        }
        // The same error stands for a plug that means two outlets: the list tells them apart.
        // So does it a number with zeros before it, which Kasa takes for the end of an id and most take for a number.
        let number = plug.trim().trim_start_matches('0');
        let same = |text: &str| {
            let text = text.trim();
            text.eq_ignore_ascii_case(plug.trim()) || (!number.is_empty() && text == number)
        };
        device.outlets(&self.policy, deadline).await.is_ok_and(|outlets| {
            !outlets.is_empty() && !outlets.iter().any(|one| same(&one.plug) || same(&one.alias))
        })
    }

    async fn look(&self, device: &dyn FenceDevice, deadline: Deadline) -> Result<Observation, Failure> {
        let inspection = device
            .status(&self.policy, deadline)
            .await
            .map_err(|error| failed(device, error))?;
        log::debug!("{}: {}", device.label(), inspection.observation);
        Ok(inspection.observation)
    }

    fn unknown(&self, reason: String) -> Failure {
        Failure {
            who: self.devices.first().map(|device| device.label().to_string()),
            error: Error::protocol(format!("the state cannot be told: {reason}")),
        }
    }

    /// Whether the device could fence: it answers, takes the login, is who it should be, and shows a state. Pacemaker
    /// asks without a plug, which a strip cannot do without: then all its outlets are asked for.
    async fn monitor(&self, deadline: Deadline) -> Result<Outcome, Failure> {
        let mut seen = Vec::new();
        for device in &self.devices {
            let outlets = if self.plugs_are_named {
                None
            } else {
                self.outlets(device.as_ref(), deadline).await?
            };
            match outlets {
                Some(outlets) => seen.extend(outlets.into_iter().map(|outlet| outlet.observation)),
                None => seen.push(self.look(device.as_ref(), deadline).await?),
            }
        }
        let known = |observation: &Observation| !matches!(observation, Observation::Unknown(_));
        let enough = if self.plugs_are_named {
            seen.iter().all(known)
        } else {
            // A neighbour on the strip that cannot be read is no reason to give the device up.
            seen.iter().any(known)
        };
        if enough {
            return Ok(Outcome::Done(String::new()));
        }
        let reason = seen.into_iter().find_map(|observation| match observation {
            Observation::Unknown(reason) => Some(reason),
            _ => None,
        });
        Err(self.unknown(reason.unwrap_or_else(|| "the device shows no outlet".to_owned())))
    }

    /// All outlets; `None` of a device that has no list.
    async fn outlets(
        &self,
        device: &dyn FenceDevice,
        deadline: Deadline,
    ) -> Result<Option<Vec<Outlet>>, Failure> {
        match device.outlets(&self.policy, deadline).await {
            Ok(outlets) => Ok(Some(outlets)),
            Err(Error::Unsupported { .. }) => Ok(None),
            Err(error) => Err(failed(device, error)),
        }
    }

    /// One line for each outlet. A device without a list succeeds with `N/A`, as fence-agents does: a failure would
    /// make Pacemaker take the device for one that can fence every node.
    async fn list(&self, deadline: Deadline, with_status: bool) -> Result<Outcome, Failure> {
        let device = self.devices.first().map(Box::as_ref);
        let outlets = match device {
            Some(device) => self.outlets(device, deadline).await?,
            None => None,
        };
        let Some(outlets) = outlets else {
            return Ok(Outcome::Text("N/A".to_owned()));
        };
        let mut lines = String::new();
        for outlet in &outlets {
            let separator = &self.separator;
            let _ = write!(
                lines,
                "{}{separator}{}",
                clean(&outlet.plug),
                clean(&outlet.alias)
            );
            if with_status {
                let _ = write!(lines, "{separator}{}", in_capitals(&outlet.observation));
            }
            lines.push('\n');
        }
        lines.pop();
        Ok(Outcome::Text(lines))
    }
}

fn done(line: &str) -> Outcome {
    Outcome::Done(line.to_owned())
}

pub(crate) fn failed(device: &dyn FenceDevice, error: Error) -> Failure {
    Failure {
        who: Some(device.label().to_string()),
        error,
    }
}

fn changed_its_mind(wanted: PowerState, seen: &Observation) -> Error {
    Error::NotConfirmed {
        wanted: wanted.to_string(),
        detail: format!("it was {wanted}, but is {seen} now that all plugs were switched"),
        source: None,
    }
}

fn in_capitals(observation: &Observation) -> &'static str {
    match observation {
        Observation::On => "ON",
        Observation::Off => "OFF",
        Observation::Unknown(_) => "UNKNOWN",
    }
}

/// Follows a switch into the log. Pacemaker kills without a warning: what went wrong must be there before.
struct Progress<'a> {
    label: &'a Label,
    wanted: PowerState,
    began: Instant,
    timing: &'a Timing,
    told: Mutex<bool>,
}

impl<'a> Progress<'a> {
    fn new(label: &'a Label, wanted: PowerState, timing: &'a Timing) -> Self {
        Self {
            label,
            wanted,
            began: Instant::now(),
            timing,
            told: Mutex::new(false),
        }
    }

    fn note(&self, event: &Event<'_>) {
        let what = match event {
            Event::Connected(seen) => format!("connected; the outlet is {}", seen.observation),
            Event::Sending(state, count) => format!("sending {state} ({count})"),
            Event::Looked(seen) => format!("the device says {seen}"),
            Event::Metered(reading) => format!("the meter reads {:.1} W", reading.watts),
            Event::Retrying(error) => format!("trying again after: {error}"),
            _ => return,
        };
        log::debug!("{}: {what}", self.label);
        if self.timing.unlimited && self.began.elapsed() > self.timing.usual() {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if !*told {
                *told = true;
                log::error!(
                    "{}: not confirmed {} after {} s ({what}); going on until the cluster ends this agent",
                    self.label,
                    self.wanted,
                    self.began.elapsed().as_secs()
                );
            }
        }
    }
}
