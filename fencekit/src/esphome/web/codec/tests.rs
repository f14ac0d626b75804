use proptest::prelude::*;

use super::Observation::{Off, On, Unknown};
use super::*;

fn name(text: &str) -> Name {
    Name::new(text)
}

fn switch(body: &str, asked: &str) -> Result<Observation> {
    switch_state(body.as_bytes(), &name(asked))
}

/// One `$ curl ...` of a capture: the decoded path behind the port, and what came.
struct Captured<'a> {
    path: String,
    body: &'a str,
    status: u16,
}

fn captured(text: &str) -> Vec<Captured<'_>> {
    text.split("$ curl ")
        .skip(1)
        .filter(|entry| !entry.contains("HTTP/1.1"))
        .filter_map(|entry| {
            let (command, rest) = entry.split_once('\n')?;
            let path = command.rsplit_once("127.0.0.1:")?.1.split_once('/')?.1;
            let (body, status) = rest.split_once("  [")?;
            Some(Captured {
                path: path.replace("%20", " "),
                body: body.trim(),
                status: status.get(..3)?.parse().ok()?,
            })
        })
        .collect()
}

const CAPTURES: [&str; 2] = [
    include_str!("../captures/2026.6.5-basic.txt"),
    include_str!("../captures/2026.10.0-digest.txt"),
];

#[test]
fn every_captured_state_is_read_and_belongs_to_who_was_asked() {
    for capture in CAPTURES {
        let mut states = 0;
        for reply in captured(capture) {
            let (path, _) = reply.path.split_once('?').unwrap_or((&reply.path, ""));
            let Some(asked) = path.strip_prefix("switch/").filter(|_| !reply.body.is_empty()) else {
                continue;
            };
            let outcome = switch(reply.body, asked);
            if reply.status == 200 {
                let on = reply.body.contains("\"value\":true");
                assert_eq!(outcome.unwrap(), if on { On } else { Off }, "{}", reply.body);
                assert!(switch(reply.body, "Nope").is_err());
                states += 1;
            } else {
                assert!(outcome.is_err(), "{} {}", reply.status, reply.body);
            }
        }
        assert!(states >= 3, "the capture was not understood");
    }
}

#[test]
fn captured_sensors_are_read() {
    for capture in CAPTURES {
        let readings: Vec<_> = captured(capture)
            .into_iter()
            .filter(|reply| reply.path.starts_with("sensor/") && reply.status == 200)
            .collect();
        assert!(!readings.is_empty());
        for reply in readings {
            assert_eq!(watts(reply.body.as_bytes(), &name("Power")).unwrap(), 87.5);
        }
    }
}

#[test]
fn all_three_generations_of_ids_are_checked() {
    let old = r#"{"id":"switch-second_outlet","value":false,"state":"OFF"}"#;
    let between = r#"{"name_id":"switch/Second Outlet","id":"switch-second_outlet","value":false}"#;
    let new = r#"{"id":"switch/Second Outlet","value":false,"state":"OFF"}"#;
    for body in [old, between, new] {
        for asked in ["Second Outlet", "second_outlet"] {
            assert_eq!(switch(body, asked).unwrap(), Off, "{body} {asked}");
        }
        for other in ["Relay", "second", "Second", "Outlet"] {
            let error = switch(body, other).unwrap_err();
            assert!(matches!(error, Error::Protocol { .. }), "{error}");
        }
    }
    // Names are case-sensitive where the reply carries one.
    assert!(switch(new, "SECOND OUTLET").is_err() && switch(between, "SECOND OUTLET").is_err());
}

