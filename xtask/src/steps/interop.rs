//! The tests against devices and clients that others wrote.

use std::fs;
use std::time::Instant;

use super::{Outcome, counted};
use crate::context::Context;
use crate::exec::{Show, run};
use crate::tally::Tally;

pub(crate) fn run_all(context: &Context, until: Instant) -> Outcome {
    let mut build = context.cargo("build");
    build.args(["--quiet", "--package", "fencekit-cli", "--bin", "fencekit"]);
    if let Err(error) = run(context, &mut build, until, Show::Live).success() {
        return (
            Tally::FAILED,
            vec![format!("the program does not build: {error}")],
        );
    }
    let skipped = context.interop.join("skipped.txt");
    let _ = fs::remove_file(&skipped);
    let mut cargo = context.cargo("test");
    cargo
        .args(["--package", "fencekit-interop", "--no-fail-fast"])
        .env("FENCEKIT_INTEROP", &context.interop)
        .env("FENCEKIT_INTEROP_SKIPPED", &skipped)
        .env("FENCEKIT_BIN", context.target.join("debug/fencekit"));
    // Whoever can install everything has no excuse to miss something.
    if context.ci || context.root {
        cargo.env("FENCEKIT_INTEROP_REQUIRED", "1");
    } else {
        cargo.env_remove("FENCEKIT_INTEROP_REQUIRED");
    }
    context.with_unpacked(&mut cargo);
    let ended = run(context, &mut cargo, until, Show::Live);
    let mut tally = Tally::of_cargo(&ended.text);
    // The harness counts a skipped test as passed.
    let lines: Vec<String> = fs::read_to_string(&skipped)
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect();
    let count = u64::try_from(lines.len()).unwrap_or(u64::MAX);
    tally.passed = tally.passed.saturating_sub(count);
    tally.skipped += count;
    let (tally, mut notes) = counted(&ended, tally);
    notes.extend(lines);
    (tally, notes)
}
