//! `fencekit fence`: off, confirmed, and the node proven dead.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fencekit::fleet::{self, Supply};
use fencekit::verify::Report;
use fencekit::{Deadline, FenceDeviceExt, PowerState, Result};
use serde_json::{Value, json};

use super::audit::{self, Audit};
use super::power::{self, Step};
use super::verify::{self, Subject};
use super::{Common, FAILED, output};

/// How long a meter may take before the off. A fence does not wait for it any longer.
const BASELINE: Duration = Duration::from_secs(2);

#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// The node, as in the cluster file
    node: String,
    /// Watch it for this long afterwards, in seconds, instead of the file's verify.wait
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    wait: Option<Duration>,
    /// How long switching off may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = super::seconds)]
    timeout: Duration,
    /// Where the record of this fence is appended, one line of JSON
    #[arg(long, value_name = "FILE", env = "FENCEKIT_AUDIT", default_value = audit::PATH)]
    audit: PathBuf,
}

pub(super) fn run(common: &Common, options: &Options) -> Result<u8> {
    let cluster = common.cluster()?;
    let mut subject = Subject::of(&cluster, &options.node, options.wait)?;
    let node = subject.node;
    let audit = Audit::begin("fence", &node.name);
    power::announce(common, "fence", node, &subject.supplies);
    let started = Instant::now();
    let done = super::block_on(fence(&mut subject, options.timeout))?;
    let Some(done) = done else {
        log::error!(
            "interrupted: what became of {} is not known; see fencekit verify {}",
            options.node,
            options.node
        );
        audit.end(&options.audit, json!({"interrupted": true}));
        return Ok(FAILED);
    };
    let (off, report) = done;
    let report = report?;
    let document = as_json(&off, &report);
    if common.json {
        output::document(&document);
    } else {
        power::print(node, &off);
        verify::print(&report);
    }
    let seconds = started.elapsed().as_secs_f64();
    audit.end(&options.audit, json!({"seconds": seconds, "outcome": document}));
    Ok(report.exit_code())
}

/// The off and the verdict. The verdict is asked for even when the off was not confirmed: it is what the operator
/// needs then, and it alone decides.
async fn fence<'s>(subject: &'s mut Subject<'_>, timeout: Duration) -> (Step<'s>, Result<Report>) {
    if subject.plan.timing.metered_wait.is_some() {
        let baselines = baselines(&subject.supplies).await;
        for (feed, watts) in subject.plan.devices.iter_mut().zip(baselines) {
            feed.baseline_watts = watts;
        }
    }
    let subject = &*subject;
    let off = power::take(&subject.supplies, PowerState::Off, Deadline::after(timeout)).await;
    let report = subject.verify().await;
    (off, report)
}

/// What each meter reads before the off, where that matters to the verdict.
async fn baselines(supplies: &[Supply]) -> Vec<Option<f64>> {
    let all: Vec<&Supply> = supplies.iter().collect();
    fleet::each(&all, |_, supply| async move {
        supply.policy.off_max_watts?;
        let deadline = Deadline::after(BASELINE);
        match supply.device.power_reading(&supply.policy, deadline).await {
            Ok(reading) => Some(reading.watts),
            Err(error) => {
                log::warn!("{}: no baseline: {error}", supply.device.label());
                None
            }
        }
    })
    .await
}

fn as_json(off: &Step<'_>, report: &Report) -> Value {
    let mut document = serde_json::to_value(report).unwrap_or_default();
    if let Some(fields) = document.as_object_mut() {
        fields.insert("off".to_owned(), power::step_json(off).into());
    }
    document
}
