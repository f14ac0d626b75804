//! From what was seen to what an operator is told. Pure.

use super::pacemaker::View;
use super::{Block, Explanation, Step};
use crate::level::Level;
use crate::pacemaker::is_true;
use crate::pacemaker::monitor::{FenceEvent, NodeState};
use crate::power::Observation;
use crate::verify::{Evidence, Feed, Outcome, Plan, Probe, Report, Verdict};

/// So many fencings are told; the rest helps nobody at night.
const EVENTS: usize = 5;

pub(super) fn explanation(plan: &Plan, report: Report, view: &View) -> Explanation {
    let node = &plan.node;
    let mut blocks = cluster_blocks(node, view);
    let is_well = report.verdict == Verdict::StillAlive && is_member(node, view);
    if report.verdict != Verdict::ConfirmedOff && !is_well {
        blocks.extend(node_blocks(plan, &report));
    }
    Explanation {
        node: node.clone(),
        verdict: report.verdict,
        summary: summary(&report, view),
        blocks,
        pacemaker: pacemaker(node, view),
        steps: steps(&report, view),
        report,
    }
}

fn state<'v>(node: &str, view: &'v View) -> Option<&'v NodeState> {
    view.monitor
        .as_ref()?
        .nodes
        .iter()
        .find(|state| state.name == node)
}

/// Whether the cluster counts the node as a member that works.
fn is_member(node: &str, view: &View) -> bool {
    state(node, view).is_some_and(|state| state.online && !state.unclean && !state.pending)
}

fn summary(report: &Report, view: &View) -> String {
    let node = &report.node;
    match report.verdict {
        Verdict::ConfirmedOff => format!("{node} is proven dead: nothing of it stands against a failover."),
        Verdict::StillAlive if is_member(node, view) => {
            format!(
                "{node} is alive, and the cluster has it as a healthy member: there is no failover to wait for."
            )
        }
        Verdict::StillAlive => {
            format!("{node} is ALIVE. Its failover is blocked, and must be: it may still write to its data.")
        }
        Verdict::Inconclusive => format!(
            "{node} is NOT proven dead, and not seen alive either. Its failover is blocked: it may still write to its data."
        ),
    }
}

/// What keeps the cluster from fencing at all.
fn cluster_blocks(node: &str, view: &View) -> Vec<Block> {
    let mut blocks = Vec::new();
    let property = |name: &str| view.cib.as_ref()?.properties.get(name);
    for name in ["stonith-enabled", "fencing-enabled"] {
        if property(name).is_some_and(|value| !is_true(value)) {
            blocks.push(Block {
                what: format!("The cluster does not fence: {name} is off."),
                why: "Somebody switched it off, perhaps for maintenance.".to_owned(),
                look: format!("Ask who did, and why; then pcs property set {name}=true"),
            });
        }
    }
    let Some(monitor) = &view.monitor else {
        return blocks;
    };
    if monitor.has_quorum == Some(false) {
        blocks.push(Block {
            what: "This part of the cluster has no quorum: it fences nobody.".to_owned(),
            why: "Too few nodes see each other, or the quorum node is gone.".to_owned(),
            look: "pcs quorum status, and the links between the nodes that run".to_owned(),
        });
    }
    let level = view.cib.iter().flat_map(|cib| &cib.levels);
    let mut resources: Vec<&String> = level
        .filter(|level| level.target.as_deref() == Some(node))
        .flat_map(|level| &level.resources)
        .collect();
    resources.dedup();
    if view
        .cib
        .as_ref()
        .is_some_and(|cib| resources.is_empty() && !cib.resources.iter().any(|one| one.targets(node)))
    {
        blocks.push(Block {
            what: format!("The cluster has no fence device for {node}."),
            why: "It was never configured, or was removed.".to_owned(),
            look: format!("fencekit doctor {node}, and fencekit generate pcs"),
        });
    }
    for id in resources {
        let failed = monitor.failures.iter().find(|failure| failure.is_of(id));
        let state = monitor.resources.iter().find(|state| state.id == *id);
        let Some(what) = (match (state, failed) {
            (Some(state), _) if !state.active => Some(format!("The cluster runs {id} nowhere.")),
            (_, Some(failure)) => Some(format!(
                "{id} failed on {}: {} {}",
                failure.node, failure.status, failure.reason
            )),
            _ => None,
        }) else {
            continue;
        };
        blocks.push(Block {
            what,
            why: "Its device does not answer, or its agent or options are wrong; a fence may fail the same way.".to_owned(),
            look: format!("fencekit doctor {node}; after mending it, pcs stonith cleanup {id}"),
        });
    }
    blocks
}

