//! The verification as a state machine without sockets and without a clock: it says what to probe and when, is
//! told what came back, and ends with a report. Time is the time since it began.
//!
//! The observation goes through these steps:
//!
//! 1. *Settling*: devices and paths are asked, networks not yet.
//! 2. *Observing*: everything is probed again and again until the window ends.
//! 3. *Finishing*: each device, path and neighbour is asked once more, since a plug may have come back on and a
//!    link may have gone in the last moment; networks are probed on, since an answer still counts.
//! 4. At the first sign of life, *lingering*: a moment for the other answers, for the report's sake.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use super::evidence::Evidence;
use super::plan::{Feed, Plan, Timing};
use super::probe::Path;
use super::rules::Rules;
use super::stream::{CHECK_EVERY, LOOK_EVERY, PING_EVERY, Running, streams_of};
pub(crate) use super::stream::{Stream, Tally, Target};
use super::summary;
use super::tally::{At, Finding, Looks};
use super::verdict::{Decision, Verdict, Window, decide_by};
use crate::power::Observation;

/// Shortest pause between two looks at a device, in a short window.
const LOOK_EVERY_AT_LEAST: Duration = Duration::from_millis(250);
/// Longest time for one look.
const LOOK_LIMIT: Duration = Duration::from_secs(5);
/// The same for paths and neighbours.
const CHECK_EVERY_AT_LEAST: Duration = Duration::from_millis(250);
/// Longest time for a check of a path or a neighbour.
const CHECK_LIMIT: Duration = Duration::from_secs(1);
/// The same for echo requests.
const PING_EVERY_AT_LEAST: Duration = Duration::from_millis(100);
/// Longest wait for one answer. Only windows above this are affected.
const LISTEN: Duration = Duration::from_secs(30);
/// How long a witness may take for an answer.
const WITNESS_LIMIT: Duration = Duration::from_secs(2);
/// The last probe of a window has at least this long to be answered, or a quarter of a short window.
const TAIL: Duration = Duration::from_secs(1);
/// A probe that is not back this long after its limit is lost.
const LATE: Duration = Duration::from_millis(500);
/// Pause before a last look that failed is tried again.
const LAST_LOOK_PAUSE: Duration = Duration::from_millis(250);
/// Longest time for the last looks.
const FINISH_LIMIT: Duration = Duration::from_secs(8);
/// How long other answers are waited for after the first sign of life.
const LINGER: Duration = Duration::from_millis(500);
/// When this host itself stood still for longer than this, or than a quarter of the window, answers may have been
/// lost and a broken link overlooked.
const STALL: Duration = Duration::from_secs(1);

/// One probe to be made now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) target: Target,
    /// By when its finding must be handed back.
    pub(crate) until: At,
}

/// How a verification ended.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub(crate) decision: Decision,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) elapsed: At,
    /// When the window ended to which the last looks belong.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(crate) window_end: At,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Settling,
    Observing,
    Finishing,
    Lingering { until: At },
    Done,
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct Engine {
    plan: Plan,
    rules: Rules,
    streams: Vec<Stream>,
    state: State,
    /// When the window opened.
    open: At,
    /// When the window at hand ends.
    end: At,
    window: Window,
    later: VecDeque<(Window, Duration)>,
    next_id: u64,
    /// When this host should have been awake at the latest.
    awake_by: Option<At>,
    stalled: Option<(At, Duration)>,
    /// Everything is looked at, instead of stopping at the first sign of life.
    survey: bool,
    ending: Option<Ending>,
}

impl Engine {
    pub(crate) fn new(plan: Plan) -> Self {
        Self::with_rules(plan, Rules::STRICT)
    }

    /// Looks at everything, and ends early only when everything has answered.
    pub(crate) fn survey(plan: Plan) -> Self {
        Self {
            survey: true,
            ..Self::new(plan)
        }
    }

