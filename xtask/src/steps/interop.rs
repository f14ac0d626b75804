//! The tests against devices and clients that others wrote.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::{Outcome, binaries};
use crate::context::Context;
use crate::tally::Tally;

/// The package of these tests.
pub(super) const PACKAGE: &str = "fencekit-interop";

/// How many test binaries run at a time: they start the programs of others, which want the processor too.
const AT_A_TIME: usize = 2;

pub(crate) fn run_all(context: &Context, until: Instant) -> Outcome {
    let built = binaries::programs(context, until).and_then(|()| binaries::build(context, until));
    let binaries = match built {
        Ok(binaries) => binaries,
        Err(error) => return (Tally::FAILED, vec![error]),
    };
    let skipped = context.interop.join("skipped.txt");
    let _ = fs::remove_file(&skipped);
    let jobs = binaries
        .iter()
        .filter(|binary| binary.package == PACKAGE)
        .map(|binary| {
            let mut job = binary.job();
            equip(context, &mut job.command, &skipped);
            job
        })
        .collect();
    let outcome = binaries::run_all(context, jobs, AT_A_TIME, until);
    binaries::without_skipped(outcome, &skipped)
}

/// What tests against the programs of others find in their environment.
pub(super) fn equip(context: &Context, command: &mut Command, skipped: &Path) {
    command
        .env("FENCEKIT_INTEROP", &context.interop)
        .env("FENCEKIT_INTEROP_SKIPPED", skipped)
        .env("FENCEKIT_BIN", context.target.join("debug/fencekit"));
    // Whoever can install everything has no excuse to miss something.
    if context.ci || context.root {
        command.env("FENCEKIT_INTEROP_REQUIRED", "1");
    } else {
        command.env_remove("FENCEKIT_INTEROP_REQUIRED");
    }
    context.with_unpacked(command);
}
