//! The ESPHome backend against real firmware, compiled for this host, with ESPHome's own client as the witness.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may end in a panic"
)]

use std::process::Command;
use std::time::Duration;

use fencekit::{
    Deadline, Error, ExpectedIdentity, FenceDevice, FenceDeviceExt, Method, Observation, Policy, Readback,
    Settings, Severity,
};
use fencekit_interop::{
    ESPHOME_KEY, ESPHOME_PORT, Firmware, Output, agent, python, required, run, workspace,
};
use serde_json::{Value, json};

fn device(firmware: &Firmware, options: &[(&str, &str)]) -> Box<dyn FenceDevice> {
    let mut settings = Settings::new(Method::Esphome);
    settings.set("ip", &firmware.address.to_string()).unwrap();
    for (name, value) in options {
        settings.set(name, value).unwrap();
    }
    Method::Esphome.device(&settings).unwrap()
}

fn encrypted(firmware: &Firmware, switch: &str) -> Box<dyn FenceDevice> {
    device(
        firmware,
        &[("switch_name", switch), ("encryption_key", ESPHOME_KEY)],
    )
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

async fn state(device: &dyn FenceDevice) -> Result<Observation, Error> {
    Ok(device.status(&Policy::default(), soon()).await?.observation)
}

/// What ESPHome's own client sees.
fn witness(firmware: &Firmware, key: &str) -> Option<Value> {
    let mut command = Command::new(python()?);
    command
        .arg(workspace().join("interop/peers/esphome_client.py"))
        .args([&firmware.address.to_string(), &ESPHOME_PORT.to_string(), key]);
    let output = run(&mut command, "", Duration::from_secs(20));
    assert!(output.ok(), "{output}");
    Some(serde_json::from_str(&output.stdout).unwrap())
}

fn fence(firmware: &Firmware, action: &str, more: &str) -> Output {
    let stdin = format!(
        "ip={}\nencryption_key={ESPHOME_KEY}\naction={action}\n{more}\n",
        firmware.address
    );
    run(
        &mut Command::new(agent("fence_esphome")),
        &stdin,
        Duration::from_secs(30),
    )
}

#[test]
fn the_agent_fences_one_relay_and_touches_no_other() {
    let firmware = required!(Firmware::start("encrypted"));
    let relay = "switch_name=Relay";
    for (action, code) in [("status", 0), ("monitor", 0), ("off", 0), ("status", 2)] {
        let output = fence(&firmware, action, relay);
        assert_eq!(output.code, Some(code), "{action}: {output}");
    }
    let seen = required!(witness(&firmware, ESPHOME_KEY));
    assert_eq!(
        seen["switches"],
        json!({"Relay": "off", "Second Outlet": "on", "Rack B/Relay": "on", "Assumed": "on", "Unset": "unknown"})
    );
    for (action, code) in [("on", 0), ("status", 0)] {
        let output = fence(&firmware, action, relay);
        assert_eq!(output.code, Some(code), "{action}: {output}");
    }
    let list = fence(&firmware, "list", "");
    assert!(list.ok() && list.stdout.contains("Rack B/Relay"), "{list}");
}

#[test]
fn the_agent_says_in_one_line_what_is_wrong() {
    let firmware = required!(Firmware::start("encrypted"));
    for (more, said) in [
        ("switch_name=Nope", "Second Outlet"),
        (
            "switch_name=Relay\nencryption_key=6Z4l0xkQ3m0l2mJm6q1oTq9wF6n1b2nYJw0J8j7m1lA=",
            "encryption_key",
        ),
        (
            "switch_name=Relay\nexpect_identity=02:00:00:00:00:01",
            "98:35:69:AB:F6:79",
        ),
    ] {
        let output = fence(&firmware, "off", more);
        assert_eq!(output.code, Some(1), "{output}");
        assert!(output.stderr.contains(said), "{more}: {output}");
        assert!(!output.stderr.contains("6Z4l0"), "a key was shown: {output}");
    }
    let seen = required!(witness(&firmware, ESPHOME_KEY));
    assert_eq!(seen["switches"]["Relay"], "on", "nothing may have been switched");
}

#[tokio::test]
async fn every_name_of_a_switch_finds_it() {
    let firmware = required!(Firmware::start("encrypted"));
    for name in ["Second Outlet", "second_outlet"] {
        let plug = encrypted(&firmware, name);
        plug.off_confirmed(&Policy::default(), soon(), &()).await.unwrap();
        assert_eq!(state(plug.as_ref()).await.unwrap(), Observation::Off);
        plug.on_confirmed(&Policy::default(), soon(), &()).await.unwrap();
    }
    let in_rack = encrypted(&firmware, "Rack B/Relay");
    in_rack
        .off_confirmed(&Policy::default(), soon(), &())
        .await
        .unwrap();
    assert_eq!(state(in_rack.as_ref()).await.unwrap(), Observation::Off);
    assert_eq!(
        state(encrypted(&firmware, "Relay").as_ref()).await.unwrap(),
        Observation::On
    );
}

#[tokio::test]
async fn an_encrypted_session_reads_back_on_itself() {
    let firmware = required!(Firmware::start("encrypted"));
    let plug = encrypted(&firmware, "Relay");
    assert_eq!(plug.readback(), Readback::SameSession);
    let confirmed = plug.off_confirmed(&Policy::default(), soon(), &()).await.unwrap();
    assert_eq!(
        (confirmed.before, confirmed.commands, confirmed.looks),
        (Observation::On, 1, 1)
    );
    // The firmware's words come through a pipe: all before those about another command, on another connection, have come.
    let other = encrypted(&firmware, "Second Outlet");
    other
        .off_confirmed(&Policy::default(), soon(), &())
        .await
        .unwrap();
    let is_mark = |line: &str| line.contains("'Second Outlet' Turning OFF");
    let _ = firmware.peer.wait_for(Duration::from_secs(20), is_mark);
    let said = firmware.peer.said();
    let connected = said
        .lines()
        .take_while(|line| !is_mark(line))
        .filter(|line| line.contains("fencekit ") && line.contains("): connected"));
    assert_eq!(connected.count(), 2, "{said}");
}

#[tokio::test]
async fn no_state_is_told_from_off() {
    let firmware = required!(Firmware::start("encrypted"));
    for (switch, reason) in [("Assumed", "assumed_state"), ("Unset", "knows no state")] {
        let plug = encrypted(&firmware, switch);
        let Observation::Unknown(said) = state(plug.as_ref()).await.unwrap() else {
            panic!("{switch}: a state out of nothing")
        };
        assert!(said.contains(reason), "{said}");
    }
    let policy = Policy {
        power_timeout: Duration::from_secs(1),
        ..Policy::default()
    };
    let error = encrypted(&firmware, "Assumed")
        .off_confirmed(&policy, soon(), &())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotConfirmed { .. }), "{error}");
}

