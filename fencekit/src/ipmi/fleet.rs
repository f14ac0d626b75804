//! Many BMCs at once: thousands of sessions over a few sockets, on one thread and in bounded memory.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::net::UdpSocket;

use super::chassis;
use super::device::{Bmc, inspection, refusal};
use super::lan::{Answer, Verdict};
use super::link::now;
use super::machine::{Event, Machine, Seed};
use crate::deadline::Deadline;
use crate::device::Inspection;
use crate::error::{Error, Result};

/// Sessions at a time. Each has at most one packet under way, so that the sockets' buffers hold all answers.
pub(crate) const SESSIONS: usize = 1024;
/// Sockets of an address family. A handshake that begins again moves on to the next one.
const SOCKETS: usize = 8;
/// Name look-ups at a time; each takes a thread.
const LOOKUPS: usize = 8;
/// Packets taken from one socket before the others have their turn.
const AT_A_TIME: usize = 64;
/// Longer than any answer that counts; what is cut off here does not parse.
const LONGEST_PACKET: usize = 1024;

/// The power state of many BMCs, each by one session of its own, in the order of `bmcs`.
///
/// A BMC that fails does not hold the others up. Each may be silent for as long as its `login_timeout` and
/// `shell_timeout` say, and none is waited for past the deadline, apart from a goodbye of less than half a second. The
/// identity in an inspection is the BMC's GUID; comparing it with the expected one is the caller's.
pub async fn statuses(bmcs: &[Bmc], deadline: Deadline) -> Vec<Result<Inspection>> {
    let mut outcomes: Vec<_> = bmcs.iter().map(|_| None).collect();
    let all: Vec<&Bmc> = bmcs.iter().collect();
    watch(&all, deadline, deadline.remaining(), |bmc, outcome, _| {
        if let Some(place) = outcomes.get_mut(bmc) {
            *place = Some(outcome);
        }
    })
    .await;
    outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or_else(|| Err(never_had_its_turn())))
        .collect()
}

/// As [`statuses`], with each outcome told as it comes in: the BMC's index, what was seen, and how long its session took.
/// A session ends after `patience`, which counts from its own beginning.
pub(crate) async fn watch(
    bmcs: &[&Bmc],
    deadline: Deadline,
    patience: Duration,
    told: impl FnMut(usize, Result<Inspection>, Duration),
) {
    let mut fleet = Fleet {
        bmcs,
        deadline,
        patience,
        told,
        pending: vec![true; bmcs.len()],
        addresses: Vec::new(),
        waiting: (0..bmcs.len()).collect(),
        behind: HashMap::new(),
        sockets: Vec::new(),
        seats: Vec::new(),
        free: Vec::new(),
        seat_of: HashMap::new(),
        next_timer: None,
    };
    fleet.resolve().await;
    fleet.run().await;
    fleet.give_up();
}

fn never_had_its_turn() -> Error {
    Error::Timeout {
        doing: "waiting for its turn among many BMCs".to_owned(),
        waited: Duration::ZERO,
        source: None,
    }
}

/// A session under way.
struct Seat {
    bmc: usize,
    peer: SocketAddr,
    socket: usize,
    machine: Machine,
    began: Instant,
    deadline: Instant,
    /// The outcome is noted; only the goodbye is left.
    settled: bool,
}

struct Fleet<'a, F> {
    bmcs: &'a [&'a Bmc],
    deadline: Deadline,
    /// How long one session may take.
    patience: Duration,
    told: F,
    /// Whose outcome nobody was told yet.
    pending: Vec<bool>,
    /// What is left to try of each BMC.
    addresses: Vec<VecDeque<SocketAddr>>,
    waiting: VecDeque<usize>,
    /// BMCs that wait for another session with the same address to end: one at a time for each.
    behind: HashMap<SocketAddr, VecDeque<usize>>,
    sockets: Vec<UdpSocket>,
    seats: Vec<Option<Seat>>,
    free: Vec<usize>,
    seat_of: HashMap<SocketAddr, usize>,
    /// No timer is due before this.
    next_timer: Option<Instant>,
}

