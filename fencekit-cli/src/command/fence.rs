//! `fencekit fence`: off, confirmed, and the node proven dead.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fencekit::operate::{Fenced, Subject};
use fencekit::verify::HostProber;
use fencekit::{Deadline, Result};
use serde_json::json;

use super::audit::{self, Audit};
use super::power::{self, Watched};
use super::{Common, FAILED, output, verify};
use crate::verification;

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
    let mut subject = verify::subject(&cluster, &options.node, options.wait)?;
    let node = subject.node.name.clone();
    let mut audit = Audit::begin("fence", &node);
    power::announce(common, "fence", &subject);
    let started = Instant::now();
    let watched = Watched::new(&subject);
    let fenced = super::block_on(fence(&mut subject, options.timeout, &watched))?;
    let seconds = started.elapsed().as_secs_f64();
    audit.note(json!({"seconds": seconds, "superseded": watched.superseded()}));
    let Some(fenced) = fenced else {
        log::error!("interrupted: what became of {node} is not known; see fencekit verify {node}");
        audit.end(&options.audit, json!({"interrupted": true}));
        return Ok(FAILED);
    };
    let fenced = match fenced {
        Ok(fenced) => fenced,
        Err(error) => {
            audit.end(&options.audit, json!({"error": error.to_string()}));
            return Err(error);
        }
    };
    verification::log_report(&fenced.report);
    if common.json {
        output::document(&json!(fenced));
    } else {
        power::print(&node, &fenced.off);
        verify::print(&fenced.report);
    }
    audit.end(&options.audit, json!({"outcome": fenced}));
    Ok(fenced.report.exit_code())
}

async fn fence(subject: &mut Subject<'_>, timeout: Duration, watched: &Watched) -> Result<Fenced> {
    let prober = HostProber::new();
    let work = subject.fence(Deadline::after(timeout), &prober, watched);
    watched.progress.during(work).await
}
