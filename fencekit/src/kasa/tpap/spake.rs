//! SPAKE2+ over P-256 as TPAP uses it (suite 1): the prover's side, as pure functions; randomness is an argument.
//!
//! After RFC 9383, with the maker's own transcript.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use p256::elliptic_curve::Group;
use p256::elliptic_curve::PrimeField;
use p256::elliptic_curve::sec1::{FromSec1Point, ToSec1Point};
use p256::{AffinePoint, ProjectivePoint, Scalar, Sec1Point};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, Result};
use crate::kasa::crypto::{head, sha256};

/// A point as it goes over the wire: uncompressed.
pub(super) const POINT: usize = 65;
/// A key of PBKDF2 for each of two scalars: 8 bytes more than a scalar has, so that the remainder is even.
pub(super) const WIDE: usize = 40;
/// More rounds than any device asks for; what a hostile one asks for must not keep us busy for minutes.
const MOST_ROUNDS: u32 = 200_000;

/// M and N of RFC 9383 for P-256, compressed.
const M: [u8; 33] = [
    0x02, 0x88, 0x6e, 0x2f, 0x97, 0xac, 0xe4, 0x6e, 0x55, 0xba, 0x9d, 0xd7, 0x24, 0x25, 0x79, 0xf2, 0x99,
    0x3b, 0x64, 0xe1, 0x6e, 0xf3, 0xdc, 0xab, 0x95, 0xaf, 0xd4, 0x97, 0x33, 0x3d, 0x8f, 0xa1, 0x2f,
];
const N: [u8; 33] = [
    0x03, 0xd8, 0xbb, 0xd6, 0xc6, 0x39, 0xc6, 0x29, 0x37, 0xb0, 0x4d, 0x99, 0x7f, 0x38, 0xc3, 0x77, 0x07,
    0x19, 0xc6, 0x29, 0xd7, 0x01, 0x4d, 0x49, 0xa2, 0x4b, 0x4f, 0x98, 0xba, 0xa1, 0x29, 0x2b, 0x49,
];

/// What the device sent in answer to the registration.
#[derive(Clone, Debug)]
pub(super) struct Parameters {
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
    pub(super) user_random: Vec<u8>,
    pub(super) dev_random: Vec<u8>,
    pub(super) dev_share: Vec<u8>,
}

/// What goes to the device, and what has to come back.
pub(super) struct Exchange {
    pub(super) user_share: [u8; POINT],
    pub(super) user_confirm: [u8; 32],
    dev_confirm: [u8; 32],
    shared: Zeroizing<[u8; 32]>,
}

impl Exchange {
    /// Computes our share and both confirmations. `credential` stands for the password, `random` for our secret.
    ///
    /// # Errors
    /// [`Error::Protocol`] when the device's share is no point of the curve, or it asks for absurdly many rounds.
    pub(super) fn new(credential: &str, random: &[u8; WIDE], with: &Parameters) -> Result<Self> {
        let (m, n) = (constant(&M)?, constant(&N)?);
        let y = decode(&with.dev_share)?;
        let (mut w0, mut w1) = password_scalars(credential, with)?;
        let mut x = wide_scalar(random);
        let share = ProjectivePoint::GENERATOR * x + m * w0;
        let unblinded = y - n * w0;
        let z = unblinded * x;
        let v = unblinded * w1;
        if bool::from(unblinded.is_identity()) || bool::from(share.is_identity()) {
            return Err(Error::protocol("the plug's share is not acceptable"));
        }
        let user_share = encode(&share)?;
        let dev_share = encode(&y)?;
        let context = sha256(&[b"PAKE V1", &with.user_random, &with.dev_random]);
        let w0_bytes = Zeroizing::new(minimal(&w0));
        let (m, n, z, v) = (encode(&m)?, encode(&n)?, encode(&z)?, encode(&v)?);
        let fields: [&[u8]; 10] = [
            &context,
            b"",
            b"",
            &m,
            &n,
            &user_share,
            &dev_share,
            &z,
            &v,
            &w0_bytes,
        ];
        let mut transcript = Zeroizing::new(Vec::new());
        for field in fields {
            transcript.extend((field.len() as u64).to_le_bytes());
            transcript.extend(field);
        }
        let keys = Keys::new(&sha256(&[&transcript]));
        for scalar in [&mut w0, &mut w1, &mut x] {
            scalar.zeroize();
        }
        Ok(Self {
            user_share,
            user_confirm: hmac(keys.ours(), &dev_share)?,
            dev_confirm: hmac(keys.theirs(), &user_share)?,
            shared: Zeroizing::new(keys.shared),
        })
    }

