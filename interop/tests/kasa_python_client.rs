//! python-kasa's command line against the simulated Kasa and Tapo devices.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may end in a panic"
)]

#[path = "kasa_support/mod.rs"]
mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use fencekit_interop::{Output, python, required, run, venv_bin, workspace};
use fencekit_sim::kasa::{Dialect, KlapVersion, Quirks, Scheme, Unit};
use fencekit_sim::{Device, Running, Spec, kasa};
use serde_json::Value;
use support::Way;

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// One device and how python-kasa is told of it.
struct Bench {
    kasa: PathBuf,
    sim: Running,
    how: Vec<&'static str>,
}

impl Bench {
    /// Runs a command, which must go well.
    fn kasa(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.kasa);
        command
            .args([
                "--host",
                "127.0.0.1",
                "--port",
                &self.sim.address.port().to_string(),
            ])
            .args(&self.how)
            .args(arguments);
        let output = run(&mut command, "", Duration::from_secs(30));
        assert!(output.ok(), "kasa {arguments:?}: {output}");
        output
    }

    fn sysinfo(&self) -> Value {
        let output = self.kasa(&["--json", "sysinfo"]);
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"))
    }
}

const XOR_PLUG: &[&str] = &["--type", "plug", "-e", "xor"];
const XOR_STRIP: &[&str] = &["--type", "strip", "-e", "xor"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_xor_plug() {
    let kasa = required!(venv_bin("kasa"));
    let sim = kasa::serve_xor(Device::new(Spec::plug("storage-b")), loopback());
    let bench = Bench {
        kasa,
        sim: sim.await.unwrap(),
        how: XOR_PLUG.to_vec(),
    };
    assert_eq!(bench.sysinfo()["alias"], "storage-b");
    bench.kasa(&["off"]);
    assert_eq!(bench.sim.device.relay(0), Some(false));
    assert_eq!(bench.sysinfo()["relay_state"], 0);
    bench.kasa(&["on"]);
    assert_eq!(bench.sim.device.relay(0), Some(true));
    let state = bench.kasa(&["state"]).stdout;
    assert!(state.contains("50:C7:BF:00:00:01"), "{state}");
    let energy = bench.kasa(&["feature", "current_consumption"]).stdout;
    assert!(energy.contains("60"), "{energy}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_xor_strip() {
    let kasa = required!(venv_bin("kasa"));
    let sim = kasa::serve_xor(Device::new(Spec::plug("rack").outlets(6)), loopback());
    let bench = Bench {
        kasa,
        sim: sim.await.unwrap(),
        how: XOR_STRIP.to_vec(),
    };
    bench.kasa(&["device", "off", "--index", "2"]);
    let relays: Vec<_> = (0..6)
        .map(|outlet| bench.sim.device.relay(outlet).unwrap())
        .collect();
    assert_eq!(relays, [true, true, false, true, true, true]);
    let states: Vec<_> = bench.sysinfo()["children"]
        .as_array()
        .unwrap()
        .iter()
        .map(|child| child["state"].clone())
        .collect();
    assert_eq!(states, [1, 1, 0, 1, 1, 1]);
    bench.kasa(&["device", "on", "--child", "Outlet 3"]);
    assert_eq!(bench.sim.device.commands(), [(2, false), (2, true)]);
}

const USER: &str = "Owner@Example.com";
const PASSWORD: &str = "Passw0rd!";

fn spec() -> Spec {
    Spec::plug("storage-b").credentials(USER, PASSWORD)
}

/// The ways with a login that python-kasa speaks.
fn ways() -> impl Iterator<Item = Way> {
    Way::ALL
        .iter()
        .copied()
        .filter(|way| way.has_peer_client() && *way != Way::Xor)
}

/// A simulated device with a login. Over AES its login is of version 2.
async fn serve(way: Way, spec: Spec) -> Running {
    let klap = |version, dialect| kasa::serve_klap(Device::new(spec.clone()), loopback(), version, dialect);
    match way {
        Way::KlapV1Iot => klap(KlapVersion::V1, Dialect::Iot).await,
        Way::KlapV2Iot => klap(KlapVersion::V2, Dialect::Iot).await,
        Way::KlapV2Smart => klap(KlapVersion::V2, Dialect::Smart).await,
        Way::Aes => {
            let quirks = Quirks {
                login_version_2: true,
                ..Quirks::default()
            };
            kasa::serve_aes(Unit::from(Device::new(spec)).quirks(quirks), loopback()).await
        }
        Way::Xor | Way::KlapV1Smart | Way::Tpap => {
            panic!("{way:?} is no way with a login that python-kasa speaks")
        }
    }
    .unwrap()
}

/// How python-kasa is told of it: the family, the encryption and the version of the login.
fn told(way: Way) -> [&'static str; 3] {
    let family = if way.dialect() == "IOT" {
        "IOT.SMARTPLUGSWITCH"
    } else {
        "SMART.TAPOPLUG"
    };
    let encryption = if way == Way::Aes { "AES" } else { "KLAP" };
    let login = if way == Way::KlapV1Iot { "1" } else { "2" };
    [family, encryption, login]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugs_with_a_login() {
    let kasa = required!(venv_bin("kasa"));
    for way in ways() {
        let [family, encryption, login] = told(way);
        let encryption = if encryption == "AES" { "aes" } else { "klap" };
        let bench = Bench {
            kasa: kasa.clone(),
            sim: serve(way, spec()).await,
            how: vec![
                "-e",
                encryption,
                "-df",
                family,
                "-lv",
                login,
                "--username",
                USER,
                "--password",
                PASSWORD,
            ],
        };
        bench.kasa(&["off"]);
        assert_eq!(bench.sim.device.relay(0), Some(false), "{way:?}");
        bench.kasa(&["on"]);
        assert_eq!(bench.sim.device.commands(), [(0, false), (0, true)], "{way:?}");
        let state = bench.kasa(&["state"]).stdout;
        assert!(state.contains("storage-b"), "{way:?}: {state}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strips_with_a_login() {
    let python = required!(python());
    for way in ways() {
        let sim = serve(way, spec().outlets(3)).await;
        for (state, relays) in [("off", [true, false, true]), ("on", [true; 3])] {
            let mut command = Command::new(&python);
            command
                .arg(workspace().join("interop/peers/kasa_strip.py"))
                .arg(sim.address.port().to_string())
                .args(told(way))
                .args([USER, PASSWORD, "Outlet 2", state]);
            let output = run(&mut command, "", Duration::from_secs(30));
            assert!(output.ok(), "{way:?}: {output}");
            let seen: Value = serde_json::from_str(&output.stdout).unwrap();
            for (outlet, relay) in relays.iter().enumerate() {
                assert_eq!(sim.device.relay(outlet), Some(*relay), "{way:?}");
                assert_eq!(seen[format!("Outlet {}", outlet + 1)], *relay, "{way:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn discovery_leads_to_the_right_transport() {
    let kasa = required!(venv_bin("kasa"));
    // An address of loopback of its own: python-kasa asks at fixed ports.
    let [_, a, b, _] = std::process::id().to_be_bytes();
    let ip = IpAddr::V4(Ipv4Addr::new(127, 77, a.wrapping_add(b), 5));
    let device = Device::new(spec());
    let address = SocketAddr::new(ip, 0);
    let sim = kasa::serve_klap(device.clone(), address, KlapVersion::V2, Dialect::Smart)
        .await
        .unwrap();
    let scheme = Scheme {
        family: "SMART.TAPOPLUG",
        encryption: "KLAP",
        port: sim.address.port(),
        login: 2,
    };
    let udp = SocketAddr::new(ip, 20002);
    let _udp = kasa::serve_discovery(device, udp, scheme, Arc::default())
        .await
        .unwrap();
    let mut command = Command::new(kasa);
    command
        .args([
            "--host",
            &ip.to_string(),
            "--username",
            USER,
            "--password",
            PASSWORD,
        ])
        .arg("off");
    let output = run(&mut command, "", Duration::from_secs(30));
    assert!(output.ok(), "{output}");
    assert_eq!(sim.device.relay(0), Some(false), "{output}");
}
