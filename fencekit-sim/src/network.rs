//! A simulated network behind the same trait as the real one: who answers is decided by the simulation.
//!
//! It lets a verification be shown without root and without a second machine. It proves nothing of the real probes:
//! those are tested in network namespaces (see `interop/`).

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use fencekit::Deadline;
use fencekit::verify::{Heard, Path, Prober};

use crate::Device;

/// How long an answer takes.
const ROUND_TRIP: Duration = Duration::from_millis(1);

type IsAlive = Box<dyn Fn() -> bool + Send + Sync>;

struct Host {
    link: String,
    is_alive: IsAlive,
}

/// Hosts by address, each on one of the observer's directly connected networks.
#[derive(Default)]
pub struct SimNetwork {
    hosts: HashMap<IpAddr, Host>,
}

impl SimNetwork {
    /// Nobody yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A host that always answers: a witness.
    #[must_use]
    pub fn with_host(self, network: &str, address: IpAddr) -> Self {
        self.with(network, address, Box::new(|| true))
    }

    /// A node that answers as long as power really flows through this outlet, whatever the device says of it.
    #[must_use]
    pub fn with_node(self, network: &str, address: IpAddr, feed: Device, outlet: usize) -> Self {
        self.with(
            network,
            address,
            Box::new(move || feed.relay(outlet) == Some(true)),
        )
    }

    /// A node that answers for as long as `is_alive` says so.
    #[must_use]
    pub fn with_node_while(
        self,
        network: &str,
        address: IpAddr,
        is_alive: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(network, address, Box::new(is_alive))
    }

    fn with(mut self, network: &str, address: IpAddr, is_alive: IsAlive) -> Self {
        let link = format!("simulated-{network}");
        self.hosts.insert(address, Host { link, is_alive });
        self
    }

    fn answers(&self, address: IpAddr) -> bool {
        self.hosts.get(&address).is_some_and(|host| (host.is_alive)())
    }

    async fn ask(&self, address: IpAddr, deadline: Deadline, how: &str) -> Heard {
        if self.answers(address) {
            tokio::time::sleep(ROUND_TRIP).await;
            return Heard::Answered(format!("simulated: {how}"));
        }
        tokio::time::sleep_until(deadline.instant()).await;
        Heard::Silent
    }
}

impl fmt::Debug for SimNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.hosts.keys()).finish()
    }
}

#[async_trait]
impl Prober for SimNetwork {
    async fn path(&self, to: IpAddr) -> Result<Path, String> {
        let host = self
            .hosts
            .get(&to)
            .ok_or_else(|| format!("{to} is on none of the simulated networks"))?;
        Ok(Path {
            link: host.link.clone(),
            gateway: None,
            source: None,
            addresses: Vec::new(),
            resolves: true,
        })
    }

    async fn ping(&self, to: IpAddr, deadline: Deadline) -> Heard {
        self.ask(to, deadline, "echo reply").await
    }

    async fn connect(&self, to: SocketAddr, _: Option<&Path>, deadline: Deadline) -> Heard {
        self.ask(to.ip(), deadline, "the port accepted a connection")
            .await
    }

    async fn neighbour(&self, to: IpAddr, _: &Path, asked_ago: Option<Duration>) -> Heard {
        match asked_ago {
            _ if self.answers(to) => Heard::Answered("simulated: address resolution was answered".to_owned()),
            None => Heard::Undecided("just asked".to_owned()),
            Some(_) => Heard::Silent,
        }
    }
}

#[cfg(test)]
mod tests {
    use fencekit::verify::{Feed, Network, Outcome, Plan, Probe, Timing, Verdict, verify};

    use super::*;
    use crate::Spec;

