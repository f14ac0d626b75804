//! From what the streams gathered to one piece of evidence each.

use std::net::IpAddr;
use std::time::Duration;

use super::engine::{Stream, Tally, Target};
use super::evidence::{Evidence, Outcome, Probe};
use super::plan::{Feed, Network, Plan};
use super::probe::{Heard, Path};
use super::rules::Rules;
use super::tally::{Answers, At, Looks, Sample, Ways, is_below, longest_gap};
use crate::power::Observation;

/// A witness must have answered at least once in each stretch of this part of the window.
const WITNESS_PART: u32 = 2;
const WITNESS_GAP_AT_LEAST: Duration = Duration::from_secs(1);

/// Everything that was gathered, and the window it belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) streams: &'a [Stream],
    pub(crate) open: At,
    pub(crate) end: At,
    pub(crate) now: At,
    /// Whether the window was observed to its end; without that nothing is silent.
    pub(crate) complete: bool,
    /// When this host was found to have stood still, and for how long.
    pub(crate) stalled: Option<(At, Duration)>,
}

impl Seen<'_> {
    fn stream(&self, target: Target) -> Option<&Stream> {
        self.streams.iter().find(|stream| match (stream.target, target) {
            (Target::Neighbour(one, _), Target::Neighbour(other, _)) => one == other,
            (one, other) => one == other,
        })
    }

    fn ways(&self, target: Target) -> Option<&Ways> {
        match &self.stream(target)?.tally {
            Tally::Ways(ways) => Some(ways),
            Tally::Looks(_) | Tally::Answers(_) => None,
        }
    }

    fn path(&self, target: Target) -> Option<&Path> {
        self.ways(target)?.first.as_ref()
    }

    fn looks(&self, device: usize) -> Option<&Looks> {
        match &self.stream(Target::Device(device))?.tally {
            Tally::Looks(looks) => Some(looks),
            Tally::Ways(_) | Tally::Answers(_) => None,
        }
    }
}

