//! HTTP authentication as pure text: reading `WWW-Authenticate`, writing `Authorization`.
//!
//! Basic is RFC 7617; Digest is RFC 7616 with MD5 and SHA-256 (and their `-sess` forms), `qop=auth`, and the older
//! form without `qop` of RFC 2069. The client's nonce is an argument, so that answers can be checked against known ones.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha2::{Digest as _, Sha256};

/// Challenges that one reply may carry; more are passed over.
const MOST_CHALLENGES: usize = 8;

/// One way to log in that a server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User name and password, readable for everybody on the way.
    Basic,
    /// A hash over the password and the server's nonce.
    Digest(DigestChallenge),
    /// Something that is not spoken here, by its name.
    Other(String),
}

/// Hash of a Digest challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    fn hex(self, text: &str) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}

/// A Digest challenge that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DigestChallenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// The algorithm as the server wrote it, to be repeated word for word; `None` where it wrote none.
    algorithm_name: Option<String>,
    /// The `-sess` form: the nonces go into the first hash.
    session: bool,
    /// `qop=auth` is offered; without it the older form is used.
    qop_auth: bool,
    /// The nonce has merely expired: the credentials may be right.
    pub(crate) stale: bool,
}

/// What an answer to a Digest challenge is made of.
pub(crate) struct Answer<'a> {
    pub(crate) username: &'a str,
    pub(crate) password: &'a str,
    pub(crate) verb: &'a str,
    /// Path and query exactly as they go over the wire.
    pub(crate) target: &'a str,
    /// How often this nonce has been used, this time included.
    pub(crate) count: u32,
    /// The client's own nonce, fresh for each answer.
    pub(crate) cnonce: &'a str,
}

impl DigestChallenge {
    /// The value of the `Authorization` header.
    pub(crate) fn answer(&self, answer: &Answer<'_>) -> String {
        let Answer {
            username,
            password,
            verb,
            target,
            count,
            cnonce,
        } = answer;
        let hash = |text: String| self.algorithm.hex(&text);
        let mut secret = hash(format!("{username}:{}:{password}", self.realm));
        if self.session {
            secret = hash(format!("{secret}:{}:{cnonce}", self.nonce));
        }
        let request = hash(format!("{verb}:{target}"));
        let response = if self.qop_auth {
            hash(format!(
                "{secret}:{}:{count:08x}:{cnonce}:auth:{request}",
                self.nonce
            ))
        } else {
            hash(format!("{secret}:{}:{request}", self.nonce))
        };
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            quoted(username),
            quoted(&self.realm),
            quoted(&self.nonce),
            quoted(target),
        );
        if let Some(name) = &self.algorithm_name {
            value.push_str(&format!(", algorithm={name}"));
        }
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque={}", quoted(opaque)));
        }
        if self.qop_auth {
            value.push_str(&format!(", qop=auth, nc={count:08x}"));
        }
        if self.qop_auth || self.session {
            value.push_str(&format!(", cnonce={}", quoted(cnonce)));
        }
        value
    }

    fn from_parameters(parameters: &[(String, String)]) -> Option<Self> {
        let find = |name: &str| {
            parameters
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, value)| value.clone())
        };
        let algorithm_name = find("algorithm");
        let (algorithm, session) = match algorithm_name.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("md5") => (Algorithm::Md5, false),
            Some("md5-sess") => (Algorithm::Md5, true),
            Some("sha-256") => (Algorithm::Sha256, false),
            Some("sha-256-sess") => (Algorithm::Sha256, true),
            Some(_) => return None,
        };
        let qop = find("qop");
        let offers_auth = |list: &String| {
            list.split(',')
                .any(|word| word.trim().eq_ignore_ascii_case("auth"))
        };
        let qop_auth = qop.as_ref().is_some_and(offers_auth);
        if qop.is_some() && !qop_auth {
            return None; // auth-int alone
        }
        Some(Self {
            realm: find("realm")?,
            nonce: find("nonce")?,
            opaque: find("opaque"),
            algorithm,
            algorithm_name,
            session,
            qop_auth,
            stale: find("stale").is_some_and(|value| value.eq_ignore_ascii_case("true")),
        })
    }
}

