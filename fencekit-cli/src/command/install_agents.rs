//! `fencekit install-agents`.

use std::io::Write;
use std::path::PathBuf;

use fencekit::{Error, Result};
use serde_json::{Value, json};

use super::{Common, DONE, FAILED, output};
use crate::agent::install::{self, Link, Linked};
use crate::agent::logging::clean;

#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// Where the links go
    #[arg(long, value_name = "DIR", default_value = install::DEFAULT_DIR)]
    dir: PathBuf,
}

pub(super) fn run(common: &Common, options: &Options) -> Result<u8> {
    let program = std::env::current_exe()
        .map_err(|cause| Error::unsupported("cannot tell where this program is").caused_by(cause))?;
    let links = install::all(&options.dir, &program);
    let shown = program.display().to_string();
    if common.json {
        let links: Vec<Value> = links.iter().map(document).collect();
        output::document(&json!({"program": shown, "links": links}));
    }
    for link in &links {
        let path = link.path.display();
        match &link.outcome {
            Ok(_) if common.json => {}
            Ok(linked) => output::line(&clean(&format!("{path}: {} {shown}", how(*linked)))),
            Err(problem) => {
                let line = clean(&format!("fencekit: {path}: {problem}"));
                let _ = writeln!(std::io::stderr(), "{line}");
            }
        }
    }
    let all_stand = links.iter().all(|link| link.outcome.is_ok());
    Ok(if all_stand { DONE } else { FAILED })
}

fn document(link: &Link) -> Value {
    let (outcome, error) = match &link.outcome {
        Ok(Linked::New) => ("new", None),
        Ok(Linked::Renewed) => ("renewed", None),
        Ok(Linked::Kept) => ("kept", None),
        Err(problem) => ("failed", Some(problem)),
    };
    json!({"agent": link.agent, "path": link.path.display().to_string(), "outcome": outcome, "error": error})
}

fn how(linked: Linked) -> &'static str {
    match linked {
        Linked::New => "linked to",
        Linked::Renewed => "now linked to",
        Linked::Kept => "was linked already to",
    }
}
