//! What the cluster file says and leaves out: addresses, witnesses, times.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::advice::{Advice, Topic};
use crate::cluster::{Cluster, Entry, Network, Node};
use crate::error::Error;
use crate::stonith::Configuration;

/// What a verification takes besides its window: the pause before it, the last looks, and the agent's own start.
const AROUND_THE_WINDOW: Duration = Duration::from_secs(11);

/// Where the cluster file is when nobody says so; only messages name it.
const FILE: &str = "/etc/fencekit/cluster.yml";

pub(super) fn examine(cluster: &Cluster, nodes: &[&Node], file: Option<&Path>) -> Vec<Advice> {
    let warnings = cluster.warnings.iter().map(|warning| {
        let (detail, mend) = warning.rsplit_once("; ").unwrap_or((warning, "mend the file"));
        Advice::warning(Topic::File, detail, mend)
    });
    let mut advice: Vec<Advice> = warnings.collect();
    if cluster.fence_verify == Some(false) {
        advice.push(Advice::warning(
            Topic::Address,
            "stonith_fence_verify is false: the devices' word alone says that a node is off",
            "take it away, and give each node its addresses",
        ));
    }
    for node in nodes {
        advice.extend(addresses(cluster, node).into_iter().map(|one| one.of(&node.name)));
        advice.extend(metered(cluster, node).map(|one| one.of(&node.name)));
    }
    advice.extend(witnesses(cluster));
    advice.extend(times(cluster));
    if let Err(error) = Configuration::new(cluster, file.unwrap_or(Path::new(FILE))) {
        advice.push(not_generated(error));
    }
    advice
}

fn addresses(cluster: &Cluster, node: &Node) -> Vec<Advice> {
    if node.addresses.is_empty() {
        return vec![Advice::warning(
            Topic::Address,
            "has no mgmt_ip, storage_ip or client_ips: it cannot be verified, and its devices' word alone says that it is off",
            "write its addresses, or give --host-vars DIR",
        )];
    }
    let has = |node: &Node, network: &Network| node.addresses.iter().any(|one| one.network == *network);
    [(Network::Management, "mgmt_ip"), (Network::Storage, "storage_ip")]
        .into_iter()
        .filter(|(network, _)| !has(node, network))
        .filter_map(|(network, key)| {
            let other = cluster.nodes.iter().find(|other| has(other, &network))?;
            Some(Advice::warning(
                Topic::Address,
                format!(
                    "has no {key}, though {} has: on the {network} network it could be alive unseen",
                    other.name
                ),
                format!("write its {key}"),
            ))
        })
        .collect()
}

fn metered(cluster: &Cluster, node: &Node) -> Option<Advice> {
    cluster.verify.metered_wait?;
    let lacking = node
        .devices
        .iter()
        .find(|entry| entry.settings.number("off_max_watts").is_none())?;
    Some(Advice::warning(
        Topic::Timing,
        format!(
            "verify.metered_wait is not used: its device {} has no off_max_watts",
            named(lacking)
        ),
        "write off_max_watts for every device of the node, or take metered_wait away",
    ))
}

fn named(entry: &Entry) -> String {
    format!(
        "{} @ {}",
        entry.method(),
        entry.settings.text("ip").unwrap_or("an address of its own")
    )
}

/// Each network that somebody is verified on, once.
fn networks(cluster: &Cluster) -> Vec<&Network> {
    let all = cluster.nodes.iter().flat_map(|node| &node.addresses);
    let mut networks: Vec<&Network> = all.map(|address| &address.network).collect();
    networks.sort();
    networks.dedup();
    networks
}

fn witnesses(cluster: &Cluster) -> Vec<Advice> {
    if cluster.fence_verify == Some(false) {
        return Vec::new();
    }
    networks(cluster)
        .into_iter()
        .flat_map(|network| [true, false].map(|ipv4| (network, ipv4)))
        .filter_map(|(network, ipv4)| without_witness(cluster, network, ipv4))
        .collect()
}

