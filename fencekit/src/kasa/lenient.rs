//! The promise that parsing is lenient for everything but the state, tried on whole replies: whatever optional field is
//! missing, of another type or in another place changes nothing; whatever the state rests on makes it unknown.

use async_trait::async_trait;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::dialect::Dialect;
use super::link::Link;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::options::Plug;
use crate::power::Observation;

/// A link whose device answers from a list: a part of the request's text, and the reply.
struct Scripted(Vec<(&'static str, String)>);

#[async_trait]
impl Link for Scripted {
    async fn ask(&mut self, request: &Value, _: Deadline) -> Result<Value> {
        let request = request.to_string();
        let reply = self.0.iter().find(|(part, _)| request.contains(part));
        // Through text, as a real reply comes, in whatever order its members are.
        reply.map_or_else(
            || Ok(json!({"error_code": -1001})),
            |(_, reply)| {
                serde_json::from_str(reply).map_err(|cause| Error::protocol("no JSON").caused_by(cause))
            },
        )
    }
}

/// A device's replies, which outlet is meant, and what the outcome rests on.
struct Case {
    name: &'static str,
    dialect: Dialect,
    plug: Plug,
    replies: Vec<(&'static str, Value)>,
    /// Pointers into the replies: "0/system" is in the first.
    vital: Vec<&'static str>,
}

type Outcome = (Option<String>, Observation);

impl Case {
    fn outcome(&self, replies: &[String]) -> Result<Outcome> {
        let parts = self.replies.iter().map(|(part, _)| *part);
        let mut link = Scripted(parts.zip(replies.iter().cloned()).collect());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let report = runtime.block_on(self.dialect.report(&mut link, Deadline::far()))?;
        let chosen = report.choose(&self.plug)?;
        Ok((chosen.child, chosen.observation))
    }

    fn texts(&self) -> Vec<String> {
        self.replies.iter().map(|(_, reply)| reply.to_string()).collect()
    }

    /// Every path in the replies, with its number.
    fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for (number, (_, reply)) in self.replies.iter().enumerate() {
            walk(reply, &number.to_string(), &mut paths);
        }
        paths
    }

    /// Whether the outcome rests on what is at a path: it is vital, or holds something vital.
    fn is_vital(&self, path: &str) -> bool {
        self.vital
            .iter()
            .any(|vital| *vital == path || vital.starts_with(&format!("{path}/")))
    }
}

fn walk(value: &Value, at: &str, paths: &mut Vec<String>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(key, value)| (key.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    for (key, value) in members {
        let path = format!("{at}/{key}");
        walk(value, &path, paths);
        paths.push(path);
    }
}

/// Values of every type, none of them a state.
fn odd_values() -> Vec<Value> {
    vec![
        json!(null),
        json!("odd"),
        json!(2.5),
        json!(-7),
        json!([]),
        json!({}),
        json!([{"odd": 1}]),
    ]
}

/// Drops what is at a path, or puts something else there.
fn mutate(replies: &mut [Value], path: &str, change: Option<&Value>) {
    let (number, pointer) = path.split_once('/').unwrap();
    let reply = &mut replies[number.parse::<usize>().unwrap()];
    let pointer = format!("/{pointer}");
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let Some(parent) = reply.pointer_mut(parent) else {
        return;
    };
    match (parent, change) {
        (Value::Object(members), None) => {
            members.remove(key);
        }
        (Value::Object(members), Some(value)) if members.contains_key(key) => {
            members.insert(key.to_owned(), value.clone());
        }
        // An item of a list is not dropped: the rest would move up.
        (Value::Array(items), Some(value)) => {
            if let Some(item) = key.parse().ok().and_then(|key: usize| items.get_mut(key)) {
                *item = value.clone();
            }
        }
        _ => {}
    }
}

/// JSON text with the members of every object in an order that `seed` says.
fn shuffled(value: &Value, seed: u64) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| {
                key.bytes().fold(seed, |hash, byte| {
                    hash.rotate_left(7).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(byte)
                })
            });
            let members: Vec<_> = members
                .into_iter()
                .map(|(key, value)| format!("{}:{}", json!(key), shuffled(value, seed)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| shuffled(item, seed)).collect();
            format!("[{}]", items.join(" , "))
        }
        other => other.to_string(),
    }
}

