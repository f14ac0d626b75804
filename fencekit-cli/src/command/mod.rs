//! The commands of `fencekit`, one file each.
//!
//! Results go to stdout, as a table for people or, with `--json`, as one document for programs; everything else goes
//! to stderr. A command ends with 0 when it is done, 1 when it failed or something is not safe, 2 for wrong usage or
//! configuration, and 3 when it cannot be told (see `docs/decisions/0061-output-of-commands.md`).

mod audit;
mod demo;
mod discover;
mod doctor;
mod drill;
mod drills;
mod explain;
mod fence;
mod generate;
mod install_agents;
mod output;
mod plain_file;
mod power;
mod probe;
mod progress;
mod sim;
mod status;
mod verify;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use fencekit::cluster::Cluster;
use fencekit::{Error, PowerState, Result};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use tokio::io::AsyncReadExt;

use crate::agent::logging;

/// Everything was done, or everything is as it should be.
const DONE: u8 = 0;
/// Something failed.
const FAILED: u8 = 1;
/// Wrong usage or configuration.
const USAGE: u8 = 2;

/// Fencing for high-availability clusters.
///
/// Started under the name of a fence agent (fence_kasa, fence_ipmi, ...) it is that agent.
#[derive(Parser, Debug)]
#[command(
    name = "fencekit",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Debug)]
struct Common {
    /// The cluster file, YAML or JSON
    #[arg(
        short,
        long,
        global = true,
        env = "FENCEKIT_CONFIG",
        hide_env_values = true,
        value_name = "FILE",
        default_value = "/etc/fencekit/cluster.yml"
    )]
    config: PathBuf,
    /// Take mgmt_ip, storage_ip and client_ips of each node from DIR/NODE.yml as well
    #[arg(long, global = true, value_name = "DIR")]
    host_vars: Option<PathBuf>,
    /// Print one JSON document instead of a table
    #[arg(long, global = true)]
    json: bool,
    /// Say more on stderr; twice for what goes over the wire
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Common {
    /// The cluster file, with its warnings told.
    fn cluster(&self) -> Result<Cluster> {
        let cluster = self.quiet_cluster()?;
        for warning in &cluster.warnings {
            log::warn!("{warning}");
        }
        Ok(cluster)
    }

    /// The cluster file, for whoever tells its warnings in another way.
    fn quiet_cluster(&self) -> Result<Cluster> {
        match &self.host_vars {
            Some(directory) => Cluster::load_with_host_vars(&self.config, directory),
            None => Cluster::load(&self.config),
        }
    }
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Find what is wrong with the cluster's fencing, and how to mend it; switches nothing
    Doctor(doctor::Options),
    /// Show the power state of every node's devices
    Status(status::Options),
    /// Switch a node's power on
    On(power::Options),
    /// Switch a node's power off, and confirm it
    Off(power::Options),
    /// Switch a node's power off, confirm it, and switch it on again
    Reboot(power::Options),
    /// Print configuration for the cluster and its surroundings
    Generate(generate::Options),
    /// See what fencekit does and refuses to do, on simulated devices; changes nothing
    Demo,
    /// Run a simulated device for every entry of the cluster file, until stopped
    Sim(sim::Options),
    /// Find Kasa, Tapo, ESPHome and Tasmota devices and BMCs on a network
    Discover(discover::Options),
    /// Switch a node's power off, confirm it, and prove the node dead
    Fence(fence::Options),
    /// Cut a live node's power to prove which outlets feed it, and bring it back
    Drill(drill::Options),
    /// Ask every device and tell its state as Prometheus metrics; switches nothing
    Probe(probe::Options),
    /// Tell whether a node is dead; switches nothing
    Verify(verify::Options),
    /// Say why a node's failover is blocked, and what to do; switches nothing
    Explain(explain::Options),
    /// Link the fence agents to where Pacemaker looks for them
    InstallAgents(install_agents::Options),
}

/// Runs a command with its arguments.
pub(crate) fn run(args: Vec<OsString>) -> ExitCode {
    let args = std::iter::once(OsString::from("fencekit")).chain(args);
    let Cli { common, command } = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to stdout and is no error; clap knows which is which.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    logging::open("fencekit", common.verbose, false, None);
    let outcome = match command {
        Command::Doctor(options) => doctor::run(&common, &options),
        Command::Status(options) => status::run(&common, &options),
        Command::On(options) => power::switch(&common, &options, PowerState::On),
        Command::Off(options) => power::switch(&common, &options, PowerState::Off),
        Command::Reboot(options) => power::reboot(&common, &options),
        Command::Generate(options) => generate::run(&common, &options),
        Command::Demo => demo::run(&common),
        Command::Sim(options) => sim::run(&common, &options),
        Command::Discover(options) => discover::run(&common, &options),
        Command::Fence(options) => fence::run(&common, &options),
        Command::Drill(options) => drill::run(&common, &options),
        Command::Probe(options) => probe::run(&common, &options),
        Command::Verify(options) => verify::run(&common, &options),
        Command::Explain(options) => explain::run(&common, &options),
        Command::InstallAgents(options) => install_agents::run(&common, &options),
    };
    outcome
        .map(ExitCode::from)
        .unwrap_or_else(|error| failed(&common, &error))
}

fn failed(common: &Common, error: &Error) -> ExitCode {
    log::error!("{error}");
    if common.json {
        output::document(&json!({"error": error.to_string()}));
    }
    ExitCode::from(error.exit_code())
}

/// Runs `work` on this thread alone, until it ends or somebody interrupts; `None` then.
fn block_on<T>(work: impl Future<Output = T>) -> Result<Option<T>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Error::unsupported("this system gives no event loop").caused_by(cause))?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = work => Some(outcome),
            () = interrupted() => None,
        }
    });
    // A name lookup that hangs is left behind, not waited for.
    runtime.shutdown_background();
    Ok(outcome)
}

/// Returns on SIGINT or SIGTERM. tokio's own signals would cost each agent that starts a socket pair and eight pages.
async fn interrupted() {
    let Ok(mut signals) = signal_stream() else {
        return std::future::pending().await;
    };
    // Every signal writes a byte.
    if signals.read_u8().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn signal_stream() -> std::io::Result<tokio::net::UnixStream> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM] {
        signal_hook::low_level::pipe::register(signal, theirs.try_clone()?)?;
    }
    ours.set_nonblocking(true)?;
    tokio::net::UnixStream::from_std(ours)
}

/// Seconds as people write them on a command line.
fn seconds(text: &str) -> std::result::Result<std::time::Duration, String> {
    text.trim_end_matches('s')
        .parse()
        .ok()
        .filter(|seconds: &f64| (0.1..=3600.0).contains(seconds))
        .map(std::time::Duration::from_secs_f64)
        .ok_or_else(|| "write a number of seconds from 0.1 to 3600".to_owned())
}
