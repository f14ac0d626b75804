//! Echo requests. Only a timeout is silence: every other failure is a probe that failed.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};

use surge_ping::{Client, Config, ICMP, PingIdentifier, PingSequence, SurgeError};

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
            Ok((_, took)) => {
                Heard::Answered(format!("echo reply after {:.1} ms", took.as_secs_f64() * 1000.0))
            }
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
    use std::time::Duration;

    use super::*;

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
