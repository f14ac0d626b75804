//! Test binaries: built all at once, so that no step builds what they share anew, and run several at a time.
//!
//! `cargo test` runs one binary after another. Ours wait for sockets and clocks most of their time. And `--package` would
//! choose other features for what the packages share than `--workspace` does: most of it would be built again for each
//! step.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Outcome, counted};
use crate::context::Context;
use crate::exec::{Ended, Show, run};
use crate::tally::Tally;

/// A test binary.
pub(super) struct Binary {
    /// The package that it belongs to.
    pub(super) package: String,
    /// What it is called there.
    pub(super) name: String,
    /// The program.
    pub(super) path: PathBuf,
    /// Where tests expect to run.
    directory: PathBuf,
}

/// Builds the programs that tests start: `fencekit`, and the lab of the cluster.
///
/// # Errors
/// What did not build.
pub(super) fn programs(context: &Context, until: Instant) -> Result<(), String> {
    let mut cargo = context.cargo("build");
    cargo
        .args([
            "--quiet",
            "--workspace",
            "--bin",
            "fencekit",
            "--bin",
            "fencekit-cluster",
        ])
        // A test among the targets makes cargo choose the features that it chooses for tests.
        .args(["--test", "c"]);
    run(context, &mut cargo, until, Show::OnFailure)
        .success()
        .map(drop)
}

/// Builds every test of the workspace but those that want to be asked for by name.
///
/// # Errors
/// What did not build.
pub(super) fn build(context: &Context, until: Instant) -> Result<Vec<Binary>, String> {
    built(context, &[], until)
}

/// Builds the tests of the C library: the unit tests, and the one that wants to be asked for.
///
/// # Errors
/// What did not build.
pub(super) fn build_c(context: &Context, until: Instant) -> Result<Vec<Binary>, String> {
    let mut binaries = built(context, &["--lib", "--test", "c"], until)?;
    binaries.retain(|binary| binary.package == "fencekit-ffi");
    Ok(binaries)
}

fn built(context: &Context, targets: &[&str], until: Instant) -> Result<Vec<Binary>, String> {
    let mut cargo = context.cargo("test");
    cargo
        .args(["--workspace", "--no-run", "--quiet"])
        .args(["--message-format", "json-render-diagnostics"])
        .args(targets);
    let ended = run(context, &mut cargo, until, Show::Never);
    if let Some(failure) = ended.failure {
        let said = ended.text.lines().filter(|line| !line.starts_with('{'));
        said.for_each(|line| println!("{line}"));
        return Err(format!("the tests do not build: {failure}"));
    }
    let binaries: Vec<Binary> = ended.text.lines().filter_map(binary).collect();
    if binaries.is_empty() {
        return Err("cargo names no test binary".to_owned());
    }
    Ok(binaries)
}

/// The test binary that a message of cargo tells of.
fn binary(line: &str) -> Option<Binary> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message.get("reason")? != "compiler-artifact" || message.get("profile")?.get("test")? != true {
        return None;
    }
    let target = message.get("target")?;
    let directory = Path::new(message.get("manifest_path")?.as_str()?)
        .parent()?
        .to_owned();
    Some(Binary {
        package: package(message.get("package_id")?.as_str()?, &directory)?,
        name: target.get("name")?.as_str()?.to_owned(),
        path: PathBuf::from(message.get("executable")?.as_str()?),
        directory,
    })
}

/// `path+file:///DIRECTORY#NAME@VERSION`; without the name where the directory has it.
fn package(id: &str, directory: &Path) -> Option<String> {
    let (_, fragment) = id.rsplit_once('#')?;
    match fragment.split_once('@') {
        Some((name, _)) => Some(name.to_owned()),
        None => Some(directory.file_name()?.to_str()?.to_owned()),
    }
}

/// What runs as a process of its own and prints counts as a test binary does.
pub(super) struct Job {
    /// What the report calls it.
    pub(super) name: String,
    /// How it is run.
    pub(super) command: Command,
}

