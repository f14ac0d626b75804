//! Open Session and RAKP 1 to 4, seen from our side.

use super::config::Config;
use super::crypto::{Ivs, Keys};
use super::live::Live;
use super::machine::Seed;
use super::rmcp::{self, Dropped, Packet, payload};
use super::setup::{self, Head, NAME_ONLY, Transcript, status};
use super::suite::Suite;
use crate::error::Error;

/// One attempt. Nothing of it is used again in the next one.
pub(super) struct Handshake {
    seed: Seed,
    suite: Suite,
    stage: Stage,
}

enum Stage {
    /// Open Session is under way.
    Open,
    /// RAKP 1 is under way.
    Rakp1 { bmc: u32 },
    /// RAKP 3 is under way: the BMC may hold the session for open before we know.
    Rakp3(Box<Proven>),
}

/// What stands once the BMC has proven that it knows the password.
struct Proven {
    bmc: u32,
    bmc_random: [u8; 16],
    guid: [u8; 16],
    keys: Keys,
}

/// What a packet led to.
pub(super) enum Outcome {
    /// Nothing: it does not belong here.
    Dropped(Dropped),
    /// The next message is to be sent.
    Proceed,
    /// The session stands.
    Done(Box<Live>),
    /// The BMC says that it does not have the suite.
    SuiteRefused(u8),
    /// It has no room for a session.
    NoRoom,
    /// It does not know the session that it just gave out.
    Forgotten,
    /// It does not accept our proof: another handshake may go well.
    Doubted(Error),
    /// No use in going on.
    Failed(Error),
}

impl Handshake {
    pub(super) fn new(seed: Seed, suite: Suite) -> Self {
        Self {
            seed,
            suite,
            stage: Stage::Open,
        }
    }

