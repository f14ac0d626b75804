//! The SMART dialect: JSON of methods, as Tapo and newer Kasa firmware speaks it. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::json::{Code, code_of, first_text, number, shown, text};
use super::outlets::{Report, Socket};
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::power::{Observation, PowerReading, PowerState};

/// The session is over; a new login mends it.
const SESSION_EXPIRED: i64 = 9999;
/// The login was wrong, and the device counts how often.
const BAD_LOGIN: i64 = -1501;
/// The method is not known. Firmware says so of what it does not have; -1001 is no such word, but "failed, no reason given".
const UNKNOWN_METHOD: i64 = -1002;

/// More outlets than any strip has: where the list of them ends at the latest.
pub(super) const MOST_CHILDREN: usize = 64;

/// A method with its parameters.
pub(super) fn request(method: &str, params: Option<Value>) -> Value {
    // Early P105 firmware wants these two; everything else passes over them.
    let mut request = json!({"method": method, "requestTimeMils": 0, "terminalUUID": "00-00-00-00-00-00"});
    if let (Some(params), Some(request)) = (params, request.as_object_mut()) {
        request.insert("params".into(), params);
    }
    request
}

/// Asks for everything about the device.
pub(super) fn ask_info() -> Value {
    request("get_device_info", None)
}

/// Asks for the outlets of a strip, from the n-th.
pub(super) fn ask_children(from: usize) -> Value {
    request("get_child_device_list", Some(json!({"start_index": from})))
}

/// Asks something of an outlet, or of the device as a whole.
pub(super) fn of_child(child: Option<&str>, method: &str, params: Option<Value>) -> Value {
    match child {
        None => request(method, params),
        Some(child) => {
            let mut inner = json!({"method": method});
            if let (Some(params), Some(inner)) = (params, inner.as_object_mut()) {
                inner.insert("params".into(), params);
            }
            let params = json!({"device_id": child, "requestData": inner});
            request("control_child", Some(params))
        }
    }
}

/// Tells an outlet to take a state; the whole device without a child.
pub(super) fn set_state(child: Option<&str>, state: PowerState) -> Value {
    let params = json!({"device_on": state == PowerState::On});
    of_child(child, "set_device_info", Some(params))
}

/// Whether the reply is of this dialect at all.
pub(super) fn is_reply(reply: &Value) -> bool {
    reply.get("error_code").is_some()
}

/// The result in a reply; null where a method gives none.
///
/// # Errors
/// [`Error::Refused`] for an error code; [`Error::Authentication`] when that says that the login is wrong;
/// [`Error::Protocol`] when there is no code, or the session is over.
pub(super) fn result<'a>(reply: &'a Value, what: &str) -> Result<&'a Value> {
    let code = reply.get("error_code");
    match code.and_then(Value::as_i64) {
        Some(0) => Ok(reply.get("result").unwrap_or(&Value::Null)),
        Some(SESSION_EXPIRED) => {
            Err(Error::protocol("the plug says that the session is over").caused_by(Code(SESSION_EXPIRED)))
        }
        Some(BAD_LOGIN) => Err(wrong_login(BAD_LOGIN)),
        Some(code) => Err(Error::refused(format!("{what}: error {code}")).caused_by(Code(code))),
        None => Err(Error::protocol(format!(
            "{what}: the error code is {}",
            shown(code.or(Some(reply)))
        ))),
    }
}

/// Whether the device itself said that it has no such method.
pub(super) fn is_unknown_method(error: &Error) -> bool {
    code_of(error) == Some(UNKNOWN_METHOD)
}

/// A login that the device itself refused. It counts them, so there is no second try.
pub(super) fn wrong_login(code: i64) -> Error {
    Error::authentication(format!(
        "the plug refuses username and password (error {code}); they are those of the TP-Link account that it was set \
         up with. Tried once only, since it locks out"
    ))
    .caused_by(Code(code))
}

/// The result for an outlet, with the codes of both levels checked.
///
/// # Errors
/// As [`result`].
pub(super) fn child_result<'a>(reply: &'a Value, child: Option<&str>, what: &str) -> Result<&'a Value> {
    let outer = result(reply, what)?;
    if child.is_none() {
        return Ok(outer);
    }
    let inner = outer
        .get("responseData")
        .ok_or_else(|| Error::protocol(format!("{what}: the strip does not give its outlet's answer")))?;
    let inner_result = result(inner, what)?;
    for response in responses(inner_result) {
        result(response, what)?;
    }
    Ok(inner_result)
}

