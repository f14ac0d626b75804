//! Firewall rules around the fence devices: each node reaches every device but its own, devices reach nothing.
//!
//! One table of its own, replaced as a whole. Either for all hosts alike, where a packet's source tells the node, so
//! that it also fits a router between the networks; or for one node, which needs no addresses of nodes.

mod doors;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;

use doors::{Door, address_of, doors};

use super::{Generated, Kind, Options};
use crate::cluster::{Cluster, Node};
use crate::deadline::Deadline;
use crate::error::{Error, Result};

/// The ruleset.
///
/// # Errors
/// [`Error::Config`] for a device that is named rather than addressed and was not looked up, and for a node that is
/// not in the file.
pub(super) fn nftables(cluster: &Cluster, options: &Options) -> Result<Generated> {
    let around = Around::of(cluster, options)?;
    let mut notes = around.notes.clone();
    let text = match &options.node {
        None => {
            notes.extend(blind_nodes(cluster, &around));
            for_all(cluster, &around, options.ntp_server)
        }
        Some(name) if cluster.quorum_nodes.contains(name) => {
            for_one(name, &around.of_others(None), &around, options.ntp_server)
        }
        Some(name) => {
            let node = cluster.node(name)?;
            for_one(name, &around.of_others(Some(node)), &around, options.ntp_server)
        }
    };
    Ok(Generated {
        kind: Kind::Nftables,
        text: with_notes(&text, &notes),
        notes,
        holds_secrets: false,
        files: Vec::new(),
    })
}

/// The devices that the cluster file names rather than addresses, for [`Options::resolved`].
///
/// # Errors
/// [`Error::Config`] for an entry that is for the simulator alone.
pub fn named_devices(cluster: &Cluster) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for node in &cluster.nodes {
        for entry in node.entries() {
            let hosts = doors(entry).map_err(|error| crate::cluster::named(&node.name, error))?;
            let hosts = hosts.into_iter().map(|(host, _)| host);
            names.extend(hosts.filter(|host| address_of(host).is_none()));
        }
    }
    Ok(names)
}

