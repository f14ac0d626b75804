//! From evidence to verdict: a pure function, and the only place where a node is called dead.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::evidence::{Evidence, Outcome, Probe};
use super::plan::{Network, Plan};
use super::rules::Rules;
use crate::level::Level;

/// What the evidence amounts to. Only [`Verdict::ConfirmedOff`] is a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[must_use]
pub enum Verdict {
    /// Power off on every device, and silence on every network that could have been heard.
    ConfirmedOff,
    /// A device says on, or the node answered somewhere.
    StillAlive,
    /// Neither.
    Inconclusive,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConfirmedOff => "confirmed-off",
            Self::StillAlive => "still-alive",
            Self::Inconclusive => "inconclusive",
        })
    }
}

/// The rule that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Confirmed: off and silent for the whole window.
    Window,
    /// Confirmed: off and silent for the shorter window, and every meter fell from its baseline to below its
    /// threshold.
    MeteredWindow,
    /// Alive: a device says on.
    PowerOn,
    /// Alive: the node answered.
    Answered,
    /// Inconclusive: no device of the node is configured.
    NoDevice,
    /// Inconclusive: no address of the node is configured.
    NoAddress,
    /// Inconclusive: not every device says off.
    PowerNotOff,
    /// Inconclusive: a configured meter does not read below its threshold.
    MeterNotBelow,
    /// Inconclusive: the observer's own way to a network is broken.
    Path,
    /// Inconclusive: a network probe failed, so its silence shows nothing.
    ProbeFailed,
    /// Inconclusive: a network has no witness, or none that answered throughout.
    Witness,
}

/// A verdict, what decided it, and everything that speaks against it or for it, most important first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// The rule of the first reason.
    pub rule: Rule,
    /// One line each.
    pub reasons: Vec<String>,
}

/// How long was observed, as far as it matters to the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The whole of `verify_wait`.
    Full,
    /// Only `metered_wait`. Whoever says so has checked the meters against their baselines.
    Metered,
}

/// Decides. Evidence that the plan asks for and that is missing counts as unknown.
#[must_use]
pub fn decide(plan: &Plan, evidence: &[Evidence], window: Window) -> Decision {
    decide_by(plan, evidence, window, Rules::STRICT)
}

pub(crate) fn decide_by(plan: &Plan, evidence: &[Evidence], window: Window, rules: Rules) -> Decision {
    if let Some(alive) = signs_of_life(plan, evidence, rules) {
        return alive;
    }
    let mut against = Vec::new();
    let level = check_devices(plan, evidence, rules, &mut against);
    check_networks(plan, evidence, rules, &mut against);
    if let Some((rule, _)) = against.first() {
        return Decision {
            verdict: Verdict::Inconclusive,
            rule: *rule,
            reasons: against.into_iter().map(|(_, reason)| reason).collect(),
        };
    }
    Decision {
        verdict: Verdict::ConfirmedOff,
        rule: match window {
            Window::Full => Rule::Window,
            Window::Metered => Rule::MeteredWindow,
        },
        reasons: reasons_for(plan, evidence, window, level),
    }
}

fn is_life(evidence: &Evidence) -> bool {
    evidence.outcome == Outcome::Answered && evidence.probe != Probe::Witness
}

fn signs_of_life(plan: &Plan, evidence: &[Evidence], rules: Rules) -> Option<Decision> {
    let is_idle = |one: &Evidence| {
        let mut feeds = plan.devices.iter().filter(|feed| feed.label == one.subject);
        let known = feeds.clone().next().is_some();
        known && feeds.all(|feed| !rules.on_is_life(feed.standing))
    };
    let on = evidence
        .iter()
        .filter(|one| one.outcome == Outcome::On && !is_idle(one));
    let answers = evidence.iter().filter(|one| rules.answer_is_life && is_life(one));
    let on: Vec<_> = on.map(ToString::to_string).collect();
    let answers: Vec<_> = answers.map(ToString::to_string).collect();
    let rule = match (on.is_empty(), answers.is_empty()) {
        (true, true) => return None,
        (_, false) => Rule::Answered,
        (false, true) => Rule::PowerOn,
    };
    Some(Decision {
        verdict: Verdict::StillAlive,
        rule,
        reasons: answers.into_iter().chain(on).collect(),
    })
}

type Against = Vec<(Rule, String)>;

/// The level whose devices are all off, and which decides; what keeps each from it goes into `against` when neither is.
fn check_devices(plan: &Plan, evidence: &[Evidence], rules: Rules, against: &mut Against) -> Level {
    if plan.devices.is_empty() {
        against.push((
            Rule::NoDevice,
            format!("no fence device of {} is configured", plan.node),
        ));
    }
    let there = |level| plan.devices.iter().any(|feed| feed.standing.level == level);
    let mut doubts = Vec::new();
    for level in [Level::First, Level::Fallback]
        .into_iter()
        .filter(|level| there(*level))
    {
        let before = doubts.len();
        check_level(plan, level, evidence, rules, &mut doubts);
        let contradicted = level == Level::Fallback && rules.first_meter_contradicts && draws(plan, evidence);
        if doubts.len() == before && !contradicted {
            return level;
        }
    }
    doubts.sort_by_key(|(rule, _)| *rule != Rule::PowerNotOff);
    against.append(&mut doubts);
    Level::First
}