    /// The shared key, once the device has proved that it knows the password too.
    ///
    /// # Errors
    /// [`Error::Authentication`] when it has not.
    pub(super) fn shared_key(&self, dev_confirm: &[u8]) -> Result<&[u8; 32]> {
        if self.dev_confirm.as_slice() == dev_confirm {
            return Ok(&self.shared);
        }
        Err(Error::authentication(
            "the plug does not prove that it knows the password; is it the right device?",
        ))
    }
}

/// What the transcript's hash is stretched into.
struct Keys {
    confirmation: Zeroizing<[u8; 64]>,
    shared: [u8; 32],
}

impl Keys {
    fn new(hash: &[u8; 32]) -> Self {
        Self {
            confirmation: Zeroizing::new(expand(&[0; 32], hash, b"ConfirmationKeys")),
            shared: expand(&[0; 32], hash, b"SharedKey"),
        }
    }

    fn ours(&self) -> &[u8] {
        self.confirmation.split_at(32).0
    }

    fn theirs(&self) -> &[u8] {
        self.confirmation.split_at(32).1
    }
}

/// HKDF-SHA256. Every length asked for is far below its limit, so the zeros of a failure are never seen.
pub(super) fn expand<const LEN: usize>(salt: &[u8], secret: &[u8], info: &[u8]) -> [u8; LEN] {
    let mut out = [0; LEN];
    let _ = Hkdf::<Sha256>::new(Some(salt), secret).expand(info, &mut out);
    out
}

fn hmac(key: &[u8], message: &[u8]) -> Result<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .map_err(|cause| Error::unsupported("HMAC cannot be set up").caused_by(cause))?;
    mac.update(message);
    Ok(mac.finalize().into_bytes().into())
}

fn password_scalars(credential: &str, with: &Parameters) -> Result<(Scalar, Scalar)> {
    if !(1..=MOST_ROUNDS).contains(&with.iterations) {
        return Err(Error::protocol(format!(
            "the plug asks for {} rounds of key stretching",
            with.iterations
        )));
    }
    let mut out = Zeroizing::new([0; 2 * WIDE]);
    pbkdf2::pbkdf2_hmac::<Sha256>(credential.as_bytes(), &with.salt, with.iterations, out.as_mut());
    let (w0, w1) = out.split_at(WIDE);
    Ok((wide_scalar(&head(w0)), wide_scalar(&head(w1))))
}

/// A number of 320 bits modulo the order of the group.
fn wide_scalar(bytes: &[u8; WIDE]) -> Scalar {
    let base = Scalar::from(256u64);
    bytes.iter().fold(Scalar::ZERO, |scalar, byte| {
        scalar * base + Scalar::from(u64::from(*byte))
    })
}

/// Big-endian without leading zeros; with one when the length is odd and the top bit is set.
fn minimal(scalar: &Scalar) -> Vec<u8> {
    let bytes = scalar.to_repr();
    let mut minimal: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    if minimal.len() % 2 == 1 && minimal.first().is_some_and(|byte| byte & 0x80 != 0) {
        minimal.insert(0, 0);
    }
    minimal
}

fn constant(bytes: &[u8; 33]) -> Result<ProjectivePoint> {
    AffinePoint::from_sec1_bytes(bytes)
        .map(ProjectivePoint::from)
        .map_err(|_| Error::unsupported("the curve's constants cannot be read"))
}

