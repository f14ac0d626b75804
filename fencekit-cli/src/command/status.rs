//! `fencekit status`: every node's devices, all at once.

use std::time::Duration;

use fencekit::operate::{DeviceLook, NodeLook, Nodes};
use fencekit::{Deadline, Observation, Result};
use serde_json::json;

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

pub(super) fn run(common: &Common, options: &Options) -> Result<u8> {
    let cluster = common.cluster()?;
    let nodes = Nodes::within(&cluster, &options.nodes, Deadline::after(options.timeout))?;
    let labels: Vec<String> = nodes.labels().map(ToString::to_string).collect();
    let progress = Progress::new(labels.iter().map(|label| format!("asking {label}")));
    let work = nodes.statuses(options.timeout, |index, look| {
        progress.done(index);
        if let (Some(label), Err(error)) = (labels.get(index), &look.outcome) {
            log::debug!("{label}: {error}");
        }
    });
    let Some(looks) = super::block_on(progress.during(work))? else {
        log::error!("interrupted");
        return Ok(FAILED);
    };
    if common.json {
        output::document(&json!({"nodes": looks}));
    } else {
        print(&looks);
    }
    let is_known = |look: &NodeLook| look.observation().reason().is_none();
    Ok(if looks.iter().all(is_known) { DONE } else { FAILED })
}

fn print(looks: &[NodeLook]) {
    let mut table = Table::new(&["NODE", "STATE", "DEVICE", "POWER", "TIME", "DETAIL"]);
    for node in looks {
        let name = (node.node.clone(), Colour::Plain);
        match &node.devices {
            Ok(devices) => {
                for (index, seen) in devices.iter().enumerate() {
                    let name = if index == 0 {
                        name.clone()
                    } else {
                        (String::new(), Colour::Plain)
                    };
                    table.row(row(name, seen));
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

fn row(name: (String, Colour), device: &DeviceLook) -> Vec<(String, Colour)> {
    let DeviceLook { label, level, look } = device;
    let observation = look.observation();
    let seen = look.outcome.as_ref().ok();
    let detail = match (&observation, seen.and_then(|seen| seen.identity.as_ref())) {
        (Observation::Unknown(reason), _) => (reason.clone(), Colour::Plain),
        (_, Some(identity)) => (output::who(identity), Colour::Faint),
        (_, None) => (String::new(), Colour::Plain),
    };
    vec![
        name,
        (observation.word().to_owned(), output::colour(&observation)),
        (format!("{label}{}", level.suffix()), Colour::Plain),
        (
            output::watts(seen.and_then(|seen| seen.power.as_ref())),
            Colour::Plain,
        ),
        (format!("{} ms", look.elapsed.as_millis()), Colour::Faint),
        detail,
    ]
}
