//! The SMART dialect from the device's side.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Unit, device_id, put};
use crate::device::Device;

/// Codes as the firmware has them.
const UNKNOWN_METHOD: i64 = -1002;
const BAD_PARAMETERS: i64 = -1008;
const BUSY: i64 = -1301;
const NO_SUCH_DEVICE: i64 = -40501;

/// Outlets, or rules, in one page of the list.
const PAGE: usize = 4;

/// Answers one request, which may hold several.
pub(super) fn answer(unit: &Unit, request: &Value) -> Value {
    let params = request.get("params").unwrap_or(&Value::Null);
    match request.get("method").and_then(Value::as_str) {
        Some("multipleRequest") => multiple(unit, None, params),
        Some("control_child") => control_child(unit, params),
        Some(method) => whole(unit, method, params),
        None => code(BAD_PARAMETERS),
    }
}

fn ok(result: Value) -> Value {
    json!({"error_code": 0, "result": result})
}

fn code(code: i64) -> Value {
    json!({"error_code": code})
}

fn multiple(unit: &Unit, child: Option<usize>, params: &Value) -> Value {
    let requests = params.get("requests").and_then(Value::as_array);
    let responses: Vec<_> = (requests.into_iter().flatten())
        .map(|request| {
            let method = request.get("method").and_then(Value::as_str).unwrap_or_default();
            let params = request.get("params").unwrap_or(&Value::Null);
            let mut answer = match (child, method) {
                (Some(child), _) => of_child(unit, child, method, params),
                (None, "control_child") => control_child(unit, params),
                (None, _) => whole(unit, method, params),
            };
            put(&mut answer, "method", json!(method));
            answer
        })
        .collect();
    ok(json!({"responses": responses}))
}

fn control_child(unit: &Unit, params: &Value) -> Value {
    let wanted = params
        .get("device_id")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let request = params.get("requestData").unwrap_or(&Value::Null);
    let method = request.get("method").and_then(Value::as_str).unwrap_or_default();
    let inner = request.get("params").unwrap_or(&Value::Null);
    let known = (0..unit.device.count()).find(|outlet| child_id(&unit.device, *outlet) == wanted);
    let answer = match known {
        Some(child) if method == "multipleRequest" => multiple(unit, Some(child), inner),
        Some(child) => of_child(unit, child, method, inner),
        None => return code(NO_SUCH_DEVICE),
    };
    ok(json!({"responseData": answer}))
}

/// What the device as a whole answers.
fn whole(unit: &Unit, method: &str, params: &Value) -> Value {
    let strip = unit.device.count() > 1;
    match method {
        "component_nego" => ok(json!({"component_list": components(unit, strip)})),
        "get_device_info" => ok(info(unit)),
        "set_device_info" if !strip => set_state(unit, 0, params),
        "get_child_device_list" if strip => ok(children(unit, params)),
        "get_child_device_component_list" if strip => ok(child_components(unit)),
        "get_device_time" => ok(time(unit)),
        "get_auto_update_info" => ok(json!({"enable": false, "random_range": 120, "time": 180})),
        "get_connect_cloud_state" => ok(json!({"status": 0})),
        "get_device_usage" if !strip => ok(usage()),
        _ if !strip => of_outlet(unit, 0, method, params),
        _ => code(UNKNOWN_METHOD),
    }
}

/// What one outlet of a strip answers.
fn of_child(unit: &Unit, outlet: usize, method: &str, params: &Value) -> Value {
    match method {
        "get_device_info" => ok(child_info(unit, outlet)),
        "set_device_info" => set_state(unit, outlet, params),
        "get_device_usage" => ok(usage()),
        _ => of_outlet(unit, outlet, method, params),
    }
}

