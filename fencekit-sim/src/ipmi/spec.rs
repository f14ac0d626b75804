//! How a simulated BMC is made and misbehaves, besides the [`Faults`](crate::Faults) of every device.

use std::time::Duration;

/// What somebody between the client and the BMC, or in the BMC's place, sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forgery {
    /// Nothing.
    #[default]
    None,
    /// RAKP 2 from somebody who does not know the password.
    Rakp2,
    /// RAKP 4 from somebody who does not know the session key.
    Rakp4,
    /// Before each answer in the session one that says "off", sealed with another key.
    Sealed,
    /// Before each answer in the session one that says "off", unprotected.
    Plain,
    /// Before each answer in the session the first answer of the session again.
    Replay,
    /// A RAKP 4 that is cut to nothing.
    EmptyRakp4,
}

/// A BMC's own idea of the protocol, by the names under which ipmitool and FreeIPMI know them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quirk {
    /// As the specification says.
    #[default]
    None,
    /// The role in RAKP 3 lacks the name-only bit.
    Intelplus,
    /// The role in every hash lacks the name-only bit, and the privilege level cannot be set.
    I82571spt,
    /// The integrity pad is counted without its length and the next header.
    Icts,
    /// Its packets carry session id 0.
    IdZero,
    /// Its checksums are wrong.
    NoChecksumCheck,
}

impl Quirk {
    /// All deviations, with their names in the option `quirks`.
    pub const ALL: [(Self, &str); 5] = [
        (Self::Intelplus, "intelplus"),
        (Self::I82571spt, "i82571spt"),
        (Self::Icts, "icts"),
        (Self::IdZero, "idzero"),
        (Self::NoChecksumCheck, "nochecksumcheck"),
    ];
}

/// A simulated BMC. [`Default`] is a well-behaved one with suites 3 and 17.
#[derive(Clone, Debug)]
pub struct BmcSpec {
    /// Cipher suites that it has, of 2, 3, 16 and 17.
    pub suites: Vec<u8>,
    /// Suites that it does not have are ignored in silence, not refused.
    pub ignores_unknown_suites: bool,
    /// The suite that it answers an Open Session with, whatever was asked for: a downgrade.
    pub answers_with_suite: Option<u8>,
    /// Kg, the second key.
    pub kg: Option<Vec<u8>>,
    /// GUID, in the order of the wire.
    pub guid: [u8; 16],
    /// The highest privilege level of the user: 2 user, 3 operator, 4 administrator.
    pub privilege_limit: u8,
    /// How many commands in sessions are answered with `busy_code` before the BMC works.
    pub busy: u32,
    /// C0 busy, C3 timeout, C4 out of space, D2 initializing.
    pub busy_code: u8,
    /// How many Open Session requests are answered "insufficient resources" before the BMC works.
    pub no_room: u32,
    /// How many sessions it holds, half-open ones included.
    pub session_limit: usize,
    /// How long it holds a session that nobody uses.
    pub session_expiry: Duration,
    /// A repeated request in a session is answered CF, not carried out again.
    pub detects_duplicates: bool,
    /// Off when off is answered D5.
    pub off_when_off_fails: bool,
    /// How many commands to switch on are answered D5, as right after an off.
    pub fails_ons: u32,
    /// How many commands to switch on, after those, are accepted and lost.
    pub loses_ons: u32,
    /// The BMC has the node's power feed: it is silent while the node is off.
    pub shares_feed: bool,
    /// How many bytes its chassis status has: 4, or 3 from older ones.
    pub status_len: usize,
    /// Bits that its power state has set besides bit 0.
    pub status_bits: u8,
    /// A share of packets, in each direction, that is lost.
    pub loss: f64,
    /// A share of answers that comes twice.
    pub duplicates: f64,
    /// A share of answers that comes late, after others.
    pub reordering: f64,
    /// What an attacker adds.
    pub forgery: Forgery,
    /// Its own idea of the protocol.
    pub quirk: Quirk,
    /// Decides which packets are lost, doubled and late.
    pub seed: u64,
}

impl Default for BmcSpec {
    fn default() -> Self {
        Self {
            suites: vec![3, 17],
            ignores_unknown_suites: false,
            answers_with_suite: None,
            kg: None,
            guid: [
                0x44, 0x45, 0x4C, 0x4C, 0x00, 0x10, 0x4B, 0x30, 0x80, 0x35, 0xB7, 0xC0, 0x4F, 0x4D, 0x31,
                0x32,
            ],
            privilege_limit: 4,
            busy: 0,
            busy_code: 0xC0,
            no_room: 0,
            session_limit: 64,
            session_expiry: Duration::from_secs(60),
            detects_duplicates: false,
            off_when_off_fails: false,
            fails_ons: 0,
            loses_ons: 0,
            shares_feed: false,
            status_len: 4,
            status_bits: 0,
            loss: 0.0,
            duplicates: 0.0,
            reordering: 0.0,
            forgery: Forgery::None,
            quirk: Quirk::None,
            seed: 1,
        }
    }
}
