//! The test programs with library and program under sanitizers.
//!
//! The nightly compiler instruments the library, gcc the programs. Both speak the same interface of the sanitizers'
//! run-time, which comes with gcc. Rust's standard library is not instrumented, since that takes its source; what is generic or
//! inlined in it is, with the code that uses it.

use std::path::Path;
use std::process::Command;

use fencekit_interop::{required, run};

use super::build::{Library, compile};
use super::{LIMIT, Stage, passed};

fn address(name: &str, stage: &Stage, library: &Library) -> Command {
    let flags = [
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        "-fno-omit-frame-pointer",
        // This run-time's own locks are not made whole for a child that another thread forks off.
        "-DFORKS=0",
    ];
    let program = compile(library, name, stage.dir.path(), &flags);
    let mut command = Command::new(program);
    command.env("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=9");
    command.env("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1");
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn address_and_undefined_behaviour_sanitizers_find_nothing() {
    let library = required!(Library::sanitized("FENCEKIT_C_ASAN"));
    let stage = Stage::new().await;
    passed(&run(&mut address("boundary", &stage, &library), "", LIMIT));
    passed(&stage.devices(&mut address("devices", &stage, &library)));
    passed(&run(
        address("threads", &stage, &library).arg(stage.json()),
        "",
        LIMIT,
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thread_sanitizer_finds_nothing() {
    let library = required!(Library::sanitized("FENCEKIT_C_TSAN"));
    let stage = Stage::new().await;
    let program = compile(
        &library,
        "threads",
        stage.dir.path(),
        &[
            "-fsanitize=thread",
            "-rdynamic",
            "-DFORKS=0",
            "-DNAMES_OF_A_LATER_RUN_TIME",
        ],
    );
    let mut command = Command::new(program);
    let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/tsan.supp");
    let options = format!("suppressions={}:halt_on_error=1:exitcode=9", known.display());
    command.env("TSAN_OPTIONS", options);
    passed(&run(command.arg(stage.json()), "", LIMIT));
}
