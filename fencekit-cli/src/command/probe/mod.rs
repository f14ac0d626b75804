//! `fencekit probe`: every device asked for its state, told as Prometheus metrics.

mod exposition;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fencekit::cluster::{Cluster, Node};
use fencekit::operate::{self, DeviceLook, NodeLook, Nodes};
use fencekit::{Error, Level, Method, Result, drills};
use serde_json::json;

use super::plain_file::plain_file;
use super::progress::{self, Progress};
use super::{Common, DONE, FAILED, output};
use exposition::Metric;

const LAST_SUCCESS: &str = "fencekit_device_last_success_timestamp_seconds";
/// Longest textfile that is read back, in bytes; one of a thousand nodes has a tenth of it.
const LIMIT: u64 = 8 * 1024 * 1024;

/// Asks every device for its state and prints metrics for Prometheus. Ends with 1 when a device did not answer.
#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// Write the metrics to FILE, whole and at once, for node_exporter's textfile collector; devices that do not
    /// answer keep the time of their last success from the FILE before
    #[arg(long, value_name = "FILE")]
    textfile: Option<PathBuf>,
    /// Leave out the devices that feed this host: its firewall may rightly close them to it
    #[arg(long)]
    skip_own: bool,
    /// How long each device may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = super::seconds)]
    timeout: Duration,
    /// Where drills are on record
    #[arg(long, value_name = "FILE", default_value = drills::PATH)]
    drills: PathBuf,
}

