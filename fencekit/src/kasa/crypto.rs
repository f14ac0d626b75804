//! Hashes and AES-CBC as the transports use them.

use std::fmt::Write;

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

fn digest<D: Digest>(parts: &[&[u8]]) -> D {
    let mut hash = D::new();
    for part in parts {
        hash.update(part);
    }
    hash
}

/// MD5 of the parts in a row.
pub(super) fn md5(parts: &[&[u8]]) -> [u8; 16] {
    digest::<Md5>(parts).finalize().into()
}

/// SHA-1 of the parts in a row.
pub(super) fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    digest::<Sha1>(parts).finalize().into()
}

/// SHA-256 of the parts in a row.
pub(super) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    digest::<Sha256>(parts).finalize().into()
}

/// The first bytes of something longer; the rest of `N` is zero where it is shorter, which no caller's input is.
pub(super) fn head<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut head = [0; N];
    for (to, from) in head.iter_mut().zip(bytes) {
        *to = *from;
    }
    head
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// AES-128-CBC with PKCS#7 padding.
pub(super) fn cbc_encrypt(key: &[u8; 16], iv: &[u8; 16], plain: &[u8]) -> Vec<u8> {
    cbc::Encryptor::<Aes128>::new(key.into(), iv.into()).encrypt_padded_vec::<Pkcs7>(plain)
}

/// The inverse.
///
/// # Errors
/// [`Error::Protocol`] when the length or the padding is wrong: another key, or a garbled reply.
pub(super) fn cbc_decrypt(key: &[u8; 16], iv: &[u8; 16], cipher: &[u8]) -> Result<Vec<u8>> {
    cbc::Decryptor::<Aes128>::new(key.into(), iv.into())
        .decrypt_padded_vec::<Pkcs7>(cipher)
        .map_err(|_| Error::protocol("the reply cannot be decrypted"))
}

/// Random bytes of the operating system.
///
/// # Errors
/// [`Error::Unsupported`] when it has none.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|cause| Error::unsupported("the system gives no random numbers").caused_by(cause))?;
    Ok(bytes)
}
