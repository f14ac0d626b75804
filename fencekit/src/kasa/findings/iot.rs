//! Settings as the IOT dialect tells them.

use serde_json::{Value, json};

use super::{Effect, Question, info, warning};
use crate::device::Finding;
use crate::error::Result;
use crate::kasa::iot::{answer, ask_sysinfo, in_context};

/// A clock before this year was never set.
const CLOCK_SET_SINCE: u64 = 2020;

pub(super) fn questions() -> Vec<Question> {
    let question = |topic, what, ask, read| Question {
        topic,
        what,
        ask,
        read,
        // Lists come whole.
        page: |_, _| None,
    };
    vec![
        question("firmware", "itself", |_, _| ask_sysinfo(), sysinfo),
        question(
            "schedule",
            "its schedules",
            |child, _| in_context(child, json!({"schedule": {"get_rules": {}}})),
            schedule,
        ),
        question(
            "countdown",
            "its countdowns",
            |child, _| in_context(child, json!({"count_down": {"get_rules": {}}})),
            countdown,
        ),
        question(
            "schedule",
            "its away mode",
            |child, _| in_context(child, json!({"anti_theft": {"get_rules": {}}})),
            away,
        ),
        question(
            "clock",
            "its clock",
            |_, _| json!({"time": {"get_time": {}}}),
            clock,
        ),
    ]
}

fn sysinfo(reply: &Value, _: Option<&str>) -> Result<Vec<Finding>> {
    let info_ = answer(reply, "system", "get_sysinfo")?;
    let mut findings = vec![info(
        "restore",
        "this firmware does not show what it does after a power loss; Kasa plugs go back to their last state",
    )];
    if info_
        .get("updating")
        .and_then(Value::as_u64)
        .is_some_and(|updating| updating > 0)
    {
        findings.push(warning(
            "firmware",
            "the plug is updating its firmware and will restart",
            "run this check again when it has; an update may change how the plug is spoken to",
        ));
    }
    Ok(findings)
}

/// The rules that are on, of a module that is on.
fn rules<'a>(reply: &'a Value, module: &str) -> Result<impl Iterator<Item = &'a Value>> {
    let answer = answer(reply, module, "get_rules")?;
    let on = |object: &Value| object.get("enable").and_then(Value::as_u64) != Some(0);
    let list = answer
        .get("rule_list")
        .and_then(Value::as_array)
        .filter(|_| on(answer));
    Ok(list.into_iter().flatten().filter(move |rule| on(rule)))
}

/// 1 turns on, 0 turns off, -1 does nothing.
fn effect(rule: &Value, actions: &[&str]) -> Option<Effect> {
    let any = |wanted: i64| {
        actions
            .iter()
            .any(|key| rule.get(key).and_then(Value::as_i64) == Some(wanted))
    };
    match (any(1), any(0)) {
        (true, false) => Some(Effect::TurnsOn),
        (false, true) => Some(Effect::TurnsOff),
        (true, true) => Some(Effect::Either),
        (false, false) => None,
    }
}

fn schedule(reply: &Value, _: Option<&str>) -> Result<Vec<Finding>> {
    let rules = rules(reply, "schedule")?;
    Ok(rules
        .filter_map(|rule| effect(rule, &["sact", "eact"]))
        .map(|effect| effect.finding("schedule", "a schedule"))
        .collect())
}

fn countdown(reply: &Value, _: Option<&str>) -> Result<Vec<Finding>> {
    let rules = rules(reply, "count_down")?;
    Ok(rules
        .filter_map(|rule| effect(rule, &["act"]))
        .map(|effect| effect.finding("countdown", "a countdown"))
        .collect())
}

fn away(reply: &Value, _: Option<&str>) -> Result<Vec<Finding>> {
    let rules = rules(reply, "anti_theft")?;
    Ok(rules
        .map(|_| Effect::Either.finding("schedule", "the away mode"))
        .collect())
}

fn clock(reply: &Value, _: Option<&str>) -> Result<Vec<Finding>> {
    let time = answer(reply, "time", "get_time")?;
    let year = time.get("year").and_then(Value::as_u64);
    Ok(year
        .filter(|year| *year < CLOCK_SET_SINCE)
        .map(|year| {
            warning(
                "clock",
                format!("the plug's clock is not set (its year is {year}): schedules would run at odd times"),
                "let the plug reach a time server, or delete its schedules",
            )
        })
        .into_iter()
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules_of(module: &str, enable: u64, rules: Value) -> Value {
        json!({module: {"get_rules": {"enable": enable, "rule_list": rules, "err_code": 0}}})
    }

    #[test]
    fn only_rules_that_are_on_and_act_count() {
        let found = |enable: u64, rule: Value| {
            let reply = rules_of("schedule", enable, json!([rule]));
            let found = schedule(&reply, None).unwrap();
            found
                .first()
                .map(|finding| finding.detail.clone())
                .unwrap_or_default()
        };
        assert!(found(1, json!({"enable": 1, "sact": 1, "eact": -1})).contains("turns the outlet on"));
        assert!(found(1, json!({"enable": 1, "sact": 0, "eact": -1})).contains("turns the outlet off"));
        assert!(found(1, json!({"enable": 1, "sact": 1, "eact": 0})).contains("switches"));
        assert_eq!(found(1, json!({"enable": 0, "sact": 1})), "");
        assert_eq!(found(0, json!({"enable": 1, "sact": 1})), "");
        assert_eq!(found(1, json!({"enable": 1, "sact": "x"})), "");
    }

    #[test]
    fn a_clock_that_was_never_set_is_told() {
        let year = |year: Value| {
            clock(
                &json!({"time": {"get_time": {"year": year, "err_code": 0}}}),
                None,
            )
            .unwrap()
            .len()
        };
        assert_eq!(
            (year(json!(2000)), year(json!(2026)), year(json!(null))),
            (1, 0, 0)
        );
    }
}
