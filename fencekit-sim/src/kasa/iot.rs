//! The IOT dialect from the device's side.

use serde_json::{Map, Value, json};

use super::{Unit, device_id, put};
use crate::device::Device;

/// Answers a whole request: every command of every module in it.
pub(super) fn answer(unit: &Unit, request: &Value) -> Value {
    let targets = match targets(&unit.device, request) {
        Ok(targets) => targets,
        Err(error) => return error,
    };
    let mut reply = Map::new();
    for (module, commands) in request.as_object().into_iter().flatten() {
        if module == "context" {
            continue;
        }
        let answers = match commands.as_object() {
            Some(commands) => answers(unit, module, commands, &targets),
            None => error(NO_MODULE, "module not support"),
        };
        reply.insert(module.clone(), answers);
    }
    Value::Object(reply)
}

fn answers(unit: &Unit, module: &str, commands: &Map<String, Value>, targets: &[usize]) -> Value {
    let metered = unit.device.spec().metered;
    let mut answers = Map::new();
    for (command, arguments) in commands {
        let answer = match (module, command.as_str()) {
            ("system", "get_sysinfo") => sysinfo(unit),
            ("system", "set_relay_state") => set_relay(&unit.device, arguments, targets),
            ("emeter", "get_realtime") if metered => realtime(&unit.device, targets),
            ("schedule" | "count_down" | "anti_theft", "get_rules") if unit.quirks.busy_settings => {
                error(-10, "device busy")
            }
            ("schedule", "get_rules") => rules(unit.habits.schedule, &scheduled()),
            ("schedule", "get_next_action") => json!({"type": -1, "err_code": 0}),
            ("count_down", "get_rules") => rules(unit.habits.countdown, &counting_down()),
            ("anti_theft", "get_rules") => rules(unit.habits.away, &away()),
            ("time", "get_time") => time(unit),
            ("time", "get_timezone") => json!({"index": 39, "err_code": 0}),
            ("cnCloud", "get_info") => cloud(),
            ("system" | "schedule" | "count_down" | "anti_theft" | "time" | "cnCloud", _) => {
                error(NO_MEMBER, "member not support")
            }
            ("emeter", _) if metered => error(NO_MEMBER, "member not support"),
            _ => return error(NO_MODULE, "module not support"),
        };
        answers.insert(command.clone(), answer);
    }
    Value::Object(answers)
}

fn rules(any: bool, rule: &Value) -> Value {
    let list: Vec<_> = any.then(|| rule.clone()).into_iter().collect();
    json!({"rule_list": list, "version": 2, "enable": 1, "err_code": 0})
}

fn scheduled() -> Value {
    json!({
        "id": "8FE2A2C1E9F1B8A9C6F0D3E4B5A69788", "name": "Schedule Rule", "enable": 1, "wday": [1, 1, 1, 1, 1, 1, 1],
        "stime_opt": 0, "smin": 420, "sact": 1, "etime_opt": -1, "emin": 0, "eact": -1, "repeat": 1,
    })
}

fn counting_down() -> Value {
    json!({"id": "7C90311A1CD3227F25C6001D88F7FC13", "name": "add timer", "enable": 1, "delay": 600, "act": 1, "remain": 300})
}

fn away() -> Value {
    json!({
        "id": "36DF47B39B7E4D2E8F6B4E2F2E7B4A1C", "name": "Away Mode", "enable": 1, "wday": [0, 1, 1, 1, 1, 1, 0],
        "stime_opt": 0, "smin": 1080, "etime_opt": 0, "emin": 1380, "frequency": 5, "lastfor": 0, "repeat": 1,
    })
}

fn time(unit: &Unit) -> Value {
    let year = if unit.habits.clock_unset { 2000 } else { 2026 };
    json!({"year": year, "month": 1, "mday": 2, "hour": 3, "min": 4, "sec": 5, "err_code": 0})
}

