//! ESPHome's REST API (`web_server:`).

mod codec;
#[cfg(fuzzing)]
pub(super) mod fuzz;

use async_trait::async_trait;

use self::codec::Domain;
use crate::deadline::Deadline;
use crate::device::{Finding, Inspection, Outlet, Session, Severity};
use crate::error::{Error, Result};
use crate::esphome::POWER_SENSOR;
use crate::esphome::plug::{Name, Wanted};
use crate::identity::Identity;
use crate::options::Settings;
use crate::power::{PowerReading, PowerState};
use crate::transport::auth::{Authenticated, Login};
use crate::transport::http::{Exchange, HttpClient, HttpOptions, Reply, Request, Scheme};
use crate::transport::{Endpoint, Steps};

/// Port of `web_server:`.
pub(super) const PORT: u16 = 80;

/// What it takes to open a session.
#[derive(Debug)]
pub(super) struct Web {
    endpoint: Endpoint,
    steps: Steps,
    login: Option<Login>,
    wanted: Wanted,
    power_sensor: Name,
}

impl Web {
    /// # Errors
    /// [`Error::Config`] for a wrong address, or a password without a user name.
    pub(super) fn from_settings(settings: &Settings, wanted: &Wanted) -> Result<Self> {
        let web = Self {
            endpoint: Endpoint::from_settings(settings, PORT)?,
            steps: Steps::from_settings(settings),
            login: Login::from_settings(settings, None)?,
            wanted: wanted.clone(),
            power_sensor: Name::new(settings.text("power_sensor").unwrap_or(POWER_SENSOR)),
        };
        if let Wanted::Switch(name) = wanted {
            codec::addresses(Domain::Switch, name)?;
        }
        codec::addresses(Domain::Sensor, &web.power_sensor)?;
        Ok(web)
    }

    pub(super) fn port(&self) -> u16 {
        self.endpoint.port
    }

    /// Whether something listens there.
    pub(super) async fn is_reachable(&self, deadline: Deadline) -> bool {
        self.endpoint.connect(self.steps, deadline).await.is_ok()
    }

    /// A client with connections of its own. Nothing is sent yet: the first request finds out whether the device is
    /// there and which login it wants.
    pub(super) async fn open(&self, deadline: Deadline) -> Result<WebSession<HttpClient>> {
        let options = HttpOptions {
            scheme: Scheme::Http,
            keep_alive: true,
            title_case: true,
        };
        let client = HttpClient::new(&self.endpoint, options, self.steps, deadline).await?;
        Ok(WebSession {
            http: Authenticated::new(client, self.login.clone()),
            wanted: self.wanted.clone(),
            power_sensor: self.power_sensor.clone(),
            address: None,
        })
    }
}

/// Who answers at an address, without logging in. `None`: nobody, no ESPHome device, or one that demands a login.
pub(super) async fn knock(endpoint: &Endpoint, steps: Steps, deadline: Deadline) -> Option<Identity> {
    let web = Web {
        endpoint: endpoint.clone(),
        steps,
        login: None,
        wanted: Wanted::Nothing,
        power_sensor: Name::new(""),
    };
    web.open(deadline).await.ok()?.identity(deadline).await.ok()
}

/// Requests about one switch.
pub(super) struct WebSession<E> {
    http: Authenticated<E>,
    wanted: Wanted,
    power_sensor: Name,
    /// The switch's address, once a look has found it.
    address: Option<String>,
}

impl<E: Exchange> WebSession<E> {
    fn wanted(&self) -> Result<&Name> {
        match &self.wanted {
            Wanted::Switch(name) | Wanted::Node(name) => Ok(name),
            Wanted::Nothing => Err(Error::config(
                "plug",
                "is missing",
                "over REST a switch cannot be found by itself: give its name as ESPHome shows it, as switch_name=Relay",
            )),
        }
    }

    /// The entity's address and the reply about its state. Only ever a GET of a state: an action is never tried.
    async fn find(
        &self,
        domain: Domain,
        name: &Name,
        known: Option<&String>,
        deadline: Deadline,
    ) -> Result<Option<(String, Reply)>> {
        let addresses = match known {
            Some(address) => vec![address.clone()],
            None => codec::addresses(domain, name)?,
        };
        for address in addresses {
            let request = Request::get(format!("{address}?detail=all"));
            let reply = self.http.exchange(request, deadline).await?;
            match reply.status {
                200 => return Ok(Some((address, reply))),
                404 => {}
                status => return Err(unexpected(status, &reply)),
            }
        }
        Ok(None)
    }

