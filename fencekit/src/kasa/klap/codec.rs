//! KLAP, both versions: the handshake and the cipher as pure functions; randomness is an argument.

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::kasa::credentials::{Account, Whose, everybody};
use crate::kasa::crypto::{cbc_decrypt, cbc_encrypt, head, md5, sha1, sha256};

/// Length of either side's random seed.
pub(super) const SEED: usize = 16;
/// Length of a SHA-256, of which handshakes and signatures are made.
const HASH: usize = 32;

/// The version, which says how hashes are made. It does not say which dialect is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kasa) enum Version {
    V1,
    V2,
}

impl Version {
    const ALL: [Self; 2] = [Self::V2, Self::V1];

    /// What stands for an account in the hashes.
    fn auth_hash(self, account: &Account) -> AuthHash {
        let user = account.user.expose().as_bytes();
        let password = account.password.expose().as_bytes();
        Zeroizing::new(match self {
            Self::V1 => md5(&[&md5(&[user]), &md5(&[password])]).to_vec(),
            Self::V2 => sha256(&[&sha1(&[user]), &sha1(&[password])]).to_vec(),
        })
    }

    /// What the device proves its knowledge of the account with.
    fn server_hash(self, seeds: &Seeds, auth: &AuthHash) -> [u8; HASH] {
        match self {
            Self::V1 => sha256(&[&seeds.local, auth]),
            Self::V2 => sha256(&[&seeds.local, &seeds.remote, auth]),
        }
    }

    /// What we prove it with.
    fn client_hash(self, seeds: &Seeds, auth: &AuthHash) -> [u8; HASH] {
        match self {
            Self::V1 => sha256(&[&seeds.remote, auth]),
            Self::V2 => sha256(&[&seeds.remote, &seeds.local, auth]),
        }
    }
}

type AuthHash = Zeroizing<Vec<u8>>;

/// The random numbers of both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seeds {
    local: [u8; SEED],
    remote: [u8; SEED],
}

/// A handshake whose first reply showed which version and whose account the device speaks with.
#[derive(Clone)]
pub(super) struct Handshake {
    pub(super) version: Version,
    pub(super) whose: Whose,
    seeds: Seeds,
    auth: AuthHash,
}

/// What a reply to the first half of the handshake is.
pub(super) enum First {
    /// Proof of knowledge of one of the accounts.
    Known(Handshake),
    /// A reply of KLAP, but of an account that we do not have.
    Stranger,
    /// No reply of KLAP.
    Other,
}

/// Reads the reply to the first half, whose request was `local`: 16 bytes of seed and 32 of hash. The hash tells
/// versions and accounts apart, so that no wrong one is ever tried on the device.
pub(super) fn read_first(local: [u8; SEED], reply: &[u8], given: Option<&Account>) -> First {
    let Some((remote, hash)) = reply
        .split_first_chunk::<SEED>()
        .filter(|(_, hash)| hash.len() == HASH)
    else {
        return First::Other;
    };
    let seeds = Seeds {
        local,
        remote: *remote,
    };
    for (whose, account) in everybody(given) {
        for version in Version::ALL {
            let auth = version.auth_hash(&account);
            if version.server_hash(&seeds, &auth) == hash {
                return First::Known(Handshake {
                    version,
                    whose,
                    seeds,
                    auth,
                });
            }
        }
    }
    First::Stranger
}

impl Handshake {
    /// The body of the second half.
    pub(super) fn second(&self) -> [u8; HASH] {
        self.version.client_hash(&self.seeds, &self.auth)
    }

    /// The cipher of the session that follows.
    pub(super) fn cipher(&self) -> Cipher {
        let derived =
            |label: &[u8]| sha256(&[label, &self.seeds.local, &self.seeds.remote, self.auth.as_slice()]);
        let iv = derived(b"iv");
        let seq = iv.last_chunk::<4>().copied().unwrap_or_default();
        Cipher {
            key: Zeroizing::new(head(&derived(b"lsk"))),
            iv: head(&iv),
            signature: Zeroizing::new(head(&derived(b"ldk"))),
            seq: i32::from_be_bytes(seq),
        }
    }
}

/// Encrypts requests and decrypts their replies, with a number that counts up.
pub(super) struct Cipher {
    key: Zeroizing<[u8; 16]>,
    iv: [u8; 12],
    signature: Zeroizing<[u8; 28]>,
    seq: i32,
}

/// A decrypted reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) plain: Vec<u8>,
    /// Whether the signature in front is the one of this session and number.
    pub(super) signed: bool,
}

impl Cipher {
    /// The next number and the body of the request with it.
    pub(super) fn seal(&mut self, plain: &[u8]) -> (i32, Vec<u8>) {
        self.seq = self.seq.wrapping_add(1);
        let cipher = cbc_encrypt(&self.key, &self.iv_now(), plain);
        let mut body = self.sign(&cipher).to_vec();
        body.extend(cipher);
        (self.seq, body)
    }

    /// Decrypts the reply to the last request.
    ///
    /// # Errors
    /// [`Error::Protocol`] when it is too short or cannot be decrypted.
    pub(super) fn open(&self, body: &[u8]) -> Result<Opened> {
        let (signature, cipher) = body
            .split_first_chunk::<HASH>()
            .ok_or_else(|| Error::protocol(format!("a KLAP reply of {} bytes", body.len())))?;
        Ok(Opened {
            plain: cbc_decrypt(&self.key, &self.iv_now(), cipher)?,
            signed: self.sign(cipher) == *signature,
        })
    }

