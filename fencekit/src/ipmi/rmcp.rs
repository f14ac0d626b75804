//! Packets of RMCP and RMCP+ (IPMI 2.0, section 13): headers, trailer, integrity.

use super::bytes::Reader;
use super::crypto::Keys;

/// The standard UDP port.
pub(crate) const PORT: u16 = 623;

/// RMCP 1.0, no acknowledgement, class IPMI.
const RMCP: [u8; 4] = [0x06, 0x00, 0xFF, 0x07];
const RMCP_LEN: usize = 4;
const FORMAT_RMCP_PLUS: u8 = 0x06;
const ENCRYPTED: u8 = 0x80;
const AUTHENTICATED: u8 = 0x40;
const NEXT_HEADER: u8 = 0x07;

/// Payload types.
pub(crate) mod payload {
    pub(crate) const IPMI: u8 = 0x00;
    pub(crate) const OPEN_REQUEST: u8 = 0x10;
    pub(crate) const OPEN_RESPONSE: u8 = 0x11;
    pub(crate) const RAKP1: u8 = 0x12;
    pub(crate) const RAKP2: u8 = 0x13;
    pub(crate) const RAKP3: u8 = 0x14;
    pub(crate) const RAKP4: u8 = 0x15;
}

/// Why a packet counts for nothing, in the words of an error message.
pub(crate) type Dropped = &'static str;

/// An RMCP+ packet taken apart; nothing in it is verified yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) kind: u8,
    pub(crate) encrypted: bool,
    pub(crate) authenticated: bool,
    pub(crate) session: u32,
    pub(crate) sequence: u32,
    pub(crate) payload: &'a [u8],
    /// Everything from the format byte on, trailer included.
    body: &'a [u8],
    trailer: &'a [u8],
}

/// Takes a packet apart.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(bytes: &[u8]) -> Result<Packet<'_>, Dropped> {
    let mut reader = Reader::new(bytes);
    match reader.array::<RMCP_LEN>() {
        Some([0x06, _, _, 0x07]) => {}
        _ => return Err("it is no IPMI packet"),
    }
    let body = reader.rest();
    match reader.u8() {
        Some(FORMAT_RMCP_PLUS) => {}
        _ => return Err("it is no IPMI 2.0 packet"),
    }
    fields(reader, body).ok_or("it is cut short")
}

fn fields<'a>(mut reader: Reader<'a>, body: &'a [u8]) -> Option<Packet<'a>> {
    let kind = reader.u8()?;
    let (flags, kind) = (kind & (ENCRYPTED | AUTHENTICATED), kind & 0x3F);
    let session = reader.le32()?;
    let sequence = reader.le32()?;
    let len = reader.le16()?;
    let payload = reader.take(usize::from(len))?;
    Some(Packet {
        kind,
        encrypted: flags & ENCRYPTED != 0,
        authenticated: flags & AUTHENTICATED != 0,
        session,
        sequence,
        payload,
        body,
        trailer: reader.rest(),
    })
}

impl Packet<'_> {
    /// Verifies the code, then decrypts. The pad before the code is only covered by it, not looked at: BMCs count it
    /// differently.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn open(&self, keys: &Keys) -> Result<Vec<u8>, Dropped> {
        if !self.authenticated {
            return Err("it is not authenticated");
        }
        if self.encrypted != keys.suite().encrypts() {
            return Err("it is not encrypted as agreed");
        }
        let len = keys.suite().code_len();
        let without_code = |part: &[u8]| part.len().checked_sub(len);
        let (Some(signed_len), Some(2..)) = (without_code(self.body), without_code(self.trailer)) else {
            return Err("it has no integrity trailer");
        };
        let (signed, code) = self.body.split_at_checked(signed_len).unwrap_or_default();
        if !keys.code(signed).equals_cut(len, code) {
            return Err("its integrity code is wrong");
        }
        keys.unseal(self.payload).ok_or("it cannot be decrypted")
    }
}

/// Writes a packet of the handshake: no session, no sequence, no protection.
pub(crate) fn write_setup(kind: u8, payload: &[u8], out: &mut Vec<u8>) {
    header(kind, 0, 0, out);
    out.extend_from_slice(&(payload.len() as u16).to_le_bytes());
    out.extend_from_slice(payload);
}

/// What a packet within a session is sent with.
pub(crate) struct Outgoing<'a> {
    pub(crate) keys: &'a Keys,
    /// The BMC's session id.
    pub(crate) session: u32,
    pub(crate) sequence: u32,
    pub(crate) iv: [u8; 16],
    /// Quirk `icts`: the pad is counted without its length and the next header.
    pub(crate) short_pad: bool,
}

/// Writes a packet within a session; false when encryption failed, which it never does.
pub(crate) fn write_session(outgoing: &Outgoing<'_>, message: &[u8], out: &mut Vec<u8>) -> bool {
    let flags = if outgoing.keys.suite().encrypts() {
        ENCRYPTED | AUTHENTICATED
    } else {
        AUTHENTICATED
    };
    header(payload::IPMI | flags, outgoing.session, outgoing.sequence, out);
    let length_at = out.len();
    out.extend_from_slice(&[0, 0]);
    let start = out.len();
    if !outgoing.keys.seal(message, outgoing.iv, out) {
        return false;
    }
    let length = ((out.len() - start) as u16).to_le_bytes();
    for (to, from) in out.iter_mut().skip(length_at).zip(length) {
        *to = from;
    }
    let counted = out.len() - RMCP_LEN + if outgoing.short_pad { 0 } else { 2 };
    let pad = (4 - counted % 4) % 4;
    out.extend(std::iter::repeat_n(0xFF, pad));
    out.extend_from_slice(&[pad as u8, NEXT_HEADER]);
    let code = outgoing.keys.code(out.get(RMCP_LEN..).unwrap_or_default());
    out.extend_from_slice(code.cut(outgoing.keys.suite().code_len()));
    true
}

fn header(kind: u8, session: u32, sequence: u32, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&RMCP);
    out.extend_from_slice(&[FORMAT_RMCP_PLUS, kind]);
    out.extend_from_slice(&session.to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
}
