//! What a simulated BMC does with a packet; sockets are elsewhere.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::keys::{Algorithms, SessionKeys, algorithms};
use super::spec::{BmcSpec, Forgery};
use super::wire::{self, Incoming, Request, Sealed};
use crate::device::Device;

const USER_LEVEL: u8 = 2;
const OPERATOR_LEVEL: u8 = 3;

/// RMCP+ status codes.
mod status {
    pub(super) const NO_RESOURCES: u8 = 0x01;
    pub(super) const NO_SESSION: u8 = 0x02;
    pub(super) const BAD_ROLE: u8 = 0x0A;
    pub(super) const UNKNOWN_NAME: u8 = 0x0D;
    pub(super) const BAD_CHECK: u8 = 0x0F;
    pub(super) const NO_SUITE: u8 = 0x11;
}

/// A simulated BMC with its sessions, without socket and clock.
pub struct Bmc {
    device: Device,
    spec: BmcSpec,
    sessions: Vec<Session>,
    random: Random,
}

struct Session {
    from: SocketAddr,
    console: u32,
    bmc: u32,
    algorithms: Algorithms,
    used: Instant,
    stage: Stage,
}

enum Stage {
    Opened,
    Proving(Proof),
    Active(Active),
}

/// What RAKP 1 and 2 exchanged.
struct Proof {
    console_random: [u8; 16],
    bmc_random: [u8; 16],
    role: u8,
    name: Vec<u8>,
}

