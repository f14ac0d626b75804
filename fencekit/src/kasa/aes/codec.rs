//! AES securePassthrough: the handshake and the envelopes as pure functions; randomness is an argument.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs8::{EncodePublicKey, LineEnding};
use rsa::rand_core::TryCryptoRng;
use rsa::{Pkcs1v15Encrypt, PrivateKey};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::kasa::credentials::Account;
use crate::kasa::crypto::{cbc_decrypt, cbc_encrypt, head, hex, sha1};
use crate::kasa::json::{self, shown, text};
use crate::kasa::smart;

/// The firmware takes no other size.
const RSA_BITS: usize = 1024;
/// The code with which a plug says that it speaks another transport.
const NOT_SPOKEN: i64 = 1003;
/// The session is over.
const SESSION_EXPIRED: i64 = 9999;

/// A key pair whose only use is to let the device send a session key.
#[derive(Debug)]
pub(super) struct KeyPair {
    private: PrivateKey,
    /// The public half, as it is sent.
    pem: String,
}

impl KeyPair {
    /// # Errors
    /// [`Error::Unsupported`] when there is no randomness.
    pub(super) fn generate<R: TryCryptoRng + ?Sized>(random: &mut R) -> Result<Self> {
        let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
            Error::unsupported("no RSA key can be made").caused_by(cause)
        };
        let private = PrivateKey::new(random, RSA_BITS).map_err(|cause| failed(Box::new(cause)))?;
        let pem = private
            .to_public_key()
            .to_public_key_pem(LineEnding::LF)
            .map_err(|cause| failed(Box::new(cause)))?;
        Ok(Self { private, pem })
    }

    /// The first request.
    pub(super) fn handshake(&self) -> Value {
        json!({"method": "handshake", "params": {"key": self.pem}})
    }

    /// Reads its reply; `None` when the device speaks another transport.
    ///
    /// # Errors
    /// [`Error::Protocol`] when it speaks this one, but the key cannot be read.
    pub(super) fn read_handshake(&self, body: &[u8]) -> Result<Option<Session>> {
        let Some(reply) = serde_json::from_slice::<Value>(body).ok() else {
            return Ok(None);
        };
        match reply.get("error_code").and_then(Value::as_i64) {
            Some(0) => {}
            Some(NOT_SPOKEN) | None => return Ok(None),
            Some(code) => {
                return Err(Error::protocol(format!(
                    "the plug refuses the handshake: error {code}"
                )));
            }
        }
        let Some(key) = reply.get("result").and_then(|result| text(result, "key")) else {
            return Ok(None);
        };
        let unreadable = || Error::protocol("the session key of the plug cannot be read");
        let cipher = STANDARD.decode(key).map_err(|_| unreadable())?;
        let plain = self
            .private
            .decrypt(Pkcs1v15Encrypt, &cipher)
            .map_err(|_| unreadable())?;
        let plain = Zeroizing::new(plain);
        let (key, iv) = plain.split_first_chunk::<16>().ok_or_else(unreadable)?;
        if iv.len() < 16 {
            return Err(unreadable());
        }
        Ok(Some(Session {
            key: Zeroizing::new(*key),
            iv: head(iv),
        }))
    }
}

/// How the login wants the password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::kasa) enum LoginVersion {
    #[default]
    One,
    Two,
}

/// The key of a session; the initialisation vector never changes.
pub(super) struct Session {
    key: Zeroizing<[u8; 16]>,
    iv: [u8; 16],
}

impl Session {
    /// Puts a request into its envelope.
    pub(super) fn seal(&self, plain: &str) -> Value {
        let request = STANDARD.encode(cbc_encrypt(&self.key, &self.iv, plain.as_bytes()));
        json!({"method": "securePassthrough", "params": {"request": request}})
    }

    /// Takes a reply out of its envelope; `None` when the session is over.
    ///
    /// # Errors
    /// [`Error::Protocol`] when it cannot be read.
    pub(super) fn open(&self, body: &[u8]) -> Result<Option<Value>> {
        let envelope = json::parse(body)?;
        match envelope.get("error_code").and_then(Value::as_i64) {
            Some(0) => {}
            Some(SESSION_EXPIRED) => return Ok(None),
            Some(code) => {
                return Err(Error::protocol(format!(
                    "the plug does not take the request: error {code}"
                )));
            }
            None => {
                return Err(Error::protocol(format!(
                    "the reply has no error code, but {}",
                    shown(Some(&envelope))
                )));
            }
        }
        let response = envelope.get("result").and_then(|result| text(result, "response"));
        let cipher = response
            .and_then(|response| STANDARD.decode(response).ok())
            .ok_or_else(|| Error::protocol("the reply has no response in it"))?;
        let reply = json::parse(&cbc_decrypt(&self.key, &self.iv, &cipher)?)?;
        let expired = reply.get("error_code").and_then(Value::as_i64) == Some(SESSION_EXPIRED);
        Ok((!expired).then_some(reply))
    }
}

/// The login.
pub(super) fn login(account: &Account, version: LoginVersion) -> Value {
    let digest = |text: &str| STANDARD.encode(hex(&sha1(&[text.as_bytes()])));
    let username = digest(account.user.expose());
    let password = account.password.expose();
    let params = match version {
        LoginVersion::One => json!({"username": username, "password": STANDARD.encode(password)}),
        LoginVersion::Two => json!({"username": username, "password2": digest(password)}),
    };
    smart::request("login_device", Some(params))
}

