//! Kasa and Tapo: a plug switched off and seen off on a new connection, beside python-kasa doing the same with the same
//! simulated plug in the same run. Once as an operator or a cluster starts it, a program each time, and once within one
//! process. One line of JSON for each transport.
//!
//! `cargo run --release -p fencekit-benches --bin kasa [ROUNDS]`

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fencekit::{Deadline, Error, FenceDeviceExt, Method, Policy, Result, Settings};
use fencekit_benches::{median, rounded};
use fencekit_interop::{agent, python, run, venv_bin, workspace};
use fencekit_sim::kasa::{self, Dialect, KlapVersion, Unit};
use fencekit_sim::{Device, Running, Spec};
use serde_json::{Value, json};

const USER: &str = "owner@example.com";
const PASSWORD: &str = "Passw0rd!";
/// Nothing here takes longer, unless something is wrong.
const LIMIT: Duration = Duration::from_secs(30);

fn main() -> Result<()> {
    let rounds = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .filter(|n| *n > 0)
        .unwrap_or(20);
    // The device has a thread of its own beside the one that measures.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|cause| Error::unsupported("no runtime").caused_by(cause))?;
    for way in [Way::Xor, Way::KlapV1, Way::KlapV2, Way::Aes] {
        let line = runtime.block_on(way.compare(rounds))?;
        let _ = writeln!(std::io::stdout(), "{line}");
    }
    Ok(())
}

/// A transport with the dialect that its plugs mostly speak.
#[derive(Clone, Copy, Debug)]
enum Way {
    Xor,
    KlapV1,
    KlapV2,
    Aes,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Xor => "xor, IOT",
            Self::KlapV1 => "klap v1, IOT",
            Self::KlapV2 => "klap v2, SMART",
            Self::Aes => "aes, SMART",
        }
    }

    async fn serve(self) -> Result<Running> {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let unit = Unit::from(Device::new(Spec::plug("storage-b").credentials(USER, PASSWORD)));
        match self {
            Self::Xor => kasa::serve_xor(unit, address).await,
            Self::KlapV1 => kasa::serve_klap(unit, address, KlapVersion::V1, Dialect::Iot).await,
            Self::KlapV2 => kasa::serve_klap(unit, address, KlapVersion::V2, Dialect::Smart).await,
            Self::Aes => kasa::serve_aes(unit, address).await,
        }
        .map_err(|cause| Error::io("serving the simulated device", cause))
    }

    /// Family, encryption and version of the login, in python-kasa's words.
    fn told(self) -> [&'static str; 3] {
        match self {
            Self::Xor => ["IOT.SMARTPLUGSWITCH", "XOR", "1"],
            Self::KlapV1 => ["IOT.SMARTPLUGSWITCH", "KLAP", "1"],
            Self::KlapV2 => ["SMART.TAPOPLUG", "KLAP", "2"],
            Self::Aes => ["SMART.TAPOPLUG", "AES", "1"],
        }
    }

    async fn compare(self, rounds: usize) -> Result<Value> {
        let sim = self.serve().await?;
        let library = median(library_times(&sim, rounds).await?);
        let program = median(program_times(&sim, rounds)?);
        let peers_library = self.python_library(&sim, rounds).map(median);
        // Each of these takes the better part of a second.
        let peers_program = self.python_program(&sim, rounds.min(5))?.map(median);
        let ratio = |theirs: Option<f64>, ours: f64| theirs.map(|theirs| rounded(theirs / ours));
        Ok(json!({
            "bench": "kasa off confirmed",
            "line": self.name(),
            "rounds": rounds,
            "fence_kasa_ms": rounded(program),
            "python_kasa_program_ms": peers_program.map(rounded),
            "ratio": ratio(peers_program, program),
            "fencekit_library_ms": rounded(library),
            "python_kasa_library_ms": peers_library.map(rounded),
            "ratio_of_libraries": ratio(peers_library, library),
        }))
    }

    /// `kasa off`, then `kasa state`, since the former does not look again. `None` where it is not installed.
    fn python_program(self, sim: &Running, rounds: usize) -> Result<Option<Vec<f64>>> {
        let Some(program) = venv_bin("kasa") else {
            return Ok(None);
        };
        let [family, encryption, login] = self.told();
        let encryption = encryption.to_lowercase();
        let port = sim.address.port().to_string();
        let mut common = vec!["--host", "127.0.0.1", "--port", &port, "-e", &encryption];
        match self {
            Self::Xor => common.extend(["--type", "plug"]),
            _ => common.extend([
                "-df",
                family,
                "-lv",
                login,
                "--username",
                USER,
                "--password",
                PASSWORD,
            ]),
        }
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            sim.device.set(0, true, true);
            let mut whole = 0.0;
            for action in ["off", "state"] {
                let arguments: Vec<&str> = common.iter().copied().chain([action]).collect();
                whole += timed(&program, &arguments, "")?;
            }
            is_off(sim)?;
            times.push(whole);
        }
        Ok(Some(times))
    }

    /// What python-kasa measured of itself; `None` where it is not installed.
    fn python_library(self, sim: &Running, rounds: usize) -> Option<Vec<f64>> {
        sim.device.set(0, true, true);
        let mut command = Command::new(python()?);
        command
            .arg(workspace().join("benches/peers/python_kasa.py"))
            .arg(sim.address.port().to_string())
            .args(self.told())
            .args([USER, PASSWORD, &rounds.to_string()]);
        let output = run(&mut command, "", Duration::from_secs(120));
        if !output.ok() {
            let _ = writeln!(std::io::stderr(), "python-kasa: {output}");
            return None;
        }
        serde_json::from_str(&output.stdout).ok()
    }
}

