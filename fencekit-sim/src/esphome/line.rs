//! How a device's bytes become messages and back: protobuf, frames, encryption.

use snow::{Builder, HandshakeState, TransportState};

use super::native::{LARGEST, NativeKey};
use super::object_id;

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_SHA256";

/// One message: its type and its fields.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    pub(super) kind: u16,
    fields: Vec<u8>,
}

impl Message {
    pub(super) fn new(kind: u16) -> Self {
        Self {
            kind,
            fields: Vec::new(),
        }
    }

    pub(super) fn varint(mut self, number: u8, value: u64) -> Self {
        if value != 0 {
            push_varint(&mut self.fields, u64::from(number) << 3);
            push_varint(&mut self.fields, value);
        }
        self
    }

    pub(super) fn fixed32(mut self, number: u8, value: u32) -> Self {
        push_varint(&mut self.fields, u64::from(number) << 3 | 5);
        self.fields.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn text(self, number: u8, text: &str) -> Self {
        self.bytes(number, text.as_bytes())
    }

    pub(super) fn message(self, number: u8, message: &Message) -> Self {
        self.bytes(number, &message.fields)
    }

    fn bytes(mut self, number: u8, bytes: &[u8]) -> Self {
        if !bytes.is_empty() {
            push_varint(&mut self.fields, u64::from(number) << 3 | 2);
            push_varint(&mut self.fields, bytes.len() as u64);
            self.fields.extend_from_slice(bytes);
        }
        self
    }

    /// A number out of the fields; `None` where it is missing or the fields cannot be read.
    pub(super) fn number(&self, wanted: u64) -> Option<u32> {
        let mut rest = self.fields.as_slice();
        let mut found = None;
        while !rest.is_empty() {
            let (tag, after) = take_varint(rest)?;
            let (value, after) = match tag & 7 {
                0 => take_varint(after)?,
                5 => {
                    let (bytes, after) = after.split_first_chunk::<4>()?;
                    (u64::from(u32::from_le_bytes(*bytes)), after)
                }
                2 => {
                    let (length, after) = take_varint(after)?;
                    (0, after.get(usize::try_from(length).ok()?..)?)
                }
                _ => return None,
            };
            if tag >> 3 == wanted {
                found = u32::try_from(value).ok();
            }
            rest = after;
        }
        found
    }
}

/// One connection's framing, and the bytes that are not a whole frame yet.
pub(super) struct Line {
    mode: Mode,
    inbox: Vec<u8>,
}

enum Mode {
    Plain,
    /// The client's greeting is awaited.
    Greeting(NativeKey),
    /// Its half of the handshake is awaited.
    Shaking(Box<HandshakeState>),
    Encrypted(Box<TransportState>),
}

impl Line {
    pub(super) fn plain() -> Self {
        Self {
            mode: Mode::Plain,
            inbox: Vec::new(),
        }
    }

