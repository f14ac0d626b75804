//! `fencekit verify`: whether a node is dead. Nothing is switched.

use std::time::Duration;

use fencekit::Result;
use fencekit::cluster::{Cluster, Node};
use fencekit::fleet::Supply;
use fencekit::verify::{self, HostProber, Plan, Report, Verdict};

use super::output::{self, Colour};
use super::progress::Progress;
use super::{Common, FAILED};
use crate::agent::logging::clean;
use crate::verification;

#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// The node, as in the cluster file
    node: String,
    /// Watch it for this long, in seconds, instead of the file's verify.wait
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    wait: Option<Duration>,
}

/// What a verification of a node needs.
pub(super) struct Subject<'c> {
    pub(super) node: &'c Node,
    pub(super) supplies: Vec<Supply>,
    pub(super) plan: Plan,
}

impl<'c> Subject<'c> {
    pub(super) fn of(cluster: &'c Cluster, name: &str, wait: Option<Duration>) -> Result<Self> {
        let node = cluster.node(name)?;
        let supplies = node.supplies()?;
        let mut plan = cluster.plan(node, &supplies, verification::host().as_deref());
        if let Some(wait) = wait {
            plan.timing.wait = wait;
        }
        Ok(Self { node, supplies, plan })
    }

    /// Watches the node to a verdict, with a line on the terminal meanwhile.
    pub(super) async fn verify(&self) -> Result<Report> {
        let wait = self.plan.timing.wait.as_secs_f64();
        let progress = Progress::new([format!("watching {} for {wait} s", self.node.name)]);
        let report = progress
            .during(verify::verify(&self.plan, &self.supplies, &HostProber::new()))
            .await?;
        verification::log_report(&report);
        Ok(report)
    }
}

pub(super) fn run(common: &Common, options: &Options) -> Result<u8> {
    let cluster = common.cluster()?;
    let subject = Subject::of(&cluster, &options.node, options.wait)?;
    let Some(report) = super::block_on(subject.verify())? else {
        log::error!("interrupted: nothing is known of {}", subject.node.name);
        return Ok(FAILED);
    };
    let report = report?;
    if common.json {
        output::document(&serde_json::to_value(&report).unwrap_or_default());
    } else {
        print(&report);
    }
    Ok(report.exit_code())
}

/// The verdict in colour, its reasons, and the evidence.
pub(super) fn print(report: &Report) {
    let coloured = output::coloured(&std::io::stdout());
    let colour = match report.verdict {
        Verdict::ConfirmedOff => Colour::Good,
        Verdict::StillAlive | Verdict::Inconclusive => Colour::Bad,
    };
    let verdict = report.verdict.to_string();
    for (number, line) in report.to_string().lines().enumerate() {
        let line = clean(line);
        if number == 0 {
            output::line(&line.replacen(&verdict, &output::painted(&verdict, colour, coloured), 1));
        } else {
            output::line(&line);
        }
    }
}
