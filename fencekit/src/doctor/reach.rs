//! Whether nodes and witnesses answer where the verification will listen for them.

use std::collections::BTreeSet;

use super::advice::{Advice, Topic};
use super::device::Answer;
use crate::cluster::{Cluster, Node};
use crate::level::Standing;
use crate::power::Observation;
use crate::verify::{self, Evidence, HostProber, Network, Outcome, Plan, Probe, Report};

/// Looks at the networks of each node, all nodes at once.
pub(super) async fn examine(
    cluster: &Cluster,
    nodes: &[&Node],
    answers: &[Answer<'_>],
    host: Option<&str>,
) -> Vec<Advice> {
    let prober = HostProber::new();
    let plans: Vec<(&Node, Plan)> = nodes
        .iter()
        .filter(|node| !node.addresses.is_empty())
        .map(|node| (*node, plan(cluster, node, host)))
        .collect();
    let surveys = plans.iter().map(|(_, plan)| verify::survey(plan, &[], &prober));
    let reports = futures_util::future::join_all(surveys).await;
    let mut advice = Vec::new();
    let mut witnesses = BTreeSet::new();
    for ((node, plan), report) in plans.iter().zip(reports) {
        let own = answers.iter().filter(|answer| answer.node.name == node.name);
        let power = Standing::combined(own.map(|answer| (answer.supply.standing(), answer.observation())));
        match report {
            Ok(report) => advice.extend(read(plan, &report, &power, &mut witnesses)),
            Err(error) => advice
                .push(Advice::unknown(Topic::Address, error.to_string(), "run this again").of(&node.name)),
        }
    }
    advice
}

/// A host reaches itself whatever becomes of the network, which tells nothing of the witnesses there.
fn plan(cluster: &Cluster, node: &Node, host: Option<&str>) -> Plan {
    let mut plan = cluster.plan(node, &[], host);
    let own = host.and_then(|host| cluster.observer(host));
    if own.is_some_and(|own| own.name == node.name) {
        for network in &mut plan.networks {
            network.witnesses.clear();
        }
    }
    plan
}

/// A report's evidence as advice. A witness that serves several nodes is told once.
fn read(
    plan: &Plan,
    report: &Report,
    power: &Observation,
    told: &mut BTreeSet<(String, String)>,
) -> Vec<Advice> {
    let mut advice = Vec::new();
    let mut answering = Vec::new();
    for network in &plan.networks {
        let here = |one: &&Evidence| one.network.as_deref() == Some(network.name.as_str());
        let of_network: Vec<&Evidence> = report.evidence.iter().filter(here).collect();
        match address(network, &of_network, power) {
            None => answering.push(network.name.as_str()),
            Some(found) => advice.push(found.of(&plan.node)),
        }
        for witness in of_network.iter().filter(|one| one.probe == Probe::Witness) {
            // A network is `client-1` for one node and `client` for another: the host is what matters.
            if told.insert((witness.subject.clone(), witness.outcome.to_string())) {
                advice.extend(about_witness(network, witness));
            }
        }
    }
    if !answering.is_empty() {
        advice.push(match power {
            Observation::Off => Advice::problem(
                Topic::Outlet,
                format!(
                    "answers on {} although its devices say off: they do not feed it, or they lie",
                    answering.join(", ")
                ),
                "do not rely on this fence: find the outlet that feeds it, and prove it with fencekit drill",
            ),
            Observation::On | Observation::Unknown(_) => {
                Advice::info(Topic::Address, format!("answers on {}", answering.join(", ")))
            }
        }
        .of(&plan.node));
    }
    advice
}

/// What is wrong with an address of the node; `None` when it answers.
fn address(network: &Network, evidence: &[&Evidence], power: &Observation) -> Option<Advice> {
    let place = format!("{} {}", network.name, network.address);
    let address = network.address.to_string();
    let own = || evidence.iter().filter(|one| one.probe != Probe::Witness);
    if own().any(|one| one.outcome == Outcome::Answered) {
        return None;
    }
    let broken = own().find(|one| one.probe == Probe::Path && one.subject == address);
    if let Some(broken) = broken {
        return Some(Advice::warning(
            Topic::Address,
            format!(
                "{place}: {}; a verification from this host would be inconclusive",
                broken.detail
            ),
            "give this host a working link and address on that network, if it is to verify",
        ));
    }
    if let Some(unknown) = own().find(|one| one.outcome == Outcome::Unknown) {
        return Some(Advice::unknown(
            Topic::Address,
            format!("{place} cannot be probed from here: {}", unknown.detail),
            "run as root: the agents do, and need no more than that",
        ));
    }
    Some(match power {
        Observation::On => Advice::warning(
            Topic::Address,
            format!(
                "does not answer on {place} although its power is on: if it runs, its silence there would prove \
                 nothing"
            ),
            "let it answer echo requests from its peers, or name a port of it under tcp_ports; correct the address",
        ),
        Observation::Off | Observation::Unknown(_) => {
            Advice::info(Topic::Address, format!("does not answer on {place}"))
        }
    })
}

fn about_witness(network: &Network, witness: &Evidence) -> Option<Advice> {
    let who = format!("the witness {} of {}", witness.subject, network.name);
    match witness.outcome {
        Outcome::Answered => None,
        Outcome::Silent => Some(Advice::warning(
            Topic::Witness,
            format!("{who} does not answer: without another one there, no verification can succeed"),
            "name a host that always answers there, under verify.witnesses",
        )),
        _ => Some(Advice::warning(
            Topic::Witness,
            format!("{who} cannot be asked from here: {}", witness.detail),
            "give this host a working link on that network, or correct the address",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Severity;
    use crate::verify::{Rule, Timing, Verdict};

    fn evidence(probe: Probe, subject: &str, outcome: Outcome) -> Evidence {
        Evidence {
            probe,
            subject: subject.into(),
            network: Some("storage".into()),
            outcome,
            detail: "why".into(),
            at_ms: 0,
            elapsed_ms: 0,
        }
    }

    fn found(power: &Observation, evidence: Vec<Evidence>) -> Vec<(Severity, Topic)> {
        let plan = Plan {
            node: "b".into(),
            devices: Vec::new(),
            networks: vec![Network::new("storage", "10.10.10.2".parse().unwrap())],
            require_witness: false,
            timing: Timing::default(),
        };
        let report = Report {
            node: "b".into(),
            verdict: Verdict::Inconclusive,
            elapsed_ms: 0,
            rule: Rule::NoDevice,
            reasons: Vec::new(),
            evidence,
        };
        let advice = read(&plan, &report, power, &mut BTreeSet::new());
        advice.iter().map(|one| (one.severity, one.topic)).collect()
    }

    #[test]
    fn each_outcome_is_told_for_what_it_is() {
        use Outcome::{Answered, Silent, Unknown};
        use Probe::{Icmp, Neighbour, Path, Witness};
        use Severity::{Info, Problem, Warning};
        let node = "10.10.10.2";
        for (power, seen, expected) in [
            (
                Observation::On,
                vec![(Icmp, node, Answered)],
                vec![(Info, Topic::Address)],
            ),
            (
                Observation::On,
                vec![(Icmp, node, Silent), (Neighbour, node, Answered)],
                vec![(Info, Topic::Address)],
            ),
            (
                Observation::On,
                vec![(Icmp, node, Silent)],
                vec![(Warning, Topic::Address)],
            ),
            (
                Observation::Off,
                vec![(Icmp, node, Silent)],
                vec![(Info, Topic::Address)],
            ),
            (
                Observation::Off,
                vec![(Icmp, node, Answered)],
                vec![(Problem, Topic::Outlet)],
            ),
            (
                Observation::On,
                vec![(Icmp, node, Unknown)],
                vec![(Severity::Unknown, Topic::Address)],
            ),
            (
                Observation::On,
                vec![(Path, node, Unknown), (Icmp, node, Silent)],
                vec![(Warning, Topic::Address)],
            ),
            (
                Observation::On,
                vec![(Icmp, node, Answered), (Witness, "10.10.10.254", Silent)],
                vec![(Warning, Topic::Witness), (Info, Topic::Address)],
            ),
            (
                Observation::On,
                vec![(Icmp, node, Answered), (Witness, "10.10.10.254", Answered)],
                vec![(Info, Topic::Address)],
            ),
        ] {
            let seen = seen
                .into_iter()
                .map(|(probe, subject, outcome)| evidence(probe, subject, outcome));
            let seen: Vec<_> = seen.collect();
            assert_eq!(found(&power, seen.clone()), expected, "{power:?} {seen:#?}");
        }
    }
}
