//! What the tests of the commands share: simulated devices, cluster files, and the built program.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "each test uses its part, and a test may end in a panic"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use fencekit_sim::{Device, Running, Spec};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Simulated devices on a thread of their own, for as long as this lives.
pub(crate) struct Sims {
    runtime: tokio::runtime::Runtime,
    running: Vec<Running>,
}

impl Sims {
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self {
            runtime,
            running: Vec::new(),
        }
    }

    /// A Kasa plug or strip over XOR; its port.
    pub(crate) fn kasa(&mut self, spec: Spec) -> (Device, u16) {
        let device = Device::new(spec);
        let running = self
            .runtime
            .block_on(fencekit_sim::kasa::serve_xor(device.clone(), ANY))
            .unwrap();
        let port = running.address.port();
        self.running.push(running);
        (device, port)
    }
}

/// A cluster file in a directory of its own.
pub(crate) struct File {
    pub(crate) directory: TempDir,
    pub(crate) path: PathBuf,
}

pub(crate) fn file(text: &str) -> File {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cluster.yml");
    std::fs::write(&path, text).unwrap();
    File { directory, path }
}

/// The built program with arguments, without a terminal and without the caller's settings.
pub(crate) fn fencekit(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fencekit"));
    command
        .args(args)
        .env_remove("FENCEKIT_CONFIG")
        .env_remove("NO_COLOR")
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

pub(crate) fn run(file: &File, args: &[&str]) -> Output {
    let mut command = fencekit(args);
    command.arg("--config").arg(&file.path).output().unwrap()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The one document on stdout.
pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|cause| panic!("{cause}: {}{}", stdout(output), stderr(output)))
}

/// A loopback port on which nobody listens, nor ever will: it is taken, for good, by a socket that does not listen. One that was
/// merely free could be the next test's device.
pub(crate) fn closed_port() -> u16 {
    let socket = Box::leak(Box::new(tokio::net::TcpSocket::new_v4().unwrap()));
    socket.bind(ANY).unwrap();
    socket.local_addr().unwrap().port()
}
