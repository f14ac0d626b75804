//! ESPHome's native API (`api:`), in plaintext or encrypted. Written apart from the core's side of it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::line::{Line, Message};
use super::object_id;
use crate::device::Device;
use crate::wire::{Running, Wire, listen};

/// Changed states are pushed this often, as real firmware batches them.
const BATCH: Duration = Duration::from_millis(100);
/// Largest message that a client may send, in bytes.
pub(super) const LARGEST: usize = 32 * 1024;

/// The key that both sides of the encrypted API share.
pub type NativeKey = [u8; 32];

/// A key as ESPHome writes it: base64 of 32 bytes.
#[must_use]
pub fn parse_key(text: &str) -> Option<NativeKey> {
    STANDARD.decode(text.trim()).ok()?.try_into().ok()
}

/// Serves a device's outlets as switches called by their aliases, its meter as the sensor `Power` (and `<switch> Power`
/// for each of several), and `Uptime`. An alias with a slash, as `Rack B/Relay`, is a switch of a sub-device.
///
/// The protocol has no words for a refusal: a refused command is passed over, as real firmware does with a key that it
/// does not know.
///
/// # Errors
/// Those of binding the socket.
pub async fn serve_native(
    device: Device,
    address: SocketAddr,
    key: Option<NativeKey>,
) -> io::Result<Running> {
    listen(device, address, "native", move |wire| serve(wire, key)).await
}

async fn serve(mut wire: Wire, key: Option<NativeKey>) -> io::Result<()> {
    let line = match key {
        Some(key) => Line::encrypted(key),
        None => Line::plain(),
    };
    let mut client = Conversation {
        device: wire.device.clone(),
        line,
        subscribed: None,
        over: false,
    };
    let mut buffer = [0; 4096];
    while !client.over {
        let Ok(read) = tokio::time::timeout(BATCH, wire.read(&mut buffer)).await else {
            let pushed = client.changes();
            if !pushed.is_empty() && !wire.device.faults().silent {
                wire.reply(&pushed, false).await?;
            }
            continue;
        };
        let read = read?;
        if read == 0 {
            return Ok(());
        }
        wire.admit().await?;
        let replies = client.handle(buffer.get(..read).unwrap_or_default());
        if !replies.is_empty() {
            wire.reply(&replies, false).await?;
        }
    }
    wire.finish().await;
    Ok(())
}

/// One client.
struct Conversation {
    device: Device,
    line: Line,
    /// The states that the client has been told, once it subscribed to them.
    subscribed: Option<Vec<Option<bool>>>,
    over: bool,
}

/// A sensor by its name, and the outlet whose meter it shows; the one without is the uptime.
struct Sensor {
    name: String,
    outlet: Option<usize>,
}

impl Conversation {
    /// Obeys what came, and gives back what is to be said to it.
    fn handle(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let rejected = self.device.faults().reject_auth;
        let messages = match self
            .line
            .read(bytes, &self.device.reported_name(), rejected, &mut out)
        {
            Ok(messages) => messages,
            Err(()) => {
                self.over = true;
                return out;
            }
        };
        for message in messages {
            self.obey(&message, &mut out);
        }
        out
    }

    fn obey(&mut self, message: &Message, out: &mut Vec<u8>) {
        match message.kind {
            1 => {
                let hello = Message::new(2)
                    .varint(1, 1)
                    .varint(2, 19)
                    .text(3, "fencekit-sim")
                    .text(4, &object_id(&self.device.reported_name()).replace('_', "-"));
                self.line.write(&hello, out);
            }
            // Firmware answers the login of old only where a password is wrong, as far as anybody can tell.
            3 if self.device.faults().reject_auth => self.line.write(&Message::new(4).varint(1, 1), out),
            5 => {
                self.line.write(&Message::new(6), out);
                self.over = true;
            }
            7 => self.line.write(&Message::new(8), out),
            9 => {
                let info = self.info();
                self.line.write(&info, out);
            }
            11 => self.list(out),
            20 => {
                self.subscribed = Some(self.reported());
                self.states(out);
            }
            33 => self.command(message),
            _ => {}
        }
    }

    fn info(&self) -> Message {
        let name = self.device.reported_name();
        let mut info = Message::new(10)
            .text(2, &object_id(&name).replace('_', "-"))
            .text(3, &self.device.reported_mac())
            .text(4, "2026.10.0")
            .text(6, &self.device.spec().model)
            .text(13, &name)
            .varint(19, u64::from(self.line.is_encrypted()));
        let mut told = Vec::new();
        for outlet in &self.device.spec().outlets {
            if let Some((sub_device, _)) = outlet.alias.split_once('/')
                && !told.contains(&sub_device.to_owned())
            {
                told.push(sub_device.to_owned());
                let sub = Message::new(0)
                    .varint(1, u64::from(fnv(sub_device)))
                    .text(2, sub_device);
                info = info.message(20, &sub);
            }
        }
        info
    }

