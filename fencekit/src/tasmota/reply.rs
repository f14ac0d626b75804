//! What Tasmota's replies say. Bytes in, values out.
//!
//! Source of the facts: the firmware's documentation of its commands, and replies of firmware 5.12 to 15.1.

use std::time::Duration;

use super::scraped::{Json, Object};
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::power::{Observation, PowerReading, PowerState};
use crate::transport::http::excerpt;

/// The most relays that any firmware has.
pub(super) const MOST_RELAYS: u8 = 64;

/// Time that a device takes, after a delay of its own, until its relays follow.
const SETTLING: Duration = Duration::from_secs(5);

/// Reads a body as one JSON object.
///
/// # Errors
/// [`Error::Authentication`] for the warning that firmware 8.2 sends with status 200, [`Error::Protocol`] for
/// everything that is no object.
pub(super) fn parse(body: &str) -> Result<Object> {
    let body = body.trim();
    if body.starts_with('<') {
        return Err(Error::protocol(
            "an HTML page in place of JSON; is this a Tasmota, and is its web server in admin mode (WebServer 2)?",
        ));
    }
    let value: Json = serde_json::from_str(body).map_err(|cause| {
        Error::protocol(format!("not JSON, cut or garbled: {}", excerpt(body))).caused_by(cause)
    })?;
    let Json::Object(object) = value else {
        return Err(Error::protocol(format!("not a JSON object: {}", excerpt(body))));
    };
    let warning = object.all("WARNING").find_map(Json::text).map(str::to_owned);
    match warning {
        Some(warning) if warning.contains("password") => {
            Err(Error::authentication("the device demands a password"))
        }
        Some(warning) => Err(Error::protocol(format!("the device warns {}", excerpt(&warning)))),
        None => Ok(object),
    }
}

/// Whether the device calls the command wrong: `{"Command":"Error"}` for a wrong index, `{"Command":"Unknown"}`
/// for a command that it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    Error,
    Unknown,
}

impl Complaint {
    pub(super) fn of(reply: &Object) -> Option<Self> {
        match reply.text("Command")? {
            "Error" => Some(Self::Error),
            "Unknown" => Some(Self::Unknown),
            _ => None,
        }
    }
}

/// The words that this device uses for a relay's states: its settings StateText1 and StateText2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StateTexts {
    pub(super) off: String,
    pub(super) on: String,
}

impl StateTexts {
    /// From the replies to `StateText1` and `StateText2`.
    pub(super) fn from_replies(off: &Object, on: &Object) -> Result<Self> {
        let word = |reply: &Object, key| {
            reply.text(key).map(str::to_owned).ok_or_else(|| {
                Error::protocol(format!(
                    "the device does not say its {key}, so its states cannot be read"
                ))
            })
        };
        let texts = Self {
            off: word(off, "StateText1")?,
            on: word(on, "StateText2")?,
        };
        if texts.off == texts.on {
            return Err(Error::protocol(format!(
                "the device says \"{}\" for both states; run StateText1 OFF and StateText2 ON in its console",
                texts.off
            )));
        }
        Ok(texts)
    }

    pub(super) fn word(&self, state: PowerState) -> &str {
        match state {
            PowerState::Off => &self.off,
            PowerState::On => &self.on,
        }
    }

    /// Exactly one of the two words; anything else is unknown.
    fn observe(&self, word: &str) -> Observation {
        match word {
            _ if word == self.off => Observation::Off,
            _ if word == self.on => Observation::On,
            _ => Observation::unknown(format!("the device says {} for the relay's state", excerpt(word))),
        }
    }
}

/// The number in `POWER3`; 1 for `POWER`.
fn relay_of_key(key: &str) -> Option<u8> {
    match key.strip_prefix("POWER")? {
        "" => Some(1),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    }
    .filter(|relay| (1..=MOST_RELAYS).contains(relay))
}