/// The evidence that the verdict is made from.
pub(crate) fn evidence(plan: &Plan, rules: Rules, seen: &Seen<'_>) -> Vec<Evidence> {
    let mut evidence = Vec::new();
    for (index, feed) in plan.devices.iter().enumerate() {
        let Some(looks) = seen.looks(index) else { continue };
        evidence.push(power(feed, looks, rules, seen));
        if let Some(limit) = feed.off_max_watts {
            evidence.push(meter(feed, limit, looks, seen));
        }
    }
    for network in &plan.networks {
        network_evidence(plan, network, rules, seen, &mut evidence);
    }
    evidence
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn piece(
    probe: Probe,
    subject: impl ToString,
    network: Option<&Network>,
    at: At,
    took: Duration,
) -> Evidence {
    Evidence {
        probe,
        subject: subject.to_string(),
        network: network.map(|network| network.name.clone()),
        outcome: Outcome::Unknown,
        detail: String::new(),
        at_ms: millis(at),
        elapsed_ms: millis(took),
    }
}

fn power(feed: &Feed, looks: &Looks, rules: Rules, seen: &Seen<'_>) -> Evidence {
    let decisive = if rules.look_after_window {
        looks.newest()
    } else {
        looks
            .all
            .iter()
            .find(|look| look.what.observation == Observation::Off)
    };
    if let Some(on) = &looks.on {
        return Evidence {
            outcome: Outcome::On,
            detail: format!("the device says on, {} after the beginning", seconds(on.at)),
            ..piece(Probe::Power, &feed.label, None, on.at, on.took())
        };
    }
    let Some(look) = decisive else {
        return Evidence {
            detail: "the device was not reached in time".to_owned(),
            ..piece(Probe::Power, &feed.label, None, seen.now, seen.now)
        };
    };
    let base = piece(Probe::Power, &feed.label, None, look.at, look.took());
    match &look.what.observation {
        Observation::Off if seen.complete && rules.look_after_window && look.started < seen.end => Evidence {
            detail: "off within the window, but not reached after it".to_owned(),
            ..base
        },
        Observation::Off => Evidence {
            outcome: Outcome::Off,
            detail: format!("the device says off, asked {} times", looks.all.len()),
            ..base
        },
        Observation::Unknown(reason) => Evidence {
            detail: reason.clone(),
            ..base
        },
        Observation::On => Evidence {
            outcome: Outcome::On,
            ..base
        },
    }
}

fn meter(feed: &Feed, limit: f64, looks: &Looks, seen: &Seen<'_>) -> Evidence {
    let Some(look) = looks.newest() else {
        return Evidence {
            detail: "the meter was not reached in time".to_owned(),
            ..piece(Probe::Meter, &feed.label, None, seen.now, seen.now)
        };
    };
    let base = piece(Probe::Meter, &feed.label, None, look.at, look.took());
    let before = feed
        .baseline_watts
        .map(|watts| format!(", {watts:.1} W before the off"))
        .unwrap_or_default();
    match &look.what.watts {
        _ if is_below(&look.what, limit) => Evidence {
            outcome: Outcome::Below,
            detail: format!("at most {limit} W{before}"),
            ..base
        },
        Some(Ok(watts)) if watts.is_finite() && *watts > limit => Evidence {
            outcome: Outcome::Above,
            detail: match look.what.observation {
                Observation::On => format!("the meter reads {watts:.1} W, and the outlet is on"),
                Observation::Off | Observation::Unknown(_) => format!(
                    "the meter reads {watts:.1} W, above {limit} W: is the relay stuck, or another outlet wired?"
                ),
            },
            ..base
        },
        Some(Ok(watts)) => Evidence {
            detail: format!("the meter reads {watts} W, which no working meter shows"),
            ..base
        },
        Some(Err(reason)) => Evidence {
            detail: reason.clone(),
            ..base
        },
        None => Evidence {
            detail: "off_max_watts is set, but the meter could not be asked".to_owned(),
            ..base
        },
    }
}

fn network_evidence(
    plan: &Plan,
    network: &Network,
    rules: Rules,
    seen: &Seen<'_>,
    evidence: &mut Vec<Evidence>,
) {
    let address = network.address;
    let broken = broken_path(address, rules, seen);
    if let Some(broken) = &broken {
        evidence.push(Evidence {
            detail: broken.what.clone(),
            ..piece(Probe::Path, address, Some(network), broken.at, broken.took())
        });
    }
    let deaf = broken
        .map(|broken| broken.what)
        .filter(|_| rules.silence_needs_path)
        .or_else(|| {
            seen.stalled.map(|(_, length)| {
                format!(
                    "this host itself stood still for {}; is it overloaded?",
                    seconds(length)
                )
            })
        });
    let witnesses = witnesses(plan, network, rules, seen);
    let witnessed = witnesses.iter().any(|one| one.outcome == Outcome::Answered);
    let hearing = Hearing {
        deaf: deaf.as_deref(),
        witnessed,
    };
    for stream in seen.streams {
        let (probe, subject) = match stream.target {
            Target::Icmp(to) if to == address => (Probe::Icmp, address.to_string()),
            Target::Tcp(to) if to.ip() == address && network.tcp_ports.contains(&to.port()) => {
                (Probe::Tcp, to.to_string())
            }
            Target::Neighbour(to, _) if to == address && stream.sent > 0 => {
                (Probe::Neighbour, address.to_string())
            }
            _ => continue,
        };
        let Tally::Answers(answers) = &stream.tally else {
            continue;
        };
        let base = piece(probe, subject, Some(network), seen.now, Duration::ZERO);
        evidence.push(answers_evidence(base, stream, answers, hearing, rules, seen));
    }
    evidence.extend(witnesses);
}

/// What speaks for and against having heard an answer on a network.
#[derive(Clone, Copy)]
struct Hearing<'a> {
    /// Why one could not have been heard.
    deaf: Option<&'a str>,
    /// Whether somebody else there was heard throughout.
    witnessed: bool,
}

