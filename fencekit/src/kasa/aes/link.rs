//! AES securePassthrough over HTTP.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use serde_json::Value;

use super::codec::{KeyPair, LoginVersion, Session, login, read_login};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::kasa::carrier::Carrier;
use crate::kasa::credentials::Account;
use crate::kasa::klap::session_cookie;
use crate::kasa::link::{Greeting, Link, Remarks};
use crate::transport::http::{Reply, Request};

/// A session that is over is opened anew once.
const LOGINS: u32 = 2;

/// A key pair that is made when first needed, which takes a while, and kept for later sessions: it protects nothing
/// but the session keys that the device makes.
#[derive(Clone, Debug, Default)]
pub(in crate::kasa) struct LazyKeyPair(Arc<OnceLock<KeyPair>>);

impl LazyKeyPair {
    fn get(&self) -> Result<&KeyPair> {
        match self.0.get() {
            Some(pair) => Ok(pair),
            None => {
                let pair = KeyPair::generate(&mut getrandom::SysRng)?;
                Ok(self.0.get_or_init(|| pair))
            }
        }
    }
}

/// A session, open once [`log_in`](Self::log_in) went well.
pub(in crate::kasa) struct AesLink {
    carrier: Carrier,
    keys: LazyKeyPair,
    session: Session,
    cookie: Option<String>,
    login: Option<(Account, LoginVersion)>,
    token: Option<String>,
    makers_account: bool,
}

impl AesLink {
    /// Greets the device.
    ///
    /// # Errors
    /// Those of the connection.
    pub(in crate::kasa) async fn greet(
        mut carrier: Carrier,
        keys: LazyKeyPair,
        deadline: Deadline,
    ) -> Result<Greeting<Self>> {
        let Some((session, cookie)) = handshake(&mut carrier, &keys, deadline).await? else {
            return Ok(Greeting::Other(carrier));
        };
        Ok(Greeting::Spoken(Box::new(Self {
            carrier,
            keys,
            session,
            cookie,
            login: None,
            token: None,
            makers_account: false,
        })))
    }

    /// Logs in with the account, or else with the one that plugs come with: once, since the device counts failures.
    ///
    /// # Errors
    /// [`Error::Authentication`] when the device refuses it.
    pub(in crate::kasa) async fn log_in(
        &mut self,
        account: Option<Account>,
        version: LoginVersion,
        deadline: Deadline,
    ) -> Result<()> {
        self.makers_account = account.is_none();
        self.login = Some((account.unwrap_or_else(Account::tapo_default), version));
        self.token = self.new_token(deadline).await?;
        Ok(())
    }

    async fn new_token(&mut self, deadline: Deadline) -> Result<Option<String>> {
        let Some((account, version)) = &self.login else {
            return Ok(None);
        };
        let post = self.sealed(&login(account, *version));
        // The device counts these, so one whose reply got lost is not repeated.
        let reply = self.carrier.post_once(post, deadline).await?;
        let reply = self.opened(&reply)?;
        let reply = reply.ok_or_else(|| Error::protocol("the plug ended the session during the login"))?;
        read_login(&reply).map(Some)
    }

    /// `None` when the session is over.
    async fn pass_through(&mut self, request: &Value, deadline: Deadline) -> Result<Option<Value>> {
        let post = self.sealed(request);
        let reply = self.carrier.post(post, deadline).await?;
        self.opened(&reply)
    }

    fn sealed(&self, request: &Value) -> Request {
        let target = match &self.token {
            Some(token) => format!("/app?token={token}"),
            None => "/app".to_owned(),
        };
        let envelope = self.session.seal(&request.to_string());
        post(&target, &envelope, self.cookie.as_deref())
    }

    /// `None` when the session is over.
    fn opened(&self, reply: &Reply) -> Result<Option<Value>> {
        match reply.status {
            200 => self.session.open(&reply.body),
            403 => Ok(None),
            status => Err(Error::protocol(format!(
                "the plug answers a request with status {status}"
            ))),
        }
    }

    async fn log_in_again(&mut self, deadline: Deadline) -> Result<()> {
        self.token = None;
        let Some((session, cookie)) = handshake(&mut self.carrier, &self.keys, deadline).await? else {
            return Err(Error::protocol(
                "the plug no longer answers as it did at the login",
            ));
        };
        (self.session, self.cookie) = (session, cookie);
        self.token = self.new_token(deadline).await?;
        Ok(())
    }
}

#[async_trait]
impl Link for AesLink {
    async fn ask(&mut self, request: &Value, deadline: Deadline) -> Result<Value> {
        for login in 1..=LOGINS {
            if let Some(reply) = self.pass_through(request, deadline).await? {
                return Ok(reply);
            }
            if login < LOGINS {
                log::debug!("the session is over; logging in again");
                self.log_in_again(deadline).await?;
            }
        }
        Err(Error::protocol(
            "another client displaced this session; stop what else polls this plug",
        ))
    }

    fn remarks(&self) -> Remarks {
        Remarks {
            unsigned: 0,
            makers_account: self.makers_account,
        }
    }
}

async fn handshake(
    carrier: &mut Carrier,
    keys: &LazyKeyPair,
    deadline: Deadline,
) -> Result<Option<(Session, Option<String>)>> {
    let pair = keys.get()?;
    let reply: Reply = carrier
        .post(post("/app", &pair.handshake(), None), deadline)
        .await?;
    if reply.status != 200 {
        return Ok(None);
    }
    Ok(pair
        .read_handshake(&reply.body)?
        .map(|session| (session, session_cookie(&reply))))
}

fn post(target: &str, body: &Value, cookie: Option<&str>) -> Request {
    let request = Request::post(target, body.to_string()).header("Content-Type", "application/json");
    match cookie {
        Some(cookie) => request.header("Cookie", format!("TP_SESSIONID={cookie}")),
        None => request,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::*;
    use crate::kasa::carrier::hangs_up;
    use crate::method::Method;
    use crate::options::Settings;
    use crate::transport::http::Scheme;
    use crate::transport::{Endpoint, Steps};

    /// A link after the handshake, to a device that hangs up on each further request.
    async fn link(port: u16, deadline: Deadline) -> AesLink {
        let settings = Settings::new(Method::Kasa);
        let endpoint = Endpoint::new(&settings, "127.0.0.1", port).unwrap();
        let steps = Steps::from_settings(&settings);
        let mut carrier = Carrier::new(&endpoint, Scheme::Http, steps, deadline)
            .await
            .unwrap();
        let handshake = post("/app", &Value::Null, None);
        carrier.post(handshake, deadline).await.unwrap();
        AesLink {
            carrier,
            keys: LazyKeyPair::default(),
            session: Session::known(),
            cookie: None,
            login: None,
            token: None,
            makers_account: false,
        }
    }

    #[tokio::test]
    async fn a_login_without_a_reply_is_not_repeated_but_a_request_is() {
        let deadline = Deadline::after(Duration::from_secs(10));
        let (port, requests) = hangs_up().await;
        let mut logging_in = link(port, deadline).await;
        let error = logging_in.log_in(None, LoginVersion::One, deadline).await;
        assert!(error.unwrap_err().is_transient());
        assert_eq!(requests.load(Ordering::Relaxed), 2);

        let (port, requests) = hangs_up().await;
        let mut asking = link(port, deadline).await;
        assert!(asking.ask(&Value::Null, deadline).await.is_err());
        assert_eq!(requests.load(Ordering::Relaxed), 3);
    }
}
