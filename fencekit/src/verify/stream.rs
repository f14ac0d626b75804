//! Probes of one target, and what they have gathered.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::plan::Plan;
use super::rules::Rules;
use super::tally::{Answers, At, Looks, Ways};
use crate::power::Observation;

/// Longest pause between two looks at a device; short windows have shorter ones, but plugs are slow.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest pause between two checks of a path or a neighbour; short windows have shorter ones.
pub(super) const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Longest pause between two echo requests; short windows have shorter ones.
pub(super) const PING_EVERY: Duration = Duration::from_millis(500);
/// Pause between two TCP connections to a port.
const CONNECT_EVERY: Duration = Duration::from_secs(2);
/// How long a last look that failed is tried again.
const LAST_LOOK_AGAIN: Duration = Duration::from_millis(1500);

/// Whom a probe asks, by index into the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Device(usize),
    DevicePath(IpAddr),
    NodePath(IpAddr),
    WitnessPath(IpAddr),
    Icmp(IpAddr),
    Tcp(SocketAddr),
    Neighbour(IpAddr, Option<Duration>),
    Witness(IpAddr),
}

/// A probe on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    pub(super) id: u64,
    pub(super) started: At,
    pub(super) until: At,
    /// Sent after the window: its answer counts, its silence does not.
    pub(super) extra: bool,
}

/// What a stream has gathered.
#[derive(Clone, Debug)]
pub(crate) enum Tally {
    Looks(Looks),
    Ways(Ways),
    Answers(Answers),
}

impl Tally {
    /// Whether the way is known.
    pub(super) fn is_known(&self) -> bool {
        matches!(self, Self::Ways(ways) if ways.first.is_some())
    }
}

/// Probes of one target, one after the other or overlapping.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) target: Target,
    pub(crate) tally: Tally,
    /// Probes that never came back.
    pub(crate) lost: u32,
    pub(crate) sent: u32,
    pub(super) every: Duration,
    pub(super) next: Option<At>,
    pub(super) first_sent: Option<At>,
    pub(super) running: Vec<Running>,
}

impl Stream {
    fn new(target: Target, every: Duration, tally: Tally) -> Self {
        Self {
            target,
            tally,
            lost: 0,
            sent: 0,
            every,
            next: None,
            first_sent: None,
            running: Vec::new(),
        }
    }

    /// Whether a probe is sent although the one before is not back yet.
    pub(super) fn overlaps(&self) -> bool {
        matches!(self.target, Target::Icmp(_) | Target::Tcp(_) | Target::Witness(_))
    }

    /// Asked until it is known, from the beginning on.
    pub(super) fn is_single(&self) -> bool {
        matches!(self.target, Target::DevicePath(_) | Target::WitnessPath(_))
    }

    pub(super) fn is_alive(&self) -> bool {
        match (&self.tally, self.target) {
            (Tally::Looks(looks), _) => looks.on.is_some(),
            (Tally::Answers(_), Target::Witness(_)) | (Tally::Ways(_), _) => false,
            (Tally::Answers(answers), _) => answers.first.is_some(),
        }
    }

    /// Whether everything that the verdict needs of it has come in, once the window has ended.
    pub(super) fn is_finished(&self, end: At, now: At, rules: Rules) -> bool {
        match &self.tally {
            _ if self.is_single() || self.next.is_none() => true,
            Tally::Looks(_) if !rules.look_after_window => true,
            Tally::Looks(looks) => looks.newest().is_some_and(|look| {
                look.started >= end
                    && (!matches!(look.what.observation, Observation::Unknown(_))
                        || now >= end + LAST_LOOK_AGAIN)
            }),
            Tally::Ways(_) if !rules.path_throughout => true,
            Tally::Ways(ways) => ways.newest.is_some_and(|started| started >= end),
            Tally::Answers(_) if self.overlaps() => self.running.iter().all(|running| running.extra),
            Tally::Answers(answers) => answers.newest.as_ref().is_some_and(|last| last.started >= end),
        }
    }
}

/// The streams of a plan, each target once.
pub(super) fn streams_of(plan: &Plan, rules: Rules) -> Vec<Stream> {
    let looks = || Tally::Looks(Looks::default());
    let ways = || Tally::Ways(Ways::default());
    let answers = || Tally::Answers(Answers::default());
    let mut streams = Vec::new();
    for (index, feed) in plan.devices.iter().enumerate() {
        streams.push(Stream::new(Target::Device(index), LOOK_EVERY, looks()));
        if let Some(address) = feed.address {
            streams.push(Stream::new(Target::DevicePath(address), CHECK_EVERY, ways()));
        }
    }
    for network in &plan.networks {
        let address = network.address;
        streams.push(Stream::new(Target::NodePath(address), CHECK_EVERY, ways()));
        streams.push(Stream::new(Target::Icmp(address), PING_EVERY, answers()));
        for port in &network.tcp_ports {
            let target = Target::Tcp(SocketAddr::new(address, *port));
            streams.push(Stream::new(target, CONNECT_EVERY, answers()));
        }
        if rules.neighbours_are_asked {
            streams.push(Stream::new(
                Target::Neighbour(address, None),
                CHECK_EVERY,
                answers(),
            ));
        }
        for witness in &network.witnesses {
            streams.push(Stream::new(Target::WitnessPath(*witness), CHECK_EVERY, ways()));
            streams.push(Stream::new(Target::Witness(*witness), PING_EVERY, answers()));
        }
    }
    // The same address may be named more than once: it is asked once, and the answer serves all.
    let mut unique: Vec<Stream> = Vec::with_capacity(streams.len());
    for stream in streams {
        if !unique.iter().any(|known| known.target == stream.target) {
            unique.push(stream);
        }
    }
    unique
}
