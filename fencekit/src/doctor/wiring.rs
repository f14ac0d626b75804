//! What hangs on what: devices that several nodes depend on, outlets that are not a node's own.

use std::collections::BTreeMap;

use super::advice::{Advice, Topic};
use super::device::Answer;
use crate::cluster::Cluster;
use crate::identity::Identity;
use crate::method::Method;

pub(super) fn examine(cluster: &Cluster, answers: &[Answer<'_>]) -> Vec<Advice> {
    let mut advice = Vec::new();
    for answers in by_device(answers).values() {
        shared_outlets(answers, &mut advice);
        shared_device(answers, &mut advice);
    }
    for answer in answers {
        names(cluster, answer, &mut advice);
    }
    for node in &cluster.nodes {
        let own: Vec<_> = answers.iter().filter(|one| one.node.name == node.name).collect();
        if let [only] = own.as_slice()
            && only.entry.method() == Method::Ipmi
        {
            advice.push(only.place(Advice::warning(
                Topic::SinglePoint,
                "its BMC has its power from the node's own supply: when that fails, the BMC is gone too, no fence \
                 can be confirmed, and the failover waits for you",
                "feed the node through a plug or PDU and write that as its fallback, or keep fencekit explain at hand",
            )));
        }
    }
    advice
}

/// The answers of each device: one that says who it is, is the same under two addresses.
fn by_device<'a, 'c>(answers: &'a [Answer<'c>]) -> BTreeMap<String, Vec<&'a Answer<'c>>> {
    let mut devices: BTreeMap<String, Vec<&Answer<'_>>> = BTreeMap::new();
    for answer in answers {
        let label = answer.supply.device.label();
        let facts = answer.asked.facts.as_ref().ok();
        let number = facts.and_then(|facts| number(facts.identity.as_ref().ok()?));
        let key = number.unwrap_or_else(|| format!("{} @ {}", label.method, label.address));
        devices.entry(key).or_default().push(answer);
    }
    devices
}

/// What tells a device from every other. A name does not, nor does a GUID: boards of one series may share it.
fn number(identity: &Identity) -> Option<String> {
    let number = [&identity.mac, &identity.device_id];
    let number = number.into_iter().flatten().next()?;
    let bare: String = number.chars().filter(char::is_ascii_alphanumeric).collect();
    // Devices that were never given a number of their own all have the same one.
    let is_blank = bare.chars().all(|c| matches!(c, '0' | 'f' | 'F'));
    (!is_blank).then(|| bare.to_ascii_lowercase())
}

/// Two names for one outlet escape the cluster file's own check.
fn shared_outlets(answers: &[&Answer<'_>], advice: &mut Vec<Advice>) {
    let mut seen: BTreeMap<&str, &Answer<'_>> = BTreeMap::new();
    for answer in answers {
        let Some(outlet) = answer.outlet() else {
            continue;
        };
        let Some(first) = seen.insert(&outlet.plug, answer) else {
            continue;
        };
        let (node, other) = (&answer.node.name, &first.node.name);
        let (detail, mend) = if node == other {
            (
                format!("is the same outlet as {}", first.label()),
                "list each power supply's outlet once".to_owned(),
            )
        } else {
            (
                format!(
                    "is the outlet of {other} too ({}): fencing {node} would cut {other}",
                    first.label()
                ),
                "give each node the ip and plug of its own outlet".to_owned(),
            )
        };
        advice.push(answer.place(Advice::problem(Topic::Outlet, detail, mend)));
    }
}

fn shared_device(answers: &[&Answer<'_>], advice: &mut Vec<Advice>) {
    let [first, rest @ ..] = answers else {
        return;
    };
    if rest.is_empty() {
        return;
    }
    let mut nodes: Vec<&str> = answers.iter().map(|answer| answer.node.name.as_str()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let label = first.supply.device.label();
    let device = format!("{} @ {}", label.method, label.address);
    let found = match nodes.as_slice() {
        [only] => Advice::warning(
            Topic::SinglePoint,
            format!(
                "every supply of {only} listed for {device} fails with that one device, and so does its fence"
            ),
            "feed each power supply from a device of its own",
        )
        .of(only),
        _ => Advice::warning(
            Topic::SinglePoint,
            format!(
                "{} all hang on {device}: when it fails, they go dark and none can be fenced",
                nodes.join(", ")
            ),
            "feed each node from a device of its own",
        ),
    };
    advice.push(found.at(&device));
}

/// What the device calls the outlet, against the nodes' names.
fn names(cluster: &Cluster, answer: &Answer<'_>, advice: &mut Vec<Advice>) {
    let Some(outlet) = answer.outlet() else {
        return;
    };
    let alias = outlet.alias.trim();
    let node = &answer.node.name;
    if alias.eq_ignore_ascii_case(node) {
        advice.push(answer.place(Advice::info(
            Topic::Outlet,
            format!("the device calls the outlet {alias} too"),
        )));
        return;
    }
    let others = cluster.nodes.iter().filter(|other| other.name != *node);
    for other in others.filter(|other| alias.eq_ignore_ascii_case(&other.name)) {
        advice.push(answer.place(Advice::problem(
            Topic::Outlet,
            format!("the device calls this outlet {}: fencing {node} may cut the wrong node", other.name),
            "see which outlet feeds which node (fencekit drill proves it), then correct plug or the outlet's name",
        )));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_numbers_make_no_devices_the_same() {
        let of = |mac: &str| {
            number(&Identity {
                mac: Some(mac.into()),
                ..Identity::default()
            })
        };
        assert_eq!(of("50:C7:BF:00:00:01"), of("50-c7-bf-00-00-01"));
        assert_eq!(of("00:00:00:00:00:00"), None);
        assert_eq!(of("FF:FF:FF:FF:FF:FF"), None);
        assert_eq!(of(""), None);
    }
}
