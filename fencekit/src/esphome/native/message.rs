//! The messages of the native API that fencing needs. Field and type numbers are those of ESPHome's `api.proto`.

use super::protobuf::{Fields, Malformed, Value, Writer};
use crate::error::{Error, Result};

/// A message to the device: its type and its fields.
pub(super) type Outgoing = (u16, Vec<u8>);

const HELLO: u16 = 1;
const HELLO_REPLY: u16 = 2;
const LOGIN: u16 = 3;
const LOGIN_REPLY: u16 = 4;
const DISCONNECT: u16 = 5;
const DISCONNECT_REPLY: u16 = 6;
const PING: u16 = 7;
const PING_REPLY: u16 = 8;
const DEVICE_INFO: u16 = 9;
const DEVICE_INFO_REPLY: u16 = 10;
const LIST_ENTITIES: u16 = 11;
const LIST_SENSOR: u16 = 16;
const LIST_SWITCH: u16 = 17;
const LIST_DONE: u16 = 19;
const SUBSCRIBE_STATES: u16 = 20;
const SENSOR_STATE: u16 = 25;
const SWITCH_STATE: u16 = 26;
const SWITCH_COMMAND: u16 = 33;

/// Which entity: keys are unique within a sub-device only. Device 0 is the device itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) key: u32,
    pub(super) device: u32,
}

/// A switch or a sensor as the device lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entity {
    pub(super) key: Key,
    pub(super) name: String,
    /// Left out by firmware that no longer knows object ids.
    pub(super) object_id: String,
    /// The device cannot see the switch's state.
    pub(super) assumed_state: bool,
    pub(super) unit: String,
    pub(super) device_class: String,
}

/// A state that the device reports. `None`: it says itself that it knows none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct State<T> {
    pub(super) key: Key,
    pub(super) value: Option<T>,
}

/// Who the device is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DeviceInfo {
    pub(super) name: String,
    pub(super) friendly_name: String,
    pub(super) mac: String,
    pub(super) model: String,
    pub(super) version: String,
    pub(super) deep_sleep: bool,
    pub(super) encryption_supported: bool,
    /// Sub-devices: id and name.
    pub(super) sub_devices: Vec<(u32, String)>,
}

/// A message from the device.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Incoming {
    /// The API's version.
    Hello {
        major: u32,
    },
    /// The answer of old firmware to the login; true when it wants a password.
    Login {
        refused: bool,
    },
    DeviceInfo(DeviceInfo),
    Switch(Entity),
    Sensor(Entity),
    ListDone,
    SwitchState(State<bool>),
    SensorState(State<f32>),
    Ping,
    Pong,
    /// The device ends the conversation.
    Disconnect,
    /// The device agrees that it ends.
    Disconnected,
    /// What fencing does not need.
    Other,
}

/// # Errors
/// [`Error::Protocol`] for a message of a known type that cannot be read.
pub(super) fn read(message_type: u16, fields: &[u8]) -> Result<Incoming> {
    parse(message_type, fields).map_err(|cause| {
        Error::protocol(format!("the native API's message {message_type} cannot be read")).caused_by(cause)
    })
}

fn parse(message_type: u16, fields: &[u8]) -> Result<Incoming, Malformed> {
    Ok(match message_type {
        HELLO_REPLY => {
            let mut major = 0;
            each(fields, |number, value| {
                if number == 1 {
                    major = value.unsigned()?;
                }
                Ok(())
            })?;
            Incoming::Hello { major }
        }
        LOGIN_REPLY => {
            let mut refused = false;
            each(fields, |number, value| {
                if number == 1 {
                    refused = value.boolean()?;
                }
                Ok(())
            })?;
            Incoming::Login { refused }
        }
        DEVICE_INFO_REPLY => Incoming::DeviceInfo(device_info(fields)?),
        LIST_SWITCH => Incoming::Switch(switch(fields)?),
        LIST_SENSOR => Incoming::Sensor(sensor(fields)?),
        LIST_DONE => Incoming::ListDone,
        SWITCH_STATE => Incoming::SwitchState(switch_state(fields)?),
        SENSOR_STATE => Incoming::SensorState(sensor_state(fields)?),
        PING => Incoming::Ping,
        PING_REPLY => Incoming::Pong,
        DISCONNECT => Incoming::Disconnect,
        DISCONNECT_REPLY => Incoming::Disconnected,
        _ => Incoming::Other,
    })
}

fn each<'a>(
    fields: &'a [u8],
    mut take: impl FnMut(u32, Value<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    for field in Fields::of(fields) {
        let (number, value) = field?;
        take(number, value)?;
    }
    Ok(())
}

