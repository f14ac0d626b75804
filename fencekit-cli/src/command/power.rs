//! `fencekit on`, `off` and `reboot`: all devices of one node.
//!
//! A node is off when every device that feeds it is confirmed off. None of this verifies that the node is dead: that
//! is `fencekit fence`.

use std::io::Write;
use std::time::{Duration, Instant};

use fencekit::cluster::Node;
use fencekit::fence::Event;
use fencekit::fleet::{self, Supply};
use fencekit::{Confirmation, Deadline, FenceDeviceExt, PowerState, Result};
use serde_json::{Value, json};

use super::output::{self, Colour};
use super::progress::Progress;
use super::{Common, DONE, FAILED};
use crate::agent::logging::clean;

#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// The node, as in the cluster file
    node: String,
    /// How long the whole may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = super::seconds)]
    timeout: Duration,
}

/// What became of switching one device.
pub(super) struct Switched {
    outcome: Result<Confirmation>,
    elapsed: Duration,
}

/// One direction, for all devices of the node.
pub(super) struct Step<'s> {
    wanted: PowerState,
    devices: Vec<(&'s Supply, Switched)>,
}

impl Step<'_> {
    /// Whether there is a device, and every one is confirmed.
    pub(super) fn is_confirmed(&self) -> bool {
        !self.devices.is_empty() && self.devices.iter().all(|(_, switched)| switched.outcome.is_ok())
    }
}

pub(super) fn switch(common: &Common, options: &Options, wanted: PowerState) -> Result<u8> {
    act(common, options, &wanted.to_string(), &[wanted])
}

pub(super) fn reboot(common: &Common, options: &Options) -> Result<u8> {
    act(common, options, "reboot", &[PowerState::Off, PowerState::On])
}

/// Takes the steps in order; one that is not confirmed ends it.
fn act(common: &Common, options: &Options, action: &str, steps: &[PowerState]) -> Result<u8> {
    let cluster = common.cluster()?;
    let node = cluster.node(&options.node)?;
    let supplies = node.supplies()?;
    announce(common, action, node, &supplies);
    let deadline = Deadline::after(options.timeout);
    let work = async {
        let mut taken = Vec::new();
        for wanted in steps {
            let step = take(&supplies, *wanted, deadline).await;
            let confirmed = step.is_confirmed();
            taken.push(step);
            if !confirmed {
                break;
            }
        }
        taken
    };
    let Some(taken) = super::block_on(work)? else {
        log::error!(
            "interrupted: what became of {} is not known; see fencekit status {}",
            node.name,
            node.name
        );
        return Ok(FAILED);
    };
    let confirmed = taken.len() == steps.len() && taken.iter().all(Step::is_confirmed);
    if common.json {
        let devices = taken.iter().flat_map(step_json).collect::<Vec<_>>();
        output::document(&json!({
            "node": node.name,
            "action": action,
            "confirmed": confirmed,
            "devices": devices,
        }));
    } else {
        taken.iter().for_each(|step| print(node, step));
    }
    Ok(if confirmed { DONE } else { FAILED })
}

/// Says what is about to be done, to the system's log and to whoever watches.
pub(super) fn announce(common: &Common, action: &str, node: &Node, supplies: &[Supply]) {
    let labels: Vec<_> = supplies
        .iter()
        .map(|supply| supply.device.label().to_string())
        .collect();
    let what = format!("{action} {}: {}", node.name, labels.join(", "));
    log::info!("{what}");
    if common.verbose == 0 {
        let _ = writeln!(std::io::stderr(), "{}", clean(&what));
    }
}

