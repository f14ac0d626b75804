//! From a node of the cluster file to what is verified of it.

use std::net::IpAddr;

use super::model::{Address, Cluster, Network, Node};
use crate::fleet::Supply;
use crate::verify::{self, Feed, Plan, Timing};

impl Cluster {
    /// What is to be verified of a node. `supplies` are the node's own, and `host` is the name of this host: where
    /// it is a node of the cluster too, its own addresses are known and must be there.
    #[must_use]
    pub fn plan(&self, node: &Node, supplies: &[Supply], host: Option<&str>) -> Plan {
        let observer = host
            .and_then(|host| self.observer(host))
            .filter(|observer| observer.name != node.name);
        Plan {
            node: node.name.clone(),
            devices: node
                .entries()
                .zip(supplies)
                .map(|(entry, supply)| Feed::of(supply, address(entry.settings.text("ip"))))
                .collect(),
            networks: self.networks(node, observer),
            require_witness: self.verify.require_witness,
            timing: Timing {
                wait: self.verify.wait,
                metered_wait: self.verify.metered_wait,
                ..Timing::default()
            },
        }
    }

    /// The node that this host is. Pacemaker's name of a node is the host's, with or without its domain.
    pub(crate) fn observer(&self, host: &str) -> Option<&Node> {
        let short = host.split('.').next();
        self.nodes
            .iter()
            .find(|node| node.name == host || Some(node.name.as_str()) == short)
    }

    fn networks(&self, node: &Node, observer: Option<&Node>) -> Vec<verify::Network> {
        let nameless = node
            .addresses
            .iter()
            .filter(|one| one.network == Network::Client(None))
            .count();
        let mut number = 0;
        let mut networks = Vec::new();
        for Address { network, ip } in &node.addresses {
            let alone = *network != Network::Client(None) || nameless == 1;
            number += usize::from(!alone);
            let name = if alone {
                network.to_string()
            } else {
                format!("{network}-{number}")
            };
            networks.push(verify::Network {
                own_address: observer
                    .filter(|_| alone)
                    .and_then(|node| address_on(node, network)),
                tcp_ports: node.tcp_ports.clone(),
                witnesses: self.verify.witnesses_of(network).collect(),
                shared_witnesses: self.shares_witnesses(network, alone),
                ..verify::Network::new(name, *ip)
            });
        }
        networks
    }

    /// Whether the witnesses of this network were named for all client networks together.
    fn shares_witnesses(&self, network: &Network, alone: bool) -> bool {
        match network {
            Network::Client(Some(_)) => self.verify.witnesses.get(network).is_none_or(Vec::is_empty),
            Network::Client(None) => !alone,
            Network::Management | Network::Storage => false,
        }
    }
}

fn address(text: Option<&str>) -> Option<IpAddr> {
    text?.trim().trim_matches(['[', ']']).parse().ok()
}

fn address_on(node: &Node, network: &Network) -> Option<IpAddr> {
    let mut there = node.addresses.iter().filter(|one| one.network == *network);
    there.next().map(|one| one.ip).filter(|_| there.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
stonith_nodes:
  storage-a:
    {method: tasmota, ip: 10.20.20.201, mgmt_ip: 10.20.20.1, storage_ip: 10.10.10.1}
  storage-b:
    devices: [{method: tasmota, ip: 10.20.20.202, off_max_watts: 5}, {method: tasmota, ip: plug-b.example}]
    mgmt_ip: 10.20.20.2
    storage_ip: 10.10.10.2
    client_ips: [10.30.30.2, 10.40.40.2]
    tcp_ports: [22]
verify: {wait: 7, require_witness: true, witnesses: {management: [10.20.20.254], client: [10.30.30.254]}}
";

    fn plan(host: Option<&str>) -> Plan {
        let cluster = Cluster::from_text(FILE, "cluster.yml").unwrap();
        let node = cluster.node("storage-b").unwrap();
        cluster.plan(node, &node.supplies().unwrap(), host)
    }

    #[test]
    fn everything_of_the_file_is_in_the_plan() {
        let plan = plan(None);
        assert_eq!(plan.devices.len(), 2);
        assert_eq!(plan.devices[0].off_max_watts, Some(5.0));
        assert_eq!(plan.devices[0].address, Some("10.20.20.202".parse().unwrap()));
        assert_eq!(plan.devices[1].address, None);
        assert_eq!(plan.timing.wait.as_secs(), 7);
        assert!(plan.require_witness);
        let names: Vec<_> = plan
            .networks
            .iter()
            .map(|network| network.name.as_str())
            .collect();
        assert_eq!(names, ["management", "storage", "client-1", "client-2"]);
        let shared: Vec<_> = plan
            .networks
            .iter()
            .map(|network| network.shared_witnesses)
            .collect();
        assert_eq!(shared, [false, false, true, true]);
        assert!(plan.networks.iter().all(|network| network.tcp_ports == [22]));
        assert_eq!(plan.networks[0].witnesses.len(), 1);
        assert!(plan.networks[1].witnesses.is_empty());
    }

    #[test]
    fn an_observer_of_the_cluster_knows_its_own_addresses() {
        let own = |host| {
            let plan = plan(host);
            plan.networks
                .iter()
                .map(|network| network.own_address)
                .collect::<Vec<_>>()
        };
        let from_a = [
            Some("10.20.20.1".parse().unwrap()),
            Some("10.10.10.1".parse().unwrap()),
            None,
            None,
        ];
        assert_eq!(own(Some("storage-a.example.org")), from_a);
        assert_eq!(own(Some("quorum")), [None; 4]);
        assert_eq!(own(Some("storage-b")), [None; 4]);
    }
}
