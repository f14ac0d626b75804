//! ICMP errors: what they show depends on who sent them.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Mutex, PoisonError};

use socket2::{Domain, Protocol, Socket, Type};

use super::neighbour;
use super::netlink::Kernel;
use crate::verify::probe::{Heard, Path};

/// Protocol number, from the registry of IANA.
const TCP: u8 = 6;
/// Packets read at one time. The kernel's buffer for a socket holds fewer.
const READ_AT_MOST: usize = 4096;
/// Errors kept until somebody asks for them.
const KEPT_AT_MOST: usize = 1024;

/// An ICMP error about a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rejection {
    pub(super) from: IpAddr,
    pub(super) kind: u8,
    pub(super) code: u8,
}

impl Rejection {
    /// "Host unreachable" (RFC 792) and "address unreachable" (RFC 4443): what is said when nobody answers address
    /// resolution, but also by a route or a firewall that was told to.
    fn is_unresolved(self) -> bool {
        (self.kind, self.code) == if self.from.is_ipv6() { (1, 3) } else { (3, 1) }
    }

    /// What it shows of `to`. `probe` is what was rejected, in words.
    pub(super) async fn heard(self, kernel: &Kernel, to: IpAddr, probe: &str) -> Heard {
        if self.from == to || !self.is_unresolved() {
            return self.plain(to, probe);
        }
        let path = match kernel.path(to).await {
            Ok(path) => path,
            Err(wrong) => return Heard::Failed(wrong),
        };
        let unanswered = neighbour::is_unanswered(kernel, to, &path).await;
        self.unresolved(to, probe, &path, unanswered)
    }

    /// What needs no look at this host: whatever the node said, it was the node; and a refusal of others is none.
    fn plain(self, to: IpAddr, probe: &str) -> Heard {
        let Self { from, kind, code } = self;
        if from == to {
            return Heard::Answered(format!(
                "it rejected {probe} itself (ICMP type {kind}, code {code})"
            ));
        }
        Heard::Failed(format!(
            "{from} rejected {probe} on its way (ICMP type {kind}, code {code})"
        ))
    }

    /// "Host unreachable" of somebody else. This host's own word counts where its neighbour table bears it out.
    fn unresolved(self, to: IpAddr, probe: &str, path: &Path, unanswered: bool) -> Heard {
        let from = self.from;
        let own = path.addresses.contains(&from) || path.source == Some(from);
        match path.gateway {
            Some(gateway) if own => Heard::Failed(format!(
                "the router {gateway} does not answer, so {probe} did not get there"
            )),
            None if own && unanswered => Heard::Silent,
            None if own => Heard::Failed(format!(
                "this host itself rejected {probe}: does its firewall, or a tunnel that is down?"
            )),
            _ => Heard::Unreached(format!("{from} says that it cannot reach {to}")),
        }
    }
}

/// Hears which ICMP errors the connections of this host meet: the kernel tells that one was rejected, not by whom.
#[derive(Default)]
pub(super) struct Rejections(Mutex<HashMap<bool, Ear>>);

/// One raw socket, and what it has heard.
struct Ear {
    socket: UdpSocket,
    heard: VecDeque<(Quoted, Rejection)>,
}

impl Rejections {
    /// Listens from now on. False without `CAP_NET_RAW`.
    pub(super) fn listen(&self, to: IpAddr) -> bool {
        let mut ears = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ear) = ears.get_mut(&to.is_ipv6()) {
            ear.read();
            return true;
        }
        match Ear::open(to.is_ipv6()) {
            Ok(ear) => {
                ears.insert(to.is_ipv6(), ear);
                true
            }
            Err(error) => {
                log::debug!("ICMP errors about connections cannot be heard: {error}");
                false
            }
        }
    }

    /// The newest error about the connection from this local port, if one was heard; the node's own words before
    /// anybody else's. The kernel hands an error to raw sockets before the connection learns of it.
    pub(super) fn about(&self, to: SocketAddr, port: u16) -> Option<Rejection> {
        let mut ears = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ear = ears.get_mut(&to.is_ipv6())?;
        ear.read();
        let ours = |quoted: &Quoted| quoted.to == to && quoted.port == port;
        let said: Vec<Rejection> = ear
            .heard
            .iter()
            .filter(|(quoted, _)| ours(quoted))
            .map(|(_, said)| *said)
            .collect();
        ear.heard.retain(|(quoted, _)| !ours(quoted));
        let own = said.iter().find(|said| said.from == to.ip());
        own.or(said.last()).copied()
    }
}