    const NODE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 20, 20, 2));
    const WITNESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 20, 20, 254));

    async fn heard(plug: &Device) -> Heard {
        let network = SimNetwork::new().with_node("management", NODE, plug.clone(), 0);
        network
            .ping(NODE, Deadline::after(Duration::from_millis(50)))
            .await
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_lives_by_its_relay_and_not_by_what_the_plug_says() {
        let plug = Device::new(Spec::plug("storage-b"));
        assert!(matches!(heard(&plug).await, Heard::Answered(_)));
        plug.set(0, false, false);
        assert_eq!(plug.reported(0), Some(false));
        assert!(matches!(heard(&plug).await, Heard::Answered(_)));
        plug.set(0, false, true);
        assert_eq!(heard(&plug).await, Heard::Silent);
    }

    /// A verification over it that has no device can never confirm.
    #[tokio::test(start_paused = true)]
    async fn silence_alone_confirms_nothing() {
        let network = SimNetwork::new().with_host("management", WITNESS);
        let mut management = Network::new("management", NODE);
        management.witnesses.push(WITNESS);
        let plan = Plan {
            node: "storage-b".into(),
            devices: Vec::<Feed>::new(),
            networks: vec![management],
            require_witness: true,
            timing: Timing::default(),
        };
        let report = verify(&plan, &[], &network).await.unwrap();
        assert_eq!(report.verdict, Verdict::Inconclusive);
    }

    /// The same hosts, all of them behind one router.
    struct Routed(SimNetwork);

    #[async_trait]
    impl Prober for Routed {
        async fn path(&self, to: IpAddr) -> Result<Path, String> {
            self.0.path(to).await.map(|path| Path {
                link: "uplink".to_owned(),
                gateway: Some("192.0.2.1".parse().unwrap()),
                resolves: false,
                ..path
            })
        }

        async fn ping(&self, to: IpAddr, deadline: Deadline) -> Heard {
            self.0.ping(to, deadline).await
        }

        async fn connect(&self, to: SocketAddr, path: Option<&Path>, deadline: Deadline) -> Heard {
            self.0.connect(to, path, deadline).await
        }

        async fn neighbour(&self, to: IpAddr, path: &Path, asked_ago: Option<Duration>) -> Heard {
            self.0.neighbour(to, path, asked_ago).await
        }
    }

    /// Which of a dead node's client networks the witnesses for all of them speak for.
    async fn witnessed(clients: &[&str], witnesses: &[&str]) -> Vec<String> {
        let mut network = SimNetwork::new();
        let mut networks = Vec::new();
        for (index, client) in clients.iter().enumerate() {
            let address = client.parse().unwrap();
            network = network.with_node_while("far", address, || false);
            let mut client = Network::new(format!("client-{index}"), address);
            client.shared_witnesses = true;
            client.witnesses = witnesses.iter().map(|one| one.parse().unwrap()).collect();
            networks.push(client);
        }
        for witness in witnesses {
            network = network.with_host("far", witness.parse().unwrap());
        }
        let plan = Plan {
            node: "storage-b".into(),
            devices: Vec::<Feed>::new(),
            networks,
            require_witness: true,
            timing: Timing::default(),
        };
        let report = verify(&plan, &[], &Routed(network)).await.unwrap();
        let mut named: Vec<String> = report
            .evidence
            .iter()
            .filter(|one| one.probe == Probe::Witness && one.outcome == Outcome::Answered)
            .filter_map(|one| one.network.clone())
            .collect();
        named.dedup();
        named
    }

    #[tokio::test(start_paused = true)]
    async fn a_shared_witness_behind_a_router_speaks_for_its_own_network() {
        let near = witnessed(&["10.30.30.2", "10.40.40.2"], &["10.30.30.254"]).await;
        assert_eq!(near, ["client-0"]);
        let each = witnessed(&["10.30.30.2", "10.40.40.2"], &["10.30.30.254", "10.40.40.254"]).await;
        assert_eq!(each, ["client-0", "client-1"]);
        let both = witnessed(&["10.30.30.2", "10.30.30.130"], &["10.30.30.254"]).await;
        assert_eq!(both, ["client-0", "client-1"]);
        let six = witnessed(&["fd00:30::2", "fd00:40::2"], &["fd00:40::fe"]).await;
        assert_eq!(six, ["client-1"]);
    }
}
