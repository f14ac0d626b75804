//! The steps of the test, in order.

mod deps;
mod fuzz;
mod interop;
mod rust;
mod scripts;

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::exec::{Ended, Show, run as run_command};
use crate::proc_tree;
use crate::report::{self, Row};
use crate::setup;
use crate::tally::Tally;

/// How a step went: its counts, and lines for the report on what failed or could not run.
pub(crate) type Outcome = (Tally, Vec<String>);

/// One step.
struct Step {
    name: &'static str,
    about: &'static str,
    limit: Duration,
    run: fn(&Context, Instant) -> Outcome,
}

const fn step(
    name: &'static str,
    minutes: u64,
    run: fn(&Context, Instant) -> Outcome,
    about: &'static str,
) -> Step {
    Step {
        name,
        about,
        limit: Duration::from_secs(minutes * 60),
        run,
    }
}

/// A new step goes here; it returns counts, and reads them from its runner with [`Tally`].
#[rustfmt::skip]
const STEPS: &[Step] = &[
    step("setup",    15, setup::run,          "install what the tests need"),
    step("format",    2, rust::format,        "rustfmt"),
    step("clippy",   15, rust::clippy,        "clippy on everything, warnings are errors"),
    step("deps",      5, deps::check,         "licences and sources of what the project depends on"),
    step("docs",     15, rust::docs,          "the documentation builds without warnings"),
    step("test",     20, rust::test,          "unit, documentation, integration and conformance tests"),
    step("features", 10, rust::features,      "each feature of the core builds alone"),
    step("fuzz",     15, fuzz::quick,         "a short run of every fuzz target"),
    step("interop",  15, interop::run_all,    "against devices and clients that others wrote"),
    step("scripts",   2, scripts::shellcheck, "shellcheck on every shell script"),
];

/// Whether there is a step of this name.
pub(crate) fn exists(name: &str) -> bool {
    STEPS.iter().any(|step| step.name == name)
}

/// The steps with what they do.
pub(crate) fn list() -> String {
    let mut out = String::new();
    for step in STEPS {
        let _ = writeln!(
            out,
            "{:<10} {} (at most {} min)",
            step.name,
            step.about,
            step.limit.as_secs() / 60
        );
    }
    out
}

/// Runs the named steps, or all; prints the report. True when all is well.
pub(crate) fn run(context: &mut Context, only: &[&str]) -> bool {
    let mut rows = Vec::new();
    for step in STEPS {
        if !only.is_empty() && !only.contains(&step.name) {
            continue;
        }
        if context.stopped() {
            break;
        }
        rows.push(run_step(context, step));
    }
    if context.stopped() {
        eprintln!("xtask: stopped");
        return false;
    }
    print!("{}", report::render(&rows, context.ci));
    report::is_success(report::total(&rows), context.ci)
}

fn run_step(context: &Context, step: &Step) -> Row {
    println!("\n== {}: {}", step.name, step.about);
    let started = Instant::now();
    let (mut tally, mut notes) = (step.run)(context, started + step.limit);
    for left in proc_tree::end_orphans() {
        tally += Tally::FAILED;
        notes.push(format!("left a process behind, ended now: {left}"));
    }
    let elapsed = started.elapsed();
    println!("== {}: {:.1} s", step.name, elapsed.as_secs_f64());
    Row {
        step: step.name,
        elapsed,
        tally,
        notes,
    }
}

/// The named benchmark with its arguments, or all of them.
pub(crate) fn bench(context: &Context, args: &[&str]) -> bool {
    let outcome = match args {
        [] => bench_names(context)
            .and_then(|names| names.iter().try_for_each(|name| run_bench(context, name, &[]))),
        [name, rest @ ..] => run_bench(context, name, rest),
    };
    outcome.map_err(|error| eprintln!("xtask: {error}")).is_ok()
}

fn bench_names(context: &Context) -> Result<Vec<String>, String> {
    let dir = context.workspace.join("benches/src/bin");
    let files = std::fs::read_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut names: Vec<String> = files
        .flatten()
        .filter_map(|file| Some(file.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn run_bench(context: &Context, name: &str, args: &[&str]) -> Result<(), String> {
    println!("== {name}");
    let mut cargo = context.cargo("run");
    cargo
        .args([
            "--release",
            "--quiet",
            "--package",
            "fencekit-benches",
            "--bin",
            name,
            "--",
        ])
        .args(args)
        .env("FENCEKIT_INTEROP", &context.interop);
    context.with_unpacked(&mut cargo);
    let until = Instant::now() + Duration::from_secs(30 * 60);
    run_command(context, &mut cargo, until, Show::Live)
        .success()
        .map(drop)
}

/// Fuzzes, with these arguments: the name of a target, and `--seconds N` for each.
pub(crate) fn fuzz(context: &Context, args: &[&str]) -> bool {
    let (mut only, mut seconds) = (None, 60);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match (*arg, args.as_slice().first().and_then(|next| next.parse().ok())) {
            ("--seconds", Some(number)) => {
                seconds = number;
                args.next();
            }
            (target, _) if !target.starts_with('-') && only.is_none() => only = Some(target),
            _ => {
                eprintln!("xtask: usage: cargo xtask fuzz [TARGET] [--seconds N]");
                return false;
            }
        }
    }
    fuzz::long(context, only, seconds).unwrap_or_else(|error| {
        eprintln!("xtask: {error}");
        false
    })
}

/// The outcome of a command that is one check.
fn check(ended: Ended) -> Outcome {
    match ended.failure {
        None => (Tally::PASSED, Vec::new()),
        Some(failure) => (Tally::FAILED, vec![failure]),
    }
}

/// The outcome of a test runner: a failure beyond its counts, such as code that does not compile, is one more.
fn counted(ended: &Ended, mut tally: Tally) -> Outcome {
    let mut notes = Vec::new();
    if let Some(failure) = &ended.failure {
        notes.push(failure.clone());
        if tally.failed == 0 {
            tally += Tally::FAILED;
        }
    }
    (tally, notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_without_a_count_counts() {
        let ended = Ended {
            text: String::new(),
            failure: Some("cargo ended with exit code 101".to_owned()),
        };
        assert_eq!(counted(&ended, Tally::default()).0, Tally::FAILED);
        assert_eq!(counted(&ended, Tally::FAILED).0, Tally::FAILED);
    }

    #[test]
    fn names_are_unique() {
        for step in STEPS {
            assert_eq!(
                STEPS.iter().filter(|other| other.name == step.name).count(),
                1,
                "{}",
                step.name
            );
        }
    }
}
