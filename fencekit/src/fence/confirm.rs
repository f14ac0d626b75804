//! The loop that sends, looks and decides.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{Confirmation, Event, MIN_OFF, Policy, Rebooted, Watch};
use crate::deadline::Deadline;
use crate::device::{FenceDevice, Inspection, Readback, Session};
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::power::{Observation, PowerReading, PowerState};

/// A session is closed even when its operation's deadline has passed: devices hold few of them.
const CLOSE_GRACE: Duration = Duration::from_millis(300);
/// An outlet that still shows the old state after this long is told again.
const SEND_AGAIN_AFTER: Duration = Duration::from_secs(3);
/// Pauses between tries of a step that failed.
const BACKOFF: [Duration; 3] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(1000),
];
/// A device that says "no" this often means it.
const REFUSALS: u32 = 3;
/// Clocks of plugs count whole seconds and drift: uptime must shrink by more than this to be a restart.
const UPTIME_SLACK: Duration = Duration::from_secs(2);

fn backoff(failures: u32) -> Duration {
    let last = BACKOFF.last().copied().unwrap_or_default();
    BACKOFF
        .get(failures.saturating_sub(1) as usize)
        .copied()
        .unwrap_or(last)
}

async fn close(session: Box<dyn Session>) {
    let deadline = Deadline::after(CLOSE_GRACE);
    let _ = tokio::time::timeout_at(deadline.instant(), session.close(deadline)).await;
}

/// An open session whose device is who was expected, and the first look at its outlet.
struct Opened {
    session: Box<dyn Session>,
    seen: Inspection,
}

async fn open_once(device: &dyn FenceDevice, policy: &Policy, deadline: Deadline) -> Result<Opened> {
    let mut session = device.connect(deadline).await?;
    match look(session.as_mut(), policy, deadline).await {
        Ok(seen) => Ok(Opened { session, seen }),
        Err(error) => {
            close(session).await;
            Err(error)
        }
    }
}

/// One look, with the identity checked where one is expected.
async fn look(session: &mut dyn Session, policy: &Policy, deadline: Deadline) -> Result<Inspection> {
    let mut seen = deadline
        .run("looking at the outlet", session.inspect(deadline))
        .await?;
    let Some(expected) = &policy.expect_identity else {
        return Ok(seen);
    };
    let reported = match seen.identity.take() {
        Some(identity) => identity,
        None => {
            deadline
                .run("asking for the identity", session.identity(deadline))
                .await?
        }
    };
    expected.check(&reported)?;
    seen.identity = Some(reported);
    Ok(seen)
}

/// Connects, as often as the policy allows; only before anything was switched.
async fn open(
    device: &dyn FenceDevice,
    policy: &Policy,
    deadline: Deadline,
    watch: &dyn Watch,
) -> Result<Opened> {
    let mut failures = 0;
    let mut before = None;
    loop {
        let error = match open_once(device, policy, deadline).await {
            Ok(opened) => return Ok(opened),
            Err(error) => more_telling(error, before.take(), deadline),
        };
        failures += 1;
        if !error.is_transient() || failures >= policy.connect_attempts || deadline.expired() {
            return Err(error);
        }
        log::debug!("{}: {error}; trying again", device.label());
        watch.event(Event::Retrying(&error));
        if !deadline.sleep(backoff(failures)).await {
            return Err(error);
        }
        before = Some(error);
    }
}

/// Of two tries the error that says more: one that the deadline cut off says only that.
fn more_telling(error: Error, before: Option<Error>, deadline: Deadline) -> Error {
    match before {
        Some(before) if deadline.expired() && matches!(error, Error::Timeout { .. }) => before,
        _ => error,
    }
}

pub(super) async fn status(
    device: &dyn FenceDevice,
    policy: &Policy,
    deadline: Deadline,
) -> Result<Inspection> {
    let Opened { session, seen } = open(device, policy, deadline, &()).await?;
    close(session).await;
    Ok(seen)
}

/// One question on a new session, tried again as [`open`] does.
pub(crate) async fn ask<T: Send>(
    device: &dyn FenceDevice,
    policy: &Policy,
    deadline: Deadline,
    question: impl for<'s> Fn(&'s mut dyn Session, Deadline) -> BoxFuture<'s, Result<T>> + Send + Sync,
) -> Result<T> {
    let mut failures = 0;
    let mut before = None;
    loop {
        let error = match ask_once(device, policy, deadline, &question).await {
            Ok(answer) => return Ok(answer),
            Err(error) => more_telling(error, before.take(), deadline),
        };
        failures += 1;
        if !error.is_transient()
            || failures >= policy.connect_attempts
            || !deadline.sleep(backoff(failures)).await
        {
            return Err(error);
        }
        before = Some(error);
    }
}

