//! The simulated BMC's side of the cryptography, written apart from the backend's on purpose.

use aes::Aes128;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

/// What a suite number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Algorithms {
    pub(super) authentication: u8,
    pub(super) integrity: u8,
    pub(super) confidentiality: u8,
}

/// The suites that the simulated BMC can be made to have, and 0 and 1 to answer with.
pub(super) fn algorithms(suite: u8) -> Option<Algorithms> {
    let (authentication, integrity, confidentiality) = match suite {
        0 => (0, 0, 0),
        1 => (1, 0, 0),
        2 => (1, 1, 0),
        3 => (1, 1, 1),
        16 => (3, 4, 0),
        17 => (3, 4, 1),
        _ => return None,
    };
    Some(Algorithms {
        authentication,
        integrity,
        confidentiality,
    })
}

impl Algorithms {
    pub(super) fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        // HMAC takes keys of any length.
        if self.authentication == 3 {
            Hmac::<Sha256>::new_from_slice(key)
                .map(|mac| mac.chain_update(data).finalize().into_bytes().to_vec())
                .unwrap_or_default()
        } else {
            Hmac::<Sha1>::new_from_slice(key)
                .map(|mac| mac.chain_update(data).finalize().into_bytes().to_vec())
                .unwrap_or_default()
        }
    }

    /// How long a cut code is.
    pub(super) fn cut(self) -> usize {
        if self.authentication == 3 { 16 } else { 12 }
    }
}

/// K1 and K2 of a session.
#[derive(Clone, Debug)]
pub(super) struct SessionKeys {
    algorithms: Algorithms,
    k1: Vec<u8>,
    k2: Vec<u8>,
}

impl SessionKeys {
    pub(super) fn new(algorithms: Algorithms, sik: &[u8]) -> Self {
        Self {
            algorithms,
            k1: algorithms.hmac(sik, &[1u8; 20]),
            k2: algorithms.hmac(sik, &[2u8; 20]),
        }
    }

    pub(super) fn algorithms(&self) -> Algorithms {
        self.algorithms
    }

    pub(super) fn code(&self, data: &[u8]) -> Vec<u8> {
        let mut code = self.algorithms.hmac(&self.k1, data);
        code.truncate(self.algorithms.cut());
        code
    }

    fn aes(&self) -> [u8; 16] {
        let mut key = [0; 16];
        key.iter_mut().zip(&self.k2).for_each(|(to, from)| *to = *from);
        key
    }

    pub(super) fn encrypt(&self, payload: &[u8], iv: [u8; 16]) -> Vec<u8> {
        let mut clear = payload.to_vec();
        let mut pad = 0u8;
        while !(clear.len() + 1).is_multiple_of(16) {
            pad += 1;
            clear.push(pad);
        }
        clear.push(pad);
        let sealed = cbc::Encryptor::<Aes128>::new(&self.aes().into(), &iv.into())
            .encrypt_padded_vec::<NoPadding>(&clear);
        [iv.to_vec(), sealed].concat()
    }

    /// `None` when it was not encrypted with these keys, as far as padding tells.
    pub(super) fn decrypt(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let (iv, sealed) = payload.split_first_chunk::<16>()?;
        let mut clear = cbc::Decryptor::<Aes128>::new(&self.aes().into(), iv.into())
            .decrypt_padded_vec::<NoPadding>(sealed)
            .ok()?;
        let pad = clear.pop()?;
        for expected in (1..=pad).rev() {
            if clear.pop()? != expected {
                return None;
            }
        }
        Some(clear)
    }
}
