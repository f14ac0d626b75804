//! The conversation: requests, their order, and what an answer means.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::Relay;
use super::credentials::{Credentials, encoded};
use super::findings;
use super::reply::{self, Complaint, StateTexts, Status};
use super::scraped::Object;
use crate::deadline::Deadline;
use crate::device::{Finding, Inspection, Outlet, Session};
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::power::{Observation, PowerReading, PowerState};
use crate::transport::DeviceLock;
use crate::transport::http::{Exchange, NO_ANSWER, Reply, Request};

/// How long the words of the states are taken to stay as they were. Long enough for one fence.
const TEXTS_KEEP: Duration = Duration::from_secs(60);

/// What one session learned that the next may use.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Learned>);

#[derive(Debug, Default)]
struct Learned {
    /// The words for the states, of which device, and when they were read.
    texts: Option<(StateTexts, String, Instant)>,
    /// The device does not read the `Authorization` header.
    query_auth: bool,
}

impl Memory {
    fn with<T>(&self, look: impl FnOnce(&mut Learned) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The words of the device with this MAC address, while they are fresh.
    fn texts(&self, mac: Option<&str>) -> Option<StateTexts> {
        self.with(|learned| match &learned.texts {
            Some((texts, of, at)) if Some(of.as_str()) == mac && at.elapsed() < TEXTS_KEEP => {
                Some(texts.clone())
            }
            _ => None,
        })
    }
}

pub(super) struct TasmotaSession {
    _lock: DeviceLock,
    exchange: Box<dyn Exchange>,
    host: String,
    relay: Relay,
    credentials: Option<Credentials>,
    memory: Arc<Memory>,
    /// The number of the configured relay, once it is certain.
    number: Option<u8>,
    texts: Option<StateTexts>,
}

impl TasmotaSession {
    pub(super) fn new(
        exchange: Box<dyn Exchange>,
        host: String,
        relay: Relay,
        credentials: Option<Credentials>,
        memory: Arc<Memory>,
        lock: DeviceLock,
    ) -> Self {
        Self {
            _lock: lock,
            exchange,
            host,
            relay,
            credentials,
            memory,
            number: match relay {
                Relay::Number(number) => Some(number),
                Relay::Only => None,
            },
            texts: None,
        }
    }

    /// Sends a command and reads the JSON of its reply.
    async fn ask(&self, command: &str, deadline: Deadline) -> Result<Object> {
        let by_query = self.credentials.is_some() && self.memory.with(|learned| learned.query_auth);
        let reply = self.send(command, by_query, deadline).await?;
        let error = match read(&reply) {
            Err(error @ Error::Authentication { .. }) => error,
            read => return read,
        };
        let Some(credentials) = &self.credentials else {
            return Err(Error::authentication(
                "the device demands a password; give its WebPassword as password",
            )
            .caused_by(error));
        };
        // Only for a device that asks for it in Tasmota's own words.
        if !by_query && asks_for_query(&reply) {
            let again = read(&self.send(command, true, deadline).await?);
            if !matches!(again, Err(Error::Authentication { .. })) {
                self.memory.with(|learned| learned.query_auth = true);
                return again;
            }
        }
        Err(Error::authentication(format!(
            "the device refuses user \"{}\" with the given password; check password (the device's WebPassword) and \
             leave username out unless a proxy demands another than admin",
            credentials.username
        ))
        .caused_by(error))
    }

    async fn send(&self, command: &str, by_query: bool, deadline: Deadline) -> Result<Reply> {
        let auth = match &self.credentials {
            Some(credentials) if by_query => credentials.query(),
            _ => String::new(),
        };
        // With SetOption128 0 the device answers nothing to a request without its own address as Referer.
        let mut request = Request::get(format!("/cm?{auth}cmnd={}", encoded(command)))
            .header("Referer", format!("http://{}/", self.host));
        if let Some(credentials) = self.credentials.as_ref().filter(|_| !by_query) {
            request = request.header("Authorization", credentials.header());
        }
        self.exchange.exchange(request, deadline).await.map_err(explained)
    }

    /// `Status 0`; where that cannot be read, or lacks the relays, `Status 11` besides: one odd name or sensor must
    /// not hide the state.
    async fn status(&self, deadline: Deadline) -> Result<Status> {
        let status = match self.ask("Status 0", deadline).await {
            Ok(reply) => Status::new(reply),
            Err(error) if is_garbled(&error) => Status::default(),
            Err(error) => return Err(error),
        };
        if status.has_relays() {
            return Ok(status);
        }
        Ok(status.with(self.ask("Status 11", deadline).await?))
    }