fn iot_sysinfo(more: Value) -> Value {
    let mut info = json!({
        "sw_ver": "1.2.6 Build 200727", "hw_ver": "1.0", "type": "IOT.SMARTPLUGSWITCH", "model": "HS110(EU)",
        "mac": "50:C7:BF:00:00:01", "deviceId": "8006AB", "hwId": "34", "oemId": "9A", "alias": "storage-b",
        "dev_name": "plug", "icon_hash": "", "active_mode": "none", "feature": "TIM:ENE", "rssi": -48, "led_off": 0,
        "updating": 0, "longitude_i": 1, "latitude_i": 2, "on_time": 12, "next_action": {"type": -1}, "ntc_state": 0,
    });
    let more: Map<String, Value> = more.as_object().unwrap().clone();
    info.as_object_mut().unwrap().extend(more);
    json!({"system": {"get_sysinfo": info}, "emeter": {"err_code": 0}})
}

fn smart_info(more: Value) -> Value {
    let mut info = json!({
        "device_id": "8022AB", "fw_ver": "1.3.1", "hw_ver": "1.0", "type": "SMART.TAPOPLUG", "model": "P110",
        "mac": "50-C7-BF-00-00-01", "nickname": "c3RvcmFnZS1i", "ssid": "bg==", "rssi": -48, "signal_level": 3,
        "on_time": 3, "overheated": false, "default_states": {"type": "last_states", "state": {}}, "lang": "en_US",
        "avatar": "plug", "region": "x", "specs": "", "ip": "127.0.0.1", "time_diff": 60, "latitude": 0,
    });
    let more: Map<String, Value> = more.as_object().unwrap().clone();
    info.as_object_mut().unwrap().extend(more);
    json!({"error_code": 0, "result": info})
}

fn cases() -> Vec<Case> {
    let iot_children = json!([
        {"id": "8006AB00", "state": 1, "alias": "a", "on_time": 4, "next_action": {"type": -1}},
        {"id": "8006AB01", "state": 0, "alias": "b", "on_time": 0, "next_action": {"type": -1}},
    ]);
    let smart_children = json!({"error_code": 0, "result": {"start_index": 0, "sum": 2, "child_device_list": [
        {"device_id": "8022AB01", "position": 2, "slot_number": 2, "nickname": "Yg==", "device_on": false, "model": "P300"},
        {"device_id": "8022AB00", "position": 1, "slot_number": 2, "nickname": "YQ==", "device_on": true, "model": "P300"},
    ]}});
    let smart_parts = [
        ("get_device_info", smart_info(json!({"model": "P300"}))),
        ("get_child_device_list", smart_children),
    ];
    let iot_strip = iot_sysinfo(json!({"child_num": 2, "children": iot_children, "err_code": 0}));
    let (by_number, by_alias) = (Plug::Named("2".into()), Plug::Named("b".into()));
    vec![
        Case {
            name: "IOT plug",
            dialect: Dialect::Iot,
            plug: Plug::NodeName("storage-b".into()),
            replies: vec![(
                "get_sysinfo",
                iot_sysinfo(json!({"relay_state": 0, "err_code": 0})),
            )],
            vital: vec!["0/system/get_sysinfo/relay_state"],
        },
        Case {
            name: "IOT strip by number",
            dialect: Dialect::Iot,
            plug: by_number.clone(),
            replies: vec![("get_sysinfo", iot_strip.clone())],
            vital: vec![
                "0/system/get_sysinfo/children/1/state",
                "0/system/get_sysinfo/children/1/id",
                // The other one's id says which of them is the first.
                "0/system/get_sysinfo/children/0/id",
            ],
        },
        Case {
            name: "IOT strip by alias",
            dialect: Dialect::Iot,
            plug: by_alias.clone(),
            replies: vec![("get_sysinfo", iot_strip)],
            vital: vec![
                "0/system/get_sysinfo/children/1/state",
                "0/system/get_sysinfo/children/1/id",
                "0/system/get_sysinfo/children/1/alias",
            ],
        },
        Case {
            name: "SMART plug",
            dialect: Dialect::Smart,
            plug: Plug::None,
            replies: vec![("get_device_info", smart_info(json!({"device_on": false})))],
            vital: vec!["0/error_code", "0/result/device_on"],
        },
        Case {
            name: "SMART strip by number",
            dialect: Dialect::Smart,
            plug: by_number,
            replies: smart_parts.to_vec(),
            vital: vec![
                "0/error_code",
                "1/error_code",
                "1/result/child_device_list/0/device_on",
                "1/result/child_device_list/0/device_id",
                "1/result/child_device_list/0/position",
                "1/result/child_device_list/1/position",
            ],
        },
        Case {
            name: "SMART strip by alias",
            dialect: Dialect::Smart,
            plug: by_alias,
            replies: smart_parts.to_vec(),
            vital: vec![
                "0/error_code",
                "1/error_code",
                "1/result/child_device_list/0/device_on",
                "1/result/child_device_list/0/device_id",
                "1/result/child_device_list/0/nickname",
            ],
        },
    ]
}

