//! The BMC's side of Open Session and RAKP.

use std::net::SocketAddr;
use std::time::Instant;

use super::bmc::{Active, Bmc, Proof, Session, Stage};
use super::keys::{Algorithms, SessionKeys, algorithms};
use super::spec::{Forgery, Quirk};
use super::wire;

/// In the role byte: look the user up by name alone.
const NAME_ONLY: u8 = 0x10;
const LEVEL: u8 = 0x0F;

mod kind {
    pub(super) const OPEN_RESPONSE: u8 = 0x11;
    pub(super) const RAKP2: u8 = 0x13;
    pub(super) const RAKP4: u8 = 0x15;
}

/// RMCP+ status codes.
mod status {
    pub(super) const OK: u8 = 0x00;
    pub(super) const NO_RESOURCES: u8 = 0x01;
    pub(super) const NO_SESSION: u8 = 0x02;
    pub(super) const BAD_ROLE: u8 = 0x0A;
    pub(super) const UNKNOWN_NAME: u8 = 0x0D;
    pub(super) const BAD_CHECK: u8 = 0x0F;
    pub(super) const NO_SUITE: u8 = 0x11;
}

impl Bmc {
    pub(super) fn open(&mut self, payload: &[u8], from: SocketAddr, now: Instant) -> Option<Vec<u8>> {
        let [tag, level, _, _, s0, s1, s2, s3, rest @ ..] = payload else {
            return None;
        };
        let console = u32::from_le_bytes([*s0, *s1, *s2, *s3]);
        let algorithm = |at: usize| rest.get(at * 8 + 4).map(|algorithm| algorithm & 0x3F);
        let asked = Algorithms {
            authentication: algorithm(0)?,
            integrity: algorithm(1)?,
            confidentiality: algorithm(2)?,
        };
        let has = |suite: &u8| algorithms(*suite) == Some(asked);
        if !self.spec.suites.iter().any(has) {
            return (!self.spec.ignores_unknown_suites)
                .then(|| self.say(kind::OPEN_RESPONSE, *tag, status::NO_SUITE, console, &[]));
        }
        if self.spec.no_room > 0 || self.sessions.len() >= self.spec.session_limit {
            self.spec.no_room = self.spec.no_room.saturating_sub(1);
            return Some(self.say(kind::OPEN_RESPONSE, *tag, status::NO_RESOURCES, console, &[]));
        }
        let bmc = (self.random.next() as u32).max(1);
        self.sessions.push(Session {
            from,
            console,
            bmc,
            algorithms: asked,
            used: now,
            stage: Stage::Opened,
        });
        let told = self.spec.answers_with_suite.and_then(algorithms).unwrap_or(asked);
        let mut fields = bmc.to_le_bytes().to_vec();
        for (kind, algorithm) in (0u8..).zip([told.authentication, told.integrity, told.confidentiality]) {
            fields.extend([kind, 0, 0, 8, algorithm, 0, 0, 0]);
        }
        // Level 0 asks for the highest.
        let level = if *level == 0 {
            self.spec.privilege_limit
        } else {
            *level
        };
        let head = [&[*tag, status::OK, level, 0][..], &self.shown_id(console)].concat();
        Some(wire::setup(kind::OPEN_RESPONSE, &[head, fields].concat()))
    }

    pub(super) fn rakp1(&mut self, payload: &[u8], from: SocketAddr, now: Instant) -> Option<Vec<u8>> {
        let [tag, _, _, _, s0, s1, s2, s3, rest @ ..] = payload else {
            return None;
        };
        let (console_random, [role, _, _, len, name @ ..]) = rest.split_first_chunk::<16>()? else {
            return None;
        };
        let name = name.get(..usize::from(*len))?;
        let Some(at) = self.find(u32::from_le_bytes([*s0, *s1, *s2, *s3]), from) else {
            return Some(self.say(kind::RAKP2, *tag, status::NO_SESSION, 0, &[]));
        };
        let bmc_random = self.random.block();
        let code = self.rakp2_code(at, console_random, &bmc_random, *role, name);
        let refused = self.refuses(*role, name);
        let guid = self.guid();
        let session = self.sessions.get_mut(at)?;
        if matches!(session.stage, Stage::Active(_)) {
            // A late copy; the session has long been set up.
            return None;
        }
        session.used = now;
        let console = session.console;
        if let Some(status) = refused {
            return Some(self.say(kind::RAKP2, *tag, status, console, &[]));
        }
        session.stage = Stage::Proving(Proof {
            console_random: *console_random,
            bmc_random,
            role: *role,
            name: name.to_vec(),
        });
        let fields = [&bmc_random[..], &guid, &code].concat();
        Some(self.say(kind::RAKP2, *tag, status::OK, console, &fields))
    }