/// The state of a relay from an object with `POWER` or `POWERn` keys. Missing, or said twice and differently, is
/// unknown.
pub(super) fn relay_state(object: &Object, relay: u8, texts: &StateTexts) -> Observation {
    let mut seen = None;
    for (_, value) in object.pairs().filter(|(key, _)| relay_of_key(key) == Some(relay)) {
        let Json::Text(word) = value else {
            return Observation::unknown("the relay's state is no text");
        };
        let now = texts.observe(word);
        match seen {
            Some(before) if before != now => {
                return Observation::unknown("the reply gives two different states for the relay");
            }
            _ => seen = Some(now),
        }
    }
    seen.unwrap_or_else(|| Observation::unknown(format!("the reply lacks the state of relay {relay}")))
}

/// The reply to `Status 0`, or to one of its parts.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    reply: Object,
    /// SetOption47 out of the reply about it alone.
    start_delay: Option<u8>,
}

impl Status {
    pub(super) fn new(reply: Object) -> Self {
        Self {
            reply,
            start_delay: None,
        }
    }

    /// Adds a part that the whole reply lacked.
    #[must_use]
    pub(super) fn with(mut self, part: Object) -> Self {
        self.reply = self.reply.joined(part);
        self
    }

    /// Adds what the reply to `SetOption47` says.
    #[must_use]
    pub(super) fn with_start_delay(mut self, reply: &Object) -> Self {
        self.start_delay = start_delay(reply);
        self
    }

    /// SetOption47. `None` when no reply so far reveals it.
    pub(super) fn start_delay(&self) -> Option<u8> {
        self.byte_option(47).or(self.start_delay)
    }

    /// Settings of the device itself: names, PowerOnState, PowerLock.
    pub(super) fn general(&self) -> Object {
        self.reply.section("Status")
    }

    pub(super) fn network(&self) -> Object {
        self.reply.section("StatusNET")
    }

    /// Relays and uptime.
    fn state(&self) -> Object {
        self.reply.section("StatusSTS")
    }

    fn sensors(&self) -> Object {
        self.reply.section("StatusSNS")
    }

    pub(super) fn has_relays(&self) -> bool {
        self.state().pairs().any(|(key, _)| relay_of_key(key).is_some())
    }

    pub(super) fn has_sensors(&self) -> bool {
        !self.sensors().is_empty()
    }

    /// How many relays the device has; `None` when the reply does not tell for sure.
    ///
    /// The key `POWER` without a number is used only by a device with one relay. `POWER1` may be the one relay of a
    /// device with SetOption26, or the first of several whose other keys got lost: the names and the bit text then
    /// have to tell.
    pub(super) fn relays(&self) -> Option<u8> {
        let state = self.state();
        let highest = state.pairs().filter_map(|(key, _)| relay_of_key(key)).max()?;
        let general = self.general();
        let named = general
            .one("FriendlyName")
            .map(|names| names.list().map_or(1, <[Json]>::len));
        let bits = general
            .text("Power")
            .filter(|bits| bits.bytes().all(|b| matches!(b, b'0' | b'1')))
            .map(str::len);
        if named.is_none() && bits.is_none() {
            let bare = state.pairs().any(|(key, _)| key == "POWER");
            return (bare && highest == 1).then_some(1);
        }
        let most = named.into_iter().chain(bits).max().unwrap_or_default();
        Some(u8::try_from(most).unwrap_or(MOST_RELAYS).max(highest))
    }

    /// The relay's state by its text, which the bits of `Status.Power` must not contradict, and which says little
    /// while the relays are not driven yet.
    pub(super) fn observe(&self, relay: u8, texts: &StateTexts) -> Observation {
        let by_text = relay_state(&self.state(), relay, texts);
        match (&by_text, self.power_bit(relay)) {
            (Observation::Off, Some(true)) | (Observation::On, Some(false)) => Observation::unknown(format!(
                "the device contradicts itself: it says {by_text} for relay {relay}, and the opposite in Status.Power"
            )),
            (Observation::Off, _) if self.is_starting() => Observation::unknown(match self.start_delay() {
                Some(_) => {
                    "the device has just started and delays its relays (SetOption47): its OFF is not in effect yet"
                }
                None => {
                    "the device does not say whether it delays its relays after a start (SetOption47), and may have just started"
                }
            }),
            _ => by_text,
        }
    }

