//! A node with several addresses on one network: each is verified by itself, and a dead node is still found dead.
#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use fencekit::cluster::Cluster;
use fencekit::verify::{self, Plan, Verdict};
use fencekit_sim::{Device, Running, SimNetwork, Spec};

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const NETWORKS: &[(&str, &[&str], &[&str])] = &[
    ("management", &["10.20.20.1"], &["10.20.20.254"]),
    (
        "storage",
        &["10.10.10.1", "fd00::1"],
        &["10.10.10.254", "fd00::254"],
    ),
    ("office", &["10.30.30.1", "fd30::1"], &["10.30.30.254"]),
];

struct Stage {
    plug: Device,
    cluster: Cluster,
    _running: Running,
}

async fn stage() -> Stage {
    let plug = Device::new(Spec::plug("storage-a"));
    let running = fencekit_sim::kasa::serve_xor(plug.clone(), ANY).await.unwrap();
    let text = format!(
        "stonith_nodes:\n  storage-a:\n    method: kasa\n    ip: 127.0.0.1\n    port: {}\n    mgmt_ip: 10.20.20.1\n    \
         storage_ip: [10.10.10.1, \"fd00::1\"]\n    client_ips: {{office: [10.30.30.1, \"fd30::1\"]}}\n\
         verify: {{wait: 1, witnesses: {{management: [10.20.20.254], storage: [10.10.10.254, \"fd00::254\"], office: \
         [10.30.30.254]}}}}\n",
        running.address.port()
    );
    Stage {
        plug,
        cluster: Cluster::from_text(&text, "cluster.yml").unwrap(),
        _running: running,
    }
}

impl Stage {
    /// Every address and witness. The node answers on all of them while its plug lets power through, and on `alive`
    /// whatever the plug does; `dead` does not answer at all.
    fn network(&self, alive: Option<&str>, dead: Option<&str>) -> SimNetwork {
        let mut network = SimNetwork::new();
        for (name, addresses, witnesses) in NETWORKS {
            for address in *addresses {
                let plug = self.plug.clone();
                let stays = alive == Some(*address);
                let answers = move || stays || plug.relay(0) == Some(true);
                network = network.with_node_while(name, address.parse().unwrap(), answers);
            }
            for witness in *witnesses {
                let answers = dead != Some(*witness);
                network = network.with_node_while(name, witness.parse().unwrap(), move || answers);
            }
        }
        network
    }

    async fn verdict(&self, network: &SimNetwork) -> (Plan, Verdict, String) {
        let node = self.cluster.node("storage-a").unwrap();
        let supplies = node.supplies().unwrap();
        let plan = self.cluster.plan(node, &supplies, None);
        let report = verify::verify(&plan, &supplies, network).await.unwrap();
        (plan, report.verdict, report.to_string())
    }
}

#[tokio::test]
async fn a_dead_node_is_confirmed_off_and_each_address_has_a_name_of_its_own() {
    let stage = stage().await;
    stage.plug.set(0, false, true);
    let (plan, verdict, report) = stage.verdict(&stage.network(None, None)).await;
    let names: BTreeSet<&str> = plan
        .networks
        .iter()
        .map(|network| network.name.as_str())
        .collect();
    assert_eq!(names.len(), plan.networks.len(), "{names:?}");
    assert_eq!(verdict, Verdict::ConfirmedOff, "{report}");
    for said in [
        "silent on storage-1 10.10.10.1, witnessed by 10.10.10.254",
        "silent on storage-2 fd00::1, witnessed by fd00::254",
        "silent on office-2 fd30::1, unwitnessed",
    ] {
        assert!(report.contains(said), "{report}");
    }
}

#[tokio::test]
async fn an_answer_on_any_of_its_addresses_is_life() {
    let stage = stage().await;
    stage.plug.set(0, false, true);
    for address in NETWORKS.iter().flat_map(|(_, addresses, _)| *addresses) {
        let (_, verdict, report) = stage.verdict(&stage.network(Some(address), None)).await;
        assert_eq!(verdict, Verdict::StillAlive, "{address}: {report}");
    }
}

/// The witness of one family does not speak for the other.
#[tokio::test]
async fn a_witness_that_is_silent_leaves_its_own_address_in_doubt() {
    let stage = stage().await;
    stage.plug.set(0, false, true);
    for (witness, doubted) in [("10.10.10.254", "storage-1"), ("fd00::254", "storage-2")] {
        let (_, verdict, report) = stage.verdict(&stage.network(None, Some(witness))).await;
        assert_eq!(verdict, Verdict::Inconclusive, "{witness}: {report}");
        assert!(report.contains(&format!("{doubted} ")), "{report}");
    }
}
