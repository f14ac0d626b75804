//! TPAP: its messages and its cipher as pure functions.

use aes::Aes128;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ccm::Ccm;
use ccm::aead::{Aead, KeyInit};
use ccm::consts::{U12, U16};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::spake::{Exchange, Parameters, expand};
use crate::error::{Error, Result};
use crate::kasa::crypto::{head, hex, md5, sha1};
use crate::kasa::json::{Code, text};
use crate::kasa::smart;
use crate::secret::Secret;

/// Wrong credentials: the device counts them.
const WRONG_CREDENTIALS: i64 = -2203;
/// Too many of them.
const LOCKED_OUT: i64 = -2101;
/// A cipher suite or passcode type that the device does not have.
const UNSUPPORTED: [i64; 2] = [-2201, -2202];
/// The session is not valid any more.
pub(super) const SESSION_INVALID: i64 = -2402;
/// The passcode type of an owner's account, as the discovery numbers it.
const OWNERS_ACCOUNT: u64 = 2;
/// The way of turning a password into a credential that plugs have been seen to ask for.
const SHA1_SHADOW: i64 = 2;

/// What a device says of itself before the login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// Whether it wants HTTPS.
    pub(super) tls: bool,
    /// Where, when it says so.
    pub(super) port: Option<u16>,
}

fn login(sub_method: &str, mut params: Value) -> Value {
    if let Some(params) = params.as_object_mut() {
        params.insert("sub_method".into(), json!(sub_method));
    }
    json!({"method": "login", "params": params})
}

/// Asks whether the device speaks TPAP, and how.
pub(super) fn discover() -> Value {
    login("discover", json!({}))
}

/// Reads the answer to [`discover`]; `None` when it is none.
///
/// # Errors
/// [`Error::Unsupported`] when the device wants another kind of passcode.
pub(super) fn read_discover(body: &[u8]) -> Result<Option<Offer>> {
    let Ok(reply) = serde_json::from_slice::<Value>(body) else {
        return Ok(None);
    };
    let Some(tpap) = reply
        .get("result")
        .unwrap_or(&reply)
        .get("tpap")
        .filter(|tpap| tpap.is_object())
    else {
        return Ok(None);
    };
    let kinds = tpap.get("pake").and_then(Value::as_array);
    if kinds.is_some_and(|kinds| !kinds.is_empty() && !kinds.contains(&json!(OWNERS_ACCOUNT))) {
        return Err(Error::unsupported(
            "the plug takes no login with an account; set it up in the Tapo or Kasa app, or turn on third-party \
             compatibility there",
        ));
    }
    Ok(Some(Offer {
        tls: tpap.get("tls").and_then(Value::as_u64).is_some_and(|tls| tls > 0),
        port: tpap
            .get("port")
            .and_then(Value::as_u64)
            .and_then(|port| u16::try_from(port).ok()),
    }))
}

/// Begins the login.
pub(super) fn register(user_random: &[u8; 32]) -> Value {
    let params = json!({
        "username": hex(&md5(&[b"admin"])),
        "user_random": STANDARD.encode(user_random),
        "cipher_suites": [1],
        "encryption": ["aes_128_ccm"],
        "passcode_type": "userpw",
        "stok": null,
    });
    login("pake_register", params)
}

/// Reads the answer to [`register`].
///
/// # Errors
/// [`Error::Authentication`] when the device is locked; [`Error::Unsupported`] when it wants a suite or a kind of
/// credential that we do not have; [`Error::Protocol`] when something is missing, or the login is to begin again.
pub(super) fn read_register(reply: &Value, user_random: &[u8; 32]) -> Result<Parameters> {
    let result = login_result(reply)?;
    let passwd_id = result
        .get("extra_crypt")
        .and_then(|crypt| crypt.get("params").unwrap_or(crypt).get("passwd_id"))
        .and_then(Value::as_i64);
    if passwd_id != Some(SHA1_SHADOW) {
        // Guessing would cost a try, of which the device grants few.
        return Err(Error::unsupported(
            "the plug wants the password in a form that is not known; turn on third-party compatibility in the Tapo or \
             Kasa app",
        ));
    }
    let iterations = result
        .get("iterations")
        .and_then(Value::as_u64)
        .and_then(|iterations| u32::try_from(iterations).ok());
    Ok(Parameters {
        salt: bytes(result, "dev_salt")?,
        iterations: iterations.ok_or_else(|| missing("iterations"))?,
        user_random: user_random.to_vec(),
        dev_random: bytes(result, "dev_random")?,
        dev_share: bytes(result, "dev_share")?,
    })
}

