//! One run of an agent, as Pacemaker starts it: wall time and peak memory, beside what others run for the same purpose.
//! One line of JSON for each command.
//!
//! `cargo run --release -p fencekit-benches --bin agent [ROUNDS]`

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fencekit::{Error, Result};
use fencekit_interop::{agent, tool, venv_bin};
use fencekit_sim::{Device, Running, Spec, kasa, tasmota};
use serde_json::json;

/// Nothing here takes longer, unless something is wrong.
const LIMIT: Duration = Duration::from_secs(30);

fn main() -> Result<()> {
    let rounds = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .filter(|n| *n > 0)
        .unwrap_or(20);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|cause| Error::unsupported("no runtime").caused_by(cause))?;
    let plugs = runtime.block_on(Plugs::serve())?;
    let mut out = std::io::stdout().lock();
    for measured in commands(&plugs) {
        let mut times = Vec::new();
        for round in 0..rounds {
            plugs.all_on();
            times.push(
                measured
                    .once()
                    .map_err(|error| Error::protocol(format!("{}, round {round}: {error}", measured.name)))?,
            );
        }
        plugs.all_on();
        let line = summary(measured.name, times, measured.peak_memory());
        writeln!(out, "{line}").map_err(|cause| Error::unsupported("stdout").caused_by(cause))?;
    }
    Ok(())
}

struct Plugs {
    kasa: Running,
    tasmota: Running,
}

impl Plugs {
    async fn serve() -> Result<Self> {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let refused = |cause| Error::unsupported("a simulated device cannot listen").caused_by(cause);
        Ok(Self {
            kasa: kasa::serve_xor(Device::new(Spec::plug("plug")), loopback)
                .await
                .map_err(refused)?,
            tasmota: tasmota::serve(Device::new(Spec::plug("relay")), loopback)
                .await
                .map_err(refused)?,
        })
    }

    fn all_on(&self) {
        for plug in [&self.kasa, &self.tasmota] {
            plug.device.set(0, true, true);
        }
    }
}

/// A command with its arguments.
struct Measured {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
}

/// What there is to measure; peers only where the set-up has installed them.
fn commands(plugs: &Plugs) -> Vec<Measured> {
    let mut commands = Vec::new();
    let mut add = |name, program: Option<PathBuf>, arguments: &[&str], port: Option<u16>| {
        let Some(program) = program else {
            eprintln!("{name}: not installed; `cargo xtask setup` brings it");
            return;
        };
        let port = port.map(|port| port.to_string()).unwrap_or_default();
        commands.push(Measured {
            name,
            program,
            arguments: arguments
                .iter()
                .map(|argument| argument.replace("PORT", &port))
                .collect(),
        });
    };
    let (kasa, tasmota) = (plugs.kasa.address.port(), plugs.tasmota.address.port());
    let device = ["-a", "127.0.0.1", "-u", "PORT", "-o"];
    let with = |action| [&device[..], &[action]].concat();
    add(
        "fence_kasa metadata",
        Some(agent("fence_kasa")),
        &["-o", "metadata"],
        None,
    );
    add(
        "fence_kasa status",
        Some(agent("fence_kasa")),
        &with("status"),
        Some(kasa),
    );
    add(
        "fence_kasa off",
        Some(agent("fence_kasa")),
        &with("off"),
        Some(kasa),
    );
    add(
        "fence_tasmota status",
        Some(agent("fence_tasmota")),
        &with("status"),
        Some(tasmota),
    );
    add(
        "fence_tasmota off",
        Some(agent("fence_tasmota")),
        &with("off"),
        Some(tasmota),
    );
    // An agent in Python: what fence-agents itself takes before it talks to any device.
    add(
        "fence_dummy metadata",
        tool("fence_dummy"),
        &["-o", "metadata"],
        None,
    );
    let plug = [
        "--host",
        "127.0.0.1",
        "--port",
        "PORT",
        "--type",
        "plug",
        "-e",
        "xor",
    ];
    add(
        "python-kasa state",
        venv_bin("kasa"),
        &[&plug[..], &["state"]].concat(),
        Some(kasa),
    );
    add(
        "python-kasa off",
        venv_bin("kasa"),
        &[&plug[..], &["off"]].concat(),
        Some(kasa),
    );
    commands
}

impl Measured {
    /// How long one run takes.
    fn once(&self) -> std::result::Result<Duration, String> {
        let mut command = Command::new(&self.program);
        let started = Instant::now();
        let mut child = self
            .quiet(&mut command)
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let status = loop {
            match child.try_wait().map_err(|error| error.to_string())? {
                Some(status) => break status,
                None if started.elapsed() > LIMIT => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(format!("still runs after {LIMIT:?}"));
                }
                None => std::thread::sleep(Duration::from_micros(50)),
            }
        };
        let time = started.elapsed();
        match status.success() {
            true => Ok(time),
            false => Err(status.to_string()),
        }
    }

    /// The most memory that one run has, in KiB, as the kernel counts it; none where there is no time(1).
    fn peak_memory(&self) -> Option<u64> {
        let mut command = Command::new(tool("time")?);
        command.args(["-f", "%M"]).arg(&self.program);
        let output = self.quiet(&mut command).stderr(Stdio::piped()).output().ok()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        said.lines().next_back()?.trim().parse().ok()
    }

    fn quiet<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .args(&self.arguments)
            .env_remove("PCMK_service")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
    }
}

fn summary(name: &str, mut times: Vec<Duration>, memory: Option<u64>) -> serde_json::Value {
    times.sort();
    let milliseconds =
        |time: Option<&Duration>| time.map(|time| (time.as_secs_f64() * 10_000.0).round() / 10.0);
    json!({
        "bench": "agent",
        "command": name,
        "rounds": times.len(),
        "median_ms": milliseconds(times.get(times.len() / 2)),
        "worst_ms": milliseconds(times.last()),
        "peak_memory_kib": memory,
    })
}
