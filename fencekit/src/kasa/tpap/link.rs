//! TPAP over HTTP or HTTPS.

use async_trait::async_trait;
use serde_json::Value;

use super::codec::{
    Offer, Randomness, SESSION_INVALID, Session, code_in_the_clear, credential, discover, read_discover,
    read_register, read_share, register, share,
};
use super::spake::Exchange;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::kasa::carrier::Carrier;
use crate::kasa::credentials::Account;
use crate::kasa::crypto::random;
use crate::kasa::json;
use crate::kasa::link::{Greeting, Link};
use crate::transport::http::{Reply, Request, Scheme};
use crate::transport::{Endpoint, Steps};

/// A session that is not valid any more is opened anew so often.
const LOGINS: u32 = 3;

/// An open session.
pub(in crate::kasa) struct TpapLink {
    carrier: Carrier,
    account: Account,
    session: Session,
}

impl TpapLink {
    /// Asks the device and logs in when it speaks TPAP: once, since it counts failures.
    ///
    /// # Errors
    /// [`Error::Authentication`] when it refuses the password, or none is given.
    pub(in crate::kasa) async fn greet(
        mut carrier: Carrier,
        account: Option<Account>,
        endpoint: &Endpoint,
        steps: Steps,
        deadline: Deadline,
    ) -> Result<Greeting<Self>> {
        let reply = carrier.post(json_post(&discover()), deadline).await?;
        let offer = match reply.status {
            200 => read_discover(&reply.body)?,
            _ => None,
        };
        let Some(offer) = offer else {
            return Ok(Greeting::Other(carrier));
        };
        let Some(account) = account else {
            return Err(Error::authentication(
                "the plug needs a login; give username and password of the TP-Link account that it was set up with",
            ));
        };
        let mut carrier = moved(carrier, &offer, endpoint, steps, deadline).await?;
        let session = log_in(&mut carrier, &account, deadline).await?;
        Ok(Greeting::Spoken(Box::new(Self {
            carrier,
            account,
            session,
        })))
    }

    /// `None` when the session is not valid any more.
    async fn pass_through(&mut self, plain: &[u8], deadline: Deadline) -> Result<Option<Value>> {
        let body = self.session.cipher.seal(plain)?;
        let post = Request::post(format!("/stok={}/ds", self.session.stok), body)
            .header("Content-Type", "application/octet-stream");
        let reply = self.carrier.post(post, deadline).await?;
        match (reply.status, code_in_the_clear(&reply.body)) {
            (403, _) | (_, Some(SESSION_INVALID)) => Ok(None),
            (_, Some(code)) => Err(Error::protocol(format!(
                "the plug does not take the request: error {code}"
            ))),
            (200, None) => json::parse(&self.session.cipher.open(&reply.body)?).map(Some),
            (status, None) => Err(Error::protocol(format!(
                "the plug answers a request with status {status}"
            ))),
        }
    }
}

#[async_trait]
impl Link for TpapLink {
    async fn ask(&mut self, request: &Value, deadline: Deadline) -> Result<Value> {
        let plain = request.to_string();
        for login in 1..=LOGINS {
            if let Some(reply) = self.pass_through(plain.as_bytes(), deadline).await? {
                return Ok(reply);
            }
            if login < LOGINS {
                log::debug!("the session is not valid any more; logging in again");
                self.session = log_in(&mut self.carrier, &self.account, deadline).await?;
            }
        }
        Err(Error::protocol(format!(
            "another client displaced this session {LOGINS} times; stop what else polls this plug"
        )))
    }
}

/// The connection to where the device wants the login. Its certificate is not checked: the login itself proves in both
/// directions who is at the other end, and what follows is encrypted with its key.
async fn moved(
    carrier: Carrier,
    offer: &Offer,
    endpoint: &Endpoint,
    steps: Steps,
    deadline: Deadline,
) -> Result<Carrier> {
    if !offer.tls {
        return Ok(carrier);
    }
    let scheme = Scheme::HttpsUnverified.available("transport").map_err(|_| {
        Error::unsupported(
            "the plug wants TPAP over HTTPS, which this build lacks; build with --features tls, or turn on third-party \
             compatibility in the Tapo or Kasa app",
        )
    })?;
    let endpoint = endpoint.at_port(offer.port.unwrap_or(443));
    Carrier::new(&endpoint, scheme, steps, deadline).await
}

async fn log_in(carrier: &mut Carrier, account: &Account, deadline: Deadline) -> Result<Session> {
    let random = Randomness::from(&random::<72>()?);
    let reply = carrier
        .post(json_post(&register(&random.user_random)), deadline)
        .await?;
    let parameters = read_register(&json_reply(&reply)?, &random.user_random)?;
    let exchange = Exchange::new(&credential(&account.password), &random.secret, &parameters)?;
    // The device counts these, and takes each for a login of its own.
    let reply = carrier.post_once(json_post(&share(&exchange)), deadline).await?;
    read_share(&json_reply(&reply)?, &exchange)
}

fn json_post(body: &Value) -> Request {
    Request::post("/", body.to_string()).header("Content-Type", "application/json")
}

fn json_reply(reply: &Reply) -> Result<Value> {
    match reply.status {
        200 => json::parse(&reply.body),
        status => Err(Error::protocol(format!(
            "the plug answers the login with status {status}"
        ))),
    }
}