fn missing(what: &str) -> Error {
    Error::protocol(format!("the plug's answer to the login has no {what}"))
}

/// Bytes in base64, or in hexadecimal digits as some firmware writes them.
fn bytes(object: &Value, key: &str) -> Result<Vec<u8>> {
    let text = text(object, key).ok_or_else(|| missing(key))?;
    if text.len() >= 32 && text.len().is_multiple_of(2) && text.chars().all(|c| c.is_ascii_hexdigit()) {
        let digit = |c: u8| {
            char::from(c)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        let (pairs, _) = text.as_bytes().as_chunks::<2>();
        return pairs
            .iter()
            .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
            .collect::<Option<_>>()
            .ok_or_else(|| missing(key));
    }
    STANDARD
        .decode(text)
        .map_err(|cause| missing(key).caused_by(cause))
}

/// What stands for the password.
pub(super) fn credential(password: &Secret) -> Zeroizing<String> {
    Zeroizing::new(hex(&sha1(&[password.expose().as_bytes()])))
}

/// Ends the login with our share.
pub(super) fn share(exchange: &Exchange) -> Value {
    let params = json!({
        "user_share": STANDARD.encode(exchange.user_share),
        "user_confirm": STANDARD.encode(exchange.user_confirm),
    });
    login("pake_share", params)
}

/// An open session.
pub(super) struct Session {
    pub(super) stok: String,
    pub(super) cipher: Cipher,
}

/// Reads the answer to [`share`].
///
/// # Errors
/// [`Error::Authentication`] when either side does not know the password; [`Error::Protocol`] when something is
/// missing, or the login is to begin again.
pub(super) fn read_share(reply: &Value, exchange: &Exchange) -> Result<Session> {
    let result = login_result(reply)?;
    let shared = exchange.shared_key(&bytes(result, "dev_confirm")?)?;
    let stok = text(result, "stok")
        .filter(|stok| {
            stok.chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.~=".contains(c))
        })
        .ok_or_else(|| missing("stok"))?;
    let seq = result.get("start_seq").and_then(Value::as_u64);
    let seq = seq.and_then(|seq| u32::try_from(seq).ok());
    Ok(Session {
        stok,
        cipher: Cipher::new(shared, seq.ok_or_else(|| missing("start_seq"))?),
    })
}

fn login_result(reply: &Value) -> Result<&Value> {
    let error = match smart::result(reply, "login") {
        Ok(result) => return Ok(result),
        Err(error) => error,
    };
    Err(match crate::kasa::json::code_of(&error) {
        Some(WRONG_CREDENTIALS) => smart::wrong_login(WRONG_CREDENTIALS),
        Some(LOCKED_OUT) => Error::authentication(format!(
            "the plug is locked after too many failed logins (error {LOCKED_OUT}); wait, and check the password before \
             the next try"
        ))
        .caused_by(Code(LOCKED_OUT)),
        // Another client began a login meanwhile, or the plug forgot ours: it has not judged the password.
        Some(SESSION_INVALID) => Error::protocol(format!(
            "the plug gave up this login (error {SESSION_INVALID}); if it goes on, stop what else polls this plug"
        ))
        .caused_by(Code(SESSION_INVALID)),
        Some(code) if UNSUPPORTED.contains(&code) => Error::unsupported(format!(
            "the plug wants another way of logging in (error {code}); turn on third-party compatibility in the Tapo or \
             Kasa app"
        ))
        .caused_by(Code(code)),
        _ => error,
    })
}

type Aead128 = Ccm<Aes128, U16, U12>;

/// Encrypts requests and decrypts their replies, each under a number that counts up.
pub(super) struct Cipher {
    key: Zeroizing<[u8; 16]>,
    nonce: [u8; 12],
    /// The number of the next request.
    next: u32,
    /// The number of the last reply.
    answered: Option<u32>,
}

impl Cipher {
    fn new(shared: &[u8; 32], next: u32) -> Self {
        Self {
            key: Zeroizing::new(expand(
                b"tp-kdf-salt-aes128-key",
                shared,
                b"tp-kdf-info-aes128-key",
            )),
            nonce: expand(b"tp-kdf-salt-aes128-iv", shared, b"tp-kdf-info-aes128-iv"),
            next,
            answered: None,
        }
    }

    fn aead(&self) -> Aead128 {
        Aead128::new((&*self.key).into())
    }

    fn nonce(&self, seq: u32) -> [u8; 12] {
        let mut nonce = [0; 12];
        let parts = self.nonce.iter().copied().take(8).chain(seq.to_be_bytes());
        for (to, from) in nonce.iter_mut().zip(parts) {
            *to = from;
        }
        nonce
    }

    /// The body of the next request.
    ///
    /// # Errors
    /// [`Error::Protocol`] when it is too long for the cipher, which no request is.
    pub(super) fn seal(&mut self, plain: &[u8]) -> Result<Vec<u8>> {
        let seq = self.next;
        self.next = seq.wrapping_add(1);
        let sealed = self
            .aead()
            .encrypt(&self.nonce(seq).into(), plain)
            .map_err(|_| Error::protocol("the request cannot be encrypted"))?;
        let mut body = seq.to_be_bytes().to_vec();
        body.extend(sealed);
        Ok(body)
    }

    /// Decrypts a reply. The cipher vouches for who sent it; its number, that it was not sent before.
    ///
    /// # Errors
    /// [`Error::Protocol`] when it is cut, forged or repeated.
    pub(super) fn open(&mut self, body: &[u8]) -> Result<Vec<u8>> {
        let forged = || Error::protocol("the reply is not from this session");
        let (seq, sealed) = body.split_first_chunk::<4>().ok_or_else(forged)?;
        let seq = u32::from_be_bytes(*seq);
        // Around the end of the numbers, too, one that is not ahead is behind.
        let ahead = |last: u32| (1..1 << 31).contains(&seq.wrapping_sub(last));
        if !self.answered.is_none_or(ahead) {
            return Err(Error::protocol("the plug sent an earlier reply again"));
        }
        let plain = self
            .aead()
            .decrypt(&self.nonce(seq).into(), sealed)
            .map_err(|_| forged())?;
        self.answered = Some(seq);
        Ok(plain)
    }
}

/// The error code of a reply that came in the clear in place of an encrypted one.
pub(super) fn code_in_the_clear(body: &[u8]) -> Option<i64> {
    let reply: Value = serde_json::from_slice(body).ok()?;
    reply.get("error_code")?.as_i64()
}

/// The first bytes of randomness for each of its uses.
pub(super) struct Randomness {
    pub(super) user_random: [u8; 32],
    pub(super) secret: [u8; 40],
}

impl Randomness {
    pub(super) fn from(bytes: &[u8; 72]) -> Self {
        let (user_random, secret) = bytes.split_at(32);
        Self {
            user_random: head(user_random),
            secret: head(secret),
        }
    }
}

/// Reads bytes as each of a device's replies, by somebody who knows no password.
#[cfg(fuzzing)]
pub(in crate::kasa) fn fuzz(bytes: &[u8]) {
    let _ = (read_discover(bytes), code_in_the_clear(bytes));
    let mut cipher = Cipher::new(&[7; 32], 1);
    assert!(cipher.open(bytes).is_err(), "a reply out of nothing");
    let Ok(reply) = crate::kasa::json::parse(bytes) else {
        return;
    };
    if let Ok(parameters) = read_register(&reply, &[7; 32])
        // Each is a hash: not what is to be tried here.
        && parameters.iterations <= 3
        && let Ok(exchange) = Exchange::new("", &[7; super::spake::WIDE], &parameters)
    {
        let _ = read_share(&reply, &exchange);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kasa::vectors::{hex as unhex, vectors};

    fn cipher() -> Cipher {
        let known = &vectors()["tpap"];
        let shared: [u8; 32] = unhex(known["shared_key"].as_str().unwrap()).try_into().unwrap();
        Cipher::new(&shared, u32::try_from(known["seq"].as_u64().unwrap()).unwrap())
    }

    #[test]
    fn keys_and_bodies_are_as_known() {
        let known = &vectors()["tpap"];
        let mut cipher = cipher();
        assert_eq!(cipher.key.as_slice(), unhex(known["key"].as_str().unwrap()));
        assert_eq!(
            cipher.nonce.as_slice(),
            unhex(known["base_nonce"].as_str().unwrap())
        );
        let body = unhex(known["body"].as_str().unwrap());
        let plain = cipher.open(&body).unwrap();
        assert_eq!(cipher.seal(&plain).unwrap(), body);
        serde_json::from_slice::<Value>(&plain).unwrap();
        let password = Secret::from(known["password"].as_str().unwrap());
        assert_eq!(credential(&password).as_str(), known["cred"].as_str().unwrap());
    }

    #[test]
    fn a_repeated_or_forged_reply_is_refused() {
        let mut cipher = cipher();
        let body = cipher.seal(b"{}").unwrap();
        assert!(cipher.open(&body).is_ok());
        assert!(cipher.open(&body).is_err());
        // Nor may one come again after others.
        let [second, third] = [b"2", b"3"].map(|plain| cipher.seal(plain).unwrap());
        assert_eq!(cipher.open(&second).unwrap(), b"2");
        for old in [&body, &second] {
            assert!(cipher.open(old).is_err());
        }
        assert_eq!(cipher.open(&third).unwrap(), b"3");
        assert!(cipher.open(&second).is_err());
        let mut forged = cipher.seal(b"{}").unwrap();
        *forged.last_mut().unwrap() ^= 1;
        assert!(cipher.open(&forged).is_err());
    }

    #[test]
    fn replies_count_on_beyond_the_last_number() {
        let mut cipher = Cipher::new(&[7; 32], u32::MAX - 1);
        let bodies: Vec<_> = (0..4).map(|_| cipher.seal(b"{}").unwrap()).collect();
        for body in &bodies {
            assert!(cipher.open(body).is_ok());
        }
        for body in &bodies {
            assert!(cipher.open(body).is_err());
        }
    }

    #[test]
    fn an_offer_is_read_and_anything_else_is_none() {
        let offer = |tpap: Value| {
            read_discover(
                json!({"error_code": 0, "result": {"tpap": tpap}})
                    .to_string()
                    .as_bytes(),
            )
        };
        let plain = Offer {
            tls: false,
            port: Some(80),
        };
        assert_eq!(
            offer(json!({"tls": 0, "dac": 0, "pake": [2], "port": 80})).unwrap(),
            Some(plain)
        );
        let tls = offer(json!({"tls": 2, "port": 4433, "pake": [0, 2]}))
            .unwrap()
            .unwrap();
        assert_eq!((tls.tls, tls.port), (true, Some(4433)));
        assert!(offer(json!({})).unwrap().is_some());
        assert!(matches!(
            offer(json!({"pake": [3]})),
            Err(Error::Unsupported { .. })
        ));
        for none in [
            &b"<html>"[..],
            b"{}",
            b"[]",
            br#"{"error_code":1003}"#,
            br#"{"result":{"tpap":1}}"#,
        ] {
            assert_eq!(read_discover(none).unwrap(), None);
        }
    }

    #[test]
    fn bytes_come_in_base64_or_hexadecimal() {
        let expected: Vec<u8> = (0..16).collect();
        for text in [
            STANDARD.encode(&expected),
            hex(&expected),
            hex(&expected).to_uppercase(),
        ] {
            assert_eq!(bytes(&json!({"x": text}), "x").unwrap(), expected);
        }
        for bad in [json!({}), json!({"x": 1}), json!({"x": "*"}), json!({"x": ""})] {
            assert!(bytes(&bad, "x").is_err());
        }
    }

    #[test]
    fn refusals_of_a_login_are_told_apart() {
        let refused = |code: i64| read_register(&json!({"error_code": code}), &[0; 32]).unwrap_err();
        assert!(matches!(refused(-2203), Error::Authentication { .. }));
        assert!(matches!(refused(-2101), Error::Authentication { .. }));
        assert!(matches!(refused(-2201), Error::Unsupported { .. }));
        assert!(matches!(refused(-2202), Error::Unsupported { .. }));
        assert!(matches!(refused(-1), Error::Refused { .. }));
        let given_up = refused(-2402);
        assert!(
            matches!(given_up, Error::Protocol { .. }) && given_up.is_transient(),
            "{given_up:?}"
        );
        let odd = json!({"error_code": 0, "result": {"extra_crypt": {"params": {"passwd_id": 5}}}});
        assert!(matches!(
            read_register(&odd, &[0; 32]),
            Err(Error::Unsupported { .. })
        ));
    }

    proptest! {
        #[test]
        fn noise_never_panics_and_never_opens(noise in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(cipher().open(&noise).is_err());
            let _ = read_discover(&noise);
            let _ = code_in_the_clear(&noise);
        }
    }
}