#[test]
fn a_sub_device_must_be_the_one_that_was_asked_for() {
    let reply = r#"{"name_id":"switch/Rack B/Relay","id":"switch-relay","value":false,"state":"OFF"}"#;
    assert_eq!(switch(reply, "Rack B/Relay").unwrap(), Off);
    assert_eq!(switch(reply, "Rack B/relay").unwrap(), Off);
    for other in ["Relay", "Rack A/Relay", "rack b/Relay", "Relay/Rack B"] {
        assert!(switch(reply, other).is_err(), "{other}");
    }
    // An id of the first generation cannot say of which sub-device it is.
    assert!(switch(r#"{"id":"switch-relay","value":false}"#, "Rack B/Relay").is_err());
}

#[test]
fn another_kind_of_entity_is_no_switch() {
    for id in [
        "sensor/Relay",
        "sensor-relay",
        "switchRelay",
        "switch",
        "",
        "light/Relay",
    ] {
        assert!(
            switch(&format!(r#"{{"id":"{id}","value":false}}"#), "Relay").is_err(),
            "{id}"
        );
    }
    assert!(switch(r#"{"value":false,"state":"OFF"}"#, "Relay").is_err());
}

#[test]
fn what_is_no_plain_state_is_unknown() {
    for rest in [
        r#""state":"OFF""#,
        r#""value":null"#,
        r#""value":0"#,
        r#""value":"false""#,
        r#""value":false,"state":"ON""#,
        r#""value":true,"state":"OFF""#,
        r#""value":false,"state":"unknown""#,
        r#""value":false,"state":"OFF","assumed_state":true"#,
    ] {
        let body = format!(r#"{{"id":"switch/Relay",{rest}}}"#);
        assert!(matches!(switch(&body, "Relay"), Ok(Unknown(_))), "{body}");
    }
}

#[test]
fn a_doubled_field_or_a_cut_body_is_an_error() {
    let whole = r#"{"id":"switch/Relay","value":false,"state":"OFF"}"#;
    for end in 0..whole.len() {
        assert!(switch(&whole[..end], "Relay").is_err(), "cut at {end}");
    }
    assert!(switch(&format!("{whole}{whole}"), "Relay").is_err());
    assert!(switch(r#"{"id":"switch/Relay","value":true,"value":false}"#, "Relay").is_err());
}

#[test]
fn a_sensor_without_a_number_has_no_reading() {
    for value in [r#","value":null"#, r#","value":"NaN""#, r#","state":"NA""#, ""] {
        let body = format!(r#"{{"id":"sensor/Power"{value}}}"#);
        assert!(watts(body.as_bytes(), &name("Power")).is_err(), "{body}");
    }
}

#[test]
fn a_reading_in_another_unit_is_never_taken_for_watts() {
    let reply = |unit: &str| format!(r#"{{"id":"sensor/Power","value":0.25,"uom":"{unit}"}}"#);
    let of = |unit: &str| watts(reply(unit).as_bytes(), &name("Power"));
    assert_eq!(of("W").unwrap(), 0.25);
    assert_eq!(of("kW").unwrap(), 250.0);
    assert!(of("A").unwrap_err().to_string().starts_with("power_sensor: "));
}

#[test]
fn a_reading_without_a_unit_of_its_own_takes_it_from_the_text_beside_it() {
    let of = |fields: &str| {
        let body = format!(r#"{{"id":"sensor/Power","value":0.087{fields}}}"#);
        watts(body.as_bytes(), &name("Power"))
    };
    assert_eq!(of(r#","state":"0.087 W""#).unwrap(), 0.087);
    assert_eq!(of(r#","state":"0.087 kW""#).unwrap(), 87.0);
    assert_eq!(of(r#","state":"0.087 kW","uom":"""#).unwrap(), 87.0);
    for unclear in [
        "",
        r#","state":"0.087""#,
        r#","state":"0.087 A""#,
        r#","uom":"","state":"0.087 ""#,
    ] {
        let error = of(unclear).unwrap_err().to_string();
        assert!(error.starts_with("power_sensor: "), "{unclear}: {error}");
    }
}

#[test]
fn a_sensors_name_that_no_address_can_carry_is_refused_by_its_own_option() {
    let error = addresses(Domain::Sensor, &name("Rack/set"))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("power_sensor: ") && error.contains("sensor's name"),
        "{error}"
    );
    let error = addresses(Domain::Switch, &name("Rack/set"))
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("plug: "), "{error}");
}

#[test]
fn addresses_are_tried_by_name_and_then_by_object_id() {
    let of = |text: &str| addresses(Domain::Switch, &name(text)).unwrap();
    assert_eq!(
        of("Second Outlet"),
        ["/switch/Second%20Outlet", "/switch/second_outlet"]
    );
    assert_eq!(of("relay"), ["/switch/relay"]);
    assert_eq!(of("Büro?#&"), ["/switch/B%C3%BCro%3F%23%26", "/switch/b_ro___"]);
    assert_eq!(
        of("Rack B/Relay"),
        ["/switch/Rack%20B/Relay", "/switch/Rack%20B/relay"]
    );
}

#[test]
fn no_look_can_end_in_an_action() {
    for text in [
        "Relay/turn_on",
        "Relay/turn_off",
        "Relay/toggle",
        "Relay/Turn on",
        "Relay/TURN OFF",
    ] {
        let error = addresses(Domain::Switch, &name(text)).unwrap_err().to_string();
        assert!(error.starts_with("plug: "), "{error}");
    }
    for text in [".", "..", "../Relay", "Relay/.."] {
        assert!(addresses(Domain::Switch, &name(text)).is_err(), "{text}");
    }
    assert_eq!(addresses(Domain::Switch, &name("Toggle")).unwrap().len(), 2);
}

#[test]
fn the_first_ping_of_the_event_stream_names_the_device() {
    let stream = "retry: 30000\r\nid: 812\r\nevent: ping\r\ndata: {\"title\":\"Storage B power\",\"comment\":\"\",\
                  \"ota\":false,\"log\":true,\"lang\":\"en\"}\r\n\r\n";
    assert_eq!(
        identity(stream.as_bytes()).unwrap().name.as_deref(),
        Some("Storage B power")
    );
    for end in 0..stream.len() - 2 {
        assert!(!has_identity(&stream.as_bytes()[..end]), "cut at {end}");
    }
    let later = format!(
        "event: state\ndata: {{\"title\":\"no\"}}\n\n{}",
        stream.replace('\r', "")
    );
    assert_eq!(
        identity(later.as_bytes()).unwrap().name.as_deref(),
        Some("Storage B power")
    );
    assert!(identity(b"event: ping\ndata: {}\n\n").is_err());
    assert!(identity(b"<html></html>").is_err());
}

proptest! {
    #[test]
    fn hostile_bodies_do_not_panic_and_are_never_off(body in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(!matches!(switch_state(&body, &name("Relay")), Ok(Off | On)));
        let _ = watts(&body, &name("Power"));
        let _ = has_identity(&body);
        let _ = identity(&body);
    }

    #[test]
    fn an_address_is_one_line_and_stays_below_its_domain(text in "\\PC{1,40}") {
        for address in addresses(Domain::Switch, &name(&text)).unwrap_or_default() {
            prop_assert!(address.starts_with("/switch/") && address.is_ascii());
            prop_assert!(!address.contains([' ', '?', '#', '\\']) && address.matches('/').count() <= 3);
        }
    }

    #[test]
    fn the_id_of_another_switch_is_never_taken(asked in "[A-Za-z ]{1,12}", other in "[A-Za-z ]{1,12}") {
        prop_assume!(asked != other && asked != object_id(&other));
        let body = format!(r#"{{"id":"switch/{other}","value":false,"state":"OFF"}}"#);
        prop_assert!(switch(&body, &asked).is_err());
    }
}