impl<F: FnMut(usize, Result<Inspection>, Duration)> Fleet<'_, F> {
    async fn resolve(&mut self) {
        let deadline = self.deadline;
        // Owned, so that the whole can move between threads: borrowed ones keep the compiler from seeing that.
        let endpoints: Vec<_> = self.bmcs.iter().map(|bmc| bmc.endpoint().clone()).collect();
        let mut found = futures_util::stream::iter(endpoints)
            .map(|endpoint| async move { endpoint.resolve(deadline).await })
            .buffered(LOOKUPS);
        let mut failed = Vec::new();
        while let Some(addresses) = found.next().await {
            let at = self.addresses.len();
            let addresses = addresses.unwrap_or_else(|error| {
                failed.push((at, error));
                Vec::new()
            });
            self.addresses.push(addresses.into());
        }
        drop(found);
        for (bmc, error) in failed {
            self.tell(bmc, Err(error), Duration::ZERO);
        }
    }

    async fn run(&mut self) {
        let mut buffer = [0; LONGEST_PACKET];
        loop {
            self.admit().await;
            if self.seat_of.is_empty() {
                return;
            }
            if self.receive(&mut buffer) {
                // A flood of packets must not keep the thread from what else runs on it.
                tokio::task::yield_now().await;
            } else {
                self.wait().await;
            }
            self.fire_timers();
        }
    }

    /// Gives free seats to those who wait.
    async fn admit(&mut self) {
        while self.seat_of.len() < SESSIONS
            && let Some(bmc) = self.waiting.pop_front()
        {
            let Some(peer) = self.addresses.get_mut(bmc).and_then(VecDeque::pop_front) else {
                continue;
            };
            if self.seat_of.contains_key(&peer) {
                if let Some(addresses) = self.addresses.get_mut(bmc) {
                    addresses.push_front(peer);
                }
                self.behind.entry(peer).or_default().push_back(bmc);
                continue;
            }
            if let Err(error) = self.seat(bmc, peer).await {
                self.note(bmc, Err(error), Duration::ZERO);
            }
        }
    }

    async fn seat(&mut self, bmc: usize, peer: SocketAddr) -> Result<()> {
        if self.deadline.expired() {
            return Err(never_had_its_turn());
        }
        let socket = self.socket_for(peer, bmc).await?;
        let Some(config) = self.bmcs.get(bmc).map(|bmc| Arc::clone(bmc.config())) else {
            return Ok(());
        };
        let now = now();
        // Patience may be longer than the clock can count.
        let deadline = self.deadline.capped(self.patience).instant().into_std();
        let mut machine = Machine::new(config, now);
        machine.start(Seed::from_os()?, deadline, now);
        let seat = Seat {
            bmc,
            peer,
            socket,
            machine,
            began: now,
            deadline,
            settled: false,
        };
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.seats.push(None);
                self.seats.len() - 1
            }
        };
        if let Some(place) = self.seats.get_mut(at) {
            *place = Some(seat);
        }
        self.seat_of.insert(peer, at);
        self.pump(at);
        Ok(())
    }

    /// One of the sockets of the peer's family; they are opened when first needed.
    async fn socket_for(&mut self, peer: SocketAddr, turn: usize) -> Result<usize> {
        let fits = |socket: &UdpSocket| {
            socket
                .local_addr()
                .is_ok_and(|local| local.is_ipv4() == peer.is_ipv4())
        };
        let first = match self.sockets.iter().position(fits) {
            Some(first) => first,
            None => {
                let any: SocketAddr = match peer {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let mut opened = Vec::with_capacity(SOCKETS);
                for _ in 0..SOCKETS {
                    opened.push(
                        open_socket(any)
                            .await
                            .map_err(|cause| Error::io("opening a UDP socket", cause))?,
                    );
                }
                self.sockets.append(&mut opened);
                self.sockets.len() - SOCKETS
            }
        };
        Ok(first + turn % SOCKETS)
    }

    /// Takes what has arrived; false when there was nothing.
    fn receive(&mut self, buffer: &mut [u8]) -> bool {
        let mut any = false;
        for socket in 0..self.sockets.len() {
            for _ in 0..AT_A_TIME {
                let Some(received) = self
                    .sockets
                    .get(socket)
                    .map(|socket| socket.try_recv_from(buffer))
                else {
                    break;
                };
                let Ok((len, from)) = received else { break };
                any = true;
                self.hand_in(socket, from, buffer.get(..len).unwrap_or_default());
            }
        }
        any
    }

    /// A packet counts for the session with its sender, when it came to the port that the session uses now.
    fn hand_in(&mut self, socket: usize, from: SocketAddr, packet: &[u8]) {
        let Some(at) = self.seat_of.get(&from).copied() else {
            return;
        };
        if let Some(Some(seat)) = self.seats.get_mut(at)
            && seat.socket == socket
        {
            seat.machine.handle(packet, now());
            self.pump(at);
        }
    }

    async fn wait(&mut self) {
        let readable = poll_fn(|context| {
            let ready = self
                .sockets
                .iter()
                // Each of them, so that each wakes this task.
                .filter(|socket| socket.poll_recv_ready(context).is_ready())
                .count();
            if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        let until = self
            .next_timer
            .unwrap_or_else(|| self.deadline.instant().into_std());
        let _ = tokio::time::timeout_at(until.into(), readable).await;
    }

    fn fire_timers(&mut self) {
        let now = now();
        if self.next_timer.is_none_or(|timer| now < timer) {
            return;
        }
        self.next_timer = None;
        for at in 0..self.seats.len() {
            if let Some(Some(seat)) = self.seats.get_mut(at) {
                seat.machine.handle_timeout(now);
                self.pump(at);
            }
        }
    }

    /// Sends what a machine wants sent and acts on what happened.
    fn pump(&mut self, at: usize) {
        loop {
            let Some(Some(seat)) = self.seats.get_mut(at) else {
                return;
            };
            let mut failed = None;
            if let Some(packet) = seat.machine.poll_transmit()
                && let Some(socket) = self.sockets.get(seat.socket)
            {
                match socket.try_send_to(packet, seat.peer) {
                    // A full buffer loses the packet, as a network does; it goes out again.
                    Err(cause) if cause.kind() != std::io::ErrorKind::WouldBlock => failed = Some(cause),
                    _ => {}
                }
            }
            let event = match failed {
                Some(cause) => Some(Event::Failed(Error::io(
                    &format!("sending to {}", seat.peer),
                    cause,
                ))),
                None => seat.machine.poll_event(),
            };
            let Some(event) = event else {
                let timer = seat.machine.poll_timeout();
                self.next_timer = [self.next_timer, timer].into_iter().flatten().min();
                return;
            };
            if !self.react(at, event) {
                return;
            }
        }
    }

    /// Acts on an event; false when the seat is free again.
    fn react(&mut self, at: usize, event: Event) -> bool {
        let Some(Some(seat)) = self.seats.get_mut(at) else {
            return false;
        };
        let deadline = seat.deadline;
        match event {
            Event::StartAgain => match Seed::from_os() {
                Ok(seed) => {
                    // A new source port: the next socket of the same family.
                    seat.socket = seat.socket / SOCKETS * SOCKETS + (seat.socket + 1) % SOCKETS;
                    seat.machine.start(seed, deadline, now());
                }
                Err(error) => self.settle(at, Err(error)),
            },
            Event::Ready => seat.machine.request(chassis::status(), deadline, now()),
            Event::Answered(answer) => {
                let outcome = read(&answer, seat.machine.guid());
                self.settle(at, outcome);
            }
            Event::Failed(error) if !seat.settled => self.settle(at, Err(error)),
            Event::Failed(_) | Event::Closed => {
                self.leave(at);
                return false;
            }
        }
        true
    }

    /// Notes a session's outcome and says goodbye.
    fn settle(&mut self, at: usize, outcome: Result<Inspection>) {
        if let Some(Some(seat)) = self.seats.get_mut(at) {
            seat.settled = true;
            seat.machine.close(now());
            let (bmc, elapsed) = (seat.bmc, seat.began.elapsed());
            self.note(bmc, outcome, elapsed);
        }
    }

    /// Tells a BMC's outcome, unless it has another address to try.
    fn note(&mut self, bmc: usize, outcome: Result<Inspection>, elapsed: Duration) {
        let again = outcome.as_ref().is_err_and(Error::is_transient)
            && self.addresses.get(bmc).is_some_and(|left| !left.is_empty())
            && !self.deadline.expired();
        if again {
            self.waiting.push_back(bmc);
        } else {
            self.tell(bmc, outcome, elapsed);
        }
    }

    /// Only the first outcome counts.
    fn tell(&mut self, bmc: usize, outcome: Result<Inspection>, elapsed: Duration) {
        if self.pending.get_mut(bmc).is_some_and(std::mem::take) {
            (self.told)(bmc, outcome, elapsed);
        }
    }

    /// Whoever has no outcome now never had a turn.
    fn give_up(&mut self) {
        for bmc in 0..self.bmcs.len() {
            if self.pending.get(bmc) == Some(&true) {
                self.tell(bmc, Err(never_had_its_turn()), Duration::ZERO);
            }
        }
    }

    fn leave(&mut self, at: usize) {
        let Some(seat) = self.seats.get_mut(at).and_then(Option::take) else {
            return;
        };
        self.free.push(at);
        self.seat_of.remove(&seat.peer);
        if let Some(next) = self.behind.get_mut(&seat.peer).and_then(VecDeque::pop_front) {
            self.waiting.push_front(next);
        }
    }
}

/// A socket that is known to be writable. Before the runtime has learnt that, an attempt to send counts as blocked,
/// and each first packet would only go out with the first repetition.
async fn open_socket(local: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(local).await?;
    socket.writable().await?;
    Ok(socket)
}

fn read(answer: &Answer, guid: Option<[u8; 16]>) -> Result<Inspection> {
    match answer.verdict() {
        Verdict::Success => Ok(inspection(&answer.data, guid)),
        _ => Err(refusal("reading the chassis status", answer)),
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Context, Wake, Waker};

    use super::*;
    use crate::method::Method;
    use crate::options::Settings;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn bmc_at(port: u16) -> Bmc {
        let mut settings = Settings::new(Method::Ipmi);
        let port = port.to_string();
        let options = [
            ("ip", "127.0.0.1"),
            ("ipport", &port),
            ("username", "a"),
            ("password", "b"),
            ("login_timeout", "1"),
        ];
        for (name, value) in options {
            settings.set(name, value).unwrap();
        }
        Bmc::from_settings(&settings).unwrap()
    }

    #[tokio::test]
    async fn patience_without_an_end_is_no_overflow() {
        let mute = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let bmc = bmc_at(mute.local_addr().unwrap().port());
        let mut outcomes = Vec::new();
        watch(&[&bmc], Deadline::far(), Duration::MAX, |_, outcome, _| {
            outcomes.push(outcome);
        })
        .await;
        assert!(matches!(outcomes.as_slice(), [Err(_)]), "{outcomes:?}");
    }

    #[tokio::test]
    async fn a_flood_leaves_the_thread_to_others_in_between() {
        let hostile = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let bmc = bmc_at(hostile.local_addr().unwrap().port());
        let patience = Duration::from_secs(20);
        let bmcs = [&bmc];
        let mut watching = pin!(watch(
            &bmcs,
            Deadline::after(patience),
            patience,
            |_, outcome, _| { drop(outcome) }
        ));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        // Up to the first packet out.
        hostile.set_nonblocking(true).unwrap();
        let mut buffer = [0; 256];
        let mut peer = None;
        for _ in 0..100 {
            assert!(watching.as_mut().poll(&mut context).is_pending());
            peer = hostile.recv_from(&mut buffer).ok().map(|(_, peer)| peer);
            if peer.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for _ in 0..2 * AT_A_TIME {
            hostile.send_to(b"noise", peer.unwrap()).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        woken.0.store(false, Ordering::Relaxed);
        assert!(watching.as_mut().poll(&mut context).is_pending());
        // It gave the thread up with packets left, and comes back at once.
        tokio::task::yield_now().await;
        assert!(woken.0.load(Ordering::Relaxed));
    }
}
