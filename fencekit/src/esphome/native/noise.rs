//! The encryption of the native API: `Noise_NNpsk0_25519_ChaChaPoly_SHA256`, in which the key proves both sides.

use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState, TransportState};
use zeroize::Zeroizing;

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_SHA256";
/// The first frame, the client's greeting, is empty; its length is part of what both sides agree on.
const PROLOGUE: &[u8] = b"NoiseAPIInit\0\0";
/// Bytes that encryption adds to a message.
const TAG: usize = 16;
/// A message of the handshake: a public key of 32 bytes and a tag.
const HANDSHAKE: usize = 48;

/// The key shared with the device.
pub(crate) type PreSharedKey = Zeroizing<[u8; 32]>;

/// A handshake of which the first message has been made.
pub(super) struct Handshake(Box<HandshakeState>);

/// An encrypted channel, in which each message can be read once and in its order.
pub(super) struct Channel(Box<TransportState>);

impl Handshake {
    /// The first message, and the state to read the reply with. `ephemeral` is the private key of this conversation:
    /// 32 random bytes, never used again.
    pub(super) fn start(
        key: &PreSharedKey,
        ephemeral: Zeroizing<[u8; 32]>,
    ) -> Result<(Self, Vec<u8>), snow::Error> {
        let mut state = Builder::with_resolver(PATTERN.parse()?, Box::new(Given(ephemeral)))
            .psk(0, key)?
            .prologue(PROLOGUE)?
            .build_initiator()?;
        let mut message = vec![0; HANDSHAKE];
        let length = state.write_message(&[], &mut message)?;
        message.truncate(length);
        Ok((Self(Box::new(state)), message))
    }

    /// The channel, when the reply shows that the device knows the key.
    pub(super) fn finish(mut self, reply: &[u8]) -> Result<Channel, snow::Error> {
        let mut payload = vec![0; reply.len()];
        self.0.read_message(reply, &mut payload)?;
        Ok(Channel(Box::new(self.0.into_transport_mode()?)))
    }
}

impl Channel {
    pub(super) fn seal(&mut self, plain: &[u8]) -> Result<Vec<u8>, snow::Error> {
        let mut sealed = vec![0; plain.len() + TAG];
        let length = self.0.write_message(plain, &mut sealed)?;
        sealed.truncate(length);
        Ok(sealed)
    }

    pub(super) fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>, snow::Error> {
        let mut plain = vec![0; sealed.len()];
        let length = self.0.read_message(sealed, &mut plain)?;
        plain.truncate(length);
        Ok(plain)
    }
}

/// The default ciphers with the randomness that was handed in.
struct Given(Zeroizing<[u8; 32]>);

impl CryptoResolver for Given {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(Some(self.0.clone()))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

/// Gives its bytes out once: a second private key out of the same ones would be no secret.
struct Once(Option<Zeroizing<[u8; 32]>>);

impl Random for Once {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        let bytes = self.0.take().ok_or(snow::Error::Rng)?;
        if out.len() != bytes.len() {
            return Err(snow::Error::Rng);
        }
        out.copy_from_slice(bytes.as_slice());
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn key(byte: u8) -> PreSharedKey {
        Zeroizing::new([byte; 32])
    }

    /// The device's side, for tests of this side alone; the real ones are in `interop/`.
    pub(in super::super) struct Responder(Option<HandshakeState>, Option<TransportState>);

    impl Responder {
        pub(in super::super) fn new(key: &PreSharedKey) -> Self {
            let state = Builder::with_resolver(
                PATTERN.parse().unwrap(),
                Box::new(Given(Zeroizing::new([0x22; 32]))),
            )
            .psk(0, key)
            .unwrap()
            .prologue(PROLOGUE)
            .unwrap()
            .build_responder()
            .unwrap();
            Self(Some(state), None)
        }

        pub(in super::super) fn answer(&mut self, message: &[u8]) -> Result<Vec<u8>, snow::Error> {
            let mut state = self.0.take().unwrap();
            state.read_message(message, &mut [0; 128])?;
            let mut reply = vec![0; HANDSHAKE];
            state.write_message(&[], &mut reply)?;
            self.1 = Some(state.into_transport_mode()?);
            Ok(reply)
        }

        pub(in super::super) fn channel(self) -> Channel {
            Channel(Box::new(self.1.unwrap()))
        }
    }

    /// Computed apart, step by step as the Noise specification says, with Python's cryptography.
    #[test]
    fn the_first_message_is_the_known_one() {
        let (_, message) = Handshake::start(&key(0x11), Zeroizing::new([0x33; 32])).unwrap();
        assert_eq!(crate::transport::digest::hex(&message), KNOWN);
    }
    const KNOWN: &str =
        "7b0d47d93427f8311160781c7c733fd89f88970aef490d8aa0ee19a4cb8a1b145a313ae7efb0eda32d475b813b61756a";

    #[test]
    fn both_sides_read_each_other_once_and_in_order() {
        let (handshake, message) = Handshake::start(&key(1), Zeroizing::new([2; 32])).unwrap();
        let mut device = Responder::new(&key(1));
        let reply = device.answer(&message).unwrap();
        let (mut ours, mut theirs) = (handshake.finish(&reply).unwrap(), device.channel());
        let (one, two) = (theirs.seal(b"one").unwrap(), theirs.seal(b"two").unwrap());
        assert!(ours.open(&two).is_err(), "out of order");
        assert_eq!(ours.open(&one).unwrap(), b"one");
        assert!(ours.open(&one).is_err(), "replayed");
        assert_eq!(ours.open(&two).unwrap(), b"two");
        let mut forged = theirs.seal(b"three").unwrap();
        forged[0] ^= 1;
        assert!(ours.open(&forged).is_err(), "forged");
    }

    #[test]
    fn another_key_shows_on_both_sides() {
        let (handshake, message) = Handshake::start(&key(1), Zeroizing::new([2; 32])).unwrap();
        assert!(Responder::new(&key(9)).answer(&message).is_err());
        for reply in [&[][..], &[0; 48], &[0xff; 200]] {
            let (handshake, _) = Handshake::start(&key(1), Zeroizing::new([2; 32])).unwrap();
            assert!(handshake.finish(reply).is_err());
        }
        drop(handshake);
    }
}