fn cloud() -> Value {
    json!({
        "username": "", "server": "n-devs.tplinkcloud.com", "binded": 0, "cld_connection": 0, "illegalType": 0,
        "stopConnect": 0, "tcspStatus": 0, "fwDlPage": "", "tcspInfo": "", "fwNotifyType": 0, "err_code": 0,
    })
}

const NO_MODULE: i64 = -1;
const NO_MEMBER: i64 = -2;

fn error(code: i64, message: &str) -> Value {
    json!({"err_code": code, "err_msg": message})
}

/// The outlets that a request is about: those of its context, or all.
fn targets(device: &Device, request: &Value) -> Result<Vec<usize>, Value> {
    let Some(context) = request.get("context") else {
        return Ok((0..device.count()).collect());
    };
    let ids = context.get("child_ids").and_then(Value::as_array);
    let mut targets = Vec::new();
    for id in ids.into_iter().flatten().filter_map(Value::as_str) {
        let known = (0..device.count()).find(|outlet| child_id(device, *outlet) == id);
        targets.push(known.ok_or_else(|| error(-14, "entry not exist"))?);
    }
    Ok(targets)
}

pub(super) fn child_id(device: &Device, outlet: usize) -> String {
    format!("{}{outlet:02}", device_id(device))
}

fn set_relay(device: &Device, arguments: &Value, targets: &[usize]) -> Value {
    let on = match arguments.get("state").and_then(Value::as_u64) {
        Some(0) => false,
        Some(1) => true,
        _ => return error(-3, "invalid argument"),
    };
    for outlet in targets {
        if !device.command(*outlet, on) {
            return error(-10, "device busy");
        }
    }
    json!({"err_code": 0})
}

fn realtime(device: &Device, targets: &[usize]) -> Value {
    let outlet = targets.first().copied().unwrap_or_default();
    let watts = device.watts(outlet).unwrap_or_default();
    if device.count() > 1 {
        return json!({
            "slot_id": outlet,
            "voltage_mv": 230_100,
            "current_ma": (watts / 230.1 * 1000.0).round(),
            "power_mw": (watts * 1000.0).round(),
            "total_wh": 1234,
            "err_code": 0,
        });
    }
    json!({"voltage": 230.1, "current": watts / 230.1, "power": watts, "total": 1.234, "err_code": 0})
}

fn sysinfo(unit: &Unit) -> Value {
    let device = &unit.device;
    let spec = device.spec();
    let strip = spec.outlets.len() > 1;
    let model = match (spec.model.as_str(), strip) {
        ("", true) => "HS300(US)",
        ("", false) => "HS110(EU)",
        (model, _) => model,
    };
    let mut info = json!({
        "sw_ver": "1.2.6 Build 200727 Rel.121701",
        "hw_ver": "1.0",
        "type": "IOT.SMARTPLUGSWITCH",
        "model": model,
        "mac": device.reported_mac(),
        "deviceId": device_id(device),
        "hwId": "34C41AA028022D0CCEA5E678E8547C54",
        "oemId": "9AFE6E8DA0B6C98B9B5C0D6D8F0A6D11",
        "alias": device.reported_name(),
        "feature": if spec.metered { "TIM:ENE" } else { "TIM" },
        "rssi": -48,
        "led_off": 0,
        "updating": u8::from(unit.habits.updating),
        "on_time": device.uptime().as_secs(),
        "err_code": 0,
    });
    if device.faults().no_state {
        return info;
    }
    if strip {
        let children: Vec<_> = (spec.outlets.iter().enumerate())
            .map(|(at, outlet)| {
                json!({
                    "id": child_id(device, at),
                    "state": u8::from(outlet.reported),
                    "alias": outlet.alias,
                    "on_time": 0,
                    "next_action": {"type": -1},
                })
            })
            .collect();
        put(&mut info, "child_num", json!(children.len()));
        put(&mut info, "children", json!(children));
    } else {
        put(
            &mut info,
            "relay_state",
            json!(u8::from(device.reported(0) == Some(true))),
        );
    }
    info
}
