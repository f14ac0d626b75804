//! The IOT dialect: JSON of modules and commands, as Kasa firmware speaks it over XOR and over KLAP. Pure.

use serde_json::{Value, json};

use super::json::{Code, code_of, first_text, number, shown, text};
use super::outlets::{Report, Socket};
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::power::{Observation, PowerReading, PowerState};

/// "module not support": the device has no such thing.
const NO_MODULE: i64 = -1;
/// "member not support".
const NO_MEMBER: i64 = -2;

/// Asks for everything about the device.
pub(super) fn ask_sysinfo() -> Value {
    json!({"system": {"get_sysinfo": {}}})
}

/// Tells an outlet to take a state; the whole device without a child.
pub(super) fn set_relay(child: Option<&str>, state: PowerState) -> Value {
    let state = u8::from(state == PowerState::On);
    in_context(child, json!({"system": {"set_relay_state": {"state": state}}}))
}

/// Asks the meter of an outlet.
pub(super) fn ask_meter(child: Option<&str>) -> Value {
    in_context(child, json!({"emeter": {"get_realtime": {}}}))
}

/// Without a context a strip takes a command for all of its outlets.
pub(super) fn in_context(child: Option<&str>, mut request: Value) -> Value {
    if let (Some(child), Some(request)) = (child, request.as_object_mut()) {
        request.insert("context".into(), json!({"child_ids": [child]}));
    }
    request
}

/// Whether the reply is of this dialect at all.
pub(super) fn is_reply(reply: &Value) -> bool {
    reply.get("system").is_some_and(Value::is_object)
}

/// The answer to one command.
///
/// # Errors
/// [`Error::Refused`] when the module or the command carries an error code; [`Error::Protocol`] when either is
/// missing or the code is no number: a device that answers something else has not answered this.
pub(super) fn answer<'a>(reply: &'a Value, module: &str, command: &str) -> Result<&'a Value> {
    let missing = |what: &str, value: Option<&Value>| {
        Error::protocol(format!(
            "the answer to {module}.{command} has no {what}, but {}",
            shown(value)
        ))
    };
    let inner = reply
        .get(module)
        .filter(|inner| inner.is_object())
        .ok_or_else(|| missing(module, Some(reply)))?;
    accept(inner, module)?;
    let answer = inner
        .get(command)
        .filter(|answer| answer.is_object())
        .ok_or_else(|| missing(command, Some(inner)))?;
    accept(answer, command)?;
    Ok(answer)
}

/// No error code, or one that is 0.
fn accept(answer: &Value, what: &str) -> Result<()> {
    match answer.get("err_code") {
        None => Ok(()),
        Some(code) => match code.as_i64() {
            Some(0) => Ok(()),
            Some(code) => Err(Error::refused(format!(
                "{what}: error {code}{}",
                text(answer, "err_msg")
                    .map(|message| format!(" ({message})"))
                    .unwrap_or_default()
            ))
            .caused_by(Code(code))),
            None => Err(Error::protocol(format!(
                "{what}: the error code is {}",
                shown(Some(code))
            ))),
        },
    }
}

/// Whether the device itself said that it has no such module or command.
pub(super) fn is_unknown_command(error: &Error) -> bool {
    matches!(code_of(error), Some(NO_MODULE | NO_MEMBER))
}

/// Reads the answer to [`set_relay`]: accepted only with an explicit code 0.
///
/// # Errors
/// As [`answer`].
pub(super) fn relay_accepted(reply: &Value) -> Result<()> {
    let answer = answer(reply, "system", "set_relay_state")?;
    match answer.get("err_code") {
        Some(_) => Ok(()),
        None => Err(Error::protocol(
            "the answer to set_relay_state does not say whether it was obeyed",
        )),
    }
}

