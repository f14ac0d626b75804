//! ESPHome's native API (`api:`), in plaintext or encrypted.

mod choose;
mod client;
mod frame;
#[cfg(fuzzing)]
pub(super) mod fuzz;
mod message;
mod noise;
mod protobuf;

use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use self::choose::{Catalogue, Target};
use self::client::{Client, Failure};
use self::message::Entity;
pub(super) use self::noise::PreSharedKey;
use crate::deadline::Deadline;
use crate::device::{Finding, Inspection, Outlet, Session, Severity};
use crate::error::{Error, Result};
use crate::esphome::plug::{Name, Wanted};
use crate::identity::Identity;
use crate::options::Settings;
use crate::power::{Observation, PowerReading, PowerState};
use crate::transport::{Endpoint, Steps};

/// Port of `api:`.
pub(super) const PORT: u16 = 6053;
/// How long the device may take to say goodbye.
const GOODBYE: Duration = Duration::from_millis(100);
/// How long the states of all switches may take to come, for a list of them.
const ALL_STATES: Duration = Duration::from_secs(1);

/// What it takes to open a session.
#[derive(Debug)]
pub(super) struct Native {
    endpoint: Endpoint,
    steps: Steps,
    key: Option<PreSharedKey>,
    wanted: Wanted,
    power_sensor: Option<Name>,
}

/// Why no session could be opened, as far as another transport may still be tried.
pub(super) enum Refusal {
    /// No connection.
    Unconnected(Error),
    /// Something else answers, or the device talks to nobody without a key.
    NotForUs(Error),
    /// Whatever else.
    Failed(Error),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unconnected(error) | Refusal::NotForUs(error) | Refusal::Failed(error) => error,
        }
    }
}

impl Refusal {
    /// Whether more time would change nothing: nobody listens there, or somebody else does.
    pub(super) fn is_final(&self) -> bool {
        let cause = |error: &Error| -> Option<std::io::ErrorKind> {
            let source = std::error::Error::source(error)?;
            source.downcast_ref().map(std::io::Error::kind)
        };
        match self {
            Self::Unconnected(error) => cause(error) == Some(std::io::ErrorKind::ConnectionRefused),
            Self::NotForUs(error) => !matches!(error, Error::Timeout { .. }),
            Self::Failed(_) => false,
        }
    }
}

impl Native {
    pub(super) fn port(&self) -> u16 {
        self.endpoint.port
    }

    /// # Errors
    /// [`Error::Config`] for a wrong address.
    pub(super) fn from_settings(
        settings: &Settings,
        wanted: &Wanted,
        key: Option<PreSharedKey>,
    ) -> Result<Self> {
        let power_sensor = settings
            .has("power_sensor")
            .then(|| settings.text("power_sensor").map(Name::new));
        Ok(Self {
            endpoint: Endpoint::from_settings(settings, PORT)?,
            steps: Steps::from_settings(settings),
            key,
            wanted: wanted.clone(),
            power_sensor: power_sensor.flatten(),
        })
    }

    /// Connects, and learns who the device is and what it has.
    pub(super) async fn open(&self, deadline: Deadline) -> Result<NativeSession, Refusal> {
        let client = match &self.key {
            Some(key) => Client::encrypted(key, ephemeral().map_err(Refusal::Failed)?)
                .map_err(|failure| Refusal::Failed(failure.into()))?,
            None => Client::plain(),
        };
        let stream = self
            .endpoint
            .connect(self.steps, deadline)
            .await
            .map_err(Refusal::Unconnected)?;
        let mut session = NativeSession {
            stream,
            client,
            exchange: self.steps.exchange,
            wanted: self.wanted.clone(),
            power_sensor: self.power_sensor.clone(),
            target: None,
        };
        let introduced = |client: &Client| client.introduction().is_some();
        session
            .introduce(introduced, deadline.capped(self.steps.connect))
            .await?;
        Ok(session)
    }
}

/// Who answers at an address, without logging in. `None`: nobody, or no ESPHome device.
///
/// An encrypted device tells its name and MAC address in its greeting, a plaintext one whatever it is asked.
pub(super) async fn knock(endpoint: &Endpoint, steps: Steps, deadline: Deadline) -> Option<(Identity, bool)> {
    let greeting = async {
        let mut stream = endpoint.connect(steps, deadline).await?;
        let sent = stream.write_all(GREETING).await;
        sent.map_err(|cause| Error::io("greeting", cause))?;
        let mut bytes = Vec::new();
        let mut buffer = [0; 256];
        while bytes.len() < LONGEST_GREETING {
            match stream.read(&mut buffer).await {
                // A device without encryption hangs up.
                Ok(0) | Err(_) => return Ok(None),
                Ok(read) => bytes.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            }
            if let Some(identity) = greeted(&bytes) {
                return Ok(Some(identity));
            }
        }
        Ok(None)
    };
    let greeted = deadline.capped(steps.exchange).run("greeting", greeting).await;
    if let Some(identity) = greeted.ok()? {
        return Some((identity, true));
    }
    let native = Native {
        endpoint: endpoint.clone(),
        steps,
        key: None,
        wanted: Wanted::Nothing,
        power_sensor: None,
    };
    let session = native.open(deadline).await.ok()?;
    session.who().map(|identity| (identity, false))
}

