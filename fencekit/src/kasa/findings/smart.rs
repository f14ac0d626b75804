//! Settings as the SMART dialect tells them.

use serde_json::{Value, json};

use super::{Effect, Page, Question, info, problem, unknown, warning};
use crate::device::Finding;
use crate::error::Result;
use crate::kasa::json::text;
use crate::kasa::smart::{child_result, metered, of_child, request};

/// The start of 2020: a clock before it was never set.
const CLOCK_SET_SINCE: u64 = 1_577_836_800;

pub(super) fn questions() -> Vec<Question> {
    let question = |topic, what, ask, read| Question {
        topic,
        what,
        ask,
        read,
        page: |_, _| None,
    };
    let list = |topic, what, ask, read| Question {
        page,
        ..question(topic, what, ask, read)
    };
    vec![
        question(
            "restore",
            "itself",
            |child, _| of_child(child, "get_device_info", None),
            outlet,
        ),
        question(
            "setting",
            "its auto-off",
            |child, _| of_child(child, "get_auto_off_config", None),
            auto_off,
        ),
        list(
            "schedule",
            "its schedules",
            |child, from| rules(child, "get_schedule_rules", from),
            schedule,
        ),
        list(
            "countdown",
            "its countdowns",
            |child, from| rules(child, "get_countdown_rules", from),
            countdown,
        ),
        list(
            "schedule",
            "its away mode",
            |child, from| rules(child, "get_antitheft_rules", from),
            away,
        ),
        question(
            "clock",
            "its clock",
            |_, _| request("get_device_time", None),
            clock,
        ),
        question(
            "firmware",
            "its updates",
            |_, _| request("get_auto_update_info", None),
            updates,
        ),
    ]
}

fn rules(child: Option<&str>, method: &str, from: usize) -> Value {
    of_child(child, method, Some(json!({"start_index": from})))
}

/// Rules come in pages. One that announces no sum is the whole list.
fn page(reply: &Value, child: Option<&str>) -> Option<Page> {
    let answer = child_result(reply, child, "rules").ok()?;
    let listed = answer
        .get("rule_list")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    let sum = answer.get("sum").and_then(Value::as_u64)?;
    Some(Page {
        listed,
        sum: usize::try_from(sum).unwrap_or(usize::MAX),
    })
}

fn outlet(reply: &Value, child: Option<&str>) -> Result<Vec<Finding>> {
    let outlet = child_result(reply, child, "get_device_info")?;
    let mut findings = vec![restore(outlet.get("default_states").unwrap_or(&Value::Null))];
    let hot = outlet.get("overheated").and_then(Value::as_bool) == Some(true)
        || text(outlet, "overheat_status").is_some_and(|status| status != "normal");
    if hot {
        findings.push(problem(
            "setting",
            "the outlet is overheated and may switch off by itself, or refuse to switch",
            "lower its load, or replace the plug",
        ));
    }
    for (key, what) in [
        ("power_protection_status", "overload"),
        ("overcurrent_status", "overcurrent"),
    ] {
        if let Some(status) = text(outlet, key).filter(|status| status != "normal") {
            findings.push(problem(
                "setting",
                format!("the outlet's {what} protection says \"{status}\""),
                "lower its load; the plug switches off by itself",
            ));
        }
    }
    if metered(text(outlet, "model").as_deref()) == Some(false) {
        findings.push(info(
            "setting",
            "no power meter: that the relay really opened cannot be checked with off_max_watts",
        ));
    }
    Ok(findings)
}

/// What the plug does when power comes back after an outage.
fn restore(default_states: &Value) -> Finding {
    let on = default_states.pointer("/state/on").and_then(Value::as_bool);
    match (text(default_states, "type").as_deref(), on) {
        (Some("last_states"), _) => info("restore", "after a power loss the outlet is as it was before"),
        (Some("custom"), Some(true)) => problem(
            "restore",
            "after a power loss the outlet is always on: a fenced node would be powered up again",
            "set the default state to \"last state\" in the Tapo or Kasa app",
        ),
        (Some("custom"), Some(false)) => warning(
            "restore",
            "after a power loss the outlet is always off: a working node would stay down",
            "set the default state to \"last state\" in the Tapo or Kasa app",
        ),
        _ if default_states.is_null() => info(
            "restore",
            "the plug does not say how its outlet is after a power loss",
        ),
        _ => unknown(
            "restore",
            "how the outlet is after a power loss is not to be read from what the plug says",
            "look in the Tapo or Kasa app: the default state should be \"last state\"",
        ),
    }
}

