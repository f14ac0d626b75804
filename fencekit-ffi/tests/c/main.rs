//! The C library as C programs meet it: compiled against an installed prefix, under sanitizers and Valgrind, with the
//! examples, against simulated devices and a BMC of others. `cargo xtask test --only c` sets the places up.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the functions of a test, too, may fail it"
)]

mod build;
mod examples;
// What is shared with the other tests calls the core by its own name.
extern crate fencekit_core as fencekit;

#[path = "../../../interop/tests/ipmi_common/mod.rs"]
mod ipmi_common;
mod packaged;
mod sanitized;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fencekit_interop::{Output, required, run, tool};
use fencekit_sim::kasa::{self, Unit};
use fencekit_sim::{Device, Running, Spec};
use tempfile::TempDir;

use build::{Library, compile, compile_cpp};

const LIMIT: Duration = Duration::from_secs(120);

/// A simulated plug, and a cluster file of the node that it feeds. The node's address is this host's, so it answers.
struct Stage {
    sim: Running,
    dir: TempDir,
}

impl Stage {
    async fn new() -> Self {
        let unit = Unit::from(Device::new(Spec::plug("storage-b")));
        let sim = kasa::serve_xor(unit, SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = format!(
            "stonith_nodes:\n  storage-b: {{method: kasa, ip: 127.0.0.1, port: {}, mgmt_ip: 127.0.0.1}}\n\
             verify: {{wait: 1}}\n",
            sim.address.port()
        );
        fs::write(dir.path().join("cluster.yml"), file).unwrap();
        Self { sim, dir }
    }

    fn json(&self) -> String {
        format!(
            r#"{{"method": "kasa", "ip": "127.0.0.1", "ipport": {}, "off_max_watts": 5, "expect_identity": "50:c7:bf:00:00:01"}}"#,
            self.sim.address.port()
        )
    }

    /// Runs the program of everything that talks to devices.
    fn devices(&self, command: &mut Command) -> Output {
        command
            .arg(self.dir.path().join("cluster.yml"))
            .arg("storage-b")
            .arg(self.json());
        run(command, "", LIMIT)
    }
}

/// The number of checks that a test program says have passed.
#[track_caller]
fn passed(out: &Output) -> u32 {
    assert!(out.ok(), "{out}");
    let said = out.stdout.lines().last().unwrap_or_default();
    let count = said
        .strip_suffix(" checks passed")
        .and_then(|count| count.parse().ok());
    let count = count.unwrap_or_else(|| panic!("{out}"));
    assert!(count > 0);
    count
}

fn program(path: &Path) -> Command {
    Command::new(path)
}

#[test]
fn the_boundary_gives_results() {
    let dir = tempfile::tempdir().unwrap();
    let program_ = compile(&Library::with_panic(), "boundary", dir.path(), &[]);
    assert!(passed(&run(&mut program(&program_), "", LIMIT)) > 1000);
}

#[test]
fn the_header_is_good_cpp() {
    let dir = tempfile::tempdir().unwrap();
    let program_ = compile_cpp(&Library::installed(), "header", dir.path());
    passed(&run(&mut program(&program_), "", LIMIT));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_and_nodes_are_switched_and_verified() {
    let stage = Stage::new().await;
    let program_ = compile(&Library::installed(), "devices", stage.dir.path(), &[]);
    passed(&stage.devices(&mut program(&program_)));
    assert_eq!(
        stage.sim.device.relay(0),
        Some(true),
        "the last thing was a reboot"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_share_handles() {
    let stage = Stage::new().await;
    let program_ = compile(&Library::installed(), "threads", stage.dir.path(), &[]);
    passed(&run(program(&program_).arg(stage.json()), "", LIMIT));
}

/// With every byte accounted for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn valgrind_finds_nothing() {
    let valgrind = required!(tool("valgrind"));
    let stage = Stage::new().await;
    let under = |program: &Path| {
        let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/valgrind.supp");
        let suppressions = format!("--suppressions={}", known.display());
        let mut command = Command::new(&valgrind);
        command
            .args([
                "--quiet",
                "--error-exitcode=9",
                "--leak-check=full",
                "--show-leak-kinds=definite,indirect,possible",
            ])
            .args([
                "--errors-for-leak-kinds=definite,indirect,possible",
                "--child-silent-after-fork=yes",
            ])
            .arg(suppressions)
            .arg(program);
        command
    };
    let boundary = compile(&Library::with_panic(), "boundary", stage.dir.path(), &[]);
    let out = run(&mut under(&boundary), "", LIMIT);
    passed(&out);
    assert!(!out.stderr.contains("=="), "{out}");
    let devices = compile(&Library::installed(), "devices", stage.dir.path(), &[]);
    let out = stage.devices(&mut under(&devices));
    passed(&out);
    assert!(!out.stderr.contains("=="), "{out}");
}

/// The functions that a shared library exports.
fn exported(library: &Path) -> Option<Vec<String>> {
    let mut nm = Command::new(tool("nm")?);
    nm.args(["--dynamic", "--defined-only", "--format=posix"])
        .arg(library);
    let out = run(&mut nm, "", LIMIT);
    assert!(out.ok(), "{out}");
    let names = out.stdout.lines().filter_map(|line| line.split(' ').next());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_unstable();
    Some(names)
}

/// What a shared library says of itself to the loader.
fn dynamic_section(library: &Path) -> Option<String> {
    let out = run(Command::new(tool("readelf")?).arg("-d").arg(library), "", LIMIT);
    assert!(out.ok(), "{out}");
    Some(out.stdout)
}

/// Exactly the functions of the snapshot, which are those of the header.
#[test]
fn exactly_the_functions_of_the_snapshot_are_exported() {
    let exported = required!(exported(&Library::installed().lib.join("libfencekit.so")));
    let snapshot =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/symbols.txt")).unwrap();
    let listed: Vec<&str> = snapshot.lines().collect();
    assert_eq!(
        exported, listed,
        "a new function belongs into symbols.txt; one that is gone or changed is a new SONAME"
    );
    assert!(exported.iter().all(|name| name.starts_with("fencekit_")));
    let header = fs::read_to_string(Library::installed().include.join("fencekit.h")).unwrap();
    for name in exported {
        assert!(
            header.contains(&format!("{name}(")),
            "{name} is not in the header"
        );
    }
}

#[test]
fn the_shared_library_has_its_name_and_stays_loaded() {
    let section = required!(dynamic_section(&Library::installed().lib.join("libfencekit.so")));
    assert!(section.contains("[libfencekit.so.0]"), "{section}");
    assert!(section.contains("NODELETE"), "{section}");
    assert!(
        !section.contains("libssl") && !section.contains("libcrypto"),
        "{section}"
    );
}