/// The value of the `Authorization` header for Basic.
pub(crate) fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

/// The best offer that can be answered: SHA-256 before MD5 before Basic, which shows the password to everybody.
pub(crate) fn best(challenges: Vec<Challenge>) -> Option<Challenge> {
    let rank = |challenge: &Challenge| match challenge {
        Challenge::Other(_) => 0,
        Challenge::Basic => 1,
        Challenge::Digest(digest) if digest.algorithm == Algorithm::Md5 => 2,
        Challenge::Digest(_) => 3,
    };
    challenges
        .into_iter()
        .filter(|challenge| rank(challenge) > 0)
        .max_by_key(rank)
}

/// All challenges of the `WWW-Authenticate` headers of a reply, in order. What cannot be read is passed over.
pub(crate) fn challenges<'a>(headers: impl IntoIterator<Item = &'a str>) -> Vec<Challenge> {
    headers
        .into_iter()
        .flat_map(of_header)
        .take(MOST_CHALLENGES)
        .collect()
}

/// One header may hold several challenges, each a scheme followed by its parameters, with commas between
/// everything: a word followed by `=` is a parameter, any other one starts the next challenge.
fn of_header(text: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut current: Option<(String, Vec<(String, String)>)> = None;
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = token(rest);
        if word.is_empty() {
            break;
        }
        let value = after.trim_start_matches([' ', '\t']).strip_prefix('=');
        match (value, &mut current) {
            (Some(value), Some((_, parameters))) => {
                let (value, after) = parameter_value(value.trim_start_matches([' ', '\t']));
                parameters.push((word.to_ascii_lowercase(), value));
                rest = after;
            }
            (Some(_), None) => break,
            (None, _) => {
                found.extend(current.take().map(finished));
                current = Some((word.to_owned(), Vec::new()));
                rest = after;
            }
        }
    }
    found.extend(current.map(finished));
    found
}

fn finished((scheme, parameters): (String, Vec<(String, String)>)) -> Challenge {
    if scheme.eq_ignore_ascii_case("basic") {
        return Challenge::Basic;
    }
    let digest = scheme
        .eq_ignore_ascii_case("digest")
        .then(|| DigestChallenge::from_parameters(&parameters));
    match digest.flatten() {
        Some(digest) => Challenge::Digest(digest),
        None => Challenge::Other(scheme),
    }
}

