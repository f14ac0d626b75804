//! Coverage-guided fuzzing with libFuzzer on the stable toolchain.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::Outcome;
use crate::context::Context;
use crate::exec::{Show, run};
use crate::tally::Tally;

/// What a test run spends on each target; enough to notice a target that is broken, and always the same inputs.
const QUICK: &[&str] = &["-runs=20000", "-seed=1"];

/// A target that builds whole option tables for each input takes milliseconds: so many inputs of it, the last word counting.
const SLOW: (&str, &str) = ("agent_stdin", "-runs=4000");

/// The instrumentation that libFuzzer needs, which the compiler has on stable too, and the checks of a debug build.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks";

/// A short run of every target.
pub(crate) fn quick(context: &Context, until: Instant) -> Outcome {
    let targets = match targets(context).and_then(|targets| build(context, until).map(|()| targets)) {
        Ok(targets) => targets,
        Err(error) => return (Tally::FAILED, vec![error]),
    };
    let mut tally = Tally::default();
    let mut notes = Vec::new();
    for target in targets {
        match fuzz(context, &target, QUICK, until, Show::OnFailure) {
            Ok(()) => tally += Tally::PASSED,
            Err(error) => {
                tally += Tally::FAILED;
                notes.push(format!("{target}: {error}"));
            }
        }
    }
    (tally, notes)
}

/// The named target, or each in turn, for so many seconds. True when nothing was found.
///
/// # Errors
/// What kept it from running.
pub(crate) fn long(context: &Context, only: Option<&str>, seconds: u64) -> Result<bool, String> {
    let mut targets = targets(context)?;
    if let Some(only) = only {
        if !targets.iter().any(|target| target == only) {
            return Err(format!(
                "no target is called {only}; there are: {}",
                targets.join(", ")
            ));
        }
        targets = vec![only.to_owned()];
    }
    build(context, Instant::now() + Duration::from_secs(15 * 60))?;
    let time = format!("-max_total_time={seconds}");
    let mut clean = true;
    for target in targets {
        println!("== {target}");
        let until = Instant::now() + Duration::from_secs(seconds + 60);
        if let Err(error) = fuzz(context, &target, &[&time, "-timeout=5"], until, Show::Live) {
            eprintln!("xtask: {target}: {error}");
            clean = false;
        }
    }
    Ok(clean)
}

fn targets(context: &Context) -> Result<Vec<String>, String> {
    let dir = context.workspace.join("fuzz/fuzz_targets");
    let files = fs::read_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut targets: Vec<String> = files
        .flatten()
        .filter_map(|file| Some(file.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    targets.sort();
    Ok(targets)
}

fn build(context: &Context, until: Instant) -> Result<(), String> {
    // The versions that everything else is tested with; what the fuzzer alone needs is added to them.
    let (ours, theirs) = (
        context.workspace.join("Cargo.lock"),
        context.workspace.join("fuzz/Cargo.lock"),
    );
    fs::copy(&ours, &theirs).map_err(|error| format!("{}: {error}", theirs.display()))?;
    let mut cargo = context.unlocked_cargo("build");
    cargo
        .args([
            "--release",
            "--quiet",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--target-dir",
        ])
        .arg(target_dir(context))
        // With a target, so that build scripts are built without these flags.
        .args(["--target", &triple()])
        .env("RUSTFLAGS", FLAGS);
    run(context, &mut cargo, until, Show::Live).success().map(drop)
}

/// Runs one target. What it finds on the way goes into its corpus, and an input that breaks it is kept beside.
fn fuzz(context: &Context, target: &str, options: &[&str], until: Instant, show: Show) -> Result<(), String> {
    let quick = options == QUICK;
    let corpus = target_dir(context)
        .join(if quick { "scratch" } else { "corpus" })
        .join(target);
    let broken = target_dir(context).join("broken").join(target);
    if quick {
        // Always the same inputs: nothing of an earlier run.
        let _ = fs::remove_dir_all(&corpus);
    }
    for dir in [&corpus, &broken] {
        fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    }
    let mut command = Command::new(target_dir(context).join(triple()).join("release").join(target));
    command
        .args(options)
        .args((quick && target == SLOW.0).then_some(SLOW.1))
        .args(["-rss_limit_mb=1024", "-max_len=4096"])
        .arg(format!("-artifact_prefix={}/", broken.display()))
        // The fuzzer adds to the first directory and only reads the others.
        .arg(&corpus);
    let seeds = context.workspace.join("fuzz/seeds").join(target);
    if seeds.is_dir() {
        command.arg(&seeds);
    }
    run(context, &mut command, until, show).success().map(drop)
}

fn target_dir(context: &Context) -> PathBuf {
    context.target.join("fuzz")
}

fn triple() -> String {
    format!("{}-unknown-linux-gnu", env::consts::ARCH)
}