    fn no_such_switch(&self, name: &Name) -> Error {
        if self.address.is_some() {
            return Error::protocol(format!(
                "the device no longer knows switch \"{}\"; is it restarting?",
                name.as_str()
            ));
        }
        let problem = match self.wanted {
            Wanted::Node(_) => format!(
                "the device has no switch called \"{}\", as the node is, and over REST it cannot be found by itself",
                name.as_str()
            ),
            _ => format!("the device has no switch called \"{}\"", name.as_str()),
        };
        Error::config(
            "plug",
            problem,
            "give the switch's name as ESPHome shows it, upper and lower case included, as switch_name=Relay",
        )
    }
}

fn unexpected(status: u16, reply: &Reply) -> Error {
    Error::protocol(format!("HTTP status {status} with {}", reply.excerpt()))
}

#[async_trait]
impl<E: Exchange> Session for WebSession<E> {
    async fn inspect(&mut self, deadline: Deadline) -> Result<Inspection> {
        let name = self.wanted()?.clone();
        let found = self
            .find(Domain::Switch, &name, self.address.as_ref(), deadline)
            .await?;
        let Some((address, reply)) = found else {
            return Err(self.no_such_switch(&name));
        };
        let observation = codec::switch_state(&reply.body, &name)?;
        self.address = Some(address);
        Ok(Inspection::of(observation))
    }

    async fn switch(&mut self, state: PowerState, deadline: Deadline) -> Result<()> {
        if self.address.is_none() {
            // Only a reply about this very switch makes its address known.
            let _ = self.inspect(deadline).await?;
        }
        let address = self
            .address
            .as_ref()
            .ok_or_else(|| Error::protocol("the switch's address is not known"))?;
        let reply = self
            .http
            .exchange(
                Request::post(format!("{address}/turn_{state}"), Vec::new()),
                deadline,
            )
            .await?;
        match reply.status {
            200 if reply.body.is_empty() => Ok(()),
            200 => Err(Error::protocol(format!(
                "the device accepted, but with {} in place of an empty body; is this ESPHome?",
                reply.excerpt()
            ))),
            400..500 => Err(Error::refused(format!(
                "HTTP status {} to turn_{state}",
                reply.status
            ))),
            status => Err(unexpected(status, &reply)),
        }
    }

    /// The name that the device's event stream begins with.
    async fn identity(&mut self, deadline: Deadline) -> Result<Identity> {
        let mut request = Request::get("/events").header("Accept", "text/event-stream");
        request.until = Some(codec::has_identity);
        let reply = self.http.exchange(request, deadline).await?;
        match reply.status {
            200 => codec::identity(&reply.body),
            404 => Err(Error::unsupported(
                "this firmware's REST API does not tell who the device is; use the native API for expect_identity",
            )),
            status => Err(unexpected(status, &reply)),
        }
    }

    /// The configured switch alone: REST has no list of them.
    async fn outlets(&mut self, deadline: Deadline) -> Result<Vec<Outlet>> {
        let plug = self.wanted()?.as_str().to_owned();
        let observation = self.inspect(deadline).await?.observation;
        Ok(vec![Outlet {
            alias: plug.clone(),
            plug,
            observation,
        }])
    }

    async fn power_reading(&mut self, deadline: Deadline) -> Result<PowerReading> {
        let found = self
            .find(Domain::Sensor, &self.power_sensor, None, deadline)
            .await?;
        let Some((_, reply)) = found else {
            return Err(Error::unsupported(format!(
                "the device has no sensor called \"{}\"; name its power sensor with power_sensor",
                self.power_sensor.as_str()
            )));
        };
        codec::watts(&reply.body, &self.power_sensor).map(PowerReading::of_watts)
    }

    async fn findings(&mut self, _deadline: Deadline) -> Result<Vec<Finding>> {
        Ok(vec![Finding {
            severity: Severity::Warning,
            topic: "setting",
            detail: "reached over plain HTTP, which anybody on the way can read and forge".to_owned(),
            mend: "give the device api: with encryption: and fencekit its encryption_key".to_owned(),
        }])
    }
}

#[cfg(test)]
mod tests;
