//! One RMCP+ session as a machine without sockets and clock: packets and the time come in as arguments, so the same
//! code runs over one socket, over a few for thousands of BMCs, and in tests on a virtual clock.
//!
//! Whoever drives it sends what [`poll_transmit`](Machine::poll_transmit) gives, hands in what arrives with
//! [`handle`](Machine::handle), calls [`handle_timeout`](Machine::handle_timeout) at
//! [`poll_timeout`](Machine::poll_timeout), and after each of these takes [`poll_event`](Machine::poll_event), once
//! everything is sent.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bytes::Reader;
use super::chassis;
use super::config::{Config, Privilege};
use super::handshake::{Handshake, Outcome};
use super::lan::{Answer, Request, Verdict};
use super::live::Live;
use super::patience::Patience;
use super::rmcp::{self, Dropped, Packet};
use super::suite::Suite;
use crate::error::{Error, Result};

/// An unanswered message of the handshake counts as lost after this long at first.
const SETUP_WAIT: Duration = Duration::from_millis(200);
/// An unanswered command counts as lost after this long at first.
const COMMAND_WAIT: Duration = Duration::from_millis(150);
/// How long the goodbye may take.
const CLOSE_LIMIT: Duration = Duration::from_millis(300);
/// So many packets in a row that the host refuses mean that nobody listens there. One is only a hint.
const REFUSALS: u32 = 3;
/// So many handshakes may end with the BMC refusing our proof. Few: some BMCs lock users out.
const DOUBTS: u32 = 2;

/// The BMC said nothing at all to a handshake with suite 17. It may be away, or drop what it does not know.
#[derive(Debug, thiserror::Error)]
#[error("the BMC says nothing")]
pub(super) struct Unheard;

/// The randomness of one handshake.
#[derive(Clone)]
pub struct Seed {
    pub(super) console: u32,
    pub(super) random: [u8; 16],
    pub(super) iv_key: [u8; 16],
    pub(super) tag: u8,
}

impl Seed {
    /// How many random bytes make a seed.
    pub const LEN: usize = 37;

    /// From random bytes.
    #[must_use]
    pub fn new(bytes: &[u8; Self::LEN]) -> Self {
        let mut reader = Reader::new(bytes);
        Self {
            // Session id 0 stands for "outside a session".
            console: reader.le32().unwrap_or_default().max(1),
            random: reader.array().unwrap_or_default(),
            iv_key: reader.array().unwrap_or_default(),
            tag: reader.u8().unwrap_or_default(),
        }
    }

    /// From the operating system.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when it gives no random numbers.
    pub fn from_os() -> Result<Self> {
        let mut bytes = [0; Self::LEN];
        getrandom::fill(&mut bytes).map_err(|cause| {
            Error::unsupported("the operating system gives no random numbers").caused_by(cause.to_string())
        })?;
        Ok(Self::new(&bytes))
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(...)")
    }
}

/// What the machine has to say.
#[derive(Debug)]
pub enum Event {
    /// The handshake has to begin again: call [`start`](Machine::start) with a new seed, and send from a new source
    /// port from then on.
    StartAgain,
    /// The session stands; both sides have proven that they know the password.
    Ready,
    /// The answer to the request: authentic, and sent after the request was.
    Answered(Answer),
    /// The handshake or the request failed. [`close`](Machine::close) is still to be called.
    Failed(Error),
    /// The session is over.
    Closed,
}

enum Step {
    /// No handshake is under way.
    Idle,
    Handshake(Box<Handshake>),
    Live(Box<Live>),
    Over,
}

/// One session with one BMC.
pub struct Machine {
    config: Arc<Config>,
    suite: Suite,
    fallback: Option<Suite>,
    step: Step,
    guid: Option<[u8; 16]>,
    outbox: Vec<u8>,
    unsent: bool,
    event: Option<Event>,
    timer: Option<Instant>,
    patience: Patience,
    started: bool,
    heard: bool,
    refusals: u32,
    doubts: u32,
    /// Why the last packet that did not count was dropped.
    dropped: Option<Dropped>,
    /// What a busy BMC said last.
    busy: Option<String>,
}