/// Answers to several methods at once.
fn responses(result: &Value) -> impl Iterator<Item = &Value> {
    result
        .get("responses")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// What a device says of itself, before the outlets of a strip are known.
#[derive(Clone, Debug)]
pub(super) struct Info {
    identity: Identity,
    /// Absent on strips.
    outlet: Option<Observation>,
}

impl Info {
    /// Reads the answer to [`ask_info`].
    ///
    /// # Errors
    /// As [`result`].
    pub(super) fn read(reply: &Value) -> Result<Self> {
        let info = result(reply, "get_device_info")?;
        if !info.is_object() {
            return Err(Error::protocol("get_device_info gives no information"));
        }
        Ok(Self {
            identity: Identity {
                mac: text(info, "mac"),
                device_id: text(info, "device_id"),
                guid: None,
                name: nickname(info),
                model: text(info, "model"),
                firmware: first_text(info, &["fw_ver", "sw_ver"]),
            },
            outlet: info.get("device_on").map(|_| state(info)),
        })
    }

    /// Whether the outlets have to be asked for. A command to a strip as a whole could switch all of them.
    pub(super) fn may_be_strip(&self) -> bool {
        let strips = [
            "P300", "P304", "P306", "P316", "TP25", "EP40", "HS107", "HS300", "KP200", "KP303", "KP400",
        ];
        let model = self.identity.model.as_deref().unwrap_or_default();
        self.outlet.is_none() || strips.iter().any(|strip| model.starts_with(strip))
    }

    /// The report of a plug.
    ///
    /// # Errors
    /// [`Error::Protocol`] when the state is missing.
    pub(super) fn plug(self) -> Result<Report> {
        let observation = self
            .outlet
            .ok_or_else(|| Error::protocol("the reply has no device_on, so the outlet's state is unknown"))?;
        Ok(Report {
            outlets: vec![Socket {
                id: None,
                alias: self.identity.name.clone(),
                observation,
            }],
            metered: metered(self.identity.model.as_deref()),
            identity: self.identity,
            is_strip: false,
            miscounted: None,
        })
    }

    /// The report of a strip.
    pub(super) fn strip(self, children: Children) -> Report {
        let (outlets, miscounted) = children.sorted();
        Report {
            metered: metered(self.identity.model.as_deref()),
            identity: self.identity,
            outlets,
            is_strip: true,
            miscounted,
        }
    }
}

/// The outlets of a strip, as they come in pages.
#[derive(Clone, Debug, Default)]
pub(super) struct Children {
    listed: Vec<(Option<u64>, Socket)>,
    announced: Option<usize>,
}

impl Children {
    /// Takes the answer to [`ask_children`]. True when there is more to ask for.
    ///
    /// # Errors
    /// As [`result`]; [`Error::Protocol`] when there is no list.
    pub(super) fn take_page(&mut self, reply: &Value) -> Result<bool> {
        let page = result(reply, "get_child_device_list")?;
        let list = page
            .get("child_device_list")
            .and_then(Value::as_array)
            .ok_or_else(|| Error::protocol("the strip does not list its outlets"))?;
        if let Some(sum) = page.get("sum").and_then(Value::as_u64) {
            self.announced = usize::try_from(sum).ok();
        }
        self.listed.extend(list.iter().map(|child| {
            let outlet = Socket {
                id: text(child, "device_id"),
                alias: nickname(child),
                observation: state(child),
            };
            (child.get("position").and_then(Value::as_u64), outlet)
        }));
        let whole = self.announced.is_none_or(|sum| self.listed.len() >= sum);
        Ok(!whole && !list.is_empty() && self.listed.len() < MOST_CHILDREN)
    }

    /// How many have come.
    pub(super) fn len(&self) -> usize {
        self.listed.len()
    }

    /// In the order on the housing, which the list need not have: a P300 lists them in reverse. Numbers mean something
    /// only when every outlet says where it is.
    fn sorted(mut self) -> (Vec<Socket>, Option<String>) {
        let listed = self.listed.len();
        let placed: Vec<_> = self.listed.iter().filter_map(|(position, _)| *position).collect();
        let mut distinct = placed.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let problem = if self.announced.is_some_and(|sum| sum != listed) {
            Some(format!(
                "the strip announces {} outlets and lists {listed}",
                self.announced.unwrap_or_default()
            ))
        } else if placed.len() != listed || distinct.len() != listed {
            Some("the strip does not say in which order its outlets are; name one by alias or id".to_owned())
        } else {
            self.listed.sort_by_key(|(position, _)| *position);
            None
        };
        (
            self.listed.into_iter().map(|(_, outlet)| outlet).collect(),
            problem,
        )
    }
}

/// Names come in base64.
fn nickname(object: &Value) -> Option<String> {
    let encoded = text(object, "nickname")?;
    STANDARD
        .decode(&encoded)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
}

/// Only true and false are states.
fn state(object: &Value) -> Observation {
    let value = object.get("device_on");
    match value.and_then(Value::as_bool) {
        Some(true) => Observation::On,
        Some(false) => Observation::Off,
        None => Observation::unknown(format!("the device's device_on is {}", shown(value))),
    }
}

/// Whether a model has a meter. The dialect says so nowhere in what is asked anyway.
pub(super) fn metered(model: Option<&str>) -> Option<bool> {
    let metered = [
        "P110", "P115", "P304M", "P316M", "KP125M", "EP25", "KP115", "KP125", "HS110", "HS300", "TP15",
    ];
    let unmetered = [
        "P100", "P105", "P300", "HS100", "HS103", "HS105", "EP10", "KP303", "KP200", "KP400",
    ];
    let model = model?;
    let any = |models: &[&str]| models.iter().any(|known| model.starts_with(known));
    match (any(&metered), any(&unmetered)) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    }
}

