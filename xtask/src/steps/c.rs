//! The C library: installed, and tried by C programs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::binaries::{self, Binary, Job};
use super::{Outcome, counted, interop};
use crate::context::Context;
use crate::exec::{Show, run};
use crate::install_c;
use crate::setup::cargo_c;
use crate::tally::Tally;

/// Not the default, so that a path that is not asked for shows.
const PACKAGED_LIBDIR: &str = "/usr/lib/multiarch";

/// A sanitizer of the nightly compiler, and where its library is told to the tests.
const SANITIZERS: [(&str, &str); 2] = [("address", "FENCEKIT_C_ASAN"), ("thread", "FENCEKIT_C_TSAN")];

pub(crate) fn test(context: &Context, until: Instant) -> Outcome {
    let place = context.target.join("c");
    let (prefix, panicking) = (place.join("prefix"), place.join("panic"));
    let ready = binaries::programs(context, until)
        .and_then(|()| install_c::install(context, &install_c::Options::for_tests(prefix.clone()), until))
        .and_then(|()| build_panicking(context, &panicking, until));
    if let Err(error) = ready {
        return (Tally::FAILED, vec![error]);
    }
    let binaries = match binaries::build_c(context, until) {
        Ok(binaries) => binaries,
        Err(error) => return (Tally::FAILED, vec![error]),
    };
    let (of_programs, of_units): (Vec<&Binary>, Vec<&Binary>) =
        binaries.iter().partition(|binary| binary.name == "c");
    let mut jobs: Vec<Job> = of_programs.into_iter().map(Binary::job).collect();
    let skipped = place.join("skipped.txt");
    let _ = fs::remove_file(&skipped);
    let mut notes = Vec::new();
    for (sanitizer, variable) in SANITIZERS {
        let lib = sanitized(context, sanitizer, until).map_err(|note| notes.push(note));
        for Job { command, .. } in &mut jobs {
            // What is not built is empty, so that an older build is not taken.
            command.env(variable, lib.as_deref().unwrap_or(Path::new("")));
        }
    }
    let packaged = packaged(context, until).map_err(|note| notes.push(note));
    for Job { command, .. } in &mut jobs {
        command.env(
            "FENCEKIT_C_PACKAGED",
            packaged.as_deref().unwrap_or(Path::new("")),
        );
        interop::equip(context, command, &skipped);
        command
            .env("FENCEKIT_C_PREFIX", &prefix)
            .env("FENCEKIT_C_PANIC", &panicking);
    }
    let outcome = binaries::run_all(context, jobs, 1, until);
    let (mut tally, told) = binaries::without_skipped(outcome, &skipped);
    notes.extend(told);
    let of_units = of_units.into_iter().map(|binary| under_valgrind(context, binary));
    let (pure, note) = all_matched(binaries::run_all(context, of_units.collect(), 1, until));
    tally += pure;
    notes.extend(note);
    let (pure, note) = miri(context, until);
    tally += pure;
    notes.extend(note);
    (tally, notes)
}

/// The library under each sanitizer, so that the tests find it built.
pub(crate) fn sanitize(context: &Context, until: Instant) -> Outcome {
    let mut all = Outcome::default();
    for (sanitizer, _) in SANITIZERS {
        match sanitized(context, sanitizer, until) {
            Ok(_) => all.0 += Tally::PASSED,
            Err(error) => {
                all.0 += Tally::FAILED;
                all.1.push(error);
            }
        }
    }
    all
}

/// What `cargo cinstall` installs for a package, so that the tests find it built.
pub(crate) fn package(context: &Context, until: Instant) -> Outcome {
    match packaged(context, until) {
        Ok(_) => (Tally::PASSED, Vec::new()),
        Err(error) if cargo_c::command(context).is_none() => (Tally::SKIPPED, vec![error]),
        Err(error) => (Tally::FAILED, vec![error]),
    }
}

/// The directory that stands for the root of the packaged files, as a packager would call it but for the optimisation.
fn packaged(context: &Context, until: Instant) -> Result<PathBuf, String> {
    let place = context.target.join("c/packaged");
    let root = place.join("root");
    let mut cinstall = cargo_c::command(context)
        .ok_or_else(|| "cargo-c is missing; `cargo xtask setup` brings it".to_owned())?;
    let _ = fs::remove_dir_all(&root);
    cinstall
        .args(["--package", "fencekit-ffi", "--frozen", "--debug"])
        .arg("--target-dir")
        .arg(&place)
        .args(["--prefix", "/usr", "--libdir", PACKAGED_LIBDIR])
        .arg("--destdir")
        .arg(&root);
    run(context, &mut cinstall, until, Show::OnFailure)
        .success()
        .map_err(|error| format!("cargo cinstall: {error}"))?;
    Ok(root)
}

/// The library with the function that panics.
fn build_panicking(context: &Context, to: &Path, until: Instant) -> Result<(), String> {
    let mut build = context.cargo("build");
    build.args(["--quiet", "--package", "fencekit-ffi", "--features", "panic-test"]);
    run(context, &mut build, until, Show::OnFailure).success()?;
    place_library(&context.target.join("debug"), to)
}

