use proptest::prelude::*;

use super::*;

fn texts() -> StateTexts {
    StateTexts {
        off: "OFF".into(),
        on: "ON".into(),
    }
}

fn status(text: &str) -> Status {
    Status::new(parse(text).unwrap())
}

/// In the form of firmware 14: a text of bits, names, settings in groups.
const TWO_RELAYS: &str = r#"{"Status":{"Module":0,"DeviceName":"rack plug","FriendlyName":["a","b"],"Topic":"tasmota_1",
    "Power":"10","PowerLock":"00","PowerOnState":3},
    "StatusFWR":{"Version":"14.4.1(release-tasmota)","Hardware":"ESP8266EX"},
    "StatusLOG":{"SetOption":["00208009","2805C80001000600003C5A0A192800000000","00000080","00006000","00004000","00000000"]},
    "StatusNET":{"Hostname":"tasmota-1-0001","Mac":"AA:BB:CC:00:00:01","Ethernet":{"Mac":"00:00:00:00:00:00"}},
    "StatusSNS":{"ENERGY":{"Total":1.5,"Power":[10,0],"Voltage":231,"Current":[0.05,0.0]}},
    "StatusSTS":{"Uptime":"0T00:01:20","UptimeSec":80,"MqttCount":0,"POWER1":"ON","POWER2":"OFF"}}"#;

#[test]
fn a_status_of_two_relays_is_read_whole() {
    let status = status(TWO_RELAYS);
    assert_eq!(status.relays(), Some(2));
    assert_eq!(status.observe(1, &texts()), Observation::On);
    assert_eq!(status.observe(2, &texts()), Observation::Off);
    assert!(matches!(status.observe(3, &texts()), Observation::Unknown(_)));
    assert_eq!(status.uptime(), Some(Duration::from_secs(80)));
    let identity = status.identity();
    assert_eq!(identity.mac.as_deref(), Some("AA:BB:CC:00:00:01"));
    assert_eq!(identity.name.as_deref(), Some("rack plug"));
    assert_eq!(identity.device_id.as_deref(), Some("tasmota-1-0001"));
    assert_eq!(status.friendly_name(2), "b");
    assert_eq!(
        (status.option(21), status.option(26), status.option(0)),
        (Some(true), Some(false), Some(true))
    );
    assert_eq!(
        (status.option(57), status.option(128), status.option(200)),
        (Some(true), Some(true), None)
    );
    assert_eq!(
        (
            status.byte_option(32),
            status.byte_option(34),
            status.byte_option(47)
        ),
        (Some(40), Some(200), Some(0))
    );
    let reading = status.power_reading(1).unwrap();
    assert_eq!(
        (reading.watts, reading.volts, reading.amps, reading.kilowatt_hours),
        (10.0, Some(231.0), Some(0.05), None)
    );
    assert_eq!(status.power_reading(2).unwrap().watts, 0.0);
}

