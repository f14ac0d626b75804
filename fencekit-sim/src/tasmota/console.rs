//! What the firmware does with a command.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Tasmota;

const UNKNOWN: &str = r#"{"Command":"Unknown"}"#;
const ERROR: &str = r#"{"Command":"Error"}"#;

/// `Power2 OFF` in its parts.
struct Command<'a> {
    name: String,
    index: Option<usize>,
    payload: &'a str,
}

impl<'a> Command<'a> {
    fn parse(text: &'a str) -> Self {
        let (word, payload) = text.split_once(' ').unwrap_or((text, ""));
        let name = word.trim_end_matches(|c: char| c.is_ascii_digit());
        Self {
            name: name.to_ascii_lowercase(),
            index: word.get(name.len()..).and_then(|digits| digits.parse().ok()),
            payload: payload.trim(),
        }
    }

    fn index(&self) -> usize {
        self.index.unwrap_or(1)
    }

    /// The payload as a number; words for on and off count as 1 and 0.
    fn number(&self) -> Option<u32> {
        match self.payload.to_ascii_uppercase().as_str() {
            "ON" | "TRUE" => Some(1),
            "OFF" | "FALSE" => Some(0),
            text => text.parse().ok(),
        }
    }
}

impl Tasmota {
    /// Runs a command; gives back the reply as JSON text, since only a text can have a key twice.
    pub(super) fn execute(&self, text: &str) -> String {
        let command = Command::parse(text);
        match command.name.as_str() {
            "power" => self.power(&command),
            "status" => self.status(&command),
            "state" => Value::Object(self.state()).to_string(),
            "statetext" => self.state_text(&command),
            "setoption" | "so" => self.set_option(&command),
            "poweronstate" => self.number(&command, "PowerOnState"),
            "powerlock" => self.power_lock(&command),
            "pulsetime" => self.pulse_time(&command),
            "rule" => self.rule(&command),
            "timers" => self.on_off(&command, "Timers"),
            "interlock" => self.on_off(&command, "Interlock"),
            "ntpserver" if command.index() == 1 => {
                if !command.payload.is_empty() {
                    self.change(|settings| settings.ntp_server = command.payload.to_owned());
                }
                json!({"NtpServer1": self.settings().ntp_server}).to_string()
            }
            "devicename" => json!({"DeviceName": self.device.reported_name()}).to_string(),
            "restart" if command.payload == "1" => {
                self.device.restart();
                json!({"Restart": "Restarting"}).to_string()
            }
            // Commands in a backlog run later; the reply has no results.
            "backlog" => {
                let later: Vec<String> = command.payload.split(';').map(|c| c.trim().to_owned()).collect();
                let tasmota = self.clone();
                tokio::spawn(async move {
                    for command in later.iter().take(30) {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        let _ = tasmota.execute(command);
                    }
                });
                "{}".to_owned()
            }
            _ => UNKNOWN.to_owned(),
        }
    }

    fn power(&self, command: &Command<'_>) -> String {
        let index = command.index();
        if index > self.device.count() {
            return ERROR.to_owned();
        }
        // A payload that is no state is silently a question.
        let wanted = |relay: usize| match (command.number(), command.payload.to_ascii_uppercase().as_str()) {
            (Some(0), _) => Some(false),
            (Some(1), _) => Some(true),
            (Some(2), _) | (_, "TOGGLE") => Some(self.device.reported(relay - 1) == Some(false)),
            _ => None,
        };
        let relays = if index == 0 {
            1..=self.device.count()
        } else {
            index..=index
        };
        let mut reply = Map::new();
        for relay in relays {
            let taken = wanted(relay).filter(|on| self.switch(relay, *on));
            // The reply repeats a command that was taken, whatever becomes of it.
            let word = match taken {
                Some(on) if !self.device.faults().no_state => Some(self.settings().word(on).to_owned()),
                _ => self.word_of(relay),
            };
            if let Some(word) = word {
                reply.insert(self.power_key(relay), json!(word));
            }
        }
        Value::Object(reply).to_string()
    }

    /// False when the command is ignored.
    fn switch(&self, relay: usize, on: bool) -> bool {
        let settings = self.settings();
        if settings.power_lock.contains(&relay) || settings.power_on_state == 4 {
            return false;
        }
        let outlet = relay - 1;
        let delay = Duration::from_secs(u64::from(settings.option(47)));
        match delay
            .checked_sub(self.device.uptime())
            .filter(|left| !left.is_zero())
        {
            Some(left) => {
                self.device.set(outlet, on, false);
                self.later(left, outlet, on);
            }
            None if self.device.command(outlet, on) => {}
            None => return false,
        }
        let pulse = settings.pulse_time.get(&relay).copied().unwrap_or(0);
        let back = settings.power_on_state == 5;
        if pulse > 0 && on != back {
            self.later(pulse_length(pulse), outlet, back);
        }
        true
    }

