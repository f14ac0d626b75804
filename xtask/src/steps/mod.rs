//! The steps of the test, in order.

mod ansible;
mod binaries;
mod c;
mod cluster;
mod deps;
mod fuzz;
mod interop;
mod lanes;
mod python;
mod rust;
mod scripts;
mod soak;
mod wheel;

use std::fmt::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::exec::{Ended, Show, run as run_command};
use crate::proc_tree;
use crate::report::{self, Row};
use crate::setup;
use crate::tally::Tally;
use lanes::Lane::{self, Beside, Cluster, First, Front, Languages};

pub(crate) use soak::soak;

/// How a step went: its counts, and lines for the report on what failed or could not run.
pub(crate) type Outcome = (Tally, Vec<String>);

/// One step.
struct Step {
    name: &'static str,
    about: &'static str,
    lane: Lane,
    limit: Duration,
    run: fn(&Context, Instant) -> Outcome,
}

const fn step(
    name: &'static str,
    lane: Lane,
    minutes: u64,
    run: fn(&Context, Instant) -> Outcome,
    about: &'static str,
) -> Step {
    Step {
        name,
        about,
        lane,
        limit: Duration::from_secs(minutes * 60),
        run,
    }
}

/// A new step goes here; it returns counts, and reads them from its runner with [`Tally`]. What only builds and checks runs
/// beside what tests, and the cluster beside the languages, in this order each.
#[rustfmt::skip]
const STEPS: &[Step] = &[
    step("setup",    First,  15, setup::of_machine,   "install what the tests need of the machine"),
    step("packages", Front,  15, setup::of_packages,  "fetch what the tests need of Python, npm and ESPHome"),
    step("format",   Front,   2, rust::format,        "rustfmt"),
    step("deps",     Front,   5, deps::check,         "licences and sources of what the project depends on"),
    step("clippy",   Beside, 15, rust::clippy,        "clippy on everything, warnings are errors"),
    step("fuzz",     Beside, 15, fuzz::quick,         "a short run of every fuzz target"),
    step("sanitize", Beside, 15, c::sanitize,         "the C library builds under each sanitizer"),
    step("features", Beside, 10, rust::features,      "each feature of the core builds alone"),
    step("docs",     Beside, 15, rust::docs,          "the documentation builds without warnings, and its examples run"),
    step("package",  Beside, 15, c::package,          "the C library packages with cargo-c"),
    step("test",     Front,  20, rust::test,          "unit, integration and conformance tests"),
    step("interop",  Front,  15, interop::run_all,    "against devices and clients that others wrote"),
    step("ansible",  Languages, 12, ansible::test,       "the Ansible collection: unit tests, linters, sanity tests, the playbook"),
    step("python",   Languages, 10, python::test,        "the Python package: one wheel, its types, its tests without the source tree"),
    step("cluster",  Cluster,   15, cluster::test,       "a real Pacemaker cluster fails over, or is rightly blocked"),
    step("c",        Languages, 15, c::test,             "the C library, by C programs, sanitizers and Valgrind"),
    step("scripts",  Languages,  2, scripts::shellcheck, "shellcheck on every shell script"),
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

/// Runs the named steps one after another, or all in their lanes; prints the report. True when all is well.
pub(crate) fn run(context: &Context, only: &[&str]) -> bool {
    let started = Instant::now();
    let rows = if only.is_empty() {
        lanes::run_all(context)
    } else {
        let named = STEPS.iter().filter(|step| only.contains(&step.name));
        named
            .take_while(|_| !context.stopped())
            .map(|step| run_step(context, step, step.limit))
            .collect()
    };
    if context.stopped() {
        eprintln!("xtask: stopped");
        return false;
    }
    print!("{}", report::render(&rows, started.elapsed(), context.ci));
    report::is_success(report::total(&rows), context.ci)
}

/// One lane of the whole test, as the process that the test starts for it.
pub(crate) fn lane(context: &Context, lane: &str, rows: &str) -> bool {
    lanes::run_one(context, lane, Path::new(rows))
        .map_err(|error| eprintln!("xtask: {error}"))
        .is_ok()
}

fn run_step(context: &Context, step: &Step, limit: Duration) -> Row {
    println!("\n== {}: {}", step.name, step.about);
    let (started, before) = (Instant::now(), proc_tree::processor_time());
    let (mut tally, mut notes) = (step.run)(context, started + limit);
    for left in proc_tree::end_orphans() {
        tally += Tally::FAILED;
        notes.push(format!("left a process behind, ended now: {left}"));
    }
    let elapsed = started.elapsed();
    println!("== {}: {:.1} s", step.name, elapsed.as_secs_f64());
    Row {
        step: step.name,
        elapsed,
        processor: proc_tree::processor_time().saturating_sub(before),
        tally,
        notes,
    }
}

/// The Pacemaker cluster to play with, or another task of its.
pub(crate) fn cluster(context: &Context, args: &[&str]) -> bool {
    let outcome = cluster::play(context, args);
    outcome.map_err(|error| eprintln!("xtask: {error}")).is_ok()
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

/// Two outcomes as one.
fn both(mut one: Outcome, other: Outcome) -> Outcome {
    one.0 += other.0;
    one.1.extend(other.1);
    one
}

/// A part of a step that nothing else in it waits for.
type Part<'a> = Box<dyn FnOnce() -> Outcome + Send + 'a>;

/// Runs all of them at once.
fn side_by_side(parts: Vec<Part<'_>>) -> Outcome {
    thread::scope(|scope| {
        let running: Vec<_> = parts.into_iter().map(|part| scope.spawn(part)).collect();
        running.into_iter().fold(Outcome::default(), |all, part| {
            let panicked = |_| (Tally::FAILED, vec!["a part of the step panicked".to_owned()]);
            both(all, part.join().unwrap_or_else(panicked))
        })
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
    fn what_runs_side_by_side_is_counted_whole() {
        let parts: Vec<Part<'_>> = vec![
            Box::new(|| (Tally::PASSED, Vec::new())),
            Box::new(|| (Tally::FAILED, vec!["second".to_owned()])),
            Box::new(|| panic!("third")),
        ];
        let (tally, notes) = side_by_side(parts);
        assert_eq!((tally.passed, tally.failed), (1, 2));
        assert_eq!(notes, ["second", "a part of the step panicked"]);
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
