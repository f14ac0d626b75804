//! How long an action may take.

use std::ffi::OsStr;
use std::time::Duration;

use fencekit::{Deadline, Error, Result, Settings};

use super::action::Action;
use super::given::Given;

/// When somebody else bounds the agent it may still not live on for hours, as an orphan that switches a node off
/// again long after it came back.
const LONGEST_RUN: Duration = Duration::from_secs(600);
/// One step then may take this long: patient with a slow device, and yet with time for a second try within
/// Pacemaker's 60 s.
const PATIENT_STEP: Duration = Duration::from_secs(20);

/// The time limits of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    login: Duration,
    shell: Duration,
    /// Until a switch is confirmed, `power_wait` included.
    switch: Duration,
    /// Whether somebody else bounds the agent.
    pub(crate) unlimited: bool,
}

impl Timing {
    /// From the options, and from Pacemaker's `PCMK_service` in the environment.
    ///
    /// # Errors
    /// [`Error::Config`] for a `disable_timeout` that is neither yes nor no.
    pub(crate) fn of(given: &Given, pcmk_service: Option<&OsStr>) -> Result<Self> {
        let under_pacemaker = pcmk_service.is_some_and(|service| service == "pacemaker-fenced");
        Ok(Self {
            login: given.seconds("login_timeout"),
            shell: given.seconds("shell_timeout"),
            switch: given
                .seconds("power_wait")
                .saturating_add(given.seconds("power_timeout")),
            unlimited: given.choice("disable_timeout").unwrap_or(under_pacemaker),
        })
    }

    /// Tells the device's settings how long they may wait.
    ///
    /// # Errors
    /// None in practice: the values are our own.
    pub(crate) fn apply(&self, settings: &mut Settings) -> Result<(), Error> {
        if !self.unlimited {
            return Ok(());
        }
        let seconds = |time: Duration| format!("{}", time.as_secs_f64());
        settings.set("login_timeout", &seconds(self.login.max(PATIENT_STEP)))?;
        settings.set("shell_timeout", &seconds(self.shell.max(PATIENT_STEP)))?;
        settings.set("power_timeout", &seconds(LONGEST_RUN))
    }

    /// The end of `action` on so many plugs.
    pub(crate) fn deadline(&self, action: Action, plugs: usize) -> Deadline {
        if self.unlimited {
            return Deadline::after(LONGEST_RUN);
        }
        let plugs = u32::try_from(plugs.max(1)).unwrap_or(u32::MAX);
        let switches = match action {
            Action::On | Action::Off | Action::Reboot => self.switch,
            _ => Duration::ZERO,
        };
        let one = self.login.saturating_add(self.shell).saturating_add(switches);
        Deadline::after(one.max(Duration::from_secs(1)).saturating_mul(plugs))
    }

    /// The end of switching on again after a confirmed off. Always bounded: the node is fenced already, and an
    /// agent that is killed while it waits would turn that success into a failure.
    pub(crate) fn deadline_of_on(&self, plugs: usize) -> Deadline {
        let bounded = Self {
            unlimited: false,
            ..*self
        };
        bounded.deadline(Action::On, plugs)
    }

    /// How long a switch usually may take; later than this is worth a word in the log.
    pub(crate) fn usual(&self) -> Duration {
        self.login.saturating_add(self.shell).saturating_add(self.switch)
    }
}

#[cfg(test)]
mod tests {
    use fencekit::Method;

    use super::super::table::Agent;
    use super::*;

    fn timing(lines: &[(&str, &str)], service: Option<&str>) -> Timing {
        let mut given = Given::new(Agent::find("fence_kasa").unwrap());
        for (name, value) in lines {
            let spec = given.spec(name).unwrap();
            given.put(&spec, false, value);
        }
        Timing::of(&given, service.map(OsStr::new)).unwrap()
    }

    fn seconds(deadline: Deadline) -> u64 {
        deadline.remaining().as_secs_f64().round() as u64
    }

    #[test]
    fn by_hand_the_options_bound_every_action() {
        let timing = timing(&[("power_wait", "2")], None);
        assert_eq!(seconds(timing.deadline(Action::Status, 1)), 8);
        assert_eq!(seconds(timing.deadline(Action::Off, 1)), 30);
        assert_eq!(seconds(timing.deadline(Action::Off, 2)), 60);
    }

    #[test]
    fn pacemaker_bounds_the_agent_unless_told_otherwise() {
        assert!(timing(&[], Some("pacemaker-fenced")).unlimited);
        assert!(!timing(&[], Some("pacemaker-execd")).unlimited);
        assert!(!timing(&[("disable_timeout", "false")], Some("pacemaker-fenced")).unlimited);
        assert!(timing(&[("disable_timeout", "true")], None).unlimited);
    }

    #[test]
    fn without_limits_steps_and_power_on_stay_bounded() {
        let timing = timing(&[], Some("pacemaker-fenced"));
        let mut settings = Settings::new(Method::Kasa);
        timing.apply(&mut settings).unwrap();
        assert_eq!(settings.seconds("shell_timeout"), PATIENT_STEP);
        assert_eq!(settings.seconds("power_timeout"), LONGEST_RUN);
        assert_eq!(seconds(timing.deadline_of_on(1)), 28);
    }

    #[test]
    fn absurd_times_do_not_overflow() {
        let timing = timing(&[("login_timeout", "1e18"), ("power_timeout", "1e18")], None);
        assert!(timing.deadline(Action::Off, usize::MAX).remaining() <= Deadline::far().remaining());
    }
}
