//! IPMI messages as LAN payloads carry them (IPMI 2.0, section 13.8), and completion codes.

use super::bytes::Reader;
use super::rmcp::Dropped;

const BMC: u8 = 0x20;
const CONSOLE: u8 = 0x81;

/// Network functions of requests; responses have the lowest bit set.
pub(crate) mod netfn {
    pub(crate) const CHASSIS: u8 = 0x00;
    pub(crate) const APP: u8 = 0x06;
    pub(crate) const GROUP: u8 = 0x2C;
}

/// A command to the BMC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub(crate) netfn: u8,
    pub(crate) command: u8,
    pub(crate) data: Vec<u8>,
    /// Whether a second execution does no harm. A cycle or a reset is sent once, whatever becomes of it.
    pub(crate) repeatable: bool,
    /// What is waited for, in the words of an error message.
    pub(crate) doing: &'static str,
}

/// The BMC's answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Completion code; 0 is success.
    pub code: u8,
    /// What follows it.
    pub data: Vec<u8>,
}

/// Both bytes of a sum and its negation add up to zero.
fn checksum(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0u8, |sum, byte| sum.wrapping_add(*byte))
        .wrapping_neg()
}

/// Writes a request with its sequence number (six bits).
pub(crate) fn write(request: &Request, sequence: u8, out: &mut Vec<u8>) {
    out.clear();
    let head = [BMC, request.netfn << 2];
    out.extend_from_slice(&head);
    out.push(checksum(&head));
    let start = out.len();
    out.extend_from_slice(&[CONSOLE, sequence << 2, request.command]);
    out.extend_from_slice(&request.data);
    let sum = checksum(out.get(start..).unwrap_or_default());
    out.push(sum);
}

/// A response, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    netfn: u8,
    sequence: u8,
    command: u8,
    pub(crate) answer: Answer,
}

impl Response {
    /// Whether it answers this request. Addresses are not compared: BMCs fill them in differently.
    pub(crate) fn answers(&self, request: &Request, sequence: u8) -> bool {
        self.netfn == (request.netfn | 1) && self.command == request.command && self.sequence == sequence
    }
}

/// Takes a response apart. `check` is false for BMCs whose checksums are known to be wrong.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(message: &[u8], check: bool) -> Result<Response, Dropped> {
    const CUT: Dropped = "its IPMI message is cut short";
    let mut reader = Reader::new(message);
    let head = reader.array::<3>().ok_or(CUT)?;
    let (body, _) = reader
        .rest()
        .len()
        .checked_sub(1)
        .and_then(|len| reader.rest().split_at_checked(len))
        .ok_or(CUT)?;
    if check && (checksum(&head) != 0 || checksum(reader.rest()) != 0) {
        return Err("its checksum is wrong");
    }
    let [_, netfn, _] = head;
    let mut body = Reader::new(body);
    let mut fields = || Some((body.array::<3>()?, body.u8()?, body.rest().to_vec()));
    let ([_, sequence, command], code, data) = fields().ok_or(CUT)?;
    Ok(Response {
        netfn: netfn >> 2,
        sequence: sequence >> 2,
        command,
        answer: Answer { code, data },
    })
}

/// What a completion code asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Done.
    Success,
    /// Busy, out of time or space, or still starting: the same command again, a little later.
    Later,
    /// The BMC took it for a repetition and says nothing of the first one.
    Duplicate,
    /// The command was understood and not carried out.
    Refused,
}

/// Completion codes (IPMI 2.0, table 5-2) that mean something to us.
pub(crate) mod code {
    pub(crate) const OK: u8 = 0x00;
    pub(crate) const NODE_BUSY: u8 = 0xC0;
    pub(crate) const INVALID_COMMAND: u8 = 0xC1;
    pub(crate) const TIMEOUT: u8 = 0xC3;
    pub(crate) const OUT_OF_SPACE: u8 = 0xC4;
    pub(crate) const DUPLICATE: u8 = 0xCF;
    pub(crate) const INITIALIZING: u8 = 0xD2;
    pub(crate) const PRIVILEGE: u8 = 0xD4;
    pub(crate) const WRONG_STATE: u8 = 0xD5;
    pub(crate) const PRIVILEGE_ABOVE_LIMIT: u8 = 0x81;
}

impl Answer {
    /// The data, where the command was carried out.
    pub(crate) fn success(&self) -> Option<&[u8]> {
        (self.verdict() == Verdict::Success).then_some(self.data.as_slice())
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match self.code {
            code::OK => Verdict::Success,
            code::NODE_BUSY | code::TIMEOUT | code::OUT_OF_SPACE | code::INITIALIZING => Verdict::Later,
            code::DUPLICATE => Verdict::Duplicate,
            _ => Verdict::Refused,
        }
    }
}

/// What a completion code says, for people.
pub(crate) fn code_text(number: u8) -> &'static str {
    match number {
        code::OK => "done",
        code::PRIVILEGE_ABOVE_LIMIT => "the privilege level is above the user's limit",
        code::NODE_BUSY => "busy",
        code::INVALID_COMMAND => "the command is not known to it",
        0xC2 => "the command is not valid for this LUN",
        code::TIMEOUT => "it ran out of time",
        code::OUT_OF_SPACE => "it is out of space",
        0xC7 | 0xC8 => "the request has the wrong length",
        0xC9 | 0xCA => "a parameter is out of range",
        0xCB => "there is no such sensor, data or record",
        0xCC => "a field of the request is not valid",
        0xCE => "it could not provide a response",
        code::DUPLICATE => "it took the request for a repetition",
        code::INITIALIZING => "it is still starting",
        code::PRIVILEGE => "the privilege level does not suffice",
        code::WRONG_STATE => "not possible in the present state",
        0xD6 => "a part of it is disabled or unavailable",
        0xFF => "it gives no reason",
        _ => "a code of the maker's own",
    }
}