fn device_info(fields: &[u8]) -> Result<DeviceInfo, Malformed> {
    let mut info = DeviceInfo::default();
    each(fields, |number, value| {
        match number {
            2 => info.name = value.text()?,
            3 => info.mac = value.text()?,
            4 => info.version = value.text()?,
            6 => info.model = value.text()?,
            7 => info.deep_sleep = value.boolean()?,
            13 => info.friendly_name = value.text()?,
            19 => info.encryption_supported = value.boolean()?,
            20 => {
                let (mut id, mut name) = (0, String::new());
                each(value.message()?, |number, value| {
                    match number {
                        1 => id = value.unsigned()?,
                        2 => name = value.text()?,
                        _ => {}
                    }
                    Ok(())
                })?;
                info.sub_devices.push((id, name));
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(info)
}

fn switch(fields: &[u8]) -> Result<Entity, Malformed> {
    let mut entity = Entity::default();
    each(fields, |number, value| {
        match number {
            1 => entity.object_id = value.text()?,
            2 => entity.key.key = value.fixed32()?,
            3 => entity.name = value.text()?,
            6 => entity.assumed_state = value.boolean()?,
            9 => entity.device_class = value.text()?,
            10 => entity.key.device = value.unsigned()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(entity)
}

fn sensor(fields: &[u8]) -> Result<Entity, Malformed> {
    let mut entity = Entity::default();
    each(fields, |number, value| {
        match number {
            1 => entity.object_id = value.text()?,
            2 => entity.key.key = value.fixed32()?,
            3 => entity.name = value.text()?,
            6 => entity.unit = value.text()?,
            9 => entity.device_class = value.text()?,
            14 => entity.key.device = value.unsigned()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(entity)
}

/// Off is the absence of field 2, as proto3 has it: so the message must name its entity to be one.
fn switch_state(fields: &[u8]) -> Result<State<bool>, Malformed> {
    let mut key = None;
    let (mut on, mut device, mut missing) = (false, 0, false);
    each(fields, |number, value| {
        match number {
            1 => key = Some(value.fixed32()?),
            2 => on = value.boolean()?,
            3 => device = value.unsigned()?,
            4 => missing = value.boolean()?,
            _ => {}
        }
        Ok(())
    })?;
    let key = Key {
        key: key.ok_or(Malformed)?,
        device,
    };
    Ok(State {
        key,
        value: Some(on).filter(|_| !missing),
    })
}

fn sensor_state(fields: &[u8]) -> Result<State<f32>, Malformed> {
    let mut key = None;
    let (mut number_shown, mut device, mut missing) = (0.0, 0, false);
    each(fields, |number, value| {
        match number {
            1 => key = Some(value.fixed32()?),
            2 => number_shown = value.float()?,
            3 => missing = value.boolean()?,
            4 => device = value.unsigned()?,
            _ => {}
        }
        Ok(())
    })?;
    let key = Key {
        key: key.ok_or(Malformed)?,
        device,
    };
    Ok(State {
        key,
        value: Some(number_shown).filter(|number| !missing && number.is_finite()),
    })
}

/// Who we are, and the newest version of the API that we know: 1.10.
pub(super) fn hello() -> Outgoing {
    let client = concat!("fencekit ", env!("CARGO_PKG_VERSION"));
    (
        HELLO,
        Writer::default()
            .text(1, client)
            .varint(2, 1)
            .varint(3, 10)
            .finish(),
    )
}

/// A login without a password. Firmware before 2026.1 waits for it; later firmware passes over it.
pub(super) fn login() -> Outgoing {
    (LOGIN, Vec::new())
}

pub(super) fn device_info_request() -> Outgoing {
    (DEVICE_INFO, Vec::new())
}

pub(super) fn list_entities() -> Outgoing {
    (LIST_ENTITIES, Vec::new())
}

pub(super) fn subscribe_states() -> Outgoing {
    (SUBSCRIBE_STATES, Vec::new())
}

pub(super) fn ping() -> Outgoing {
    (PING, Vec::new())
}

pub(super) fn pong() -> Outgoing {
    (PING_REPLY, Vec::new())
}

pub(super) fn disconnect() -> Outgoing {
    (DISCONNECT, Vec::new())
}

pub(super) fn disconnected() -> Outgoing {
    (DISCONNECT_REPLY, Vec::new())
}

pub(super) fn switch_command(key: Key, on: bool) -> Outgoing {
    let fields = Writer::default()
        .fixed32(1, key.key)
        .varint(2, u64::from(on))
        .varint(3, u64::from(key.device));
    (SWITCH_COMMAND, fields.finish())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As firmware 2026.10.0 sent them.
    #[test]
    fn captured_states_are_read() {
        let relay = Key {
            key: u32::from_le_bytes([0xe4, 0x2f, 0xa9, 0xd3]),
            device: 0,
        };
        let state = |bytes: &[u8]| read(SWITCH_STATE, bytes).unwrap();
        assert_eq!(
            state(b"\r\xe4/\xa9\xd3\x10\x01"),
            Incoming::SwitchState(State {
                key: relay,
                value: Some(true)
            })
        );
        assert_eq!(
            state(b"\r\xe4/\xa9\xd3"),
            Incoming::SwitchState(State {
                key: relay,
                value: Some(false)
            })
        );
        let in_rack_b = Key {
            device: 1_014_408_687,
            ..relay
        };
        assert_eq!(
            state(b"\r\xe4/\xa9\xd3\x10\x01\x18\xef\xcb\xda\xe3\x03"),
            Incoming::SwitchState(State {
                key: in_rack_b,
                value: Some(true)
            })
        );
        let Incoming::SwitchState(unset) = state(b"\r\x80\x94`w \x01") else {
            panic!("a state")
        };
        assert_eq!(unset.value, None, "missing_state");
    }

    #[test]
    fn captured_device_info_is_read() {
        let bytes = b"\x12\x0fstorage-b-power\x1a\x1198:35:69:AB:F6:79\"\t2026.10.0*\x192026-11-24 06:15:44 +0000\
                      2\x04hostb\x04Hostj\x0fStorage B power\xa2\x01\x0e\x08\xef\xcb\xda\xe3\x03\x12\x06Rack B";
        let Incoming::DeviceInfo(info) = read(DEVICE_INFO_REPLY, bytes).unwrap() else {
            panic!("device info")
        };
        assert_eq!(info.name, "storage-b-power");
        assert_eq!(info.friendly_name, "Storage B power");
        assert_eq!(info.mac, "98:35:69:AB:F6:79");
        assert_eq!(
            (info.model.as_str(), info.version.as_str()),
            ("host", "2026.10.0")
        );
        assert_eq!(info.sub_devices, [(1_014_408_687, "Rack B".to_owned())]);
    }

    #[test]
    fn captured_entities_are_read() {
        let Incoming::Switch(switch) =
            read(LIST_SWITCH, b"\n\x00\x15e9\xa3\xe8\x1a\x07Assumed0\x01").unwrap()
        else {
            panic!("a switch")
        };
        assert!(switch.assumed_state && switch.object_id.is_empty());
        assert_eq!(switch.name, "Assumed");
        let Incoming::Sensor(sensor) = read(
            LIST_SENSOR,
            b"\n\x00\x15\x10N\x8b\x8e\x1a\x05Power2\x01W8\x01J\x05power",
        )
        .unwrap() else {
            panic!("a sensor")
        };
        assert_eq!(
            (sensor.unit.as_str(), sensor.device_class.as_str()),
            ("W", "power")
        );
    }

    #[test]
    fn a_state_without_an_entity_is_no_off() {
        for bytes in [
            &b""[..],
            b"\x10\x00",
            b"\x18\x05",
            b"\r\xe4/\xa9",
            b"\r\xe4/\xa9\xd3\x10\x02",
        ] {
            assert!(read(SWITCH_STATE, bytes).is_err(), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_reading_that_is_no_number_is_none() {
        for bits in [f32::NAN.to_bits(), f32::INFINITY.to_bits()] {
            let bytes = Writer::default().fixed32(1, 7).fixed32(2, bits).finish();
            let Incoming::SensorState(state) = read(SENSOR_STATE, &bytes).unwrap() else {
                panic!("a state")
            };
            assert_eq!(state.value, None);
        }
        let missing = Writer::default().fixed32(1, 7).varint(3, 1).finish();
        assert!(matches!(
            read(SENSOR_STATE, &missing).unwrap(),
            Incoming::SensorState(State { value: None, .. })
        ));
    }

    #[test]
    fn a_command_off_is_just_the_key() {
        let key = Key {
            key: 0xd3a9_2fe4,
            device: 0,
        };
        assert_eq!(switch_command(key, false), (33, b"\r\xe4/\xa9\xd3".to_vec()));
        assert_eq!(
            switch_command(key, true),
            (33, b"\r\xe4/\xa9\xd3\x10\x01".to_vec())
        );
        let of_sub_device = Key { device: 5, ..key };
        assert_eq!(
            switch_command(of_sub_device, false),
            (33, b"\r\xe4/\xa9\xd3\x18\x05".to_vec())
        );
    }

    proptest! {
        #[test]
        fn hostile_messages_do_not_panic(kind in 0u16..40, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(kind, &bytes);
        }

        #[test]
        fn a_flipped_state_byte_is_never_off(byte in 1u8..=255) {
            let state = read(SWITCH_STATE, &[0x0d, 1, 0, 0, 0, 0x10, byte]);
            let off = matches!(state, Ok(Incoming::SwitchState(State { value: Some(false), .. })));
            prop_assert!(!off);
        }
    }
}
