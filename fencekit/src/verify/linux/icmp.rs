//! Echo requests. Only a timeout is silence, and what means the same: nobody answered this host's own address
//! resolution. Every other failure is a probe that failed.
//!
//! surge-ping hands back whatever quotes our request, ICMP errors included: this host's own "host unreachable" among
//! them, three seconds after it asked for a dead neighbour. Type, code and sender tell those from a reply.
//!
//! Errors are heard on a raw socket only. A ping socket gets nothing but replies, so that a router that rejects looks
//! like a node that is silent.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use socket2::Type;
use surge_ping::{Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, SurgeError};

use super::netlink::Kernel;
use super::rejection::Rejection;
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
    pub(super) async fn ping(&self, kernel: &Kernel, to: IpAddr, deadline: Deadline) -> Heard {
        let client = match self.client(to) {
            Ok(client) => client,
            Err(error) => return Heard::Failed(cannot_open(to, &error)),
        };
        let sequence = PingSequence(self.sequence.fetch_add(1, Ordering::Relaxed));
        let mut pinger = client.pinger(to, self.identifier).await;
        pinger.timeout(deadline.remaining());
        match pinger.ping(sequence, &PAYLOAD).await {
            Ok((packet, took)) => match Reply::of(&packet) {
                reply if reply.is_echo() => reply.answer(took),
                reply => reply.rejection().heard(kernel, to, "the echo request").await,
            },
            Err(SurgeError::Timeout { .. }) if client.get_socket().get_type() == Type::RAW => Heard::Silent,
            Err(SurgeError::Timeout { .. }) => unheard(kernel, to).await,
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
        // A raw socket first, since it hears errors; a ping socket where that is not permitted.
        let config = Config::builder().kind(kind).sock_type_hint(Type::RAW).build();
        let client = Client::new(&config)?;
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

    /// Echo reply: RFC 792 and RFC 4443. Anything else that quotes our request is an error.
    fn is_echo(self) -> bool {
        self.kind == if self.from.is_ipv6() { 129 } else { 0 }
    }

    fn answer(self, took: Duration) -> Heard {
        Heard::Answered(format!("echo reply after {:.1} ms", took.as_secs_f64() * 1000.0))
    }

    fn rejection(self) -> Rejection {
        let Self { from, kind, code } = self;
        Rejection { from, kind, code }
    }
}

/// No reply, on a socket that hears no errors. Where this host asks for the address itself, nobody on the way could
/// have rejected the request.
async fn unheard(kernel: &Kernel, to: IpAddr) -> Heard {
    match kernel.path(to).await {
        Ok(path) if path.is_direct() && path.resolves => Heard::Silent,
        Ok(_) => Heard::Unreached(
            "no reply, and whether a router rejected the request cannot be heard without CAP_NET_RAW"
                .to_owned(),
        ),
        Err(wrong) => Heard::Failed(wrong),
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

    #[test]
    fn only_an_echo_reply_is_one() {
        let is_echo = |from: &str, kind| {
            let from = from.parse().unwrap();
            Reply { from, kind, code: 0 }.is_echo()
        };
        assert!(is_echo("10.10.10.2", 0) && is_echo("fd00::2", 129));
        assert!(!is_echo("10.10.10.2", 3) && !is_echo("10.10.10.2", 129));
        assert!(!is_echo("fd00::2", 0) && !is_echo("fd00::2", 1));
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
            let heard = Echoes::default()
                .ping(&Kernel::default(), to.parse().unwrap(), deadline)
                .await;
            assert!(
                matches!(heard, Heard::Answered(_) | Heard::Failed(_)),
                "{to}: {heard:?}"
            );
        }
    }
}
