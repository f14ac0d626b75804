//! The conversation: each request on its own connection.

use async_trait::async_trait;

use super::pattern::Patterns;
use super::target::{Origin, Target};
use super::{Command, HttpOutlet};
use crate::deadline::Deadline;
use crate::device::{Inspection, Outlet, Session};
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::power::{Observation, PowerState};
use crate::transport::auth::{Authenticated, Login};
use crate::transport::http::{Exchange, HttpClient, HttpOptions, Reply, Request};
use crate::transport::{DeviceLock, Steps};

pub(super) struct HttpSession {
    _lock: DeviceLock,
    status: Target,
    on: Option<Command>,
    off: Option<Command>,
    patterns: Patterns,
    login: Option<Login>,
    steps: Steps,
    /// One client for each place that was needed so far, so that a name is looked up once.
    clients: Vec<(Origin, Authenticated<HttpClient>)>,
}

impl HttpSession {
    pub(super) async fn new(outlet: &HttpOutlet, lock: DeviceLock, deadline: Deadline) -> Result<Self> {
        let mut session = Self {
            _lock: lock,
            status: outlet.status.clone(),
            on: outlet.on.clone(),
            off: outlet.off.clone(),
            patterns: outlet.patterns.clone(),
            login: outlet.login.clone(),
            steps: outlet.steps,
            clients: Vec::with_capacity(1),
        };
        session.client(&outlet.status.origin, deadline).await?;
        Ok(session)
    }

    async fn client(&mut self, origin: &Origin, deadline: Deadline) -> Result<&Authenticated<HttpClient>> {
        let known = self.clients.iter().position(|(of, _)| of == origin);
        let index = match known {
            Some(index) => index,
            None => {
                let options = HttpOptions {
                    scheme: origin.scheme,
                    keep_alive: false,
                    title_case: true,
                };
                let client = HttpClient::new(&origin.endpoint, options, self.steps, deadline).await?;
                self.clients
                    .push((origin.clone(), Authenticated::new(client, self.login.clone())));
                self.clients.len() - 1
            }
        };
        self.clients
            .get(index)
            .map(|(_, client)| client)
            .ok_or_else(|| Error::unsupported("no HTTP client"))
    }

    async fn exchange(&mut self, target: &Target, request: Request, deadline: Deadline) -> Result<Reply> {
        let client = self.client(&target.origin, deadline).await?;
        let reply = client.exchange(request, deadline).await?;
        match reply.status {
            401 | 403 => Err(Error::authentication(format!(
                "the device answers HTTP {}; check username and password",
                reply.status
            ))),
            _ => Ok(reply),
        }
    }

    async fn look(&mut self, deadline: Deadline) -> Result<Observation> {
        let target = self.status.clone();
        let request = Request::get(target.path_and_query());
        let reply = self.exchange(&target, request, deadline).await?;
        if !(200..300).contains(&reply.status) {
            return Err(unsuccessful("status_url", &reply, Error::protocol));
        }
        if let Some(why) = not_as_it_is_now(&reply) {
            return Err(Error::protocol(format!(
                "the reply to status_url {why}, so it does not show the outlet as it is now; ask the device itself, with \
                 no proxy or cache between"
            )));
        }
        Ok(self.patterns.observe(&reply.text()))
    }
}

/// Why a successful reply may not be what the device says now: it was changed or cut, or waited in a cache. `None` when
/// nothing tells so.
fn not_as_it_is_now(reply: &Reply) -> Option<&'static str> {
    // Whatever is not zero, as "30", is no age of now, nor is what cannot be read.
    let old = |age: &str| age.trim().bytes().any(|digit| digit != b'0');
    match reply.status {
        203 => Some("was changed on its way (HTTP 203)"),
        206 => Some("is only a part of it (HTTP 206)"),
        _ if reply.header("age").any(old) => Some("comes from a cache (its header Age is not 0)"),
        _ => None,
    }
}

/// `HTTP 404`, or where the device redirects to.
fn unsuccessful(option: &str, reply: &Reply, error: fn(String) -> Error) -> Error {
    let status = reply.status;
    match reply.redirect() {
        Some(place) => error(format!(
            "{option} redirects to {place} (HTTP {status}), which is not followed; write the address that it has \
             there, if that is the device's own"
        )),
        None => error(format!("HTTP {status} for {option}")),
    }
}

fn request(command: &Command) -> Request {
    let target = command.target.path_and_query();
    match &command.body {
        None => Request::get(target),
        Some(body) => {
            let mut request = Request::post(target, body.expose());
            request.verb = command.verb;
            match body.expose().trim_start().as_bytes().first() {
                None => request,
                Some(b'{' | b'[') => request.header("Content-Type", "application/json"),
                Some(_) => request.header("Content-Type", "application/x-www-form-urlencoded"),
            }
        }
    }
}

#[async_trait]
impl Session for HttpSession {
    async fn inspect(&mut self, deadline: Deadline) -> Result<Inspection> {
        self.look(deadline).await.map(Inspection::of)
    }

    async fn switch(&mut self, state: PowerState, deadline: Deadline) -> Result<()> {
        let (command, option) = match state {
            PowerState::On => (self.on.clone(), "power_on_url"),
            PowerState::Off => (self.off.clone(), "power_off_url"),
        };
        let Some(command) = command else {
            return Err(Error::config(
                option,
                "is missing",
                format!("give the URL that switches the outlet {state}"),
            ));
        };
        if state == PowerState::Off && !self.patterns.can_see_off() {
            return Err(Error::config(
                "status_off_regex",
                "is missing, so that an off could never be confirmed; nothing was switched",
                "give an expression that matches the reply to status_url only while the outlet is off",
            ));
        }
        let reply = self
            .exchange(&command.target, request(&command), deadline)
            .await?;
        match reply.status {
            200..=299 => Ok(()),
            // Some devices call a command for the state that they are already in a conflict. It counts as accepted
            // only when the device, asked at once, shows that state; the look that confirms comes after that.
            409 if self.look(deadline).await?.is(state) => Ok(()),
            // The same every time: to send it again is of no use.
            300..=399 => Err(unsuccessful(option, &reply, Error::unsupported)),
            400..=499 => Err(unsuccessful(option, &reply, Error::refused)),
            _ => Err(unsuccessful(option, &reply, Error::protocol)),
        }
    }

    async fn identity(&mut self, _: Deadline) -> Result<Identity> {
        Err(Error::unsupported("an HTTP outlet does not say who it is"))
    }

    async fn outlets(&mut self, deadline: Deadline) -> Result<Vec<Outlet>> {
        Ok(vec![Outlet {
            plug: "1".to_owned(),
            alias: String::new(),
            observation: self.look(deadline).await?,
        }])
    }
}
