//! What the network probes can do, so that the same verification runs over real sockets, over a simulated network
//! and on a virtual clock.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;

use crate::deadline::Deadline;

/// How a packet to an address leaves this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The link it leaves by.
    pub link: String,
    /// The router in between; `None` on a directly connected network.
    pub gateway: Option<IpAddr>,
    /// The address that the packet leaves from.
    pub source: Option<IpAddr>,
    /// This host's usable addresses on the link.
    pub addresses: Vec<IpAddr>,
    /// Whether addresses are resolved on this link by ARP or NDP, so that neighbours can be asked.
    pub resolves: bool,
}

impl Path {
    /// Whether the address is on a directly connected network.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.gateway.is_none()
    }

    /// Whether both leave by the same link and router.
    #[must_use]
    pub fn goes_like(&self, other: &Self) -> bool {
        self.link == other.link && self.gateway == other.gateway
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.link)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        if let Some(source) = self.source {
            write!(f, " from {source}")?;
        }
        Ok(())
    }
}

/// What a network probe heard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Heard {
    /// An answer, in words. Whoever answered lives.
    Answered(String),
    /// The probe was sent, its answer was awaited until the deadline, and none came.
    Silent,
    /// No answer, but perhaps only since somebody in between did not pass the probe on: a router that says "host
    /// unreachable", or one whose errors could not be heard. In words. It counts as silence where a witness on the
    /// same network answers, and is a failed probe elsewhere.
    Unreached(String),
    /// Nothing can be said yet; a later probe may.
    Undecided(String),
    /// The probe failed, and why. It shows nothing.
    Failed(String),
}

/// Probes a network. Implementations must never take a failure for silence: [`Heard::Silent`] means that a probe
/// left this host and that an answer would have been heard.
#[async_trait]
pub trait Prober: Send + Sync {
    /// How `to` is reached, when route, link and own address are sound.
    ///
    /// # Errors
    /// In words, what is broken or could not be asked.
    async fn path(&self, to: IpAddr) -> Result<Path, String>;

    /// Sends one echo request and waits for its reply until the deadline.
    async fn ping(&self, to: IpAddr, deadline: Deadline) -> Heard;

    /// Opens a TCP connection; accepted and refused are both answers.
    async fn connect(&self, to: SocketAddr, path: Option<&Path>, deadline: Deadline) -> Heard;

    /// Makes this host resolve `to` anew, and says whether that was answered. `asked_ago` is the time since the
    /// first call for this address in the same verification, `None` on that first call: whatever was known before
    /// it is no evidence.
    async fn neighbour(&self, to: IpAddr, path: &Path, asked_ago: Option<Duration>) -> Heard;
}