    /// The status with SetOption47, which is asked for where the status lacks it: an OFF during that delay is none yet.
    async fn with_start_delay(&self, status: Status, deadline: Deadline) -> Result<Status> {
        if status.start_delay().is_some() {
            return Ok(status);
        }
        match self.ask("SetOption47", deadline).await {
            Ok(reply) => Ok(status.with_start_delay(&reply)),
            // Not said either: the uptime has to tell.
            Err(Error::Protocol { .. }) => Ok(status),
            Err(error) => Err(error),
        }
    }

    /// The words for the states: of this session, remembered ones of this very device, or asked for.
    async fn texts(&mut self, mac: Option<&str>, deadline: Deadline) -> Result<StateTexts> {
        if let Some(texts) = self.texts.clone().or_else(|| self.memory.texts(mac)) {
            self.texts = Some(texts.clone());
            return Ok(texts);
        }
        let off = self.ask("StateText1", deadline).await?;
        let on = self.ask("StateText2", deadline).await?;
        let texts = StateTexts::from_replies(&off, &on)?;
        if let Some(mac) = mac {
            let entry = (texts.clone(), mac.to_owned(), Instant::now());
            self.memory.with(|learned| learned.texts = Some(entry));
        }
        self.texts = Some(texts.clone());
        Ok(texts)
    }

    /// The number of the configured relay on a device with this status; `None` when the device does not say how
    /// many it has.
    fn relay_on(&self, status: &Status) -> Result<Option<u8>> {
        match (self.relay, status.relays()) {
            (Relay::Only, Some(1)) => Ok(Some(1)),
            (Relay::Only, Some(relays)) => Err(Error::config(
                "plug",
                format!("is missing, but the device has {relays} relays"),
                format!("write the relay's number, from 1 to {relays}"),
            )),
            (Relay::Only, None) => Ok(None),
            (Relay::Number(number), Some(relays)) if number > relays => Err(no_such_relay(number, relays)),
            (Relay::Number(number), _) => Ok(Some(number)),
        }
    }
}

fn no_such_relay(number: u8, relays: u8) -> Error {
    let mend = match relays {
        1 => "the device has one relay: leave plug out".to_owned(),
        _ => format!("write the relay's number, from 1 to {relays}"),
    };
    Error::config("plug", format!("the device has no relay {number}"), mend)
}

/// The JSON of a reply with status 200.
fn read(reply: &Reply) -> Result<Object> {
    match reply.status {
        200 => reply::parse(&reply.text()),
        401 => Err(Error::authentication("HTTP 401")),
        status => match reply.redirect() {
            Some(place) => Err(Error::protocol(format!(
                "the device redirects to {place} (HTTP {status}); redirects are not followed, another device might answer"
            ))),
            None => Err(Error::protocol(format!(
                "HTTP {status} for /cm; is this a Tasmota, with its web server in admin mode (WebServer 2)?"
            ))),
        },
    }
}

fn asks_for_query(reply: &Reply) -> bool {
    reply.text().contains("\"WARNING\"")
}

/// Whether a whole reply came, but no JSON.
fn is_garbled(error: &Error) -> bool {
    let cause = std::error::Error::source(error);
    cause.is_some_and(|cause| cause.downcast_ref::<serde_json::Error>().is_some())
}

/// An answer that never comes has a well-known cause.
fn explained(error: Error) -> Error {
    match error {
        Error::Protocol { detail, source } if detail.contains(NO_ANSWER) => Error::Protocol {
            detail: format!("{detail}; if that stays so, run SetOption128 1 in the device's console"),
            source,
        },
        other => other,
    }
}

#[async_trait]
impl Session for TasmotaSession {
    async fn inspect(&mut self, deadline: Deadline) -> Result<Inspection> {
        let mut status = self.status(deadline).await?;
        let mac = status.mac();
        let number = self.relay_on(&status)?;
        self.number = number;
        let observation = match number {
            Some(number) if status.has_relays() => {
                let texts = self.texts(mac.as_deref(), deadline).await?;
                status = self.with_start_delay(status, deadline).await?;
                status.observe(number, &texts)
            }
            Some(_) => Observation::unknown("the reply has no POWER key"),
            None => Observation::unknown("the device does not say how many relays it has; give plug"),
        };
        let evidence = status.option(21) == Some(true);
        Ok(Inspection {
            observation,
            identity: Some(status.identity()).filter(|identity| !identity.is_empty()),
            uptime: status.uptime(),
            power: number
                .filter(|_| evidence)
                .and_then(|number| status.power_reading(number).ok()),
        })
    }

