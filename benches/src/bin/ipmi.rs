//! IPMI beside its peers, in one run against the same simulated BMCs, which run in a process of their own so that their
//! share of the machine can be told: one status as a whole process, one verified off, and many BMCs at once.
//! One line of JSON for each comparison; a peer that is not installed is `null`.
//!
//! `cargo run --release -p fencekit-benches --bin ipmi [BMCS [ROUNDS]]`
//!
//! The same program is the simulated BMCs (`serve N`) and the client of many (`ask PORTS`).

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fencekit::ipmi::{Bmc, fleet};
use fencekit::{Deadline, Error, FenceDeviceExt, Method, Observation, Policy, Result, Settings};
use fencekit_interop::{fencekit_bin, tool};
use fencekit_sim::ipmi::{BmcSpec, serve};
use fencekit_sim::{Device, Spec};
use serde_json::{Value, json};

const USER: &str = "bench";
const PASSWORD: &str = "bench-of-many-bmcs";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| {
        args.get(at)
            .and_then(|text| text.parse::<usize>().ok())
            .filter(|n| *n > 0)
    };
    match args.first().map(String::as_str) {
        Some("serve") => serve_many(number(1).unwrap_or(1)),
        Some("ask") => ask_many(Path::new(args.get(1).map_or("", String::as_str))),
        _ => compare(number(0).unwrap_or(1000), number(1).unwrap_or(20)),
    }
}

fn compare(bmcs: usize, rounds: usize) -> Result<()> {
    let dir = std::env::temp_dir().join(format!("fencekit-bench-ipmi-{}", std::process::id()));
    fs::create_dir_all(&dir).map_err(|cause| Error::io("making a directory", cause))?;
    let outcome = (|| {
        for suite in [3, 17] {
            say(&one_status(&dir, suite, rounds)?);
        }
        say(&one_off(rounds.min(5))?);
        for count in [bmcs, bmcs * 10] {
            say(&many(&dir, count, rounds.min(5))?);
        }
        Ok(())
    })();
    let _ = fs::remove_dir_all(&dir);
    outcome
}

fn say(line: &Value) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The simulated BMCs, in their own process.
struct Simulated {
    child: Child,
    ports: Vec<u16>,
}

