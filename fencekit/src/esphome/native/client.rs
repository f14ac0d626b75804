//! The client's side of a conversation over the native API, without sockets, clock or randomness of its own.
//!
//! Bytes of the device go in through [`Client::handle`], bytes for the device come out of [`Client::take_output`]; what
//! was learned so far can be looked at any time.
//!
//! Two pings do work here. One goes out before each question, and no state counts before its answer has come: what the
//! device sent earlier may be of earlier. Others follow while an answer is awaited: the firmware looks after its queue
//! every 16 ms only, unless a message wakes it.

use zeroize::Zeroizing;

use super::frame::{Broken, Inbox, write_noise, write_plain};
use super::message::{self, DeviceInfo, Entity, Incoming, Key, Outgoing, State};
use super::noise::{Channel, Handshake, PreSharedKey};
use crate::error::Error;
use crate::transport::http::excerpt;

/// Entities of each kind that a device may list. Real devices have a few dozen.
const MOST_ENTITIES: usize = 1000;
/// Pings that follow one question at most.
const MOST_NUDGES: u32 = 4;
/// The version of the API that is spoken.
const MAJOR: u32 = 1;

/// Why a conversation cannot go on.
#[derive(Debug)]
pub(super) enum Failure {
    /// The device talks to nobody without a key.
    KeyMissing,
    /// The key is not the device's.
    KeyWrong,
    /// The device does not encrypt.
    NotEncrypted,
    /// Something else than ESPHome's native API answers.
    Foreign,
    /// The device ended the conversation.
    Ended,
    /// Anything else.
    Other(Error),
}

impl Failure {
    fn protocol(detail: impl Into<String>) -> Self {
        Self::Other(Error::protocol(detail))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Encrypted => Self::KeyMissing,
            Broken::Plaintext => Self::NotEncrypted,
            Broken::Foreign => Self::Foreign,
            Broken::TooLarge(bytes) => {
                Self::protocol(format!("the device announces a message of {bytes} bytes"))
            }
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::KeyMissing => Self::authentication(
                "the device's native API demands encryption; give encryption_key, as in its api: encryption: key:",
            ),
            Failure::KeyWrong => Self::authentication(
                "the device does not accept this encryption_key; compare it with its api: encryption: key:",
            ),
            Failure::NotEncrypted => Self::config(
                "encryption_key",
                "is given, but the device's native API does not encrypt",
                "give the device encryption: under its api:, or leave the option out",
            ),
            Failure::Foreign => {
                Self::protocol("what answers is not ESPHome's native API; check ip, ipport and transport")
            }
            Failure::Ended => Self::unreachable("the device ended the conversation; is it restarting?"),
            Failure::Other(error) => error,
        }
    }
}

/// How bytes become messages.
enum Line {
    Plain,
    /// Both greetings are on their way; the handshake waits for the device's.
    Greeted(Handshake),
    /// The device has greeted; its half of the handshake is awaited.
    Shaking(Handshake),
    Encrypted(Channel),
    /// A failure ended the conversation.
    Closed,
}

/// One conversation.
pub(super) struct Client {
    line: Line,
    inbox: Inbox,
    outbox: Vec<u8>,
    /// Messages that wait for the encrypted channel.
    held: Vec<Outgoing>,
    pings: u32,
    pongs: u32,
    /// The answer to this ping came before the question that is open.
    mark: u32,
    nudges: u32,
    greeted: bool,
    info: Option<DeviceInfo>,
    switches: Vec<Entity>,
    sensors: Vec<Entity>,
    listed: bool,
    /// States that arrived since the mark.
    switch_states: Vec<State<bool>>,
    sensor_states: Vec<State<f32>>,
    /// The last reading of each sensor, of whatever time.
    last_readings: Vec<State<f32>>,
    ended: bool,
}

impl Client {
    /// A conversation in plaintext, with the questions who the device is and what it has already asked.
    pub(super) fn plain() -> Self {
        Self::new(Line::Plain)
    }

    /// The same, encrypted. `ephemeral`: 32 random bytes for this conversation alone.
    ///
    /// # Errors
    /// [`Failure::Other`] when the cipher cannot be set up.
    pub(super) fn encrypted(key: &PreSharedKey, ephemeral: Zeroizing<[u8; 32]>) -> Result<Self, Failure> {
        let (handshake, first) = Handshake::start(key, ephemeral)
            .map_err(|cause| Error::unsupported("the encryption cannot be set up").caused_by(cause))?;
        let mut body = vec![0];
        body.extend_from_slice(&first);
        let mut client = Self::new(Line::Greeted(handshake));
        write_noise(&mut client.outbox, &[]);
        write_noise(&mut client.outbox, &body);
        Ok(client)
    }