impl Ear {
    fn open(v6: bool) -> io::Result<Self> {
        let (domain, protocol) = if v6 {
            (Domain::IPV6, Protocol::ICMPV6)
        } else {
            (Domain::IPV4, Protocol::ICMPV4)
        };
        let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: socket.into(),
            heard: VecDeque::new(),
        })
    }

    /// Takes in what has come since.
    fn read(&mut self) {
        let mut buffer = [0; 2048];
        for _ in 0..READ_AT_MOST {
            let Ok((length, from)) = self.socket.recv_from(&mut buffer) else {
                return;
            };
            let packet = buffer.get(..length).unwrap_or_default();
            let Some(heard) = read(from.ip(), packet) else {
                continue;
            };
            if self.heard.len() >= KEPT_AT_MOST {
                self.heard.pop_front();
            }
            self.heard.push_back(heard);
        }
    }
}

/// The connection that an ICMP error is about: where to, and from which local port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quoted {
    to: SocketAddr,
    port: u16,
}

/// Reads what a raw socket delivers: with the IP header in IPv4, without it in IPv6.
fn read(from: IpAddr, packet: &[u8]) -> Option<(Quoted, Rejection)> {
    let icmp = match from {
        IpAddr::V4(_) => packet.get(header_length(packet)?..)?,
        IpAddr::V6(_) => packet,
    };
    let (kind, code) = (*icmp.first()?, *icmp.get(1)?);
    // Unreachable, time exceeded, parameter problem: RFC 792 and RFC 4443. Others do not end a connection.
    let ends = if from.is_ipv6() { [1, 3, 4] } else { [3, 11, 12] };
    if !ends.contains(&kind) {
        return None;
    }
    let quoted = quoted(from.is_ipv6(), icmp.get(8..)?)?;
    Some((quoted, Rejection { from, kind, code }))
}

/// The beginning of our packet, which the error quotes.
fn quoted(v6: bool, packet: &[u8]) -> Option<Quoted> {
    let (protocol, to, tcp) = if v6 {
        let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
        (*packet.get(6)?, IpAddr::V6(Ipv6Addr::from(to)), packet.get(40..)?)
    } else {
        let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
        let tcp = packet.get(header_length(packet)?..)?;
        (*packet.get(9)?, IpAddr::V4(Ipv4Addr::from(to)), tcp)
    };
    if protocol != TCP {
        return None;
    }
    let port = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
    Some(Quoted {
        to: SocketAddr::new(to, port(2)?),
        port: port(0)?,
    })
}

