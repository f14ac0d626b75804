//! Known answers, and what hostile bytes may not do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde::Deserialize;

use super::chassis::{self, Control};
use super::config::Config;
use super::lan::{self, Request};
use super::machine::{Event, Machine, Seed};
use super::{dcmi, rmcp, setup};
use crate::error::Error;
use crate::method::Method;
use crate::options::Settings;
use crate::power::Observation;

/// Made by `tests/vectors/ipmi.py` from the specification, with hmac and hashlib.
#[derive(Deserialize)]
struct Vector {
    suite: u8,
    kg: String,
    seed: String,
    guid: String,
    turns: Vec<Turn>,
}

#[derive(Deserialize)]
struct Turn {
    sends: String,
    receives: String,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../tests/vectors/ipmi.json")).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn settings(options: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::new(Method::Ipmi);
    let usual = [
        ("ip", "127.0.0.1"),
        ("username", "fencer"),
        ("password", "correct-horse-batt"),
    ];
    for (name, value) in usual.iter().chain(options) {
        settings.set(name, value).unwrap();
    }
    settings
}

fn config(options: &[(&str, &str)]) -> Arc<Config> {
    Arc::new(Config::from_settings(&settings(options)).unwrap())
}

impl Vector {
    fn machine(&self, now: Instant) -> Machine {
        let suite = self.suite.to_string();
        let mut options = vec![("cipher", suite.as_str())];
        if !self.kg.is_empty() {
            options.push(("hexadecimal_kg", self.kg.as_str()));
        }
        let mut machine = Machine::new(config(&options), now);
        let seed = Seed::new(&bytes(&self.seed).try_into().unwrap());
        machine.start(seed, now + Duration::from_secs(60), now);
        machine
    }

    /// What the machine sends is byte for byte what the specification says; then the BMC's answer goes in.
    fn turn(&self, machine: &mut Machine, number: usize, now: Instant) -> Option<Event> {
        let turn = &self.turns[number];
        let sent = machine.poll_transmit().unwrap();
        assert_eq!(sent, bytes(&turn.sends), "suite {}, turn {number}", self.suite);
        machine.handle(&bytes(&turn.receives), now);
        machine.poll_event()
    }

    /// A machine whose session stands.
    fn live(&self, now: Instant) -> Machine {
        let mut machine = self.machine(now);
        for number in 0..3 {
            let event = self.turn(&mut machine, number, now);
            assert_eq!(matches!(event, Some(Event::Ready)), number == 2, "{event:?}");
        }
        machine
    }
}