impl Machine {
    /// A machine at rest.
    #[must_use]
    pub fn new(config: Arc<Config>, now: Instant) -> Self {
        Self {
            suite: config.suite,
            fallback: config.fallback,
            config,
            step: Step::Idle,
            guid: None,
            outbox: Vec::new(),
            unsent: false,
            event: None,
            timer: None,
            patience: Patience::new(now),
            started: false,
            heard: false,
            refusals: 0,
            doubts: 0,
            dropped: None,
            busy: None,
        }
    }

    /// Begins a handshake, for the first time or after [`Event::StartAgain`]. [`Event::Ready`] or [`Event::Failed`]
    /// follows.
    ///
    /// The BMC may be silent for as long as `login_timeout` says, counted over all attempts, and at most until
    /// `deadline`. A BMC that explicitly has no room for a session is asked again for longer.
    pub fn start(&mut self, seed: Seed, deadline: Instant, now: Instant) {
        if !self.started {
            self.started = true;
            self.patience.begin(SETUP_WAIT, self.config.login, deadline, now);
        }
        self.step = Step::Handshake(Box::new(Handshake::new(seed, self.suite)));
        self.transmit(now);
    }

    /// Sends a request, after [`Event::Ready`] and the end of the request before. [`Event::Answered`] or
    /// [`Event::Failed`] follows.
    ///
    /// The BMC may be silent for as long as `shell_timeout` says, and at most until `deadline`. One that explicitly says
    /// "busy" is asked again for longer.
    pub fn request(&mut self, request: Request, deadline: Instant, now: Instant) {
        let Step::Live(live) = &mut self.step else {
            self.event = Some(Event::Failed(Error::protocol(format!(
                "{}: no session stands",
                request.doing
            ))));
            return;
        };
        live.ask(request, false);
        self.patience
            .begin(COMMAND_WAIT, self.config.exchange, deadline, now);
        // What came to nothing before this request explains nothing about it.
        (self.busy, self.dropped) = (None, None);
        self.transmit(now);
    }

    /// Says goodbye, whatever is under way; [`Event::Closed`] follows, at once or after a few tries.
    pub fn close(&mut self, now: Instant) {
        self.event = None;
        if let Step::Live(live) = &mut self.step {
            let goodbye = chassis::close_session(live.bmc);
            live.ask(goodbye, true);
            self.patience
                .begin(COMMAND_WAIT, CLOSE_LIMIT, now + CLOSE_LIMIT, now);
            self.transmit(now);
        } else {
            self.abandon();
            self.end(Event::Closed);
        }
    }

    /// The BMC's GUID as it stood in RAKP 2, authenticated; `None` before the session stands.
    #[must_use]
    pub fn guid(&self) -> Option<[u8; 16]> {
        self.guid
    }

    /// The suite in use, or under way.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The level that the session was opened for. It starts at the user level all the same.
    #[must_use]
    pub fn privilege(&self) -> Privilege {
        self.config.privilege
    }

    /// Whether the level must not be set (quirk `i82571spt`).
    pub(super) fn keeps_privilege(&self) -> bool {
        self.config.quirks.i82571spt
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timer
    }

    /// The packet to send, if there is one. It is given out once.
    pub fn poll_transmit(&mut self) -> Option<&[u8]> {
        std::mem::take(&mut self.unsent).then_some(self.outbox.as_slice())
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.event.take()
    }

    /// Takes a packet that arrived. Whatever does not belong to what is under way, or is not authentic, is dropped
    /// without effect.
    pub fn handle(&mut self, bytes: &[u8], now: Instant) {
        let dropped = match rmcp::parse(bytes) {
            Ok(packet) => self.handle_packet(&packet, now),
            Err(why) => Err(why),
        };
        if let Err(why) = dropped {
            self.dropped = Some(why);
        }
    }