impl Simulated {
    fn start(count: usize) -> Result<Self> {
        let failed = |cause| Error::io("starting the simulated BMCs", cause);
        let mut child = Command::new(std::env::current_exe().map_err(failed)?)
            .args(["serve", &count.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(failed)?;
        }
        let ports = serde_json::from_str(&line)
            .map_err(|cause| Error::protocol("the simulated BMCs did not start").caused_by(cause));
        match ports {
            Ok(ports) => Ok(Self { child, ports }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    fn port(&self) -> u16 {
        self.ports.first().copied().unwrap_or_default()
    }

    /// Processor time that it has used.
    fn used(&self) -> Duration {
        used_by(self.child.id()).unwrap_or_default()
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time of a process, from its statistics, in the kernel's ticks of 10 ms.
fn used_by(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(") ")?.1;
    let mut fields = after_name.split(' ').skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(10 * ticks))
}

/// A client: its command and what goes to its stdin.
struct Client {
    name: &'static str,
    program: PathBuf,
    args: Vec<String>,
    stdin: String,
}

impl Client {
    /// How long the whole process takes.
    fn time(&self) -> Result<f64> {
        let failed = |cause| Error::io(self.name, cause);
        let started = Instant::now();
        let mut child = Command::new(&self.program)
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(self.stdin.as_bytes()).map_err(failed)?;
        }
        let output = child.wait_with_output().map_err(failed)?;
        let elapsed = milliseconds(started.elapsed());
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Error::protocol(format!(
                "{}: {}: {said}",
                self.name, output.status
            )));
        }
        Ok(elapsed)
    }
}

fn agent_options(port: u16, action: &str, suite: u8) -> String {
    format!(
        "action={action}\nip=127.0.0.1\nipport={port}\nusername={USER}\npassword={PASSWORD}\nlanplus=1\ncipher={suite}\n\
         privlvl=operator\npower_wait=0\n"
    )
}

fn ours(port: u16, action: &str, suite: u8) -> Client {
    Client {
        name: "fence_ipmi",
        program: fencekit_bin(),
        args: vec!["agent".to_owned(), "fence_ipmi".to_owned()],
        stdin: agent_options(port, action, suite),
    }
}

fn fence_ipmilan(port: u16, action: &str, suite: u8) -> Option<Client> {
    Some(Client {
        name: "fence_ipmilan",
        program: tool("fence_ipmilan")?,
        args: Vec::new(),
        stdin: agent_options(port, action, suite),
    })
}

/// As a script calls it: the account on its command line, its configuration file where the package puts it. That file is
/// all comments, and root, who may read it, reads it byte by byte.
fn ipmipower_as_installed(ports: &[u16], suite: u8) -> Option<Client> {
    ipmipower(ports, "--stat", suite, &["-u", USER, "-p", PASSWORD])
}

/// At its quickest: two lines of configuration in place of that file.
fn ipmipower_at_its_quickest(dir: &Path, ports: &[u16], action: &str, suite: u8) -> Option<Client> {
    let config = dir.join("freeipmi.conf");
    fs::write(&config, format!("username {USER}\npassword {PASSWORD}\n")).ok()?;
    ipmipower(
        ports,
        action,
        suite,
        &["--config-file", &config.to_string_lossy()],
    )
}

fn ipmipower(ports: &[u16], action: &str, suite: u8, account: &[&str]) -> Option<Client> {
    let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let mut args = vec!["-D", "LAN_2_0"];
    args.extend(account);
    let (suite, hosts) = (suite.to_string(), hosts.join(","));
    args.extend(["-I", &suite, "-h", &hosts, action]);
    Some(Client {
        name: "ipmipower",
        program: tool("ipmipower")?,
        args: args.into_iter().map(str::to_owned).collect(),
        stdin: String::new(),
    })
}

/// The least that starting a program costs.
fn empty_process() -> Option<Client> {
    Some(Client {
        name: "true",
        program: tool("true")?,
        args: Vec::new(),
        stdin: String::new(),
    })
}

fn ipmitool(dir: &Path, port: u16, suite: u8) -> Option<Client> {
    let password = dir.join("password");
    fs::write(&password, PASSWORD).ok()?;
    Some(Client {
        name: "ipmitool",
        program: tool("ipmitool")?,
        args: [
            "-I",
            "lanplus",
            "-C",
            &suite.to_string(),
            "-H",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-U",
            USER,
            "-f",
            &password.to_string_lossy(),
            "chassis",
            "power",
            "status",
        ]
        .map(str::to_owned)
        .to_vec(),
        stdin: String::new(),
    })
}

/// One status, each client as a whole process, turn by turn.
fn one_status(dir: &Path, suite: u8, rounds: usize) -> Result<Value> {
    let bmc = Simulated::start(1)?;
    let port = bmc.port();
    let clients = [
        Some(ours(port, "status", suite)),
        ipmipower_as_installed(&bmc.ports, suite),
        ipmipower_at_its_quickest(dir, &bmc.ports, "--stat", suite),
        ipmitool(dir, port, suite),
        fence_ipmilan(port, "status", suite),
        empty_process(),
    ];
    let [ours, ipmipower, quickest, ipmitool, fence_ipmilan, empty] = medians(&clients, rounds)?;
    let library = library_status(port, suite, rounds)?;
    Ok(json!({
        "bench": "ipmi status, a whole process",
        "suite": suite,
        "rounds": rounds,
        "fence_ipmi_ms": ours,
        "ipmipower_ms": ipmipower,
        "ipmipower_at_its_quickest_ms": quickest,
        "ipmitool_ms": ipmitool,
        "fence_ipmilan_ms": fence_ipmilan,
        "times_ipmipower": ratio(ipmipower, ours),
        "times_ipmipower_at_its_quickest": ratio(quickest, ours),
        "times_fence_ipmilan": ratio(fence_ipmilan, ours),
        // No program is quicker than this, whatever it does.
        "empty_process_ms": empty,
        "an_empty_process_times_ipmipower_at_its_quickest": ratio(quickest, empty),
        // Most of a whole process is its start: what a program that stays pays for a status.
        "library_ms": library,
        "library_times_ipmipower_at_its_quickest": ratio(quickest, library),
    }))
}

/// A status through the library, each time with a new session.
fn library_status(port: u16, suite: u8, rounds: usize) -> Result<Option<f64>> {
    let bmc = target(port, suite)?;
    let runtime = runtime()?;
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let started = Instant::now();
        runtime.block_on(async {
            let deadline = Deadline::after(Duration::from_secs(10));
            bmc.status(&Policy::default(), deadline).await
        })?;
        times.push(milliseconds(started.elapsed()));
    }
    Ok(median(times))
}

/// Medians of each client's times; the clients take turns, so that all meet the same machine.
fn medians<const N: usize>(clients: &[Option<Client>; N], rounds: usize) -> Result<[Option<f64>; N]> {
    let mut times = vec![Vec::new(); N];
    for round in 0..=rounds {
        for (client, times) in clients.iter().zip(&mut times) {
            if let Some(client) = client {
                let time = client.time()?;
                // The first round warms up.
                if round > 0 {
                    times.push(time);
                }
            }
        }
    }
    let mut medians = [None; N];
    for (place, times) in medians.iter_mut().zip(times) {
        *place = median(times);
    }
    Ok(medians)
}

/// A verified off of a chassis that is on.
fn one_off(rounds: usize) -> Result<Value> {
    let bmc = Simulated::start(1)?;
    let port = bmc.port();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let clients = [Some(ours(port, "off", 3)), fence_ipmilan(port, "off", 3)];
        for (client, times) in clients.iter().zip(&mut times) {
            ours(port, "on", 3).time()?;
            if let Some(client) = client {
                times.push(client.time()?);
            }
        }
    }
    let [ours, theirs] = times.map(median);
    Ok(json!({
        "bench": "ipmi verified off, a whole process",
        "suite": 3,
        "rounds": rounds,
        "fence_ipmi_ms": ours,
        "fence_ipmilan_ms": theirs,
        "times_fence_ipmilan": ratio(theirs, ours),
    }))
}

