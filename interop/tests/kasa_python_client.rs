//! python-kasa's command line against the simulated Kasa and Tapo devices.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may end in a panic"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use fencekit_interop::{Output, python, required, run, venv_bin, workspace};
use fencekit_sim::kasa::{Dialect, KlapVersion};
use fencekit_sim::{Device, Running, Spec, kasa};
use serde_json::Value;

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

/// How python-kasa is told of a KLAP device: its family and the version of its login.
fn told(version: KlapVersion, dialect: Dialect) -> (&'static str, &'static str) {
    let family = match dialect {
        Dialect::Iot => "IOT.SMARTPLUGSWITCH",
        Dialect::Smart => "SMART.TAPOPLUG",
    };
    let login = match version {
        KlapVersion::V1 => "1",
        KlapVersion::V2 => "2",
    };
    (family, login)
}

async fn klap_bench(kasa: PathBuf, spec: Spec, version: KlapVersion, dialect: Dialect) -> Bench {
    let sim = kasa::serve_klap(Device::new(spec), loopback(), version, dialect);
    let (family, login) = told(version, dialect);
    Bench {
        kasa,
        sim: sim.await.unwrap(),
        how: vec![
            "-e",
            "klap",
            "-df",
            family,
            "-lv",
            login,
            "--username",
            USER,
            "--password",
            PASSWORD,
        ],
    }
}

/// Not v1 with SMART, which python-kasa does not speak.
const KLAPS: [(KlapVersion, Dialect); 3] = [
    (KlapVersion::V1, Dialect::Iot),
    (KlapVersion::V2, Dialect::Iot),
    (KlapVersion::V2, Dialect::Smart),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn klap_plugs() {
    let kasa = required!(venv_bin("kasa"));
    for (version, dialect) in KLAPS {
        let bench = klap_bench(kasa.clone(), spec(), version, dialect).await;
        bench.kasa(&["off"]);
        assert_eq!(bench.sim.device.relay(0), Some(false), "{version:?} {dialect:?}");
        bench.kasa(&["on"]);
        assert_eq!(
            bench.sim.device.commands(),
            [(0, false), (0, true)],
            "{version:?} {dialect:?}"
        );
        let state = bench.kasa(&["state"]).stdout;
        assert!(state.contains("storage-b"), "{version:?} {dialect:?}: {state}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn klap_strips() {
    let python = required!(python());
    for (version, dialect) in KLAPS {
        let sim = kasa::serve_klap(Device::new(spec().outlets(3)), loopback(), version, dialect);
        let sim = sim.await.unwrap();
        let (family, login) = told(version, dialect);
        for (state, relays) in [("off", [true, false, true]), ("on", [true; 3])] {
            let mut command = Command::new(&python);
            command
                .arg(workspace().join("interop/peers/kasa_strip.py"))
                .args([
                    &sim.address.port().to_string(),
                    family,
                    login,
                    USER,
                    PASSWORD,
                    "Outlet 2",
                    state,
                ]);
            let output = run(&mut command, "", Duration::from_secs(30));
            assert!(output.ok(), "{version:?} {dialect:?}: {output}");
            let seen: Value = serde_json::from_str(&output.stdout).unwrap();
            for (outlet, relay) in relays.iter().enumerate() {
                assert_eq!(sim.device.relay(outlet), Some(*relay), "{version:?} {dialect:?}");
                assert_eq!(
                    seen[format!("Outlet {}", outlet + 1)],
                    *relay,
                    "{version:?} {dialect:?}"
                );
            }
        }
    }
}
