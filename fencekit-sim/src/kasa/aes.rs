//! AES securePassthrough from the device's side.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use getrandom::SysRng;
use rsa::pkcs8::DecodePublicKey;
use rsa::rand_core::UnwrapErr;
use rsa::{Pkcs1v15Encrypt, PublicKey};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::klap::plain;
use super::web::{self, Site};
use super::{Dialect, Unit};
use crate::http::{Request, Response};
use crate::wire::Running;

/// Serves a plug or strip of early Tapo firmware. Without credentials in its spec it takes those that the maker's plugs
/// come with.
///
/// # Errors
/// Those of binding the socket.
pub async fn serve(unit: impl Into<Unit>, address: SocketAddr) -> io::Result<Running> {
    let unit = unit.into();
    let site = AesSite {
        unit: unit.clone(),
        session: Mutex::default(),
    };
    web::serve(&unit, address, "aes", site).await
}

struct AesSite {
    unit: Unit,
    session: Mutex<Session>,
}

#[derive(Clone, Default)]
struct Session {
    cookie: String,
    key: [u8; 16],
    iv: [u8; 16],
    token: Option<String>,
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let _ = getrandom::fill(&mut bytes);
    bytes
}

fn digits(bytes: &[u8], upper: bool) -> String {
    let digit = |byte: &u8| {
        if upper {
            format!("{byte:02X}")
        } else {
            format!("{byte:02x}")
        }
    };
    bytes.iter().map(digit).collect()
}

/// A key in PEM, whether or not it is broken into lines as the format wants it: clients differ.
fn public_key(pem: &str) -> Option<PublicKey> {
    let body = pem.trim().strip_prefix("-----BEGIN PUBLIC KEY-----")?;
    let body = body.strip_suffix("-----END PUBLIC KEY-----")?;
    let body: String = body.split_whitespace().collect();
    PublicKey::from_public_key_der(&STANDARD.decode(body).ok()?).ok()
}

fn code(code: i64) -> Value {
    json!({"error_code": code})
}

impl AesSite {
    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handshake(&self, request: &Value) -> Response {
        let pem = request
            .pointer("/params/key")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let Some(public) = public_key(pem) else {
            return Response::json(&code(-1010));
        };
        let (key, iv) = (random(), random());
        let cookie = digits(&random::<16>(), true);
        let sealed = public.encrypt(&mut UnwrapErr(SysRng), Pkcs1v15Encrypt, &[key, iv].concat());
        *self.session() = Session {
            cookie: cookie.clone(),
            key,
            iv,
            token: None,
        };
        let reply = json!({"error_code": 0, "result": {"key": STANDARD.encode(sealed.unwrap_or_default())}});
        Response::json(&reply).header("Set-Cookie", format!("TP_SESSIONID={cookie};TIMEOUT=1440"))
    }

    fn pass_through(&self, request: &Request, envelope: &Value) -> Response {
        let session = self.session().clone();
        let cookie = format!("TP_SESSIONID={}", session.cookie);
        if session.cookie.is_empty() || request.header("Cookie") != Some(&cookie) {
            return Response::json(&code(9999));
        }
        let Some(inner) = session.open(envelope) else {
            return Response::json(&code(-1003));
        };
        let login = inner.get("method").and_then(Value::as_str) == Some("login_device");
        let answer = if login {
            self.login(&inner)
        } else if session.token.is_none()
            || request.query("token") != session.token
            || self.unit.quirks.displaced()
        {
            self.session().token = None;
            code(9999)
        } else {
            Dialect::Smart.answer(&self.unit, &inner)
        };
        Response::json(&json!({"error_code": 0, "result": {"response": session.seal(&answer)}}))
    }

    fn login(&self, request: &Value) -> Value {
        let spec = self.unit.device.spec();
        let user = spec.username.unwrap_or_else(|| "test@tp-link.net".to_owned());
        let password = spec.password.unwrap_or_else(|| "test".to_owned());
        let digest = |text: &str| STANDARD.encode(digits(&Sha1::digest(text), false));
        let given = |key: &str| request.pointer(&format!("/params/{key}")).and_then(Value::as_str);
        self.unit.quirks.count_login();
        let right = given("username") == Some(&digest(&user))
            && if self.unit.quirks.login_version_2 {
                given("password2") == Some(&digest(&password))
            } else {
                given("password") == Some(&STANDARD.encode(&password))
            };
        if !right || self.unit.device.faults().reject_auth {
            return code(-1501);
        }
        let token = digits(&random::<16>(), true);
        self.session().token = Some(token.clone());
        json!({"error_code": 0, "result": {"token": token}})
    }
}

impl Site for AesSite {
    fn answer(&self, request: &Request) -> Response {
        // What it says to anything else, KLAP and TPAP among them.
        if request.method != "POST" || request.path() != "/app" {
            return plain(404);
        }
        if request.header("Content-Length").is_none() {
            return plain(411);
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match body.get("method").and_then(Value::as_str) {
            Some("handshake") => self.handshake(&body),
            Some("securePassthrough") => self.pass_through(request, &body),
            _ => Response::json(&code(-1003)),
        }
    }
}

impl Session {
    fn open(&self, envelope: &Value) -> Option<Value> {
        let cipher = STANDARD
            .decode(envelope.pointer("/params/request")?.as_str()?)
            .ok()?;
        let cbc = cbc::Decryptor::<Aes128>::new(&self.key.into(), &self.iv.into());
        serde_json::from_slice(&cbc.decrypt_padded_vec::<Pkcs7>(&cipher).ok()?).ok()
    }

    fn seal(&self, answer: &Value) -> String {
        let cbc = cbc::Encryptor::<Aes128>::new(&self.key.into(), &self.iv.into());
        STANDARD.encode(cbc.encrypt_padded_vec::<Pkcs7>(answer.to_string().as_bytes()))
    }
}
