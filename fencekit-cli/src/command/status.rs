//! `fencekit status`: every node's devices, all at once.

use std::time::Duration;

use fencekit::cluster::{Cluster, Node};
use fencekit::fleet::{self, Look, Supply};
use fencekit::{Error, Observation, Result};
use serde_json::{Value, json};

use super::output::{self, Colour, Table};
use super::progress::Progress;
use super::{Common, DONE, FAILED};

#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// Only these nodes
    nodes: Vec<String>,
    /// How long each device may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = super::seconds)]
    timeout: Duration,
}

/// A node and what was seen of its devices.
#[derive(Debug)]
struct Seen<'c> {
    node: &'c Node,
    /// Its devices with their looks; or why they could not be asked at all.
    devices: Result<Vec<(&'c Supply, Look)>>,
}

impl Seen<'_> {
    fn observation(&self) -> Observation {
        match &self.devices {
            Ok(devices) => Observation::combined(devices.iter().map(|(_, look)| observation(look))),
            Err(error) => Observation::unknown(error.to_string()),
        }
    }
}

fn observation(look: &Look) -> Observation {
    match &look.outcome {
        Ok(seen) => seen.observation.clone(),
        Err(error) => Observation::unknown(error.to_string()),
    }
}

pub(super) fn run(common: &Common, options: &Options) -> Result<u8> {
    let cluster = common.cluster()?;
    let nodes = chosen(&cluster, &options.nodes)?;
    // A password file that is missing concerns one node; the others are shown all the same.
    let supplies: Vec<Result<Vec<Supply>>> = nodes.iter().map(|node| node.supplies()).collect();
    let flat: Vec<&Supply> = supplies.iter().flatten().flatten().collect();
    let progress = Progress::new(
        flat.iter()
            .map(|supply| format!("asking {}", supply.device.label())),
    );
    let looks = super::block_on(
        progress.during(fleet::statuses(&flat, options.timeout, |index, look| {
            progress.done(index);
            let label = flat.get(index).map(|supply| supply.device.label());
            if let (Some(label), Err(error)) = (label, &look.outcome) {
                log::debug!("{label}: {error}");
            }
        })),
    )?;
    let Some(looks) = looks else {
        log::error!("interrupted");
        return Ok(FAILED);
    };
    let seen = by_node(&nodes, &supplies, looks);
    if common.json {
        output::document(&json!({"nodes": seen.iter().map(as_json).collect::<Vec<_>>()}));
    } else {
        print(&seen);
    }
    let is_known = |seen: &Seen<'_>| !matches!(seen.observation(), Observation::Unknown(_));
    Ok(if seen.iter().all(is_known) { DONE } else { FAILED })
}

/// The nodes asked for, in the order of the question; all when none was named.
fn chosen<'c>(cluster: &'c Cluster, names: &[String]) -> Result<Vec<&'c Node>> {
    if names.is_empty() {
        return Ok(cluster.nodes.iter().collect());
    }
    names.iter().map(|name| cluster.node(name)).collect()
}

fn by_node<'c>(nodes: &[&'c Node], supplies: &'c [Result<Vec<Supply>>], looks: Vec<Look>) -> Vec<Seen<'c>> {
    let mut looks = looks.into_iter();
    nodes
        .iter()
        .zip(supplies)
        .map(|(node, supplies)| Seen {
            node,
            devices: match supplies {
                Ok(supplies) => Ok(supplies.iter().zip(looks.by_ref()).collect()),
                Err(error) => Err(Error::unsupported(error.to_string())),
            },
        })
        .collect()
}

fn as_json(seen: &Seen<'_>) -> Value {
    let devices = match &seen.devices {
        Ok(devices) => devices
            .iter()
            .map(|(supply, look)| device_json(supply, look))
            .collect(),
        Err(_) => Vec::new(),
    };
    let together = seen.observation();
    json!({
        "node": seen.node.name,
        "power": output::word(&together),
        "detail": reason(&together),
        "devices": devices,
    })
}

fn device_json(supply: &Supply, look: &Look) -> Value {
    let label = supply.device.label();
    let observation = observation(look);
    let seen = look.outcome.as_ref().ok();
    json!({
        "device": label.to_string(),
        "method": label.method.name(),
        "address": label.address,
        "plug": label.plug,
        "power": output::word(&observation),
        "detail": reason(&observation),
        "watts": seen.and_then(|seen| seen.power).map(|power| power.watts),
        "identity": output::identity(seen.and_then(|seen| seen.identity.as_ref())),
        "elapsed_ms": u64::try_from(look.elapsed.as_millis()).unwrap_or(u64::MAX),
    })
}

fn reason(observation: &Observation) -> Option<&str> {
    match observation {
        Observation::Unknown(reason) => Some(reason),
        _ => None,
    }
}

fn print(seen: &[Seen<'_>]) {
    let mut table = Table::new(&["NODE", "STATE", "DEVICE", "POWER", "TIME", "DETAIL"]);
    for node in seen {
        let name = (node.node.name.clone(), Colour::Plain);
        match &node.devices {
            Ok(devices) => {
                for (index, (supply, look)) in devices.iter().enumerate() {
                    let name = if index == 0 {
                        name.clone()
                    } else {
                        (String::new(), Colour::Plain)
                    };
                    table.row(row(name, supply, look));
                }
            }
            Err(error) => {
                let detail = (error.to_string(), Colour::Plain);
                let blank = || (String::new(), Colour::Plain);
                table.row(vec![
                    name,
                    ("unknown".to_owned(), Colour::Bad),
                    blank(),
                    blank(),
                    blank(),
                    detail,
                ]);
            }
        }
    }
    table.print();
}

fn row(name: (String, Colour), supply: &Supply, look: &Look) -> Vec<(String, Colour)> {
    let observation = observation(look);
    let seen = look.outcome.as_ref().ok();
    let detail = match (&observation, seen.and_then(|seen| seen.identity.as_ref())) {
        (Observation::Unknown(reason), _) => (reason.clone(), Colour::Plain),
        (_, Some(identity)) => (output::who(identity), Colour::Faint),
        (_, None) => (String::new(), Colour::Plain),
    };
    vec![
        name,
        (
            output::word(&observation).to_owned(),
            output::colour(&observation),
        ),
        (supply.device.label().to_string(), Colour::Plain),
        (
            output::watts(seen.and_then(|seen| seen.power.as_ref())),
            Colour::Plain,
        ),
        (format!("{} ms", look.elapsed.as_millis()), Colour::Faint),
        detail,
    ]
}