fn answered(event: Option<Event>) -> Vec<u8> {
    match event {
        Some(Event::Answered(answer)) => {
            assert_eq!(answer.code, 0);
            answer.data
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn whole_sessions_match_the_specification() {
    let now = Instant::now();
    let deadline = now + Duration::from_secs(60);
    for vector in vectors() {
        let mut machine = vector.live(now);
        assert_eq!(machine.guid().unwrap().to_vec(), bytes(&vector.guid));

        machine.request(chassis::status(), deadline, now);
        let status = answered(vector.turn(&mut machine, 3, now));
        assert_eq!(chassis::power(&status), Some(Observation::On));
        machine.request(chassis::set_privilege(machine.privilege()), deadline, now);
        answered(vector.turn(&mut machine, 4, now));
        machine.request(chassis::control(Control::Off), deadline, now);
        answered(vector.turn(&mut machine, 5, now));
        machine.request(chassis::status(), deadline, now);
        let status = answered(vector.turn(&mut machine, 6, now));
        assert_eq!(chassis::power(&status), Some(Observation::Off));
        machine.close(now);
        assert!(matches!(vector.turn(&mut machine, 7, now), Some(Event::Closed)));
    }
}

#[test]
fn an_answer_counts_once_and_only_for_its_request() {
    let now = Instant::now();
    let deadline = now + Duration::from_secs(60);
    for vector in vectors() {
        let mut machine = vector.live(now);
        machine.request(chassis::status(), deadline, now);
        answered(vector.turn(&mut machine, 3, now));
        machine.request(chassis::status(), deadline, now);
        // The same answer once more, and the one to a later request.
        for number in [3, 6, 5] {
            machine.handle(&bytes(&vector.turns[number].receives), now);
            assert!(machine.poll_event().is_none());
        }
    }
}

#[test]
fn every_changed_bit_of_an_answer_makes_it_count_for_nothing() {
    let now = Instant::now();
    let deadline = now + Duration::from_secs(60);
    for vector in vectors() {
        for number in 0..4 {
            let reply = bytes(&vector.turns[number].receives);
            // These carry nothing: RMCP's reserved byte and sequence number, and in the handshake the session sequence
            // number and RAKP 4's reserved bytes.
            let idle = |byte| matches!(byte, 1 | 2) || (number == 2 && matches!(byte, 10..=13 | 18 | 19));
            for bit in (0..reply.len() * 8).filter(|bit| !idle(bit / 8)) {
                let mut machine = if number == 3 {
                    vector.live(now)
                } else {
                    vector.machine(now)
                };
                if number == 3 {
                    machine.request(chassis::status(), deadline, now);
                } else {
                    for earlier in 0..number {
                        vector.turn(&mut machine, earlier, now);
                    }
                }
                let mut changed = reply.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                machine.handle(&changed, now);
                let before_rakp2 = number < 2;
                match machine.poll_event() {
                    None | Some(Event::Failed(_)) => {}
                    // A status that asks to begin anew.
                    Some(Event::StartAgain) if before_rakp2 || number == 2 => {}
                    other => panic!("turn {number}, bit {bit}: {other:?}"),
                }
            }
        }
    }
}

#[test]
fn a_session_that_failed_is_still_told_goodbye() {
    let now = Instant::now();
    let vector = &vectors()[0];
    let mut machine = vector.live(now);
    machine.request(chassis::status(), now + Duration::from_secs(60), now);
    machine.poll_transmit().unwrap();
    let (failed, at) = loop {
        let at = machine.poll_timeout().unwrap();
        machine.handle_timeout(at);
        machine.poll_transmit();
        if let Some(event) = machine.poll_event() {
            break (event, at);
        }
    };
    assert!(
        matches!(failed, Event::Failed(Error::Timeout { .. })),
        "{failed:?}"
    );
    assert_eq!(at - now, Duration::from_secs(3));
    machine.close(at);
    assert!(machine.poll_transmit().is_some());
}

#[test]
fn weak_choices_are_refused_by_name() {
    let refused: &[(&[(&str, &str)], &str)] = &[
        (&[("cipher", "0")], "cipher"),
        (&[("cipher", "1")], "cipher"),
        (&[("cipher", "2")], "cipher"),
        (&[("cipher", "6")], "cipher"),
        (&[("cipher", "15")], "cipher"),
        (&[("cipher", "16")], "cipher"),
        (&[("cipher", "18")], "cipher"),
        (&[("cipher", "300")], "cipher"),
        (&[("cipher", "0"), ("allow", "weak-suites")], "cipher"),
        (&[("cipher", "1"), ("allow", "weak-suites")], "cipher"),
        (&[("username", "")], "username"),
        (&[("username", "a-name-of-17-byte")], "username"),
        (&[("password", "")], "password"),
        (&[("password", "123456789012345678901")], "password"),
        (&[("hexadecimal_kg", "xyz")], "hexadecimal_kg"),
        (&[("hexadecimal_kg", "123")], "hexadecimal_kg"),
        (&[("allow", "ipmi-1.5")], "allow"),
        (&[("allow", "everything")], "allow"),
        (&[("quirks", "guess")], "quirks"),
        (&[("privlvl", "callback")], "privlvl"),
        (&[("target", "0x24")], "target"),
    ];
    for (options, name) in refused {
        let error = Config::from_settings(&settings(options)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name}: ")), "{options:?}: {error}");
        assert!(!error.contains("123456789012345678901"), "{error}");
    }
    let allowed: &[&[(&str, &str)]] = &[
        &[("cipher", "2"), ("allow", "weak-suites")],
        &[
            ("username", ""),
            ("password", ""),
            ("allow", "null-user,null-password"),
        ],
        &[(
            "quirks",
            "opensesspriv,authcap,intelplus,i82571spt,icts,idzero,nochecksumcheck",
        )],
        &[
            ("lanplus", "1"),
            ("auth", "md5"),
            ("ipmitool_path", "/usr/bin/ipmitool"),
        ],
        &[("hexadecimal_kg", "0x00ff")],
    ];
    for options in allowed {
        Config::from_settings(&settings(options)).unwrap();
    }
}

#[test]
fn nothing_shows_a_secret() {
    let config = config(&[("hexadecimal_kg", "a0a1a2a3")]);
    let machine = Machine::new(Arc::clone(&config), Instant::now());
    let device = super::Bmc::from_settings(&settings(&[])).unwrap();
    let shown = format!("{config:?} {machine:?} {device:?}");
    for secret in ["correct", "160, 161", "a0a1", "99, 111"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn a_meter_that_says_nothing_is_not_zero() {
    let good = bytes("dc6400000000000000000000000000000040");
    assert_eq!(dcmi::parse_power_reading(&good), Ok(100.0));
    for len in 0..good.len() {
        assert!(dcmi::parse_power_reading(&good[..len]).is_err());
    }
    let mut asleep = good;
    *asleep.last_mut().unwrap() = 0;
    assert!(dcmi::parse_power_reading(&asleep).is_err());
}

#[test]
fn only_a_clear_bit_without_a_control_fault_is_off() {
    assert_eq!(chassis::power(&[]), None);
    for byte in 0..=u8::MAX {
        let seen = chassis::power(&[byte, 0, 0]).unwrap();
        assert_eq!(seen == Observation::On, byte & 1 == 1);
        assert_eq!(seen == Observation::Off, byte & 0x11 == 0);
    }
}

fn status_request() -> Request {
    chassis::status()
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = rmcp::parse(&noise);
        let _ = lan::parse(&noise, true);
        let _ = lan::parse(&noise, false);
        let _ = dcmi::parse_power_reading(&noise);
        let _ = chassis::parse_device_id(&noise);
        let _ = chassis::extras(&noise);
        if let Ok(head) = setup::head(&noise) {
            let _ = (head.opened(), head.rakp2(), head.code());
        }
    }

    #[test]
    fn what_we_write_we_read(data in prop::collection::vec(any::<u8>(), 0..40), sequence in 0u8..64) {
        let request = Request { data: data.clone(), ..status_request() };
        let mut message = Vec::new();
        lan::write(&request, sequence, &mut message);
        // A request is no response: nothing of our own, echoed, answers us.
        if let Ok(response) = lan::parse(&message, true) {
            prop_assert!(!response.answers(&request, sequence));
        }
    }

    /// At every point of a session: noise, with and without a header that fits, leads to no answer.
    #[test]
    fn hostile_bytes_answer_nothing(
        turns in 0usize..4,
        noise in prop::collection::vec(any::<u8>(), 0..120),
        header in any::<bool>(),
        which in 0usize..4,
    ) {
        let now = Instant::now();
        let vector = &vectors()[which];
        let mut machine = vector.machine(now);
        for number in 0..turns.min(3) {
            vector.turn(&mut machine, number, now);
        }
        if turns == 3 {
            machine.request(status_request(), now + Duration::from_secs(60), now);
        }
        let mut packet = Vec::new();
        if header {
            let fits = bytes(&vector.turns[turns].receives);
            packet.extend_from_slice(&fits[..16]);
        }
        packet.extend_from_slice(&noise);
        machine.handle(&packet, now);
        let event = machine.poll_event();
        prop_assert!(
            matches!(event, None | Some(Event::Failed(_) | Event::StartAgain)),
            "{event:?}"
        );
    }
}
