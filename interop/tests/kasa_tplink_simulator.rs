//! The Kasa backend against plugs and strips of the npm package `tplink-smarthome-simulator`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may end in a panic"
)]

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fencekit::kasa::{Search, discover};
use fencekit::{Deadline, Error, FenceDevice, FenceDeviceExt, Method, Observation, Policy, Settings};
use fencekit_interop::{Peer, npm_package, required, tool, workspace};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(20);

/// A running plug or strip.
struct Plug {
    peer: Peer,
    port: u64,
    asked: AtomicU32,
}

impl Plug {
    fn start(model: &str) -> Option<Self> {
        let node = tool("node")?;
        let modules = npm_package("tplink-smarthome-simulator")?.parent()?.to_owned();
        let data = json!({"alias": "storage-b", "mac": "50:c7:bf:00:00:01", "deviceId": "8006".repeat(10)});
        let mut command = Command::new(node);
        command
            .arg(workspace().join("interop/peers/tplink_plug.js"))
            .args([model, &data.to_string()])
            .env("NODE_PATH", modules);
        let peer = Peer::start(model, &mut command);
        let line = peer.wait_for(LIMIT, |line| line.contains("\"port\""));
        let line: Value = serde_json::from_str(&line).unwrap();
        Some(Self {
            peer,
            port: line["port"].as_u64().unwrap(),
            asked: AtomicU32::new(0),
        })
    }

    /// The relays as the peer itself has them.
    fn states(&self) -> Vec<u64> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed).to_string();
        self.peer.send(&number);
        let mark = format!("\"asked\":\"{number}\"");
        let line = self.peer.wait_for(LIMIT, |line| line.contains(&mark));
        let line: Value = serde_json::from_str(&line).unwrap();
        let states = line["states"].as_array().unwrap();
        states.iter().map(|state| state.as_u64().unwrap()).collect()
    }

    fn device(&self, options: &[(&str, &str)]) -> Box<dyn FenceDevice> {
        let mut settings = Settings::new(Method::Kasa);
        settings.set("ip", "127.0.0.1").unwrap();
        settings.set("ipport", &self.port.to_string()).unwrap();
        for (name, value) in options {
            settings.set(name, value).unwrap();
        }
        Method::Kasa.device(&settings).unwrap()
    }
}

fn policy() -> Policy {
    let mut settings = Settings::new(Method::Kasa);
    settings.set("expect_identity", "50-C7-BF-00-00-01").unwrap();
    Policy::from_settings(&settings).unwrap()
}

fn patient() -> Deadline {
    Deadline::after(LIMIT)
}

#[tokio::test]
async fn plugs_are_switched_off_and_on() {
    for model in ["hs100", "hs105", "hs110", "hs110v2", "hs200"] {
        let plug = required!(Plug::start(model));
        for transport in ["xor", "auto"] {
            let device = plug.device(&[("transport", transport)]);
            device.on_confirmed(&policy(), patient(), &()).await.unwrap();
            assert_eq!(plug.states(), [1], "{model}");
            let off = device.off_confirmed(&policy(), patient(), &()).await.unwrap();
            assert_eq!((off.before, plug.states()), (Observation::On, vec![0]), "{model}");
            let seen = device.status(&policy(), patient()).await.unwrap();
            assert_eq!(seen.observation, Observation::Off, "{model}");
            let identity = seen.identity.unwrap();
            assert_eq!(identity.name.as_deref(), Some("storage-b"), "{model}");
        }
    }
}

#[tokio::test]
async fn one_outlet_of_a_strip_is_switched_and_its_neighbours_are_not() {
    let strip = required!(Plug::start("hs300"));
    let before = strip.states();
    assert_eq!(before.len(), 6);
    let outlets = strip.device(&[]).outlets(&policy(), patient()).await.unwrap();
    assert_eq!(outlets.len(), 6);
    for number in 1..=6 {
        let before = strip.states();
        let by_id = format!("{}{:02}", "8006".repeat(10), number - 1);
        let by_alias = outlets[number - 1].alias.clone();
        let device = strip.device(&[("plug", &number.to_string())]);
        device.on_confirmed(&policy(), patient(), &()).await.unwrap();
        for plug in [by_id.as_str(), &by_alias] {
            let device = strip.device(&[("plug", plug)]);
            device.off_confirmed(&policy(), patient(), &()).await.unwrap();
            let mut expected = before.clone();
            expected[number - 1] = 0;
            assert_eq!(strip.states(), expected, "plug={plug}");
            device.on_confirmed(&policy(), patient(), &()).await.unwrap();
        }
    }
    let error = strip
        .device(&[])
        .off_confirmed(&policy(), patient(), &())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Config { .. }), "{error}");
}

#[tokio::test]
async fn meters_of_both_shapes_are_read() {
    for (model, options) in [("hs110", &[][..]), ("hs110v2", &[]), ("hs300", &[("plug", "2")])] {
        let plug = required!(Plug::start(model));
        let reading = plug
            .device(options)
            .power_reading(&policy(), patient())
            .await
            .unwrap();
        let volts = reading.volts.unwrap();
        assert!(
            reading.watts >= 0.0 && (50.0..300.0).contains(&volts),
            "{model}: {reading:?}"
        );
    }
    let plug = required!(Plug::start("hs100"));
    let error = plug
        .device(&[])
        .power_reading(&policy(), patient())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
}

#[tokio::test]
async fn a_search_finds_it() {
    for model in ["hs110", "hs300"] {
        let plug = required!(Plug::start(model));
        let search = Search {
            targets: vec![Ipv4Addr::LOCALHOST.into()],
            xor_port: u16::try_from(plug.port).unwrap(),
            tdp_ports: Vec::new(),
            wait: Duration::from_millis(700),
        };
        let found = discover(&search, patient()).await.unwrap();
        assert_eq!(found.len(), 1, "{model}: {found:?}");
        assert_eq!(found[0].transport, "xor", "{model}");
        assert_eq!(found[0].metered, Some(true), "{model}");
        assert_eq!(found[0].identity.name.as_deref(), Some("storage-b"), "{model}");
    }
}

#[tokio::test]
async fn a_state_that_is_neither_on_nor_off_is_unknown() {
    // This device takes any number for a state, and reports it.
    let plug = required!(Plug::start("hs110"));
    let port = u16::try_from(plug.port).unwrap();
    send_raw(port, br#"{"system":{"set_relay_state":{"state":7}}}"#);
    assert_eq!(plug.states(), [7]);
    let seen = plug.device(&[]).status(&policy(), patient()).await.unwrap();
    assert!(matches!(seen.observation, Observation::Unknown(_)), "{seen:?}");
    plug.device(&[])
        .off_confirmed(&policy(), patient(), &())
        .await
        .unwrap();
    assert_eq!(plug.states(), [0]);
}

/// One message and the start of its answer.
fn send_raw(port: u16, message: &[u8]) {
    use std::io::{Read, Write};
    let mut frame = u32::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    let mut key = 171;
    for byte in message {
        key ^= byte;
        frame.push(key);
    }
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(&frame).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
}
