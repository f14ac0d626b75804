//! The four messages and answers that set a session up: Open Session and RAKP 1 to 4 (IPMI 2.0, sections 13.17 to
//! 13.24).

use super::bytes::Reader;
use super::crypto::{Digest, hmac};
use super::rmcp::Dropped;
use super::suite::Suite;

/// RMCP+ status codes (IPMI 2.0, table 13-15) that mean something to us.
pub(crate) mod status {
    pub(crate) const OK: u8 = 0x00;
    pub(crate) const INSUFFICIENT_RESOURCES: u8 = 0x01;
    pub(crate) const INVALID_SESSION: u8 = 0x02;
    pub(crate) const INVALID_AUTHENTICATION: u8 = 0x04;
    pub(crate) const INVALID_INTEGRITY: u8 = 0x05;
    pub(crate) const INACTIVE_SESSION: u8 = 0x08;
    pub(crate) const INVALID_ROLE: u8 = 0x09;
    pub(crate) const UNAUTHORIZED_ROLE: u8 = 0x0A;
    pub(crate) const UNAUTHORIZED_NAME: u8 = 0x0D;
    pub(crate) const INVALID_CHECK_VALUE: u8 = 0x0F;
    pub(crate) const INVALID_CONFIDENTIALITY: u8 = 0x10;
    pub(crate) const NO_SUITE_MATCH: u8 = 0x11;

    /// Whether the BMC says that it does not have the suite.
    pub(crate) fn refuses_suite(status: u8) -> bool {
        matches!(
            status,
            INVALID_AUTHENTICATION | INVALID_INTEGRITY | INVALID_CONFIDENTIALITY | NO_SUITE_MATCH
        )
    }
}

/// The role byte of RAKP 1: look the user up by name alone, whatever the privilege level.
pub(crate) const NAME_ONLY: u8 = 0x10;

/// Writes the Open Session Request.
pub(crate) fn write_open(tag: u8, privilege: u8, console: u32, suite: Suite, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&[tag, privilege, 0, 0]);
    out.extend_from_slice(&console.to_le_bytes());
    for (kind, algorithm) in (0u8..).zip(suite.algorithms()) {
        out.extend_from_slice(&[kind, 0, 0, 8, algorithm, 0, 0, 0]);
    }
}

/// Writes RAKP 1.
pub(crate) fn write_rakp1(tag: u8, bmc: u32, random: &[u8; 16], role: u8, user: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&[tag, 0, 0, 0]);
    out.extend_from_slice(&bmc.to_le_bytes());
    out.extend_from_slice(random);
    out.extend_from_slice(&[role, 0, 0, user.len() as u8]);
    out.extend_from_slice(user);
}

/// Writes RAKP 3.
pub(crate) fn write_rakp3(tag: u8, bmc: u32, code: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&[tag, 0, 0, 0]);
    out.extend_from_slice(&bmc.to_le_bytes());
    out.extend_from_slice(code);
}

/// What one of the three answers says before its own fields. With a status other than success the session id and
/// everything after it may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub(crate) tag: u8,
    pub(crate) status: u8,
    /// Our session id.
    pub(crate) console: Option<u32>,
    rest: &'a [u8],
}

/// Takes the head off an Open Session Response, RAKP 2 or RAKP 4.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn head(payload: &[u8]) -> Result<Head<'_>, Dropped> {
    let mut reader = Reader::new(payload);
    let mut fields = || Some((reader.u8()?, reader.u8()?));
    let (tag, status) = fields().ok_or("it is cut short")?;
    let console = reader.take(2).and_then(|_| reader.le32());
    Ok(Head {
        tag,
        status,
        console,
        rest: reader.rest(),
    })
}

/// The fields of a successful Open Session Response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The BMC's session id.
    pub(crate) bmc: u32,
    /// The algorithms that it will use.
    pub(crate) algorithms: [u8; 3],
}

/// The fields of a successful RAKP 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rakp2<'a> {
    pub(crate) random: [u8; 16],
    pub(crate) guid: [u8; 16],
    /// The proof that the BMC knows the user's password.
    pub(crate) code: &'a [u8],
}

impl<'a> Head<'a> {
    /// The rest of an Open Session Response; `None` when it is cut or no algorithm stands where it should.
    pub(crate) fn opened(&self) -> Option<Opened> {
        let mut reader = Reader::new(self.rest);
        let bmc = reader.le32()?;
        let mut algorithm = |expected: u8| {
            let [kind, _, _, len, algorithm, ..] = reader.array::<8>()?;
            (kind == expected && len == 8).then_some(algorithm & 0x3F)
        };
        Some(Opened {
            bmc,
            algorithms: [algorithm(0)?, algorithm(1)?, algorithm(2)?],
        })
    }

    /// The rest of a RAKP 2.
    pub(crate) fn rakp2(&self) -> Option<Rakp2<'a>> {
        let mut reader = Reader::new(self.rest);
        Some(Rakp2 {
            random: reader.array()?,
            guid: reader.array()?,
            code: reader.rest(),
        })
    }

    /// The code in a RAKP 4.
    pub(crate) fn code(&self) -> &'a [u8] {
        self.rest
    }
}

/// Everything that goes into the codes of the handshake.
pub(crate) struct Transcript<'a> {
    pub(crate) suite: Suite,
    pub(crate) console: u32,
    pub(crate) bmc: u32,
    pub(crate) console_random: &'a [u8; 16],
    pub(crate) bmc_random: &'a [u8; 16],
    pub(crate) guid: &'a [u8; 16],
    /// The role byte as the BMC hashes it, in RAKP 2 and the session key.
    pub(crate) role: u8,
    /// The role byte as the BMC hashes it in RAKP 3; another one with the quirk `intelplus`.
    pub(crate) role_in_rakp3: u8,
    pub(crate) user: &'a [u8],
}

impl Transcript<'_> {
    /// What RAKP 2 must carry.
    pub(crate) fn rakp2_code(&self, user_key: &[u8]) -> Digest {
        self.hmac(
            user_key,
            &[
                &self.console.to_le_bytes(),
                &self.bmc.to_le_bytes(),
                self.console_random,
                self.bmc_random,
                self.guid,
                &self.name(self.role),
                self.user,
            ],
        )
    }

    /// What RAKP 3 carries.
    pub(crate) fn rakp3_code(&self, user_key: &[u8]) -> Digest {
        self.hmac(
            user_key,
            &[
                self.bmc_random,
                &self.console.to_le_bytes(),
                &self.name(self.role_in_rakp3),
                self.user,
            ],
        )
    }

    /// The session integrity key.
    pub(crate) fn session_key(&self, kg: &[u8]) -> Digest {
        self.hmac(
            kg,
            &[
                self.console_random,
                self.bmc_random,
                &self.name(self.role),
                self.user,
            ],
        )
    }

    /// What RAKP 4 must carry, before it is cut.
    pub(crate) fn rakp4_code(&self, session_key: &Digest) -> Digest {
        self.hmac(
            session_key.as_bytes(),
            &[self.console_random, &self.bmc.to_le_bytes(), self.guid],
        )
    }

    fn name(&self, role: u8) -> [u8; 2] {
        [role, self.user.len() as u8]
    }

    fn hmac(&self, key: &[u8], parts: &[&[u8]]) -> Digest {
        hmac(self.suite.hash(), key, parts)
    }
}
