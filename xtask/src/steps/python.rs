//! The Python package: the wheel, its types, and its tests from virtual environments that have nothing but the wheel.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::{Outcome, Part, both, check, counted, side_by_side, wheel};
use crate::context::Context;
use crate::exec::{Show, run};
use crate::setup::package::{tool, wheelhouse};
use crate::setup::python::{Python, oldest_and_newest};
use crate::tally::Tally;

pub(crate) fn test(context: &Context, until: Instant) -> Outcome {
    if !tool(context, "maturin").exists() {
        let note = "maturin is missing; `cargo xtask setup` installs it where there is Python 3.11 or newer";
        return (Tally::SKIPPED, vec![note.to_owned()]);
    }
    let wheel = match wheel::build(context, until) {
        Ok(wheel) => wheel,
        Err(error) => return (Tally::FAILED, vec![error]),
    };
    // The tests wait more than they work.
    let versions = oldest_and_newest();
    let mut parts: Vec<Part<'_>> = versions
        .into_iter()
        .map(|python| Box::new(|| version(context, until, python, &wheel)) as Part<'_>)
        .collect();
    parts.push(Box::new(|| {
        both(types(context, until, &wheel), free_threaded(context, until))
    }));
    side_by_side(parts)
}

/// The tests on one version of Python.
fn version(context: &Context, until: Instant, python: &Python, wheel: &Path) -> Outcome {
    let outcome = pytest(context, until, python, wheel).unwrap_or_else(|error| {
        let note = format!("Python 3.{}: {error}", python.minor);
        (Tally::FAILED, vec![note])
    });
    println!("Python 3.{}: {} passed", python.minor, outcome.0.passed);
    outcome
}

/// That there is a wheel for free-threaded Python, too.
fn free_threaded(context: &Context, until: Instant) -> Outcome {
    match wheel::free_threaded(context, until) {
        Ok(_) => (Tally::PASSED, Vec::new()),
        Err(error) => (Tally::FAILED, vec![format!("free-threaded Python: {error}")]),
    }
}

/// The stubs against the extension, and the package's own types.
fn types(context: &Context, until: Instant, wheel: &Path) -> Outcome {
    let mut pip = Command::new(tool(context, "python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--force-reinstall",
    ])
    .arg(wheel);
    if let Err(error) = run(context, &mut pip, until, Show::OnFailure).success() {
        return (Tally::FAILED, vec![error]);
    }
    let mut all = Outcome::default();
    for arguments in [
        ["-m", "mypy.stubtest", "fencekit"].as_slice(),
        [
            "-m",
            "mypy",
            "--strict",
            "--cache-dir=/dev/null",
            "--package",
            "fencekit",
        ]
        .as_slice(),
    ] {
        let mut mypy = Command::new(tool(context, "python"));
        // Not from the source tree, which has a directory of the package's name.
        mypy.args(arguments).current_dir(&context.interop);
        all = both(all, check(run(context, &mut mypy, until, Show::OnFailure)));
    }
    all
}

/// The tests, with warnings as errors, from an environment made for this run.
fn pytest(context: &Context, until: Instant, python: &Python, wheel: &Path) -> Result<Outcome, String> {
    let fresh = context.interop.join(format!("python-3.{}", python.minor));
    let mut venv = Command::new(&python.path);
    venv.args(["-m", "venv", "--clear"]).arg(&fresh);
    run(context, &mut venv, until, Show::OnFailure).success()?;
    let inside = fresh.join("bin/python");
    let mut pip = Command::new(&inside);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ])
    .args(["--no-index", "--find-links"])
    .arg(wheelhouse(context))
    .arg("pytest")
    .arg(wheel);
    run(context, &mut pip, until, Show::OnFailure).success()?;
    let package = context.workspace.join(wheel::PACKAGE);
    let mut pytest = Command::new(&inside);
    pytest
        .args(["-B", "-m", "pytest", "--quiet", "--config-file"])
        .arg(package.join("pyproject.toml"))
        .arg("--rootdir")
        .arg(&package)
        .arg(package.join("tests"))
        .env("FENCEKIT_BIN", context.target.join("debug/fencekit"))
        .current_dir(&fresh);
    context.with_unpacked(&mut pytest);
    let ended = run(context, &mut pytest, until, Show::OnFailure);
    let tally = Tally::of_closing_line(&ended.text);
    Ok(counted(&ended, tally))
}