fn broken_path(address: IpAddr, rules: Rules, seen: &Seen<'_>) -> Option<Sample<String>> {
    let stream = seen.stream(Target::NodePath(address))?;
    let Tally::Ways(ways) = &stream.tally else {
        return None;
    };
    let unseen = |what: &str| {
        Some(Sample {
            started: seen.now,
            at: seen.now,
            what: what.to_owned(),
        })
    };
    if !rules.path_throughout {
        return if ways.first.is_some() {
            None
        } else {
            ways.broken.clone()
        };
    }
    if ways.broken.is_some() {
        return ways.broken.clone();
    }
    if ways.first.is_none() || (seen.complete && stream.lost > 0) {
        return unseen("the route and the link could not be checked in time");
    }
    if seen.complete && ways.newest.is_none_or(|newest| newest < seen.end) {
        return unseen("the route and the link could not be checked after the window");
    }
    None
}

fn answers_evidence(
    base: Evidence,
    stream: &Stream,
    answers: &Answers,
    hearing: Hearing<'_>,
    rules: Rules,
    seen: &Seen<'_>,
) -> Evidence {
    let unknown = |detail: String| Evidence {
        outcome: Outcome::Unknown,
        detail,
        ..base.clone()
    };
    if let Some(first) = &answers.first {
        return Evidence {
            outcome: Outcome::Answered,
            detail: first.what.clone(),
            at_ms: millis(first.at),
            elapsed_ms: millis(first.took()),
            ..base
        };
    }
    if let Some(failure) = &answers.failure {
        return Evidence {
            detail: failure.what.clone(),
            at_ms: millis(failure.at),
            elapsed_ms: millis(failure.took()),
            ..base
        };
    }
    if !seen.complete {
        return unknown("no answer so far; the observation ended early, since the node is alive".to_owned());
    }
    if let Some(unreached) = &answers.unreached
        && !hearing.witnessed
        && rules.unreached_needs_witness
    {
        return Evidence {
            detail: format!(
                "{}; that is silence only where a witness behind the router answers (verify.witnesses)",
                unreached.what
            ),
            at_ms: millis(unreached.at),
            elapsed_ms: millis(unreached.took()),
            ..base
        };
    }
    if let Some(why) = hearing.deaf {
        return unknown(format!("an answer could not have been heard: {why}"));
    }
    if stream.lost > 0 && rules.lost_probe_is_unknown {
        return unknown(format!(
            "{} of {} probes never came back",
            stream.lost, stream.sent
        ));
    }
    let silent = match stream.target {
        Target::Neighbour(..) => match &answers.newest {
            Some(last) if last.started >= seen.end && last.what == Heard::Silent => true,
            Some(Sample {
                what: Heard::Undecided(why),
                ..
            }) => return unknown(why.clone()),
            _ => false,
        },
        _ => answers.silent > 0 || stream.lost > 0,
    };
    if !silent {
        return unknown("no probe was made within the window".to_owned());
    }
    let told = answers.unreached.as_ref();
    let told = told.map(|unreached| format!("; {}", unreached.what));
    Evidence {
        outcome: Outcome::Silent,
        detail: format!(
            "{} probes, none answered{}",
            stream.sent,
            told.unwrap_or_default()
        ),
        elapsed_ms: millis(seen.end.saturating_sub(seen.open)),
        ..base
    }
}

