//! The login of ESPHome's `web_server:`, written apart from the core's.

use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::device::Spec;
use crate::http::{Request, Response};

/// Nonces that are remembered; the oldest is forgotten first.
const MOST_NONCES: usize = 16;
const REALM: &str = "Login Required";

/// How a device wants its clients to log in, when it has credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Basic, as ESP32 firmware until 2027.1.
    #[default]
    Basic,
    /// Digest with MD5, as ESP8266 firmware, and ESP32 with `auth: type: digest`.
    Digest,
    /// Digest with SHA-256.
    DigestSha256,
}

/// Checks requests against a device's credentials.
pub(crate) struct Door {
    scheme: Scheme,
    /// How often one nonce may be used before it is stale.
    nonce_uses: u32,
    /// Nonces that were given out, with how often each was used.
    nonces: Mutex<Vec<(String, u32)>>,
}

impl Door {
    pub(crate) fn new(scheme: Scheme, nonce_uses: u32) -> Self {
        Self {
            scheme,
            nonce_uses,
            nonces: Mutex::default(),
        }
    }

    /// `None` when the request may pass, else the reply that demands a login.
    pub(crate) fn refuses(&self, request: &Request, spec: &Spec, reject: bool) -> Option<Response> {
        let (Some(username), Some(password)) = (&spec.username, &spec.password) else {
            return reject.then(|| self.demand(false));
        };
        let given = request.header("Authorization").unwrap_or_default();
        let verdict = match self.scheme {
            _ if reject => Verdict::Wrong,
            Scheme::Basic if given == basic(username, password) => Verdict::Right,
            Scheme::Basic => Verdict::Wrong,
            Scheme::Digest | Scheme::DigestSha256 => self.check(given, request, username, password),
        };
        (verdict != Verdict::Right).then(|| self.demand(verdict == Verdict::Stale))
    }

    fn check(&self, given: &str, request: &Request, username: &str, password: &str) -> Verdict {
        let Some(fields) = given.strip_prefix("Digest ").map(fields) else {
            return Verdict::Wrong;
        };
        let field = |name: &str| {
            fields
                .iter()
                .find(|(n, _)| n == name)
                .map_or("", |(_, value)| value.as_str())
        };
        let hash = |text: String| self.hash(&text);
        let secret = hash(format!("{username}:{REALM}:{password}"));
        let what = hash(format!("{}:{}", request.method, request.target));
        let expected = hash(format!(
            "{secret}:{}:{}:{}:auth:{what}",
            field("nonce"),
            field("nc"),
            field("cnonce")
        ));
        let written = field("username") == username
            && field("uri") == request.target
            && field("qop") == "auth"
            && !field("cnonce").is_empty();
        if !written || field("response") != expected {
            return Verdict::Wrong;
        }
        let count = u32::from_str_radix(field("nc"), 16).unwrap_or(0);
        let mut nonces = self.lock();
        match nonces.iter_mut().find(|(nonce, _)| nonce == field("nonce")) {
            // A count that was seen before is a replay.
            Some((_, used)) if count > *used && count <= self.nonce_uses => {
                *used = count;
                Verdict::Right
            }
            _ => Verdict::Stale,
        }
    }

    fn hash(&self, text: &str) -> String {
        let bytes = match self.scheme {
            Scheme::DigestSha256 => Sha256::digest(text).to_vec(),
            _ => Md5::digest(text).to_vec(),
        };
        hex(&bytes)
    }

    fn demand(&self, stale: bool) -> Response {
        let challenge = match self.scheme {
            Scheme::Basic => format!("Basic realm=\"{REALM}\""),
            Scheme::Digest | Scheme::DigestSha256 => {
                let mut bytes = [0; 16];
                let _ = getrandom::fill(&mut bytes);
                let nonce = hex(&bytes);
                let mut nonces = self.lock();
                nonces.push((nonce.clone(), 0));
                if nonces.len() > MOST_NONCES {
                    nonces.remove(0);
                }
                let algorithm = if self.scheme == Scheme::Digest {
                    ""
                } else {
                    ", algorithm=SHA-256"
                };
                let stale = if stale { ", stale=true" } else { "" };
                format!(
                    "Digest realm=\"{REALM}\", qop=\"auth\", nonce=\"{nonce}\", \
                     opaque=\"0848269beffe48b2a7eb8f3e00a91171\"{algorithm}{stale}"
                )
            }
        };
        Response::new(401, "text/html", "No permission -- see authorization schemes")
            .header("WWW-Authenticate", challenge)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(String, u32)>> {
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Right,
    Wrong,
    Stale,
}

fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `name=value` and `name="value"`, with commas between them. Values with quotes inside are beyond this device.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut quoted = false;
    text.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .filter_map(|field| field.trim().split_once('='))
    .map(|(name, value)| (name.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
    .collect()
}
