//! KLAP from the device's side.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::web::{self, Site};
use super::{Dialect, Unit};
use crate::http::{Request, Response};
use crate::wire::Running;

/// How hashes are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KlapVersion {
    /// MD5 of the account.
    V1,
    /// SHA-1 and SHA-256 of the account.
    V2,
}

/// Serves a plug or strip of newer firmware. Without credentials in its spec it takes those that the maker's plugs
/// come with.
///
/// # Errors
/// Those of binding the socket.
pub async fn serve(
    unit: impl Into<Unit>,
    address: SocketAddr,
    version: KlapVersion,
    dialect: Dialect,
) -> io::Result<Running> {
    let unit = unit.into();
    let site = KlapSite {
        unit: unit.clone(),
        version,
        dialect,
        session: Mutex::default(),
    };
    web::serve(&unit, address, "klap", site).await
}

struct KlapSite {
    unit: Unit,
    version: KlapVersion,
    dialect: Dialect,
    /// One only: whoever logs in displaces the others.
    session: Mutex<Session>,
}

#[derive(Default)]
struct Session {
    cookie: String,
    local: Vec<u8>,
    remote: Vec<u8>,
    keys: Option<Keys>,
}

struct Keys {
    key: [u8; 16],
    iv: [u8; 12],
    signature: [u8; 28],
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    Sha256::digest(parts.concat()).into()
}

impl KlapSite {
    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn account(&self) -> Vec<u8> {
        let spec = self.unit.device.spec();
        let (mut user, password) = match (spec.username, spec.password, self.dialect) {
            (None, None, Dialect::Iot) => ("kasa@tp-link.net".to_owned(), "kasaSetup".to_owned()),
            (None, None, Dialect::Smart) => ("test@tp-link.net".to_owned(), "test".to_owned()),
            (user, password, _) => (user.unwrap_or_default(), password.unwrap_or_default()),
        };
        if self.unit.device.faults().reject_auth {
            user.push_str(".not");
        }
        match self.version {
            KlapVersion::V1 => {
                let both = [Md5::digest(user), Md5::digest(password)].concat();
                Md5::digest(both).to_vec()
            }
            KlapVersion::V2 => {
                let both = [Sha1::digest(user), Sha1::digest(password)].concat();
                Sha256::digest(both).to_vec()
            }
        }
    }

    fn first_half(&self, request: &Request) -> Response {
        if request.body.len() != 16 {
            return plain(400);
        }
        let mut random = [0; 32];
        let _ = getrandom::fill(&mut random);
        let (remote, cookie) = random.split_at(16);
        let account = self.account();
        let proof = match self.version {
            KlapVersion::V1 => hash(&[&request.body, &account]),
            KlapVersion::V2 => hash(&[&request.body, remote, &account]),
        };
        let cookie: String = cookie.iter().map(|byte| format!("{byte:02X}")).collect();
        *self.session() = Session {
            cookie: cookie.clone(),
            local: request.body.clone(),
            remote: remote.to_vec(),
            keys: None,
        };
        Response::new(200, "text/html", [remote, &proof].concat())
            .header("Set-Cookie", format!("TP_SESSIONID={cookie};TIMEOUT=86400"))
    }

    fn second_half(&self, request: &Request) -> Response {
        let account = self.account();
        let mut session = self.session();
        if !knows(&session, request) {
            return plain(403);
        }
        let proof = match self.version {
            KlapVersion::V1 => hash(&[&session.remote, &account]),
            KlapVersion::V2 => hash(&[&session.remote, &session.local, &account]),
        };
        if proof.as_slice() != request.body {
            return plain(403);
        }
        let derive = |label: &[u8]| hash(&[label, &session.local, &session.remote, &account]);
        let keys = Keys {
            key: first(&derive(b"lsk")),
            iv: first(&derive(b"iv")),
            signature: first(&derive(b"ldk")),
        };
        session.keys = Some(keys);
        plain(200)
    }

    fn request(&self, request: &Request) -> Response {
        if self.unit.quirks.displaced() {
            *self.session() = Session::default();
            return plain(403);
        }
        let session = self.session();
        let (Some(keys), true) = (&session.keys, knows(&session, request)) else {
            return plain(403);
        };
        let Some(seq) = request.query("seq").and_then(|seq| seq.parse::<i32>().ok()) else {
            return plain(400);
        };
        let Some(opened) = keys.open(seq, &request.body) else {
            return plain(400);
        };
        let Ok(asked) = serde_json::from_slice(&opened) else {
            return plain(400);
        };
        let answer = self.dialect.answer(&self.unit, &asked).to_string();
        let mut body = keys.seal(seq, answer.as_bytes());
        if let Some(byte) = body.first_mut().filter(|_| self.unit.quirks.bad_signature) {
            *byte ^= 1;
        }
        Response::new(200, "text/html", body)
    }
}

impl Site for KlapSite {
    fn answer(&self, request: &Request) -> Response {
        match (request.method.as_str(), request.path()) {
            ("POST", "/app/handshake1") => self.first_half(request),
            ("POST", "/app/handshake2") => self.second_half(request),
            ("POST", "/app/request") => self.request(request),
            // What a plug says that does not speak the older protocol.
            ("POST", "/app") => Response::json(&serde_json::json!({"error_code": 1003})),
            _ => plain(404),
        }
    }
}

/// Whether the request carries the session's cookie, alone and in a header written as the firmware wants it.
fn knows(session: &Session, request: &Request) -> bool {
    let cookie = format!("TP_SESSIONID={}", session.cookie);
    !session.cookie.is_empty()
        && request.header("Cookie") == Some(&cookie)
        && request.header_as_written("Cookie") == Some("Cookie")
        && request.header_as_written("Content-Length") == Some("Content-Length")
}

pub(super) fn plain(status: u16) -> Response {
    Response::new(status, "text/html", "")
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut first = [0; N];
    first.copy_from_slice(bytes.get(..N).unwrap_or(&[0; N]));
    first
}

impl Keys {
    fn iv(&self, seq: i32) -> [u8; 16] {
        first(&[&self.iv[..], &seq.to_be_bytes()].concat())
    }

    fn sign(&self, seq: i32, cipher: &[u8]) -> [u8; 32] {
        hash(&[&self.signature, &seq.to_be_bytes(), cipher])
    }

    fn open(&self, seq: i32, body: &[u8]) -> Option<Vec<u8>> {
        let (signature, cipher) = body.split_at_checked(32)?;
        if self.sign(seq, cipher).as_slice() != signature {
            return None;
        }
        let cbc = cbc::Decryptor::<Aes128>::new(&self.key.into(), &self.iv(seq).into());
        cbc.decrypt_padded_vec::<Pkcs7>(cipher).ok()
    }

    fn seal(&self, seq: i32, plain: &[u8]) -> Vec<u8> {
        let cbc = cbc::Encryptor::<Aes128>::new(&self.key.into(), &self.iv(seq).into());
        let cipher = cbc.encrypt_padded_vec::<Pkcs7>(plain);
        [&self.sign(seq, &cipher)[..], &cipher].concat()
    }
}