/// The status of many BMCs, by one process each time.
fn many(dir: &Path, count: usize, rounds: usize) -> Result<Value> {
    let bmcs = Simulated::start(count)?;
    let list = dir.join("ports.json");
    let text = serde_json::to_string(&bmcs.ports).unwrap_or_default();
    fs::write(&list, text).map_err(|cause| Error::io("writing the ports", cause))?;
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    let (mut last, mut share) = (Value::Null, 0.0);
    let peer = ipmipower_at_its_quickest(dir, &bmcs.ports, "--stat", 17).filter(|_| count <= 2000);
    for _ in 0..rounds {
        let before = bmcs.used();
        last = asked(&list)?;
        let took = last.get("elapsed_ms").and_then(Value::as_f64).unwrap_or(f64::NAN);
        share += milliseconds(bmcs.used().saturating_sub(before)) / took;
        ours.push(took);
        if let Some(peer) = &peer {
            theirs.push(peer.time()?);
        }
    }
    let (ours, theirs) = (median(ours), median(theirs));
    Ok(json!({
        "bench": "ipmi status of many",
        "suite": 17,
        "bmcs": count,
        "rounds": rounds,
        "fencekit_ms": ours,
        "ipmipower_ms": theirs,
        "times_ipmipower": ratio(theirs, ours),
        "peak_mib": last.get("peak_mib"),
        // Of one core; the client has the rest of two.
        "simulator_cores": rounded(share / rounds.max(1) as f64),
        "client_cpu_ms": last.get("cpu_ms"),
    }))
}

/// Runs the client of many in a process of its own.
fn asked(list: &Path) -> Result<Value> {
    let failed = |cause| Error::io("asking many BMCs", cause);
    let output = Command::new(std::env::current_exe().map_err(failed)?)
        .arg("ask")
        .arg(list)
        .output()
        .map_err(failed)?;
    serde_json::from_slice(&output.stdout).map_err(|cause| {
        Error::protocol(String::from_utf8_lossy(&output.stderr).into_owned()).caused_by(cause)
    })
}

fn ask_many(list: &Path) -> Result<()> {
    let text = fs::read_to_string(list).map_err(|cause| Error::io("reading the ports", cause))?;
    let ports: Vec<u16> =
        serde_json::from_str(&text).map_err(|cause| Error::protocol("the ports").caused_by(cause))?;
    let started = Instant::now();
    let bmcs = ports
        .iter()
        .map(|port| target(*port, 17))
        .collect::<Result<Vec<_>>>()?;
    let outcomes = runtime()?.block_on(fleet::statuses(&bmcs, Deadline::after(Duration::from_secs(60))));
    let elapsed = started.elapsed();
    for outcome in outcomes {
        let seen = outcome?.observation;
        if seen != Observation::On {
            return Err(Error::protocol(format!("a BMC is {seen}")));
        }
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak_kib: Option<f64> = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
    say(&json!({
        "elapsed_ms": milliseconds(elapsed),
        "peak_mib": peak_kib.map(|kib| rounded(kib / 1024.0)),
        "cpu_ms": used_by(std::process::id()).map(milliseconds),
    }));
    Ok(())
}

fn target(port: u16, suite: u8) -> Result<Bmc> {
    let mut settings = Settings::new(Method::Ipmi);
    settings.set("ip", "127.0.0.1")?;
    settings.set("ipport", &port.to_string())?;
    settings.set("username", USER)?;
    settings.set("password", PASSWORD)?;
    settings.set("cipher", &suite.to_string())?;
    Bmc::from_settings(&settings)
}

fn serve_many(count: usize) -> Result<()> {
    runtime()?.block_on(async {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut running = Vec::with_capacity(count);
        for number in 0..count {
            let device = Device::new(Spec::plug(&format!("bmc {number}")).credentials(USER, PASSWORD));
            let bmc = serve(device, loopback, BmcSpec::default()).await;
            running.push(bmc.map_err(|cause| Error::io("serving a BMC", cause))?);
        }
        let ports: Vec<u16> = running.iter().map(|bmc| bmc.address.port()).collect();
        say(&json!(ports));
        // Until the parent ends this process.
        std::future::pending::<Result<()>>().await
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Error::io("starting a runtime", cause))
}

fn milliseconds(time: Duration) -> f64 {
    rounded(1000.0 * time.as_secs_f64())
}

fn median(mut times: Vec<f64>) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

fn ratio(theirs: Option<f64>, ours: Option<f64>) -> Option<f64> {
    theirs.zip(ours).map(|(theirs, ours)| rounded(theirs / ours))
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
