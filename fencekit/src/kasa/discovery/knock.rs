//! Discovery of one device: to wake it, and to hear how it wants to be talked to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::TDP_PORTS;
use super::packet::{Advert, probe};
use crate::deadline::Deadline;
use crate::error::Result;
use crate::kasa::crypto::random;

/// How long an answer is waited for, over all tries.
const PATIENCE: Duration = Duration::from_millis(600);
/// Pause before the question is sent again.
const AGAIN: Duration = Duration::from_millis(200);

/// Asks the device at `address` who it is, at both of its ports. `None` when nothing answers in time.
///
/// A plug that came back after a power loss may keep its TCP port closed for minutes, until it sees this.
pub(in crate::kasa) async fn knock(address: IpAddr, deadline: Deadline) -> Option<Advert> {
    let until = deadline.capped(PATIENCE);
    let (first, second) = TDP_PORTS;
    let attempts = [SocketAddr::new(address, first), SocketAddr::new(address, second)]
        .map(|to| Box::pin(ask(to, until)));
    let outcome = futures_util::future::select_ok(attempts).await;
    outcome.ok().map(|(advert, _)| advert)
}

/// The answer of one port, or an error when none comes.
async fn ask(to: SocketAddr, until: Deadline) -> std::io::Result<Advert> {
    let any: IpAddr = if to.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    // Connected: answers of others do not come in, and a closed port is an error at once.
    socket.connect(to).await?;
    let question = probe(serial().map_err(std::io::Error::other)?);
    let mut buffer = [0; 4096];
    while !until.expired() {
        socket.send(&question).await?;
        let again = until.instant().min(Instant::now() + AGAIN);
        while let Ok(read) = tokio::time::timeout_at(again, socket.recv(&mut buffer)).await {
            if let Some(advert) = Advert::read(buffer.get(..read?).unwrap_or_default()) {
                return Ok(advert);
            }
        }
    }
    Err(std::io::ErrorKind::TimedOut.into())
}

pub(super) fn serial() -> Result<u32> {
    random().map(u32::from_be_bytes)
}