/// The client's part of an encrypted greeting.
const GREETING: &[u8] = b"\x01\0\0";
/// The device's part: a name of up to 31 bytes and a MAC address.
const LONGEST_GREETING: usize = 256;

/// Name and MAC address out of the greeting of an encrypted device, once it is whole.
fn greeted(bytes: &[u8]) -> Option<Identity> {
    let mut inbox = frame::Inbox::default();
    inbox.push(bytes);
    let body = inbox.noise().ok()??;
    let mut parts = body.strip_prefix(b"\x01")?.split(|byte| *byte == 0);
    let mut text = || {
        let part = String::from_utf8_lossy(parts.next()?);
        let text: String = part.chars().filter(|c| !c.is_control()).take(64).collect();
        Some(text).filter(|text| !text.is_empty())
    };
    let name = text()?;
    Some(Identity {
        device_id: Some(name.clone()),
        name: Some(name),
        mac: text().map(|mac| crate::discover::with_colons(&mac)),
        ..Identity::default()
    })
}

fn ephemeral() -> Result<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|cause| Error::unsupported("the system gives no random numbers").caused_by(cause))?;
    Ok(bytes)
}

/// An open conversation about one switch.
pub(super) struct NativeSession {
    stream: TcpStream,
    client: Client,
    exchange: Duration,
    wanted: Wanted,
    power_sensor: Option<Name>,
    target: Option<Target>,
}

impl NativeSession {
    /// Talks until `done`, or until it is clear that this is not the device's language.
    async fn introduce(&mut self, done: impl Fn(&Client) -> bool, deadline: Deadline) -> Result<(), Refusal> {
        let talk = async { Ok(self.talk(done).await) };
        match deadline.run("waiting for the device's introduction", talk).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure @ (Failure::Foreign | Failure::KeyMissing))) => Err(Refusal::NotForUs(failure.into())),
            Ok(Err(Failure::Other(error @ Error::Unreachable { .. }))) if self.client.awaits_channel() => {
                Err(Refusal::Failed(
                    Error::unreachable(
                        "the device hung up at the encrypted greeting; if its api: has no encryption:, leave encryption_key out",
                    )
                    .caused_by(error),
                ))
            }
            Ok(Err(failure)) => Err(Refusal::Failed(failure.into())),
            // A server of another protocol may wait for more.
            Err(error) if !self.client.is_greeted() && !self.client.awaits_channel() => {
                Err(Refusal::NotForUs(error))
            }
            Err(error) => Err(Refusal::Failed(error)),
        }
    }

    /// One question and its answer, within the time for one.
    async fn until(&mut self, doing: &str, deadline: Deadline, done: impl Fn(&Client) -> bool) -> Result<()> {
        let deadline = deadline.capped(self.exchange);
        let talk = async { self.talk(done).await.map_err(Error::from) };
        deadline.run(doing, talk).await
    }

    /// Sends what is to be sent and reads what comes, until `done`.
    async fn talk(&mut self, done: impl Fn(&Client) -> bool) -> Result<(), Failure> {
        let mut buffer = [0; 4096];
        loop {
            let output = self.client.take_output();
            if !output.is_empty() {
                let sent = self.stream.write_all(&output).await;
                sent.map_err(|cause| Error::io("sending to the device", cause))?;
            }
            if done(&self.client) {
                return Ok(());
            }
            let read = self.stream.read(&mut buffer).await;
            let read = read.map_err(|cause| Error::io("reading from the device", cause))?;
            if read == 0 {
                return Err(Error::unreachable("the device closed the connection").into());
            }
            self.client.handle(buffer.get(..read).unwrap_or_default())?;
        }
    }

    fn catalogue(&self) -> Result<Catalogue<'_>> {
        self.client
            .introduction()
            .map(Catalogue::new)
            .ok_or_else(|| Error::protocol("the device has not introduced itself"))
    }

    /// The switch and its sensors, chosen once.
    fn target(&mut self) -> Result<Target> {
        if let Some(target) = &self.target {
            return Ok(target.clone());
        }
        let target = self
            .catalogue()?
            .target(&self.wanted, self.power_sensor.as_ref())?;
        self.target = Some(target.clone());
        Ok(target)
    }

    fn who(&self) -> Option<Identity> {
        let (info, ..) = self.client.introduction()?;
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Some(Identity {
            mac: some(&info.mac),
            device_id: some(&info.name),
            guid: None,
            name: some(&info.friendly_name).or_else(|| some(&info.name)),
            model: some(&info.model),
            firmware: some(&info.version),
        })
    }

    fn observed(&self, switch: &Entity) -> Observation {
        if switch.assumed_state {
            return Observation::unknown(
                "the device assumes the switch's state and cannot see it (assumed_state)",
            );
        }
        match self.client.switch_state(switch.key) {
            Some(Some(true)) => Observation::On,
            Some(Some(false)) => Observation::Off,
            Some(None) => Observation::unknown("the device says that it knows no state of the switch"),
            None => Observation::unknown("the device did not report the switch's state"),
        }
    }
}