    fn sign(&self, cipher: &[u8]) -> [u8; HASH] {
        sha256(&[self.signature.as_slice(), &self.seq.to_be_bytes(), cipher])
    }

    fn iv_now(&self) -> [u8; 16] {
        let mut iv = [0; 16];
        let now = self.iv.iter().copied().chain(self.seq.to_be_bytes());
        for (to, from) in iv.iter_mut().zip(now) {
            *to = from;
        }
        iv
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::kasa::crypto::hex as digits;
    use crate::kasa::vectors::{hex, vectors};

    const BOTH: [(Version, &str); 2] = [(Version::V1, "klap_v1"), (Version::V2, "klap_v2")];

    fn bytes<const N: usize>(known: &Value, key: &str) -> [u8; N] {
        hex(known[key].as_str().unwrap()).try_into().unwrap()
    }

    fn account(known: &Value) -> Account {
        Account {
            user: known["username"].as_str().unwrap().into(),
            password: known["password"].as_str().unwrap().into(),
        }
    }

    fn first_reply(known: &Value) -> Vec<u8> {
        let mut reply = hex(known["remote_seed"].as_str().unwrap());
        reply.extend(hex(known["handshake1_server_hash"].as_str().unwrap()));
        reply
    }

    #[test]
    fn the_handshake_is_as_known() {
        for (version, name) in BOTH {
            let known = &vectors()[name];
            let given = account(known);
            assert_eq!(
                *version.auth_hash(&given),
                hex(known["auth_hash"].as_str().unwrap())
            );
            let first = read_first(bytes(known, "local_seed"), &first_reply(known), Some(&given));
            let First::Known(handshake) = first else {
                panic!("{name}: the account was not recognised")
            };
            assert_eq!((handshake.version, handshake.whose), (version, Whose::Given));
            assert_eq!(handshake.second(), bytes(known, "handshake2_payload"));
            let mut cipher = handshake.cipher();
            assert_eq!(*cipher.key, bytes(known, "key"));
            assert_eq!(cipher.iv, bytes(known, "iv12"));
            assert_eq!(*cipher.signature, bytes(known, "sig28"));
            assert_eq!(i64::from(cipher.seq), known["seq0"].as_i64().unwrap());
            for request in ["req1", "req2"] {
                let known = &known[request];
                let plain = known["plain"].as_str().unwrap().as_bytes();
                let (seq, body) = cipher.seal(plain);
                assert_eq!(i64::from(seq), known["seq"].as_i64().unwrap());
                assert_eq!(digits(&body), known["body"].as_str().unwrap());
                let opened = cipher.open(&body).unwrap();
                assert_eq!((opened.plain.as_slice(), opened.signed), (plain, true));
            }
        }
    }

    #[test]
    fn default_and_blank_accounts_are_recognised() {
        for (version, name) in BOTH {
            let known = &vectors()[name];
            let hashes = [
                &known["defaults"]["KASA"],
                &known["defaults"]["TAPO"],
                &known["blank"],
            ];
            for hash in hashes {
                let auth = Zeroizing::new(hex(hash.as_str().unwrap()));
                let seeds = Seeds {
                    local: [1; SEED],
                    remote: [2; SEED],
                };
                let mut reply = seeds.remote.to_vec();
                reply.extend(version.server_hash(&seeds, &auth));
                let First::Known(handshake) = read_first([1; SEED], &reply, Some(&account(known))) else {
                    panic!("{name}: {hash} was not recognised")
                };
                assert_eq!((handshake.version, handshake.whose), (version, Whose::Makers));
            }
        }
    }

    #[test]
    fn a_stranger_is_told_from_another_protocol() {
        let known = &vectors()["klap_v2"];
        let local = bytes(known, "local_seed");
        let reply = first_reply(known);
        assert!(matches!(read_first(local, &reply, None), First::Stranger));
        for other in [&reply[..47], &[0; 49], b"", b"<html></html>"] {
            assert!(matches!(read_first(local, other, None), First::Other));
        }
    }

    #[test]
    fn the_number_wraps() {
        let known = &vectors()["klap_v1"];
        let First::Known(handshake) = read_first(
            bytes(known, "local_seed"),
            &first_reply(known),
            Some(&account(known)),
        ) else {
            panic!()
        };
        let mut cipher = handshake.cipher();
        cipher.seq = i32::MAX;
        let (seq, body) = cipher.seal(b"{}");
        assert_eq!(seq, i32::MIN);
        assert_eq!(cipher.open(&body).unwrap().plain, b"{}");
    }

    proptest! {
        #[test]
        fn a_hostile_reply_never_panics_and_is_never_signed(reply in prop::collection::vec(any::<u8>(), 0..200)) {
            let known = &vectors()["klap_v2"];
            let given = account(known);
            let First::Known(handshake) = read_first(bytes(known, "local_seed"), &first_reply(known), Some(&given))
            else { panic!() };
            let opened = handshake.cipher().open(&reply);
            prop_assert!(!opened.is_ok_and(|opened| opened.signed));
            let _ = read_first([0; SEED], &reply, None);
        }
    }
}