impl Binary {
    /// Where cargo would run it.
    pub(super) fn job(&self) -> Job {
        let mut command = Command::new(&self.path);
        command
            .current_dir(&self.directory)
            .env("CARGO_MANIFEST_DIR", &self.directory)
            .arg("--quiet");
        Job {
            name: format!("{} {}", self.package, self.name),
            command,
        }
    }
}

/// Runs them, so many at a time.
pub(super) fn run_all(context: &Context, jobs: Vec<Job>, at_a_time: usize, until: Instant) -> Outcome {
    let queue = Mutex::new(jobs.into_iter());
    let all = Mutex::new(Outcome::default());
    let next = || queue.lock().ok()?.next();
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                while let Some(Job { name, mut command }) = next() {
                    let started = Instant::now();
                    let ended = run(context, &mut command, until, Show::Never);
                    let (tally, notes) = counted(&ended, Tally::of_cargo(&ended.text));
                    if let Ok(mut all) = all.lock() {
                        tell(&name, &ended, tally, started.elapsed());
                        all.0 += tally;
                        all.1.extend(notes.iter().map(|note| format!("{name}: {note}")));
                    }
                }
            });
        }
    });
    all.into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The same outcome when the harness has counted as passed what tests have noted, a line each, as skipped.
pub(super) fn without_skipped((mut tally, mut notes): Outcome, noted: &Path) -> Outcome {
    let lines = fs::read_to_string(noted).unwrap_or_default();
    let count = u64::try_from(lines.lines().count()).unwrap_or(u64::MAX);
    tally.passed = tally.passed.saturating_sub(count);
    tally.skipped += count;
    notes.extend(lines.lines().map(str::to_owned));
    (tally, notes)
}

/// A line for what went well, everything for what did not.
fn tell(name: &str, ended: &Ended, tally: Tally, elapsed: Duration) {
    let Tally {
        passed,
        failed,
        skipped,
    } = tally;
    if ended.failure.is_some() {
        println!("-- {name}:\n{}", ended.text);
    }
    if tally != Tally::default() {
        let seconds = elapsed.as_secs_f64();
        println!("{name}: {passed} passed, {failed} failed, {skipped} skipped in {seconds:.1} s");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARTIFACT: &str = r#"{"reason":"compiler-artifact","package_id":"path+file:///src/interop#fencekit-interop@0.1.0","manifest_path":"/src/interop/Cargo.toml","target":{"kind":["test"],"name":"doctor"},"profile":{"test":true},"executable":"/src/target/debug/deps/doctor-1f"}"#;

    #[test]
    fn finds_the_test_binaries_among_the_messages() {
        let found = binary(ARTIFACT).unwrap();
        assert_eq!(
            (found.package.as_str(), found.name.as_str()),
            ("fencekit-interop", "doctor")
        );
        assert_eq!(found.path, Path::new("/src/target/debug/deps/doctor-1f"));
        assert_eq!(found.directory, Path::new("/src/interop"));
        assert!(binary(&ARTIFACT.replace("\"test\":true", "\"test\":false")).is_none());
        assert!(binary(&ARTIFACT.replace("\"/src/target/debug/deps/doctor-1f\"", "null")).is_none());
        assert!(binary("warning: a line of the compiler").is_none());
    }

    #[test]
    fn a_package_in_a_directory_of_its_name_is_known() {
        let directory = Path::new("/src/fencekit-cli");
        assert_eq!(
            package("path+file:///src/fencekit-cli#0.1.0", directory).unwrap(),
            "fencekit-cli"
        );
    }

    #[test]
    fn all_run_and_each_failure_counts() {
        let context = Context::new().unwrap();
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            Job {
                name: "sh".to_owned(),
                command,
            }
        };
        let good = "echo 'test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured'";
        let mut jobs: Vec<Job> = (0..5).map(|_| shell(good)).collect();
        jobs.push(shell("exit 3"));
        let until = Instant::now() + Duration::from_secs(20);
        let (tally, notes) = run_all(&context, jobs, 2, until);
        assert_eq!((tally.passed, tally.failed, tally.skipped), (10, 1, 5));
        assert_eq!(notes, ["sh: sh ended with exit code 3"]);
    }
}
