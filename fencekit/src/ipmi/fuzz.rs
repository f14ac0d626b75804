//! What the fuzzer calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::machine::{Event, Machine, Seed};
use super::{Config, chassis, dcmi, guid, lan, rmcp};
use crate::options::Settings;
use crate::power::Observation;

/// Each length-prefixed piece as a packet of a BMC that does not know the password: no session comes of it.
pub fn session(bytes: &[u8]) {
    let Some(config) = config() else {
        return;
    };
    let mut now = Instant::now();
    let mut machine = Machine::new(Arc::new(config), now);
    let deadline = now + Duration::from_secs(60);
    machine.start(Seed::new(&[3; Seed::LEN]), deadline, now);
    for packet in pieces(bytes) {
        while machine.poll_transmit().is_some() {}
        machine.handle(packet, now);
        now += Duration::from_millis(10);
        if machine.poll_timeout().is_some_and(|timeout| timeout <= now) {
            machine.handle_timeout(now);
        }
        while let Some(event) = machine.poll_event() {
            match event {
                Event::StartAgain => machine.start(Seed::new(&[4; Seed::LEN]), deadline, now),
                Event::Ready | Event::Answered(_) => panic!("a session out of nothing"),
                Event::Failed(_) | Event::Closed => return,
            }
        }
    }
}

/// One message as everything that it may be.
pub fn message(bytes: &[u8]) {
    let _ = rmcp::parse(bytes);
    let _ = (lan::parse(bytes, true), lan::parse(bytes, false));
    let _ = (chassis::extras(bytes), chassis::parse_device_id(bytes));
    let _ = dcmi::parse_power_reading(bytes);
    let _ = guid::parse(bytes).and_then(guid::text);
    if matches!(chassis::power(bytes), Some(Observation::Off)) {
        assert!(
            bytes.first().is_some_and(|state| state & 1 == 0),
            "off out of nothing"
        );
    }
}

fn config() -> Option<Config> {
    let mut settings = Settings::new(crate::Method::Ipmi);
    for (name, value) in [
        ("ip", "127.0.0.1"),
        ("username", "admin"),
        ("password", "a secret"),
    ] {
        settings.set(name, value).ok()?;
    }
    Config::from_settings(&settings).ok()
}

fn pieces(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first()?;
        let (piece, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        bytes = rest;
        Some(piece)
    })
}