/// Each time the whole of a fence by the library: connection, login, first look, command, confirmation.
async fn library_times(sim: &Running, rounds: usize) -> Result<Vec<f64>> {
    let mut settings = Settings::new(Method::Kasa);
    settings.set("ip", "127.0.0.1")?;
    settings.set("ipport", &sim.address.port().to_string())?;
    settings.set("username", USER)?;
    settings.set("password", PASSWORD)?;
    settings.set("transport", transport(sim))?;
    let policy = Policy::default();
    let mut times = Vec::with_capacity(rounds);
    for round in 0..=rounds {
        sim.device.set(0, true, true);
        // A new device each time: nothing that was learnt of the plug is kept.
        let device = Method::Kasa.device(&settings)?;
        let started = Instant::now();
        device.off_confirmed(&policy, Deadline::after(LIMIT), &()).await?;
        // The first round warms up.
        if round > 0 {
            times.push(1000.0 * started.elapsed().as_secs_f64());
        }
        is_off(sim)?;
    }
    Ok(times)
}

/// The same by the fence agent, started anew each time as Pacemaker does.
fn program_times(sim: &Running, rounds: usize) -> Result<Vec<f64>> {
    let program = agent("fence_kasa");
    let options = format!(
        "action=off\nip=127.0.0.1\nipport={}\nusername={USER}\npassword={PASSWORD}\ntransport={}\n",
        sim.address.port(),
        transport(sim)
    );
    let mut times = Vec::with_capacity(rounds);
    for round in 0..=rounds {
        sim.device.set(0, true, true);
        let time = timed(&program, &[], &options)?;
        if round > 0 {
            times.push(time);
        }
        is_off(sim)?;
    }
    Ok(times)
}

/// The simulated plug does not answer discovery, without which the login over AES is only made where AES is set.
fn transport(sim: &Running) -> &'static str {
    match sim.transport {
        "aes" => "aes",
        _ => "auto",
    }
}

/// A comparison in which somebody did not do the work would be worth nothing.
fn is_off(sim: &Running) -> Result<()> {
    match sim.device.relay(0) {
        Some(false) => Ok(()),
        relay => Err(Error::protocol(format!("the relay is {relay:?} after an off"))),
    }
}

/// Wall time of a program in milliseconds, from its start to its end.
fn timed(program: &Path, arguments: &[&str], stdin: &str) -> Result<f64> {
    let failed = |cause| Error::io("running a program", cause);
    let started = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .env_remove("PCMK_service")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(stdin.as_bytes()).map_err(failed)?;
    }
    loop {
        match child.try_wait().map_err(failed)? {
            Some(status) if status.success() => return Ok(1000.0 * started.elapsed().as_secs_f64()),
            Some(status) => {
                return Err(Error::protocol(format!(
                    "{} {arguments:?}: {status}",
                    program.display()
                )));
            }
            None if started.elapsed() > LIMIT => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Error::protocol(format!(
                    "{} still runs after {LIMIT:?}",
                    program.display()
                )));
            }
            None => std::thread::sleep(Duration::from_micros(100)),
        }
    }
}
