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
    use fencekit::verify::{Feed, Network, Plan, Timing, Verdict, verify};

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
}
