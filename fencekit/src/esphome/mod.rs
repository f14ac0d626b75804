//! ESPHome switches, over the REST API of `web_server:` or the native API of `api:`.

#[cfg(fuzzing)]
pub mod fuzz;
mod native;
mod plug;
mod web;

use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use self::native::{Native, NativeSession, PreSharedKey, Refusal};
use self::plug::Wanted;
use self::web::Web;
use crate::deadline::Deadline;
use crate::device::{FenceDevice, Label, Readback, Session};
use crate::discover::{NEEDS_KEY, NO_NATIVE_API, NOT_ENCRYPTED};
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::method::Method;
use crate::options::{Kind, OptionSpec, Settings};
use crate::transport::{Endpoint, Steps};

/// Name of the sensor that measures the outlet's power, unless the user names another.
const POWER_SENSOR: &str = "Power";

/// Options of this method, besides the common ones.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec::text(
        "switch_name",
        "switch-name",
        "Name of the switch as ESPHome shows it, or its object id; the same as plug",
    ),
    OptionSpec::of(
        "transport",
        "transport",
        Kind::Choice(&["auto", "native", "web"]),
        "API to use: native (api:) or web (REST of web_server:); auto is native where it can be",
    )
    .or("auto"),
    OptionSpec::of(
        "encryption_key",
        "encryption-key",
        Kind::Secret,
        "Key of the native API, as in the device's api: encryption: key: (base64 of 32 bytes)",
    ),
    OptionSpec::text(
        "power_sensor",
        "power-sensor",
        "Name of the sensor that measures the outlet's power",
    )
    .or(POWER_SENSOR),
];

pub(crate) fn device(settings: &Settings) -> Result<Box<dyn FenceDevice>> {
    let wanted = Wanted::from_settings(settings)?;
    let key = encryption_key(settings)?;
    let encrypted = key.is_some();
    let web = || Web::from_settings(settings, &wanted);
    let native = |key| Native::from_settings(settings, &wanted, key);
    let (way, port) = match Transport::of(settings, settings.has("password")) {
        Transport::Native => (Way::Native(native(key)?), native::PORT),
        Transport::Web => (Way::Web(web()?), web::PORT),
        Transport::Either => {
            let either = Way::Either {
                native: native(None)?,
                web: web()?,
                found: OnceLock::new(),
            };
            (either, native::PORT)
        }
    };
    let endpoint = Endpoint::from_settings(settings, port)?;
    Ok(Box::new(Esphome {
        label: Label {
            method: Method::Esphome,
            address: endpoint.shown(port),
            plug: wanted.text().map(str::to_owned),
        },
        encrypted,
        way,
    }))
}

/// Which API is to be used, by the options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// The native API alone.
    Native,
    /// REST alone.
    Web,
    /// Whichever answers.
    Either,
}

impl Transport {
    pub(crate) fn of(settings: &Settings, has_password: bool) -> Self {
        match settings.text("transport") {
            Some("native") => Self::Native,
            Some("web") => Self::Web,
            // A key must never be got round by falling back to plaintext.
            _ if settings.secret("encryption_key").is_some() => Self::Native,
            // Only REST knows of user names and passwords.
            _ if settings.has("username") || has_password => Self::Web,
            _ => Self::Either,
        }
    }
}

/// The key of the native API.
///
/// # Errors
/// [`Error::Config`] when it is not base64 of 32 bytes, or given for REST, which cannot use it.
fn encryption_key(settings: &Settings) -> Result<Option<PreSharedKey>> {
    let Some(text) = settings.secret("encryption_key") else {
        return Ok(None);
    };
    if settings.text("transport") == Some("web") {
        return Err(Error::config(
            "encryption_key",
            "contradicts transport=web, which cannot encrypt",
            "leave one of the two out",
        ));
    }
    let wrong = |problem: String| {
        Error::config(
            "encryption_key",
            problem,
            "copy it from the device's api: encryption: key:, 44 characters that end in =",
        )
    };
    let bytes = STANDARD
        .decode(text.expose().trim())
        .map(Zeroizing::new)
        .map_err(|_| wrong("is not base64".to_owned()))?;
    let key = <[u8; 32]>::try_from(bytes.as_slice())
        .map_err(|_| wrong(format!("is base64 of {} bytes, not of 32", bytes.len())))?;
    Ok(Some(Zeroizing::new(key)))
}

/// Who answers at an address by the native API or, failing that, by REST: where, by which, and who; nothing is logged in
/// to or changed.
pub(crate) async fn knock(
    native: &Endpoint,
    web: &Endpoint,
    steps: Steps,
    deadline: Deadline,
) -> Option<(u16, &'static str, Identity, &'static str)> {
    if let Some((identity, encrypted)) = native::knock(native, steps, deadline).await {
        let note = if encrypted { NEEDS_KEY } else { NOT_ENCRYPTED };
        return Some((native.port, "native", identity, note));
    }
    let identity = web::knock(web, steps, deadline).await?;
    Some((web.port, "web", identity, NO_NATIVE_API))
}

/// Watts to one of a unit of power; a sensor without a unit is taken to show watts.
fn watts_of_unit(unit: &str) -> Option<f64> {
    match unit {
        "" | "W" => Some(1.0),
        "kW" => Some(1000.0),
        "mW" => Some(0.001),
        _ => None,
    }
}

/// One ESPHome device.
#[derive(Debug)]
struct Esphome {
    label: Label,
    /// Both sides prove that they know the key, and no message can be replayed.
    encrypted: bool,
    way: Way,
}

