//! What cargo checks and tests.

use std::time::Instant;

use super::binaries::{self, Binary};
use super::{Outcome, check, counted, interop};
use crate::context::Context;
use crate::exec::{Show, run};
use crate::tally::Tally;

pub(crate) fn format(context: &Context, until: Instant) -> Outcome {
    let mut cargo = context.unlocked_cargo("fmt");
    cargo.args(["--all", "--check"]);
    check(run(context, &mut cargo, until, Show::OnFailure))
}

pub(crate) fn clippy(context: &Context, until: Instant) -> Outcome {
    let mut cargo = context.cargo("clippy");
    cargo.args(["--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]);
    check(run(context, &mut cargo, until, Show::Live))
}

pub(crate) fn docs(context: &Context, until: Instant) -> Outcome {
    let mut cargo = context.cargo("doc");
    cargo
        .args(["--workspace", "--no-deps", "--quiet"])
        .env("RUSTDOCFLAGS", "-D warnings");
    let (mut tally, mut notes) = check(run(context, &mut cargo, until, Show::Live));
    let mut examples = context.cargo("test");
    examples.args(["--workspace", "--doc", "--no-fail-fast", "--quiet"]);
    let ended = run(context, &mut examples, until, Show::Live);
    let (of_examples, failed) = counted(&ended, Tally::of_cargo(&ended.text));
    tally += of_examples;
    notes.extend(failed);
    (tally, notes)
}

/// How many test binaries run at a time: most of them wait, but their clocks are real, so that no more must be busy at once
/// than a small machine has cores for.
const AT_A_TIME: usize = 3;

/// Every backend with every fault, which keeps a machine busy and its clocks exact by itself.
const ALONE: &str = "conformance";

/// Everything but the interop tests, which have a step of their own.
pub(crate) fn test(context: &Context, until: Instant) -> Outcome {
    let binaries = match binaries::build(context, until) {
        Ok(binaries) => binaries,
        Err(error) => return (Tally::FAILED, vec![error]),
    };
    let ours = binaries
        .iter()
        .filter(|binary| binary.package != interop::PACKAGE);
    let (alone, others): (Vec<&Binary>, Vec<&Binary>) = ours.partition(|binary| binary.name == ALONE);
    let jobs = |binaries: Vec<&Binary>| binaries.into_iter().map(Binary::job).collect();
    let (mut tally, mut notes) = binaries::run_all(context, jobs(others), AT_A_TIME, until);
    let (of_alone, more) = binaries::run_all(context, jobs(alone), 1, until);
    tally += of_alone;
    notes.extend(more);
    (tally, notes)
}

/// Each feature of the core alone, and none at all: a backend must not lean on another.
pub(crate) fn features(context: &Context, until: Instant) -> Outcome {
    let features = match features_of(context, "fencekit", until) {
        Ok(features) => features,
        Err(error) => return (Tally::FAILED, vec![error]),
    };
    let mut tally = Tally::default();
    let mut notes = Vec::new();
    for feature in std::iter::once("").chain(features.iter().map(String::as_str)) {
        let mut cargo = context.cargo("clippy");
        cargo
            .args(["--package", "fencekit", "--no-default-features", "--quiet"])
            .args(["--features", feature, "--", "-D", "warnings"]);
        let (one, failed) = check(run(context, &mut cargo, until, Show::OnFailure));
        tally += one;
        let name = if feature.is_empty() { "no feature" } else { feature };
        notes.extend(failed.into_iter().map(|failure| format!("{name}: {failure}")));
    }
    (tally, notes)
}

fn features_of(context: &Context, package: &str, until: Instant) -> Result<Vec<String>, String> {
    let mut cargo = context.cargo("metadata");
    cargo.args(["--no-deps", "--format-version", "1", "--quiet"]);
    let text = run(context, &mut cargo, until, Show::OnFailure).success()?;
    let metadata: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let features = metadata
        .get("packages")
        .and_then(|packages| packages.as_array())
        .into_iter()
        .flatten()
        .find(|found| found.get("name").is_some_and(|name| name == package))
        .and_then(|found| found.get("features")?.as_object())
        .ok_or_else(|| format!("cargo metadata knows no package {package}"))?;
    Ok(features.keys().cloned().collect())
}
