//! Keys, codes and encryption of RMCP+ (IPMI 2.0, sections 13.28 to 13.33).

use aes::Aes128;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::suite::{Hash, Suite};

/// Bytes of a user's key: IPMI 2.0 passwords have at most this many, shorter ones are padded with zeros.
pub(crate) const KEY_LEN: usize = 20;
const BLOCK: usize = 16;

/// An HMAC, or a key made by one; wiped when dropped.
#[derive(Clone)]
pub(crate) struct Digest {
    bytes: Zeroizing<[u8; 32]>,
    len: usize,
}

impl Digest {
    fn of(hash: &[u8]) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        let len = hash.len().min(bytes.len());
        for (to, from) in bytes.iter_mut().zip(hash) {
            *to = *from;
        }
        Self { bytes, len }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.cut(self.len)
    }

    /// Its first `len` bytes.
    pub(crate) fn cut(&self, len: usize) -> &[u8] {
        self.bytes.get(..len.min(self.len)).unwrap_or_default()
    }

    /// Whether `claimed` is the whole digest, in constant time.
    pub(crate) fn equals(&self, claimed: &[u8]) -> bool {
        self.as_bytes().ct_eq(claimed).into()
    }

    /// Whether `claimed` is the digest cut to `len`, in constant time.
    pub(crate) fn equals_cut(&self, len: usize, claimed: &[u8]) -> bool {
        let ours = self.cut(len);
        ours.len() == len && bool::from(ours.ct_eq(claimed))
    }
}

/// HMAC over the parts, one after the other.
pub(crate) fn hmac(hash: Hash, key: &[u8], parts: &[&[u8]]) -> Digest {
    fn run<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Digest {
        // HMAC takes keys of any length; the empty digest of the impossible case equals nothing.
        let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
            return Digest::of(&[]);
        };
        for part in parts {
            mac.update(part);
        }
        Digest::of(&mac.finalize().into_bytes())
    }
    match hash {
        Hash::Sha1 => run::<Hmac<Sha1>>(key, parts),
        Hash::Sha256 => run::<Hmac<Sha256>>(key, parts),
    }
}

/// The keys of one session.
#[derive(Clone)]
pub(crate) struct Keys {
    sik: Digest,
    k1: Digest,
    k2: Digest,
    suite: Suite,
}

impl Keys {
    /// From the session integrity key. K1 and K2 are made from 20 bytes of 01 and of 02 with either hash.
    pub(crate) fn new(suite: Suite, sik: Digest) -> Self {
        let hash = suite.hash();
        Self {
            k1: hmac(hash, sik.as_bytes(), &[&[1; KEY_LEN]]),
            k2: hmac(hash, sik.as_bytes(), &[&[2; KEY_LEN]]),
            sik,
            suite,
        }
    }

    pub(crate) fn suite(&self) -> Suite {
        self.suite
    }

    pub(crate) fn session_key(&self) -> &Digest {
        &self.sik
    }

    /// The code at the end of a session packet, over `signed`.
    pub(crate) fn code(&self, signed: &[u8]) -> Digest {
        hmac(self.suite.hash(), self.k1.as_bytes(), &[signed])
    }

    fn cipher_key(&self) -> &[u8] {
        self.k2.cut(BLOCK)
    }

    /// Appends `payload` to `out`, encrypted where the suite says so. False when that failed, which it never does.
    pub(crate) fn seal(&self, payload: &[u8], iv: [u8; BLOCK], out: &mut Vec<u8>) -> bool {
        if !self.suite.encrypts() {
            out.extend_from_slice(payload);
            return true;
        }
        out.extend_from_slice(&iv);
        let start = out.len();
        out.extend_from_slice(payload);
        // One byte holds the pad length; the pad itself counts 01 02 03.
        let pad = (BLOCK - (payload.len() + 1) % BLOCK) % BLOCK;
        out.extend((1..=pad as u8).chain([pad as u8]));
        let Ok(cipher) = cbc::Encryptor::<Aes128>::new_from_slices(self.cipher_key(), &iv) else {
            return false;
        };
        let Some(sealed) = out.get_mut(start..) else {
            return false;
        };
        let len = sealed.len();
        cipher.encrypt_padded::<NoPadding>(sealed, len).is_ok()
    }

    /// The payload of a packet whose code has been verified. `None` when it is not what `seal` makes.
    pub(crate) fn unseal(&self, payload: &[u8]) -> Option<Vec<u8>> {
        if !self.suite.encrypts() {
            return Some(payload.to_vec());
        }
        let (iv, sealed) = payload.split_at_checked(BLOCK)?;
        if sealed.is_empty() || sealed.len() % BLOCK != 0 {
            return None;
        }
        let cipher = cbc::Decryptor::<Aes128>::new_from_slices(self.cipher_key(), iv).ok()?;
        let mut clear = cipher.decrypt_padded_vec::<NoPadding>(sealed).ok()?;
        // The pad's content is not checked: the packet is authenticated, and some BMCs pad otherwise.
        let pad = usize::from(*clear.last()?);
        let len = clear.len().checked_sub(pad + 1)?;
        clear.truncate(len);
        Some(clear)
    }
}

/// Initialisation vectors that nobody can foresee, from one random key: a counter encrypted with it
/// (NIST SP 800-38A, appendix C).
pub(crate) struct Ivs {
    key: Zeroizing<[u8; BLOCK]>,
    count: u64,
}

impl Ivs {
    pub(crate) fn new(key: [u8; BLOCK]) -> Self {
        Self {
            key: Zeroizing::new(key),
            count: 0,
        }
    }

    pub(crate) fn next(&mut self) -> [u8; BLOCK] {
        self.count += 1;
        let mut block = [0; BLOCK];
        for (to, from) in block.iter_mut().zip(self.count.to_le_bytes()) {
            *to = from;
        }
        let mut block = block.into();
        Aes128::new((&*self.key).into()).encrypt_block(&mut block);
        block.into()
    }
}