/// By which API the device is reached.
#[derive(Debug)]
enum Way {
    Native(Native),
    Web(Web),
    /// Whichever answers; remembered once that is certain, so that a port that swallows everything costs time once only.
    Either {
        native: Native,
        web: Web,
        found: OnceLock<Api>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    Native,
    Web,
}

/// How long the native API may take to answer before REST is tried. A slow device gets the rest of its time after that.
const PROBE: Duration = Duration::from_secs(1);

impl Esphome {
    /// Finds out which API the device has.
    async fn find(
        &self,
        native: &Native,
        web: &Web,
        found: &OnceLock<Api>,
        deadline: Deadline,
    ) -> Result<Box<dyn Session>> {
        let refusal = match native.open(deadline.capped(PROBE)).await {
            Ok(session) => return Ok(self.by_native(session, found)),
            Err(Refusal::Failed(error))
                if !matches!(error, Error::Unreachable { .. } | Error::Timeout { .. }) =>
            {
                return Err(error);
            }
            Err(refusal) => refusal,
        };
        if !refusal.is_final() {
            return self.find_slowly(native, web, found, refusal, deadline).await;
        }
        let refused = Error::from(refusal);
        if !web.is_reachable(deadline).await {
            return Err(refused);
        }
        self.log_rest(&refused);
        let _ = found.set(Api::Web);
        Ok(Box::new(web.open(deadline).await?))
    }

    /// When the native API was not quick enough, or nothing is heard of it: by REST if that shows the switch, else by the
    /// native API with all the time that is left.
    async fn find_slowly(
        &self,
        native: &Native,
        web: &Web,
        found: &OnceLock<Api>,
        refusal: Refusal,
        deadline: Deadline,
    ) -> Result<Box<dyn Session>> {
        // A device that accepts connections may well be quicker the next time, and tells more by its native API.
        let is_certain = matches!(refusal, Refusal::Unconnected(_)) || native.port() == web.port();
        let half = deadline.capped(deadline.remaining() / 2);
        let unusable = match shown_by_rest(web, half).await {
            Ok(session) => {
                self.log_rest(&refusal.into());
                if is_certain {
                    let _ = found.set(Api::Web);
                }
                return Ok(session);
            }
            Err(error) => error,
        };
        match native.open(deadline).await {
            Ok(session) => Ok(self.by_native(session, found)),
            // The device's own words about a login or a switch's name tell more than silence.
            Err(_) if matches!(unusable, Error::Authentication { .. } | Error::Config { .. }) => {
                Err(unusable)
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    fn by_native(&self, session: NativeSession, found: &OnceLock<Api>) -> Box<dyn Session> {
        log::info!("{}: reached by the native API, without encryption", self.label);
        let _ = found.set(Api::Native);
        Box::new(session)
    }

    fn log_rest(&self, refused: &Error) {
        log::info!(
            "{}: reached by REST, as the native API is not usable: {refused}",
            self.label
        );
    }
}

/// A session by REST that has seen the switch.
async fn shown_by_rest(web: &Web, deadline: Deadline) -> Result<Box<dyn Session>> {
    if !web.is_reachable(deadline).await {
        return Err(Error::unreachable("nothing listens at the port of REST"));
    }
    let mut session = web.open(deadline).await?;
    session.inspect(deadline).await?;
    Ok(Box::new(session))
}

#[async_trait]
impl FenceDevice for Esphome {
    fn label(&self) -> &Label {
        &self.label
    }

    fn readback(&self) -> Readback {
        if self.encrypted {
            Readback::SameSession
        } else {
            Readback::NewConnection
        }
    }

    async fn connect(&self, deadline: Deadline) -> Result<Box<dyn Session>> {
        match &self.way {
            Way::Native(native) => Ok(Box::new(native.open(deadline).await?)),
            Way::Web(web) => Ok(Box::new(web.open(deadline).await?)),
            Way::Either { native, web, found } => match found.get() {
                Some(Api::Native) => Ok(Box::new(native.open(deadline).await?)),
                Some(Api::Web) => Ok(Box::new(web.open(deadline).await?)),
                None => self.find(native, web, found, deadline).await,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::new(Method::Esphome);
        for (name, value) in pairs {
            settings.set(name, value).unwrap();
        }
        settings
    }

    #[test]
    fn a_wrong_key_is_refused_without_showing_it() {
        for (key, problem) in [("not base64!", "is not base64"), ("c2hvcnQ=", "of 5 bytes")] {
            let error = encryption_key(&settings(&[("encryption_key", key)]))
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("encryption_key: ") && error.contains(problem),
                "{error}"
            );
            assert!(!error.contains(key), "{error}");
        }
        let good = "6Z4l0xkQ3m0l2mJm6q1oTq9wF6n1b2nYJw0J8j7m1lI=";
        assert!(
            encryption_key(&settings(&[("encryption_key", good)]))
                .unwrap()
                .is_some()
        );
        let contradiction = settings(&[("encryption_key", good), ("transport", "web")]);
        assert!(encryption_key(&contradiction).is_err());
    }

    #[test]
    fn an_empty_power_sensor_is_the_usual_one() {
        for transport in ["auto", "web", "native"] {
            let given = [
                ("ip", "10.0.0.9"),
                ("plug", "Relay"),
                ("transport", transport),
                ("power_sensor", ""),
            ];
            assert!(device(&settings(&given)).is_ok(), "{transport}");
        }
    }

    #[test]
    fn the_label_shows_address_and_switch() {
        let device = device(&settings(&[("ip", "10.0.0.9"), ("switch_name", "Relay")])).unwrap();
        assert_eq!(device.label().to_string(), "esphome @ 10.0.0.9 plug Relay");
    }
}