/// Reads the answer to [`set_state`]: accepted only with an explicit code 0 at each level.
///
/// # Errors
/// As [`result`].
pub(super) fn state_accepted(reply: &Value, child: Option<&str>) -> Result<()> {
    child_result(reply, child, "set_device_info").map(|_| ())
}

/// Reads the answer of newer firmware to `get_emeter_data`.
///
/// # Errors
/// As [`result`]; [`Error::Protocol`] when the power is missing.
pub(super) fn meter(reply: &Value, child: Option<&str>) -> Result<PowerReading> {
    let data = child_result(reply, child, "get_emeter_data")?;
    let thousandth = |key: &str| number(data, key).map(|number| number / 1000.0);
    Ok(PowerReading {
        watts: thousandth("power_mw").ok_or_else(|| Error::protocol("the meter's reply has no power"))?,
        volts: thousandth("voltage_mv"),
        amps: thousandth("current_ma"),
        kilowatt_hours: thousandth("energy_wh"),
    })
}

/// Reads the answer of older firmware to `get_current_power`, in watts.
///
/// # Errors
/// As [`meter`].
pub(super) fn current_power(reply: &Value, child: Option<&str>) -> Result<PowerReading> {
    let data = child_result(reply, child, "get_current_power")?;
    number(data, "current_power")
        .map(PowerReading::of_watts)
        .ok_or_else(|| Error::protocol("the meter's reply has no power"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Plug;

    fn info(info: Value) -> Value {
        json!({"error_code": 0, "result": info})
    }

    fn page(from: usize, sum: usize, positions: &[u64]) -> Value {
        let children: Vec<_> = (from..)
            .zip(positions)
            .map(|(at, position)| {
                json!({
                    "device_id": format!("8022AB{at:02}"),
                    "nickname": STANDARD.encode(format!("Outlet {position}")),
                    "position": position,
                    "device_on": *position == 1,
                })
            })
            .collect();
        info(json!({"start_index": from, "sum": sum, "child_device_list": children}))
    }

    fn strip(pages: &[Value]) -> Report {
        let mut children = Children::default();
        for page in pages {
            children.take_page(page).unwrap();
        }
        Info::read(&info(json!({"model": "P300"})))
            .unwrap()
            .strip(children)
    }

    fn named(text: &str) -> Plug {
        Plug::Named(text.into())
    }

    #[test]
    fn outlets_are_counted_by_position_not_by_place_in_the_list() {
        let report = strip(&[page(0, 3, &[3, 2, 1])]);
        let first = report.choose(&named("1")).unwrap();
        assert_eq!(first.child.as_deref(), Some("8022AB02"));
        assert_eq!(first.observation, Observation::On);
        assert_eq!(
            report.choose(&named("Outlet 3")).unwrap().child.as_deref(),
            Some("8022AB00")
        );
    }

    #[test]
    fn pages_are_put_together() {
        let mut children = Children::default();
        assert!(children.take_page(&page(0, 3, &[1, 2])).unwrap());
        assert_eq!(children.len(), 2);
        assert!(!children.take_page(&page(2, 3, &[3])).unwrap());
        // An empty page ends it, whatever was announced.
        let mut children = Children::default();
        assert!(!children.take_page(&page(0, 3, &[])).unwrap());
    }

    #[test]
    fn a_list_that_grows_without_end_ends() {
        let mut children = Children::default();
        let many: Vec<u64> = (0..40).collect();
        assert!(children.take_page(&page(0, 1000, &many)).unwrap());
        assert!(!children.take_page(&page(40, 1000, &many)).unwrap());
    }

    #[test]
    fn without_positions_numbers_mean_nothing() {
        for pages in [page(0, 3, &[1, 2]), page(0, 2, &[1, 1])] {
            let report = strip(&[pages]);
            assert!(matches!(report.choose(&named("1")), Err(Error::Protocol { .. })));
            assert!(report.choose(&named("8022AB01")).is_ok());
        }
    }

    #[test]
    fn only_true_and_false_are_states() {
        let seen = |device_on: Value| {
            let read = Info::read(&info(json!({"device_on": device_on}))).unwrap();
            read.plug().unwrap().choose(&Plug::None).unwrap().observation
        };
        assert_eq!(
            (seen(json!(true)), seen(json!(false))),
            (Observation::On, Observation::Off)
        );
        for other in [json!(0), json!(1), json!("false"), json!(null), json!({})] {
            assert!(matches!(seen(other.clone()), Observation::Unknown(_)), "{other}");
        }
        let missing = Info::read(&info(json!({"model": "P110"}))).unwrap();
        assert!(missing.may_be_strip() && missing.plug().is_err());
    }

    #[test]
    fn an_acceptance_needs_a_zero_at_every_level() {
        let child = Some("8022AB00");
        let accepted = json!({"error_code": 0, "result": {"responseData": {"error_code": 0}}});
        assert!(state_accepted(&accepted, child).is_ok());
        assert!(state_accepted(&json!({"error_code": 0}), None).is_ok());
        let refused = [
            json!({"error_code": -1001}),
            json!({"error_code": 0, "result": {"responseData": {"error_code": -1}}}),
            json!({"error_code": 0, "result": {"responseData": {"error_code": 0, "result": {"responses": [{"error_code": -1}]}}}}),
        ];
        for reply in &refused {
            assert!(
                matches!(state_accepted(reply, child), Err(Error::Refused { .. })),
                "{reply}"
            );
        }
        let unreadable = [
            json!({"error_code": 0}),
            json!({"error_code": 0, "result": {}}),
            json!({"error_code": 0, "result": {"responseData": {}}}),
            json!({"result": {"responseData": {"error_code": 0}}}),
            json!({"error_code": "0"}),
            json!({"error_code": 9999}),
            json!([]),
        ];
        for reply in &unreadable {
            assert!(
                matches!(state_accepted(reply, child), Err(Error::Protocol { .. })),
                "{reply}"
            );
        }
        let bad_login = state_accepted(&json!({"error_code": -1501}), None);
        assert!(matches!(bad_login, Err(Error::Authentication { .. })));
    }

    #[test]
    fn a_nickname_that_is_no_base64_is_none() {
        for nickname in ["", "***", "/w=="] {
            let read = Info::read(&info(json!({"nickname": nickname, "device_on": true}))).unwrap();
            assert_eq!(read.identity.name, None, "{nickname}");
        }
    }

    #[test]
    fn meters_are_read_in_their_own_units() {
        let data =
            info(json!({"current_ma": 261, "voltage_mv": 230_100, "power_mw": 60_000, "energy_wh": 1234}));
        let reading = meter(&data, None).unwrap();
        assert_eq!(
            (reading.watts, reading.volts, reading.kilowatt_hours),
            (60.0, Some(230.1), Some(1.234))
        );
        assert_eq!(
            current_power(&info(json!({"current_power": 60})), None)
                .unwrap()
                .watts,
            60.0
        );
        assert!(matches!(
            meter(&info(json!({})), None),
            Err(Error::Protocol { .. })
        ));
        assert!(matches!(
            current_power(&info(json!({"current_power": null})), None),
            Err(Error::Protocol { .. })
        ));
    }
}