    pub(crate) fn with_rules(plan: Plan, rules: Rules) -> Self {
        let streams = streams_of(&plan, rules);
        let later = windows_of(&plan, rules);
        Self {
            open: plan.timing.settle,
            end: plan.timing.settle + plan.timing.wait,
            plan,
            rules,
            streams,
            state: State::Settling,
            window: Window::Full,
            later,
            next_id: 0,
            awake_by: None,
            stalled: None,
            survey: false,
            ending: None,
        }
    }

    pub(crate) fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// The probes to be made now.
    pub(crate) fn poll(&mut self, now: At) -> Vec<Request> {
        self.notice_stall(now);
        self.lose_late(now);
        self.advance(now);
        let mut requests = Vec::new();
        for index in 0..self.streams.len() {
            if let Some(request) = self.request(index, now) {
                requests.push(request);
            }
        }
        self.awake_by = self.poll_timeout().map(|wake| wake.max(now));
        requests
    }

    /// When [`poll`](Self::poll) must be called again at the latest; `None` at the end.
    pub(crate) fn poll_timeout(&self) -> Option<At> {
        let boundary = match self.state {
            State::Settling => self.open,
            State::Observing => self.end,
            State::Finishing => self.end + FINISH_LIMIT,
            State::Lingering { until } => until,
            State::Done => return None,
        };
        let due = self.streams.iter().filter(|stream| self.may_send(stream));
        let due = due.filter_map(|stream| stream.next);
        let late = self.streams.iter().flat_map(|stream| &stream.running);
        let late = late.map(|running| running.until + LATE);
        due.chain(late).chain([boundary]).min()
    }

    /// Takes what a probe brought back.
    pub(crate) fn handle(&mut self, now: At, id: u64, finding: Finding) {
        self.notice_stall(now);
        let counts_from = self.open;
        let settling = self.state == State::Settling;
        let finishing = self.state == State::Finishing;
        let look_every = (self.length() / 8).clamp(LOOK_EVERY_AT_LEAST, LOOK_EVERY);
        let check_every = self.check_every();
        for stream in &mut self.streams {
            let Some(position) = stream.running.iter().position(|running| running.id == id) else {
                continue;
            };
            let running = stream.running.swap_remove(position);
            let own_address = match stream.target {
                Target::NodePath(to) if self.rules.own_address_present => own_address(&self.plan, to),
                _ => None,
            };
            let counts = !running.extra && !settling && running.started >= counts_from;
            match (&mut stream.tally, finding) {
                (Tally::Looks(looks), Finding::Look(look)) => looks.note(running.started, now, look),
                (Tally::Ways(ways), Finding::Path(way)) => {
                    let way = way.and_then(|path| check_own_address(path, own_address));
                    ways.note(running.started, now, way, counts);
                }
                (Tally::Answers(answers), Finding::Heard(heard)) => {
                    answers.note(running.started, now, heard, counts);
                }
                // A finding of another kind shows nothing.
                _ => stream.lost += 1,
            }
            if stream.is_single() && stream.tally.is_known() {
                stream.next = None;
            } else if !stream.overlaps() {
                let pause = match stream.tally {
                    Tally::Looks(_) if !finishing => look_every,
                    _ if !finishing => check_every,
                    _ if running.started < self.end => Duration::ZERO,
                    _ => LAST_LOOK_PAUSE,
                };
                stream.next = Some(now + pause);
            }
            break;
        }
        self.advance(now);
    }

    fn notice_stall(&mut self, now: At) {
        let Some(awake_by) = self.awake_by else { return };
        let slept = now.saturating_sub(awake_by);
        if slept > STALL.min(self.length() / 4)
            && !matches!(self.state, State::Settling | State::Done)
            && self.stalled.is_none()
        {
            self.stalled = Some((now, slept));
        }
    }

    fn lose_late(&mut self, now: At) {
        for stream in &mut self.streams {
            let before = stream.running.len();
            let mut extra = 0;
            stream.running.retain(|running| {
                let late = now >= running.until + LATE;
                extra += usize::from(late && running.extra);
                !late
            });
            let lost = before - stream.running.len();
            stream.lost += u32::try_from(lost - extra).unwrap_or(u32::MAX);
            if lost > 0 && !stream.overlaps() {
                stream.next = Some(now);
            }
        }
    }