fn of_outlet(unit: &Unit, outlet: usize, method: &str, params: &Value) -> Value {
    let metered = unit.device.spec().metered;
    let habits = unit.habits;
    match method {
        // Energy stays hidden until the clock is set.
        "get_emeter_data" | "get_current_power" | "get_energy_usage" if habits.clock_unset => code(BUSY),
        "get_emeter_data" if metered && !unit.quirks.old_meter => ok(emeter(&unit.device, outlet)),
        "get_current_power" if metered => {
            ok(json!({"current_power": unit.device.watts(outlet).unwrap_or_default().round()}))
        }
        "get_energy_usage" if metered => ok(energy(&unit.device, outlet)),
        "get_auto_off_config" | "get_schedule_rules" | "get_countdown_rules" | "get_antitheft_rules"
            if unit.quirks.busy_settings =>
        {
            code(BUSY)
        }
        "get_auto_off_config" => ok(json!({"enable": habits.auto_off, "delay_min": 120})),
        "get_schedule_rules" => ok(rules(unit, habits.schedule, scheduled(), params)),
        "get_countdown_rules" => ok(rules(unit, habits.countdown, counting_down(), params)),
        "get_antitheft_rules" => ok(rules(unit, habits.away, away(), params)),
        "get_next_event" => ok(json!({})),
        _ => code(UNKNOWN_METHOD),
    }
}

fn set_state(unit: &Unit, outlet: usize, params: &Value) -> Value {
    match params.get("device_on").and_then(Value::as_bool) {
        Some(on) if unit.device.command(outlet, on) => json!({"error_code": 0}),
        Some(_) => code(BUSY),
        None => code(BAD_PARAMETERS),
    }
}

fn components(unit: &Unit, strip: bool) -> Value {
    let mut list = vec![
        "device",
        "firmware",
        "schedule",
        "countdown",
        "antitheft",
        "time",
        "iot_cloud",
    ];
    if strip {
        list.extend(["control_child", "child_device"]);
    } else {
        list.push("auto_off");
        list.push("default_states");
    }
    if unit.device.spec().metered && !strip {
        list.push("energy_monitoring");
    }
    list.iter().map(|id| json!({"id": id, "ver_code": 1})).collect()
}

fn child_components(unit: &Unit) -> Value {
    let list: Vec<_> = (0..unit.device.count())
        .map(|outlet| {
            json!({
                "device_id": child_id(&unit.device, outlet),
                "component_list": [{"id": "device", "ver_code": 2}, {"id": "schedule", "ver_code": 2}],
            })
        })
        .collect();
    json!({"start_index": 0, "sum": list.len(), "child_component_list": list})
}

/// Ids and positions run against each other, as on a P300.
pub(super) fn child_id(device: &Device, outlet: usize) -> String {
    format!("{}{:02}", device_id(device), device.count() - 1 - outlet)
}

fn info(unit: &Unit) -> Value {
    let device = &unit.device;
    let spec = device.spec();
    let strip = device.count() > 1;
    let model = match (spec.model.as_str(), strip, spec.metered) {
        ("", true, true) => "P304M",
        ("", true, false) => "P300",
        ("", false, true) => "P110",
        ("", false, false) => "P100",
        (model, ..) => model,
    };
    let mut info = json!({
        "device_id": device_id(device),
        "fw_ver": "1.3.1 Build 240621 Rel.162048",
        "hw_ver": "1.0",
        "type": "SMART.TAPOPLUG",
        "model": model,
        "mac": device.reported_mac().replace(':', "-"),
        "hw_id": "A6C1F1A4E8B5F2D0B0A1E9B1C2D3E4F5",
        "fw_id": "00000000000000000000000000000000",
        "oem_id": "B1C2D3E4F5A6C1F1A4E8B5F2D0B0A1E9",
        "ip": "127.0.0.1",
        "time_diff": 60,
        "ssid": STANDARD.encode("network"),
        "rssi": -48,
        "signal_level": 3,
        "latitude": 0,
        "longitude": 0,
        "lang": "en_US",
        "avatar": "plug",
        "region": "Europe/Berlin",
        "specs": "",
        "nickname": STANDARD.encode(device.reported_name()),
        "has_set_location_info": false,
    });
    if strip {
        return info;
    }
    put(&mut info, "on_time", json!(device.uptime().as_secs()));
    put(&mut info, "overheated", json!(false));
    put(&mut info, "default_states", default_states(unit));
    if !device.faults().no_state {
        put(&mut info, "device_on", json!(device.reported(0) == Some(true)));
    }
    info
}

fn default_states(unit: &Unit) -> Value {
    if unit.habits.always_on {
        json!({"type": "custom", "state": {"on": true}})
    } else {
        json!({"type": "last_states", "state": {}})
    }
}

fn start_index(params: &Value) -> usize {
    let start = params
        .get("start_index")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    usize::try_from(start).unwrap_or(usize::MAX)
}

