//! Finding BMCs by the presence ping of RMCP, which they answer without a login.
//!
//! The packets are those of ASF 2.0, sections 3.2.4.2 (pong) and 3.2.4.3 (ping), as IPMI 2.0 section 13.2.3 takes them over.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::rmcp::PORT;
use crate::deadline::Deadline;
use crate::discover::Found;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::method::Method;

/// Pause before the question is sent again: a packet may get lost.
const AGAIN: Duration = Duration::from_millis(700);
/// Questions sent before answers are taken, so that neither buffer overflows.
const AT_A_TIME: usize = 64;
/// Pause after so many.
const BREATH: Duration = Duration::from_millis(5);
/// More BMCs than anybody asks for: where a hostile network's answers end.
const MOST: usize = 8192;
/// RMCP without acknowledgement, class ASF, and ASF's own number.
const RMCP_ASF: [u8; 8] = [6, 0, 0xFF, 6, 0, 0, 0x11, 0xBE];
const PING: u8 = 0x80;
const PONG: u8 = 0x40;
/// "IPMI is supported", in the entities that a pong lists.
const SPEAKS_IPMI: u8 = 0x80;

/// Whom to ask and how long to listen.
#[derive(Clone, Debug)]
pub struct Search {
    /// Addresses that are asked: broadcast addresses of networks, or single BMCs.
    pub targets: Vec<IpAddr>,
    /// The UDP port.
    pub port: u16,
    /// How long answers are waited for.
    pub wait: Duration,
}

impl Default for Search {
    /// The broadcast address of the network with the default route, port 623, three seconds.
    fn default() -> Self {
        Self {
            targets: vec![Ipv4Addr::BROADCAST.into()],
            port: PORT,
            wait: Duration::from_secs(3),
        }
    }
}

/// Finds BMCs. Nothing is logged in to or changed. Many BMCs do not answer a broadcast: a range of addresses finds more.
///
/// # Errors
/// [`Error::Unreachable`] when no question could be sent at all.
pub async fn discover(search: &Search, deadline: Deadline) -> Result<Vec<Found>> {
    let until = deadline.capped(search.wait);
    let (v4, v6): (Vec<SocketAddr>, Vec<SocketAddr>) = search
        .targets
        .iter()
        .map(|address| SocketAddr::new(*address, search.port))
        .partition(SocketAddr::is_ipv4);
    let (v4, v6) = tokio::join!(
        ask(&v4, Ipv4Addr::UNSPECIFIED.into(), until),
        ask(&v6, Ipv6Addr::UNSPECIFIED.into(), until)
    );
    match (v4, v6) {
        (Ok(mut answered), Ok(more)) => {
            answered.extend(more);
            Ok(answered.into_iter().map(found).collect())
        }
        // A host without the other family finds what there is in the one.
        (Ok(answered), Err(_)) | (Err(_), Ok(answered)) if !answered.is_empty() => {
            Ok(answered.into_iter().map(found).collect())
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

async fn ask(targets: &[SocketAddr], any: IpAddr, until: Deadline) -> Result<BTreeSet<SocketAddr>> {
    let mut answered = BTreeSet::new();
    if targets.is_empty() {
        return Ok(answered);
    }
    let socket = UdpSocket::bind((any, 0))
        .await
        .map_err(|cause| Error::io("opening a socket", cause))?;
    socket
        .set_broadcast(true)
        .map_err(|cause| Error::io("allowing broadcasts", cause))?;
    let mut sent = Ok(());
    // Each round has a tag of its own; an answer to either counts.
    for tag in [1, 2] {
        for some in targets.chunks(AT_A_TIME) {
            for target in some.iter().filter(|target| !answered.contains(*target)) {
                if let Err(cause) = socket.send_to(&ping(tag), target).await {
                    sent = Err(cause);
                }
            }
            listen(&socket, Instant::now() + BREATH, &mut answered).await;
        }
        let again = until.instant().min(Instant::now() + AGAIN);
        listen(&socket, again, &mut answered).await;
    }
    listen(&socket, until.instant(), &mut answered).await;
    match sent {
        Err(cause) if answered.is_empty() => Err(Error::io("asking for BMCs", cause)),
        _ => Ok(answered),
    }
}

async fn listen(socket: &UdpSocket, until: Instant, answered: &mut BTreeSet<SocketAddr>) {
    let mut packet = [0; 128];
    while let Ok(received) = tokio::time::timeout_at(until, socket.recv_from(&mut packet)).await {
        // An error here is a closed port somewhere, which says that there is no BMC.
        let Ok((length, from)) = received else { continue };
        if answered.len() < MOST && is_pong(packet.get(..length).unwrap_or_default()) {
            answered.insert(from);
        }
    }
}

/// The presence ping with a tag that the pong repeats.
pub(crate) fn ping(tag: u8) -> [u8; 12] {
    let [a, b, c, d, e, f, g, h] = RMCP_ASF;
    [a, b, c, d, e, f, g, h, PING, tag, 0, 0]
}

/// Whether a packet is the pong of something that speaks IPMI.
pub(crate) fn is_pong(packet: &[u8]) -> bool {
    let Some((head, body)) = packet.split_first_chunk::<4>() else {
        return false;
    };
    // The sequence number is the sender's affair.
    let [version, _, _, class] = *head;
    let [expected_version, _, _, expected_class, asf @ ..] = RMCP_ASF;
    let Some((number, rest)) = body.split_first_chunk::<4>() else {
        return false;
    };
    version == expected_version
        && class == expected_class
        && *number == asf
        && matches!(rest, [PONG, _, _, length, _, _, _, _, _, _, _, _, entities, ..]
            if *length >= 9 && entities & SPEAKS_IPMI != 0)
}

fn found(address: SocketAddr) -> Found {
    Found {
        method: Method::Ipmi,
        address,
        transport: String::new(),
        identity: Identity::default(),
        metered: None,
        note: "says who it is only after a login".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Taken from the description of the packet, byte by byte.
    const ANSWER: [u8; 28] = [
        6, 0, 0xFF, 6, 0, 0, 0x11, 0xBE, 0x40, 1, 0, 16, 0, 0, 0x11, 0xBE, 0, 0, 0, 0, 0x81, 0, 0, 0, 0, 0,
        0, 0,
    ];

    #[test]
    fn a_pong_is_one_only_with_ipmi_behind_it() {
        assert!(is_pong(&ANSWER));
        let mut without = ANSWER;
        without[20] = 0x01;
        assert!(!is_pong(&without));
        let mut sequence = ANSWER;
        sequence[2] = 7;
        assert!(is_pong(&sequence));
    }

    #[test]
    fn neither_an_echo_nor_a_cut_answer_is_a_pong() {
        assert!(!is_pong(&ping(1)));
        for length in 0..21 {
            assert!(!is_pong(&ANSWER[..length]), "{length}");
        }
    }

    proptest! {
        #[test]
        fn hostile_packets_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = is_pong(&bytes);
        }
    }
}