pub(super) async fn take(supplies: &[Supply], wanted: PowerState, deadline: Deadline) -> Step<'_> {
    let all: Vec<&Supply> = supplies.iter().collect();
    let progress = Progress::new(
        all.iter()
            .map(|supply| format!("{}: connecting", supply.device.label())),
    );
    let outcomes = progress
        .during(fleet::each(&all, |index, supply| {
            let progress = &progress;
            async move {
                let started = Instant::now();
                let label = supply.device.label();
                let watch = |event: Event<'_>| {
                    let what = format!("{label}: {}", words(&event));
                    log::debug!("{what}");
                    progress.at(index, what);
                };
                let outcome = match wanted {
                    PowerState::Off => {
                        supply
                            .device
                            .off_confirmed(&supply.policy, deadline, &watch)
                            .await
                    }
                    PowerState::On => supply.device.on_confirmed(&supply.policy, deadline, &watch).await,
                };
                progress.done(index);
                Switched {
                    outcome,
                    elapsed: started.elapsed(),
                }
            }
        }))
        .await;
    Step {
        wanted,
        devices: supplies.iter().zip(outcomes).collect(),
    }
}

fn words(event: &Event<'_>) -> String {
    match event {
        Event::Connected(seen) => format!("reached, is {}", seen.observation),
        Event::Sending(state, 1) => format!("told to switch {state}"),
        Event::Sending(state, times) => format!("told to switch {state} for the {times}th time"),
        Event::Looked(observation) => format!("says {observation}"),
        Event::Metered(reading) => format!("its meter reads {:.1} W", reading.watts),
        Event::Retrying(error) => format!("{error}; trying again"),
        _ => "working".to_owned(),
    }
}

pub(super) fn step_json(step: &Step<'_>) -> Vec<Value> {
    let wanted = step.wanted.to_string();
    step.devices
        .iter()
        .map(|(supply, switched)| {
            let label = supply.device.label();
            let done = switched.outcome.as_ref().ok();
            json!({
                "device": label.to_string(),
                "method": label.method.name(),
                "address": label.address,
                "plug": label.plug,
                "wanted": wanted,
                "confirmed": done.is_some(),
                "before": done.map(|done| output::word(&done.before)),
                "commands": done.map(|done| done.commands),
                "looks": done.map(|done| done.looks),
                "watts": done.and_then(|done| done.power).map(|power| power.watts),
                "identity": output::identity(done.and_then(|done| done.identity.as_ref())),
                "elapsed_ms": u64::try_from(switched.elapsed.as_millis()).unwrap_or(u64::MAX),
                "error": switched.outcome.as_ref().err().map(ToString::to_string),
            })
        })
        .collect()
}

pub(super) fn print(node: &Node, step: &Step<'_>) {
    let coloured = output::coloured(&std::io::stdout());
    let (verdict, colour) = match (step.wanted, step.is_confirmed()) {
        (PowerState::Off, true) => ("off, confirmed", Colour::Good),
        (PowerState::On, true) => ("on, confirmed", Colour::Good),
        (PowerState::Off, false) => ("NOT confirmed off", Colour::Bad),
        (PowerState::On, false) => ("NOT confirmed on", Colour::Bad),
    };
    output::line(&format!(
        "{}: {}",
        node.name,
        output::painted(verdict, colour, coloured)
    ));
    for (supply, switched) in &step.devices {
        let label = supply.device.label();
        let how = match &switched.outcome {
            Ok(done) => how(done, switched.elapsed),
            Err(error) => error.to_string(),
        };
        output::line(&clean(&format!("  {label}: {how}")));
    }
}

fn how(done: &Confirmation, elapsed: Duration) -> String {
    let commands = match done.commands {
        0 => "was so already".to_owned(),
        1 => "1 command".to_owned(),
        count => format!("{count} commands"),
    };
    let looks = match done.looks {
        1 => "1 look".to_owned(),
        count => format!("{count} looks"),
    };
    let meter = done
        .power
        .map(|power| format!(", meter {:.1} W", power.watts))
        .unwrap_or_default();
    format!(
        "was {}, {commands}, {looks}{meter}, {:.1} s",
        done.before,
        elapsed.as_secs_f64()
    )
}
