//! How long an action may take.

use std::ffi::OsStr;
use std::time::Duration;

use fencekit::{Deadline, Result, Settings};

use super::action::Action;
use super::given::Given;

/// When somebody else bounds the agent it may still not live on for hours, as an orphan that switches a node off
/// again long after it came back.
const LONGEST_RUN: Duration = Duration::from_secs(600);
/// One step of a fencing action then may take this long: patient with a slow device, and yet with time for a second
/// try within Pacemaker's 60 s.
const FENCING_STEP: Duration = Duration::from_secs(20);
/// One step of the others: two tries within the 20 s of a monitor, so that the log says what is wrong.
const ASKING_STEP: Duration = Duration::from_secs(8);
const ASKING_TRIES: u32 = 2;

/// The time limits of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    action: Action,
    login: Duration,
    shell: Duration,
    /// Until a switch is confirmed, `power_wait` included.
    switch: Duration,
    /// Whether somebody else bounds the agent.
    pub(crate) unlimited: bool,
}

impl Timing {
    /// Of `action`, from the options and from Pacemaker's `PCMK_service` in the environment.
    ///
    /// # Errors
    /// [`fencekit::Error::Config`] for a `disable_timeout` that is neither yes nor no.
    pub(crate) fn of(action: Action, given: &Given, pcmk_service: Option<&OsStr>) -> Result<Self> {
        let under_pacemaker = pcmk_service.is_some_and(|service| service == "pacemaker-fenced");
        Ok(Self {
            action,
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
    pub(crate) fn apply(&self, settings: &mut Settings) -> Result<()> {
        if !self.unlimited {
            return Ok(());
        }
        let step = if self.switches() {
            FENCING_STEP
        } else {
            ASKING_STEP
        };
        let seconds = |time: Duration| time.as_secs_f64().to_string();
        settings.set("login_timeout", &seconds(self.login.max(step)))?;
        settings.set("shell_timeout", &seconds(self.shell.max(step)))?;
        settings.set("power_timeout", &seconds(LONGEST_RUN))
    }

    /// How often a connection is tried, where that is not for the policy to say.
    pub(crate) fn connect_attempts(&self) -> Option<u32> {
        (self.unlimited && !self.switches()).then_some(ASKING_TRIES)
    }

    fn switches(&self) -> bool {
        matches!(self.action, Action::On | Action::Off | Action::Reboot)
    }

    /// The end of the action on so many plugs.
    pub(crate) fn deadline(&self, plugs: usize) -> Deadline {
        if self.unlimited {
            return Deadline::after(LONGEST_RUN);
        }
        self.bounded(plugs)
    }

    /// The end of switching on again after a confirmed off. Always bounded: the node is fenced already, and an
    /// agent that is killed while it waits would turn that success into a failure.
    pub(crate) fn deadline_of_on(&self, plugs: usize) -> Deadline {
        self.bounded(plugs)
    }

    fn bounded(&self, plugs: usize) -> Deadline {
        let plugs = u32::try_from(plugs.max(1)).unwrap_or(u32::MAX);
        let switch = if self.switches() {
            self.switch
        } else {
            Duration::ZERO
        };
        let one = self.login.saturating_add(self.shell).saturating_add(switch);
        Deadline::after(one.max(Duration::from_secs(1)).saturating_mul(plugs))
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

    fn timing(action: Action, lines: &[(&str, &str)], service: Option<&str>) -> Timing {
        let mut given = Given::new(Agent::find("fence_kasa").unwrap());
        for (name, value) in lines {
            let spec = given.spec(name).unwrap();
            given.put(&spec, false, value);
        }
        Timing::of(action, &given, service.map(OsStr::new)).unwrap()
    }

    fn seconds(deadline: Deadline) -> u64 {
        deadline.remaining().as_secs_f64().round() as u64
    }

    const FENCED: Option<&str> = Some("pacemaker-fenced");

    #[test]
    fn by_hand_the_options_bound_every_action() {
        let of = |action| timing(action, &[("power_wait", "2")], None);
        assert_eq!(seconds(of(Action::Status).deadline(1)), 8);
        assert_eq!(seconds(of(Action::Off).deadline(1)), 30);
        assert_eq!(seconds(of(Action::Off).deadline(2)), 60);
    }

    #[test]
    fn pacemaker_bounds_the_agent_unless_told_otherwise() {
        let off = |lines: &[_], service| timing(Action::Off, lines, service).unlimited;
        assert!(off(&[], FENCED));
        assert!(!off(&[], Some("pacemaker-execd")));
        assert!(!off(&[("disable_timeout", "false")], FENCED));
        assert!(off(&[("disable_timeout", "true")], None));
    }

    #[test]
    fn without_limits_steps_and_power_on_stay_bounded() {
        let reboot = timing(Action::Reboot, &[], FENCED);
        let mut settings = Settings::new(Method::Kasa);
        reboot.apply(&mut settings).unwrap();
        assert_eq!(settings.seconds("shell_timeout"), FENCING_STEP);
        assert_eq!(settings.seconds("power_timeout"), LONGEST_RUN);
        assert_eq!(seconds(reboot.deadline_of_on(1)), 28);
    }

    #[test]
    fn a_monitor_under_pacemaker_has_failed_before_it_is_killed() {
        let monitor = timing(Action::Monitor, &[], FENCED);
        let mut settings = Settings::new(Method::Kasa);
        monitor.apply(&mut settings).unwrap();
        let tries = monitor.connect_attempts().unwrap();
        assert!(settings.seconds("login_timeout") * tries + Duration::from_secs(1) < Duration::from_secs(20));
        assert_eq!(timing(Action::Off, &[], FENCED).connect_attempts(), None);
    }

    #[test]
    fn absurd_times_do_not_overflow() {
        let endless = timing(
            Action::Off,
            &[("login_timeout", "1e18"), ("power_timeout", "1e18")],
            None,
        );
        assert!(endless.deadline(usize::MAX).remaining() <= Deadline::far().remaining());
    }
}