    fn new(line: Line) -> Self {
        let mut client = Self {
            line,
            inbox: Inbox::default(),
            outbox: Vec::new(),
            held: Vec::new(),
            pings: 0,
            pongs: 0,
            mark: 0,
            nudges: 0,
            greeted: false,
            info: None,
            switches: Vec::new(),
            sensors: Vec::new(),
            listed: false,
            switch_states: Vec::new(),
            sensor_states: Vec::new(),
            last_readings: Vec::new(),
            ended: false,
        };
        client.send(message::hello());
        client.send(message::login());
        client.send(message::device_info_request());
        client.send(message::list_entities());
        client.ping();
        client.nudges = MOST_NUDGES;
        client
    }

    /// Bytes to send now; empty when there is nothing to say.
    pub(super) fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outbox)
    }

    /// Takes bytes of the device, cut in whatever way.
    ///
    /// # Errors
    /// [`Failure`]: the conversation is over. Output that is left may still be sent.
    pub(super) fn handle(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.inbox.push(bytes);
        let outcome = self.read();
        if outcome.is_err() {
            self.line = Line::Closed;
        }
        outcome
    }

    fn read(&mut self) -> Result<(), Failure> {
        while let Some((kind, fields)) = self.next_message()? {
            self.take(message::read(kind, &fields)?)?;
        }
        Ok(())
    }

    /// The next whole message; goes through the handshake on the way.
    fn next_message(&mut self) -> Result<Option<Outgoing>, Failure> {
        loop {
            if let Line::Plain = self.line {
                return Ok(self.inbox.plain()?);
            }
            let Some(body) = self.inbox.noise()? else {
                return Ok(None);
            };
            match std::mem::replace(&mut self.line, Line::Closed) {
                Line::Greeted(handshake) => self.line = greeted(handshake, &body)?,
                Line::Shaking(handshake) => {
                    self.line = Line::Encrypted(shaken(handshake, &body)?);
                    for message in std::mem::take(&mut self.held) {
                        self.send(message);
                    }
                }
                Line::Encrypted(mut channel) => {
                    let opened = channel.open(&body).map_err(|cause| {
                        Error::protocol("an encrypted message was forged, lost or repeated").caused_by(cause)
                    })?;
                    self.line = Line::Encrypted(channel);
                    return unpacked(&opened).map(Some);
                }
                Line::Plain | Line::Closed => return Err(Failure::Ended),
            }
        }
    }

    fn take(&mut self, incoming: Incoming) -> Result<(), Failure> {
        match incoming {
            Incoming::Hello { major: MAJOR } => self.greeted = true,
            Incoming::Hello { major } => {
                return Err(Failure::protocol(format!(
                    "the device speaks version {major} of the native API, fencekit version {MAJOR}"
                )));
            }
            Incoming::Login { refused: false } => {}
            Incoming::Login { refused: true } => {
                return Err(Failure::Other(Error::authentication(
                    "the device's native API demands a password, which ESPHome gave up; give it encryption: in its place",
                )));
            }
            Incoming::DeviceInfo(info) => self.info = Some(info),
            Incoming::Switch(entity) => listed(&mut self.switches, entity)?,
            Incoming::Sensor(entity) => listed(&mut self.sensors, entity)?,
            Incoming::ListDone => self.listed = true,
            Incoming::SwitchState(state) => {
                if self.is_fresh() && known(&self.switches, state.key) {
                    note(&mut self.switch_states, state);
                }
            }
            Incoming::SensorState(state) => {
                if known(&self.sensors, state.key) {
                    note(&mut self.last_readings, state);
                    if self.is_fresh() {
                        note(&mut self.sensor_states, state);
                    }
                }
            }
            Incoming::Ping => self.send(message::pong()),
            Incoming::Pong => self.ponged()?,
            Incoming::Disconnect => {
                self.send(message::disconnected());
                return Err(Failure::Ended);
            }
            Incoming::Disconnected => self.ended = true,
            Incoming::Other => {}
        }
        Ok(())
    }

    fn ponged(&mut self) -> Result<(), Failure> {
        self.pongs += 1;
        if self.pongs > self.pings {
            return Err(Failure::protocol(
                "the device answers more pings than it was sent",
            ));
        }
        if self.pongs == self.pings && self.nudges > 0 {
            self.nudges -= 1;
            self.ping();
        }
        Ok(())
    }

    /// Whether the device has spoken at all.
    pub(super) fn is_greeted(&self) -> bool {
        self.greeted
    }

    /// Whether an encrypted channel is meant, but the device has not yet shown that it can have one.
    pub(super) fn awaits_channel(&self) -> bool {
        matches!(self.line, Line::Greeted(_) | Line::Shaking(_))
    }

    /// Whether both sides have shown that they know the key.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.line, Line::Encrypted(_))
    }

    /// Who the device is and all that it has, once both are known.
    pub(super) fn introduction(&self) -> Option<(&DeviceInfo, &[Entity], &[Entity])> {
        let info = self.info.as_ref().filter(|_| self.greeted && self.listed)?;
        Some((info, &self.switches, &self.sensors))
    }

    /// Asks for all states anew. Those that are known already no longer count.
    pub(super) fn ask_states(&mut self) {
        self.ping();
        self.mark = self.pings;
        self.switch_states.clear();
        self.sensor_states.clear();
        self.send(message::subscribe_states());
        self.nudges = MOST_NUDGES;
    }

    /// Tells a switch to take a state; [`is_accepted`](Self::is_accepted) says when the device has read it.
    pub(super) fn command(&mut self, key: Key, on: bool) {
        self.send(message::switch_command(key, on));
        self.ping();
        self.mark = self.pings;
        self.switch_states.clear();
        self.sensor_states.clear();
        self.nudges = 0;
    }

    /// Whether the device has read everything up to the last command: it answers in order.
    pub(super) fn is_accepted(&self) -> bool {
        self.is_fresh()
    }

    /// What the device said of a switch since the states were asked for; the inner `None`: that it knows no state.
    pub(super) fn switch_state(&self, key: Key) -> Option<Option<bool>> {
        find(&self.switch_states, key)
    }

    /// The same of a sensor.
    pub(super) fn reading(&self, key: Key) -> Option<Option<f32>> {
        find(&self.sensor_states, key)
    }

    /// The last reading of a sensor in this conversation, of whatever time.
    pub(super) fn last_reading(&self, key: Key) -> Option<f32> {
        find(&self.last_readings, key).flatten()
    }

    /// Says goodbye; [`is_over`](Self::is_over) says when the device has agreed.
    pub(super) fn goodbye(&mut self) {
        self.nudges = 0;
        self.send(message::disconnect());
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended
    }

    fn is_fresh(&self) -> bool {
        self.pongs >= self.mark
    }

    fn ping(&mut self) {
        self.pings += 1;
        self.send(message::ping());
    }

    fn send(&mut self, (kind, fields): Outgoing) {
        match &mut self.line {
            Line::Plain => write_plain(&mut self.outbox, kind, &fields),
            Line::Greeted(_) | Line::Shaking(_) => self.held.push((kind, fields)),
            Line::Encrypted(channel) => {
                // What cannot be sealed is not sent; then its answer does not come either.
                if let Ok(sealed) = channel.seal(&packed(kind, &fields)) {
                    write_noise(&mut self.outbox, &sealed);
                }
            }
            Line::Closed => {}
        }
    }
}