fn witnesses(plan: &Plan, network: &Network, rules: Rules, seen: &Seen<'_>) -> Vec<Evidence> {
    let mut evidence = Vec::new();
    let own = seen.path(Target::NodePath(network.address));
    for witness in &network.witnesses {
        let way = seen.path(Target::WitnessPath(*witness));
        let shares = matches!((own, way), (Some(own), Some(way)) if own.goes_like(way));
        let base = piece(Probe::Witness, witness, Some(network), seen.now, Duration::ZERO);
        if shares && is_of_another(plan, network, *witness, seen) {
            continue;
        }
        if !shares && rules.witness_shares_path {
            if network.shared_witnesses && own.is_some() && way.is_some() {
                continue;
            }
            let detail = match (own, way) {
                (Some(own), Some(way)) => {
                    format!("it is reached over {way}, but the node over {own}: it witnesses nothing here")
                }
                _ => "how it is reached could not be told".to_owned(),
            };
            evidence.push(Evidence { detail, ..base });
            continue;
        }
        let Some(Tally::Answers(answers)) =
            seen.stream(Target::Witness(*witness)).map(|stream| &stream.tally)
        else {
            continue;
        };
        evidence.push(attendance(
            base,
            &answers.heard,
            answers.failure.as_ref(),
            rules,
            seen,
        ));
    }
    // A device that answers on the node's own directly connected network shows that this network carries answers.
    for (index, feed) in plan.devices.iter().enumerate() {
        let way = feed
            .address
            .and_then(|address| seen.path(Target::DevicePath(address)));
        let shares = matches!((own, way), (Some(own), Some(way)) if own.is_direct() && own.goes_like(way));
        if !shares {
            continue;
        }
        let Some(looks) = seen.looks(index) else { continue };
        let base = piece(
            Probe::Witness,
            &feed.label,
            Some(network),
            seen.now,
            Duration::ZERO,
        );
        evidence.push(attendance(base, &looks.heard(), None, rules, seen));
    }
    evidence
}

/// Whether a witness that several networks share is behind the same router as this network, but on another one behind it: the
/// router's link to this one may be down all the same. Where the networks end nobody tells this host, so the witness is taken
/// to be on the network whose address of the node has most in common with its own.
fn is_of_another(plan: &Plan, network: &Network, witness: IpAddr, seen: &Seen<'_>) -> bool {
    let way = |address| seen.path(Target::NodePath(address));
    let Some(own) = way(network.address).filter(|own| network.shared_witnesses && !own.is_direct()) else {
        return false;
    };
    plan.networks
        .iter()
        .filter(|other| other.shared_witnesses && other.witnesses.contains(&witness))
        .filter(|other| way(other.address).is_some_and(|way| way.goes_like(own)))
        .any(|other| in_common(other.address, witness) > in_common(network.address, witness))
}

/// How many bits two addresses begin with alike, as far as networks usually tell them apart: the last 8 bits of IPv4 and the
/// last 64 of IPv6 are of hosts.
fn in_common(one: IpAddr, other: IpAddr) -> u32 {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros().min(24),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros().min(64),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => 0,
    }
}

/// Whether a witness answered throughout the window.
fn attendance(
    base: Evidence,
    heard: &[At],
    failure: Option<&Sample<String>>,
    rules: Rules,
    seen: &Seen<'_>,
) -> Evidence {
    let end = if seen.complete { seen.end } else { seen.now };
    let within = heard.iter().filter(|at| (seen.open..=end).contains(*at)).count();
    let gap = longest_gap(heard, seen.open, end);
    let allowed = (end.saturating_sub(seen.open) / WITNESS_PART).max(WITNESS_GAP_AT_LEAST);
    let base = Evidence {
        elapsed_ms: millis(end.saturating_sub(seen.open)),
        ..base
    };
    if within > 0 && (gap <= allowed || !rules.witness_throughout) {
        return Evidence {
            outcome: Outcome::Answered,
            detail: format!("answered {within} times, {} at most in between", seconds(gap)),
            ..base
        };
    }
    match (within, failure) {
        (_, Some(failure)) => Evidence {
            detail: failure.what.clone(),
            ..base
        },
        (0, None) => Evidence {
            outcome: Outcome::Silent,
            detail: "no answer".to_owned(),
            ..base
        },
        (_, None) => Evidence {
            outcome: Outcome::Silent,
            detail: format!("no answer for {}", seconds(gap)),
            ..base
        },
    }
}