/// Reads the answer to [`ask_sysinfo`].
///
/// # Errors
/// As [`answer`]. A state that is missing or neither 0 nor 1 is no error, but unknown.
pub(super) fn report(reply: &Value) -> Result<Report> {
    let info = answer(reply, "system", "get_sysinfo")?;
    let identity = Identity {
        mac: first_text(info, &["mac", "mic_mac", "ethernet_mac"]),
        device_id: text(info, "deviceId"),
        guid: None,
        name: text(info, "alias"),
        model: text(info, "model"),
        firmware: text(info, "sw_ver"),
    };
    let children = info.get("children").and_then(Value::as_array);
    let announced = info.get("child_num").and_then(Value::as_u64);
    let is_strip = children.is_some_and(|children| !children.is_empty()) || announced.is_some_and(|n| n > 0);
    let (outlets, miscounted) = if is_strip {
        strip(children.map_or(&[][..], Vec::as_slice), announced, &identity)
    } else {
        // Only a plug has this. What lacks it may be a strip whose outlets cannot be read, and a command to the whole
        // device would switch all of them.
        if info.get("relay_state").is_none() {
            return Err(Error::protocol(
                "the reply has no relay_state, so the outlet's state is unknown",
            ));
        }
        let only = Socket {
            id: None,
            alias: identity.name.clone(),
            observation: state(info, "relay_state"),
        };
        (vec![only], None)
    };
    Ok(Report {
        metered: text(info, "feature").map(|feature| feature.split(':').any(|part| part == "ENE")),
        identity,
        outlets,
        is_strip,
        miscounted,
    })
}

/// The outlets of a strip in their order on the housing, and why that is not certain, if it is not.
fn strip(children: &[Value], announced: Option<u64>, device: &Identity) -> (Vec<Socket>, Option<String>) {
    let mut outlets: Vec<_> = children.iter().map(|child| outlet(child, device)).collect();
    let listed = outlets.len();
    let problem = if announced.is_some_and(|count| count != listed as u64) {
        Some(format!(
            "the strip announces {} outlets and lists {listed}",
            announced.unwrap_or_default()
        ))
    } else if !are_siblings(&outlets) {
        Some("the ids of the strip's outlets, by which they are counted, are missing or odd".to_owned())
    } else {
        // Ids end in 00, 01 and so on.
        outlets.sort_by(|one, other| one.id.cmp(&other.id));
        None
    };
    (outlets, problem)
}

/// Whether all outlets have ids that differ in their last two characters only.
fn are_siblings(outlets: &[Socket]) -> bool {
    let stem = |outlet: &Socket| {
        let id = outlet.id.as_deref()?;
        id.get(..id.len().checked_sub(2)?).map(str::to_owned)
    };
    let first = outlets.first().and_then(stem);
    first.is_some() && outlets.iter().all(|outlet| stem(outlet) == first)
}

fn outlet(child: &Value, device: &Identity) -> Socket {
    let id = text(child, "id").and_then(|id| match (id.len(), &device.device_id) {
        (3.., _) => Some(id),
        (_, Some(device_id)) => Some(format!("{device_id}{id}")),
        (_, None) => None,
    });
    Socket {
        id,
        alias: text(child, "alias"),
        observation: state(child, "state"),
    }
}

/// Only the whole numbers 0 and 1 are states.
fn state(object: &Value, key: &str) -> Observation {
    let value = object.get(key);
    match value.and_then(Value::as_u64) {
        Some(0) => Observation::Off,
        Some(1) => Observation::On,
        _ => Observation::unknown(format!("the device's {key} is {}", shown(value))),
    }
}