/// The addresses that these names have now, for [`Options::resolved`]. Name servers set the pace, `deadline` ends it.
///
/// # Errors
/// [`Error::Config`] for a name without an address, and as [`named_devices`]; [`Error::Timeout`].
pub async fn resolve(cluster: &Cluster, deadline: Deadline) -> Result<BTreeMap<String, Vec<IpAddr>>> {
    let mut resolved = BTreeMap::new();
    for name in named_devices(cluster)? {
        let look_up = async {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            found.map_err(|cause| {
                Error::config(
                    "resolve",
                    format!("{name} has no address now: {cause}"),
                    "write the device's address into the cluster file",
                )
                .caused_by(cause)
            })
        };
        let found = deadline.run("looking up the devices' names", look_up).await?;
        let mut addresses: Vec<_> = found.map(|address| address.ip()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        resolved.insert(name, addresses);
    }
    Ok(resolved)
}

/// A device's port, as a packet has it.
type Way = (IpAddr, Door);

/// The devices of the cluster with their addresses.
struct Around<'c> {
    /// For each node of the file where its own devices are.
    ways: Vec<(&'c Node, BTreeSet<Way>)>,
    /// The nodes that each device feeds.
    fed: BTreeMap<IpAddr, BTreeSet<&'c str>>,
    notes: Vec<String>,
}

impl<'c> Around<'c> {
    fn of(cluster: &'c Cluster, options: &Options) -> Result<Self> {
        let mut around = Self {
            ways: Vec::new(),
            fed: BTreeMap::new(),
            notes: Vec::new(),
        };
        for node in &cluster.nodes {
            let mut own = BTreeSet::new();
            for entry in node.entries() {
                let hosts = doors(entry).map_err(|error| crate::cluster::named(&node.name, error))?;
                for (host, doors) in hosts {
                    for address in around.addresses(&node.name, &host, options)? {
                        around.fed.entry(address).or_default().insert(&node.name);
                        own.extend(doors.iter().map(|door| (address, *door)));
                    }
                }
            }
            around.ways.push((node, own));
        }
        for (address, nodes) in around.fed.iter().filter(|(_, nodes)| nodes.len() > 1) {
            let nodes: Vec<_> = nodes.iter().copied().collect();
            around.notes.push(format!(
                "{address} feeds {}: each of them reaches it, its own outlet included",
                nodes.join(" and ")
            ));
        }
        Ok(around)
    }

    fn addresses(&mut self, node: &str, host: &str, options: &Options) -> Result<Vec<IpAddr>> {
        if let Some(address) = address_of(host) {
            return Ok(vec![address]);
        }
        let Some(found) = options.resolved.get(host).filter(|found| !found.is_empty()) else {
            return Err(Error::config(
                format!("{node}: ip"),
                format!("\"{host}\" is a name, and a firewall rule holds for addresses alone"),
                "write the device's address, or have names looked up now: resolve, --resolve on the command line",
            ));
        };
        let shown: Vec<_> = found.iter().map(ToString::to_string).collect();
        self.notes.push(format!(
            "{node}: {host} was {} when this was written; reserve the address, or the rules will hold for another host",
            shown.join(" and ")
        ));
        Ok(found.iter().map(IpAddr::to_canonical).collect())
    }

    fn devices(&self) -> BTreeSet<IpAddr> {
        self.fed.keys().copied().collect()
    }

    /// What a node has to reach: every device that feeds another. A strip that feeds two is reached by both.
    fn of_others(&self, node: Option<&Node>) -> BTreeSet<Way> {
        let is_other = |other: &Node| node.is_none_or(|node| node.name != other.name);
        let others = self.ways.iter().filter(|(other, _)| is_other(other));
        others.flat_map(|(_, own)| own).copied().collect()
    }

    /// Each node with the devices that feed it and nobody else, which it must not reach.
    fn own(&self) -> impl Iterator<Item = (&'c Node, IpAddr)> {
        let alone = |address: &IpAddr| self.fed.get(address).is_some_and(|nodes| nodes.len() == 1);
        self.ways.iter().flat_map(move |(node, own)| {
            let addresses: BTreeSet<_> = own.iter().map(|(address, _)| *address).filter(alone).collect();
            addresses.into_iter().map(|address| (*node, address))
        })
    }
}

/// The nodes that cannot be told by an address of the family in which they are to reach devices.
fn blind_nodes(cluster: &Cluster, around: &Around<'_>) -> Option<String> {
    let devices = around.devices();
    let is_blind = |node: &&Node| {
        let lacks = |family: Family| {
            devices.iter().any(|device| family.has(device))
                && !node.addresses.iter().any(|address| family.has(&address.ip))
        };
        [FOUR, SIX].into_iter().any(lacks)
    };
    let blind: Vec<_> = cluster
        .nodes
        .iter()
        .filter(is_blind)
        .map(|node| node.name.as_str())
        .collect();
    (!blind.is_empty()).then(|| {
        format!(
            "{}: without an address in the cluster file from which it reaches the devices; this ruleset neither keeps \
             it from its own device nor lets it through a router. Write its mgmt_ip, give --host-vars DIR, or \
             generate its own ruleset with --node",
            blind.join(", ")
        )
    })
}

const HEAD: &str = "\
#!/usr/sbin/nft -f
# Around the fence devices; written by fencekit generate nftables. Load it with: nft -f FILE
# One table of its own, replaced as a whole. What it accepts, another table may still drop.
";

/// The same for every node, and for a router between the networks.
fn for_all(cluster: &Cluster, around: &Around<'_>, ntp: Option<IpAddr>) -> String {
    let mut text = String::from(HEAD);
    text.push_str(
        "# For every node, and for a router between the networks: a packet's source tells which node sent it.\n\
         # A node that loads it may fence from an address that is not in the cluster file; through a router it may not.\n\
         # Hosts of administrators pass a router once they are in a set: \
         nft add element inet fencekit administrators4 '{ 10.20.20.50 }'\n",
    );
    let nodes = cluster.nodes.iter().flat_map(|node| &node.addresses);
    let nodes: BTreeSet<_> = nodes.map(|address| address.ip.to_canonical()).collect();
    let mut own = BTreeSet::new();
    for (node, device) in around.own() {
        let sources = node.addresses.iter().map(|address| address.ip.to_canonical());
        let sources = sources.filter(|source| source.is_ipv4() == device.is_ipv4());
        own.extend(sources.map(|source| (source, device)));
    }
    open_table(&mut text);
    for family in [FOUR, SIX] {
        family.addresses(&mut text, "devices", &around.devices());
        family.doors(&mut text, &around.of_others(None));
        family.addresses(&mut text, "nodes", &nodes);
        family.pairs(&mut text, &own);
        let _ = writeln!(
            text,
            "\tset administrators{} {{ type {}; flags interval; }}",
            family.digit, family.kind
        );
    }
    text.push_str("\n\tchain passes_to_device {\n");
    // First, so that an open connection to one's own device does not live on.
    for Family { digit, ip, .. } in [FOUR, SIX] {
        let _ = writeln!(text, "\t\t{ip} saddr . {ip} daddr @own{digit} counter drop");
    }
    text.push_str(REPLIES);
    text.push_str("\t}\n");
    chain(&mut text, "to_device", |text| {
        text.push_str("\t\tjump passes_to_device\n");
        accept_doors(text, |_| String::new());
    });
    chain(&mut text, "through_to_device", |text| {
        text.push_str("\t\tjump passes_to_device\n");
        for set in ["nodes", "administrators"] {
            accept_doors(text, |family| {
                format!("{} saddr @{set}{} ", family.ip, family.digit)
            });
        }
    });
    from_device(&mut text, ntp);
    hooks(&mut text, "through_to_device");
    text
}

/// For one node: what it need not reach is closed, its own device before all.
fn for_one(name: &str, ways: &BTreeSet<Way>, around: &Around<'_>, ntp: Option<IpAddr>) -> String {
    let mut text = String::from(HEAD);
    let _ = writeln!(
        text,
        "# For {} alone: its own device is closed to it.",
        line(name)
    );
    open_table(&mut text);
    for family in [FOUR, SIX] {
        family.addresses(&mut text, "devices", &around.devices());
        family.doors(&mut text, ways);
        let reached = ways.iter().map(|(address, _)| *address).collect();
        family.addresses(&mut text, "reached", &reached);
    }
    chain(&mut text, "to_device", |text| {
        for Family { digit, ip, echo, .. } in [FOUR, SIX] {
            let _ = writeln!(
                text,
                "\t\t{ip} daddr . meta l4proto . th dport @doors{digit} accept"
            );
            let _ = writeln!(text, "\t\t{ip} daddr @reached{digit} {echo} accept");
        }
    });
    chain(&mut text, "no_way_through", |_| {});
    from_device(&mut text, ntp);
    hooks(&mut text, "no_way_through");
    text
}

/// Replies, and what IPv6 needs to find the device at all.
const REPLIES: &str = "\t\tct state established,related accept\n\
\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n";

fn open_table(text: &mut String) {
    // The first line makes the second one work where there is no table yet; the whole file is one transaction.
    text.push_str("\ntable inet fencekit\ndelete table inet fencekit\ntable inet fencekit {\n");
}

/// A chain that ends in a drop.
fn chain(text: &mut String, name: &str, rules: impl FnOnce(&mut String)) {
    let _ = writeln!(text, "\n\tchain {name} {{");
    rules(text);
    text.push_str("\t\tcounter drop\n\t}\n");
}

/// The devices' ports, and the echo by which a fence device serves as a witness of its network.
fn accept_doors(text: &mut String, source: impl Fn(Family) -> String) {
    for family in [FOUR, SIX] {
        let Family { digit, ip, echo, .. } = family;
        let source = source(family);
        let _ = writeln!(
            text,
            "\t\t{source}{ip} daddr . meta l4proto . th dport @doors{digit} accept"
        );
        let _ = writeln!(text, "\t\t{source}{ip} daddr @devices{digit} {echo} accept");
    }
}

fn from_device(text: &mut String, ntp: Option<IpAddr>) {
    chain(text, "from_device", |text| {
        text.push_str(REPLIES);
        if let Some(server) = ntp.map(|server| server.to_canonical()) {
            let ip = if server.is_ipv4() { FOUR.ip } else { SIX.ip };
            let _ = writeln!(text, "\t\t{ip} daddr {server} udp dport 123 accept");
        }
        text.push_str(
            "\t\t# Where this host gives the devices their addresses:\n\
             \t\t# udp sport 68 udp dport 67 accept\n",
        );
    });
}

/// What is not to or from a device goes by unseen.
fn hooks(text: &mut String, through: &str) {
    let hooks = [
        ("output", "daddr", "to_device"),
        ("input", "saddr", "from_device"),
    ];
    for (hook, side, then) in hooks {
        hooked(text, hook, &[(side, then)]);
    }
    hooked(text, "forward", &[("saddr", "from_device"), ("daddr", through)]);
    text.push_str("}\n");
}

fn hooked(text: &mut String, hook: &str, jumps: &[(&str, &str)]) {
    let _ = write!(
        text,
        "\n\tchain {hook} {{\n\t\ttype filter hook {hook} priority filter; policy accept;\n"
    );
    for (side, then) in jumps {
        for Family { digit, ip, .. } in [FOUR, SIX] {
            let _ = writeln!(text, "\t\t{ip} {side} @devices{digit} jump {then}");
        }
    }
    text.push_str("\t}\n");
}

/// How a family of addresses is written.
#[derive(Clone, Copy)]
struct Family {
    digit: char,
    ip: &'static str,
    kind: &'static str,
    echo: &'static str,
}

const FOUR: Family = Family {
    digit: '4',
    ip: "ip",
    kind: "ipv4_addr",
    echo: "icmp type echo-request",
};
const SIX: Family = Family {
    digit: '6',
    ip: "ip6",
    kind: "ipv6_addr",
    echo: "icmpv6 type echo-request",
};

impl Family {
    fn has(self, address: &IpAddr) -> bool {
        address.is_ipv4() == (self.digit == '4')
    }

    fn addresses(self, text: &mut String, name: &str, all: &BTreeSet<IpAddr>) {
        let own = all.iter().filter(|address| self.has(address));
        self.set(text, name, self.kind, own.map(ToString::to_string));
    }

    fn doors(self, text: &mut String, ways: &BTreeSet<Way>) {
        let own = ways.iter().filter(|(address, _)| self.has(address));
        let shown = own.map(|(address, door)| match door {
            Door::Tcp(port) => format!("{address} . tcp . {port}"),
            Door::Udp(port) => format!("{address} . udp . {port}"),
        });
        let kind = format!("{} . inet_proto . inet_service", self.kind);
        self.set(text, "doors", &kind, shown);
    }

    fn pairs(self, text: &mut String, pairs: &BTreeSet<(IpAddr, IpAddr)>) {
        let own = pairs.iter().filter(|(source, _)| self.has(source));
        let shown = own.map(|(source, device)| format!("{source} . {device}"));
        self.set(text, "own", &format!("{0} . {0}", self.kind), shown);
    }

    fn set(self, text: &mut String, name: &str, kind: &str, elements: impl Iterator<Item = String>) {
        let elements: Vec<_> = elements.collect();
        let _ = write!(text, "\tset {name}{} {{ type {kind};", self.digit);
        if elements.is_empty() {
            text.push_str(" }\n");
            return;
        }
        let _ = write!(
            text,
            "\n\t\telements = {{\n\t\t\t{}\n\t\t}}\n\t}}\n",
            elements.join(",\n\t\t\t")
        );
    }
}

fn with_notes(text: &str, notes: &[String]) -> String {
    let (head, rest) = text.split_at(text.find("\ntable ").unwrap_or(0));
    let notes: String = notes
        .iter()
        .map(|note| format!("# NOTE: {}\n", line(note)))
        .collect();
    format!("{head}{notes}{rest}")
}

/// A text that stays within its comment.
fn line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests;