    fn advance(&mut self, now: At) {
        if self.state == State::Settling {
            self.start_paths_and_looks();
            if now >= self.open || (self.is_alive() && !self.survey) {
                self.open_window(now);
            }
        }
        if matches!(self.state, State::Observing | State::Finishing) && self.is_alive() {
            self.state = State::Lingering { until: now + LINGER };
        }
        self.start_neighbours(now);
        if self.state == State::Observing && now >= self.end {
            self.state = State::Finishing;
            for stream in &mut self.streams {
                if !stream.overlaps() && !stream.is_single() && stream.next.is_some() {
                    stream.next = Some(now);
                }
            }
        }
        match self.state {
            State::Finishing => self.finish(now),
            State::Lingering { until } if now >= until => self.judge(now, false),
            _ => {}
        }
    }

    fn start_paths_and_looks(&mut self) {
        for stream in &mut self.streams {
            let from_the_start = matches!(
                stream.target,
                Target::Device(_) | Target::DevicePath(_) | Target::WitnessPath(_) | Target::NodePath(_)
            );
            if from_the_start && stream.sent == 0 {
                stream.next = Some(Duration::ZERO);
            }
        }
    }

    fn open_window(&mut self, now: At) {
        self.state = State::Observing;
        self.open = now;
        self.next_window();
        for stream in &mut self.streams {
            match stream.target {
                Target::Icmp(_) | Target::Tcp(_) | Target::Witness(_) => stream.next = Some(now),
                Target::NodePath(_) if stream.running.is_empty() => stream.next = Some(now),
                _ => {}
            }
        }
    }

    fn next_window(&mut self) {
        let Some((window, length)) = self.later.pop_front() else {
            return;
        };
        self.window = window;
        self.end = self.open + length;
    }

    /// Neighbours are asked from the moment on when the network is known to be directly connected.
    fn start_neighbours(&mut self, now: At) {
        if !matches!(self.state, State::Observing | State::Lingering { .. })
            || !self.rules.neighbours_are_asked
        {
            return;
        }
        for index in 0..self.streams.len() {
            let Some(Target::Neighbour(address, _)) = self.streams.get(index).map(|stream| stream.target)
            else {
                continue;
            };
            let direct = self
                .path_to_node(address)
                .is_some_and(|path| path.is_direct() && path.resolves);
            if let Some(stream) = self.streams.get_mut(index)
                && direct
                && stream.next.is_none()
            {
                stream.next = Some(now);
            }
        }
    }

    /// How the node is reached at this address, once that is known.
    pub(crate) fn path_to_node(&self, address: IpAddr) -> Option<&Path> {
        self.streams.iter().find_map(|stream| match &stream.tally {
            Tally::Ways(ways) if stream.target == Target::NodePath(address) => ways.first.as_ref(),
            _ => None,
        })
    }

    fn is_alive(&self) -> bool {
        if self.survey {
            return self.has_heard_all();
        }
        self.streams.iter().any(|stream| {
            let counts = match stream.target {
                Target::Device(index) => self
                    .plan
                    .devices
                    .get(index)
                    .is_none_or(|feed| self.rules.on_is_life(feed.standing)),
                _ => !matches!(stream.tally, Tally::Answers(_)) || self.rules.answer_is_life,
            };
            stream.is_alive() && counts
        })
    }

    /// Whether every device has shown a state, and every network and witness an answer.
    fn has_heard_all(&self) -> bool {
        let others = self.streams.iter().all(|stream| match &stream.tally {
            Tally::Looks(looks) => !looks.heard().is_empty(),
            Tally::Answers(answers) => {
                !matches!(stream.target, Target::Witness(_)) || !answers.heard.is_empty()
            }
            Tally::Ways(_) => true,
        });
        let heard = |address: IpAddr| {
            self.streams.iter().any(|stream| match stream.target {
                Target::Icmp(to) | Target::Neighbour(to, _) => to == address && stream.is_alive(),
                Target::Tcp(to) => to.ip() == address && stream.is_alive(),
                _ => false,
            })
        };
        others && self.plan.networks.iter().all(|network| heard(network.address))
    }

