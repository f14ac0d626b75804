//! What a simulated BMC does with a packet; sockets are elsewhere.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::keys::{Algorithms, SessionKeys, algorithms};
use super::spec::{BmcSpec, Forgery, Quirk};
use super::wire::{self, Incoming, Request, Sealed};
use crate::device::Device;

const USER_LEVEL: u8 = 2;
const OPERATOR_LEVEL: u8 = 3;

/// A simulated BMC with its sessions, without socket and clock.
pub struct Bmc {
    pub(super) device: Device,
    pub(super) spec: BmcSpec,
    pub(super) sessions: Vec<Session>,
    pub(super) random: Random,
}

pub(super) struct Session {
    pub(super) from: SocketAddr,
    pub(super) console: u32,
    pub(super) bmc: u32,
    pub(super) algorithms: Algorithms,
    pub(super) used: Instant,
    pub(super) stage: Stage,
}

pub(super) enum Stage {
    Opened,
    Proving(Proof),
    Active(Active),
}

/// What RAKP 1 and 2 exchanged.
pub(super) struct Proof {
    pub(super) console_random: [u8; 16],
    pub(super) bmc_random: [u8; 16],
    pub(super) role: u8,
    pub(super) name: Vec<u8>,
}

pub(super) struct Active {
    keys: SessionKeys,
    highest: u32,
    sent: u32,
    level: u8,
    limit: u8,
    last_request: Option<u8>,
    first_answer: Option<Vec<u8>>,
}

/// Pseudo-random numbers (splitmix64): a test with the same seed loses the same packets.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn block(&mut self) -> [u8; 16] {
        (u128::from(self.next()) << 64 | u128::from(self.next())).to_le_bytes()
    }

    /// True for this share of the calls.
    pub(super) fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && (self.next() >> 11) as f64 / ((1u64 << 53) as f64) < share
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

impl Active {
    pub(super) fn new(keys: SessionKeys, limit: u8) -> Self {
        Self {
            keys,
            highest: 0,
            sent: 0,
            level: USER_LEVEL,
            limit,
            last_request: None,
            first_answer: None,
        }
    }
}

impl Bmc {
    /// A BMC for `device`, whose first outlet is the chassis.
    #[must_use]
    pub fn new(device: Device, spec: BmcSpec) -> Self {
        Self {
            random: Random::new(spec.seed ^ 0xB3C5_17A1),
            device,
            spec,
            sessions: Vec::new(),
        }
    }

    /// How many sessions it holds, half-open ones included.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The answers to a packet, in their order.
    pub fn handle(&mut self, packet: &[u8], from: SocketAddr, now: Instant) -> Vec<Vec<u8>> {
        if self.spec.shares_feed && self.device.relay(0) == Some(false) {
            return Vec::new();
        }
        let expiry = self.spec.session_expiry;
        self.sessions
            .retain(|session| now.saturating_duration_since(session.used) < expiry);
        match wire::read(packet, self.spec.quirk == Quirk::Icts) {
            None => Vec::new(),
            Some(Incoming::Ping(tag)) => vec![wire::pong(tag)],
            Some(Incoming::Sessionless(message)) => self.sessionless(message).into_iter().collect(),
            Some(Incoming::Setup(0x10, payload)) => self.open(payload, from, now).into_iter().collect(),
            Some(Incoming::Setup(0x12, payload)) => self.rakp1(payload, from, now).into_iter().collect(),
            Some(Incoming::Setup(0x14, payload)) => self.rakp3(payload, from, now).into_iter().collect(),
            Some(Incoming::Setup(..)) => Vec::new(),
            Some(Incoming::Session(sealed)) => self.in_session(&sealed, from, now),
        }
    }

    /// Outside a session a BMC tells its capabilities, suites and GUID.
    fn sessionless(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let request = wire::request(message)?;
        let response = match (request.netfn, request.command) {
            (0x06, 0x38 | 0x54 | 0x37) => {
                let (code, data) = self.about(&request);
                wire::response(&request, code, &data)
            }
            _ => wire::response(&request, 0xD4, &[]),
        };
        Some(wire::sessionless(&response))
    }

