//! From a node of the cluster file to what is verified of it.

use std::net::IpAddr;

use super::model::{Address, Cluster, Network, Node, same_family};
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
        let names = names(node);
        let addresses = node.addresses.iter().zip(names);
        let networks = addresses.map(|(Address { network, ip }, name)| {
            // Nameless client addresses may each be on a network of its own: nothing pairs them with another node's.
            let pairs = *network != Network::Client(None) || is_alone(node, network);
            verify::Network {
                own_address: observer
                    .filter(|_| pairs && address_on(node, network, *ip).is_some())
                    .and_then(|observer| address_on(observer, network, *ip)),
                tcp_ports: node.tcp_ports.clone(),
                witnesses: self.witnesses(node, network, *ip),
                shared_witnesses: self.shares_witnesses(node, network, *ip),
                ..verify::Network::new(name, *ip)
            }
        });
        networks.collect()
    }

    /// Those of its own family. Where the node has no address there that could use the witnesses of the other family, they
    /// are a mistake of the file; they stay, and the silence does not count.
    fn witnesses(&self, node: &Node, network: &Network, ip: IpAddr) -> Vec<IpAddr> {
        let alike: Vec<IpAddr> = self.verify.witnesses_for(network, ip).collect();
        let mut here = node.addresses.iter().filter(|one| one.network == *network);
        let has_both = here.any(|one| !same_family(one.ip, ip));
        match alike.is_empty() && !has_both {
            true => self.verify.witnesses_of(network).collect(),
            false => alike,
        }
    }

    /// Whether the witnesses of this address were named for all client networks together.
    fn shares_witnesses(&self, node: &Node, network: &Network, ip: IpAddr) -> bool {
        match network {
            Network::Client(Some(_)) => {
                let own = self.verify.witnesses.get(network).into_iter().flatten();
                own.filter(|witness| same_family(**witness, ip)).count() == 0
            }
            Network::Client(None) => !is_alone(node, network),
            Network::Management | Network::Storage => false,
        }
    }
}

/// A name for each address of a node. The evidence is told apart by it, so where a network has several addresses they
/// are numbered, past the names that the file itself gave.
fn names(node: &Node) -> Vec<String> {
    let given: Vec<String> = node.addresses.iter().map(|one| one.network.to_string()).collect();
    let mut names: Vec<String> = Vec::with_capacity(given.len());
    for (Address { network, .. }, name) in node.addresses.iter().zip(&given) {
        if is_alone(node, network) {
            names.push(name.clone());
            continue;
        }
        let mut numbered = (1_usize..).map(|number| format!("{name}-{number}"));
        let free = numbered.find(|name| !given.contains(name) && !names.contains(name));
        names.extend(free);
    }
    names
}

fn is_alone(node: &Node, network: &Network) -> bool {
    let here = node.addresses.iter().filter(|one| one.network == *network);
    here.count() == 1
}

fn address(text: Option<&str>) -> Option<IpAddr> {
    text?.trim().trim_matches(['[', ']']).parse().ok()
}

/// The one address of a node on a network that is of the same family as `like`; `None` where there are several.
fn address_on(node: &Node, network: &Network, like: IpAddr) -> Option<IpAddr> {
    let here = node.addresses.iter().filter(|one| one.network == *network);
    let mut alike = here.map(|one| one.ip).filter(|ip| same_family(*ip, like));
    alike.next().filter(|_| alike.next().is_none())
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

    const DUAL_STACK: &str = "
stonith_nodes:
  storage-a:
    method: tasmota
    ip: 10.20.20.201
    mgmt_ip: 10.20.20.1
    storage_ip: [10.10.10.1, 'fd00::1']
    client_ips: {office: [10.30.30.1, 'fd30::1'], storage-1: 10.40.40.1}
  storage-b:
    method: tasmota
    ip: 10.20.20.202
    mgmt_ip: [10.20.20.2, 10.20.20.3]
    storage_ip: [10.10.10.2, 'fd00::2']
verify:
  witnesses:
    management: ['fd20::254']
    storage: [10.10.10.254, 'fd00::254']
    office: [10.30.30.254]
    client: [10.40.40.254, 'fd30::254']
";

    fn dual_stack(node: &str, host: Option<&str>) -> Plan {
        let cluster = Cluster::from_text(DUAL_STACK, "cluster.yml").unwrap();
        let node = cluster.node(node).unwrap();
        cluster.plan(node, &node.supplies().unwrap(), host)
    }

    #[test]
    fn several_addresses_on_one_network_are_told_apart_by_number() {
        let names = |node| -> Vec<String> {
            let networks = dual_stack(node, None).networks;
            networks.into_iter().map(|network| network.name).collect()
        };
        // A client network may itself be called storage-1.
        let of_a = [
            "management",
            "storage-2",
            "storage-3",
            "office-1",
            "office-2",
            "storage-1",
        ];
        assert_eq!(names("storage-a"), of_a);
        let of_b = ["management-1", "management-2", "storage-1", "storage-2"];
        assert_eq!(names("storage-b"), of_b);
    }

    #[test]
    fn an_address_has_the_witnesses_of_its_own_family() {
        let plan = dual_stack("storage-a", None);
        let witnesses: Vec<_> = plan
            .networks
            .iter()
            .map(|network| {
                let all: Vec<String> = network.witnesses.iter().map(ToString::to_string).collect();
                (all.join(" "), network.shared_witnesses)
            })
            .collect();
        let expected = [
            ("fd20::254", false),
            ("10.10.10.254", false),
            ("fd00::254", false),
            ("10.30.30.254 10.40.40.254", false),
            ("fd30::254", true),
            ("10.40.40.254", true),
        ]
        .map(|(all, shared)| (all.to_owned(), shared));
        assert_eq!(witnesses, expected);
    }

    #[test]
    fn an_observer_with_both_families_pairs_them_with_the_nodes() {
        let plan = dual_stack("storage-b", Some("storage-a"));
        let own: Vec<_> = plan.networks.iter().map(|network| network.own_address).collect();
        let expected = [None, None, Some("10.10.10.1"), Some("fd00::1")];
        assert_eq!(own, expected.map(|ip| ip.map(|ip| ip.parse().unwrap())));
    }
}
