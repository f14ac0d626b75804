//! ESPHome: connect, switch off and confirm, beside aioesphomeapi against the same device in the same run: the real
//! firmware where the set-up has compiled it, else the simulated device. One line of JSON for each kind of encryption.
//!
//! `cargo run --release -p fencekit-benches --bin esphome [ROUNDS]`

use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use fencekit::{Deadline, Error, FenceDevice, FenceDeviceExt, Method, Policy, Result, Settings};
use fencekit_benches::{median, rounded};
use fencekit_interop::{ESPHOME_KEY, ESPHOME_PORT, Firmware, python, run, workspace};
use fencekit_sim::esphome::{parse_key, serve_native};
use fencekit_sim::{Device, Outlet, Running, Spec};
use serde_json::{Value, json};

const SWITCH: &str = "Relay";

fn main() -> Result<()> {
    let rounds = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .filter(|n| *n > 0)
        .unwrap_or(20);
    // The device and the clients have a thread each.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|cause| Error::unsupported("no runtime").caused_by(cause))?;
    for (name, key) in [("encrypted", Some(ESPHOME_KEY)), ("plain", None)] {
        let line = runtime.block_on(compare(name, key, rounds))?;
        let _ = writeln!(std::io::stdout(), "{line}");
    }
    Ok(())
}

/// What both clients talk to.
enum Peer {
    Firmware(Firmware),
    Simulated(Running),
}

impl Peer {
    async fn start(name: &str, key: Option<&str>) -> Result<Self> {
        if let Some(firmware) = Firmware::start(name) {
            return Ok(Self::Firmware(firmware));
        }
        let mut spec = Spec::plug("Storage B power");
        spec.outlets = vec![Outlet::on(SWITCH), Outlet::on("Second Outlet")];
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        serve_native(Device::new(spec), loopback, key.and_then(parse_key))
            .await
            .map(Self::Simulated)
            .map_err(|cause| Error::io("serving the simulated device", cause))
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Firmware(firmware) => SocketAddr::from((firmware.address, ESPHOME_PORT)),
            Self::Simulated(running) => running.address,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Firmware(_) => "real firmware",
            Self::Simulated(_) => "simulated",
        }
    }
}

async fn compare(name: &str, key: Option<&str>, rounds: usize) -> Result<Value> {
    let peer = Peer::start(name, key).await?;
    let ours = median(fencekit_times(peer.address(), key, rounds).await?);
    let theirs = aioesphomeapi(peer.address(), key, rounds);
    let of = |order: &str| {
        let times = theirs.as_ref()?.get(order)?.as_array()?;
        Some(median(times.iter().filter_map(Value::as_f64).collect()))
    };
    let (quickest, usual) = (of("command_first"), of("subscribed_first"));
    let ratio = |theirs: Option<f64>| theirs.map(|theirs| rounded(theirs / ours));
    Ok(json!({
        "bench": "esphome off confirmed",
        "line": name,
        "device": peer.name(),
        "rounds": rounds,
        "fencekit_ms": rounded(ours),
        "aioesphomeapi_ms": usual.map(rounded),
        "aioesphomeapi_quickest_ms": quickest.map(rounded),
        "ratio": ratio(usual),
        "ratio_to_quickest": ratio(quickest),
    }))
}

/// Each time the whole of a fence: connection, first look, command, confirmation, goodbye.
async fn fencekit_times(address: SocketAddr, key: Option<&str>, rounds: usize) -> Result<Vec<f64>> {
    let mut settings = Settings::new(Method::Esphome);
    settings.set("ip", &address.ip().to_string())?;
    settings.set("ipport", &address.port().to_string())?;
    settings.set("switch_name", SWITCH)?;
    settings.set("transport", "native")?;
    if let Some(key) = key {
        settings.set("encryption_key", key)?;
    }
    let device: Box<dyn FenceDevice> = Method::Esphome.device(&settings)?;
    let (policy, limit) = (Policy::default(), Duration::from_secs(10));
    let mut times = Vec::with_capacity(rounds);
    for round in 0..=rounds {
        device.on_confirmed(&policy, Deadline::after(limit), &()).await?;
        let started = Instant::now();
        device.off_confirmed(&policy, Deadline::after(limit), &()).await?;
        // The first round warms up.
        if round > 0 {
            times.push(1000.0 * started.elapsed().as_secs_f64());
        }
    }
    device.on_confirmed(&policy, Deadline::after(limit), &()).await?;
    Ok(times)
}

/// What the peer measured of itself; `None` where it is not installed.
fn aioesphomeapi(address: SocketAddr, key: Option<&str>, rounds: usize) -> Option<Value> {
    let mut command = Command::new(python()?);
    command
        .arg(workspace().join("benches/peers/esphome.py"))
        .args([
            &address.ip().to_string(),
            &address.port().to_string(),
            key.unwrap_or("-"),
        ])
        .args([SWITCH, &rounds.to_string()]);
    let output = run(&mut command, "", Duration::from_secs(120));
    if !output.ok() {
        let _ = writeln!(std::io::stderr(), "aioesphomeapi: {output}");
        return None;
    }
    serde_json::from_str(&output.stdout).ok()
}