/// The length of an IPv4 header.
fn header_length(packet: &[u8]) -> Option<usize> {
    let length = usize::from(packet.first()? & 0x0f) * 4;
    (length >= 20).then_some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NODE: &str = "10.10.10.2";
    const ROUTER: &str = "10.20.20.1";
    const OWN: &str = "10.10.10.7";

    fn said(from: &str, kind: u8, code: u8) -> Rejection {
        Rejection {
            from: from.parse().unwrap(),
            kind,
            code,
        }
    }

    fn path(gateway: Option<&str>) -> Path {
        Path {
            link: "eth1".into(),
            gateway: gateway.map(|address| address.parse().unwrap()),
            source: None,
            addresses: vec![OWN.parse().unwrap(), "fd00::7".parse().unwrap()],
            resolves: true,
        }
    }

    fn unresolved(from: &str, gateway: Option<&str>, unanswered: bool) -> Heard {
        let to = if from.contains(':') { "fd00::2" } else { NODE };
        let rejection = if from.contains(':') {
            said(from, 1, 3)
        } else {
            said(from, 3, 1)
        };
        assert!(rejection.is_unresolved());
        rejection.unresolved(to.parse().unwrap(), "the probe", &path(gateway), unanswered)
    }

    #[test]
    fn whatever_the_node_says_is_life() {
        for code in [0, 1, 3, 9, 10, 13] {
            let heard = said(NODE, 3, code).plain(NODE.parse().unwrap(), "the probe");
            assert!(matches!(heard, Heard::Answered(_)), "{code}");
        }
    }

    #[test]
    fn whoever_stops_a_probe_on_its_way_leaves_it_failed() {
        for (kind, code) in [(3, 0), (3, 2), (3, 9), (3, 10), (3, 13), (11, 0)] {
            let rejection = said(ROUTER, kind, code);
            assert!(!rejection.is_unresolved());
            let heard = rejection.plain(NODE.parse().unwrap(), "the probe");
            assert!(
                matches!(&heard, Heard::Failed(why) if why.contains(ROUTER)),
                "{heard:?}"
            );
        }
        // Type 1 in IPv4 and type 3 in IPv6 are something else.
        assert!(!said(OWN, 1, 3).is_unresolved());
        assert!(!said("fd00::7", 3, 1).is_unresolved());
    }

    #[test]
    fn host_unreachable_is_silence_only_in_this_hosts_own_words() {
        for own in [OWN, "fd00::7"] {
            assert_eq!(unresolved(own, None, true), Heard::Silent);
            // The neighbour table says otherwise: a firewall or a tunnel of this host.
            assert!(matches!(unresolved(own, None, false), Heard::Failed(_)));
        }
        // A router says so too where it has an `unreachable` route: it takes a witness to believe it.
        for (router, gateway) in [
            (ROUTER, Some(ROUTER)),
            ("10.99.0.1", Some(ROUTER)),
            ("fd00::1", Some("fd00::1")),
        ] {
            assert!(matches!(unresolved(router, gateway, true), Heard::Unreached(_)));
        }
        assert!(matches!(unresolved(ROUTER, None, true), Heard::Unreached(_)));
    }

    #[test]
    fn a_router_that_does_not_answer_is_no_silence_of_the_node() {
        let heard = unresolved(OWN, Some(ROUTER), true);
        assert!(
            matches!(&heard, Heard::Failed(why) if why.contains(ROUTER)),
            "{heard:?}"
        );
    }

    /// "Host unreachable" of 10.20.20.1 about 10.20.20.7:40000 -> 10.40.40.2:22.
    fn error_v4(kind: u8, protocol: u8, options: usize) -> Vec<u8> {
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet.extend([kind, 1, 0, 0, 0, 0, 0, 0]);
        let mut quoted = vec![0; 20 + options];
        quoted[0] = 0x40 | u8::try_from(quoted.len() / 4).unwrap();
        quoted[9] = protocol;
        quoted[16..20].copy_from_slice(&[10, 40, 40, 2]);
        packet.extend(quoted);
        packet.extend([0x9c, 0x40, 0, 22, 0, 0, 0, 1]);
        packet
    }

    fn error_v6(kind: u8, next: u8) -> Vec<u8> {
        let mut packet = vec![kind, 3, 0, 0, 0, 0, 0, 0];
        let mut quoted = vec![0; 40];
        quoted[0] = 0x60;
        quoted[6] = next;
        quoted[24] = 0xfd;
        quoted[39] = 2;
        packet.extend(quoted);
        packet.extend([0x9c, 0x40, 0, 22, 0, 0, 0, 1]);
        packet
    }

    #[test]
    fn an_error_names_its_connection() {
        for options in [0, 8] {
            let (quoted, rejection) = read(ROUTER.parse().unwrap(), &error_v4(3, TCP, options)).unwrap();
            assert_eq!(quoted.to, "10.40.40.2:22".parse().unwrap());
            assert_eq!((quoted.port, rejection), (40_000, said(ROUTER, 3, 1)));
        }
        let (quoted, rejection) = read("fd00::1".parse().unwrap(), &error_v6(1, TCP)).unwrap();
        assert_eq!(quoted.to, "[fd00::2]:22".parse().unwrap());
        assert_eq!((quoted.port, rejection), (40_000, said("fd00::1", 1, 3)));
    }

    #[test]
    fn other_packets_are_none() {
        let (v4, v6) = (ROUTER.parse().unwrap(), "fd00::1".parse().unwrap());
        // An echo reply, a redirect, packet too big, an error about a datagram.
        assert_eq!(read(v4, &error_v4(0, TCP, 0)), None);
        assert_eq!(read(v4, &error_v4(5, TCP, 0)), None);
        assert_eq!(read(v6, &error_v6(2, TCP)), None);
        assert_eq!(read(v4, &error_v4(3, 17, 0)), None);
        assert_eq!(read(v6, &error_v6(1, 17)), None);
    }

    #[test]
    fn a_cut_error_is_none() {
        for (from, whole) in [(ROUTER, error_v4(3, TCP, 8)), ("fd00::1", error_v6(1, TCP))] {
            let needed = whole.len() - 4;
            for length in 0..needed {
                assert_eq!(read(from.parse().unwrap(), &whole[..length]), None, "{length}");
            }
            assert!(read(from.parse().unwrap(), &whole[..needed]).is_some());
        }
    }

    proptest! {
        #[test]
        fn anything_can_be_read(v6: bool, packet in proptest::collection::vec(any::<u8>(), 0..200)) {
            let from = if v6 { "fd00::1" } else { ROUTER };
            let _ = read(from.parse().unwrap(), &packet);
        }
    }
}