/// The device's greeting: the protocol that it chose, then its name and MAC address, which nothing proves yet.
fn greeted(handshake: Handshake, body: &[u8]) -> Result<Line, Failure> {
    match body.first() {
        Some(1) => Ok(Line::Shaking(handshake)),
        _ => Err(Failure::protocol(
            "the device greets with an encryption that fencekit does not speak",
        )),
    }
}

/// The device's half of the handshake, or its refusal in words.
fn shaken(handshake: Handshake, body: &[u8]) -> Result<Channel, Failure> {
    match body.split_first() {
        Some((0, reply)) => handshake.finish(reply).map_err(|_| Failure::KeyWrong),
        Some((_, text)) => {
            let text = String::from_utf8_lossy(text);
            if text.contains("MAC") {
                Err(Failure::KeyWrong)
            } else {
                Err(Failure::protocol(format!(
                    "the device refuses the handshake: {}",
                    excerpt(&text)
                )))
            }
        }
        None => Err(Failure::protocol("the device's half of the handshake is empty")),
    }
}

/// Type and length before an encrypted message.
fn packed(kind: u16, fields: &[u8]) -> Vec<u8> {
    let length = u16::try_from(fields.len()).unwrap_or(u16::MAX);
    let mut packed = Vec::with_capacity(4 + fields.len());
    packed.extend_from_slice(&kind.to_be_bytes());
    packed.extend_from_slice(&length.to_be_bytes());
    packed.extend_from_slice(fields);
    packed
}

fn unpacked(opened: &[u8]) -> Result<Outgoing, Failure> {
    let cut = || Failure::protocol("an encrypted message is shorter or longer than it says");
    let ([kind_high, kind_low, length_high, length_low], fields) =
        opened.split_first_chunk::<4>().ok_or_else(cut)?;
    let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
    if fields.len() != length {
        return Err(cut());
    }
    Ok((u16::from_be_bytes([*kind_high, *kind_low]), fields.to_vec()))
}

fn listed(entities: &mut Vec<Entity>, entity: Entity) -> Result<(), Failure> {
    if entities.len() >= MOST_ENTITIES {
        return Err(Failure::protocol(format!(
            "the device lists more than {MOST_ENTITIES} entities"
        )));
    }
    entities.push(entity);
    Ok(())
}

fn known(entities: &[Entity], key: Key) -> bool {
    entities.iter().any(|entity| entity.key == key)
}

fn note<T>(states: &mut Vec<State<T>>, state: State<T>) {
    states.retain(|known| known.key != state.key);
    states.push(state);
}

fn find<T: Copy>(states: &[State<T>], key: Key) -> Option<Option<T>> {
    states
        .iter()
        .find(|state| state.key == key)
        .map(|state| state.value)
}

#[cfg(test)]
mod tests;
