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
        let request = login(account, *version);
        let reply = self.pass_through(&request, deadline).await?;
        let reply = reply.ok_or_else(|| Error::protocol("the plug ended the session during the login"))?;
        read_login(&reply).map(Some)
    }

    /// `None` when the session is over.
    async fn pass_through(&mut self, request: &Value, deadline: Deadline) -> Result<Option<Value>> {
        let target = match &self.token {
            Some(token) => format!("/app?token={token}"),
            None => "/app".to_owned(),
        };
        let envelope = self.session.seal(&request.to_string());
        let post = post(&target, &envelope, self.cookie.as_deref());
        let reply = self.carrier.post(post, deadline).await?;
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
