//! `fencekit verify`: whether a node is dead. Nothing is switched.

use std::time::Duration;

use fencekit::Result;
use fencekit::cluster::Cluster;
use fencekit::operate::Subject;
use fencekit::verify::{HostProber, Report, Verdict};

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

/// A node, watched for another time than the file's where one is given.
pub(super) fn subject<'c>(cluster: &'c Cluster, name: &str, wait: Option<Duration>) -> Result<Subject<'c>> {
    let mut subject = Subject::of(cluster, name)?;
    if let Some(wait) = wait {
        subject.plan.timing.wait = wait;
    }
    Ok(subject)
}

/// Watches a node to a verdict, with a line on the terminal meanwhile.
pub(super) async fn watch(subject: &Subject<'_>) -> Result<Report> {
    let report = progress(subject)
        .during(subject.verify(&HostProber::new()))
        .await?;
    verification::log_report(&report);
    Ok(report)
}

/// The line on the terminal meanwhile.
pub(super) fn progress(subject: &Subject<'_>) -> Progress {
    let wait = subject.plan.timing.wait.as_secs_f64();
    Progress::new([format!("watching {} for {wait} s", subject.node.name)])
}

pub(super) fn run(common: &Common, options: &Options) -> Result<u8> {
    let cluster = common.cluster()?;
    let subject = subject(&cluster, &options.node, options.wait)?;
    let Some(report) = super::block_on(watch(&subject))? else {
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