    fn in_session(&mut self, sealed: &Sealed<'_>, from: SocketAddr, now: Instant) -> Vec<Vec<u8>> {
        let found = self
            .sessions
            .iter()
            .position(|session| session.bmc == sealed.session && session.from == from);
        let Some((at, message)) = found.and_then(|at| Some((at, self.admit(at, sealed, now)?))) else {
            return Vec::new();
        };
        let Some(request) = wire::request(&message) else {
            return Vec::new();
        };
        let (code, data) = self.answer(at, &request);
        let response = wire::response(&request, code, &data);
        let answers = self.seal(at, &request, &response);
        if (request.netfn, request.command, code) == (0x06, 0x3C, 0) {
            self.sessions.remove(at);
        }
        answers
    }

    /// Verifies a packet in a session and notes its sequence number.
    fn admit(&mut self, at: usize, sealed: &Sealed<'_>, now: Instant) -> Option<Vec<u8>> {
        let session = self.sessions.get_mut(at)?;
        let Stage::Active(active) = &mut session.stage else {
            return None;
        };
        let message = sealed.open(&active.keys)?;
        // A client sends one request at a time, so a number that is not the highest is a replay.
        if sealed.sequence <= active.highest {
            return None;
        }
        active.highest = sealed.sequence;
        session.used = now;
        Some(message)
    }

    fn seal(&mut self, at: usize, request: &Request<'_>, response: &[u8]) -> Vec<Vec<u8>> {
        let (iv, other_key) = (self.random.block(), self.random.block());
        let (forgery, quirk) = (self.spec.forgery, self.spec.quirk);
        let Some(Session {
            console,
            algorithms,
            stage: Stage::Active(active),
            ..
        }) = self.sessions.get_mut(at)
        else {
            return Vec::new();
        };
        active.sent += 1;
        let id = if quirk == Quirk::IdZero { 0 } else { *console };
        let mut response = response.to_vec();
        if quirk == Quirk::NoChecksumCheck
            && let Some(checksum) = response.last_mut()
        {
            *checksum ^= 0xA5;
        }
        let sealed = wire::sealed(&active.keys, id, active.sent, &response, iv);
        let first = active.first_answer.get_or_insert_with(|| sealed.clone()).clone();
        let off = wire::response(request, 0, &[0, 0, 0, 0]);
        match forgery {
            Forgery::Sealed => {
                let keys = SessionKeys::new(*algorithms, &other_key);
                let forged = wire::sealed(&keys, *console, active.sent + 1, &off, iv);
                vec![forged, sealed]
            }
            Forgery::Plain => vec![wire::unprotected(*console, active.sent + 1, &off), sealed],
            Forgery::Replay => vec![first, sealed],
            _ => vec![sealed],
        }
    }

    /// What the BMC says to a request: completion code and data.
    fn answer(&mut self, at: usize, request: &Request<'_>) -> (u8, Vec<u8>) {
        let closing = (request.netfn, request.command) == (0x06, 0x3C);
        if self.spec.busy > 0 && !closing {
            self.spec.busy -= 1;
            return (self.spec.busy_code, Vec::new());
        }
        let detects_duplicates = self.spec.detects_duplicates;
        let Some(Session {
            bmc,
            stage: Stage::Active(active),
            ..
        }) = self.sessions.get_mut(at)
        else {
            return (0xFF, Vec::new());
        };
        let repeated = active.last_request.replace(request.sequence) == Some(request.sequence);
        if repeated && detects_duplicates {
            return (0xCF, Vec::new());
        }
        let level = active.level;
        match (request.netfn, request.command) {
            (0x06, 0x3B) if self.spec.quirk == Quirk::I82571spt => (0xC1, Vec::new()),
            (0x06, 0x3B) => match request.data.first() {
                Some(0) => (0, vec![level]),
                Some(wanted) if *wanted <= active.limit => {
                    active.level = *wanted;
                    (0, vec![*wanted])
                }
                Some(_) => (0x81, Vec::new()),
                None => (0xC7, Vec::new()),
            },
            (0x06, 0x3C) if request.data == bmc.to_le_bytes() => (0, Vec::new()),
            (0x06, 0x3C) => (0x87, Vec::new()),
            (0x06, _) => self.about(request),
            (0x00, 0x01) => (0, self.chassis_status()),
            (0x00, 0x02) if level < OPERATOR_LEVEL && self.spec.quirk != Quirk::I82571spt => {
                (0xD4, Vec::new())
            }
            (0x00, 0x02) => (self.control(request.data), Vec::new()),
            (0x2C, 0x02) => self.dcmi_power(request.data),
            _ => (0xC1, Vec::new()),
        }
    }

