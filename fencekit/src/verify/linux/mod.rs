//! Probes over the real network of a Linux host.
//!
//! Works without root as far as the kernel allows: echo requests go over a raw socket or, without `CAP_NET_RAW`,
//! over a ping socket when `net.ipv4.ping_group_range` permits that; routes, links and neighbours can be read by
//! anybody. What cannot be done is a failed probe with the mend in its words, never silence. Who rejected a probe is
//! heard on raw sockets only, so that behind a router less is believed without them.

mod icmp;
mod neighbour;
mod netlink;
mod rejection;
mod tcp;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;

use super::probe::{Heard, Path, Prober};
use crate::deadline::Deadline;

/// The network of this host. Make one for each verification, within a tokio runtime.
#[derive(Default)]
pub struct HostProber {
    echoes: icmp::Echoes,
    kernel: netlink::Kernel,
    knocks: neighbour::Knocks,
    rejections: rejection::Rejections,
}

impl HostProber {
    /// A prober that has opened nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for HostProber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HostProber")
    }
}

#[async_trait]
impl Prober for HostProber {
    async fn path(&self, to: IpAddr) -> Result<Path, String> {
        self.kernel.path(to).await
    }

    async fn ping(&self, to: IpAddr, deadline: Deadline) -> Heard {
        self.echoes.ping(&self.kernel, to, deadline).await
    }

    async fn connect(&self, to: SocketAddr, path: Option<&Path>, deadline: Deadline) -> Heard {
        tcp::connect(&self.kernel, &self.rejections, to, path, deadline).await
    }

    async fn neighbour(&self, to: IpAddr, path: &Path, asked_ago: Option<Duration>) -> Heard {
        neighbour::ask(&self.kernel, &self.knocks, to, path, asked_ago).await
    }
}