fn children(unit: &Unit, params: &Value) -> Value {
    let start = start_index(params);
    let count = unit.device.count();
    // Listed in reverse.
    let list: Vec<_> = (0..count)
        .rev()
        .skip(start)
        .take(PAGE)
        .map(|outlet| child_info(unit, outlet))
        .collect();
    json!({"start_index": start, "sum": count, "child_device_list": list})
}

fn child_info(unit: &Unit, outlet: usize) -> Value {
    let device = &unit.device;
    let spec = device.spec();
    let alias = spec
        .outlets
        .get(outlet)
        .map(|outlet| outlet.alias.clone())
        .unwrap_or_default();
    let mut info = json!({
        "device_id": child_id(device, outlet),
        "original_device_id": device_id(device),
        "parent_device_id": device_id(device),
        "category": "plug.powerstrip.sub-plug",
        "type": "SMART.TAPOPLUG",
        "model": if spec.metered { "P304M" } else { "P300" },
        "fw_ver": "1.0.15 Build 231130 Rel.122554",
        "hw_ver": "1.0",
        "mac": device.reported_mac().replace(':', "-"),
        "nickname": STANDARD.encode(alias),
        "position": outlet + 1,
        "slot_number": device.count(),
        "on_time": 0,
        "overheat_status": "normal",
        "bind_count": 1,
        "status_follow_edge": false,
        "lang": "en_US",
        "latitude": 0,
        "longitude": 0,
        "region": "Europe/Berlin",
        "avatar": "plug",
        "default_states": default_states(unit),
    });
    if !device.faults().no_state {
        put(
            &mut info,
            "device_on",
            json!(device.reported(outlet) == Some(true)),
        );
    }
    info
}

fn emeter(device: &Device, outlet: usize) -> Value {
    let watts = device.watts(outlet).unwrap_or_default();
    json!({
        "current_ma": (watts / 230.1 * 1000.0).round(),
        "voltage_mv": 230_100,
        "power_mw": (watts * 1000.0).round(),
        "energy_wh": 1234,
    })
}

fn energy(device: &Device, outlet: usize) -> Value {
    json!({
        "today_runtime": 60,
        "month_runtime": 600,
        "today_energy": 12,
        "month_energy": 1234,
        "local_time": "2026-01-02 03:04:05",
        "electricity_charge": [0, 0, 0],
        "current_power": (device.watts(outlet).unwrap_or_default() * 1000.0).round(),
    })
}

fn usage() -> Value {
    json!({
        "time_usage": {"today": 1, "past7": 2, "past30": 3},
        "power_usage": {"today": 1, "past7": 2, "past30": 3},
        "saved_power": {"today": 1, "past7": 2, "past30": 3},
    })
}

fn time(unit: &Unit) -> Value {
    let timestamp = if unit.habits.clock_unset {
        1_000
    } else {
        1_767_323_045
    };
    json!({"timestamp": timestamp, "time_diff": 60, "region": "Europe/Berlin"})
}

/// A page of rules: the last one acts, if any does.
fn rules(unit: &Unit, any: bool, rule: Value, params: &Value) -> Value {
    let mut idle = rule.clone();
    put(&mut idle, "enable", json!(false));
    let mut all = vec![idle; unit.quirks.idle_rules];
    all.extend(any.then_some(rule));
    let start = start_index(params);
    let list: Vec<_> = all.iter().skip(start).take(PAGE).collect();
    json!({
        "enable": true,
        "rule_list": list,
        "start_index": start,
        "sum": all.len(),
        "schedule_rule_max_count": 32,
        "countdown_rule_max_count": 1,
        "antitheft_rule_max_count": 1,
    })
}

fn scheduled() -> Value {
    json!({
        "id": "S1", "enable": true, "mode": "repeat", "week_day": 127, "s_min": 420, "e_min": 0, "s_type": "normal",
        "e_type": "normal", "e_action": "none", "desired_states": {"on": true}, "day": 1, "month": 1, "year": 2026,
        "time_offset": 0,
    })
}

fn counting_down() -> Value {
    json!({"id": "C1", "enable": true, "delay": 600, "remain": 300, "desired_states": {"on": true}})
}

fn away() -> Value {
    json!({"id": "A1", "enable": true, "s_time": 1080, "e_time": 1380, "frequency": 5, "desired_states": {"on": true}})
}