    fn list(&mut self, out: &mut Vec<u8>) {
        for sensor in self.sensors() {
            let (unit, class) = match sensor.outlet {
                Some(_) => ("W", "power"),
                None => ("s", "duration"),
            };
            let (device, name) = parted(&sensor.name);
            let entity = Message::new(16)
                .fixed32(2, fnv(name))
                .text(3, name)
                .text(6, unit)
                .text(9, class)
                .varint(14, u64::from(device));
            self.line.write(&entity, out);
        }
        for outlet in &self.device.spec().outlets {
            let (device, name) = parted(&outlet.alias);
            let entity = Message::new(17)
                .fixed32(2, fnv(name))
                .text(3, name)
                .varint(10, u64::from(device));
            self.line.write(&entity, out);
        }
        self.line.write(&Message::new(19), out);
    }

    fn states(&mut self, out: &mut Vec<u8>) {
        for sensor in self.sensors() {
            let (device, name) = parted(&sensor.name);
            let value = match sensor.outlet {
                Some(outlet) => self.device.watts(outlet),
                None => Some(self.device.uptime().as_secs_f64()),
            };
            let state = Message::new(25)
                .fixed32(1, fnv(name))
                .fixed32(2, value.map_or(f32::NAN, |value| value as f32).to_bits())
                .varint(4, u64::from(device));
            self.line.write(&state, out);
        }
        for outlet in 0..self.device.count() {
            self.state(outlet, out);
        }
    }

    fn state(&mut self, outlet: usize, out: &mut Vec<u8>) {
        let spec = self.device.spec();
        let (Some(shown), Some(on)) = (spec.outlets.get(outlet), self.device.reported(outlet)) else {
            return;
        };
        let missing = self.device.faults().no_state;
        let (device, name) = parted(&shown.alias);
        let state = Message::new(26)
            .fixed32(1, fnv(name))
            .varint(2, u64::from(on && !missing))
            .varint(3, u64::from(device))
            .varint(4, u64::from(missing));
        self.line.write(&state, out);
    }

    /// The states that changed since the client was told.
    fn changes(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let now = self.reported();
        let Some(told) = self.subscribed.replace(now.clone()) else {
            self.subscribed = None;
            return out;
        };
        for (outlet, (told, now)) in told.iter().zip(&now).enumerate() {
            if told != now {
                self.state(outlet, &mut out);
            }
        }
        out
    }

    fn reported(&self) -> Vec<Option<bool>> {
        (0..self.device.count())
            .map(|outlet| self.device.reported(outlet))
            .collect()
    }

    fn command(&self, message: &Message) {
        let (key, device) = (message.number(1), message.number(3).unwrap_or(0));
        let on = message.number(2) == Some(1);
        let wanted = self.device.spec().outlets.iter().position(|outlet| {
            let (in_device, name) = parted(&outlet.alias);
            Some(fnv(name)) == key && in_device == device
        });
        if let Some(outlet) = wanted {
            self.device.command(outlet, on);
        }
    }

    fn sensors(&self) -> Vec<Sensor> {
        let spec = self.device.spec();
        let mut sensors = vec![Sensor {
            name: "Uptime".to_owned(),
            outlet: None,
        }];
        let several = spec.outlets.len() > 1;
        for (outlet, shown) in spec.outlets.iter().enumerate().filter(|_| spec.metered) {
            if outlet == 0 {
                sensors.push(Sensor {
                    name: "Power".to_owned(),
                    outlet: Some(0),
                });
            }
            if several {
                sensors.push(Sensor {
                    name: format!("{} Power", shown.alias),
                    outlet: Some(outlet),
                });
            }
        }
        sensors
    }
}

/// Id of the sub-device, 0 for none, and the entity's name within it.
fn parted(full_name: &str) -> (u32, &str) {
    match full_name.split_once('/') {
        Some((device, name)) => (fnv(device), name),
        None => (0, full_name),
    }
}

/// ESPHome's keys: FNV-1 over the object id.
fn fnv(name: &str) -> u32 {
    object_id(name).bytes().fold(0x811c_9dc5, |hash, byte| {
        hash.wrapping_mul(0x0100_0193) ^ u32::from(byte)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_real_firmware() {
        assert_eq!(fnv("Relay"), u32::from_le_bytes([0xe4, 0x2f, 0xa9, 0xd3]));
        assert_eq!(fnv("Second Outlet"), u32::from_le_bytes([0x6b, 0xdb, 0x1b, 0x62]));
    }

    #[test]
    fn a_key_is_base64_of_32_bytes() {
        assert!(parse_key("6Z4l0xkQ3m0l2mJm6q1oTq9wF6n1b2nYJw0J8j7m1lI=").is_some());
        assert!(parse_key("c2hvcnQ=").is_none() && parse_key("!").is_none());
    }
}