    async fn switch(&mut self, state: PowerState, deadline: Deadline) -> Result<()> {
        let Some(number) = self.number else {
            let _ = self.inspect(deadline).await?;
            return match self.number {
                Some(number) => self.power(number, state, deadline).await,
                None => Err(Error::protocol(
                    "the device does not say how many relays it has, so nothing was switched; give plug",
                )),
            };
        };
        self.power(number, state, deadline).await
    }

    async fn identity(&mut self, deadline: Deadline) -> Result<Identity> {
        let identity = Status::new(self.ask("Status 0", deadline).await?).identity();
        if identity.is_empty() {
            return Err(Error::protocol("the reply to Status 0 names no device"));
        }
        Ok(identity)
    }

    async fn outlets(&mut self, deadline: Deadline) -> Result<Vec<Outlet>> {
        let status = self.status(deadline).await?;
        let status = self.with_start_delay(status, deadline).await?;
        let texts = self.texts(status.mac().as_deref(), deadline).await?;
        let relays = status
            .relays()
            .ok_or_else(|| Error::protocol("the device does not say how many relays it has"))?;
        let outlet = |number: u8| Outlet {
            plug: number.to_string(),
            alias: status.friendly_name(number),
            observation: status.observe(number, &texts),
        };
        Ok((1..=relays).map(outlet).collect())
    }

    async fn power_reading(&mut self, deadline: Deadline) -> Result<PowerReading> {
        let mut status = self.status(deadline).await?;
        if !status.has_sensors() {
            let part = self.ask("Status 10", deadline).await?;
            let part = match Complaint::of(&part) {
                Some(_) => self.ask("Status 8", deadline).await?,
                None => part,
            };
            status = status.with(part);
        }
        let number = self
            .relay_on(&status)?
            .ok_or_else(|| Error::protocol("the device does not say how many relays it has; give plug"))?;
        let reading = status.power_reading(number)?;
        match status.option(21) {
            Some(true) => Ok(reading),
            Some(false) => Err(Error::unsupported(
                "the device reports 0 W for a relay merely because it was told OFF; run SetOption21 1 in its console \
                 to make its meter count",
            )),
            None if self.option_21(deadline).await? => Ok(reading),
            None => Err(Error::unsupported(
                "the device does not say that its meter counts while off; run SetOption21 1 in its console",
            )),
        }
    }

    async fn findings(&mut self, deadline: Deadline) -> Result<Vec<Finding>> {
        let status = self.status(deadline).await?;
        let number = self.relay_on(&status)?.unwrap_or(1);
        let texts = self.texts(status.mac().as_deref(), deadline).await?;
        let mut replies = Vec::new();
        for command in findings::commands(number) {
            replies.push((command.clone(), self.ask(&command, deadline).await?));
        }
        Ok(findings::of(&findings::Facts {
            status: &status,
            relay: number,
            texts: &texts,
            replies: &replies,
            password: self.credentials.is_some(),
        }))
    }
}

impl TasmotaSession {
    /// `Power<n> OFF`. Accepted only when the reply gives the relay's state, once or more, as the wanted one.
    async fn power(&mut self, number: u8, state: PowerState, deadline: Deadline) -> Result<()> {
        let texts = self.texts(None, deadline).await?;
        let word = match state {
            PowerState::Off => "OFF",
            PowerState::On => "ON",
        };
        let reply = self.ask(&format!("Power{number} {word}"), deadline).await?;
        match (reply::relay_state(&reply, number, &texts), Complaint::of(&reply)) {
            (seen, _) if seen.is(state) => Ok(()),
            (Observation::Unknown(_), Some(Complaint::Error)) => Err(Error::config(
                "plug",
                format!("the device has no relay {number}"),
                "write the number of a relay that it has, from 1",
            )),
            (Observation::Unknown(_), Some(Complaint::Unknown)) => Err(Error::unsupported(
                "the device knows no Power command: it has no relay configured",
            )),
            (Observation::Unknown(reason), None) => Err(Error::protocol(format!(
                "no answer to Power{number} {word}: {reason}"
            ))),
            (seen, _) => Err(Error::refused(format!(
                "it answers {} to Power{number} {word}, so it is {seen} still; run PowerLock{number} 0 and \
                 PowerOnState 3 in its console",
                texts.word(opposite(state))
            ))),
        }
    }

    async fn option_21(&mut self, deadline: Deadline) -> Result<bool> {
        let reply = self.ask("SetOption21", deadline).await?;
        let texts = self.texts(None, deadline).await?;
        Ok(reply.text("SetOption21").is_some_and(|word| word == texts.on))
    }
}

fn opposite(state: PowerState) -> PowerState {
    match state {
        PowerState::On => PowerState::Off,
        PowerState::Off => PowerState::On,
    }
}