/// What keeps the node from being proven dead.
fn node_blocks(plan: &Plan, report: &Report) -> Vec<Block> {
    let node = &plan.node;
    let all_off = plan.power(&report.evidence) == Observation::Off;
    let telling = report.evidence.iter();
    let mut telling: Vec<&Evidence> = telling
        .filter(|one| tells(one, report) && matters(plan, one, report))
        .collect();
    telling.sort_by_key(|one| rank(one.outcome));
    let mut blocks: Vec<Block> = telling
        .into_iter()
        .filter_map(|evidence| match idle_fallback(plan, evidence) {
            true => Some(not_tried(node, evidence)),
            false => block_of(node, evidence, all_off),
        })
        .collect();
    if plan.devices.is_empty() || plan.networks.is_empty() {
        blocks.push(Block {
            what: format!(
                "The cluster file has no device or no address of {node}: nothing can show that it is dead."
            ),
            why: "Without addresses, a plug's word would be all there is.".to_owned(),
            look: "Write mgmt_ip, storage_ip and client_ips into the cluster file, on every node".to_owned(),
        });
    }
    blocks.extend(witnesses(plan, report));
    if blocks.is_empty() {
        // Whatever the rules found, the operator hears of it.
        blocks.extend(report.reasons.iter().map(|reason| Block {
            what: reason.clone(),
            why: "See the evidence below.".to_owned(),
            look: format!("fencekit -v verify {node}"),
        }));
    }
    blocks
}

/// Whether the evidence adds to what is known: where the node was heard, one answer says it all.
fn tells(evidence: &Evidence, report: &Report) -> bool {
    if evidence.network.is_none() || evidence.probe == Probe::Witness {
        return true;
    }
    let answer = |one: &&Evidence| {
        one.network == evidence.network && one.outcome == Outcome::Answered && one.probe != Probe::Witness
    };
    report
        .evidence
        .iter()
        .find(answer)
        .is_none_or(|first| first == evidence)
}

fn feed<'p>(plan: &'p Plan, evidence: &Evidence) -> Option<&'p Feed> {
    plan.devices.iter().find(|feed| feed.label == evidence.subject)
}

/// Whether it is a fallback that lets power through, which shows nothing.
fn idle_fallback(plan: &Plan, evidence: &Evidence) -> bool {
    let is_on = evidence.probe == Probe::Power && evidence.outcome == Outcome::On;
    is_on && feed(plan, evidence).is_some_and(|feed| !feed.standing.on_is_life())
}

/// Whether a device's evidence stands in the way: what a level lacks does not where the other is off, and neither does
/// a fallback that nobody had to switch.
fn matters(plan: &Plan, one: &Evidence, report: &Report) -> bool {
    let Some(feed) = feed(plan, one).filter(|_| matches!(one.probe, Probe::Power | Probe::Meter)) else {
        return true;
    };
    let off = |level| plan.power_of(level, &report.evidence) == Observation::Off;
    let other_is_off = match feed.standing.level {
        Level::First => off(Level::Fallback),
        Level::Fallback => off(Level::First),
    };
    match one.outcome {
        Outcome::Unknown => !other_is_off,
        Outcome::On => feed.standing.on_is_life() || !other_is_off,
        // Of an outlet that is on, it tells nothing.
        Outcome::Above => !report.evidence.iter().any(|other| {
            (other.probe, other.outcome, &other.subject) == (Probe::Power, Outcome::On, &one.subject)
        }),
        _ => true,
    }
}

fn not_tried(node: &str, evidence: &Evidence) -> Block {
    Block {
        what: format!(
            "{}, its fallback, is on: it has not cut {node}.",
            evidence.subject
        ),
        why: "Pacemaker tries it, as level 2, when a fence by the first level failed.".to_owned(),
        look: format!(
            "fencekit fence {node}, which tries both; and whether the cluster has a level 2: pcs stonith level"
        ),
    }
}