struct Active {
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

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn block(&mut self) -> [u8; 16] {
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
        match wire::read(packet) {
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

    fn open(&mut self, payload: &[u8], from: SocketAddr, now: Instant) -> Option<Vec<u8>> {
        let [tag, level, _, _, s0, s1, s2, s3, rest @ ..] = payload else {
            return None;
        };
        let console = [*s0, *s1, *s2, *s3];
        let refuse = |status| Some(wire::setup(0x11, &[&[*tag, status, 0, 0][..], &console].concat()));
        let algorithm = |at: usize| rest.get(at * 8 + 4).map(|algorithm| algorithm & 0x3F);
        let asked = Algorithms {
            authentication: algorithm(0)?,
            integrity: algorithm(1)?,
            confidentiality: algorithm(2)?,
        };
        if !self
            .spec
            .suites
            .iter()
            .any(|suite| algorithms(*suite) == Some(asked))
        {
            return if self.spec.ignores_unknown_suites {
                None
            } else {
                refuse(status::NO_SUITE)
            };
        }
        if self.spec.no_room > 0 {
            self.spec.no_room -= 1;
            return refuse(status::NO_RESOURCES);
        }
        if self.sessions.len() >= self.spec.session_limit {
            return refuse(status::NO_RESOURCES);
        }
        let bmc = (self.random.next() as u32).max(1);
        self.sessions.push(Session {
            from,
            console: u32::from_le_bytes(console),
            bmc,
            algorithms: asked,
            used: now,
            stage: Stage::Opened,
        });
        let told = self.spec.answers_with_suite.and_then(algorithms).unwrap_or(asked);
        // Level 0 asks for the highest.
        let level = if *level == 0 {
            self.spec.privilege_limit
        } else {
            *level
        };
        let mut answer = vec![*tag, 0, level, 0];
        answer.extend(console);
        answer.extend(bmc.to_le_bytes());
        for (kind, algorithm) in (0u8..).zip([told.authentication, told.integrity, told.confidentiality]) {
            answer.extend([kind, 0, 0, 8, algorithm, 0, 0, 0]);
        }
        Some(wire::setup(0x11, &answer))
    }

    fn rakp1(&mut self, payload: &[u8], from: SocketAddr, now: Instant) -> Option<Vec<u8>> {
        let [tag, _, _, _, s0, s1, s2, s3, rest @ ..] = payload else {
            return None;
        };
        let (console_random, [role, _, _, len, name @ ..]) = rest.split_first_chunk::<16>()? else {
            return None;
        };
        let name = name.get(..usize::from(*len))?;
        let bmc = u32::from_le_bytes([*s0, *s1, *s2, *s3]);
        let refuse = |status, console: u32| {
            Some(wire::setup(
                0x13,
                &[&[*tag, status, 0, 0][..], &console.to_le_bytes()].concat(),
            ))
        };
        let device = self.device.spec();
        let rejects = self.device.faults().reject_auth;
        let guid = self.guid();
        let bmc_random = self.random.block();
        let forged = self.random.block();
        let Some(session) = self
            .sessions
            .iter_mut()
            .find(|session| session.bmc == bmc && session.from == from)
        else {
            return refuse(status::NO_SESSION, 0);
        };
        if matches!(session.stage, Stage::Active(_)) {
            // A late copy; the session has long been set up.
            return None;
        }
        session.used = now;
        if rejects || device.username.unwrap_or_default().as_bytes() != name {
            return refuse(status::UNKNOWN_NAME, session.console);
        }
        if !(1..=self.spec.privilege_limit).contains(&(role & 0x0F)) {
            return refuse(status::BAD_ROLE, session.console);
        }
        let proved = [
            &session.console.to_le_bytes()[..],
            &session.bmc.to_le_bytes(),
            console_random,
            &bmc_random,
            &guid,
            &[*role, *len],
            name,
        ]
        .concat();
        let mut code = session.algorithms.hmac(&user_key(device.password), &proved);
        if self.spec.forgery == Forgery::Rakp2 {
            code = session.algorithms.hmac(&forged, &proved);
        }
        session.stage = Stage::Proving(Proof {
            console_random: *console_random,
            bmc_random,
            role: *role,
            name: name.to_vec(),
        });
        let head = [&[*tag, 0, 0, 0][..], &session.console.to_le_bytes()].concat();
        Some(wire::setup(
            0x13,
            &[&head[..], &bmc_random, &guid, &code].concat(),
        ))
    }

    fn rakp3(&mut self, payload: &[u8], from: SocketAddr, now: Instant) -> Option<Vec<u8>> {
        let [tag, said, _, _, s0, s1, s2, s3, code @ ..] = payload else {
            return None;
        };
        let bmc = u32::from_le_bytes([*s0, *s1, *s2, *s3]);
        let user_key = user_key(self.device.spec().password);
        let kg = self.spec.kg.clone().unwrap_or_else(|| user_key.clone());
        let guid = self.guid();
        let at = self
            .sessions
            .iter()
            .position(|session| session.bmc == bmc && session.from == from)?;
        if *said != 0 {
            // The client did not like RAKP 2 and says so; there is no answer to that.
            self.sessions.remove(at);
            return None;
        }
        let session = self.sessions.get_mut(at)?;
        session.used = now;
        let console = session.console.to_le_bytes();
        let refuse = |status| Some(wire::setup(0x15, &[&[*tag, status, 0, 0][..], &console].concat()));
        let Stage::Proving(proof) = &session.stage else {
            return refuse(status::NO_SESSION);
        };
        let named = [&[proof.role, proof.name.len() as u8][..], &proof.name].concat();
        let expected = session
            .algorithms
            .hmac(&user_key, &[&proof.bmc_random[..], &console, &named].concat());
        if expected != code {
            self.sessions.remove(at);
            return refuse(status::BAD_CHECK);
        }
        let sik = session.algorithms.hmac(
            &kg,
            &[&proof.console_random[..], &proof.bmc_random, &named].concat(),
        );
        let last = [&proof.console_random[..], &bmc.to_le_bytes(), &guid].concat();
        let mut code = session.algorithms.hmac(&sik, &last);
        code.truncate(session.algorithms.cut());
        match self.spec.forgery {
            Forgery::Rakp4 => code.iter_mut().for_each(|byte| *byte ^= 0x5A),
            Forgery::EmptyRakp4 => code.clear(),
            _ => {}
        }
        session.stage = Stage::Active(Active {
            keys: SessionKeys::new(session.algorithms, &sik),
            highest: 0,
            sent: 0,
            level: USER_LEVEL,
            limit: self.spec.privilege_limit.min(proof.role & 0x0F),
            last_request: None,
            first_answer: None,
        });
        Some(wire::setup(
            0x15,
            &[&[*tag, 0, 0, 0][..], &console, &code].concat(),
        ))
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
        let forgery = self.spec.forgery;
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
        let sealed = wire::sealed(&active.keys, *console, active.sent, response, iv);
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
            (0x00, 0x02) if level < OPERATOR_LEVEL => (0xD4, Vec::new()),
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

    fn guid(&self) -> [u8; 16] {
        if self.device.faults().wrong_identity {
            [0x99; 16]
        } else {
            self.spec.guid
        }
    }
}

/// The password, padded with zeros to 20 bytes.
fn user_key(password: Option<String>) -> Vec<u8> {
    let mut key = password.unwrap_or_default().into_bytes();
    key.resize(20, 0);
    key
}

impl std::fmt::Debug for Bmc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bmc")
            .field("device", &self.device)
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}
