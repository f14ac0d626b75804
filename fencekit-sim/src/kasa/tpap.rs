//! TPAP from the device's side: the verifier of SPAKE2+, then AES-CCM.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aes::Aes128;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ccm::Ccm;
use ccm::aead::{Aead, KeyInit};
use ccm::consts::{U12, U16};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use md5::Md5;
use p256::elliptic_curve::PrimeField;
use p256::elliptic_curve::sec1::{FromSec1Point, ToSec1Point};
use p256::{AffinePoint, ProjectivePoint, Scalar};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::klap::plain;
use super::web::{self, Site};
use super::{Dialect, Unit};
use crate::http::{Request, Response};
use crate::wire::Running;

const WRONG_CREDENTIALS: i64 = -2203;
const LOCKED_OUT: i64 = -2101;
const UNSUPPORTED_SUITE: i64 = -2201;
const UNSUPPORTED_PASSCODE: i64 = -2202;
const SESSION_INVALID: i64 = -2402;
const ITERATIONS: u32 = 500;

/// The points of RFC 9383.
const M: &str = "02886e2f97ace46e55ba9dd7242579f2993b64e16ef3dcab95afd497333d8fa12f";
const N: &str = "03d8bbd6c639c62937b04d997f38c3770719c629d7014d49a24b4f98baa1292b49";

/// Serves a plug or strip whose third-party compatibility is off. It speaks the SMART dialect.
///
/// # Errors
/// Those of binding the socket.
pub async fn serve(unit: impl Into<Unit>, address: SocketAddr) -> io::Result<Running> {
    let unit = unit.into();
    let site = TpapSite {
        unit: unit.clone(),
        registration: Mutex::default(),
        session: Mutex::default(),
    };
    web::serve(&unit, address, "tpap", site).await
}

struct TpapSite {
    unit: Unit,
    registration: Mutex<Option<Registration>>,
    session: Mutex<Option<Session>>,
}

/// Between the two halves of a login.
struct Registration {
    user_random: Vec<u8>,
    dev_random: [u8; 32],
    w0: Scalar,
    w1: Scalar,
    y: Scalar,
}

struct Session {
    stok: String,
    key: [u8; 16],
    nonce: [u8; 12],
    /// The lowest number that a request may have.
    next: u32,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let _ = getrandom::fill(&mut bytes);
    bytes
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn code(code: i64) -> Response {
    Response::json(&json!({"error_code": code}))
}

fn result(result: Value) -> Response {
    Response::json(&json!({"error_code": 0, "result": result}))
}

/// Big-endian bytes as a number modulo the order of the group.
fn scalar(bytes: &[u8]) -> Scalar {
    let mut sum = Scalar::ZERO;
    for byte in bytes {
        for _ in 0..8 {
            sum = sum.double();
        }
        sum += Scalar::from(u64::from(*byte));
    }
    sum
}

fn point(bytes: &[u8]) -> Option<ProjectivePoint> {
    AffinePoint::from_sec1_bytes(bytes)
        .ok()
        .map(ProjectivePoint::from)
}

fn constant(digits: &str) -> ProjectivePoint {
    let bytes: Vec<u8> = (0..digits.len())
        .step_by(2)
        .filter_map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect();
    point(&bytes).unwrap_or_default()
}

fn uncompressed(point: &ProjectivePoint) -> Vec<u8> {
    point.to_affine().to_sec1_point(false).as_bytes().to_vec()
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key)
        .unwrap_or_else(|_| unreachable!("any length is taken"));
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn stretch<const LEN: usize>(salt: &[u8], secret: &[u8], info: &str) -> [u8; LEN] {
    let mut out = [0; LEN];
    let _ = Hkdf::<Sha256>::new(Some(salt), secret).expand(info.as_bytes(), &mut out);
    out
}

impl TpapSite {
    fn discover(&self) -> Response {
        result(json!({
            "mac": self.unit.device.reported_mac().replace(':', "-"),
            "tpap": {"tls": 0, "dac": 0, "noc": 0, "pake": [2]},
        }))
    }

    fn register(&self, params: &Value) -> Response {
        if self.unit.quirks.locked_out {
            return code(LOCKED_OUT);
        }
        let suites = params.get("cipher_suites").and_then(Value::as_array);
        if !suites.is_some_and(|suites| suites.contains(&json!(1))) {
            return code(UNSUPPORTED_SUITE);
        }
        if params.get("passcode_type") != Some(&json!("userpw")) {
            return code(UNSUPPORTED_PASSCODE);
        }
        if params.get("username") != Some(&json!(digits(&Md5::digest("admin")))) {
            return code(WRONG_CREDENTIALS);
        }
        let user_random = params
            .get("user_random")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let user_random = STANDARD.decode(user_random).unwrap_or_default();
        let password = self
            .unit
            .device
            .spec()
            .password
            .unwrap_or_else(|| "test".to_owned());
        let (salt, dev_random) = (random::<16>(), random::<32>());
        let mut keys = [0; 80];
        let credential = digits(&Sha1::digest(password));
        pbkdf2::pbkdf2_hmac::<Sha256>(credential.as_bytes(), &salt, ITERATIONS, &mut keys);
        let (w0, w1) = keys.split_at(40);
        let (w0, w1, y) = (scalar(w0), scalar(w1), scalar(&random::<40>()));
        let share = ProjectivePoint::GENERATOR * y + constant(N) * w0;
        *lock(&self.registration) = Some(Registration {
            user_random,
            dev_random,
            w0,
            w1,
            y,
        });
        result(json!({
            "dev_random": STANDARD.encode(dev_random),
            "dev_salt": STANDARD.encode(salt),
            "dev_share": STANDARD.encode(uncompressed(&share)),
            "iterations": ITERATIONS,
            "cipher_suites": 1,
            "encryption": "aes_128_ccm",
            "extra_crypt": {"type": "password_shadow", "params": {"passwd_id": 2}},
        }))
    }