/// Whether a meter of the first level shows that the node draws power.
fn draws(plan: &Plan, evidence: &[Evidence]) -> bool {
    let mut first = plan.devices.iter().filter(|feed| feed.is_first());
    first.any(|feed| {
        evidence
            .iter()
            .any(|one| one.outcome == Outcome::Above && one.subject == feed.label)
    })
}

/// What keeps the devices of this level from being off.
fn check_level(plan: &Plan, level: Level, evidence: &[Evidence], rules: Rules, against: &mut Against) {
    let own = plan.devices.iter().filter(|feed| feed.standing.level == level);
    let labels: BTreeSet<&str> = own.map(|feed| feed.label.as_str()).collect();
    let mut any_off = false;
    let mut power = Vec::new();
    let mut wanted = vec![Outcome::Off];
    if !rules.unknown_power_is_not_off {
        wanted.push(Outcome::Unknown);
    }
    for label in labels {
        // Two devices under one label need two pieces of evidence; one "off" must not serve for both.
        let feeds: Vec<_> = plan.devices.iter().filter(|feed| feed.label == label).collect();
        match all_are(evidence, Probe::Power, label, None, &wanted, feeds.len()) {
            Ok(()) => any_off = true,
            Err(what) => power.push((Rule::PowerNotOff, what)),
        }
        let metered = feeds.iter().filter(|feed| feed.off_max_watts.is_some()).count();
        if metered > 0
            && rules.meter_must_be_below
            && let Err(what) = all_are(evidence, Probe::Meter, label, None, &[Outcome::Below], metered)
        {
            against.push((Rule::MeterNotBelow, what));
        }
    }
    if rules.every_device || !any_off {
        against.append(&mut power);
    }
}

/// Whether there are at least `count` pieces of this evidence and each has a wanted outcome.
fn all_are(
    evidence: &[Evidence],
    probe: Probe,
    subject: &str,
    network: Option<&str>,
    wanted: &[Outcome],
    count: usize,
) -> Result<(), String> {
    let mut found = 0;
    for one in evidence {
        if one.probe != probe || one.subject != subject || one.network.as_deref() != network {
            continue;
        }
        found += 1;
        if !wanted.contains(&one.outcome) {
            return Err(one.to_string());
        }
    }
    if found >= count {
        return Ok(());
    }
    let place = network.map(|name| format!(" ({name})")).unwrap_or_default();
    Err(format!("{probe} {subject}{place}: unknown, it was not asked"))
}

fn check_networks(plan: &Plan, evidence: &[Evidence], rules: Rules, against: &mut Against) {
    if plan.networks.is_empty() && rules.addresses_required {
        against.push((
            Rule::NoAddress,
            format!(
                "no address of {} is configured, so nothing can show that it is dead; \
                 set mgmt_ip, storage_ip or client_ips",
                plan.node
            ),
        ));
    }
    let mut some_silent = false;
    let mut doubts = Vec::new();
    let mut names = BTreeSet::new();
    for network in &plan.networks {
        if !names.insert(&network.name) {
            // A witness of one would speak for the other.
            against.push((Rule::Witness, format!("two networks are called {}", network.name)));
        }
        let before = doubts.len();
        check_network(plan, network, evidence, rules, &mut doubts);
        some_silent |= doubts.len() == before;
    }
    if rules.every_network || !some_silent {
        against.append(&mut doubts);
    }
}

fn check_network(plan: &Plan, network: &Network, evidence: &[Evidence], rules: Rules, against: &mut Against) {
    let name = Some(network.name.as_str());
    let address = network.address.to_string();
    let here = |one: &&Evidence| one.network.as_deref() == name;
    let broken = evidence
        .iter()
        .filter(here)
        .find(|one| one.probe == Probe::Path && one.subject == address);
    if let Some(broken) = broken.filter(|_| rules.silence_needs_path) {
        against.push((Rule::Path, broken.to_string()));
    }

    let mut wanted = vec![Outcome::Silent];
    if !rules.failed_probe_is_unknown {
        wanted.push(Outcome::Unknown);
    }
    if !rules.answer_is_life {
        wanted.push(Outcome::Answered);
    }
    let silent = |probe, subject: &str, count| all_are(evidence, probe, subject, name, &wanted, count);
    let mut probed = vec![silent(Probe::Icmp, &address, 1)];
    for port in &network.tcp_ports {
        let subject = std::net::SocketAddr::new(network.address, *port).to_string();
        probed.push(silent(Probe::Tcp, &subject, 1));
    }
    // Only a directly connected network has neighbours: none is demanded.
    probed.push(silent(Probe::Neighbour, &address, 0));
    against.extend(
        probed
            .into_iter()
            .filter_map(Result::err)
            .map(|what| (Rule::ProbeFailed, what)),
    );

    if let Some(doubt) = check_witnesses(plan, network, evidence, rules) {
        against.push((Rule::Witness, doubt));
    }
}

