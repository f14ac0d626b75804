//! What a device's settings mean for fencing: everything that can make its "OFF" mislead, with the command that
//! mends it.

use super::reply::{StateTexts, Status};
use super::scraped::{Json, Object};
use crate::device::{Finding, Severity};

/// The commands whose replies are needed besides `Status 0`. Firmware that lacks one says so, and that is no finding.
pub(super) fn commands(relay: u8) -> Vec<String> {
    let mut commands: Vec<String> = ["Rule1", "Rule2", "Rule3", "Timers", "Interlock", "NtpServer1"]
        .into_iter()
        .map(str::to_owned)
        .collect();
    commands.push(format!("PulseTime{relay}"));
    commands.push(format!("PowerLock{relay}"));
    commands
}

/// What the device revealed.
pub(super) struct Facts<'a> {
    pub(super) status: &'a Status,
    pub(super) relay: u8,
    pub(super) texts: &'a StateTexts,
    /// The replies to [`commands`], each with its command.
    pub(super) replies: &'a [(String, Object)],
    /// Whether a password was needed.
    pub(super) password: bool,
}

impl Facts<'_> {
    fn reply(&self, command: &str) -> Option<&Object> {
        self.replies
            .iter()
            .find(|(c, _)| c == command)
            .map(|(_, reply)| reply)
    }

    /// A setting that is on or off, in the device's own words or as a number.
    fn is_on(&self, value: Option<&Json>) -> bool {
        match value {
            Some(Json::Text(word)) => *word == self.texts.on || word == "ON" || word == "1",
            Some(Json::Number(number)) => *number != 0.0,
            Some(Json::Bool(on)) => *on,
            _ => false,
        }
    }

    fn bit(&self, option: u8, wrong: bool) -> bool {
        self.status.option(option) == Some(wrong)
    }
}