async fn ask_once<T: Send>(
    device: &dyn FenceDevice,
    policy: &Policy,
    deadline: Deadline,
    question: &(impl for<'s> Fn(&'s mut dyn Session, Deadline) -> BoxFuture<'s, Result<T>> + Send + Sync),
) -> Result<T> {
    let mut session = device.connect(deadline).await?;
    let answer = async {
        if let Some(expected) = &policy.expect_identity {
            expected.check(&session.identity(deadline).await?)?;
        }
        question(session.as_mut(), deadline).await
    };
    let answer = deadline.run("asking the device", answer).await;
    close(session).await;
    answer
}

pub(super) async fn cycle(device: &dyn FenceDevice, policy: &Policy, deadline: Deadline) -> Result<()> {
    let Opened { mut session, .. } = open(device, policy, deadline, &()).await?;
    let outcome = deadline.run("cycling", session.cycle(deadline)).await;
    close(session).await;
    outcome
}

pub(super) async fn reboot(
    device: &dyn FenceDevice,
    policy: &Policy,
    deadline: Deadline,
    watch: &dyn Watch,
) -> Result<Rebooted> {
    let off = switch(device, PowerState::Off, policy, deadline, watch).await?;
    deadline.sleep(MIN_OFF).await;
    let on = on_again(device, policy, deadline, watch).await;
    Ok(Rebooted { off, on })
}

/// The on of a reboot, of one device or of a node's: as often as [`Policy::on_attempts`] says.
pub(crate) async fn on_again(
    device: &dyn FenceDevice,
    policy: &Policy,
    deadline: Deadline,
    watch: &dyn Watch,
) -> Result<Confirmation> {
    let mut on = Err(Error::unsupported("on was not tried"));
    for attempt in 1..=policy.on_attempts.max(1) {
        on = switch(device, PowerState::On, policy, deadline, watch).await;
        if on.is_ok() || attempt == policy.on_attempts || !deadline.sleep(policy.poll).await {
            break;
        }
    }
    on
}

pub(super) async fn switch(
    device: &dyn FenceDevice,
    wanted: PowerState,
    policy: &Policy,
    deadline: Deadline,
    watch: &dyn Watch,
) -> Result<Confirmation> {
    let opened = open(device, policy, deadline, watch).await?;
    watch.event(Event::Connected(&opened.seen));
    let mut run = Run {
        device,
        wanted,
        policy,
        deadline: deadline.capped(policy.power_wait.saturating_add(policy.power_timeout)),
        watch,
        before: opened.seen.observation,
        identity: opened.seen.identity,
        uptime: opened.seen.uptime,
        session: Some(opened.session),
        commands: 0,
        looks: 0,
        refusals: 0,
        failures: 0,
        agreeing: 0,
        last: None,
    };
    let outcome = run.drive().await;
    if let Some(session) = run.session.take() {
        close(session).await;
    }
    let power = outcome?;
    let Run {
        before,
        commands,
        looks,
        identity,
        ..
    } = run;
    Ok(Confirmation {
        before,
        commands,
        looks,
        power,
        identity,
    })
}

/// What a series of looks came to.
enum Seen {
    /// The wanted state, as often as asked for.
    Reached,
    /// The device forgot, or does not move: tell it again.
    SendAgain,
}

/// One switch on its way.
struct Run<'a> {
    device: &'a dyn FenceDevice,
    wanted: PowerState,
    policy: &'a Policy,
    deadline: Deadline,
    watch: &'a dyn Watch,
    before: Observation,
    identity: Option<Identity>,
    uptime: Option<Duration>,
    /// The open session, between the steps that may share one.
    session: Option<Box<dyn Session>>,
    commands: u32,
    looks: u32,
    refusals: u32,
    /// Failures in a row, for the backoff.
    failures: u32,
    /// How many looks in a row have shown the wanted state since the last command.
    agreeing: u32,
    /// What was last seen or met, for the error.
    last: Option<Result<Observation>>,
}

