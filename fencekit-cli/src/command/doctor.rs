//! `fencekit doctor`: what is wrong with the cluster's fencing, and how to mend it. Nothing is switched.

use std::path::PathBuf;
use std::time::Duration;

use fencekit::doctor::{self, Advice, Diagnosis, Outcome, Scope};
use fencekit::{Result, Severity};

use super::output::{self, Colour, painted};
use super::progress::Progress;
use super::{Common, FAILED, drills};
use crate::agent::install;
use crate::agent::logging::clean;

#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// Only these nodes
    nodes: Vec<String>,
    /// How long each device may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = super::seconds)]
    timeout: Duration,
    /// Where `fencekit drill` keeps its proofs
    #[arg(long, value_name = "FILE", default_value = drills::PATH)]
    state: PathBuf,
    /// Where Pacemaker looks for fence agents
    #[arg(long, value_name = "DIR", default_value = install::DEFAULT_DIR)]
    agents: PathBuf,
    /// Leave out what is as it should be
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn run(common: &Common, options: &Options) -> Result<u8> {
    let cluster = common.quiet_cluster()?;
    let scope = Scope {
        nodes: options.nodes.clone(),
        // As `fencekit generate` writes it into the cluster.
        file: Some(std::path::absolute(&common.config).unwrap_or_else(|_| common.config.clone())),
        program: std::env::current_exe().ok(),
        agents: options.agents.clone(),
        drills: options.state.clone(),
        ..Scope::default()
    };
    let progress = Progress::new(["asking every device".to_owned()]);
    let examined = super::block_on(progress.during(doctor::examine(&cluster, &scope, options.timeout)))?;
    let Some(diagnosis) = examined else {
        log::error!("interrupted");
        return Ok(FAILED);
    };
    let diagnosis = diagnosis?;
    if common.json {
        output::document(&serde_json::to_value(&diagnosis).unwrap_or_default());
    } else {
        print(&diagnosis, options.quiet);
    }
    Ok(diagnosis.exit_code())
}

fn print(diagnosis: &Diagnosis, quiet: bool) {
    let coloured = output::coloured(&std::io::stdout());
    for line in lines(diagnosis, quiet, coloured) {
        output::line(&line);
    }
}

/// The findings under a heading for each node, and what they come to. Devices choose part of the words, so nothing in
/// them may drive a terminal.
fn lines(diagnosis: &Diagnosis, quiet: bool, coloured: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let shown = |advice: &&Advice| !quiet || advice.severity > Severity::Info;
    let nodes = diagnosis.nodes.iter().map(|node| Some(node.as_str()));
    for node in nodes.chain([None]) {
        let of_node = diagnosis
            .findings
            .iter()
            .filter(|advice| advice.node.as_deref() == node);
        let of_node: Vec<_> = of_node.filter(shown).collect();
        if of_node.is_empty() {
            continue;
        }
        let heading = node.unwrap_or("the cluster and this host");
        lines.push(painted(&clean(heading), Colour::Heading, coloured));
        let mut device = None;
        for advice in of_node {
            if advice.device != device {
                device.clone_from(&advice.device);
                let about = device.as_deref().unwrap_or("the node");
                lines.push(painted(&format!("  {}", clean(about)), Colour::Faint, coloured));
            }
            lines.extend(told(advice, coloured));
        }
    }
    lines.push(summary(diagnosis, coloured));
    lines
}

fn told(advice: &Advice, coloured: bool) -> Vec<String> {
    let (word, colour) = match advice.severity {
        Severity::Info => ("ok", Colour::Good),
        Severity::Warning => ("warning", Colour::Notice),
        Severity::Unknown => ("unknown", Colour::Bad),
        Severity::Problem => ("PROBLEM", Colour::Bad),
    };
    let gap = " ".repeat(8_usize.saturating_sub(word.len()));
    let topic = advice.topic.word();
    let detail = clean(&advice.detail);
    let mut lines = vec![format!(
        "    {}{gap}{topic:<13}{detail}",
        painted(word, colour, coloured)
    )];
    if !advice.mend.is_empty() {
        lines.push(format!("{}-> {}", " ".repeat(25), clean(&advice.mend)));
    }
    lines
}

fn summary(diagnosis: &Diagnosis, coloured: bool) -> String {
    let count = |severity| {
        diagnosis
            .findings
            .iter()
            .filter(|advice| advice.severity == severity)
            .count()
    };
    let counts = [
        (count(Severity::Problem), "problem", "problems"),
        (
            count(Severity::Unknown),
            "thing that could not be examined",
            "things that could not be examined",
        ),
        (count(Severity::Warning), "warning", "warnings"),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
        .collect();
    let counts = if counts.is_empty() {
        "nothing to mend".to_owned()
    } else {
        counts.join(", ")
    };
    let (verdict, colour) = match diagnosis.outcome {
        Outcome::Good => ("good", Colour::Good),
        Outcome::Problem => ("NOT to be relied on", Colour::Bad),
        Outcome::Inconclusive => ("inconclusive", Colour::Bad),
    };
    format!("The fencing is {}: {counts}", painted(verdict, colour, coloured))
}
