//! What `fence_check` and the commands share: verdicts in the log, and the report of a quick look.

use std::fmt::Write;

use fencekit::verify::{Evidence, Outcome, Plan, Probe, Report};
use fencekit::{Level, Observation};

use crate::agent::logging::clean;

/// Writes a verdict and everything that led to it into the system's log.
pub(crate) fn log_report(report: &Report) {
    log::info!("verdict on {}", report.line());
    for evidence in &report.evidence {
        log::info!(
            "{}: {evidence} (at {:.1} s)",
            report.node,
            seconds(evidence.at_ms)
        );
    }
}

pub(crate) fn seconds(milliseconds: u64) -> f64 {
    f64::from(u32::try_from(milliseconds).unwrap_or(u32::MAX)) / 1000.0
}

/// Whether a node answers on one of its networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Reachable,
    Unreachable,
    Unknown(String),
}

/// What a quick look says of a network: reachable as soon as anything answered, unreachable only when every probe was
/// silent.
pub(crate) fn reach(report: &Report, network: &str) -> Reach {
    let probes: Vec<&Evidence> = report
        .evidence
        .iter()
        .filter(|one| one.network.as_deref() == Some(network) && one.probe != Probe::Witness)
        .collect();
    if probes.iter().any(|one| one.outcome == Outcome::Answered) {
        return Reach::Reachable;
    }
    match probes.iter().find(|one| one.outcome == Outcome::Unknown) {
        Some(unknown) => Reach::Unknown(unknown.detail.clone()),
        None if probes.is_empty() => Reach::Unknown("it was not probed".to_owned()),
        None => Reach::Unreachable,
    }
}

/// What a quick look says of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// A device says on, or the node answers.
    On,
    /// Its devices say off together, and nothing answers.
    Off,
    Unknown,
}

pub(crate) fn state(plan: &Plan, report: &Report) -> State {
    let answered = |one: &Evidence| one.outcome == Outcome::Answered && one.probe != Probe::Witness;
    if report.evidence.iter().any(answered) {
        return State::On;
    }
    match plan.power(&report.evidence) {
        Observation::On => State::On,
        Observation::Off => State::Off,
        Observation::Unknown(_) => State::Unknown,
    }
}

/// The report as `fence_check` has always printed it, without the last line.
pub(crate) fn status_text(plan: &Plan, report: &Report) -> String {
    let mut text = format!("fence_check status for {}:\n", clean(&plan.node));
    for power in report.evidence.iter().filter(|one| one.probe == Probe::Power) {
        let _ = write!(
            text,
            "  STONITH device ({}{}): power={}",
            clean(&power.subject),
            level_of(plan, &power.subject).suffix(),
            power.outcome
        );
        if power.outcome == Outcome::Unknown {
            let _ = write!(text, " ({})", clean(&power.detail));
        }
        text.push('\n');
    }
    for network in &plan.networks {
        let reach = match reach(report, &network.name) {
            Reach::Reachable => "reachable".to_owned(),
            Reach::Unreachable => "unreachable".to_owned(),
            Reach::Unknown(why) => format!("unknown ({})", clean(&why)),
        };
        let _ = writeln!(
            text,
            "  {:<12} {}:  {reach}",
            capitalised(&network.name),
            network.address
        );
    }
    text.pop();
    text
}

fn level_of(plan: &Plan, label: &str) -> Level {
    let feed = plan.devices.iter().find(|feed| feed.label == label);
    feed.map_or(Level::First, |feed| feed.standing.level)
}

fn capitalised(name: &str) -> String {
    let name = clean(name);
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use fencekit::verify::{Feed, Network, Rule, Timing, Verdict};

    use super::*;

    fn evidence(probe: Probe, subject: &str, network: Option<&str>, outcome: Outcome) -> Evidence {
        Evidence {
            probe,
            subject: subject.to_owned(),
            network: network.map(str::to_owned),
            outcome,
            detail: "why".to_owned(),
            at_ms: 0,
            elapsed_ms: 0,
        }
    }

    fn plan() -> Plan {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        Plan {
            node: "storage-b".into(),
            devices: vec![Feed {
                label: "kasa @ 10.20.20.202".into(),
                address: None,
                off_max_watts: None,
                baseline_watts: None,
                standing: Default::default(),
            }],
            networks: vec![
                Network::new("management", address("10.20.20.2")),
                Network::new("storage", address("10.10.10.2")),
                Network::new("client", address("10.30.30.2")),
            ],
            require_witness: false,
            timing: Timing::default(),
        }
    }

    fn report(power: Outcome, networks: [Outcome; 3]) -> Report {
        let mut seen = vec![evidence(Probe::Power, "kasa @ 10.20.20.202", None, power)];
        for (network, outcome) in plan().networks.iter().zip(networks) {
            let subject = network.address.to_string();
            seen.push(evidence(Probe::Icmp, &subject, Some(&network.name), outcome));
            seen.push(evidence(
                Probe::Witness,
                "w",
                Some(&network.name),
                Outcome::Answered,
            ));
        }
        Report {
            node: "storage-b".into(),
            verdict: Verdict::StillAlive,
            elapsed_ms: 10,
            rule: Rule::Answered,
            reasons: Vec::new(),
            evidence: seen,
        }
    }

    #[test]
    fn the_report_is_the_original_one() {
        use Outcome::{Answered, On};
        let expected = "\
fence_check status for storage-b:
  STONITH device (kasa @ 10.20.20.202): power=on
  Management   10.20.20.2:  reachable
  Storage      10.10.10.2:  reachable
  Client       10.30.30.2:  reachable";
        assert_eq!(status_text(&plan(), &report(On, [Answered; 3])), expected);
    }

    #[test]
    fn what_is_not_known_says_why() {
        use Outcome::{Silent, Unknown};
        let text = status_text(&plan(), &report(Unknown, [Silent, Unknown, Silent]));
        assert!(text.contains("power=unknown (why)"), "{text}");
        assert!(text.contains("Storage      10.10.10.2:  unknown (why)"), "{text}");
        assert!(text.contains("Client       10.30.30.2:  unreachable"), "{text}");
    }

    #[test]
    fn off_needs_every_device_off_and_no_answer() {
        use Outcome::{Answered, Off, On, Silent, Unknown};
        assert_eq!(state(&plan(), &report(Off, [Silent; 3])), State::Off);
        assert_eq!(
            state(&plan(), &report(Off, [Silent, Unknown, Silent])),
            State::Off
        );
        assert_eq!(
            state(&plan(), &report(Off, [Silent, Silent, Answered])),
            State::On
        );
        assert_eq!(state(&plan(), &report(On, [Silent; 3])), State::On);
        assert_eq!(state(&plan(), &report(Unknown, [Silent; 3])), State::Unknown);
        assert_eq!(
            state(&plan(), &report(Unknown, [Answered, Silent, Silent])),
            State::On
        );
    }
}