fn check_witnesses(plan: &Plan, network: &Network, evidence: &[Evidence], rules: Rules) -> Option<String> {
    let witnesses: Vec<_> = witnesses_of(network, evidence).collect();
    if witnesses.iter().any(|one| one.outcome == Outcome::Answered) {
        return None;
    }
    let configured = !network.witnesses.is_empty() && !network.shared_witnesses;
    if witnesses.is_empty() && !configured {
        return (plan.require_witness && rules.require_witness).then(|| {
            format!(
                "{} {}: no witness, and require_witness is set; name one under verify.witnesses",
                network.name, network.address
            )
        });
    }
    let said: Vec<_> = witnesses.iter().map(ToString::to_string).collect();
    rules.silence_needs_witness.then(|| {
        format!(
            "{} {}: no witness answered throughout, so the node may have answered unheard ({})",
            network.name,
            network.address,
            if said.is_empty() {
                "none was asked".to_owned()
            } else {
                said.join("; ")
            }
        )
    })
}

fn witnesses_of<'a>(network: &'a Network, evidence: &'a [Evidence]) -> impl Iterator<Item = &'a Evidence> {
    evidence
        .iter()
        .filter(|one| one.probe == Probe::Witness && one.network.as_ref() == Some(&network.name))
}

/// Why the shorter window was not even tried. Whoever verifies after the off, as `fence_check` does, was not there to
/// read a meter before it.
fn no_baseline(plan: &Plan) -> Option<String> {
    let shorter = plan
        .timing
        .metered_wait
        .filter(|shorter| *shorter < plan.timing.wait)?;
    let mut first = plan.devices.iter().filter(|feed| feed.is_first());
    let lacks = first.any(|feed| feed.off_max_watts.is_some() && feed.baseline_watts.is_none());
    lacks.then(|| {
        format!(
            "watched for the whole wait of {} s, not for metered_wait ({} s): no draw from before the off is known",
            plan.timing.wait.as_secs_f64(),
            shorter.as_secs_f64()
        )
    })
}

fn reasons_for(plan: &Plan, evidence: &[Evidence], window: Window, level: Level) -> Vec<String> {
    let of_level = plan.devices.iter().filter(|feed| feed.standing.level == level);
    let mut reasons = vec![match (level, of_level.count()) {
        (Level::Fallback, _) => "its fallback, which cuts all of its power, says off".to_owned(),
        (Level::First, 1) => "its device says off".to_owned(),
        (Level::First, count) => format!("all {count} devices say off"),
    }];
    match window {
        Window::Metered => {
            reasons.push("every meter fell from its baseline to below its threshold".to_owned());
        }
        Window::Full => reasons.extend(no_baseline(plan)),
    }
    for network in &plan.networks {
        let heard = witnesses_of(network, evidence)
            .find(|one| one.outcome == Outcome::Answered)
            .map_or_else(
                || "unwitnessed".to_owned(),
                |witness| format!("witnessed by {}", witness.subject),
            );
        reasons.push(format!("silent on {} {}, {heard}", network.name, network.address));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Standing;
    use crate::verify::plan::Timing;

    fn metered(baseline_watts: Option<f64>) -> Plan {
        Plan {
            node: "storage-b".into(),
            devices: vec![crate::verify::Feed {
                label: "kasa @ 10.20.20.202".into(),
                address: None,
                off_max_watts: Some(5.0),
                baseline_watts,
                standing: Standing::default(),
            }],
            networks: Vec::new(),
            require_witness: false,
            timing: Timing {
                metered_wait: Some(std::time::Duration::from_secs(3)),
                ..Timing::default()
            },
        }
    }

    #[test]
    fn a_verdict_without_a_baseline_says_why_it_took_the_whole_wait() {
        let reasons = |plan: &Plan| reasons_for(plan, &[], Window::Full, Level::First).join("; ");
        let told = "not for metered_wait (3 s): no draw from before the off is known";
        assert!(
            reasons(&metered(None)).contains(told),
            "{}",
            reasons(&metered(None))
        );
        assert!(!reasons(&metered(Some(60.0))).contains("metered_wait"));
        let mut plain = metered(None);
        plain.timing.metered_wait = None;
        assert!(!reasons(&plain).contains("metered_wait"));
    }
}
