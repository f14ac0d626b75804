//! Tasmota relays over HTTP: `GET /cm?cmnd=...`.
//!
//! One request at a time, each on its own connection that is closed at once: the device serves one client. A look
//! at the outlet is one `Status 0`, which carries state, identity, uptime, settings and meter together; the words
//! that the device uses for its states (StateText1 and StateText2) are asked for once before.
//!
//! `Backlog` and `TOGGLE` are never used: the reply to the first has no results, the second cannot be repeated.

mod credentials;
mod findings;
#[cfg(fuzzing)]
pub mod fuzz;
mod reply;
mod scraped;
mod session;

use std::sync::Arc;

use async_trait::async_trait;

use crate::deadline::Deadline;
use crate::device::{FenceDevice, Label, Session};
use crate::error::{Error, Result};
use crate::method::Method;
use crate::options::{OptionSpec, Plug, Settings, TLS};
use crate::transport::http::{HttpClient, HttpOptions, Scheme};
use crate::transport::{DeviceLock, Endpoint, Steps};
use credentials::Credentials;
use session::{Memory, TasmotaSession};

/// Options of this method, besides the common ones.
pub const OPTIONS: &[OptionSpec] = TLS;

pub(crate) fn device(settings: &Settings) -> Result<Box<dyn FenceDevice>> {
    let scheme = Scheme::from_settings(settings)?;
    let endpoint = Endpoint::from_settings(settings, scheme.standard_port())?;
    let plug = settings.plug();
    Ok(Box::new(Tasmota {
        label: Label {
            method: Method::Tasmota,
            address: endpoint.shown(scheme.standard_port()),
            plug: plug.named().map(str::to_owned),
        },
        endpoint,
        scheme,
        steps: Steps::from_settings(settings),
        relay: Relay::from_plug(&plug)?,
        credentials: Credentials::from_settings(settings),
        memory: Arc::default(),
    }))
}

/// Which relay is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relay {
    /// The only one of a device that has no other.
    Only,
    /// The n-th, from 1.
    Number(u8),
}

impl Relay {
    /// From `plug`. The name of a node that Pacemaker put there counts only when it is a number.
    fn from_plug(plug: &Plug) -> Result<Self> {
        let text = match plug {
            Plug::None => return Ok(Self::Only),
            Plug::NodeName(name) if !is_number(name.trim()) => return Ok(Self::Only),
            Plug::NodeName(text) | Plug::Named(text) => text.trim(),
        };
        match text.parse::<u8>() {
            Ok(number) if (1..=reply::MOST_RELAYS).contains(&number) && is_number(text) => {
                Ok(Self::Number(number))
            }
            Ok(0) => Err(Error::config(
                "plug",
                "\"0\" means all relays to Tasmota, and their states cannot be confirmed as one",
                "write the relay's number from 1; a node on two relays takes two devices of one level",
            )),
            _ => Err(Error::config(
                "plug",
                format!("\"{text}\" is no relay"),
                "write the relay's number, from 1",
            )),
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[derive(Debug)]
struct Tasmota {
    label: Label,
    endpoint: Endpoint,
    scheme: Scheme,
    steps: Steps,
    relay: Relay,
    credentials: Option<Credentials>,
    memory: Arc<Memory>,
}

#[async_trait]
impl FenceDevice for Tasmota {
    fn label(&self) -> &Label {
        &self.label
    }

    async fn connect(&self, deadline: Deadline) -> Result<Box<dyn Session>> {
        let options = HttpOptions {
            scheme: self.scheme,
            keep_alive: false,
            title_case: true,
        };
        let lock = DeviceLock::of(&self.endpoint, &[80, 443], deadline).await?;
        let client = HttpClient::new(&self.endpoint, options, self.steps, deadline).await?;
        Ok(Box::new(TasmotaSession::new(
            Box::new(client),
            self.endpoint.url_host(),
            self.relay,
            self.credentials.clone(),
            Arc::clone(&self.memory),
            lock,
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plug(text: &str) -> Result<Relay> {
        Relay::from_plug(&Plug::Named(text.into()))
    }

    #[test]
    fn a_plug_is_a_number_from_one() {
        assert_eq!(plug("2").unwrap(), Relay::Number(2));
        assert_eq!(Relay::from_plug(&Plug::None).unwrap(), Relay::Only);
        for wrong in ["", "-1", "+1", "65", "999", "1,2", "relay", "²"] {
            let error = plug(wrong).unwrap_err().to_string();
            assert!(error.starts_with("plug: ") && error.contains("from 1"), "{error}");
        }
    }

    #[test]
    fn all_relays_at_once_are_refused() {
        let error = plug("0").unwrap_err().to_string();
        assert!(error.contains("all relays"), "{error}");
        assert!(Relay::from_plug(&Plug::NodeName("0".into())).is_err());
    }

    #[test]
    fn a_node_name_is_an_outlet_only_as_a_number() {
        let of = |name: &str| Relay::from_plug(&Plug::NodeName(name.into())).unwrap();
        assert_eq!(of("storage-b"), Relay::Only);
        assert_eq!(of("2"), Relay::Number(2));
    }
}
