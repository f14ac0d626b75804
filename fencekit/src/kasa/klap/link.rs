//! KLAP over HTTP.

use async_trait::async_trait;
use serde_json::Value;

use super::codec::{Cipher, First, Handshake, SEED, Version, read_first};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::kasa::carrier::Carrier;
use crate::kasa::credentials::{Account, Whose};
use crate::kasa::crypto::random;
use crate::kasa::json;
use crate::kasa::link::{Greeting, Link, Remarks};
use crate::transport::http::{Reply, Request};

/// A plug serves one client: whoever logs in displaces the others. So often is a displaced session opened anew.
const LOGINS: u32 = 3;

/// An open session.
pub(in crate::kasa) struct KlapLink {
    carrier: Carrier,
    account: Option<Account>,
    strict: bool,
    handshake: Handshake,
    cipher: Cipher,
    cookie: Option<String>,
    /// Replies whose signature was not what it should be.
    unsigned: u32,
}

impl KlapLink {
    /// Greets the device and logs in when it speaks KLAP. `strict` makes a wrong signature of a reply a failure.
    ///
    /// # Errors
    /// [`Error::Authentication`] when the device knows none of the accounts; it then has not noticed a login.
    pub(in crate::kasa) async fn greet(
        mut carrier: Carrier,
        account: Option<Account>,
        strict: bool,
        deadline: Deadline,
    ) -> Result<Greeting<Self>> {
        let (first, reply) = first_half(&mut carrier, account.as_ref(), deadline).await?;
        let handshake = match first {
            First::Known(handshake) => handshake,
            First::Other => return Ok(Greeting::Other(carrier)),
            First::Stranger => return Err(unknown_account(account.is_some())),
        };
        let cookie = session_cookie(&reply);
        second_half(&mut carrier, &handshake, cookie.as_deref(), deadline).await?;
        Ok(Greeting::Spoken(Box::new(Self {
            carrier,
            account,
            strict,
            cipher: handshake.cipher(),
            handshake,
            cookie,
            unsigned: 0,
        })))
    }

    pub(in crate::kasa) fn version(&self) -> Version {
        self.handshake.version
    }

    async fn log_in_again(&mut self, deadline: Deadline) -> Result<()> {
        let (first, reply) = first_half(&mut self.carrier, self.account.as_ref(), deadline).await?;
        let First::Known(handshake) = first else {
            return Err(Error::protocol(
                "the plug no longer answers as it did at the login",
            ));
        };
        self.cookie = session_cookie(&reply);
        second_half(&mut self.carrier, &handshake, self.cookie.as_deref(), deadline).await?;
        self.cipher = handshake.cipher();
        self.handshake = handshake;
        Ok(())
    }

    fn open(&mut self, reply: &Reply) -> Result<Value> {
        let opened = self.cipher.open(&reply.body)?;
        if !opened.signed {
            self.unsigned += 1;
            log::warn!("the signature of the plug's reply is wrong");
            if self.strict {
                return Err(Error::protocol(
                    "the signature of the plug's reply is wrong (strict_signature is on)",
                ));
            }
        }
        json::parse(&opened.plain)
    }
}

#[async_trait]
impl Link for KlapLink {
    async fn ask(&mut self, request: &Value, deadline: Deadline) -> Result<Value> {
        let plain = request.to_string();
        for login in 1..=LOGINS {
            let (seq, body) = self.cipher.seal(plain.as_bytes());
            let post = Request::post(format!("/app/request?seq={seq}"), body);
            let reply = self
                .carrier
                .post(with_cookie(post, self.cookie.as_deref()), deadline)
                .await?;
            match reply.status {
                200 => return self.open(&reply),
                403 if login < LOGINS => {
                    log::debug!("another client displaced this session; logging in again");
                    self.log_in_again(deadline).await?;
                }
                403 => break,
                status => {
                    return Err(Error::protocol(format!(
                        "the plug answers a request with status {status}"
                    )));
                }
            }
        }
        Err(Error::protocol(format!(
            "another client displaced this session {LOGINS} times; stop what else polls this plug"
        )))
    }

    fn remarks(&self) -> Remarks {
        Remarks {
            unsigned: self.unsigned,
            makers_account: self.handshake.whose == Whose::Makers,
        }
    }
}

async fn first_half(
    carrier: &mut Carrier,
    account: Option<&Account>,
    deadline: Deadline,
) -> Result<(First, Reply)> {
    let local = random::<SEED>()?;
    let reply = carrier
        .post(Request::post("/app/handshake1", local), deadline)
        .await?;
    let first = match reply.status {
        200 => read_first(local, &reply.body, account),
        _ => First::Other,
    };
    Ok((first, reply))
}

async fn second_half(
    carrier: &mut Carrier,
    handshake: &Handshake,
    cookie: Option<&str>,
    deadline: Deadline,
) -> Result<()> {
    let post = with_cookie(Request::post("/app/handshake2", handshake.second()), cookie);
    match carrier.post(post, deadline).await?.status {
        200 => Ok(()),
        // The device has shown that it knows the account, so this is no matter of the password.
        status => Err(Error::protocol(format!(
            "the plug broke the login off with status {status}; does another client use it?"
        ))),
    }
}

fn with_cookie(request: Request, cookie: Option<&str>) -> Request {
    match cookie {
        Some(cookie) => request.header("Cookie", format!("TP_SESSIONID={cookie}")),
        None => request,
    }
}

/// The session's id. The header has more in it (`TP_SESSIONID=...;TIMEOUT=86400`), which must not go back.
pub(in crate::kasa) fn session_cookie(reply: &Reply) -> Option<String> {
    reply
        .header("set-cookie")
        .flat_map(|header| header.split(';'))
        .find_map(|part| part.trim().strip_prefix("TP_SESSIONID="))
        .filter(|id| !id.is_empty() && id.chars().all(|c| c.is_ascii_graphic() && c != ','))
        .map(str::to_owned)
}

fn unknown_account(given: bool) -> Error {
    Error::authentication(if given {
        "the plug does not know this username and password; they are those of the TP-Link account that it was set up \
         with, in exactly that upper and lower case"
    } else {
        "the plug needs a login; give username and password of the TP-Link account that it was set up with"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_cookie_only_the_session_is_taken() {
        let cookie = |header| session_cookie(&Reply::new(200, &[("Set-Cookie", header)], b""));
        assert_eq!(cookie("TP_SESSIONID=A1B2;TIMEOUT=86400").as_deref(), Some("A1B2"));
        assert_eq!(cookie("TIMEOUT=1; TP_SESSIONID=A1B2").as_deref(), Some("A1B2"));
        for none in ["", "TP_SESSIONID=;TIMEOUT=1", "SESSION=1", "TP_SESSIONID=a b"] {
            assert_eq!(cookie(none), None, "{none}");
        }
    }
}