#[test]
fn what_is_optional_changes_nothing_and_what_is_vital_ends_it() {
    for case in cases() {
        let right = case.outcome(&case.texts()).unwrap();
        assert_eq!(right.1, Observation::Off, "{}", case.name);
        for path in case.paths() {
            let odd = odd_values();
            for change in std::iter::once(None).chain(odd.iter().map(Some)) {
                let mut replies: Vec<Value> = case.replies.iter().map(|(_, reply)| reply.clone()).collect();
                mutate(&mut replies, &path, change);
                if replies
                    .iter()
                    .zip(&case.replies)
                    .all(|(one, (_, other))| one == other)
                {
                    continue;
                }
                let texts: Vec<_> = replies.iter().map(Value::to_string).collect();
                let outcome = case.outcome(&texts);
                let what = format!("{}: {path} becomes {change:?}: {outcome:?}", case.name);
                if case.is_vital(&path) {
                    let known = matches!(outcome, Ok((_, Observation::On | Observation::Off)));
                    // An outlet that gives itself another id is still that outlet, and is addressed by what it gave.
                    let renamed = path.ends_with("id") && change.is_some_and(Value::is_string);
                    let same_outlet = outcome.as_ref().is_ok_and(|outcome| outcome.1 == right.1);
                    assert!(!known || (renamed && same_outlet), "{what}");
                } else if path.ends_with("/err_code") || path == "0/result" {
                    // A code that is there and not 0 is the device's word that something is wrong. Of a strip's first
                    // reply everything is optional, but it must be one.
                    assert!(
                        outcome.is_err() || outcome.as_ref().is_ok_and(|outcome| *outcome == right),
                        "{what}"
                    );
                } else {
                    assert_eq!(outcome.as_ref().ok(), Some(&right), "{what}");
                }
            }
        }
    }
}

#[test]
fn every_wrong_state_is_unknown() {
    for case in cases() {
        let state = case
            .vital
            .iter()
            .find(|path| path.ends_with("state") || path.ends_with("device_on"))
            .unwrap();
        let smart = case.dialect == Dialect::Smart;
        let other_kind = if smart {
            [json!(0), json!(1)]
        } else {
            [json!(false), json!(true)]
        };
        let wrong = [
            json!("0"),
            json!("1"),
            json!("off"),
            json!(2),
            json!(0.0),
            json!(1.0),
            json!("false"),
        ];
        for value in wrong.iter().chain(&other_kind) {
            let mut replies: Vec<Value> = case.replies.iter().map(|(_, reply)| reply.clone()).collect();
            mutate(&mut replies, state, Some(value));
            let texts: Vec<_> = replies.iter().map(Value::to_string).collect();
            let outcome = case.outcome(&texts).unwrap();
            assert!(
                matches!(outcome.1, Observation::Unknown(_)),
                "{}: {value}: {outcome:?}",
                case.name
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn many_optional_fields_at_once_change_nothing(
        number in 0usize..6,
        seed in any::<u64>(),
        picks in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(0usize..7)), 0..20),
    ) {
        let cases = cases();
        let case = &cases[number];
        let optional: Vec<_> = case
            .paths()
            .into_iter()
            .filter(|path| !case.is_vital(path) && !path.ends_with("/err_code") && path != "0/result")
            .collect();
        let odd = odd_values();
        let mut replies: Vec<Value> = case.replies.iter().map(|(_, reply)| reply.clone()).collect();
        for (pick, change) in picks {
            mutate(&mut replies, pick.get::<String>(&optional), change.map(|at| &odd[at]));
        }
        let texts: Vec<_> = replies.iter().map(|reply| shuffled(reply, seed)).collect();
        let right = case.outcome(&case.texts()).unwrap();
        prop_assert_eq!(case.outcome(&texts).unwrap(), right, "{}", texts.join("\n"));
    }
}