/// The library under a sanitizer. The standard library is not instrumented: building that needs its source.
fn sanitized(context: &Context, sanitizer: &str, until: Instant) -> Result<PathBuf, String> {
    let features = match sanitizer {
        "thread" => "panic-test,thread-sanitizer",
        _ => "panic-test",
    };
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    // One for both: what runs while they are built is the same.
    let built = context.target.join("c/sanitized");
    let mut build = instrumenting(context);
    build
        .args(["--quiet", "--locked", "--package", "fencekit-ffi"])
        .args([
            "--no-default-features",
            "--features",
            features,
            "--target",
            &target,
            "--target-dir",
        ])
        .arg(&built)
        .args(["--config", "profile.dev.debug=1"])
        .env(
            "RUSTFLAGS",
            format!("-Zsanitizer={sanitizer} -Cunsafe-allow-abi-mismatch=sanitizer"),
        );
    run(context, &mut build, until, Show::OnFailure)
        .success()
        .map_err(|error| format!("the library does not build under the {sanitizer} sanitizer: {error}"))?;
    let lib = context.target.join("c").join(sanitizer);
    place_library(&built.join(target).join("debug"), &lib)?;
    Ok(lib)
}

/// A build by a compiler that takes the flags of sanitizers: the nightly one, or where there is none the usual one when it is
/// told that this is wanted.
fn instrumenting(context: &Context) -> Command {
    let mut nightly = Command::new("rustup");
    nightly.args(["run", "nightly", "rustc", "--version"]);
    if nightly.output().is_ok_and(|out| out.status.success()) {
        let mut build = Command::new("rustup");
        build
            .current_dir(&context.workspace)
            .args(["run", "nightly", "cargo", "build"])
            .env_remove("RUSTC");
        return build;
    }
    let mut build = context.unlocked_cargo("build");
    build.env("RUSTC_BOOTSTRAP", "1");
    build
}

/// Copies the shared library to where a program that asks for it by its name finds it.
fn place_library(from: &Path, to: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", to.display());
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).map_err(failed)?;
    fs::copy(from.join("libfencekit.so"), to.join("libfencekit.so")).map_err(failed)?;
    let name = concat!("libfencekit.so.", env!("CARGO_PKG_VERSION_MAJOR"));
    symlink("libfencekit.so", to.join(name)).map_err(failed)
}

/// The unit tests that need no device: what has raw pointers is among them.
const PURE: [&str; 6] = [
    "boundary::",
    "handle::",
    "power::",
    "result::",
    "text::",
    "version::",
];

/// A filter that matches no test any more would pass unseen: each name is to stand for one at least.
fn all_matched((mut tally, mut notes): Outcome) -> Outcome {
    if tally.failed == 0 && tally.passed < PURE.len() as u64 {
        tally.failed += 1;
        notes.push(format!(
            "under Valgrind only {} tests ran; are {} still the names of the pure modules?",
            tally.passed,
            PURE.join(" ")
        ));
    }
    (tally, notes)
}

/// The pure parts under Valgrind, in a build with the checks that the standard library has for unsafe code. It sees what is
/// read or written where nothing is or nothing was, which Miri sees too, but not a pointer that only the rules of Rust forbid.
fn under_valgrind(context: &Context, binary: &Binary) -> Job {
    let mut command = Command::new("valgrind");
    command
        .args(["--quiet", "--error-exitcode=9", "--fair-sched=yes"])
        .arg(&binary.path)
        .args(["--quiet", "--test-threads=1"])
        .args(PURE)
        .current_dir(&context.workspace);
    context.with_unpacked(&mut command);
    Job {
        name: "fencekit-ffi pure parts under Valgrind".to_owned(),
        command,
    }
}

/// The pure parts under Miri, where there is one. It cannot be had everywhere, so that is no failure.
fn miri(context: &Context, until: Instant) -> Outcome {
    let mut ask = Command::new("rustup");
    ask.args(["run", "nightly", "cargo", "miri", "--version"]);
    let there = ask.output().is_ok_and(|out| out.status.success());
    if !there {
        let note = "Miri is not installed (rustup component add miri --toolchain nightly), so the pure parts ran under Valgrind alone";
        println!("{note}");
        return (Tally::default(), vec![note.to_owned()]);
    }
    let left = until
        .saturating_duration_since(Instant::now())
        .min(Duration::from_secs(120));
    let mut cargo = Command::new("rustup");
    cargo
        .current_dir(&context.workspace)
        .args(["run", "nightly", "cargo", "miri", "test", "--locked"])
        .args(["--package", "fencekit-ffi", "--lib", "--target-dir"])
        .arg(context.target.join("c/miri"))
        .arg("--")
        .args(PURE)
        .env("MIRIFLAGS", "-Zmiri-strict-provenance -Zmiri-ignore-leaks");
    let ended = run(context, &mut cargo, Instant::now() + left, Show::Live);
    let tally = Tally::of_cargo(&ended.text);
    counted(&ended, tally)
}