    /// What is waited for, in the words of an error message.
    pub(super) fn doing(&self) -> &'static str {
        match self.stage {
            Stage::Open => "waiting for the BMC to open a session",
            Stage::Rakp1 { .. } => "waiting for the BMC's RAKP 2",
            Stage::Rakp3(_) => "waiting for the BMC's RAKP 4",
        }
    }

    /// Writes the message under way.
    pub(super) fn write(&self, config: &Config, out: &mut Vec<u8>) {
        let mut message = Vec::with_capacity(64);
        let tag = self.seed.tag;
        let kind = match &self.stage {
            Stage::Open => {
                let privilege = config.privilege as u8;
                setup::write_open(tag, privilege, self.seed.console, self.suite, &mut message);
                payload::OPEN_REQUEST
            }
            Stage::Rakp1 { bmc } => {
                let role = config.privilege as u8 | NAME_ONLY;
                let user = config.user.as_bytes();
                setup::write_rakp1(tag, *bmc, &self.seed.random, role, user, &mut message);
                payload::RAKP1
            }
            Stage::Rakp3(proven) => {
                let code = self
                    .transcript(config, proven.bmc, &proven.bmc_random, &proven.guid)
                    .rakp3_code(config.user_key());
                setup::write_rakp3(tag, proven.bmc, code.as_bytes(), &mut message);
                payload::RAKP3
            }
        };
        rmcp::write_setup(kind, &message, out);
    }

    pub(super) fn handle(&mut self, packet: &Packet<'_>, config: &Config) -> Outcome {
        let expected = match self.stage {
            Stage::Open => payload::OPEN_RESPONSE,
            Stage::Rakp1 { .. } => payload::RAKP2,
            Stage::Rakp3(_) => payload::RAKP4,
        };
        if packet.kind != expected || packet.session != 0 || packet.encrypted || packet.authenticated {
            return Outcome::Dropped("it does not answer the message under way");
        }
        let head = match setup::head(packet.payload) {
            Ok(head) => head,
            Err(why) => return Outcome::Dropped(why),
        };
        let ours = |console| console == self.seed.console || (config.quirks.idzero && console == 0);
        // With an error status the session id may be missing, or be zero.
        let ours = match head.console {
            Some(console) => ours(console) || (head.status != status::OK && console == 0),
            None => head.status != status::OK,
        };
        if head.tag != self.seed.tag || !ours {
            return Outcome::Dropped("it belongs to another handshake");
        }
        if head.status != status::OK {
            return self.refused(head.status, config);
        }
        match &self.stage {
            Stage::Open => self.opened(&head),
            Stage::Rakp1 { bmc } => self.rakp2(*bmc, &head, config),
            Stage::Rakp3(proven) => self.rakp4(proven, &head, config),
        }
    }

    fn opened(&mut self, head: &Head<'_>) -> Outcome {
        let Some(opened) = head.opened() else {
            return Outcome::Dropped("its Open Session Response is cut short");
        };
        if opened.algorithms != self.suite.algorithms() {
            let [authentication, integrity, confidentiality] = opened.algorithms;
            return Outcome::Failed(Error::protocol(format!(
                "the BMC was asked for {} and answers with other algorithms ({authentication}/{integrity}/\
                 {confidentiality}): a downgrade, and refused. If the BMC has one suite only, set cipher to it",
                self.suite,
            )));
        }
        if opened.bmc == 0 {
            return Outcome::Dropped("it gives out session id 0");
        }
        self.stage = Stage::Rakp1 { bmc: opened.bmc };
        Outcome::Proceed
    }

    fn rakp2(&mut self, bmc: u32, head: &Head<'_>, config: &Config) -> Outcome {
        let Some(rakp2) = head.rakp2() else {
            return Outcome::Dropped("its RAKP 2 is cut short");
        };
        let transcript = self.transcript(config, bmc, &rakp2.random, &rakp2.guid);
        if !transcript.rakp2_code(config.user_key()).equals(rakp2.code) {
            return Outcome::Failed(Error::authentication(
                "the BMC does not prove that it knows the password; check username and password",
            ));
        }
        let keys = Keys::new(self.suite, transcript.session_key(config.kg()));
        self.stage = Stage::Rakp3(Box::new(Proven {
            bmc,
            bmc_random: rakp2.random,
            guid: rakp2.guid,
            keys,
        }));
        Outcome::Proceed
    }

    fn rakp4(&self, proven: &Proven, head: &Head<'_>, config: &Config) -> Outcome {
        let expected = self
            .transcript(config, proven.bmc, &proven.bmc_random, &proven.guid)
            .rakp4_code(proven.keys.session_key());
        if !expected.equals_cut(self.suite.code_len(), head.code()) {
            return Outcome::Failed(Error::authentication(format!(
                "the BMC does not prove that it knows the session key (RAKP 4); {}",
                config.kg_advice()
            )));
        }
        Outcome::Done(Box::new(self.live(proven)))
    }

    /// What a status other than success means.
    fn refused(&self, status: u8, config: &Config) -> Outcome {
        match status {
            status::INSUFFICIENT_RESOURCES => Outcome::NoRoom,
            status::INVALID_SESSION | status::INACTIVE_SESSION => Outcome::Forgotten,
            _ if status::refuses_suite(status) => Outcome::SuiteRefused(status),
            status::INVALID_ROLE | status::UNAUTHORIZED_ROLE => {
                Outcome::Failed(Error::authentication(format!(
                    "the BMC does not give user \"{}\" this privilege level (status {status:02X}); \
                     lower privlvl, or raise the user's level on the BMC",
                    config.user
                )))
            }
            status::UNAUTHORIZED_NAME => Outcome::Failed(Error::authentication(format!(
                "the BMC does not know user \"{}\", or not for IPMI over LAN (status 0D); check username",
                config.user
            ))),
            // The BMC has just proven that it knows the same password, so ours is right. A copy of RAKP 1 on the network
            // makes it expect another proof.
            status::INVALID_CHECK_VALUE => Outcome::Doubted(Error::authentication(format!(
                "the BMC refuses the proof of the password (status 0F) although its own is right; {}, \
                 or try quirks=intelplus or quirks=i82571spt",
                config.kg_advice()
            ))),
            other => Outcome::Failed(Error::refused(format!(
                "the BMC opens no session (RMCP+ status {other:02X})"
            ))),
        }
    }

    /// The session that the BMC may hold for open, where RAKP 3 was sent.
    pub(super) fn into_live(self) -> Option<Live> {
        match &self.stage {
            Stage::Rakp3(proven) => Some(self.live(proven)),
            Stage::Open | Stage::Rakp1 { .. } => None,
        }
    }

    fn live(&self, proven: &Proven) -> Live {
        Live::new(
            proven.keys.clone(),
            Ivs::new(self.seed.iv_key),
            self.seed.console,
            proven.bmc,
            proven.guid,
        )
    }

    fn transcript<'a>(
        &'a self,
        config: &'a Config,
        bmc: u32,
        bmc_random: &'a [u8; 16],
        guid: &'a [u8; 16],
    ) -> Transcript<'a> {
        let bare = config.privilege as u8;
        let full = bare | NAME_ONLY;
        let quirks = config.quirks;
        Transcript {
            suite: self.suite,
            console: self.seed.console,
            bmc,
            console_random: &self.seed.random,
            bmc_random,
            guid,
            role: if quirks.i82571spt { bare } else { full },
            role_in_rakp3: if quirks.i82571spt || quirks.intelplus {
                bare
            } else {
                full
            },
            user: config.user.as_bytes(),
        }
    }
}
