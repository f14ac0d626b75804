//! ESPHome's REST API as text: addresses of entities, and the replies about them.
//!
//! Three generations of firmware name an entity in three ways: `"id":"switch-relay"` alone, then `"name_id":"switch/Relay"`
//! beside it (2026.1 to 2026.7), then `"id":"switch/Relay"` (2026.8 and later). A switch of a sub-device has the
//! sub-device's name in between.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::esphome::plug::{Name, is_object_id_of, object_id};
use crate::esphome::watts_of_unit;
use crate::identity::Identity;
use crate::power::{Observation, PowerState};
use crate::transport::http::excerpt;

/// All but RFC 3986's unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Last parts of an address that act. Firmware of 2024 acts even on a GET, so a look must never end in one.
const ACTIONS: [&str; 4] = ["turn_on", "turn_off", "toggle", "set"];

/// What an entity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    Switch,
    Sensor,
}

impl Domain {
    fn name(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::Sensor => "sensor",
        }
    }

    /// The option that names it.
    fn option(self) -> &'static str {
        match self {
            Self::Switch => "plug",
            Self::Sensor => "power_sensor",
        }
    }
}

/// Addresses that the entity may have, the likeliest first: by name, then by object id, which firmware knew until
/// 2026.7 and which is all that firmware before 2026.1 knew.
///
/// # Errors
/// [`Error::Config`] for a name that no address can carry, or that would read as an action.
pub(super) fn addresses(domain: Domain, name: &Name) -> Result<Vec<String>> {
    let parts = match name.of_sub_device() {
        Some((device, entity)) => [
            vec![device.to_owned(), entity.to_owned()],
            vec![device.to_owned(), object_id(entity)],
        ],
        None => [vec![name.as_str().to_owned()], vec![object_id(name.as_str())]],
    };
    let mut addresses = Vec::new();
    for parts in parts {
        check(&parts, domain, name)?;
        let mut address = format!("/{}", domain.name());
        for part in &parts {
            address.push('/');
            address.extend(utf8_percent_encode(part, SEGMENT));
        }
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

fn check(parts: &[String], domain: Domain, name: &Name) -> Result<()> {
    let refuse = |why: &str| {
        Err(Error::config(
            domain.option(),
            format!("\"{}\" {why}", name.as_str()),
            format!(
                "write the {}'s name as ESPHome shows it, or use transport=native",
                domain.name()
            ),
        ))
    };
    if parts.iter().any(|part| part == "." || part == "..") {
        return refuse("cannot stand in a URL");
    }
    match parts {
        [_, last] if ACTIONS.contains(&last.as_str()) => {
            refuse("would read as an action in ESPHome's REST API")
        }
        _ => Ok(()),
    }
}

/// A reply about one entity. Unknown fields are passed over; a doubled one is an error.
#[derive(Debug, Deserialize)]
struct Entity {
    id: Option<String>,
    name_id: Option<String>,
    #[serde(default)]
    value: Option<Value>,
    state: Option<Value>,
    #[serde(default)]
    assumed_state: Option<Value>,
    #[serde(default)]
    uom: Option<Value>,
}

impl Entity {
    fn read(body: &[u8], domain: Domain, asked: &Name) -> Result<Self> {
        let entity: Self = serde_json::from_slice(body).map_err(|cause| {
            Error::protocol(format!(
                "not ESPHome's JSON about a {}: {}",
                domain.name(),
                excerpt(&String::from_utf8_lossy(body))
            ))
            .caused_by(cause)
        })?;
        let Some(said) = entity.name_id.as_deref().or(entity.id.as_deref()) else {
            return Err(Error::protocol(format!(
                "the reply does not say which {} it is about",
                domain.name()
            )));
        };
        if is_about(said, domain, asked) {
            return Ok(entity);
        }
        Err(Error::protocol(format!(
            "asked for {} \"{}\", the reply is about {}",
            domain.name(),
            asked.as_str(),
            excerpt(said)
        )))
    }
}

impl Entity {
    /// The sensor's unit: of its own, else behind the number in `state`, as in `87.5 W`.
    fn unit(&self) -> Option<&str> {
        let said = self.uom.as_ref().and_then(Value::as_str).map(str::trim);
        let shown = || {
            let text = self.state.as_ref()?.as_str()?;
            Some(
                text.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'))
                    .trim(),
            )
        };
        said.filter(|unit| !unit.is_empty())
            .or_else(shown)
            .filter(|unit| !unit.is_empty())
    }
}

/// Whether an id of any generation names the entity that was asked for.
fn is_about(said: &str, domain: Domain, asked: &Name) -> bool {
    let Some(rest) = said.strip_prefix(domain.name()) else {
        return false;
    };
    if let Some(id) = rest.strip_prefix('-') {
        // Of the first generation, which says nothing of a sub-device.
        return is_object_id_of(id, asked.as_str());
    }
    let Some(name) = rest.strip_prefix('/') else {
        return false;
    };
    let in_sub_device = || {
        let (device, entity) = asked.of_sub_device()?;
        Some(Name::new(entity).means(name.strip_prefix(device)?.strip_prefix('/')?))
    };
    asked.means(name) || in_sub_device().unwrap_or(false)
}

/// The state of a switch out of a reply.
///
/// # Errors
/// [`Error::Protocol`] when the reply is not about this switch, or cannot be read.
pub(super) fn switch_state(body: &[u8], asked: &Name) -> Result<Observation> {
    let entity = Entity::read(body, Domain::Switch, asked)?;
    if entity.assumed_state == Some(Value::Bool(true)) {
        return Ok(Observation::unknown(
            "the device assumes the switch's state and cannot see it (assumed_state)",
        ));
    }
    let Some(Value::Bool(on)) = entity.value else {
        return Ok(Observation::unknown("the device's reply has no state in it"));
    };
    let state = if on { PowerState::On } else { PowerState::Off };
    match entity.state.as_ref().and_then(Value::as_str) {
        Some(text) if !text.eq_ignore_ascii_case(&state.to_string()) => Ok(Observation::unknown(format!(
            "the device contradicts itself: value={on}, state={}",
            excerpt(text)
        ))),
        _ => Ok(state.into()),
    }
}

/// Watts out of a reply about a power sensor.
///
/// # Errors
/// [`Error::Protocol`] when the reply is not about this sensor, or has no finite number; [`Error::Config`] when it
/// measures something else, or does not say what: a reading in another unit could be taken for a small one.
pub(super) fn watts(body: &[u8], asked: &Name) -> Result<f64> {
    let entity = Entity::read(body, Domain::Sensor, asked)?;
    let no_value = || {
        Error::protocol(format!(
            "sensor \"{}\" has no value at the moment",
            asked.as_str()
        ))
    };
    let number = entity
        .value
        .as_ref()
        .and_then(Value::as_f64)
        .ok_or_else(no_value)?;
    let other_unit = |problem: String| {
        Error::config(
            "power_sensor",
            format!("\"{}\" {problem}", asked.as_str()),
            "name a sensor that measures in W or kW",
        )
    };
    let unit = entity
        .unit()
        .ok_or_else(|| other_unit("does not say its unit".to_owned()))?;
    let factor = watts_of_unit(unit).ok_or_else(|| other_unit(format!("measures in {}", excerpt(unit))))?;
    Some(number * factor)
        .filter(|watts| watts.is_finite())
        .ok_or_else(no_value)
}

/// An event of the stream `/events`, where it is whole.
fn event<'a>(stream: &'a str, kind: &str) -> Option<&'a str> {
    let mut lines = stream.split_inclusive('\n');
    let (mut of_kind, mut data) = (false, None);
    loop {
        let whole = lines.next().filter(|line| line.ends_with('\n'))?;
        let line = whole.trim_end();
        if line.is_empty() {
            if let Some(data) = data.take().filter(|_| of_kind) {
                return Some(data);
            }
            (of_kind, data) = (false, None);
        } else if let Some(name) = line.strip_prefix("event:") {
            of_kind = name.trim() == kind;
        } else if let Some(text) = line.strip_prefix("data:") {
            data = Some(text.trim_start());
        }
    }
}

/// Whether the stream so far holds the event that tells who the device is.
pub(super) fn has_identity(stream: &[u8]) -> bool {
    event(&String::from_utf8_lossy(stream), "ping").is_some()
}

/// Who the device is, by the first `ping` of its event stream: the friendly name or, without one, the host's name.
///
/// # Errors
/// [`Error::Protocol`] when there is no such event.
pub(super) fn identity(stream: &[u8]) -> Result<Identity> {
    #[derive(Deserialize)]
    struct Ping {
        title: String,
    }
    let stream = String::from_utf8_lossy(stream);
    let unreadable = || Error::protocol("the event stream does not begin with the device's name");
    let ping = event(&stream, "ping").ok_or_else(unreadable)?;
    let ping: Ping = serde_json::from_str(ping).map_err(|cause| unreadable().caused_by(cause))?;
    Ok(Identity {
        name: Some(ping.title).filter(|title| !title.is_empty()),
        ..Identity::default()
    })
}

#[cfg(test)]
mod tests;