/// Signs of life come first, then what could not be asked.
fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Answered => 0,
        Outcome::On | Outcome::Above => 1,
        Outcome::Off | Outcome::Below | Outcome::Silent | Outcome::Unknown => 2,
    }
}

fn block_of(node: &str, evidence: &Evidence, all_off: bool) -> Option<Block> {
    let Evidence {
        probe,
        subject,
        outcome,
        detail,
        ..
    } = evidence;
    let network = evidence.network.as_deref().unwrap_or("its network");
    let (what, why, look) = match (probe, outcome) {
        (Probe::Power, Outcome::On) => (
            format!("{subject} says that its outlet is on."),
            "The off never reached it, or something switched it on again: a schedule, a button, its own power-on setting."
                .to_owned(),
            format!("fencekit status {node}; if {node} is to go down, fencekit off {node}"),
        ),
        (Probe::Power, Outcome::Unknown) => (
            format!("{subject} does not say whether it is off: {detail}"),
            format!(
                "It has lost its power or network, or refuses the credentials. A BMC is gone when {node} has no mains power."
            ),
            format!("fencekit doctor {node}; then the device itself, its switch port and its power"),
        ),
        (Probe::Meter, Outcome::Above) => (
            format!("{subject}: {detail}"),
            "The outlet says off while power flows: its relay may be stuck.".to_owned(),
            format!("Do not believe this outlet. Go there and pull the power cords of {node}"),
        ),
        (Probe::Meter, Outcome::Unknown) => (
            format!("The meter of {subject} cannot be read: {detail}"),
            "off_max_watts demands its word, and it gives none.".to_owned(),
            format!("fencekit doctor {node}"),
        ),
        (Probe::Icmp | Probe::Tcp | Probe::Neighbour, Outcome::Answered) if all_off => (
            format!("{node} answers on {network} ({subject}) although all of its devices say off."),
            "A device lies; or another outlet, a second power supply or a UPS feeds it; or another host has its address."
                .to_owned(),
            format!("The console of {node}, its power cords, and who has {subject} (arping)"),
        ),
        (Probe::Icmp | Probe::Tcp | Probe::Neighbour, Outcome::Answered) => (
            format!("{node} answers on {network} ({subject}): it is alive, or another host has its address."),
            "Its cluster software may hang or be cut off while the rest runs on.".to_owned(),
            format!("The console of {node}; from there, shut it down if you can"),
        ),
        (Probe::Icmp | Probe::Tcp | Probe::Neighbour, Outcome::Unknown) => (
            format!("{network} {subject} could not be probed: {detail}"),
            "A probe that fails shows nothing: neither life nor death.".to_owned(),
            "Run this as root, and from another node of the cluster as well".to_owned(),
        ),
        (Probe::Path, _) => (
            format!("This host has no sound way to {network} ({subject}): {detail}"),
            format!("It could not hear {node} there, so silence means nothing."),
            "Its own link, address and route on that network; or run this on another node".to_owned(),
        ),
        _ => return None,
    };
    Some(Block { what, why, look })
}

/// Networks on which nobody else answered.
fn witnesses(plan: &Plan, report: &Report) -> Vec<Block> {
    let mut blocks = Vec::new();
    for network in &plan.networks {
        let here = |one: &&Evidence| {
            one.probe == Probe::Witness && one.network.as_deref() == Some(network.name.as_str())
        };
        let heard: Vec<&Evidence> = report.evidence.iter().filter(here).collect();
        let configured = !network.witnesses.is_empty() && !network.shared_witnesses;
        let required = plan.require_witness || configured || !heard.is_empty();
        if !required || heard.iter().any(|one| one.outcome == Outcome::Answered) {
            continue;
        }
        let asked: Vec<&str> = heard.iter().map(|one| one.subject.as_str()).collect();
        let who = if asked.is_empty() {
            "nobody".to_owned()
        } else {
            asked.join(", ")
        };
        blocks.push(Block {
            what: format!("No witness answers on {} (asked: {who}).", network.name),
            why: format!("The network itself may be down, and {} alive behind it.", plan.node),
            look: format!(
                "The switch and cables of {}; another witness under verify.witnesses, if this one is gone for good",
                network.name
            ),
        });
    }
    blocks
}

