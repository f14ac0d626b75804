//! What is to be verified of a node: its devices, its addresses, the witnesses, the times.

use std::net::IpAddr;
use std::time::Duration;

use crate::device::Label;

/// Everything that a verification needs to know about a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The node's name.
    pub node: String,
    /// The devices that feed it. All must be off.
    pub devices: Vec<Feed>,
    /// The networks that it answers on while it is alive. All must be silent.
    pub networks: Vec<Network>,
    /// Whether a network's silence counts only with a witness on it. Where a network has a witness at all, that
    /// must answer in any case.
    pub require_witness: bool,
    /// The times.
    pub timing: Timing,
}

/// A device as the verdict sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed {
    /// The device's label, which names it in the evidence.
    pub label: String,
    /// Its address, where that is no host name: it is a witness on the network that it is directly connected to.
    pub address: Option<IpAddr>,
    /// What its meter may read at most, in watts. `None`: its meter is not asked.
    pub off_max_watts: Option<f64>,
    /// What its meter read before the node was switched off, in watts.
    pub baseline_watts: Option<f64>,
}

impl Feed {
    /// A device without a meter.
    #[must_use]
    pub fn of(label: &Label, address: Option<IpAddr>) -> Self {
        Self {
            label: label.to_string(),
            address,
            off_max_watts: None,
            baseline_watts: None,
        }
    }
}

/// One address of the node on one of its networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The network's name: `management`, `storage`, `client`, or the user's own. Unique within a plan, since the
    /// evidence is told apart by it.
    pub name: String,
    /// The node's address there.
    pub address: IpAddr,
    /// This host's own address there, where it is known: it must be on the link that leads to the node. An observer
    /// that lost its address would send by its default route, into nowhere, and hear nothing.
    pub own_address: Option<IpAddr>,
    /// TCP ports that are tried besides ICMP.
    pub tcp_ports: Vec<u16>,
    /// Addresses of others on this network that answer echo requests.
    pub witnesses: Vec<IpAddr>,
    /// Whether the witnesses were named for several networks together, as `witness_client_ips` are. Those that
    /// are reached another way than the node are then passed over; elsewhere such a witness is an error of
    /// configuration, and the silence does not count.
    pub shared_witnesses: bool,
}

impl Network {
    /// A network with nothing but the node's address.
    #[must_use]
    pub fn new(name: impl Into<String>, address: IpAddr) -> Self {
        Self {
            name: name.into(),
            address,
            own_address: None,
            tcp_ports: Vec::new(),
            witnesses: Vec::new(),
            shared_witnesses: false,
        }
    }
}

/// The times of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long the node is observed (`verify_wait`). At least [`Timing::SHORTEST`] is observed whatever is
    /// written here: silence needs time to be heard.
    pub wait: Duration,
    /// A shorter window, for nodes on metered devices only: it is enough when each meter's draw fell from a
    /// baseline above its threshold to below.
    pub metered_wait: Option<Duration>,
    /// Pause before the networks are probed. A power supply carries a node on for a moment after its outlet went
    /// off; an answer from that moment would be taken for life.
    pub settle: Duration,
}

impl Timing {
    /// The shortest window.
    pub const SHORTEST: Duration = Duration::from_secs(1);
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(10),
            metered_wait: None,
            settle: Duration::from_millis(500),
        }
    }
}