    pub(super) fn encrypted(key: NativeKey) -> Self {
        Self {
            mode: Mode::Greeting(key),
            inbox: Vec::new(),
        }
    }

    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.mode, Mode::Encrypted(_))
    }

    /// The whole messages in what came. Answers the handshake on the way.
    ///
    /// # Errors
    /// When the connection is over; `out` may then hold a last word.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        name: &str,
        reject: bool,
        out: &mut Vec<u8>,
    ) -> Result<Vec<Message>, ()> {
        self.inbox.extend_from_slice(bytes);
        let mut messages = Vec::new();
        loop {
            if matches!(self.mode, Mode::Plain) {
                match self.plain_frame()? {
                    Some(message) => messages.push(message),
                    None => return Ok(messages),
                }
                continue;
            }
            match self.inbox.first() {
                Some(1) => {}
                Some(_) => {
                    push_frame(out, b"\x01Bad indicator byte");
                    return Err(());
                }
                None => return Ok(messages),
            }
            let Some(body) = self.noise_frame()? else {
                return Ok(messages);
            };
            messages.extend(self.noise(&body, name, reject, out)?);
        }
    }

    fn noise(
        &mut self,
        body: &[u8],
        name: &str,
        reject: bool,
        out: &mut Vec<u8>,
    ) -> Result<Option<Message>, ()> {
        match &mut self.mode {
            Mode::Plain => Err(()),
            Mode::Greeting(key) => {
                let mut prologue = b"NoiseAPIInit".to_vec();
                prologue.extend_from_slice(&u16::try_from(body.len()).map_err(|_| ())?.to_be_bytes());
                prologue.extend_from_slice(body);
                let state = responder(key, &prologue).map_err(|_| ())?;
                let host = object_id(name).replace('_', "-");
                push_frame(out, format!("\x01{host}\0983569abf679\0").as_bytes());
                self.mode = Mode::Shaking(Box::new(state));
                Ok(None)
            }
            Mode::Shaking(state) => {
                let mut reply = vec![0; 49];
                let ours = body.split_first().filter(|(first, _)| **first == 0 && !reject);
                let shaken = ours.and_then(|(_, message)| {
                    state.read_message(message, &mut [0; 256]).ok()?;
                    state.write_message(&[], reply.get_mut(1..)?).ok()
                });
                if shaken.is_none() {
                    push_frame(out, b"\x01Handshake MAC failure");
                    return Err(());
                }
                push_frame(out, &reply);
                let placeholder = std::mem::replace(&mut self.mode, Mode::Plain);
                if let Mode::Shaking(state) = placeholder {
                    let channel = state.into_transport_mode().map_err(|_| ())?;
                    self.mode = Mode::Encrypted(Box::new(channel));
                }
                Ok(None)
            }
            Mode::Encrypted(channel) => {
                let mut plain = vec![0; body.len()];
                let length = channel.read_message(body, &mut plain).map_err(|_| ())?;
                let (header, fields) = plain
                    .get(..length)
                    .and_then(<[u8]>::split_first_chunk::<4>)
                    .ok_or(())?;
                let [high, low, ..] = header;
                Ok(Some(Message {
                    kind: u16::from_be_bytes([*high, *low]),
                    fields: fields.to_vec(),
                }))
            }
        }
    }

    fn plain_frame(&mut self) -> Result<Option<Message>, ()> {
        let Some((first, rest)) = self.inbox.split_first() else {
            return Ok(None);
        };
        if *first != 0 {
            return Err(());
        }
        let Some((length, rest)) = take_varint(rest) else {
            return if rest.len() > 10 { Err(()) } else { Ok(None) };
        };
        let Some((kind, rest)) = take_varint(rest) else {
            return if rest.len() > 10 { Err(()) } else { Ok(None) };
        };
        let length = usize::try_from(length).map_err(|_| ())?;
        if length > LARGEST {
            return Err(());
        }
        let Some((fields, rest)) = rest.split_at_checked(length) else {
            return Ok(None);
        };
        let message = Message {
            kind: u16::try_from(kind).map_err(|_| ())?,
            fields: fields.to_vec(),
        };
        self.inbox = rest.to_vec();
        Ok(Some(message))
    }

    fn noise_frame(&mut self) -> Result<Option<Vec<u8>>, ()> {
        let Some(([_, high, low], rest)) = self.inbox.split_first_chunk::<3>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length > LARGEST {
            return Err(());
        }
        let Some((body, rest)) = rest.split_at_checked(length) else {
            return Ok(None);
        };
        let body = body.to_vec();
        self.inbox = rest.to_vec();
        Ok(Some(body))
    }

    pub(super) fn write(&mut self, message: &Message, out: &mut Vec<u8>) {
        match &mut self.mode {
            Mode::Plain => {
                out.push(0);
                push_varint(out, message.fields.len() as u64);
                push_varint(out, u64::from(message.kind));
                out.extend_from_slice(&message.fields);
            }
            Mode::Encrypted(channel) => {
                let mut plain = message.kind.to_be_bytes().to_vec();
                plain.extend_from_slice(&u16::try_from(message.fields.len()).unwrap_or(0).to_be_bytes());
                plain.extend_from_slice(&message.fields);
                let mut sealed = vec![0; plain.len() + 16];
                if let Ok(length) = channel.write_message(&plain, &mut sealed) {
                    push_frame(out, sealed.get(..length).unwrap_or_default());
                }
            }
            Mode::Greeting(_) | Mode::Shaking(_) => {}
        }
    }
}

fn responder(key: &NativeKey, prologue: &[u8]) -> Result<HandshakeState, snow::Error> {
    Builder::new(PATTERN.parse()?)
        .psk(0, key)?
        .prologue(prologue)?
        .build_responder()
}

fn push_frame(out: &mut Vec<u8>, body: &[u8]) {
    out.push(1);
    out.extend_from_slice(&u16::try_from(body.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(body);
}

fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f).checked_shl(u32::try_from(7 * at).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_out_of_fields() {
        let message = Message::new(33)
            .fixed32(1, 7)
            .text(9, "x")
            .varint(2, 1)
            .varint(3, 300);
        assert_eq!(
            [1, 2, 3, 4].map(|number| message.number(number)),
            [Some(7), Some(1), Some(300), None]
        );
    }

    #[test]
    fn frames_may_come_byte_by_byte() {
        let mut line = Line::plain();
        let mut bytes = Vec::new();
        line.write(&Message::new(300).text(1, "hello"), &mut bytes);
        let mut messages = Vec::new();
        for byte in &bytes {
            messages.extend(line.read(&[*byte], "x", false, &mut Vec::new()).unwrap());
        }
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].kind, 300);
    }
}
