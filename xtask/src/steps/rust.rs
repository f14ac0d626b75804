//! What cargo checks and tests.

use std::time::Instant;

use super::{Outcome, check, counted};
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
    check(run(context, &mut cargo, until, Show::Live))
}

/// Everything but the interop tests, which have a step of their own.
pub(crate) fn test(context: &Context, until: Instant) -> Outcome {
    let mut cargo = context.cargo("test");
    cargo.args([
        "--workspace",
        "--exclude",
        "fencekit-interop",
        "--no-fail-fast",
        "--quiet",
    ]);
    let ended = run(context, &mut cargo, until, Show::Live);
    let tally = Tally::of_cargo(&ended.text);
    counted(&ended, tally)
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