pub(super) fn run(common: &Common, options: &Options) -> Result<u8> {
    let cluster = common.cluster()?;
    let host = operate::host().filter(|_| options.skip_own);
    let names = wanted(&cluster, host.as_deref())?;
    let before = match &options.textfile {
        Some(path) => before(path)?,
        None => LastSuccess::default(),
    };
    let nodes = Nodes::of(&cluster, &names)?;
    let Some(looks) = super::block_on(ask(&nodes, options.timeout))? else {
        log::error!("interrupted; nothing was written");
        return Ok(FAILED);
    };
    for (device, error) in failures(&looks) {
        log::warn!("{device}: {error}");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let last = last_success(&looks, before, now.as_secs());
    let drills = drills::load(&options.drills).unwrap_or_else(|cause| {
        log::warn!("{}: no drills: {cause}", options.drills.display());
        BTreeMap::new()
    });
    let drills: Vec<_> = drills
        .iter()
        .filter(|(node, drill)| names.contains(node) && drill.is_proof())
        .map(|(node, drill)| (node.as_str(), drill.epoch))
        .collect();
    let text = exposition::text(&metrics(&cluster, &looks, &last, &drills, now.as_secs()));
    if let Some(path) = &options.textfile {
        write(path, &text)?;
    }
    if common.json {
        output::document(&json!({"nodes": looks, "textfile": options.textfile}));
    } else if options.textfile.is_none() {
        print(&text)?;
    }
    let is_well = failures(&looks).next().is_none();
    Ok(if is_well { DONE } else { FAILED })
}

/// The state of every device, and what its meter reads, with a line on the terminal meanwhile.
async fn ask(nodes: &Nodes<'_>, patience: Duration) -> Vec<NodeLook> {
    let progress = Progress::new(nodes.labels().map(|label| format!("asking {label}")));
    let asked = nodes.statuses(patience, |index, _| progress.done(index));
    let mut looks = progress.during(asked).await;
    progress::waiting("reading the meters", nodes.add_meters(&mut looks, patience)).await;
    looks
}

/// The nodes to ask: all, or all but the one that this host is.
fn wanted(cluster: &Cluster, host: Option<&str>) -> Result<Vec<String>> {
    let short = host.and_then(|host| host.split('.').next());
    let is_own = |name: &str| Some(name) == host || Some(name) == short;
    let names = cluster.nodes.iter().map(|node| node.name.clone());
    let names: Vec<_> = names.filter(|name| !is_own(name)).collect();
    if names.is_empty() {
        return Err(Error::config(
            "skip_own",
            "leaves no node to ask: this host is the only one of the cluster file",
            "leave it out",
        ));
    }
    Ok(names)
}

/// The devices that did not answer as they should, with the reason.
fn failures(looks: &[NodeLook]) -> impl Iterator<Item = (String, &Error)> {
    looks.iter().flat_map(|node| {
        let whole = node
            .devices
            .as_ref()
            .err()
            .map(|error| (node.node.clone(), error));
        let each = node.devices.iter().flatten();
        let each = each.filter_map(|one| {
            let name = format!("{}{}", one.label, one.level.suffix());
            Some((name, one.look.outcome.as_ref().err()?))
        });
        whole.into_iter().chain(each)
    })
}

/// When each device of each node last answered, in seconds since 1970.
type LastSuccess = BTreeMap<(String, String), u64>;

/// From the textfile of the run before; one that is not there yet knows of none.
fn before(path: &Path) -> Result<LastSuccess> {
    let wrong = |problem: String, mend: &str| Error::config("textfile", problem, mend);
    let read = || {
        let file = match fs::File::open(path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, LIMIT), &mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|cause: io::Error| {
        wrong(
            format!("{} cannot be read: {cause}", path.display()),
            "name a file in node_exporter's textfile directory",
        )
        .caused_by(cause)
    })?;
    let text = String::from_utf8_lossy(&bytes);
    let known = exposition::series(&text, LAST_SUCCESS).into_iter();
    Ok(known
        .filter_map(|(mut labels, seconds)| {
            let key = (labels.remove("target")?, labels.remove("device")?);
            // Not what this program writes: not believed.
            let seconds = (0.0..1e12).contains(&seconds).then_some(seconds)?;
            Some((key, seconds as u64))
        })
        .collect())
}

/// Of the devices that there are now; of a node whose devices could not even be told, what was known before.
fn last_success(looks: &[NodeLook], before: LastSuccess, now: u64) -> LastSuccess {
    let mut last = LastSuccess::new();
    for node in looks {
        let Ok(devices) = &node.devices else {
            let known = before.iter().filter(|((target, _), _)| *target == node.node);
            last.extend(known.map(|(key, seconds)| (key.clone(), *seconds)));
            continue;
        };
        for DeviceLook { label, look, .. } in devices {
            let key = (node.node.clone(), label.to_string());
            let seconds = match &look.outcome {
                Ok(_) => Some(now),
                // A clock that was set back must not make a success of the future.
                Err(_) => before.get(&key).map(|seconds| (*seconds).min(now)),
            };
            last.extend(seconds.map(|seconds| (key, seconds)));
        }
    }
    last
}

fn metrics(
    cluster: &Cluster,
    looks: &[NodeLook],
    last: &LastSuccess,
    drills: &[(&str, u64)],
    now: u64,
) -> Vec<Metric> {
    let mut reachable = Metric::gauge(
        "stonith_agent_reachable",
        "Whether all devices of the node that the agent switches answered, freshly asked for their state.",
    );
    let mut answers = Metric::gauge(
        "fencekit_device_reachable",
        "Whether the device answered, logged in and of the expected identity, when asked for its state.",
    );
    let mut state = Metric::gauge(
        "fencekit_device_state",
        "The state of the node's outlet: 1 for the one of on, off and unknown that it is in.",
    );
    let mut watts = Metric::gauge(
        "fencekit_device_power_watts",
        "What the outlet's meter reads, where it has one.",
    );
    let mut took = Metric::gauge(
        "fencekit_device_probe_duration_seconds",
        "How long the device was asked, to its answer or in vain.",
    );
    for node in looks {
        let target = ("target", node.node.as_str());
        for (method, is_reachable) in by_agent(cluster, node) {
            let labels = [("agent", method.agent()), ("method", method.name()), target];
            reachable.set(&labels, is_reachable.into());
        }
        for DeviceLook { label, level, look } in node.devices.iter().flatten() {
            let device = label.to_string();
            let mut labels = vec![
                ("target", node.node.as_str()),
                ("method", label.method.name()),
                ("device", &device),
            ];
            if *level == Level::Fallback {
                labels.push(("level", "2"));
            }
            answers.set(&labels, f64::from(u8::from(look.outcome.is_ok())));
            let observation = look.observation();
            for word in ["on", "off", "unknown"] {
                let is_it = f64::from(u8::from(observation.word() == word));
                let labels = [labels.as_slice(), &[("state", word)]].concat();
                state.set(&labels, is_it);
            }
            if let Some(power) = look.outcome.as_ref().ok().and_then(|seen| seen.power) {
                watts.set(&labels, power.watts);
            }
            took.set(&labels, look.elapsed.as_secs_f64());
        }
    }
    let mut success = Metric::gauge(LAST_SUCCESS, "When the device last answered.");
    for ((target, device), seconds) in last {
        success.set(&[("target", target), ("device", device)], float(*seconds));
    }
    let mut drilled = Metric::gauge(
        "fencekit_drill_timestamp_seconds",
        "When a drill last proved which outlets feed the node.",
    );
    for (node, seconds) in drills {
        drilled.set(&[("target", node)], float(*seconds));
    }
    let mut probed = Metric::gauge("fencekit_probe_timestamp_seconds", "When the devices were asked.");
    probed.set(&[], float(now));
    vec![reachable, answers, state, watts, took, success, drilled, probed]
}

/// For each agent that fences the node, whether every one of its devices answered.
fn by_agent(cluster: &Cluster, node: &NodeLook) -> BTreeMap<Method, bool> {
    let mut agents = BTreeMap::new();
    match &node.devices {
        Ok(devices) => {
            for DeviceLook { label, look, .. } in devices {
                *agents.entry(label.method).or_insert(true) &= look.outcome.is_ok();
            }
        }
        // Their passwords could not be had, so none of them could be asked.
        Err(_) => {
            let known = cluster.nodes.iter().filter(|known| known.name == node.node);
            let methods: BTreeSet<_> = known
                .flat_map(Node::entries)
                .map(|entry| entry.method())
                .collect();
            agents.extend(methods.into_iter().map(|method| (method, false)));
        }
    }
    agents
}

/// Seconds since 1970 fit a float exactly.
#[allow(clippy::cast_precision_loss, reason = "exact up to the year 285 million")]
fn float(seconds: u64) -> f64 {
    seconds as f64
}

fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|cause| Error::io("writing to stdout", cause))
}

/// Writes the file whole or not at all, readable by everybody: it holds no secrets, and node_exporter is nobody's
/// friend.
fn write(path: &Path, text: &str) -> Result<()> {
    let path = &plain_file("textfile", path)?;
    let name = path.file_name().ok_or_else(|| {
        Error::config(
            "textfile",
            format!("{} is no file's name", path.display()),
            "name a file that ends in .prom",
        )
    })?;
    if path.extension().is_none_or(|ending| ending != "prom") {
        log::warn!(
            "{}: node_exporter reads files that end in .prom alone",
            path.display()
        );
    }
    // Of an ending that node_exporter does not read.
    let mut fresh = std::ffi::OsString::from(".");
    fresh.push(name);
    fresh.push(format!(".{}.new", std::process::id()));
    let fresh = path.with_file_name(fresh);
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&fresh)?;
        file.write_all(text.as_bytes())?;
        // Whatever the umask is.
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    write().map_err(|cause| {
        let _ = fs::remove_file(&fresh);
        Error::config(
            "textfile",
            format!("{} cannot be written: {cause}", path.display()),
            "name a file in a directory that you may write",
        )
        .caused_by(cause)
    })
}