    /// Whether SetOption47 still keeps commands from the relays: for that many seconds after a start, with 1 until
    /// the network is up, with 2 until MQTT is.
    fn is_starting(&self) -> bool {
        let started_for = |least: u64| {
            let uptime = self.uptime();
            uptime.is_some_and(|uptime| uptime >= Duration::from_secs(least) + SETTLING)
        };
        match self.start_delay() {
            Some(0) => false,
            // A key may get lost on the way, so its absence is no 0: the longest delay has to be over.
            None => !started_for(u64::from(u8::MAX)),
            Some(2) => !self
                .state()
                .number("MqttCount")
                .is_some_and(|connections| connections >= 1.0),
            Some(seconds) => !started_for(u64::from(seconds)),
        }
    }

    /// `Status.Power`: a number with a bit for each relay, since firmware 13 a text of binary digits, of which only
    /// those are read that need no knowledge of their order.
    fn power_bit(&self, relay: u8) -> Option<bool> {
        match self.general().one("Power")? {
            Json::Number(bits) if *bits >= 0.0 && bits.fract() == 0.0 && *bits <= f64::from(u32::MAX) => {
                let shift = u32::from(relay.checked_sub(1)?);
                Some((*bits as u64).checked_shr(shift)? & 1 == 1)
            }
            Json::Text(bits) if !bits.is_empty() && bits.bytes().all(|b| b == b'0') => Some(false),
            Json::Text(bits) if !bits.is_empty() && bits.bytes().all(|b| b == b'1') => Some(true),
            _ => None,
        }
    }

    /// The owner's name for a relay; empty where there is none.
    pub(super) fn friendly_name(&self, relay: u8) -> String {
        let general = self.general();
        let name = match general.one("FriendlyName") {
            Some(Json::List(names)) => usize::from(relay)
                .checked_sub(1)
                .and_then(|index| names.get(index)),
            other if relay == 1 => other,
            _ => None,
        };
        name.and_then(Json::text).unwrap_or_default().to_owned()
    }

    pub(super) fn mac(&self) -> Option<String> {
        let network = self.network();
        let real = |mac: &&str| mac.bytes().any(|b| b.is_ascii_alphanumeric() && b != b'0');
        let wired = network.section("Ethernet");
        let mac = network
            .text("Mac")
            .filter(real)
            .or_else(|| wired.text("Mac").filter(real));
        mac.map(str::to_owned)
    }

    /// MAC; the host name as device id; DeviceName, else the first FriendlyName, else the topic as name.
    pub(super) fn identity(&self) -> Identity {
        let general = self.general();
        let firmware = self.reply.section("StatusFWR");
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let friendly = Some(self.friendly_name(1)).filter(|name| !name.is_empty());
        Identity {
            mac: self.mac(),
            device_id: owned(self.network().text("Hostname")),
            guid: None,
            name: owned(general.text("DeviceName"))
                .or(friendly)
                .or(owned(general.text("Topic"))),
            model: owned(firmware.text("Hardware")),
            firmware: owned(firmware.text("Version")),
        }
    }