#[async_trait]
impl Session for NativeSession {
    async fn inspect(&mut self, deadline: Deadline) -> Result<Inspection> {
        let target = self.target()?;
        let switch = target.switch.key;
        self.client.ask_states();
        self.until("waiting for the switch's state", deadline, |client| {
            client.switch_state(switch).is_some()
        })
        .await?;
        let uptime = target.uptime.and_then(|sensor| self.client.last_reading(sensor));
        let power = target.meter.and_then(|meter| {
            let shown = self.client.reading(meter.key).flatten()?;
            Some(PowerReading::of_watts(f64::from(shown) * meter.watts))
        });
        Ok(Inspection {
            observation: self.observed(&target.switch),
            identity: self.who(),
            uptime: uptime.and_then(|seconds| Duration::try_from_secs_f32(seconds).ok()),
            power,
        })
    }

    /// The command, and a ping after it: its answer shows that the device has read both.
    async fn switch(&mut self, state: PowerState, deadline: Deadline) -> Result<()> {
        let target = self.target()?;
        self.client.command(target.switch.key, state == PowerState::On);
        self.until("sending the command", deadline, Client::is_accepted)
            .await
    }

    async fn identity(&mut self, _deadline: Deadline) -> Result<Identity> {
        self.who()
            .ok_or_else(|| Error::protocol("the device has not introduced itself"))
    }

    async fn outlets(&mut self, deadline: Deadline) -> Result<Vec<Outlet>> {
        let catalogue = self.catalogue()?;
        let switches: Vec<(Entity, String)> = catalogue
            .switches()
            .iter()
            .map(|switch| (switch.clone(), catalogue.full_name(switch)))
            .collect();
        self.client.ask_states();
        let all = |client: &Client| {
            switches
                .iter()
                .all(|(switch, _)| client.switch_state(switch.key).is_some())
        };
        match self
            .until(
                "waiting for the switches' states",
                deadline.capped(ALL_STATES),
                all,
            )
            .await
        {
            // Those that did not come are unknown.
            Ok(()) | Err(Error::Timeout { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(switches
            .into_iter()
            .map(|(switch, plug)| Outlet {
                observation: self.observed(&switch),
                alias: plug.clone(),
                plug,
            })
            .collect())
    }

    async fn power_reading(&mut self, deadline: Deadline) -> Result<PowerReading> {
        let switch = self.target()?.switch;
        let meter = self.catalogue()?.meter(&switch, self.power_sensor.as_ref())?;
        self.client.ask_states();
        self.until("waiting for the meter", deadline, |client| {
            client.reading(meter.key).is_some()
        })
        .await?;
        match self.client.reading(meter.key).flatten() {
            Some(shown) => Ok(PowerReading::of_watts(f64::from(shown) * meter.watts)),
            None => Err(Error::protocol("the power sensor has no value at the moment")),
        }
    }

    async fn findings(&mut self, _deadline: Deadline) -> Result<Vec<Finding>> {
        let target = self.target()?;
        let Some((info, ..)) = self.client.introduction() else {
            return Ok(Vec::new());
        };
        let mut findings = vec![Finding {
            severity: Severity::Info,
            topic: "firmware",
            detail: format!("ESPHome {}", info.version),
            mend: String::new(),
        }];
        let mut found = |severity, detail: &str, mend: &str| {
            findings.push(Finding {
                severity,
                topic: "setting",
                detail: detail.to_owned(),
                mend: mend.to_owned(),
            });
        };
        if !self.client.is_encrypted() {
            found(
                Severity::Warning,
                "reached without encryption, so anybody on the way can read and forge",
                "give the device encryption: under its api:, and fencekit its encryption_key",
            );
        }
        if info.deep_sleep {
            found(
                Severity::Problem,
                "the device sleeps at times and cannot fence then",
                "take deep_sleep: out of its configuration",
            );
        }
        if target.switch.assumed_state {
            found(
                Severity::Problem,
                "the switch's state is assumed, so an off can never be confirmed",
                "take assumed_state: out, and let the switch report its relay",
            );
        }
        if target.uptime.is_none() {
            found(
                Severity::Warning,
                "no uptime sensor: a restart of the device during a fence may go unnoticed",
                "add a sensor with platform: uptime and the name Uptime",
            );
        }
        Ok(findings)
    }

    async fn close(mut self: Box<Self>, deadline: Deadline) {
        self.client.goodbye();
        let _ = self
            .until("saying goodbye", deadline.capped(GOODBYE), Client::is_over)
            .await;
    }
}
