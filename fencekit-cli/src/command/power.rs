//! `fencekit on`, `off` and `reboot`: one node, through its devices.
//!
//! A node is off when every device that feeds it is confirmed off, or its fallback is. None of this verifies that the node is dead: that
//! is `fencekit fence`.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fencekit::fence::Event;
use fencekit::operate::{Subject, Switched, Watch};
use fencekit::verify::Report;
use fencekit::{Confirmation, Deadline, Level, PowerState, Result, Supply};
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

pub(super) fn switch(common: &Common, options: &Options, wanted: PowerState) -> Result<u8> {
    let cluster = common.cluster()?;
    let deadline = Deadline::after(options.timeout);
    let subject = Subject::within(&cluster, &options.node, deadline)?;
    let action = wanted.to_string();
    announce(common, &action, &subject);
    let Some(step) = super::block_on(take(&subject, wanted, deadline))? else {
        return Ok(interrupted(&subject));
    };
    tell(
        common,
        &subject,
        &action,
        step.is_confirmed(),
        &json!(step),
        &[&step],
    );
    Ok(if step.is_confirmed() { DONE } else { FAILED })
}

pub(super) fn reboot(common: &Common, options: &Options) -> Result<u8> {
    let cluster = common.cluster()?;
    let deadline = Deadline::after(options.timeout);
    let subject = Subject::within(&cluster, &options.node, deadline)?;
    announce(common, "reboot", &subject);
    let watched = Watched::new(&subject);
    let work = subject.reboot(deadline, &watched);
    let Some(rebooted) = super::block_on(watched.progress.during(work))? else {
        return Ok(interrupted(&subject));
    };
    let steps: Vec<&Switched> = rebooted.steps().collect();
    let confirmed = rebooted.is_confirmed();
    tell(common, &subject, "reboot", confirmed, &json!(rebooted), &steps);
    Ok(if confirmed { DONE } else { FAILED })
}

fn interrupted(subject: &Subject<'_>) -> u8 {
    log::error!(
        "interrupted: what became of {0} is not known; see fencekit status {0}",
        subject.node.name
    );
    FAILED
}

fn tell(
    common: &Common,
    subject: &Subject<'_>,
    action: &str,
    confirmed: bool,
    devices: &Value,
    steps: &[&Switched],
) {
    if common.json {
        output::document(&json!({
            "node": subject.node.name,
            "action": action,
            "confirmed": confirmed,
            "devices": devices,
        }));
    } else {
        steps.iter().for_each(|step| print(&subject.node.name, step));
    }
}

/// Says what is about to be done, to the system's log and to whoever watches.
pub(super) fn announce(common: &Common, action: &str, subject: &Subject<'_>) {
    let labels: Vec<_> = subject.supplies.iter().map(named).collect();
    let what = format!("{action} {}: {}", subject.node.name, labels.join(", "));
    log::info!("{what}");
    if common.verbose == 0 {
        let _ = writeln!(std::io::stderr(), "{}", clean(&what));
    }
}

fn named(supply: &Supply) -> String {
    format!("{}{}", supply.device.label(), supply.level.suffix())
}

/// Switches a node, with a line on the terminal meanwhile.
async fn take(subject: &Subject<'_>, wanted: PowerState, deadline: Deadline) -> Switched {
    let watched = Watched::new(subject);
    let work = subject.switch(wanted, deadline, &watched);
    watched.progress.during(work).await
}

/// Switches the devices that feed a node, without its fallback, with a line on the terminal meanwhile.
pub(super) async fn take_first(subject: &Subject<'_>, wanted: PowerState, deadline: Deadline) -> Switched {
    let watched = Watched::new(subject);
    let work = subject.switch_level(Level::First, wanted, deadline, &watched);
    watched.progress.during(work).await
}

/// Tells the progress line and the log what happens to a node's devices.
pub(super) struct Watched {
    labels: Vec<String>,
    pub(super) progress: Progress,
    superseded: Mutex<Vec<Report>>,
}

impl Watched {
    pub(super) fn new(subject: &Subject<'_>) -> Self {
        let labels: Vec<String> = subject.supplies.iter().map(named).collect();
        let progress = Progress::new(labels.iter().map(|label| format!("{label}: connecting")));
        Self {
            labels,
            progress,
            superseded: Mutex::default(),
        }
    }

    /// The verdicts that a fence came to before its last one.
    pub(super) fn superseded(&self) -> Vec<Report> {
        let superseded = self.superseded.lock();
        superseded.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Watch for Watched {
    fn event(&self, device: usize, event: Event<'_>) {
        let label = self.labels.get(device).map_or("", String::as_str);
        let what = format!("{label}: {}", words(&event));
        log::debug!("{what}");
        self.progress.at(device, what);
    }

    fn done(&self, device: usize) {
        self.progress.done(device);
    }

    fn superseded(&self, report: &Report) {
        let mut superseded = self.superseded.lock().unwrap_or_else(PoisonError::into_inner);
        superseded.push(report.clone());
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

pub(super) fn print(node: &str, step: &Switched) {
    let coloured = output::coloured(&std::io::stdout());
    let by_fallback = step.off_by() == Some(Level::Fallback);
    let (verdict, colour) = match (step.wanted, step.is_confirmed()) {
        (PowerState::Off, true) if by_fallback => ("off, confirmed by its fallback", Colour::Good),
        (PowerState::Off, true) => ("off, confirmed", Colour::Good),
        (PowerState::On, true) => ("on, confirmed", Colour::Good),
        (PowerState::Off, false) => ("NOT confirmed off", Colour::Bad),
        (PowerState::On, false) => ("NOT confirmed on", Colour::Bad),
    };
    output::line(&format!(
        "{}: {}",
        clean(node),
        output::painted(verdict, colour, coloured)
    ));
    for device in &step.devices {
        let label = &device.label;
        let how = match &device.outcome {
            Ok(done) => how(done, device.elapsed),
            Err(error) => error.to_string(),
        };
        output::line(&clean(&format!("  {label}{}: {how}", device.level.suffix())));
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
