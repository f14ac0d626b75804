//! Packets as the simulated BMC reads and writes them, written apart from the backend's codec on purpose.

use super::keys::SessionKeys;

/// A packet from a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming<'a> {
    /// ASF presence ping, with its tag.
    Ping(u8),
    /// An IPMI 1.5 packet outside a session: its message.
    Sessionless(&'a [u8]),
    /// A message of the RMCP+ handshake: payload type, payload.
    Setup(u8, &'a [u8]),
    /// A packet within a session.
    Session(Sealed<'a>),
}

/// A packet within a session, as it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sealed<'a> {
    pub(super) session: u32,
    pub(super) sequence: u32,
    flags: u8,
    payload: &'a [u8],
    signed: &'a [u8],
    code: &'a [u8],
}

/// Reads a packet; `None` for whatever a BMC would ignore.
///
/// With `short_pad` the pad is counted without its length and the next header (quirk `icts`).
pub(super) fn read(packet: &[u8], short_pad: bool) -> Option<Incoming<'_>> {
    match packet {
        [6, _, _, 6, 0, 0, 0x11, 0xBE, 0x80, tag, ..] => Some(Incoming::Ping(*tag)),
        [6, _, _, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, len, message @ ..] => {
            message.get(..usize::from(*len)).map(Incoming::Sessionless)
        }
        [
            6,
            _,
            _,
            7,
            6,
            kind,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            low,
            high,
            payload @ ..,
        ] if kind & 0xC0 == 0 => payload
            .get(..usize::from(u16::from_le_bytes([*low, *high])))
            .map(|payload| Incoming::Setup(*kind, payload)),
        [6, _, _, 7, signed @ ..] => session(signed, short_pad).map(Incoming::Session),
        _ => None,
    }
}

fn session(from_format: &[u8], short_pad: bool) -> Option<Sealed<'_>> {
    let [6, kind, s0, s1, s2, s3, q0, q1, q2, q3, low, high, rest @ ..] = from_format else {
        return None;
    };
    if kind & 0x3F != 0 {
        return None;
    }
    let (payload, trailer) = rest.split_at_checked(usize::from(u16::from_le_bytes([*low, *high])))?;
    // FF bytes up to a multiple of four, their count, the next header, the code.
    let pads = trailer.iter().take_while(|byte| **byte == 0xFF).count().min(3);
    let (after_pads, signed_len) = (trailer.get(pads..)?, from_format.len() - trailer.len() + pads + 2);
    let [count, 0x07, code @ ..] = after_pads else {
        return None;
    };
    let counted = if short_pad { signed_len - 2 } else { signed_len };
    if usize::from(*count) != pads || counted % 4 != 0 {
        return None;
    }
    Some(Sealed {
        session: u32::from_le_bytes([*s0, *s1, *s2, *s3]),
        sequence: u32::from_le_bytes([*q0, *q1, *q2, *q3]),
        flags: kind & 0xC0,
        payload,
        signed: from_format.get(..signed_len)?,
        code,
    })
}

impl Sealed<'_> {
    /// The message inside, when the code fits the keys.
    pub(super) fn open(&self, keys: &SessionKeys) -> Option<Vec<u8>> {
        let encrypted = keys.algorithms().confidentiality != 0;
        let flags = if encrypted { 0xC0 } else { 0x40 };
        if self.flags != flags || keys.code(self.signed) != self.code {
            return None;
        }
        if encrypted {
            keys.decrypt(self.payload)
        } else {
            Some(self.payload.to_vec())
        }
    }
}

/// The answer to a presence ping: IPMI is spoken here.
pub(super) fn pong(tag: u8) -> Vec<u8> {
    let mut packet = vec![6, 0, 0xFF, 6, 0, 0, 0x11, 0xBE, 0x40, tag, 0, 16];
    packet.extend([0, 0, 0x11, 0xBE, 0, 0, 0, 0, 0x81, 0, 0, 0, 0, 0, 0, 0]);
    packet
}

/// An IPMI 1.5 packet outside a session.
pub(super) fn sessionless(message: &[u8]) -> Vec<u8> {
    let mut packet = vec![6, 0, 0xFF, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, message.len() as u8];
    packet.extend(message);
    packet
}

/// A message of the handshake.
pub(super) fn setup(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![6, 0, 0xFF, 7, 6, kind, 0, 0, 0, 0, 0, 0, 0, 0];
    packet.extend((payload.len() as u16).to_le_bytes());
    packet.extend(payload);
    packet
}

/// A packet within a session. The pad before its code may be counted in either way: nobody checks it.
pub(super) fn sealed(
    keys: &SessionKeys,
    session: u32,
    sequence: u32,
    message: &[u8],
    iv: [u8; 16],
) -> Vec<u8> {
    let encrypted = keys.algorithms().confidentiality != 0;
    let payload = if encrypted {
        keys.encrypt(message, iv)
    } else {
        message.to_vec()
    };
    let mut signed = vec![6, if encrypted { 0xC0 } else { 0x40 }];
    signed.extend(session.to_le_bytes());
    signed.extend(sequence.to_le_bytes());
    signed.extend((payload.len() as u16).to_le_bytes());
    signed.extend(&payload);
    let mut pads = 0;
    while (signed.len() + 2) % 4 != 0 {
        signed.push(0xFF);
        pads += 1;
    }
    signed.extend([pads, 0x07]);
    let code = keys.code(&signed);
    [&[6, 0, 0xFF, 7][..], &signed, &code].concat()
}

/// A packet that claims to be within a session and protects nothing.
pub(super) fn unprotected(session: u32, sequence: u32, message: &[u8]) -> Vec<u8> {
    let mut packet = vec![6, 0, 0xFF, 7, 6, 0];
    packet.extend(session.to_le_bytes());
    packet.extend(sequence.to_le_bytes());
    packet.extend((message.len() as u16).to_le_bytes());
    packet.extend(message);
    packet
}

/// A request inside a packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    pub(super) netfn: u8,
    pub(super) command: u8,
    pub(super) sequence: u8,
    pub(super) data: &'a [u8],
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().copied().fold(0, u8::wrapping_add)
}

/// Reads a request; `None` when its checksums are wrong.
pub(super) fn request(message: &[u8]) -> Option<Request<'_>> {
    let (head, body) = message.split_at_checked(3)?;
    let ([_, netfn, _], [_, sequence, command, data @ .., _]) = (head, body) else {
        return None;
    };
    (sum(head) == 0 && sum(body) == 0).then_some(Request {
        netfn: netfn >> 2,
        command: *command,
        sequence: sequence >> 2,
        data,
    })
}

/// The response to a request.
pub(super) fn response(request: &Request<'_>, code: u8, data: &[u8]) -> Vec<u8> {
    let mut message = vec![0x81, (request.netfn | 1) << 2];
    message.push(0u8.wrapping_sub(sum(&message)));
    let mut body = vec![0x20, request.sequence << 2, request.command, code];
    body.extend(data);
    body.push(0u8.wrapping_sub(sum(&body)));
    message.extend(body);
    message
}