/// That nobody can be heard on this network beside the node, by IPv4 or by IPv6: one says nothing of the other.
fn without_witness(cluster: &Cluster, network: &Network, ipv4: bool) -> Option<Advice> {
    let verify = &cluster.verify;
    let all = cluster.nodes.iter().flat_map(|node| &node.addresses);
    let mut here = all.filter(|one| one.network == *network && one.ip.is_ipv4() == ipv4);
    let address = here.next()?.ip;
    if verify.witnesses_for(network, address).next().is_some() || devices_are_near(cluster, network, ipv4) {
        return None;
    }
    let kind = match verify.witnesses_of(network).next() {
        None => "witness".to_owned(),
        Some(_) => format!("witness of the family of {address}"),
    };
    let mend = format!(
        "name a host that always answers there, as a switch or router: verify: {{witnesses: {{{network}: [ADDRESS]}}}}"
    );
    Some(if verify.require_witness {
        Advice::problem(
            Topic::Witness,
            format!("require_witness is set, and {network} has no {kind}: no verification can succeed"),
            mend,
        )
    } else {
        Advice::warning(
            Topic::Witness,
            format!(
                "{network} has no {kind}: when that network fails, its silence still counts against a node"
            ),
            mend,
        )
    })
}

/// Whether a fence device seems to be on this network, by IPv4 or by IPv6: then it is a witness there. That is known
/// for certain only on the host that verifies; networks of the usual size are told by their first bits.
fn devices_are_near(cluster: &Cluster, network: &Network, ipv4: bool) -> bool {
    let on_it = |node: &Node| {
        let own = node.addresses.iter();
        let here = own.filter(|one| one.network == *network && one.ip.is_ipv4() == ipv4);
        let mut devices = node.entries().filter_map(|entry| {
            let text = entry.settings.text("ip")?;
            text.trim().trim_matches(['[', ']']).parse::<IpAddr>().ok()
        });
        let here: Vec<IpAddr> = here.map(|one| one.ip).collect();
        here.is_empty() || devices.any(|device| here.iter().any(|ip| are_near(*ip, device)))
    };
    cluster.nodes.iter().all(on_it)
}

fn are_near(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.octets().starts_with(&other.octets()[..3]),
        (IpAddr::V6(one), IpAddr::V6(other)) => one.segments().starts_with(&other.segments()[..4]),
        _ => false,
    }
}

fn times(cluster: &Cluster) -> Vec<Advice> {
    let mut advice = Vec::new();
    let (wait, off) = (cluster.verify.wait, cluster.stonith.off_timeout);
    let verified = cluster.fence_verify != Some(false);
    // A wait that is no shorter at all is refused with the whole configuration.
    if verified && wait < off && wait + AROUND_THE_WINDOW > off {
        advice.push(Advice::warning(
            Topic::Timing,
            format!(
                "a verification may take {} s (verify.wait is {} s), and Pacemaker ends it after {} s: a slow one is \
                 lost and begun again",
                (wait + AROUND_THE_WINDOW).as_secs_f64(),
                wait.as_secs_f64(),
                off.as_secs_f64()
            ),
            format!("write stonith: {{off_timeout: {}s}}", (wait + AROUND_THE_WINDOW).as_secs().saturating_add(5)),
        ));
    }
    if verified && wait < Duration::from_secs(3) {
        advice.push(Advice::warning(
            Topic::Timing,
            format!(
                "verify.wait is {} s: a node that is slow to answer may stay unheard",
                wait.as_secs_f64()
            ),
            "write at least 3 s; 10 s is the default",
        ));
    }
    if let Some(shorter) = cluster.verify.metered_wait {
        advice.push(Advice::info(
            Topic::Timing,
            format!(
                "verify.metered_wait ({} s) serves fencekit fence alone: fence_check runs after the off, has no \
                 baseline of the draw, and watches for verify.wait ({} s)",
                shorter.as_secs_f64(),
                wait.as_secs_f64()
            ),
        ));
    }
    advice
}

