//! Echo requests. Only a timeout is silence, and what means the same: nobody answered address resolution. Every
//! other failure is a probe that failed.
//!
//! surge-ping hands back whatever quotes our request, ICMP errors included: this host's own "host unreachable" among
//! them, three seconds after it asked for a dead neighbour. Type, code and sender tell those from a reply.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use surge_ping::{Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, SurgeError};

use crate::deadline::Deadline;
use crate::verify::probe::Heard;

/// What an echo request carries.
const PAYLOAD: [u8; 16] = *b"fencekit  verify";

/// Sends echo requests, over one socket for each family.
pub(super) struct Echoes {
    clients: Mutex<HashMap<bool, Client>>,
    identifier: PingIdentifier,
    sequence: AtomicU16,
}

impl Default for Echoes {
    fn default() -> Self {
        // A raw socket sees every echo reply of the host: the identifier tells ours from another program's.
        let random = RandomState::new().hash_one(std::process::id());
        Self {
            clients: Mutex::default(),
            identifier: PingIdentifier((random & 0xffff) as u16),
            sequence: AtomicU16::new(0),
        }
    }
}

impl Echoes {
    pub(super) async fn ping(&self, to: IpAddr, deadline: Deadline) -> Heard {
        let client = match self.client(to) {
            Ok(client) => client,
            Err(error) => return Heard::Failed(cannot_open(to, &error)),
        };
        let sequence = PingSequence(self.sequence.fetch_add(1, Ordering::Relaxed));
        let mut pinger = client.pinger(to, self.identifier).await;
        pinger.timeout(deadline.remaining());
        match pinger.ping(sequence, &PAYLOAD).await {
            Ok((packet, took)) => Reply::of(&packet).heard(to, took),
            Err(SurgeError::Timeout { .. }) => Heard::Silent,
            Err(SurgeError::IOError(error)) => Heard::Failed(cannot_send(&error)),
            Err(other) => Heard::Failed(format!("the echo request failed: {other}")),
        }
    }

    fn client(&self, to: IpAddr) -> io::Result<Client> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&to.is_ipv6()) {
            return Ok(client.clone());
        }
        let kind = if to.is_ipv6() { ICMP::V6 } else { ICMP::V4 };
        // Tries a ping socket first, then a raw one.
        let client = Client::new(&Config::builder().kind(kind).build())?;
        clients.insert(to.is_ipv6(), client.clone());
        Ok(client)
    }
}

/// What came back for a request.
#[derive(Clone, Copy, Debug)]
struct Reply {
    from: IpAddr,
    kind: u8,
    code: u8,
}

impl Reply {
    fn of(packet: &IcmpPacket) -> Self {
        match packet {
            IcmpPacket::V4(packet) => Self {
                from: IpAddr::V4(packet.get_source()),
                kind: packet.get_icmp_type().0,
                code: packet.get_icmp_code().0,
            },
            IcmpPacket::V6(packet) => Self {
                from: IpAddr::V6(packet.get_source()),
                kind: packet.get_icmpv6_type().0,
                code: packet.get_icmpv6_code().0,
            },
        }
    }

    /// Echo reply: RFC 792 and RFC 4443.
    fn is_echo_reply(self) -> bool {
        self.kind == if self.from.is_ipv6() { 129 } else { 0 }
    }

    /// "Host unreachable" and "address unreachable": whoever was to deliver it, this host or the last router, asked
    /// for the address and nobody answered. That shows as much as no answer at all.
    fn is_unresolved(self) -> bool {
        (self.kind, self.code) == if self.from.is_ipv6() { (1, 3) } else { (3, 1) }
    }

    fn heard(self, to: IpAddr, took: Duration) -> Heard {
        let took = took.as_secs_f64() * 1000.0;
        if self.is_echo_reply() {
            return Heard::Answered(format!("echo reply after {took:.1} ms"));
        }
        // Whatever it says, it was the node that said it.
        if self.from == to {
            return Heard::Answered(format!(
                "it rejected the echo request after {took:.1} ms (ICMP type {}, code {})",
                self.kind, self.code
            ));
        }
        if self.is_unresolved() {
            return Heard::Silent;
        }
        Heard::Failed(format!(
            "{} rejected the echo request on its way (ICMP type {}, code {})",
            self.from, self.kind, self.code
        ))
    }
}

fn cannot_open(to: IpAddr, error: &io::Error) -> String {
    let family = if to.is_ipv6() { "IPv6" } else { "IPv4" };
    if error.kind() == io::ErrorKind::PermissionDenied {
        return "no permission to send echo requests: run as root, give the program CAP_NET_RAW \
                (setcap cap_net_raw+ep), or set sysctl net.ipv4.ping_group_range"
            .to_owned();
    }
    format!("no {family} socket for echo requests: {error}")
}

fn cannot_send(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return "this host's own firewall keeps the echo request from leaving; permit it".to_owned();
    }
    format!("the echo request could not be sent: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(from: &str, kind: u8, code: u8, to: &str) -> Heard {
        let reply = Reply {
            from: from.parse().unwrap(),
            kind,
            code,
        };
        reply.heard(to.parse().unwrap(), Duration::from_millis(3))
    }

    #[test]
    fn only_a_reply_and_the_nodes_own_words_are_life() {
        let node = "10.10.10.2";
        assert!(matches!(heard(node, 0, 0, node), Heard::Answered(_)));
        assert!(matches!(heard("fd00::2", 129, 0, "fd00::2"), Heard::Answered(_)));
        // The node's firewall rejects: it lives.
        assert!(matches!(heard(node, 3, 10, node), Heard::Answered(_)));
        // This host's own error, and the last router's: nobody answered ARP or NDP.
        assert_eq!(heard("10.10.10.7", 3, 1, node), Heard::Silent);
        assert_eq!(heard("fd00::7", 1, 3, "fd00::2"), Heard::Silent);
        // Type 1 in IPv4 and type 3 in IPv6 are something else.
        assert!(matches!(heard("10.10.10.7", 1, 3, node), Heard::Failed(_)));
        assert!(matches!(heard("fd00::7", 3, 1, "fd00::2"), Heard::Failed(_)));
    }

    #[test]
    fn whoever_stops_the_request_on_its_way_leaves_the_probe_failed() {
        let router = "10.20.20.1";
        for code in [0, 2, 9, 10, 13] {
            let heard = heard(router, 3, code, "10.10.10.2");
            assert!(
                matches!(&heard, Heard::Failed(why) if why.contains(router)),
                "{heard:?}"
            );
        }
        // Time exceeded: a loop.
        assert!(matches!(heard(router, 11, 0, "10.10.10.2"), Heard::Failed(_)));
        assert!(matches!(heard("fd00::1", 1, 1, "fd00::2"), Heard::Failed(_)));
    }

    #[test]
    fn the_mend_is_named() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let to = IpAddr::from([127, 0, 0, 1]);
        assert!(cannot_open(to, &denied).contains("ping_group_range"));
        assert!(cannot_send(&denied).contains("firewall"));
    }

    /// Where this is allowed at all, the host hears itself; where it is not, the probe says so.
    #[tokio::test]
    async fn loopback_answers_or_the_probe_fails() {
        for to in ["127.0.0.1", "::1"] {
            let deadline = Deadline::after(Duration::from_secs(2));
            let heard = Echoes::default().ping(to.parse().unwrap(), deadline).await;
            assert!(
                matches!(heard, Heard::Answered(_) | Heard::Failed(_)),
                "{to}: {heard:?}"
            );
        }
    }
}