fn pacemaker(node: &str, view: &View) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(why) = &view.silent {
        lines.push(format!(
            "Nothing: {why}. Run this on a running node of the cluster to hear more."
        ));
    }
    if let Some(state) = state(node, view) {
        lines.push(match (state.unclean, state.online, state.pending) {
            (true, ..) => format!("{node} is UNCLEAN: the cluster waits until it is fenced."),
            (false, true, false) => format!("{node} is online."),
            (false, true, true) => format!("{node} is joining the cluster."),
            (false, false, _) => {
                format!("{node} is offline, and cleanly so: the cluster does not wait for it.")
            }
        });
    } else if view.monitor.is_some() {
        lines.push(format!("It has no node called {node}."));
    }
    if view.silent.is_none() && view.history.is_empty() && view.monitor.is_some() {
        lines.push(format!("It remembers no fencing of {node}."));
    }
    let failed = view
        .history
        .iter()
        .filter(|event| event.status == "failed")
        .count();
    if failed > 0 {
        let times = if failed == 1 {
            "once".to_owned()
        } else {
            format!("{failed} times")
        };
        lines.push(format!(
            "It tried and failed {times}. After 10 failures in a row it gives up for some minutes."
        ));
    }
    lines.extend(view.history.iter().take(EVENTS).map(event));
    lines
}

fn event(event: &FenceEvent) -> String {
    let FenceEvent {
        status,
        action,
        target,
        delegate,
        client,
        origin,
        completed,
        reason,
    } = event;
    let or = |text: &str, other: &str| {
        if text.is_empty() {
            other.to_owned()
        } else {
            text.to_owned()
        }
    };
    let by = or(delegate, "nobody yet");
    let outcome = match status.as_str() {
        "success" => "succeeded".to_owned(),
        "pending" => "is under way".to_owned(),
        other => or(other, "has no known outcome"),
    };
    let because = if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    };
    let when = or(completed, "now");
    format!("{when}: {action} of {target} by {by}, asked for by {client} on {origin}, {outcome}{because}")
}

fn steps(report: &Report, view: &View) -> Vec<Step> {
    let node = &report.node;
    let step = |text: String, command: Option<String>| Step {
        text,
        command,
        warning: String::new(),
    };
    if report.verdict == Verdict::ConfirmedOff {
        return vec![
            step(
                format!("If the cluster still waits for {node}, let it fence again now: that will succeed."),
                Some(format!("stonith_admin --reboot {node}")),
            ),
            step(
                "See that its resources start elsewhere.".to_owned(),
                Some("crm_mon -1".to_owned()),
            ),
        ];
    }
    if report.verdict == Verdict::StillAlive && is_member(node, view) {
        return vec![step(
            "Nothing. If its resources do not run, the reason is not fencing.".to_owned(),
            Some("crm_mon -1 --inactive".to_owned()),
        )];
    }
    vec![
        step(
            format!(
                "Look at what is listed above, in that order. Mend what you can; then see how {node} stands."
            ),
            Some(format!("fencekit verify {node}")),
        ),
        step(
            "Then let the cluster fence again, at once. (pcs stonith cleanup does not retry a fence.)"
                .to_owned(),
            Some(format!("stonith_admin --reboot {node}")),
        ),
        step(
            match report.verdict {
                Verdict::StillAlive => format!(
                    "If that fails: shut {node} down at its console, then pull every one of its power cords, and SEE that it is dark: no light, no fan."
                ),
                _ => format!(
                    "If the device is broken: go to {node}, pull every one of its power cords, and SEE that it is dark: no light, no fan."
                ),
            },
            None,
        ),
        Step {
            text: format!(
                "Only then, with the cords still out, tell the cluster that {node} is dead. (Without pcs: stonith_admin --confirm {node})"
            ),
            command: Some(format!("pcs stonith confirm {node}")),
            warning: format!(
                "this claims that you have seen {node} without power. Nobody checks it. If {node} runs on, two nodes write to the same data and destroy it. A node that does not answer is not a node that is dead."
            ),
        },
        step(
            format!(
                "Before {node} gets power again: see that its resources run elsewhere, and mend the fencing."
            ),
            Some(format!("fencekit doctor {node}")),
        ),
    ]
}

#[cfg(test)]
#[path = "advise_tests.rs"]
mod tests;