    /// Application commands that tell something of the BMC.
    fn about(&mut self, request: &Request<'_>) -> (u8, Vec<u8>) {
        match request.command {
            0x01 => (
                0,
                vec![
                    0x20, 0x81, 0x02, 0x15, 0x02, 0x0D, 0x57, 0x01, 0x00, 0x7B, 0x00, 0, 0, 0, 0,
                ],
            ),
            0x08 | 0x37 => (0, self.guid().to_vec()),
            0x38 => {
                let kg = if self.spec.kg.is_some() { 0x20 } else { 0x00 };
                (0, vec![0x01, 0x80, 0x04 | kg, 0x02, 0, 0, 0, 0])
            }
            0x54 => {
                let records: Vec<u8> = self
                    .spec
                    .suites
                    .iter()
                    .filter_map(|suite| algorithms(*suite).map(|of| (*suite, of)))
                    .flat_map(|(suite, of)| {
                        [
                            0xC0,
                            suite,
                            of.authentication,
                            0x40 | of.integrity,
                            0x80 | of.confidentiality,
                        ]
                    })
                    .collect();
                let index = request.data.get(2).map_or(0, |index| usize::from(index & 0x3F));
                let part = records.chunks(16).nth(index).unwrap_or_default();
                (0, [&[0x01][..], part].concat())
            }
            _ => (0xC1, Vec::new()),
        }
    }

    fn chassis_status(&self) -> Vec<u8> {
        let on = self.device.reported(0).unwrap_or_default();
        let mut status = vec![u8::from(on) | self.spec.status_bits, 0x00, 0x40, 0x00];
        status.truncate(if self.device.faults().no_state {
            0
        } else {
            self.spec.status_len
        });
        status
    }

    /// Chassis Control; the completion code.
    fn control(&mut self, data: &[u8]) -> u8 {
        let on = self.device.reported(0).unwrap_or_default();
        let obey = |state| if self.device.command(0, state) { 0x00 } else { 0xD6 };
        match data.first() {
            Some(0) if !on && self.spec.off_when_off_fails => 0xD5,
            Some(0) => obey(false),
            Some(1) if self.spec.fails_ons > 0 => {
                self.spec.fails_ons -= 1;
                0xD5
            }
            Some(1) if self.spec.loses_ons > 0 => {
                self.spec.loses_ons -= 1;
                0x00
            }
            Some(1) => obey(true),
            Some(2) if !on => 0xD5,
            Some(2) => {
                let device = self.device.clone();
                let code = obey(false);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    device.command(0, true);
                });
                code
            }
            Some(3) if !on => 0xD5,
            Some(3 | 5) => 0x00,
            _ => 0xCC,
        }
    }

    fn dcmi_power(&self, data: &[u8]) -> (u8, Vec<u8>) {
        match (data, self.device.watts(0)) {
            ([0xDC, 1, 0, 0], Some(watts)) => {
                let watts = (watts.clamp(0.0, 65535.0) as u16).to_le_bytes();
                let mut reading = vec![0xDC];
                for _ in 0..4 {
                    reading.extend(watts);
                }
                reading.extend(0x6543_2100u32.to_le_bytes());
                reading.extend(1000u32.to_le_bytes());
                reading.push(0x40);
                (0, reading)
            }
            ([0xDC, ..], Some(_)) => (0xCC, Vec::new()),
            _ => (0xC1, Vec::new()),
        }
    }

    pub(super) fn guid(&self) -> [u8; 16] {
        if self.device.faults().wrong_identity {
            [0x99; 16]
        } else {
            self.spec.guid
        }
    }
}

impl std::fmt::Debug for Bmc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bmc")
            .field("device", &self.device)
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}