/// The token (RFC 9110, 5.6.2) at the start of `text`, and what comes after it.
fn token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// A quoted string or a token, and what comes after it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(inner) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, inner.get(at + 1..).unwrap_or_default()),
            _ => value.push(c),
        }
    }
    (value, "")
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn only(header: &str) -> DigestChallenge {
        match challenges([header]).as_slice() {
            [Challenge::Digest(digest)] => digest.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// RFC 7616, section 3.9.1.
    const RFC7616: Answer<'_> = Answer {
        username: "Mufasa",
        password: "Circle of Life",
        verb: "GET",
        target: "/dir/index.html",
        count: 1,
        cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    };

    fn rfc7616(algorithm: &str) -> String {
        only(&format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
             opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        ))
        .answer(&RFC7616)
    }

    #[test]
    fn md5_as_in_rfc_7616() {
        let answer = rfc7616("MD5");
        assert!(
            answer.contains("response=\"8ca523f5e9506fed4657c9700eebdbec\""),
            "{answer}"
        );
        assert!(answer.contains("qop=auth, nc=00000001") && answer.contains("algorithm=MD5"));
        assert!(answer.contains("opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""));
    }

    #[test]
    fn sha_256_as_in_rfc_7616() {
        let answer = rfc7616("SHA-256");
        assert!(
            answer.contains("response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\""),
            "{answer}"
        );
    }

    #[test]
    fn md5_as_in_rfc_2617() {
        let challenge = only(
            "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
             nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
        );
        let answer = challenge.answer(&Answer {
            username: "Mufasa",
            password: "Circle Of Life",
            verb: "GET",
            target: "/dir/index.html",
            count: 1,
            cnonce: "0a4f113b",
        });
        assert!(
            answer.contains("response=\"6629fae49393a05397450978507c4ef1\""),
            "{answer}"
        );
        assert!(!answer.contains("algorithm"), "none was named: {answer}");
    }

    /// The answer that RFC 2069 (as corrected by its erratum) gives without `qop`.
    #[test]
    fn the_older_form_has_no_count_and_no_client_nonce() {
        let challenge = only(
            "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
             opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
        );
        let answer = challenge.answer(&Answer {
            username: "Mufasa",
            password: "CircleOfLife",
            verb: "GET",
            target: "/dir/index.html",
            count: 1,
            cnonce: "unused",
        });
        assert!(
            answer.contains("response=\"1949323746fe6a43ef61f9606e7febea\""),
            "{answer}"
        );
        assert!(!answer.contains("qop") && !answer.contains("nc=") && !answer.contains("cnonce"));
    }

    /// Computed apart with Python's hashlib.
    #[test]
    fn the_session_form_hashes_both_nonces_first() {
        let answer = rfc7616("MD5-sess");
        assert!(answer.contains(SESSION_RESPONSE), "{answer}");
    }
    const SESSION_RESPONSE: &str = "response=\"e783283f46242139c486a698fec7211d\"";

    #[test]
    fn real_firmware_offers_this() {
        let header = "Digest realm=\"Login Required\", qop=\"auth\", nonce=\"9b73a5b485b3552b1dbeaffb6d1e17f7\", \
                      opaque=\"0848269beffe48b2a7eb8f3e00a91171\"";
        let challenge = only(header);
        assert_eq!(challenge.realm, "Login Required");
        assert!(challenge.qop_auth && !challenge.stale);
        assert_eq!(challenge.algorithm, Algorithm::Md5);
    }

    #[test]
    fn the_strongest_offer_wins_in_any_order() {
        let digest =
            |algorithm| format!("Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm={algorithm}");
        let (md5, sha) = (digest("MD5"), digest("SHA-256"));
        let one_line = format!("Basic realm=\"r\", {md5}, {sha}");
        for headers in [
            vec!["Basic realm=\"r\"", &md5, &sha],
            vec![&sha, &md5, "Basic realm=\"r\""],
            vec![&one_line],
        ] {
            let Some(Challenge::Digest(best)) = best(challenges(headers)) else {
                panic!("digest expected")
            };
            assert_eq!(best.algorithm, Algorithm::Sha256);
        }
        assert_eq!(best(challenges(["Basic realm=\"x, y\""])), Some(Challenge::Basic));
    }

    #[test]
    fn what_is_not_spoken_is_no_offer() {
        for header in [
            "Bearer",
            "Negotiate YII=",
            "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"",
            "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512-256",
            "Digest realm=\"r\"",
            "",
            "=,=",
        ] {
            assert_eq!(best(challenges([header])), None, "{header}");
        }
    }

    #[test]
    fn quotes_and_commas_in_a_realm_survive() {
        let challenge = only(r#"Digest realm="a \"b\", c\\d", nonce = "n" , stale=TRUE, qop=auth"#);
        assert_eq!(challenge.realm, r#"a "b", c\d"#);
        assert!(challenge.stale && challenge.qop_auth);
        let answer = challenge.answer(&RFC7616);
        assert!(answer.contains(r#"realm="a \"b\", c\\d""#), "{answer}");
    }

    #[test]
    fn basic_is_the_example_of_rfc_7617() {
        assert_eq!(
            basic("Aladdin", "open sesame"),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
    }

    proptest! {
        #[test]
        fn hostile_headers_neither_panic_nor_hang(header in ".{0,400}") {
            let _ = best(challenges([header.as_str()]));
        }

        #[test]
        fn any_realm_is_read_back(realm in "[ -~]{0,40}", nonce in "[ -~]{1,40}") {
            let header = format!("Digest realm={}, nonce={}, qop=\"auth\"", quoted(&realm), quoted(&nonce));
            let challenge = only(&header);
            prop_assert_eq!(challenge.realm, realm);
            prop_assert_eq!(challenge.nonce, nonce);
        }
    }
}