    fn finish(&mut self, now: At) {
        let finished = self
            .streams
            .iter()
            .all(|stream| stream.is_finished(self.end, now, self.rules) || self.is_beside_the_point(stream));
        if finished || now >= self.end + FINISH_LIMIT {
            self.judge(now, true);
        }
    }

    /// Whether it is a device that never answered, and not needed, since the node's other level was seen off after the
    /// window: a BMC without power is not waited for, nor is a fallback that nobody had to ask.
    fn is_beside_the_point(&self, stream: &Stream) -> bool {
        let looked_at = |stream: &'_ Stream| match stream.target {
            Target::Device(index) => self.plan.devices.get(index).map(|feed| feed.standing.level),
            _ => None,
        };
        let is_silent = |stream: &Stream| match &stream.tally {
            Tally::Looks(looks) => looks.heard().is_empty(),
            Tally::Ways(_) | Tally::Answers(_) => false,
        };
        let is_off = |stream: &Stream| match &stream.tally {
            Tally::Looks(looks) => looks
                .newest()
                .is_some_and(|look| look.started >= self.end && look.what.observation == Observation::Off),
            Tally::Ways(_) | Tally::Answers(_) => false,
        };
        let Some(level) = looked_at(stream).filter(|_| is_silent(stream)) else {
            return false;
        };
        let other_level = || {
            let streams = self.streams.iter();
            streams.filter(|other| looked_at(other).is_some_and(|other| other != level))
        };
        other_level().next().is_some() && other_level().all(is_off)
    }

    fn judge(&mut self, now: At, complete: bool) {
        let seen = summary::Seen {
            streams: &self.streams,
            open: self.open,
            end: self.end,
            now,
            complete,
            stalled: self.stalled.filter(|_| self.rules.observer_awake),
        };
        let evidence = summary::evidence(&self.plan, self.rules, &seen);
        let decision = decide_by(&self.plan, &evidence, self.window, self.rules);
        let short = self.window == Window::Metered;
        let sure = decision.verdict == Verdict::ConfirmedOff && (!short || self.meters_fell());
        if short && !sure && decision.verdict != Verdict::StillAlive {
            self.state = State::Observing;
            self.next_window();
            return;
        }
        self.state = State::Done;
        self.ending = Some(Ending {
            decision,
            evidence,
            elapsed: now,
            window_end: self.end,
        });
    }

    /// Whether each meter of the first level read below its threshold twice in a row, the second time after the window.
    fn meters_fell(&self) -> bool {
        let fell =
            |looks: &Looks, feed: &Feed| feed.off_max_watts.is_some_and(|limit| looks.twice_below(limit));
        self.streams
            .iter()
            .all(|stream| match (&stream.tally, stream.target) {
                (Tally::Looks(looks), Target::Device(index)) => self
                    .plan
                    .devices
                    .get(index)
                    .is_some_and(|feed| !feed.is_first() || fell(looks, feed)),
                _ => true,
            })
    }

    /// Whether the state allows this stream another probe, whenever it is due.
    fn may_send(&self, stream: &Stream) -> bool {
        if stream.next.is_none() || (!stream.overlaps() && !stream.running.is_empty()) {
            return false;
        }
        match self.state {
            State::Done => false,
            State::Settling => true,
            State::Lingering { .. } => stream.sent == 0,
            State::Observing if stream.overlaps() => {
                stream.next.is_some_and(|next| next + self.tail() <= self.end)
            }
            State::Observing => stream.next.is_some_and(|next| next < self.end),
            State::Finishing if stream.overlaps() => true,
            // A longer window may follow, and its paths are watched throughout: while the last looks of the short one are
            // waited for, too.
            State::Finishing => {
                let goes_on = !self.later.is_empty() && matches!(stream.tally, Tally::Ways(_));
                goes_on || !stream.is_finished(self.end, self.end, self.rules)
            }
        }
    }

    fn tail(&self) -> Duration {
        TAIL.min(self.length() / 4)
    }

    /// How long the window at hand is.
    fn length(&self) -> Duration {
        self.end.saturating_sub(self.open)
    }

    fn check_every(&self) -> Duration {
        (self.length() / 4).clamp(CHECK_EVERY_AT_LEAST, CHECK_EVERY)
    }

    fn request(&mut self, index: usize, now: At) -> Option<Request> {
        let stream = self.streams.get(index)?;
        if !self.may_send(stream) || stream.next.is_none_or(|next| next > now) {
            return None;
        }
        let extra = self.state == State::Finishing && stream.overlaps();
        let finish = self.end + FINISH_LIMIT;
        let until = match stream.target {
            Target::Device(_) => (now + LOOK_LIMIT).min(finish),
            Target::NodePath(_) | Target::DevicePath(_) | Target::WitnessPath(_) | Target::Neighbour(..) => {
                now + CHECK_LIMIT
            }
            Target::Witness(_) if extra => now + WITNESS_LIMIT,
            Target::Witness(_) => (now + WITNESS_LIMIT).min(self.end),
            Target::Icmp(_) | Target::Tcp(_) if !self.rules.late_answers_count => {
                (now + PING_EVERY).min(self.end)
            }
            Target::Icmp(_) | Target::Tcp(_) if extra => finish,
            Target::Icmp(_) | Target::Tcp(_) => self.end.min(now + LISTEN),
        };
        let every = self.pause(stream);
        let id = self.next_id;
        self.next_id += 1;

        let stream = self.streams.get_mut(index)?;
        let target = match stream.target {
            Target::Neighbour(address, _) => {
                Target::Neighbour(address, stream.first_sent.map(|first| now.saturating_sub(first)))
            }
            target => target,
        };
        stream.first_sent.get_or_insert(now);
        stream.sent += 1;
        stream.next = Some(now + every);
        stream.running.push(Running {
            id,
            started: now,
            until,
            extra,
        });
        Some(Request { id, target, until })
    }

    fn pause(&self, stream: &Stream) -> Duration {
        if self.state == State::Finishing && matches!(stream.target, Target::Device(_)) {
            return LAST_LOOK_PAUSE;
        }
        match stream.target {
            Target::Icmp(_) | Target::Witness(_) => {
                (self.length() / 20).clamp(PING_EVERY_AT_LEAST, PING_EVERY)
            }
            _ => stream.every,
        }
    }
}

