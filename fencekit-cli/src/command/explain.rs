//! `fencekit explain`: what blocks a node's failover, and how to get on. Nothing is switched.

use std::time::Duration;

use fencekit::Result;
use fencekit::explain::{self, Explanation};
use fencekit::verify::{HostProber, Verdict};

use super::output::{self, Colour, painted};
use super::{Common, FAILED, verify};
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

pub(super) fn run(common: &Common, options: &Options) -> Result<u8> {
    let cluster = common.cluster()?;
    let subject = verify::subject(&cluster, &options.node, options.wait)?;
    let prober = HostProber::new();
    let progress = verify::progress(&subject);
    let explained = progress.during(explain::explain(&subject, &prober));
    let Some(explained) = super::block_on(explained)? else {
        log::error!("interrupted: nothing is known of {}", subject.node.name);
        return Ok(FAILED);
    };
    let explained = explained?;
    verification::log_report(&explained.report);
    if common.json {
        output::document(&serde_json::to_value(&explained).unwrap_or_default());
    } else {
        print(&explained);
    }
    Ok(explained.exit_code())
}

/// The page, its headings and warnings in colour.
fn print(explained: &Explanation) {
    let coloured = output::coloured(&std::io::stdout());
    let verdict = match explained.verdict {
        Verdict::ConfirmedOff => Colour::Good,
        Verdict::StillAlive | Verdict::Inconclusive => Colour::Bad,
    };
    for (number, line) in explained.to_string().lines().enumerate() {
        let line = clean(line);
        let colour = match line.as_str() {
            _ if number == 0 => verdict,
            line if line.trim_start().starts_with("WARNING") => Colour::Bad,
            line if !line.starts_with(' ') => Colour::Heading,
            _ => Colour::Plain,
        };
        output::line(&painted(&line, colour, coloured));
    }
}