fn not_generated(error: Error) -> Advice {
    match error {
        Error::Config {
            option,
            problem,
            mend,
            ..
        } => {
            let topic = if option.ends_with("timeout") || option.ends_with("power_wait") {
                Topic::Timing
            } else {
                Topic::File
            };
            Advice::problem(topic, format!("{option}: {problem}"), mend)
        }
        other => Advice::problem(Topic::File, other.to_string(), "mend the file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Severity;

    fn found(text: &str) -> Vec<(Severity, Topic, String)> {
        let cluster = Cluster::from_text(text, "cluster.yml").unwrap();
        let nodes: Vec<&Node> = cluster.nodes.iter().collect();
        let advice = examine(&cluster, &nodes, None);
        for one in &advice {
            assert_eq!(one.mend.is_empty(), one.severity == Severity::Info, "{one:?}");
        }
        advice
            .into_iter()
            .map(|one| (one.severity, one.topic, one.detail))
            .collect()
    }

    const GOOD: &str = "
stonith_nodes:
  a: {method: kasa, ip: 10.20.20.201, mgmt_ip: 10.20.20.1, storage_ip: 10.10.10.1}
  b: {method: kasa, ip: 10.20.20.202, mgmt_ip: 10.20.20.2, storage_ip: 10.10.10.2}
verify: {witnesses: {storage: [10.10.10.254]}}
";

    #[test]
    fn a_whole_file_has_nothing_to_mend() {
        assert_eq!(found(GOOD), []);
    }

    #[test]
    fn each_omission_is_told_once() {
        use Severity::{Info, Problem, Warning};
        use Topic::{Address, File, Timing, Witness};
        for (from, to, expected) in [
            (
                ", storage_ip: 10.10.10.2",
                "",
                vec![(Warning, Address, "has no storage_ip")],
            ),
            (
                ", mgmt_ip: 10.20.20.2, storage_ip: 10.10.10.2",
                "",
                vec![(Warning, Address, "has no mgmt_ip, storage_ip or client_ips")],
            ),
            (
                "witnesses: {storage: [10.10.10.254]}",
                "wait: 10",
                vec![(Warning, Witness, "storage has no witness")],
            ),
            (
                "storage_ip: 10.10.10.2",
                "storage_ip: [10.10.10.2, 'fd00::2']",
                vec![(
                    Warning,
                    Witness,
                    "storage has no witness of the family of fd00::2",
                )],
            ),
            (
                "witnesses: {storage: [10.10.10.254]}",
                "require_witness: true",
                vec![(Problem, Witness, "require_witness is set, and storage")],
            ),
            (
                "verify: {",
                "stonith_fence_verify: false\nverify: {",
                vec![(Warning, Address, "stonith_fence_verify is false")],
            ),
            (
                "verify: {",
                "stonith: {off_timeout: 15}\nverify: {",
                vec![(Warning, Timing, "a verification may take 21 s")],
            ),
            (
                "verify: {",
                "stonith: {off_timeout: 9}\nverify: {",
                vec![(Problem, Timing, "stonith.off_timeout: 9 s is not longer")],
            ),
            (
                "verify: {",
                "verify: {wait: 1, ",
                vec![(Warning, Timing, "verify.wait is 1 s")],
            ),
            (
                "verify: {",
                "verify: {metered_wait: 4, ",
                vec![
                    (Warning, Timing, "verify.metered_wait is not used"),
                    (Warning, Timing, "verify.metered_wait is not used"),
                    (
                        Info,
                        Timing,
                        "verify.metered_wait (4 s) serves fencekit fence alone",
                    ),
                ],
            ),
            (
                "  b: {method: kasa, ip: 10.20.20.202,",
                "  b%c: {method: kasa, ip: 10.20.20.202,",
                vec![(Problem, File, "stonith_nodes: \"b%c\" cannot be")],
            ),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let text = GOOD.replace(from, to);
            let found = found(&text);
            assert_eq!(found.len(), expected.len(), "{text}\n{found:#?}");
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!((found.0, found.1), (expected.0, expected.1), "{found:?}");
                assert!(found.2.starts_with(expected.2), "{found:?}");
            }
        }
    }
}
