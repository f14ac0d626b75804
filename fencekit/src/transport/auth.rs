//! Logging in over HTTP, in the way that the device asks for.
//!
//! Nothing is sent before the device has named a scheme: a password in Basic's readable form must not go to a device
//! that would have asked for Digest. Once the scheme is known, every further request of the session carries it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::digest::{self, Answer, Challenge};
use super::http::{Exchange, Reply, Request};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::options::Settings;
use crate::secret::Secret;

/// A nonce may expire between two requests, but not again and again.
const MOST_STALE: u32 = 2;

/// User name and password for a device that asks for them.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    username: String,
    password: Secret,
}

impl Login {
    /// From `username` and `password`; `None` when neither is given.
    ///
    /// # Errors
    /// [`Error::Config`] for a user name that HTTP cannot carry, or a password without a user name and no
    /// `standard_user`.
    pub(crate) fn from_settings(settings: &Settings, standard_user: Option<&str>) -> Result<Option<Self>> {
        let password = settings.secret("password");
        let username = match (settings.text("username"), &password, standard_user) {
            (Some(name), ..) => name,
            (None, None, _) => return Ok(None),
            (None, Some(_), Some(name)) => name,
            (None, Some(_), None) => {
                return Err(Error::config(
                    "username",
                    "is missing, but a password is given",
                    "give both, or neither",
                ));
            }
        };
        if username.contains(|c: char| c == ':' || c.is_control()) {
            return Err(Error::config(
                "username",
                "contains a colon or a control character",
                "HTTP cannot carry these in a user name; choose another one on the device",
            ));
        }
        Ok(Some(Self {
            username: username.to_owned(),
            password: password.unwrap_or_default(),
        }))
    }
}

/// An [`Exchange`] that logs in when asked to.
pub(crate) struct Authenticated<E> {
    exchange: E,
    login: Option<Login>,
    state: Mutex<State>,
}

/// What the device asked for last, and how often its nonce was used.
#[derive(Default)]
struct State {
    challenge: Option<Challenge>,
    uses: u32,
}

impl<E: Exchange> Authenticated<E> {
    pub(crate) fn new(exchange: E, login: Option<Login>) -> Self {
        Self {
            exchange,
            login,
            state: Mutex::default(),
        }
    }

    /// The exchange below.
    #[cfg(test)]
    pub(crate) fn inner(&self) -> &E {
        &self.exchange
    }

    /// The same request with the `Authorization` that the last challenge demands, if there was one.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the system has no randomness for a nonce.
    pub(crate) fn authorized(&self, request: Request) -> Result<Request> {
        let Some(login) = &self.login else {
            return Ok(request);
        };
        let mut state = self.lock();
        let State { challenge, uses } = &mut *state;
        let value = match challenge {
            None | Some(Challenge::Other(_)) => return Ok(request),
            Some(Challenge::Basic) => digest::basic(&login.username, login.password.expose()),
            Some(Challenge::Digest(challenge)) => {
                *uses = uses.saturating_add(1);
                challenge.answer(&Answer {
                    username: &login.username,
                    password: login.password.expose(),
                    verb: request.verb.name(),
                    target: &request.target,
                    count: *uses,
                    cnonce: &client_nonce()?,
                })
            }
        };
        Ok(request.header("Authorization", value))
    }

    /// Takes the challenge out of a reply with status 401. True when its nonce had merely expired.
    ///
    /// # Errors
    /// [`Error::Authentication`] when there are no credentials, or no offer can be answered.
    pub(crate) fn challenged(&self, reply: &Reply) -> Result<bool> {
        if self.login.is_none() {
            return Err(Error::authentication(
                "the device demands a login; give username and password",
            ));
        }
        let challenges = digest::challenges(reply.header("www-authenticate"));
        let offered: Vec<_> = challenges
            .iter()
            .filter_map(|challenge| match challenge {
                Challenge::Other(scheme) => Some(scheme.as_str()),
                _ => None,
            })
            .collect();
        let offered = if offered.is_empty() {
            "nothing".to_owned()
        } else {
            offered.join(", ")
        };
        let Some(best) = digest::best(challenges) else {
            return Err(Error::authentication(format!(
                "the device offers {offered} to log in with, of which fencekit speaks none; set it to Basic or Digest"
            )));
        };
        let stale = matches!(&best, Challenge::Digest(digest) if digest.stale);
        *self.lock() = State {
            challenge: Some(best),
            uses: 0,
        };
        Ok(stale)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<E: Exchange> Exchange for Authenticated<E> {
    /// As the exchange below, with at most one login and few renewals of an expired nonce.
    ///
    /// # Errors
    /// [`Error::Authentication`] when the device refuses the credentials; else those of the exchange below.
    async fn exchange(&self, request: Request, deadline: Deadline) -> Result<Reply> {
        let mut answered_fresh = false;
        for _ in 0..=MOST_STALE + 1 {
            let reply = self
                .exchange
                .exchange(self.authorized(request.clone())?, deadline)
                .await?;
            if reply.status != 401 {
                return Ok(reply);
            }
            let stale = self.challenged(&reply)?;
            if answered_fresh && !stale {
                break;
            }
            answered_fresh = true;
        }
        Err(Error::authentication(
            "the device refuses these credentials; check username and password",
        ))
    }
}

fn client_nonce() -> Result<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|cause| Error::unsupported("the system gives no random numbers").caused_by(cause))?;
    Ok(digest::hex(&bytes))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Method;

