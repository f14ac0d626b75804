//! Frames of the native API: `00 | varint length | varint type | message` in plaintext, `01 | u16 length | body`
//! with encryption.

use super::protobuf::{read_varint, write_varint};

/// Largest frame that is taken, in bytes. ESP8266 sends up to 8 KiB, others up to 32 KiB, each with a header.
const LARGEST: usize = 33 * 1024;
const PLAIN: u8 = 0;
const NOISE: u8 = 1;

/// Why the stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// An encrypted frame where a plaintext one was expected.
    Encrypted,
    /// A plaintext frame where an encrypted one was expected.
    Plaintext,
    /// No frame at all: another protocol answers.
    Foreign,
    /// A frame of this size was announced.
    TooLarge(u64),
}

/// Bytes from the device that are not yet a whole frame.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// How many of them were taken.
    taken: usize,
}

impl Inbox {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken.min(self.bytes.len()));
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    fn take(&mut self, header: usize, length: usize) -> Option<Vec<u8>> {
        let body = self.rest().get(header..header.checked_add(length)?)?.to_vec();
        self.taken += header + length;
        Some(body)
    }

    /// The next plaintext message, its type first; `None` until it is whole.
    pub(super) fn plain(&mut self) -> Result<Option<(u16, Vec<u8>)>, Broken> {
        match self.rest().first() {
            None => return Ok(None),
            Some(&PLAIN) => {}
            Some(&NOISE) => return Err(Broken::Encrypted),
            Some(_) => return Err(Broken::Foreign),
        }
        let Some((length, first)) = self.varint(1)? else {
            return Ok(None);
        };
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= LARGEST)
            .ok_or(Broken::TooLarge(length))?;
        let Some((kind, second)) = self.varint(1 + first)? else {
            return Ok(None);
        };
        let kind = u16::try_from(kind).map_err(|_| Broken::Foreign)?;
        Ok(self.take(1 + first + second, length).map(|body| (kind, body)))
    }

    /// A varint at an offset; `None` until it is whole.
    fn varint(&self, at: usize) -> Result<Option<(u64, usize)>, Broken> {
        let bytes = self.rest().get(at..).unwrap_or_default();
        match read_varint(bytes) {
            None if bytes.len() >= 10 => Err(Broken::Foreign),
            found => Ok(found),
        }
    }

    /// The body of the next encrypted frame; `None` until it is whole.
    pub(super) fn noise(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let length = match self.rest() {
            [] => return Ok(None),
            [PLAIN, ..] => return Err(Broken::Plaintext),
            [NOISE, high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
            [NOISE, ..] => return Ok(None),
            _ => return Err(Broken::Foreign),
        };
        if length > LARGEST {
            return Err(Broken::TooLarge(length as u64));
        }
        Ok(self.take(3, length))
    }
}

/// A plaintext frame.
pub(super) fn write_plain(out: &mut Vec<u8>, kind: u16, message: &[u8]) {
    out.push(PLAIN);
    write_varint(out, message.len() as u64);
    write_varint(out, u64::from(kind));
    out.extend_from_slice(message);
}

/// An encrypted frame; false, with nothing written, when its body is too long for the length field.
pub(super) fn write_noise(out: &mut Vec<u8>, body: &[u8]) -> bool {
    let Ok(length) = u16::try_from(body.len()) else {
        return false;
    };
    out.push(NOISE);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(body);
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inbox(bytes: &[u8]) -> Inbox {
        let mut inbox = Inbox::default();
        inbox.push(bytes);
        inbox
    }

    #[test]
    fn frames_are_read_back_however_they_are_cut() {
        let mut plain = Vec::new();
        write_plain(&mut plain, 2, b"hello");
        write_plain(&mut plain, 300, &[7; 200]);
        let mut noise = Vec::new();
        assert!(write_noise(&mut noise, b"") && write_noise(&mut noise, &[9; 300]));
        for step in 1..plain.len() {
            let (mut read, mut bodies) = (Vec::new(), Vec::new());
            let mut inbox = Inbox::default();
            for piece in plain.chunks(step) {
                inbox.push(piece);
                read.extend(std::iter::from_fn(|| inbox.plain().unwrap()));
            }
            assert_eq!(read, [(2, b"hello".to_vec()), (300, vec![7; 200])]);
            let mut inbox = Inbox::default();
            for piece in noise.chunks(step) {
                inbox.push(piece);
                bodies.extend(std::iter::from_fn(|| inbox.noise().unwrap()));
            }
            assert_eq!(bodies, [vec![], vec![9; 300]]);
        }
    }

    #[test]
    fn what_answers_in_another_way_is_told_apart() {
        assert_eq!(
            inbox(b"\x01\x00\x13\x01Bad indicator byte").plain(),
            Err(Broken::Encrypted)
        );
        assert_eq!(inbox(b"\x00\x00\x02").noise(), Err(Broken::Plaintext));
        assert_eq!(inbox(b"HTTP/1.1 400 Bad Request").plain(), Err(Broken::Foreign));
        assert_eq!(inbox(b"HTTP/1.1 400 Bad Request").noise(), Err(Broken::Foreign));
    }

    #[test]
    fn a_huge_frame_is_refused_by_its_header_alone() {
        assert_eq!(
            inbox(b"\x00\xff\xff\xff\xff\x07").plain(),
            Err(Broken::TooLarge(0x7fff_ffff))
        );
        assert_eq!(inbox(b"\x01\xff\xff").noise(), Err(Broken::TooLarge(0xffff)));
        assert_eq!(inbox(&[0xff; 12]).plain(), Err(Broken::Foreign));
        assert_eq!(
            inbox(b"\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").plain(),
            Err(Broken::Foreign)
        );
    }

    proptest! {
        #[test]
        fn hostile_streams_neither_panic_nor_hang(bytes in prop::collection::vec(any::<u8>(), 0..300), plain in any::<bool>()) {
            let mut inbox = inbox(&bytes);
            let mut frames = 0;
            loop {
                let more = if plain {
                    inbox.plain().map(|frame| frame.is_some())
                } else {
                    inbox.noise().map(|frame| frame.is_some())
                };
                match more {
                    Ok(true) => frames += 1,
                    Ok(false) | Err(_) => break,
                }
            }
            prop_assert!(frames <= bytes.len());
        }
    }
}