fn own_address(plan: &Plan, node: IpAddr) -> Option<IpAddr> {
    plan.networks
        .iter()
        .find(|network| network.address == node)?
        .own_address
}

fn check_own_address(path: Path, own: Option<IpAddr>) -> Result<Path, String> {
    match own {
        Some(own) if !path.addresses.contains(&own) => Err(format!(
            "this host's own address {own} is not on {}, by which the node would be reached",
            path.link
        )),
        _ => Ok(path),
    }
}

fn windows_of(plan: &Plan, rules: Rules) -> VecDeque<(Window, Duration)> {
    let Timing {
        wait, metered_wait, ..
    } = plan.timing;
    let full = wait.max(Timing::SHORTEST);
    let first = || plan.devices.iter().filter(|feed| feed.is_first());
    let metered = first().next().is_some()
        && first().all(|feed| {
            feed.off_max_watts.is_some_and(|limit| {
                !rules.baseline_required
                    || feed
                        .baseline_watts
                        .is_some_and(|before| before.is_finite() && before > limit)
            })
        });
    let mut windows = VecDeque::new();
    if let Some(short) = metered_wait
        .map(|short| short.max(Timing::SHORTEST))
        .filter(|short| *short < full)
        && metered
    {
        windows.push_back((Window::Metered, short));
    }
    let full = if rules.whole_window {
        full
    } else {
        Timing::SHORTEST
    };
    windows.push_back((Window::Full, full));
    windows
}
