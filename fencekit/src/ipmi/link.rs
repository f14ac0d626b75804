//! A session machine over a UDP socket of its own.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use tokio::net::UdpSocket;

use super::config::Config;
use super::machine::{Event, Machine, Seed};
use crate::deadline::Deadline;
use crate::error::{Error, Result};

/// Longer than any answer that counts; what is cut off here does not parse.
const LONGEST_PACKET: usize = 1024;

/// The time by tokio's clock, which tests can stop.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A machine and its socket, which is connected so that nobody else's packets arrive.
#[derive(Debug)]
pub(super) struct Link {
    peer: SocketAddr,
    socket: UdpSocket,
    machine: Machine,
    closed: bool,
}

async fn socket_to(peer: SocketAddr) -> Result<UdpSocket> {
    let any: SocketAddr = match peer {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let doing = || format!("opening a UDP socket to {peer}");
    let socket = UdpSocket::bind(any)
        .await
        .map_err(|cause| Error::io(&doing(), cause))?;
    socket
        .connect(peer)
        .await
        .map_err(|cause| Error::io(&doing(), cause))?;
    Ok(socket)
}

impl Link {
    /// Sets a session up. What the BMC may hold for open is told goodbye when that fails.
    pub(super) async fn open(peer: SocketAddr, config: Arc<Config>, deadline: Deadline) -> Result<Self> {
        let socket = socket_to(peer).await?;
        let mut machine = Machine::new(config, now());
        machine.start(Seed::from_os()?, deadline.instant().into_std(), now());
        let mut link = Self {
            peer,
            socket,
            machine,
            closed: false,
        };
        match link.drive(deadline).await? {
            Event::Ready => Ok(link),
            Event::Failed(error) => {
                link.closed = true;
                Err(error)
            }
            other => Err(out_of_turn(&other)),
        }
    }

    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Sends a request and waits for its answer, whatever that says.
    pub(super) async fn ask(
        &mut self,
        request: super::lan::Request,
        deadline: Deadline,
    ) -> Result<super::lan::Answer> {
        self.machine
            .request(request, deadline.instant().into_std(), now());
        match self.drive(deadline).await? {
            Event::Answered(answer) => Ok(answer),
            Event::Failed(error) => Err(error),
            other => Err(out_of_turn(&other)),
        }
    }

    pub(super) async fn close(&mut self, deadline: Deadline) {
        if self.closed {
            return;
        }
        self.machine.close(now());
        self.closed = true;
        if let Err(error) = self.drive(deadline).await {
            log::debug!("closing the IPMI session: {error}");
        }
    }

    /// Runs the machine up to its next event; it bounds itself by the deadline it was given.
    async fn drive(&mut self, deadline: Deadline) -> Result<Event> {
        let mut buffer = [0; LONGEST_PACKET];
        loop {
            self.send().await?;
            match self.machine.poll_event() {
                Some(Event::StartAgain) => {
                    self.socket = socket_to(self.peer).await?;
                    self.machine
                        .start(Seed::from_os()?, deadline.instant().into_std(), now());
                    continue;
                }
                Some(event) => return Ok(event),
                None => {}
            }
            let Some(timer) = self.machine.poll_timeout() else {
                return Err(Error::protocol(
                    "the IPMI session came to rest without an outcome",
                ));
            };
            let received = tokio::time::timeout_at(timer.into(), self.socket.recv(&mut buffer)).await;
            match received {
                Ok(Ok(len)) => self.machine.handle(buffer.get(..len).unwrap_or_default(), now()),
                Ok(Err(cause)) => self.met(cause)?,
                Err(_) => {}
            }
            // Also after a packet: a flood of them must not stop the clock.
            self.machine.handle_timeout(now());
        }
    }

    async fn send(&mut self) -> Result<()> {
        let Some(packet) = self.machine.poll_transmit() else {
            return Ok(());
        };
        // What an earlier packet met is reported in place of sending this one: hence a second try.
        let sent = match self.socket.send(packet).await {
            Err(cause) if cause.kind() == ErrorKind::ConnectionRefused => self.socket.send(packet).await,
            sent => sent,
        };
        match sent {
            Ok(_) => Ok(()),
            Err(cause) => self.met(cause),
        }
    }

    /// A refused packet is a hint that the machine weighs; everything else ends the link.
    fn met(&mut self, cause: io::Error) -> Result<()> {
        if cause.kind() == ErrorKind::ConnectionRefused {
            self.machine.handle_refused();
            return Ok(());
        }
        Err(Error::io(&format!("talking to {}", self.peer), cause))
    }
}

/// A session that is dropped in the middle of something is told goodbye once, without waiting.
impl Drop for Link {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        self.machine.close(now());
        if let Some(packet) = self.machine.poll_transmit() {
            let _ = self.socket.try_send(packet);
        }
    }
}

fn out_of_turn(event: &Event) -> Error {
    Error::protocol(format!("the IPMI session said {event:?} out of turn"))
}
