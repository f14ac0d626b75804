//! The settings of the firmware that matter to fencing.

use std::collections::{BTreeMap, BTreeSet};

/// A Tasmota's settings; the default is a device fresh from the factory.
#[derive(Clone, Debug)]
pub struct Settings {
    /// StateText1 and StateText2: what it says for off and for on.
    pub state_texts: [String; 2],
    /// SetOptions by number, where they differ from 0.
    pub options: BTreeMap<u8, u8>,
    /// PowerOnState.
    pub power_on_state: u8,
    /// Relays, from 1, with PowerLock.
    pub power_lock: BTreeSet<usize>,
    /// PulseTime by relay, from 1: up to 111 in tenths of a second, above that in seconds less 100.
    pub pulse_time: BTreeMap<usize, u32>,
    /// Which of the three rule sets are active.
    pub rules: [bool; 3],
    /// Whether timers are active.
    pub timers: bool,
    /// Whether relays exclude each other.
    pub interlock: bool,
    /// NtpServer1.
    pub ntp_server: String,
    /// WebServer: 1 for users, 2 for administrators.
    pub web_server: u8,
    /// WifiConfig.
    pub wifi_config: u8,
    /// The first version that reads the `Authorization` header, or an older one.
    pub header_auth: bool,
    /// HTTP status for wrong credentials: 401, or 200 in firmware 8.2.
    pub refusal_status: u16,
    /// Pairs of other log lines that get into every reply, as `"Time":"x","POWER1":"ON"`.
    pub log_noise: String,
    /// Whether `Status.Power` is a text of binary digits (firmware 13 and later), not a number.
    pub power_bits_as_text: bool,
    /// Whether `StatusLOG` lacks the list of SetOptions, as when a line of the log is lost.
    pub loses_option_list: bool,
    /// SetOptions that the firmware does not have yet.
    pub unknown_options: BTreeSet<u8>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            state_texts: ["OFF".to_owned(), "ON".to_owned()],
            options: [
                (0, 1),
                (3, 1),
                (15, 1),
                (32, 40),
                (33, 5),
                (34, 200),
                (57, 1),
                (128, 1),
            ]
            .into(),
            power_on_state: 3,
            power_lock: BTreeSet::new(),
            pulse_time: BTreeMap::new(),
            rules: [false; 3],
            timers: false,
            interlock: false,
            ntp_server: "pool.ntp.org".to_owned(),
            web_server: 2,
            wifi_config: 4,
            header_auth: true,
            refusal_status: 401,
            log_noise: String::new(),
            power_bits_as_text: true,
            loses_option_list: false,
            unknown_options: BTreeSet::new(),
        }
    }
}

impl Settings {
    /// The value of a SetOption; 0 where it was never set.
    #[must_use]
    pub fn option(&self, number: u8) -> u8 {
        self.options.get(&number).copied().unwrap_or(0)
    }

    /// The word for a state.
    #[must_use]
    pub fn word(&self, on: bool) -> &str {
        let [off_text, on_text] = &self.state_texts;
        if on { on_text } else { off_text }
    }

    /// The groups of `StatusLOG.SetOption`: 32 bits, 18 bytes, then 32 bits each.
    #[must_use]
    pub fn option_groups(&self) -> Vec<String> {
        let bits = |first: u8| {
            let word = (0..32u8).fold(0u32, |word, bit| {
                word | u32::from(self.option(first.saturating_add(bit)) != 0) << bit
            });
            format!("{word:08X}")
        };
        let bytes = (32..50)
            .map(|number| format!("{:02X}", self.option(number)))
            .collect();
        vec![bits(0), bytes, bits(50), bits(82), bits(114), bits(146)]
    }
}