    fn later(&self, after: Duration, outlet: usize, on: bool) {
        let device = self.device.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            device.set(outlet, on, true);
        });
    }

    /// `None` by the fault that leaves states out.
    fn word_of(&self, relay: usize) -> Option<String> {
        let on = self.device.reported(relay.checked_sub(1)?)?;
        (!self.device.faults().no_state).then(|| self.settings().word(on).to_owned())
    }

    fn power_key(&self, relay: usize) -> String {
        if self.device.count() == 1 && self.settings().option(26) == 0 {
            "POWER".to_owned()
        } else {
            format!("POWER{relay}")
        }
    }

    fn status(&self, command: &Command<'_>) -> String {
        let parts: &[&str] = match command.payload {
            "" => &["Status"],
            "0" => &[
                "Status",
                "StatusFWR",
                "StatusLOG",
                "StatusNET",
                "StatusSNS",
                "StatusSTS",
            ],
            "2" => &["StatusFWR"],
            "3" => &["StatusLOG"],
            "5" => &["StatusNET"],
            "8" | "10" => &["StatusSNS"],
            "11" => &["StatusSTS"],
            _ => return ERROR.to_owned(),
        };
        let reply: Map<String, Value> = parts
            .iter()
            .map(|part| ((*part).to_owned(), self.part(part)))
            .collect();
        Value::Object(reply).to_string()
    }

    fn part(&self, part: &str) -> Value {
        let settings = self.settings();
        match part {
            "Status" => self.general(),
            "StatusFWR" => {
                json!({"Version": "14.4.1(release-tasmota)", "Core": "2_7_8", "Hardware": "ESP8266EX"})
            }
            "StatusLOG" if settings.loses_option_list => json!({"SerialLog": 2, "WebLog": 2}),
            "StatusLOG" => json!({"SerialLog": 2, "WebLog": 2, "SetOption": settings.option_groups()}),
            "StatusNET" => json!({
                "Hostname": self.host_name(), "Mac": self.device.reported_mac(), "Webserver": settings.web_server,
                "HTTP_API": settings.option(128), "WifiConfig": settings.wifi_config,
            }),
            "StatusSNS" => self.sensors(),
            _ => Value::Object(self.state()),
        }
    }

    /// `tasmota-123456-1234`: the last three bytes of the MAC address, and its last 13 bits as a number.
    fn host_name(&self) -> String {
        let mac = self.device.reported_mac().replace(':', "");
        let tail = mac.get(mac.len().saturating_sub(6)..).unwrap_or(&mac);
        let number = u32::from_str_radix(tail, 16).unwrap_or(0) & 0x1fff;
        format!("tasmota-{tail}-{number:04}")
    }

    fn general(&self) -> Value {
        let (spec, settings) = (self.device.spec(), self.settings());
        let bits = |on: &dyn Fn(usize) -> bool| -> String {
            (0..spec.outlets.len())
                .rev()
                .map(|outlet| if on(outlet) { '1' } else { '0' })
                .collect()
        };
        let mut general = json!({
            "Module": 1, "DeviceName": self.device.reported_name(),
            "FriendlyName": spec.outlets.iter().map(|outlet| outlet.alias.as_str()).collect::<Vec<_>>(),
            "Topic": "tasmota_fence", "PowerOnState": settings.power_on_state, "PowerRetain": 0,
            "PowerLock": bits(&|outlet| settings.power_lock.contains(&(outlet + 1))),
        });
        let power = bits(&|outlet| self.device.reported(outlet) == Some(true));
        if let Some(general) = general.as_object_mut().filter(|_| !self.device.faults().no_state) {
            let value = if settings.power_bits_as_text {
                json!(power)
            } else {
                json!(u64::from_str_radix(&power, 2).unwrap_or(0))
            };
            general.insert("Power".into(), value);
        }
        general
    }

    fn state(&self) -> Map<String, Value> {
        let uptime = self.device.uptime().as_secs();
        let clock = format!(
            "{}T{:02}:{:02}:{:02}",
            uptime / 86400,
            uptime / 3600 % 24,
            uptime / 60 % 60,
            uptime % 60
        );
        let mut state = Map::new();
        state.insert("Uptime".into(), json!(clock));
        state.insert("UptimeSec".into(), json!(uptime));
        state.insert("MqttCount".into(), json!(0));
        for relay in 1..=self.device.count() {
            if let Some(word) = self.word_of(relay) {
                state.insert(self.power_key(relay), json!(word));
            }
        }
        state
    }

    fn sensors(&self) -> Value {
        let counts_while_off = self.settings().option(21) == 1;
        let watts: Option<Vec<f64>> = (0..self.device.count())
            .map(|outlet| {
                let watts = self.device.watts(outlet)?;
                let told_off = self.device.reported(outlet) == Some(false);
                Some(if told_off && !counts_while_off { 0.0 } else { watts })
            })
            .collect();
        let Some(watts) = watts else {
            return json!({"Time": "2024-01-01T00:00:00"});
        };
        let amps: Vec<f64> = watts.iter().map(|watts| watts / 230.0).collect();
        let shown = |values: &[f64]| match values {
            [one] => json!(one),
            several => json!(several),
        };
        json!({"Time": "2024-01-01T00:00:00", "ENERGY": {
            "Total": 12.345, "Power": shown(&watts), "Voltage": 230, "Current": shown(&amps),
        }})
    }

    fn state_text(&self, command: &Command<'_>) -> String {
        let index = command.index();
        let payload = command.payload.to_owned();
        if !payload.is_empty() {
            self.change(|settings| {
                if let Some(text) = settings.state_texts.get_mut(index.wrapping_sub(1)) {
                    *text = payload;
                }
            });
        }
        match (index, self.settings().state_texts.get(index.wrapping_sub(1))) {
            (_, Some(text)) => json!({format!("StateText{index}"): text}).to_string(),
            (3, None) => json!({"StateText3": "TOGGLE"}).to_string(),
            (4, None) => json!({"StateText4": "HOLD"}).to_string(),
            _ => ERROR.to_owned(),
        }
    }

    fn set_option(&self, command: &Command<'_>) -> String {
        let Ok(number) = u8::try_from(command.index.unwrap_or(0)) else {
            return ERROR.to_owned();
        };
        if self.settings().unknown_options.contains(&number) {
            return UNKNOWN.to_owned();
        }
        if let Some(value) = command.number().and_then(|value| u8::try_from(value).ok()) {
            self.change(|settings| {
                settings.options.insert(number, value);
            });
        }
        let settings = self.settings();
        let value = settings.option(number);
        let shown = match number {
            32..=49 => json!(value),
            _ => json!(settings.word(value != 0)),
        };
        json!({format!("SetOption{number}"): shown}).to_string()
    }

    fn number(&self, command: &Command<'_>, key: &str) -> String {
        if let Some(value) = command.number().and_then(|value| u8::try_from(value).ok()) {
            self.change(|settings| settings.power_on_state = value);
        }
        json!({key: self.settings().power_on_state}).to_string()
    }

    fn power_lock(&self, command: &Command<'_>) -> String {
        let relay = command.index();
        if !(1..=self.device.count()).contains(&relay) {
            return ERROR.to_owned();
        }
        if let Some(value) = command.number() {
            self.change(|settings| {
                let _ = match value {
                    0 => settings.power_lock.remove(&relay),
                    _ => settings.power_lock.insert(relay),
                };
            });
        }
        let settings = self.settings();
        let word = settings.word(settings.power_lock.contains(&relay));
        json!({format!("PowerLock{relay}"): word}).to_string()
    }

    fn pulse_time(&self, command: &Command<'_>) -> String {
        let relay = command.index();
        if let Some(value) = command.number() {
            self.change(|settings| {
                settings.pulse_time.insert(relay, value);
            });
        }
        let set = self.settings().pulse_time.get(&relay).copied().unwrap_or(0);
        json!({format!("PulseTime{relay}"): {"Set": set, "Remaining": 0}}).to_string()
    }

    fn rule(&self, command: &Command<'_>) -> String {
        let index = command.index();
        let slot = index.wrapping_sub(1);
        if slot >= 3 {
            return ERROR.to_owned();
        }
        if let Some(value) = command.number().filter(|value| *value < 2) {
            self.change(|settings| {
                if let Some(rule) = settings.rules.get_mut(slot) {
                    *rule = value == 1;
                }
            });
        }
        let settings = self.settings();
        let active = settings.rules.get(slot).copied().unwrap_or(false);
        json!({format!("Rule{index}"): {
            "State": settings.word(active), "Once": settings.word(false), "Length": 0, "Rules": "",
        }})
        .to_string()
    }

    fn on_off(&self, command: &Command<'_>, key: &str) -> String {
        if let Some(value) = command.number() {
            self.change(|settings| match key {
                "Timers" => settings.timers = value == 1,
                _ => settings.interlock = value == 1,
            });
        }
        let settings = self.settings();
        let on = if key == "Timers" {
            settings.timers
        } else {
            settings.interlock
        };
        json!({key: settings.word(on)}).to_string()
    }
}

fn pulse_length(set: u32) -> Duration {
    match set {
        0..=111 => Duration::from_millis(u64::from(set) * 100),
        _ => Duration::from_secs(u64::from(set - 100)),
    }
}