    /// To be called when the time of [`poll_timeout`](Self::poll_timeout) has come; earlier calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.timer.is_none_or(|timer| now < timer) {
            return;
        }
        self.timer = None;
        if self.patience.is_over(now) {
            self.time_is_over(now);
            return;
        }
        match &mut self.step {
            Step::Handshake(_) => {
                self.patience.lost();
                self.start_again();
            }
            Step::Idle => self.start_again(),
            Step::Live(_) => self.repeat(now),
            Step::Over => {}
        }
    }

    /// To be called when the BMC's host says that nobody listens on the port.
    pub fn handle_refused(&mut self) {
        self.refusals += 1;
        if self.refusals >= REFUSALS {
            self.fail(Error::unreachable(
                "nobody listens on the port; check ip and ipport, and that IPMI over LAN is enabled",
            ));
        }
    }

    fn handle_packet(&mut self, packet: &Packet<'_>, now: Instant) -> Result<(), Dropped> {
        match &mut self.step {
            Step::Handshake(handshake) => {
                let outcome = handshake.handle(packet, &self.config);
                self.handshake_outcome(outcome, now)
            }
            Step::Live(live) => {
                let response = live.handle(packet, self.config.quirks)?;
                self.answered(response.answer, now);
                Ok(())
            }
            Step::Idle | Step::Over => Err("nothing was asked"),
        }
    }

    fn handshake_outcome(&mut self, outcome: Outcome, now: Instant) -> Result<(), Dropped> {
        if let Outcome::Dropped(why) = outcome {
            return Err(why);
        }
        self.heard = true;
        self.refusals = 0;
        self.patience.heard(now);
        match outcome {
            Outcome::Dropped(_) => {}
            Outcome::Proceed => self.transmit(now),
            Outcome::Done(live) => {
                self.guid = Some(live.guid);
                self.busy = None;
                self.timer = None;
                self.step = Step::Live(live);
                self.event = Some(Event::Ready);
            }
            Outcome::SuiteRefused(status) => match self.fallback.take() {
                Some(suite) => {
                    log::debug!("the BMC refuses {} (status {status:02X}); trying {suite}", self.suite);
                    self.suite = suite;
                    self.start_again();
                }
                None => self.fail(Error::refused(format!(
                    "the BMC does not have {} (status {status:02X}); set cipher=auto, or cipher to a suite that it has",
                    self.suite
                ))),
            },
            Outcome::NoRoom => {
                self.busy = Some("the BMC says that it has no room for a session (status 01)".to_owned());
                self.abandon();
                self.step = Step::Idle;
                self.timer = Some(self.patience.busy(now));
            }
            Outcome::Doubted(error) if self.doubts >= DOUBTS => self.fail(error),
            Outcome::Doubted(_) => {
                self.doubts += 1;
                self.rest(now);
            }
            Outcome::Forgotten => self.rest(now),
            Outcome::Failed(error) => self.fail(error),
        }
        Ok(())
    }

    /// As after a lost message: a new handshake, not at once.
    fn rest(&mut self, now: Instant) {
        self.abandon();
        self.step = Step::Idle;
        self.timer = Some(self.patience.sent(now));
        self.patience.lost();
    }

    fn answered(&mut self, answer: Answer, now: Instant) {
        self.refusals = 0;
        self.patience.heard(now);
        let Step::Live(live) = &mut self.step else { return };
        let Some(asking) = &mut live.asking else { return };
        if asking.closing {
            self.end(Event::Closed);
            return;
        }
        match answer.verdict() {
            Verdict::Later if asking.request.repeatable => {
                asking.resting = true;
                self.busy = Some(format!(
                    "the BMC says {} (completion code {:02X})",
                    super::lan::code_text(answer.code),
                    answer.code
                ));
                self.timer = Some(self.patience.busy(now));
            }
            Verdict::Duplicate => asking.duplicate = true,
            _ => {
                live.asking = None;
                self.timer = None;
                self.event = Some(Event::Answered(answer));
            }
        }
    }

    /// The request under way again: after a busy answer as a new one, after a lost answer as the same one.
    fn repeat(&mut self, now: Instant) {
        let Step::Live(live) = &mut self.step else { return };
        let Some(asking) = &mut live.asking else { return };
        if !asking.request.repeatable {
            self.timer = Some(self.patience.give_up());
            return;
        }
        let as_new = std::mem::take(&mut asking.resting) || std::mem::take(&mut asking.duplicate);
        if as_new {
            live.next_request();
            self.transmit(now);
        } else {
            self.patience.lost();
            self.transmit(now);
            self.timer = Some(self.patience.sent_again(now));
        }
    }

    fn transmit(&mut self, now: Instant) {
        let written = match &mut self.step {
            Step::Handshake(handshake) => {
                handshake.write(&self.config, &mut self.outbox);
                true
            }
            Step::Live(live) => live.write(self.config.quirks, &mut self.outbox),
            Step::Idle | Step::Over => false,
        };
        self.unsent = written;
        self.timer = Some(self.patience.sent(now));
    }

    fn start_again(&mut self) {
        self.abandon();
        self.step = Step::Idle;
        self.timer = None;
        self.event = Some(Event::StartAgain);
    }

    /// Leaves a handshake. A session that the BMC may hold for open already, since only its last answer is missing, is
    /// told goodbye once: a BMC has few of them and keeps each for a minute.
    fn abandon(&mut self) {
        if !matches!(self.step, Step::Handshake(_)) {
            return;
        }
        self.unsent = false;
        if let Step::Handshake(handshake) = std::mem::replace(&mut self.step, Step::Idle)
            && let Some(mut live) = handshake.into_live()
        {
            live.ask(chassis::close_session(live.bmc), true);
            self.unsent = live.write(self.config.quirks, &mut self.outbox);
        }
    }

    fn time_is_over(&mut self, now: Instant) {
        if let Step::Live(live) = &self.step
            && live.asking.as_ref().is_some_and(|asking| asking.closing)
        {
            self.end(Event::Closed);
            return;
        }
        let error = Error::Timeout {
            doing: self.doing(),
            waited: now.saturating_duration_since(self.patience.since),
            source: None,
        };
        let unheard = !self.heard && self.suite == Suite::S17;
        self.fail(if unheard { error.caused_by(Unheard) } else { error });
    }

    /// What was waited for, and whatever may explain why it did not come.
    fn doing(&self) -> String {
        let mut text = match &self.step {
            Step::Handshake(handshake) => handshake.doing().to_owned(),
            Step::Live(live) => live
                .asking
                .as_ref()
                .map_or_else(String::new, |asking| asking.request.doing.to_owned()),
            Step::Idle | Step::Over => "opening a session".to_owned(),
        };
        if let Some(busy) = &self.busy {
            text.push_str(": ");
            text.push_str(busy);
        } else if let Some(dropped) = self.dropped {
            text.push_str("; what came last was dropped, since ");
            text.push_str(dropped);
        } else if !self.heard {
            text.push_str("; is IPMI over LAN enabled?");
            if self.suite == Suite::S17 {
                text.push_str(" An older BMC may silently drop cipher suite 17: then set cipher=3");
            }
        }
        text
    }

    fn fail(&mut self, error: Error) {
        self.abandon();
        self.timer = None;
        match &mut self.step {
            Step::Live(live) => live.asking = None,
            other => *other = Step::Over,
        }
        self.event = Some(Event::Failed(error));
    }

    fn end(&mut self, event: Event) {
        self.step = Step::Over;
        self.timer = None;
        self.event = Some(event);
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match &self.step {
            Step::Idle => "idle",
            Step::Handshake(_) => "handshake",
            Step::Live(_) => "live",
            Step::Over => "over",
        };
        f.debug_struct("Machine")
            .field("config", &self.config)
            .field("suite", &self.suite)
            .field("step", &step)
            .finish_non_exhaustive()
    }
}