    pub(super) fn uptime(&self) -> Option<Duration> {
        let state = self.state();
        match state.number("UptimeSec") {
            Some(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            None => clock_uptime(state.text("Uptime")?),
        }
    }

    /// SetOption0 to 31, 50 and above: one bit each, in the groups of `StatusLOG.SetOption`. `None` when the reply
    /// does not reveal it.
    pub(super) fn option(&self, number: u8) -> Option<bool> {
        let (group, bit) = match number {
            0..=31 => (0, number),
            50..=177 => (2 + (number - 50) / 32, (number - 50) % 32),
            _ => return None,
        };
        let word = u32::from_str_radix(self.option_group(group)?.as_str(), 16).ok()?;
        Some(word >> bit & 1 == 1)
    }

    /// SetOption32 to 49: one byte each.
    pub(super) fn byte_option(&self, number: u8) -> Option<u8> {
        let index = usize::from(number.checked_sub(32)?);
        let group = self.option_group(1)?;
        let digits = group.get(index * 2..index * 2 + 2)?;
        u8::from_str_radix(digits, 16).ok()
    }

    fn option_group(&self, group: u8) -> Option<String> {
        let log = self.reply.section("StatusLOG");
        let text = log.one("SetOption")?.list()?.get(usize::from(group))?.text()?;
        (text.is_ascii() && (group == 1 || text.len() == 8)).then(|| text.to_owned())
    }

    pub(super) fn has_meter(&self) -> bool {
        !self.sensors().section("ENERGY").is_empty()
    }

    /// The relay's meter.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without a meter, or with one whose channels cannot be told apart; [`Error::Protocol`]
    /// when the power is missing or no number.
    pub(super) fn power_reading(&self, relay: u8) -> Result<PowerReading> {
        let energy = self.sensors().section("ENERGY");
        if energy.is_empty() {
            return Err(Error::unsupported("this device has no power meter"));
        }
        let relays = usize::from(self.relays().unwrap_or(MOST_RELAYS));
        let channel = Channel::of(energy.one("Power"), usize::from(relay), relays)?;
        let watts = channel
            .read(energy.one("Power"))
            .ok_or_else(|| Error::protocol("the meter's reply lacks ENERGY.Power, or it is no number"))?;
        Ok(PowerReading {
            watts,
            volts: energy.one("Voltage").and_then(|value| channel.read_alike(value)),
            amps: channel.read(energy.one("Current")),
            kilowatt_hours: channel.read(energy.one("Total")),
        })
    }
}

/// SetOption47 out of the reply about it alone; 0 where the firmware does not have it.
fn start_delay(reply: &Object) -> Option<u8> {
    match reply.number("SetOption47") {
        Some(seconds) if seconds.fract() == 0.0 && (0.0..=255.0).contains(&seconds) => Some(seconds as u8),
        Some(_) => None,
        None => Complaint::of(reply).map(|_| 0),
    }
}

/// `2T01:02:03`, in firmware before 6 `2 01:02:03`: days and a time.
fn clock_uptime(text: &str) -> Option<Duration> {
    let (days, clock) = text.split_once(['T', ' '])?;
    let mut seconds = days.parse::<u64>().ok()?.checked_mul(24)?;
    let mut parts = clock.split(':');
    for (index, part) in parts.by_ref().take(3).enumerate() {
        let part = part.parse::<u64>().ok()?;
        seconds = if index == 0 {
            seconds
        } else {
            seconds.checked_mul(60)?
        }
        .checked_add(part)?;
    }
    (clock.split(':').count() == 3).then(|| Duration::from_secs(seconds))
}

/// Which of a meter's channels belong to a relay.
#[derive(Clone, Copy, Debug)]
enum Channel {
    /// The one there is. On a device with several relays it measures all of them, which errs towards "still on".
    Whole,
    /// All phases of a device with one relay.
    Sum,
    /// One of as many as there are relays.
    Index(usize),
}

impl Channel {
    fn of(power: Option<&Json>, relay: usize, relays: usize) -> Result<Self> {
        match power.and_then(Json::list) {
            None => Ok(Self::Whole),
            Some(_) if relays == 1 => Ok(Self::Sum),
            Some(list) if list.len() == relays => Ok(Self::Index(relay.saturating_sub(1))),
            Some(list) => Err(Error::unsupported(format!(
                "the device has {} meters for {relays} relays: which is whose cannot be told",
                list.len()
            ))),
        }
    }

    fn read(self, value: Option<&Json>) -> Option<f64> {
        let number = match (self, value?) {
            (Self::Whole, value) => value.number()?,
            (Self::Index(index), Json::List(list)) => list.get(index)?.number()?,
            (Self::Sum, Json::List(list)) => sum(list)?,
            (Self::Sum, value) => value.number()?,
            (Self::Index(_), _) => return None,
        };
        number.is_finite().then_some(number)
    }

    /// For a value that the channels may share, as the voltage.
    fn read_alike(self, value: &Json) -> Option<f64> {
        match (self, value) {
            (Self::Sum, Json::List(list)) => list.first()?.number(),
            (_, Json::Number(number)) => Some(*number),
            (_, value) => self.read(Some(value)),
        }
    }
}

/// The sum of numbers that are all there. One below -1 W is a broken meter and may not hide another's load.
fn sum(list: &[Json]) -> Option<f64> {
    let numbers: Option<Vec<f64>> = list.iter().map(Json::number).collect();
    let numbers = numbers.filter(|numbers| numbers.iter().all(|n| *n >= -1.0))?;
    (!numbers.is_empty()).then(|| numbers.iter().map(|n| n.max(0.0)).sum())
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