    /// Answers from a list and notes what it was sent.
    #[derive(Default)]
    struct Script {
        replies: Mutex<Vec<Reply>>,
        sent: Mutex<Vec<Option<String>>>,
    }

    #[async_trait]
    impl Exchange for Script {
        async fn exchange(&self, request: Request, _: Deadline) -> Result<Reply> {
            let authorization = request
                .headers
                .iter()
                .find(|(name, _)| *name == "Authorization")
                .map(|(_, value)| value.clone());
            self.sent.lock().unwrap().push(authorization);
            Ok(self.replies.lock().unwrap().remove(0))
        }
    }

    const DIGEST: &str = "Digest realm=\"r\", qop=\"auth\", nonce=\"one\"";
    const FRESH: &str = "Digest realm=\"r\", qop=\"auth\", nonce=\"two\", stale=true";

    fn demand(challenge: &str) -> Reply {
        Reply::new(401, &[("WWW-Authenticate", challenge)], b"")
    }

    fn ok() -> Reply {
        Reply::new(200, &[], b"{}")
    }

    fn authenticated(replies: Vec<Reply>, login: bool) -> Authenticated<Script> {
        let script = Script {
            replies: Mutex::new(replies),
            ..Script::default()
        };
        let login = login.then(|| Login {
            username: "admin".into(),
            password: Secret::from("s3cret"),
        });
        Authenticated::new(script, login)
    }

    async fn get(with: &Authenticated<Script>) -> Result<Reply> {
        with.exchange(Request::get("/x"), Deadline::after(Duration::from_secs(5)))
            .await
    }

    #[tokio::test]
    async fn the_password_waits_for_the_challenge() {
        let with = authenticated(vec![demand("Basic realm=\"r\""), ok(), ok()], true);
        get(&with).await.unwrap();
        get(&with).await.unwrap();
        let sent = with.inner().sent.lock().unwrap().clone();
        assert_eq!(sent[0], None);
        assert!(sent[1].as_ref().unwrap().starts_with("Basic ") && sent[1] == sent[2]);
    }

    #[tokio::test]
    async fn a_nonce_is_counted_and_an_expired_one_renewed() {
        let with = authenticated(vec![demand(DIGEST), ok(), demand(FRESH), ok()], true);
        get(&with).await.unwrap();
        get(&with).await.unwrap();
        let sent: Vec<_> = with
            .inner()
            .sent
            .lock()
            .unwrap()
            .iter()
            .flatten()
            .cloned()
            .collect();
        assert!(
            sent[0].contains("nonce=\"one\"") && sent[0].contains("nc=00000001"),
            "{sent:?}"
        );
        assert!(
            sent[1].contains("nonce=\"one\"") && sent[1].contains("nc=00000002"),
            "{sent:?}"
        );
        assert!(
            sent[2].contains("nonce=\"two\"") && sent[2].contains("nc=00000001"),
            "{sent:?}"
        );
    }

    #[tokio::test]
    async fn a_restarted_device_that_forgot_its_nonce_gets_one_more_answer() {
        let forgot = "Digest realm=\"r\", qop=\"auth\", nonce=\"two\"";
        let with = authenticated(vec![demand(DIGEST), ok(), demand(forgot), ok()], true);
        get(&with).await.unwrap();
        assert_eq!(get(&with).await.unwrap().status, 200);
    }

    #[tokio::test]
    async fn wrong_credentials_are_sent_once() {
        for challenge in ["Basic realm=\"r\"", DIGEST] {
            let with = authenticated(vec![demand(challenge), demand(challenge), ok()], true);
            let error = get(&with).await.unwrap_err();
            assert!(matches!(error, Error::Authentication { .. }), "{error}");
            assert_eq!(with.inner().sent.lock().unwrap().len(), 2);
        }
    }

    #[tokio::test]
    async fn a_device_that_is_always_stale_is_given_up() {
        let with = authenticated((0..20).map(|_| demand(FRESH)).collect(), true);
        assert!(matches!(get(&with).await, Err(Error::Authentication { .. })));
        assert!(with.inner().sent.lock().unwrap().len() <= 4);
    }

    #[tokio::test]
    async fn without_credentials_or_a_known_scheme_the_error_says_what_to_do() {
        let error = get(&authenticated(vec![demand(DIGEST)], false))
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("give username and password"),
            "{error}"
        );
        let error = get(&authenticated(vec![demand("Negotiate")], true))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("Negotiate"), "{error}");
    }

    #[test]
    fn a_password_needs_a_user_name() {
        let mut settings = Settings::new(Method::Esphome);
        assert!(Login::from_settings(&settings, None).unwrap().is_none());
        settings.set("password", "s3cret").unwrap();
        let error = Login::from_settings(&settings, None).unwrap_err().to_string();
        assert!(
            error.starts_with("username: ") && !error.contains("s3cret"),
            "{error}"
        );
        let login = Login::from_settings(&settings, Some("admin")).unwrap().unwrap();
        assert!(login.username == "admin" && !format!("{login:?}").contains("s3cret"));
        settings.set("username", "a:b").unwrap();
        assert!(Login::from_settings(&settings, None).is_err());
    }
}