/// Reads the answer to [`ask_meter`], of older and newer firmware.
///
/// # Errors
/// [`Error::Unsupported`] when the device has no meter; [`Error::Protocol`] when the power is missing; as
/// [`answer`] otherwise.
pub(super) fn meter(reply: &Value) -> Result<PowerReading> {
    let reading = answer(reply, "emeter", "get_realtime").map_err(|error| {
        if is_unknown_command(&error) {
            Error::unsupported("this plug has no power meter").caused_by(error)
        } else {
            error
        }
    })?;
    let either = |thousandth: &str, whole: &str| {
        number(reading, thousandth)
            .map(|number| number / 1000.0)
            .or_else(|| number(reading, whole))
    };
    Ok(PowerReading {
        watts: either("power_mw", "power")
            .ok_or_else(|| Error::protocol("the meter's reply has no power"))?,
        volts: either("voltage_mv", "voltage"),
        amps: either("current_ma", "current"),
        kilowatt_hours: either("total_wh", "total"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Plug;

    fn sysinfo(info: Value) -> Value {
        json!({"system": {"get_sysinfo": info}})
    }

    #[test]
    fn requests_are_as_known() {
        assert_eq!(ask_sysinfo().to_string(), r#"{"system":{"get_sysinfo":{}}}"#);
        assert_eq!(
            set_relay(None, PowerState::Off).to_string(),
            r#"{"system":{"set_relay_state":{"state":0}}}"#
        );
        assert_eq!(
            set_relay(Some("8006"), PowerState::On),
            json!({"context": {"child_ids": ["8006"]}, "system": {"set_relay_state": {"state": 1}}})
        );
    }

    #[test]
    fn only_an_explicit_zero_is_an_acceptance() {
        let ok = json!({"system": {"set_relay_state": {"err_code": 0}}});
        assert!(relay_accepted(&ok).is_ok());
        let refusals = [
            json!({"system": {"set_relay_state": {"err_code": -3, "err_msg": "invalid argument"}}}),
            json!({"system": {"err_code": -1, "err_msg": "module not support"}}),
            json!({"system": {"err_code": -1, "set_relay_state": {"err_code": 0}}}),
        ];
        for refusal in refusals {
            assert!(
                matches!(relay_accepted(&refusal), Err(Error::Refused { .. })),
                "{refusal}"
            );
        }
        let unreadable = [
            json!({"system": {"set_relay_state": {}}}),
            json!({"system": {"set_relay_state": {"err_code": "0"}}}),
            json!({"system": {"set_relay_state": {"err_code": null}}}),
            json!({"system": {"set_relay_state": 0}}),
            json!({"system": {"get_sysinfo": {"err_code": 0}}}),
            json!({"system": {}}),
            json!({}),
            json!([]),
            json!("<html>"),
        ];
        for reply in unreadable {
            assert!(
                matches!(relay_accepted(&reply), Err(Error::Protocol { .. })),
                "{reply}"
            );
        }
    }

    #[test]
    fn a_state_is_zero_or_one_and_nothing_else() {
        let seen = |state: Value| {
            let report = report(&sysinfo(json!({"relay_state": state}))).unwrap();
            report.choose(&Plug::None).unwrap().observation
        };
        assert_eq!(seen(json!(0)), Observation::Off);
        assert_eq!(seen(json!(1)), Observation::On);
        for other in [
            json!(7),
            json!(-1),
            json!("0"),
            json!(false),
            json!(0.0),
            json!(null),
            json!([0]),
        ] {
            assert!(matches!(seen(other.clone()), Observation::Unknown(_)), "{other}");
        }
        assert!(report(&sysinfo(json!({"alias": "x"}))).is_err());
    }

    #[test]
    fn a_strip_whose_outlets_cannot_be_read_is_not_taken_for_a_plug() {
        for children in [json!([]), json!(null), json!("x"), json!({})] {
            let info = json!({"child_num": 6, "relay_state": 1, "children": children});
            let report = report(&sysinfo(info)).unwrap();
            assert!(report.is_strip && report.choose(&Plug::Named("1".into())).is_err());
        }
    }

    #[test]
    fn short_child_ids_are_completed_and_outlets_counted_by_id() {
        let children = json!([
            {"id": "01", "state": 0, "alias": "b"},
            {"id": "00", "state": 1, "alias": "a"},
        ]);
        let report = report(&sysinfo(
            json!({"deviceId": "8006AB", "child_num": 2, "children": children}),
        ))
        .unwrap();
        let second = report.choose(&Plug::Named("2".into())).unwrap();
        assert_eq!(second.child.as_deref(), Some("8006AB01"));
        assert_eq!(second.observation, Observation::Off);
    }

    #[test]
    fn a_list_that_lost_an_outlet_is_noticed() {
        let children = json!([{"id": "8006AB01", "state": 0, "alias": "b"}]);
        let report = report(&sysinfo(json!({"child_num": 2, "children": children}))).unwrap();
        assert!(report.choose(&Plug::Named("1".into())).is_err());
        assert!(report.choose(&Plug::Named("b".into())).is_ok());
    }

    #[test]
    fn both_shapes_of_a_meter_are_read() {
        let reply = |reading: Value| json!({"emeter": {"get_realtime": reading}});
        let old = meter(&reply(
            json!({"voltage": 230.5, "current": 0.5, "power": 100.25, "total": 2.5, "err_code": 0}),
        ));
        let new = meter(&reply(json!({
            "voltage_mv": 230_500, "current_ma": 500, "power_mw": 100_250, "total_wh": 2500, "slot_id": 0, "err_code": 0,
        })));
        assert_eq!(old.unwrap(), new.unwrap());
        for missing in [
            json!({"err_code": 0}),
            json!({"power": "1"}),
            json!({"power_mw": null}),
        ] {
            assert!(
                matches!(meter(&reply(missing.clone())), Err(Error::Protocol { .. })),
                "{missing}"
            );
        }
        let none = json!({"emeter": {"err_code": -1, "err_msg": "module not support"}});
        assert!(matches!(meter(&none), Err(Error::Unsupported { .. })));
    }
}