fn decode(bytes: &[u8]) -> Result<ProjectivePoint> {
    let refused = || Error::protocol("the plug's share is no point of the curve");
    if bytes.len() != POINT {
        return Err(refused());
    }
    AffinePoint::from_sec1_bytes(bytes)
        .map(ProjectivePoint::from)
        .map_err(|_| refused())
}

fn encode(point: &ProjectivePoint) -> Result<[u8; POINT]> {
    let encoded: Sec1Point = point.to_affine().to_sec1_point(false);
    encoded
        .as_bytes()
        .try_into()
        .map_err(|_| Error::protocol("the key exchange came to the point at infinity"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::kasa::vectors::{hex, vectors};

    fn bytes(known: &Value, key: &str) -> Vec<u8> {
        hex(known[key].as_str().unwrap())
    }

    fn parameters(known: &Value) -> Parameters {
        Parameters {
            salt: bytes(known, "salt"),
            iterations: u32::try_from(known["iterations"].as_u64().unwrap()).unwrap(),
            user_random: bytes(known, "user_random"),
            dev_random: bytes(known, "dev_random"),
            dev_share: bytes(known, "dev_share"),
        }
    }

    /// The secret of the known answer is a small number.
    fn small(number: u64) -> [u8; WIDE] {
        let mut wide = [0; WIDE];
        wide[WIDE - 8..].copy_from_slice(&number.to_be_bytes());
        wide
    }

    #[test]
    fn the_exchange_is_as_known() {
        let known = &vectors()["tpap"];
        let with = parameters(known);
        let credential = known["cred"].as_str().unwrap();
        let (w0, w1) = password_scalars(credential, &with).unwrap();
        for (scalar, name) in [(w0, "w0"), (w1, "w1")] {
            let expected = known[name].as_str().unwrap().trim_start_matches("0x");
            assert_eq!(scalar.to_repr().as_slice(), hex(expected), "{name}");
        }
        let exchange = Exchange::new(credential, &small(known["x"].as_u64().unwrap()), &with).unwrap();
        assert_eq!(exchange.user_share.as_slice(), bytes(known, "user_share"));
        assert_eq!(exchange.user_confirm.as_slice(), bytes(known, "user_confirm"));
        let shared = exchange.shared_key(&bytes(known, "dev_confirm")).unwrap();
        assert_eq!(shared.as_slice(), bytes(known, "shared_key"));
        assert!(matches!(
            exchange.shared_key(&[0; 32]),
            Err(Error::Authentication { .. })
        ));
    }

    #[test]
    fn leading_zeros_go_and_an_odd_length_with_its_top_bit_gets_one_back() {
        let of = |bytes: &[u8]| {
            let mut wide = [0; WIDE];
            wide[WIDE - bytes.len()..].copy_from_slice(bytes);
            minimal(&wide_scalar(&wide))
        };
        assert_eq!(of(&[0x7f]), [0x7f]);
        assert_eq!(of(&[0x80]), [0, 0x80]);
        assert_eq!(of(&[0x80, 1]), [0x80, 1]);
        assert_eq!(of(&[0x80, 1, 2]), [0, 0x80, 1, 2]);
        assert_eq!(of(&[0, 0, 5]), [5]);
    }

    #[test]
    fn a_hostile_device_is_refused() {
        let known = &vectors()["tpap"];
        let attempt = |change: &dyn Fn(&mut Parameters)| {
            let mut with = parameters(known);
            change(&mut with);
            Exchange::new("x", &small(5), &with)
        };
        assert!(attempt(&|with| with.iterations = 0).is_err());
        assert!(attempt(&|with| with.iterations = u32::MAX).is_err());
        assert!(attempt(&|with| with.dev_share = vec![0]).is_err());
        assert!(attempt(&|with| with.dev_share = vec![4; POINT]).is_err());
        assert!(attempt(&|with| with.dev_share.truncate(33)).is_err());
    }

    proptest! {
        #[test]
        fn no_share_makes_it_panic(share in prop::collection::vec(any::<u8>(), 0..70)) {
            let mut with = parameters(&vectors()["tpap"]);
            with.iterations = 1;
            with.dev_share = share;
            let _ = Exchange::new("x", &small(7), &with);
        }
    }
}
