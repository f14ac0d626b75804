//! XOR "encryption" and framing of the older Kasa firmware (TCP 9999). It hides nothing; it is a format.

use crate::error::{Error, Result};

/// Largest frame that is taken, in bytes. The longest real reply, the sysinfo of a strip, is below 4 KiB.
pub(in crate::kasa) const FRAME_LIMIT: usize = 1024 * 1024;

/// First byte of the key stream.
const FIRST_KEY: u8 = 171;
/// Length of the big-endian length in front of a frame.
const HEAD: usize = 4;

/// Encrypts a message: every byte is the key for the next one.
pub(in crate::kasa) fn encrypt(plain: &[u8]) -> Vec<u8> {
    let mut key = FIRST_KEY;
    plain
        .iter()
        .map(|byte| {
            key ^= byte;
            key
        })
        .collect()
}

/// The inverse of [`encrypt`].
pub(in crate::kasa) fn decrypt(cipher: &[u8]) -> Vec<u8> {
    let mut key = FIRST_KEY;
    cipher
        .iter()
        .map(|byte| std::mem::replace(&mut key, *byte) ^ byte)
        .collect()
}

/// A message as it goes over TCP: its length, then the encrypted bytes.
pub(in crate::kasa) fn frame(plain: &[u8]) -> Vec<u8> {
    let length = u32::try_from(plain.len()).unwrap_or(u32::MAX);
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend(encrypt(plain));
    frame
}

/// Puts frames together from bytes that arrive in any pieces.
#[derive(Debug, Default)]
pub(in crate::kasa) struct Decoder {
    bytes: Vec<u8>,
}

impl Decoder {
    /// Takes bytes as they come.
    pub(in crate::kasa) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message, decrypted; `None` while it is incomplete.
    ///
    /// # Errors
    /// [`Error::Protocol`] as soon as a length above [`FRAME_LIMIT`] is announced; nothing is allocated for it.
    pub(in crate::kasa) fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let Some((head, rest)) = self.bytes.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*head);
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= FRAME_LIMIT)
            .ok_or_else(|| {
                Error::protocol(format!(
                    "the device announces a reply of {length} bytes; is this a Kasa plug that speaks XOR?"
                ))
            })?;
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let plain = decrypt(body);
        self.bytes.drain(..HEAD + length);
        Ok(Some(plain))
    }

    /// Forgets whatever has arrived, and says how many bytes that were.
    pub(in crate::kasa) fn clear(&mut self) -> usize {
        let leftover = self.bytes.len();
        self.bytes.clear();
        leftover
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kasa::vectors::{hex, vectors};

    #[test]
    fn frames_are_as_known() {
        let known = vectors();
        let known = known["xor"].as_object().unwrap();
        assert_eq!(known.len(), 4);
        for (plain, cipher) in known {
            let cipher = hex(cipher.as_str().unwrap());
            assert_eq!(frame(plain.as_bytes()), cipher, "{plain}");
            let mut decoder = Decoder::default();
            decoder.push(&cipher);
            assert_eq!(decoder.next().unwrap().unwrap(), plain.as_bytes());
        }
    }

    #[test]
    fn a_length_prefix_of_two_gigabytes_is_refused_at_once() {
        let mut decoder = Decoder::default();
        decoder.push(&[0x80, 0, 0, 0]);
        assert!(matches!(decoder.next(), Err(Error::Protocol { .. })));
    }

    #[test]
    fn the_largest_frame_is_taken_and_one_byte_more_is_not() {
        let mut decoder = Decoder::default();
        decoder.push(&frame(&vec![b'x'; FRAME_LIMIT]));
        assert_eq!(decoder.next().unwrap().unwrap().len(), FRAME_LIMIT);
        decoder.push(&frame(&vec![b'x'; FRAME_LIMIT + 1])[..HEAD]);
        assert!(decoder.next().is_err());
    }

    proptest! {
        #[test]
        fn whatever_the_pieces_the_messages_come_out(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..4),
            piece in 1usize..60,
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            for bytes in stream.chunks(piece) {
                decoder.push(bytes);
                while let Some(message) = decoder.next().unwrap() {
                    seen.push(message);
                }
            }
            prop_assert_eq!(seen, messages);
            prop_assert_eq!(decoder.clear(), 0);
        }

        #[test]
        fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut decoder = Decoder::default();
            decoder.push(&noise);
            while let Ok(Some(_)) = decoder.next() {}
        }
    }
}