#[test]
fn only_the_exact_words_are_a_state() {
    let german = StateTexts {
        off: "aus".into(),
        on: "an".into(),
    };
    let said = |word: &str| relay_state(&parse(&format!(r#"{{"POWER":"{word}"}}"#)).unwrap(), 1, &german);
    assert_eq!(said("aus"), Observation::Off);
    assert_eq!(said("an"), Observation::On);
    for other in ["OFF", "Aus", "aus ", "", "0", "off"] {
        assert!(matches!(said(other), Observation::Unknown(_)), "{other}");
    }
}

#[test]
fn a_state_said_twice_must_be_the_same() {
    let state = |text: &str| relay_state(&parse(text).unwrap(), 1, &texts());
    assert_eq!(
        state(r#"{"POWER":"OFF","POWER1":"OFF","X":{}}"#),
        Observation::Off
    );
    for unclear in [
        r#"{"POWER":"OFF","POWER":"ON"}"#,
        r#"{"POWER":"ON","POWER1":"OFF"}"#,
        r#"{"POWER":0}"#,
        r#"{"POWER2":"OFF"}"#,
        r#"{"Power":"OFF"}"#,
        "{}",
    ] {
        assert!(matches!(state(unclear), Observation::Unknown(_)), "{unclear}");
    }
}

#[test]
fn swapped_words_are_caught_by_the_bits() {
    for (bits, word) in [("1", "OFF"), ("0", "ON"), ("\"1\"", "OFF"), ("\"0\"", "ON")] {
        let text = format!(
            r#"{{"Status":{{"FriendlyName":["x"],"Power":{bits}}},"StatusSTS":{{"POWER":"{word}"}}}}"#
        );
        assert!(
            matches!(status(&text).observe(1, &texts()), Observation::Unknown(_)),
            "{text}"
        );
    }
    let second =
        r#"{"Status":{"FriendlyName":["x","y"],"Power":1},"StatusSTS":{"POWER1":"ON","POWER2":"OFF"}}"#;
    let second = status(second).with_start_delay(&parse(r#"{"SetOption47":0}"#).unwrap());
    assert_eq!(second.observe(2, &texts()), Observation::Off);
}

#[test]
fn the_number_of_relays_is_said_only_when_certain() {
    let relays = |text: &str| status(text).relays();
    assert_eq!(relays(r#"{"StatusSTS":{"POWER":"ON"}}"#), Some(1));
    assert_eq!(relays(r#"{"StatusSTS":{"POWER1":"ON"}}"#), None);
    assert_eq!(
        relays(r#"{"Status":{"FriendlyName":["a"]},"StatusSTS":{"POWER1":"ON"}}"#),
        Some(1)
    );
    assert_eq!(
        relays(r#"{"Status":{"FriendlyName":"old"},"StatusSTS":{"POWER":"ON"}}"#),
        Some(1)
    );
    // POWER2 got lost on the way.
    assert_eq!(
        relays(r#"{"Status":{"FriendlyName":["a","b"]},"StatusSTS":{"POWER1":"ON"}}"#),
        Some(2)
    );
    assert_eq!(
        relays(r#"{"Status":{"Power":"000"},"StatusSTS":{"POWER1":"ON"}}"#),
        Some(3)
    );
    assert_eq!(relays(r#"{"Status":{"FriendlyName":["a","b"]}}"#), None);
}

#[test]
fn an_off_during_the_start_delay_is_unknown() {
    let starting = |delay: &str, uptime: u32, mqtt: u32| {
        let groups = format!(r#"["00000000","000000000000000000000000000000{delay}0000"]"#);
        let text = format!(
            r#"{{"StatusLOG":{{"SetOption":{groups}}},"StatusSTS":{{"UptimeSec":{uptime},"MqttCount":{mqtt},"POWER":"OFF"}}}}"#
        );
        status(&text).observe(1, &texts()) != Observation::Off
    };
    assert!(!starting("00", 0, 0));
    assert!(starting("0A", 14, 0) && !starting("0A", 15, 0));
    assert!(starting("01", 3, 0) && !starting("01", 30, 0));
    assert!(starting("02", 9999, 0) && !starting("02", 9999, 1));
}

#[test]
fn a_lost_start_delay_is_not_taken_for_none() {
    let observed = |uptime: &str, asked: &str| {
        let text =
            format!(r#"{{"StatusLOG":{{"SetOption":["00000000"]}},"StatusSTS":{{{uptime}"POWER":"OFF"}}}}"#);
        let status = status(&text).with_start_delay(&parse(asked).unwrap());
        status.observe(1, &texts())
    };
    let is_off = |uptime: &str, asked: &str| observed(uptime, asked) == Observation::Off;
    // The device says nothing about it: the longest delay, 255 s, has to be over.
    for silent in [
        "{}",
        r#"{"SetOption47":"x"}"#,
        r#"{"SetOption47":300}"#,
        r#"{"SetOption47":-1}"#,
    ] {
        assert!(!is_off("", silent), "{silent}");
        assert!(!is_off(r#""UptimeSec":259,"#, silent), "{silent}");
        assert!(is_off(r#""UptimeSec":260,"#, silent), "{silent}");
    }
    // It answers when asked: none, some, or no such option, as old firmware says.
    assert!(is_off("", r#"{"SetOption47":0}"#));
    assert!(!is_off(r#""UptimeSec":30,"#, r#"{"SetOption47":200}"#));
    assert!(is_off("", r#"{"Command":"Unknown"}"#) && is_off("", r#"{"Command":"Error"}"#));
    assert!(!is_off("", r#"{"Command":"Unknown","SetOption47":200}"#));
}

#[test]
fn bodies_that_are_no_object_are_errors() {
    for body in [
        "",
        "<!DOCTYPE html>",
        "OFF",
        "[1]",
        "\"OFF\"",
        r#"{"POWER":"OFF"#,
        r#"{"POWER":"OFF"} {"POWER":"ON"}"#,
    ] {
        assert!(matches!(parse(body), Err(Error::Protocol { .. })), "{body}");
    }
    let refused = parse(r#"{"WARNING":"Need user=<username>&password=<password>"}"#);
    assert!(matches!(refused, Err(Error::Authentication { .. })));
}

#[test]
fn complaints_are_told_apart() {
    let of = |text: &str| Complaint::of(&parse(text).unwrap());
    assert_eq!(of(r#"{"Command":"Error"}"#), Some(Complaint::Error));
    assert_eq!(of(r#"{"Command":"Unknown"}"#), Some(Complaint::Unknown));
    assert_eq!(of(r#"{"POWER":"OFF"}"#), None);
}

#[test]
fn equal_words_for_both_states_are_refused() {
    let reply = |key: &str, word: &str| parse(&format!(r#"{{"{key}":"{word}"}}"#)).unwrap();
    let read =
        |off: &str, on: &str| StateTexts::from_replies(&reply("StateText1", off), &reply("StateText2", on));
    assert!(read("OFF", "ON").is_ok());
    assert!(read("X", "X").is_err() && read("", "ON").is_err());
    assert!(StateTexts::from_replies(&reply("StateText2", "OFF"), &reply("StateText2", "ON")).is_err());
}

#[test]
fn meters_are_read_or_refused_never_guessed() {
    let energy = |relays: &str, energy: &str| {
        status(&format!(
            r#"{{"Status":{{"FriendlyName":{relays}}},"StatusSNS":{{"ENERGY":{energy}}},"StatusSTS":{{"POWER1":"OFF"}}}}"#
        ))
        .power_reading(1)
    };
    assert_eq!(energy(r#"["a"]"#, r#"{"Power":12.5}"#).unwrap().watts, 12.5);
    // Three phases of one relay; one channel for two relays.
    assert_eq!(energy(r#"["a"]"#, r#"{"Power":[1,2,3]}"#).unwrap().watts, 6.0);
    assert_eq!(energy(r#"["a","b"]"#, r#"{"Power":7}"#).unwrap().watts, 7.0);
    for broken in [
        r#"{"Power":null}"#,
        r#"{"Voltage":230}"#,
        r#"{"Power":"0"}"#,
        r#"{"Power":[]}"#,
        r#"{"Power":[5,-9]}"#,
    ] {
        assert!(
            matches!(energy(r#"["a"]"#, broken), Err(Error::Protocol { .. })),
            "{broken}"
        );
    }
    assert!(matches!(
        energy(r#"["a","b"]"#, r#"{"Power":[1,2,3]}"#),
        Err(Error::Unsupported { .. })
    ));
    assert!(matches!(energy(r#"["a"]"#, "{}"), Err(Error::Unsupported { .. })));
}

#[test]
fn uptimes_of_old_and_new_firmware_are_read() {
    let uptime = |text: &str| {
        status(&format!(r#"{{"StatusSTS":{{{text}}}}}"#))
            .uptime()
            .map(|t| t.as_secs())
    };
    assert_eq!(uptime(r#""UptimeSec":80"#), Some(80));
    assert_eq!(uptime(r#""Uptime":"1T02:03:04""#), Some(93784));
    assert_eq!(uptime(r#""Uptime":"1 02:03:04""#), Some(93784));
    for odd in [
        r#""Uptime":"x""#,
        r#""Uptime":"1T02:03""#,
        r#""UptimeSec":-1"#,
        r#""Uptime":"9999999999999999999T00:00:00""#,
    ] {
        assert_eq!(uptime(odd), None, "{odd}");
    }
}

proptest! {
    #[test]
    fn no_body_crashes_the_parsers(body in ".{0,200}") {
        let _ = parse(&body);
    }

    /// Whatever stands in the reply, off is said only for the exact word.
    #[test]
    fn no_other_word_is_off(word in "[A-Za-z0-9 ]{0,8}", key in "POWER[0-9]{0,3}", bits in any::<i32>()) {
        let text = format!(r#"{{"Status":{{"Power":{bits},"FriendlyName":["x"]}},"StatusSTS":{{"{key}":"{word}"}}}}"#);
        let status = status(&text);
        for relay in 0..=u8::MAX {
            let seen = status.observe(relay, &texts());
            prop_assert!(seen != Observation::Off || (word == "OFF" && relay_of_key(&key) == Some(relay)));
        }
        let _ = (status.relays(), status.identity(), status.uptime(), status.power_reading(1));
    }

    /// A cut body is an error wherever it is cut.
    #[test]
    fn every_cut_is_an_error(at in 0usize..TWO_RELAYS.len()) {
        let cut = TWO_RELAYS.get(..at).unwrap();
        prop_assert!(parse(cut).is_err());
    }

    #[test]
    fn hostile_settings_do_not_crash(groups in prop::collection::vec("[0-9A-Fa-fé]{0,40}", 0..8), option in any::<u8>()) {
        let text = format!(r#"{{"StatusLOG":{{"SetOption":{}}}}}"#, serde_json::to_string(&groups).unwrap());
        let status = status(&text);
        let _ = (status.option(option), status.byte_option(option));
    }
}