    /// The status that refuses a user, where one does.
    fn refuses(&self, role: u8, name: &[u8]) -> Option<u8> {
        let user = self.device.spec().username.unwrap_or_default();
        if self.device.faults().reject_auth || user.as_bytes() != name {
            Some(status::UNKNOWN_NAME)
        } else if !(1..=self.spec.privilege_limit).contains(&(role & LEVEL)) {
            Some(status::BAD_ROLE)
        } else {
            None
        }
    }

    fn rakp2_code(
        &mut self,
        at: usize,
        console_random: &[u8],
        bmc_random: &[u8],
        role: u8,
        name: &[u8],
    ) -> Vec<u8> {
        let key = match self.spec.forgery {
            Forgery::Rakp2 => self.random.block().to_vec(),
            _ => self.user_key(),
        };
        let (guid, named) = (self.guid(), self.named(role, name));
        let Some(session) = self.sessions.get(at) else {
            return Vec::new();
        };
        let ids = [session.console.to_le_bytes(), session.bmc.to_le_bytes()].concat();
        let proved = [&ids[..], console_random, bmc_random, &guid, &named].concat();
        session.algorithms.hmac(&key, &proved)
    }

    pub(super) fn rakp3(&mut self, payload: &[u8], from: SocketAddr, now: Instant) -> Option<Vec<u8>> {
        let [tag, said, _, _, s0, s1, s2, s3, code @ ..] = payload else {
            return None;
        };
        let at = self.find(u32::from_le_bytes([*s0, *s1, *s2, *s3]), from)?;
        if *said != status::OK {
            // The client did not like RAKP 2 and says so; there is no answer to that.
            self.sessions.remove(at);
            return None;
        }
        let session = self.sessions.get_mut(at)?;
        session.used = now;
        let (console, bmc, algorithms) = (session.console, session.bmc, session.algorithms);
        if matches!(session.stage, Stage::Active(_)) {
            // A late copy; the session has been set up.
            return None;
        }
        let Stage::Proving(proof) = std::mem::replace(&mut session.stage, Stage::Opened) else {
            return Some(self.say(kind::RAKP4, *tag, status::NO_SESSION, console, &[]));
        };
        let in_rakp3 = match self.spec.quirk {
            Quirk::Intelplus => proof.role & !NAME_ONLY,
            _ => proof.role,
        };
        let proved = [
            &proof.bmc_random[..],
            &console.to_le_bytes(),
            &self.named(in_rakp3, &proof.name),
        ]
        .concat();
        if algorithms.hmac(&self.user_key(), &proved) != code {
            self.sessions.remove(at);
            return Some(self.say(kind::RAKP4, *tag, status::BAD_CHECK, console, &[]));
        }
        let sik = self.session_key(algorithms, &proof);
        let last = [&proof.console_random[..], &bmc.to_le_bytes(), &self.guid()].concat();
        let mut code = algorithms.hmac(&sik, &last);
        code.truncate(algorithms.cut());
        match self.spec.forgery {
            Forgery::Rakp4 => code.iter_mut().for_each(|byte| *byte ^= 0x5A),
            Forgery::EmptyRakp4 => code.clear(),
            _ => {}
        }
        let limit = self.spec.privilege_limit.min(proof.role & LEVEL);
        self.sessions.get_mut(at)?.stage =
            Stage::Active(Active::new(SessionKeys::new(algorithms, &sik), limit));
        Some(self.say(kind::RAKP4, *tag, status::OK, console, &code))
    }

    fn session_key(&self, algorithms: Algorithms, proof: &Proof) -> Vec<u8> {
        let kg = self.spec.kg.clone().unwrap_or_else(|| self.user_key());
        let named = self.named(proof.role, &proof.name);
        algorithms.hmac(
            &kg,
            &[&proof.console_random[..], &proof.bmc_random, &named].concat(),
        )
    }

    fn find(&self, bmc: u32, from: SocketAddr) -> Option<usize> {
        self.sessions
            .iter()
            .position(|session| session.bmc == bmc && session.from == from)
    }

    /// Role, length of the name and name, as they go into the hashes.
    fn named(&self, role: u8, name: &[u8]) -> Vec<u8> {
        let role = match self.spec.quirk {
            Quirk::I82571spt => role & !NAME_ONLY,
            _ => role,
        };
        [&[role, name.len() as u8][..], name].concat()
    }

    /// The password, padded with zeros to 20 bytes.
    fn user_key(&self) -> Vec<u8> {
        let mut key = self.device.spec().password.unwrap_or_default().into_bytes();
        key.resize(20, 0);
        key
    }

    fn say(&self, kind: u8, tag: u8, status: u8, console: u32, fields: &[u8]) -> Vec<u8> {
        let head = [&[tag, status, 0, 0][..], &self.shown_id(console)].concat();
        wire::setup(kind, &[&head, fields].concat())
    }

    fn shown_id(&self, console: u32) -> [u8; 4] {
        match self.spec.quirk {
            Quirk::IdZero => [0; 4],
            _ => console.to_le_bytes(),
        }
    }
}