/// The token of a login.
///
/// # Errors
/// [`Error::Authentication`] when the device refuses it: never to be tried a second time.
pub(super) fn read_login(reply: &Value) -> Result<String> {
    let result = smart::result(reply, "login_device")?;
    text(result, "token")
        .filter(|token| {
            token
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.~".contains(c))
        })
        .ok_or_else(|| Error::protocol("the login gives no token"))
}

/// Reads bytes as a device's replies within a session and to the login, without its key.
#[cfg(fuzzing)]
pub(in crate::kasa) fn fuzz(bytes: &[u8]) {
    let session = Session {
        key: Zeroizing::new([7; 16]),
        iv: [7; 16],
    };
    if let Ok(Some(reply)) = session.open(bytes) {
        let _ = read_login(&reply);
    }
    if let Ok(reply) = json::parse(bytes) {
        let _ = read_login(&reply);
    }
}

#[cfg(test)]
impl Session {
    /// One with a key that was not agreed on with anybody.
    pub(super) fn known() -> Self {
        Self {
            key: Zeroizing::new([7; 16]),
            iv: [7; 16],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rsa::PublicKey;
    use rsa::pkcs8::DecodePublicKey;

    use super::*;
    use crate::kasa::vectors::{hex as bytes, vectors};

    fn session() -> Session {
        let known = &vectors()["aes"];
        Session {
            key: Zeroizing::new(bytes(known["key"].as_str().unwrap()).try_into().unwrap()),
            iv: bytes(known["iv"].as_str().unwrap()).try_into().unwrap(),
        }
    }

    #[test]
    fn envelopes_are_as_known() {
        let known = &vectors()["aes"];
        let sealed = session().seal(known["plain"].as_str().unwrap());
        assert_eq!(sealed["params"]["request"], known["b64"]);
        let reply = json!({"error_code": 0, "result": {"response": known["b64"]}}).to_string();
        let opened = session().open(reply.as_bytes()).unwrap().unwrap();
        assert_eq!(opened, json!({"method": "get_device_info"}));
    }

    #[test]
    fn logins_are_as_known() {
        let known = vectors();
        let account = Account {
            user: known["klap_v1"]["username"].as_str().unwrap().into(),
            password: known["klap_v1"]["password"].as_str().unwrap().into(),
        };
        let one = login(&account, LoginVersion::One);
        let two = login(&account, LoginVersion::Two);
        let known = &known["aes"];
        assert_eq!(one["params"]["username"], known["hash_v1"][0]);
        assert_eq!(one["params"]["password"], known["hash_v1"][1]);
        assert_eq!(two["params"]["username"], known["hash_v2"][0]);
        assert_eq!(two["params"]["password2"], known["hash_v2"][1]);
        assert_eq!(two["params"]["password"], Value::Null);
    }

    #[test]
    fn a_session_key_comes_through() {
        let pair = KeyPair::generate(&mut getrandom::SysRng).unwrap();
        let request = pair.handshake();
        let public = PublicKey::from_public_key_pem(request["params"]["key"].as_str().unwrap()).unwrap();
        let secret: Vec<u8> = (0..32).collect();
        let cipher = public
            .encrypt(
                &mut rsa::rand_core::UnwrapErr(getrandom::SysRng),
                Pkcs1v15Encrypt,
                &secret,
            )
            .unwrap();
        let reply = |key: String| json!({"error_code": 0, "result": {"key": key}}).to_string();
        let session = pair
            .read_handshake(reply(STANDARD.encode(cipher)).as_bytes())
            .unwrap()
            .unwrap();
        assert_eq!(
            (session.key.as_slice(), session.iv.as_slice()),
            secret.split_at(16)
        );
        for bad in ["", "AAAA", "***"] {
            assert!(
                !matches!(pair.read_handshake(reply(bad.to_owned()).as_bytes()), Ok(Some(_))),
                "{bad}"
            );
        }
        for other in [&br#"{"error_code":1003}"#[..], b"<html>", b"{}", b""] {
            assert!(matches!(pair.read_handshake(other), Ok(None)));
        }
    }

    #[test]
    fn a_session_that_is_over_is_told_at_both_levels() {
        let inner = session().seal(r#"{"error_code":9999}"#)["params"]["request"].clone();
        let within = json!({"error_code": 0, "result": {"response": inner}}).to_string();
        for over in [r#"{"error_code":9999}"#, &within] {
            assert!(matches!(session().open(over.as_bytes()), Ok(None)), "{over}");
        }
    }

    #[test]
    fn a_refused_login_is_an_authentication_failure() {
        let refused = json!({"error_code": -1501});
        assert!(matches!(read_login(&refused), Err(Error::Authentication { .. })));
        let token = |token: &str| read_login(&json!({"error_code": 0, "result": {"token": token}}));
        assert_eq!(token("A1b2").unwrap(), "A1b2");
        assert!(token("a b").is_err() && token("a&b=c").is_err() && token("").is_err());
    }

    proptest! {
        #[test]
        fn a_hostile_reply_never_panics(reply in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = session().open(&reply);
            let wrapped = json!({"error_code": 0, "result": {"response": STANDARD.encode(&reply)}}).to_string();
            let _ = session().open(wrapped.as_bytes());
        }
    }
}