    fn share(&self, params: &Value) -> Response {
        self.unit.quirks.count_login();
        let bytes = |key: &str| {
            let text = params.get(key).and_then(Value::as_str).unwrap_or_default();
            STANDARD.decode(text).unwrap_or_default()
        };
        let forgotten = self.unit.quirks.forgets_login();
        let Some(registration) = lock(&self.registration).take().filter(|_| !forgotten) else {
            return code(SESSION_INVALID);
        };
        let verified = registration.verify(&bytes("user_share"), &bytes("user_confirm"));
        let Some((dev_confirm, shared)) = verified.filter(|_| !self.unit.device.faults().reject_auth) else {
            return code(WRONG_CREDENTIALS);
        };
        let stok = digits(&random::<16>());
        *lock(&self.session) = Some(Session {
            stok: stok.clone(),
            key: stretch(b"tp-kdf-salt-aes128-key", &shared, "tp-kdf-info-aes128-key"),
            nonce: stretch(b"tp-kdf-salt-aes128-iv", &shared, "tp-kdf-info-aes128-iv"),
            next: 1,
        });
        result(
            json!({"dev_confirm": STANDARD.encode(dev_confirm), "stok": stok, "start_seq": 1, "expired": 86400}),
        )
    }

    fn request(&self, request: &Request) -> Response {
        if self.unit.quirks.displaced() {
            *lock(&self.session) = None;
        }
        let mut session = lock(&self.session);
        let Some(session) = session
            .as_mut()
            .filter(|session| request.path() == format!("/stok={}/ds", session.stok))
        else {
            return code(SESSION_INVALID);
        };
        let Some((seq, asked)) = session.open(&request.body) else {
            return code(SESSION_INVALID);
        };
        let answer = Dialect::Smart.answer(&self.unit, &asked).to_string();
        Response::new(
            200,
            "application/octet-stream",
            session.seal(seq, answer.as_bytes()),
        )
    }
}

impl Registration {
    /// The device's confirmation and the shared key, when the client's confirmation is right.
    fn verify(&self, user_share: &[u8], user_confirm: &[u8]) -> Option<(Vec<u8>, [u8; 32])> {
        let unblinded = point(user_share)? - constant(M) * self.w0;
        let dev_share = uncompressed(&(ProjectivePoint::GENERATOR * self.y + constant(N) * self.w0));
        let context = Sha256::digest([b"PAKE V1", &self.user_random[..], &self.dev_random[..]].concat());
        let mut w0 = self.w0.to_repr().to_vec();
        let zeros = w0.iter().take_while(|byte| **byte == 0).count();
        w0.drain(..zeros);
        if !w0.len().is_multiple_of(2) && w0.first() >= Some(&0x80) {
            w0.insert(0, 0);
        }
        let mut transcript = Vec::new();
        let mut add = |field: &[u8]| {
            transcript.extend((field.len() as u64).to_le_bytes());
            transcript.extend(field);
        };
        add(&context);
        add(b"");
        add(b"");
        add(&uncompressed(&constant(M)));
        add(&uncompressed(&constant(N)));
        add(user_share);
        add(&dev_share);
        add(&uncompressed(&(unblinded * self.y)));
        add(&uncompressed(&(ProjectivePoint::GENERATOR * self.w1 * self.y)));
        add(&w0);
        let hash = Sha256::digest(&transcript);
        let confirmation: [u8; 64] = stretch(&[0; 32], &hash, "ConfirmationKeys");
        let (clients, devices) = confirmation.split_at(32);
        if mac(clients, &dev_share) != user_confirm {
            return None;
        }
        Some((mac(devices, user_share), stretch(&[0; 32], &hash, "SharedKey")))
    }
}

impl Session {
    fn cipher(&self) -> Ccm<Aes128, U16, U12> {
        KeyInit::new(&self.key.into())
    }

    fn nonce(&self, seq: u32) -> [u8; 12] {
        let mut nonce = self.nonce;
        for (to, from) in nonce.iter_mut().skip(8).zip(seq.to_be_bytes()) {
            *to = from;
        }
        nonce
    }

    fn open(&mut self, body: &[u8]) -> Option<(u32, Value)> {
        let (seq, sealed) = body.split_first_chunk::<4>()?;
        let seq = u32::from_be_bytes(*seq);
        if seq < self.next {
            return None;
        }
        let plain = self.cipher().decrypt(&self.nonce(seq).into(), sealed).ok()?;
        self.next = seq + 1;
        Some((seq, serde_json::from_slice(&plain).ok()?))
    }

    fn seal(&self, seq: u32, plain: &[u8]) -> Vec<u8> {
        let sealed = self
            .cipher()
            .encrypt(&self.nonce(seq).into(), plain)
            .unwrap_or_default();
        [&seq.to_be_bytes()[..], &sealed].concat()
    }
}

impl Site for TpapSite {
    fn answer(&self, request: &Request) -> Response {
        if request.method != "POST" {
            return plain(404);
        }
        if request.path().starts_with("/stok=") {
            return self.request(request);
        }
        if request.path() != "/" {
            // KLAP and AES are off.
            return plain(403);
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let params = body.get("params").unwrap_or(&Value::Null);
        match params.get("sub_method").and_then(Value::as_str) {
            Some("discover") => self.discover(),
            Some("pake_register") => self.register(params),
            Some("pake_share") => self.share(params),
            _ => code(-1),
        }
    }
}
