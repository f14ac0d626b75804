//! A real Pacemaker cluster whose nodes really die: the scenarios, and the cluster to play with.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Outcome, binaries, counted};
use crate::context::Context;
use crate::exec::{Show, run};
use crate::tally::Tally;

pub(crate) fn test(context: &Context, until: Instant) -> Outcome {
    if let Err(error) = binaries::programs(context, until) {
        return (Tally::FAILED, vec![format!("does not build: {error}")]);
    }
    let mut command = lab(context);
    command.arg("test");
    // Whoever can install everything has no excuse to miss something.
    if context.ci || context.root {
        command.env("FENCEKIT_INTEROP_REQUIRED", "1");
    } else {
        command.env_remove("FENCEKIT_INTEROP_REQUIRED");
    }
    let ended = run(context, &mut command, until, Show::Live);
    let (tally, mut notes) = counted(&ended, Tally::of_closing_line(&ended.text));
    let skipped = ended.text.lines().filter(|line| line.starts_with("skipped: "));
    notes.extend(skipped.map(str::to_owned));
    (tally, notes)
}

/// Brings the cluster up at this terminal. With arguments, a task of the lab: `test node-killed`, `list`.
pub(crate) fn play(context: &Context, arguments: &[&str]) -> Result<(), String> {
    binaries::programs(context, Instant::now() + Duration::from_secs(15 * 60))?;
    let arguments = if arguments.is_empty() { &["up"] } else { arguments };
    let status = lab(context)
        .args(arguments)
        .stdin(Stdio::inherit())
        .status()
        .map_err(|error| format!("fencekit-cluster: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("fencekit-cluster: {status}")),
    }
}

fn lab(context: &Context) -> Command {
    let built = context.target.join("debug");
    let mut command = Command::new(built.join("fencekit-cluster"));
    command
        .current_dir(&context.workspace)
        .env("FENCEKIT_INTEROP", &context.interop)
        .env("FENCEKIT_BIN", built.join("fencekit"));
    command
}