/// Everything worth saying, worst first.
pub(super) fn of(facts: &Facts<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    ignored_commands(facts, &mut found);
    restored_power(facts, &mut found);
    automatic_switching(facts, &mut found);
    foreign_control(facts, &mut found);
    web_access(facts, &mut found);
    evidence(facts, &mut found);
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

fn add(
    found: &mut Vec<Finding>,
    severity: Severity,
    topic: &'static str,
    detail: impl Into<String>,
    command: impl std::fmt::Display,
) {
    found.push(Finding {
        severity,
        topic,
        detail: detail.into(),
        mend: format!("run {command} in the device's console"),
    });
}

/// OFF is taken and nothing happens.
fn ignored_commands(facts: &Facts<'_>, found: &mut Vec<Finding>) {
    let relay = facts.relay;
    let key = format!("PowerLock{relay}");
    let locked = facts
        .reply(&key)
        .is_some_and(|reply| facts.is_on(reply.one(&key).or_else(|| reply.one("PowerLock"))));
    if locked {
        let text = "PowerLock is on: the relay ignores OFF";
        add(found, Severity::Problem, "setting", text, format_args!("{key} 0"));
    }
    if let Some(delay) = facts.status.byte_option(47).filter(|delay| *delay > 0) {
        let (severity, until) = match delay {
            1 => (Severity::Warning, "the network is up".to_owned()),
            2 => (Severity::Problem, "MQTT is connected".to_owned()),
            seconds => (Severity::Warning, format!("{seconds} s have passed")),
        };
        let text = format!(
            "SetOption47 is {delay}: after a start of the device its relays are not switched until {until}, though \
             it says OFF"
        );
        add(found, severity, "restore", text, "SetOption47 0");
    }
    if facts
        .reply("Interlock")
        .is_some_and(|reply| facts.is_on(reply.one("Interlock")))
    {
        let text = "Interlock is on: switching one relay on switches others off";
        add(found, Severity::Warning, "setting", text, "Interlock 0");
    }
}

/// What the relay does when the device itself gets power again.
fn restored_power(facts: &Facts<'_>, found: &mut Vec<Finding>) {
    let Some(state) = facts.status.general().number("PowerOnState") else {
        return;
    };
    let (severity, text) = match state as i64 {
        3 => (Severity::Info, ""),
        0 => (
            Severity::Warning,
            "PowerOnState 0: a power cut leaves the node off for good",
        ),
        1 => (
            Severity::Problem,
            "PowerOnState 1: a restart of the plug powers a fenced node up again",
        ),
        2 => (
            Severity::Problem,
            "PowerOnState 2: a restart of the plug turns a fenced node on again",
        ),
        4 => (
            Severity::Problem,
            "PowerOnState 4: the relay is locked on and ignores OFF",
        ),
        5 => (
            Severity::Problem,
            "PowerOnState 5: with PulseTime the relay turns on again by itself after an OFF",
        ),
        _ => (
            Severity::Warning,
            "PowerOnState has a value that fencekit does not know",
        ),
    };
    if severity > Severity::Info {
        add(found, severity, "restore", text, "PowerOnState 3");
    }
    if facts.bit(0, false) {
        let text = "SetOption0 is off: the plug forgets an OFF when it restarts";
        add(found, Severity::Problem, "restore", text, "SetOption0 1");
    }
}

/// What switches the relay without anybody asking.
fn automatic_switching(facts: &Facts<'_>, found: &mut Vec<Finding>) {
    let pulse = format!("PulseTime{}", facts.relay);
    if facts
        .reply(&pulse)
        .and_then(|reply| pulse_time(reply.one(&pulse)?))
        .is_some_and(|time| time > 0.0)
    {
        let text = format!("{pulse} is set: the relay switches by itself some time after a command");
        add(
            found,
            Severity::Problem,
            "countdown",
            text,
            format_args!("{pulse} 0"),
        );
    }
    for rule in ["Rule1", "Rule2", "Rule3"] {
        let Some(value) = facts.reply(rule).and_then(|reply| reply.one(rule)) else {
            continue;
        };
        let state = value.object().map_or(Some(value), |object| object.one("State"));
        if facts.is_on(state) {
            let text = format!("{rule} is active: it may switch the relay on again");
            add(
                found,
                Severity::Warning,
                "schedule",
                text,
                format_args!("{rule} 0"),
            );
        }
    }
    if facts
        .reply("Timers")
        .is_some_and(|reply| facts.is_on(reply.one("Timers")) && may_fire(reply))
    {
        let text = "timers are active: one may switch the relay on again";
        add(found, Severity::Warning, "schedule", text, "Timers 0");
    }
}

/// `{"Set":100,"Remaining":0}`, `100`, or in older firmware a text that starts with the number.
fn pulse_time(value: &Json) -> Option<f64> {
    match value {
        Json::Number(number) => Some(*number),
        Json::Object(object) => object.number("Set"),
        Json::Text(text) => {
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        }
        _ => None,
    }
}

/// Whether one of the timers is enabled; yes when the reply shows none.
fn may_fire(reply: &Object) -> bool {
    let mut shown = reply.pairs().filter_map(|(key, value)| {
        let number = key.strip_prefix("Timer")?;
        number.parse::<u8>().ok()?;
        value.object()?.number("Enable")
    });
    let first = shown.next();
    first.is_none_or(|first| first != 0.0 || shown.any(|enable| enable != 0.0))
}

/// Who else may switch it.
fn foreign_control(facts: &Facts<'_>, found: &mut Vec<Finding>) {
    if facts.bit(85, true) {
        let text = "device groups are on (SetOption85): another Tasmota may switch this relay";
        add(found, Severity::Warning, "setting", text, "SetOption85 0");
    }
    if facts.bit(3, true) {
        let text = "MQTT is on (SetOption3): a broker's command, even an old retained one, may switch the relay on again";
        add(found, Severity::Warning, "setting", text, "SetOption3 0");
    }
    if facts.status.general().number("PowerRetain") == Some(1.0) {
        let text = "PowerRetain is on: the broker keeps the last state and may play it back";
        add(found, Severity::Warning, "setting", text, "PowerRetain 0");
    }
    if facts.bit(73, false) {
        let text = "the button switches the relay (SetOption73 is off)";
        add(found, Severity::Warning, "setting", text, "SetOption73 1");
    }
    if facts.bit(1, false) {
        let text = "holding the button resets the device (SetOption1 is off)";
        add(found, Severity::Warning, "setting", text, "SetOption1 1");
    }
    if facts.bit(65, false) {
        let text = "quick power cuts in a row reset the device to factory settings (SetOption65 is off)";
        add(found, Severity::Warning, "setting", text, "SetOption65 1");
    }
}

/// Whether the web server will answer, and whom.
fn web_access(facts: &Facts<'_>, found: &mut Vec<Finding>) {
    if !facts.password {
        found.push(Finding {
            severity: Severity::Warning,
            topic: "setting",
            detail: "the device has no password: anybody on its network can switch it".into(),
            mend: "set WebPassword in the device's console, and give it as password".into(),
        });
    }
    if facts.bit(128, false) {
        let text =
            "SetOption128 is off: requests without a Referer get no answer, as those of other programs";
        add(found, Severity::Warning, "setting", text, "SetOption128 1");
    }
    let network = facts.status.network();
    if network
        .number("WifiConfig")
        .is_some_and(|mode| mode != 5.0 && mode != 4.0)
    {
        let text = "WifiConfig opens a set-up mode when the Wi-Fi is lost: the device then cannot be reached";
        add(found, Severity::Warning, "setting", text, "WifiConfig 5");
    }
    let public_clock = facts
        .reply("NtpServer1")
        .and_then(|reply| reply.text("NtpServer1"))
        .is_some_and(|server| server.ends_with("pool.ntp.org"));
    if public_clock {
        let text = "the clock comes from the internet: without it the web server of older firmware stalls for 30 to 60 s";
        add(
            found,
            Severity::Warning,
            "clock",
            text,
            "NtpServer1 <an address on the management network>",
        );
    }
}

/// What the device's word is worth.
fn evidence(facts: &Facts<'_>, found: &mut Vec<Finding>) {
    if facts.status.has_meter() && facts.bit(21, false) {
        let text =
            "SetOption21 is off: the meter reads 0 W merely because OFF was commanded, so it is no evidence";
        add(found, Severity::Warning, "setting", text, "SetOption21 1");
    }
    if (facts.texts.off.as_str(), facts.texts.on.as_str()) != ("OFF", "ON") {
        found.push(Finding {
            severity: Severity::Info,
            topic: "setting",
            detail: format!(
                "the device says \"{}\" for off and \"{}\" for on; fencekit reads that, other programs may not",
                facts.texts.off, facts.texts.on
            ),
            mend: String::new(),
        });
    }
    if let Some(firmware) = facts.status.identity().firmware {
        found.push(Finding {
            severity: Severity::Info,
            topic: "firmware",
            detail: format!("Tasmota {firmware}"),
            mend: String::new(),
        });
    }
}