fn auto_off(reply: &Value, child: Option<&str>) -> Result<Vec<Finding>> {
    let config = child_result(reply, child, "get_auto_off_config")?;
    let finding = match config.get("enable").and_then(Value::as_bool) {
        Some(false) => return Ok(Vec::new()),
        Some(true) => Effect::TurnsOff.finding("setting", "auto-off, some time after it was turned on,"),
        None => unknown(
            "setting",
            "the plug does not say whether its auto-off is on",
            "look in the Tapo or Kasa app: auto-off should be off",
        ),
    };
    Ok(vec![finding])
}

/// What the rules of a kind do that are on.
fn effects(reply: &Value, child: Option<&str>, what: &str) -> Result<Vec<Effect>> {
    let answer = child_result(reply, child, what)?;
    let on = |object: &Value| object.get("enable").and_then(Value::as_bool) != Some(false);
    let list = answer
        .get("rule_list")
        .and_then(Value::as_array)
        .filter(|_| on(answer));
    let rules = list.into_iter().flatten().filter(|rule| on(rule));
    Ok(rules
        .map(
            |rule| match rule.pointer("/desired_states/on").and_then(Value::as_bool) {
                Some(true) => Effect::TurnsOn,
                Some(false) => Effect::TurnsOff,
                None => Effect::Either,
            },
        )
        .collect())
}

fn schedule(reply: &Value, child: Option<&str>) -> Result<Vec<Finding>> {
    let effects = effects(reply, child, "get_schedule_rules")?;
    Ok(effects
        .into_iter()
        .map(|effect| effect.finding("schedule", "a schedule"))
        .collect())
}

fn countdown(reply: &Value, child: Option<&str>) -> Result<Vec<Finding>> {
    let effects = effects(reply, child, "get_countdown_rules")?;
    Ok(effects
        .into_iter()
        .map(|effect| effect.finding("countdown", "a countdown"))
        .collect())
}

fn away(reply: &Value, child: Option<&str>) -> Result<Vec<Finding>> {
    let effects = effects(reply, child, "get_antitheft_rules")?;
    Ok(effects
        .into_iter()
        .map(|_| Effect::Either.finding("schedule", "the away mode"))
        .collect())
}

fn clock(reply: &Value, _: Option<&str>) -> Result<Vec<Finding>> {
    let time = child_result(reply, None, "get_device_time")?;
    let timestamp = time.get("timestamp").and_then(Value::as_u64);
    Ok(timestamp
        .filter(|timestamp| *timestamp < CLOCK_SET_SINCE)
        .map(|_| {
            warning(
                "clock",
                "the plug's clock is not set: it hides its power meter until then, so off_max_watts cannot be met",
                "let the plug reach a time server once",
            )
        })
        .into_iter()
        .collect())
}

fn updates(reply: &Value, _: Option<&str>) -> Result<Vec<Finding>> {
    let config = child_result(reply, None, "get_auto_update_info")?;
    let on = config.get("enable").and_then(Value::as_bool) == Some(true);
    Ok(on
        .then(|| {
            warning(
                "firmware",
                "the plug updates its firmware by itself: it is away meanwhile, and may come back speaking otherwise",
                "turn automatic updates off in the Tapo or Kasa app, and update by hand",
            )
        })
        .into_iter()
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Severity;

    #[test]
    fn the_restore_setting_is_judged() {
        let severity = |states: Value| restore(&states).severity;
        assert_eq!(
            severity(json!({"type": "last_states", "state": {}})),
            Severity::Info
        );
        assert_eq!(
            severity(json!({"type": "custom", "state": {"on": true}})),
            Severity::Problem
        );
        assert_eq!(
            severity(json!({"type": "custom", "state": {"on": false}})),
            Severity::Warning
        );
        assert_eq!(severity(json!(null)), Severity::Info, "not every model has it");
        for odd in [json!({"type": "custom"}), json!({"type": 1}), json!([])] {
            assert_eq!(severity(odd), Severity::Unknown);
        }
    }

    #[test]
    fn an_overheated_outlet_is_a_problem() {
        let findings = |info: Value| outlet(&json!({"error_code": 0, "result": info}), None).unwrap();
        assert!(
            findings(json!({"overheated": true}))
                .iter()
                .any(|f| f.severity == Severity::Problem)
        );
        assert!(
            findings(json!({"overheat_status": "overheated"}))
                .iter()
                .any(|f| f.severity == Severity::Problem)
        );
        let calm =
            json!({"overheated": false, "overheat_status": "normal", "power_protection_status": "normal"});
        assert!(findings(calm).iter().all(|f| f.severity == Severity::Info));
    }
}