impl Run<'_> {
    async fn drive(&mut self) -> Result<Option<PowerReading>> {
        loop {
            self.send().await?;
            if !self.policy.power_wait.is_zero() && !self.deadline.sleep(self.policy.power_wait).await {
                return Err(self.not_confirmed());
            }
            match self.read_back().await? {
                Seen::SendAgain => {}
                Seen::Reached => match self.meter_below().await? {
                    Some(reading) => return Ok(reading),
                    None => log::debug!(
                        "{}: the meter still shows a load; sending again",
                        self.device.label()
                    ),
                },
            }
        }
    }

    /// Returns once the device has explicitly accepted the command.
    async fn send(&mut self) -> Result<()> {
        loop {
            let mut session = self.checked_session().await?;
            self.commands += 1;
            self.watch.event(Event::Sending(self.wanted, self.commands));
            let sent = self
                .deadline
                .run("sending the command", session.switch(self.wanted, self.deadline))
                .await;
            match sent {
                Ok(()) => {
                    self.failures = 0;
                    self.keep(session).await;
                    return Ok(());
                }
                Err(error) => {
                    close(session).await;
                    self.refusals += u32::from(matches!(error, Error::Refused { .. }));
                    if self.refusals >= REFUSALS {
                        return Err(error);
                    }
                    self.again_after(error).await?;
                }
            }
        }
    }

    /// The session at hand, or a new one whose device is who was expected.
    async fn checked_session(&mut self) -> Result<Box<dyn Session>> {
        loop {
            if let Some(session) = self.session.take() {
                return Ok(session);
            }
            match self.reopened().await {
                Ok(opened) => {
                    self.note_uptime(&opened.seen);
                    return Ok(opened.session);
                }
                Err(error) => self.again_after(error).await?,
            }
        }
    }

    /// Looks until the state has come as often as asked for, or the command has to be sent again.
    async fn read_back(&mut self) -> Result<Seen> {
        let sent = Instant::now();
        self.agreeing = 0;
        // The second look comes soon, the later ones up to `Policy::poll` apart.
        let shortest = self.device.shortest_poll();
        let mut pause = shortest;
        loop {
            match self.look_again().await {
                Ok((seen, restarted)) => {
                    self.failures = 0;
                    self.watch.event(Event::Looked(&seen.observation));
                    if restarted {
                        log::warn!(
                            "{}: the device restarted in between; sending again",
                            self.device.label()
                        );
                        return Ok(Seen::SendAgain);
                    }
                    self.agreeing = if seen.observation.is(self.wanted) {
                        self.agreeing + 1
                    } else {
                        0
                    };
                    self.last = Some(Ok(seen.observation));
                }
                Err(error) => {
                    self.agreeing = 0;
                    self.again_after(error).await?;
                }
            }
            if self.agreeing >= self.policy.confirm_reads.max(1) {
                return Ok(Seen::Reached);
            }
            if self.agreeing == 0 && sent.elapsed() >= SEND_AGAIN_AFTER {
                return Ok(Seen::SendAgain);
            }
            if !self.deadline.sleep(pause).await {
                return Err(self.not_confirmed());
            }
            pause = (pause * 2).min(self.policy.poll.max(shortest));
        }
    }

    /// One look, on the connection that the protocol demands; and whether the device restarted since the last.
    async fn look_again(&mut self) -> Result<(Inspection, bool)> {
        let Opened { session, seen } = self.looked_session().await?;
        self.keep(session).await;
        let restarted = self.note_uptime(&seen);
        Ok((seen, restarted))
    }

    /// The session at hand or a new one, with a look just taken on it.
    async fn looked_session(&mut self) -> Result<Opened> {
        self.looks += 1;
        let Some(mut session) = self.session.take() else {
            return self.reopened().await;
        };
        match look(session.as_mut(), self.policy, self.deadline).await {
            Ok(seen) => Ok(Opened { session, seen }),
            Err(error) => {
                close(session).await;
                Err(error)
            }
        }
    }

    /// A new session, to the device that the first one was to: an address may have moved meanwhile, and a name may have
    /// several. A device that does not say who it is at each look passes.
    async fn reopened(&mut self) -> Result<Opened> {
        let opened = open_once(self.device, self.policy, self.deadline).await?;
        let strange = match (&self.identity, &opened.seen.identity) {
            (Some(first), Some(now)) if first.contradicts(now) => Some((first.to_string(), now.to_string())),
            _ => None,
        };
        let Some((expected, found)) = strange else {
            return Ok(opened);
        };
        close(opened.session).await;
        Err(Error::WrongDevice {
            expected,
            found,
            source: None,
        })
    }

    /// Keeps a session for the next look where the protocol allows that, closes it elsewhere.
    async fn keep(&mut self, session: Box<dyn Session>) {
        match self.device.readback() {
            Readback::SameSession => self.session = Some(session),
            Readback::NewConnection => close(session).await,
        }
    }

    /// Remembers the device's uptime; true when it shrank.
    fn note_uptime(&mut self, seen: &Inspection) -> bool {
        let Some(now) = seen.uptime else { return false };
        let before = self.uptime.replace(now);
        before.is_some_and(|before| now.saturating_add(UPTIME_SLACK) < before)
    }

    /// Reads the meter until it is low enough. `Some(None)` when no meter is asked for; `None` when the load stays
    /// and the command should go out again.
    async fn meter_below(&mut self) -> Result<Option<Option<PowerReading>>> {
        let limit = match (self.wanted, self.policy.off_max_watts) {
            (PowerState::Off, Some(limit)) => limit,
            _ => return Ok(Some(None)),
        };
        let reached = Instant::now();
        loop {
            match self.metered_look().await {
                Ok(Some(reading)) if reading.at_most(limit) => return Ok(Some(Some(reading))),
                Ok(Some(reading)) => {
                    self.watch.event(Event::Metered(&reading));
                    let text = format!(
                        "the device says off, but its meter still reads {:.1} W (off_max_watts={limit}); \
                         is the relay stuck, or another outlet wired?",
                        reading.watts
                    );
                    self.last = Some(Ok(Observation::unknown(text)));
                }
                // The outlet is not off any more: whatever the meter says no longer counts.
                Ok(None) => return Ok(None),
                Err(error) => self.again_after(error).await?,
            }
            if !self
                .deadline
                .sleep(self.policy.poll.max(self.device.shortest_poll()))
                .await
            {
                return Err(self.not_confirmed());
            }
            if reached.elapsed() >= SEND_AGAIN_AFTER {
                return Ok(None);
            }
        }
    }

    /// The meter, read together with the outlet's state; `None` when the outlet is not in the wanted state.
    async fn metered_look(&mut self) -> Result<Option<PowerReading>> {
        let Opened { mut session, seen } = self.looked_session().await?;
        if self.note_uptime(&seen) || !seen.observation.is(self.wanted) {
            self.last = Some(Ok(seen.observation));
            self.keep(session).await;
            return Ok(None);
        }
        let reading = match seen.power {
            Some(reading) => Ok(reading),
            None => {
                self.deadline
                    .run("reading the meter", session.power_reading(self.deadline))
                    .await
            }
        };
        match reading {
            Ok(reading) => {
                self.keep(session).await;
                Ok(Some(reading))
            }
            Err(error) => {
                close(session).await;
                Err(error)
            }
        }
    }

    /// Waits before the next try of a step that failed.
    ///
    /// # Errors
    /// The error itself when trying again cannot help, or not confirmed at the deadline.
    async fn again_after(&mut self, error: Error) -> Result<()> {
        let refused = matches!(error, Error::Refused { .. });
        if !error.is_transient() && !refused {
            return Err(self.after_switch(error));
        }
        self.failures += 1;
        log::debug!("{}: {error}; trying again", self.device.label());
        self.watch.event(Event::Retrying(&error));
        // That the last try ran out of time says less than what was met before it.
        let cut_off = self.deadline.expired() && matches!(error, Error::Timeout { .. });
        if !cut_off || self.last.is_none() {
            self.last = Some(Err(error));
        }
        if self.deadline.sleep(backoff(self.failures)).await {
            Ok(())
        } else {
            Err(self.not_confirmed())
        }
    }

    /// An error that ends the run once a command has been sent: the outlet may have been switched, so that must not
    /// read as if nothing had happened.
    fn after_switch(&self, error: Error) -> Error {
        if self.commands == 0 {
            return error;
        }
        let detail = match &error {
            Error::WrongDevice { expected, found, .. } => format!(
                "after the command {found} answers instead of {expected}; the outlet may have been switched"
            ),
            other => format!("after the command: {other}"),
        };
        Error::NotConfirmed {
            wanted: self.wanted.to_string(),
            detail,
            source: Some(Box::new(error)),
        }
    }

    /// The state had come, and the time was over before it was seen often enough.
    fn too_few_looks(&self) -> String {
        let asked = self.policy.confirm_reads.max(1);
        let lower = if asked > 1 { ", or lower confirm_reads" } else { "" };
        format!(
            "seen {} {} of confirm_reads={asked} times in a row when the time was over; raise power_timeout{lower}",
            self.wanted, self.agreeing
        )
    }

    fn not_confirmed(&mut self) -> Error {
        let sent = if self.commands == 1 {
            "once".to_owned()
        } else {
            format!("{} times", self.commands)
        };
        let (detail, source): (String, crate::error::Source) = match self.last.take() {
            Some(Ok(Observation::Unknown(reason))) => (reason, None),
            Some(Ok(seen)) if seen.is(self.wanted) => (self.too_few_looks(), None),
            Some(Ok(seen)) => (
                format!("the device still says {seen} (command sent {sent})"),
                None,
            ),
            Some(Err(error)) => (format!("{error} (command sent {sent})"), Some(Box::new(error))),
            None => (
                format!("the time was over before the outlet could be looked at (command sent {sent})"),
                None,
            ),
        };
        Error::NotConfirmed {
            wanted: self.wanted.to_string(),
            detail,
            source,
        }
    }
}