#[tokio::test]
async fn identity_uptime_and_meter_come_with_the_state() {
    let firmware = required!(Firmware::start("encrypted"));
    let plug = encrypted(&firmware, "Relay");
    // Its sensors read for the first time within a second of its start.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    for identity in ["98:35:69:ab:f6:79", "storage-b-power", "Storage B power"] {
        let policy = Policy {
            expect_identity: Some(ExpectedIdentity::parse(identity).unwrap()),
            ..Policy::default()
        };
        let seen = plug.status(&policy, soon()).await.unwrap();
        assert!(seen.uptime.is_some(), "{seen:?}");
    }
    let wrong = Policy {
        expect_identity: Some(ExpectedIdentity::parse("storage-a-power").unwrap()),
        ..Policy::default()
    };
    let error = plug.off_confirmed(&wrong, soon(), &()).await.unwrap_err();
    assert!(matches!(error, Error::WrongDevice { .. }), "{error}");

    let metered = Policy {
        off_max_watts: Some(5.0),
        ..Policy::default()
    };
    assert_eq!(plug.power_reading(&metered, soon()).await.unwrap().watts, 87.5);
    let confirmed = plug.off_confirmed(&metered, soon(), &()).await.unwrap();
    assert_eq!(confirmed.power.unwrap().watts, 0.0);
}

#[tokio::test]
async fn findings_tell_what_the_firmware_lacks() {
    let firmware = required!(Firmware::start("plain"));
    let plug = device(&firmware, &[("switch_name", "Relay")]);
    let findings = plug
        .connect(soon())
        .await
        .unwrap()
        .findings(soon())
        .await
        .unwrap();
    assert!(
        findings
            .iter()
            .any(|finding| finding.severity == Severity::Warning && finding.detail.contains("encryption"))
    );
    assert!(
        findings
            .iter()
            .any(|finding| finding.topic == "firmware" && finding.detail.contains("ESPHome 20"))
    );
}

#[tokio::test]
async fn plaintext_reads_back_on_a_new_connection() {
    let firmware = required!(Firmware::start("plain"));
    for transport in ["auto", "native"] {
        let plug = device(&firmware, &[("switch_name", "Relay"), ("transport", transport)]);
        assert_eq!(plug.readback(), Readback::NewConnection);
        let confirmed = plug.off_confirmed(&Policy::default(), soon(), &()).await.unwrap();
        assert_eq!(confirmed.commands, 1);
        assert_eq!(state(plug.as_ref()).await.unwrap(), Observation::Off);
        plug.on_confirmed(&Policy::default(), soon(), &()).await.unwrap();
    }
    let seen = required!(witness(&firmware, "-"));
    assert_eq!(seen["switches"]["Second Outlet"], "on");
}

#[tokio::test]
async fn the_wrong_kind_of_encryption_is_named() {
    let plain = required!(Firmware::start("plain"));
    let error = state(encrypted(&plain, "Relay").as_ref()).await.unwrap_err();
    assert!(error.to_string().contains("encryption_key"), "{error}");
    let encrypting = required!(Firmware::start("encrypted"));
    for transport in ["native", "auto"] {
        let plug = device(&encrypting, &[("switch_name", "Relay"), ("transport", transport)]);
        let error = state(plug.as_ref()).await.unwrap_err();
        assert!(matches!(error, Error::Authentication { .. }), "{error}");
        assert!(error.to_string().contains("give encryption_key"), "{error}");
    }
}

#[tokio::test]
async fn a_device_that_dies_is_no_off() {
    let firmware = required!(Firmware::start("encrypted"));
    let plug = encrypted(&firmware, "Relay");
    let mut session = plug.connect(soon()).await.unwrap();
    assert_eq!(
        session.inspect(soon()).await.unwrap().observation,
        Observation::On
    );
    drop(firmware);
    let error = session.inspect(soon()).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(state(plug.as_ref()).await.is_err());
}
