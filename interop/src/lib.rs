//! What the tests against devices and clients of others share: finding their programs, starting and ending them.
//!
//! `cargo xtask setup` puts everything in place; `cargo xtask test` sets the variables below and counts what was skipped.
//!
//! | variable | meaning |
//! |---|---|
//! | `FENCEKIT_INTEROP` | where the set-up installs (`target/interop` when unset) |
//! | `FENCEKIT_INTEROP_REQUIRED=1` | something missing fails the test; otherwise the test says so and passes |
//! | `FENCEKIT_INTEROP_SKIPPED` | a file that gets a line for every test skipped |
//! | `FENCEKIT_BIN` | the built program; built when unset |
//!
//! A test begins with what it needs:
//!
//! ```no_run
//! use fencekit_interop::{Peer, required, run, tool};
//! use std::process::Command;
//! use std::time::Duration;
//!
//! # fn test() {
//! let curl = required!(tool("curl"));
//! let out = run(Command::new(curl).arg("--version"), "", Duration::from_secs(5));
//! assert_eq!(out.code, Some(0), "{out}");
//! # }
//! ```
//!
//! [`run`] and [`Peer`] block. A test whose simulated device runs in the same process takes
//! `#[tokio::test(flavor = "multi_thread", worker_threads = 2)]`: the test's own thread may then block while the
//! device goes on.

// This crate is test support: what is wrong ends the test there and then.
#![allow(clippy::expect_used, clippy::panic)]
#![forbid(unsafe_code)]

mod cib;
mod esphome;
mod network;
mod place;
mod private;
mod process;
mod space;

pub use cib::{cib_facts, empty_cib};
pub use esphome::{ESPHOME_KEY, ESPHOME_PORT, Firmware};
pub use network::{free_tcp_port, free_udp_port, wait_for_tcp};
pub use place::{
    agent, agents_dir, ansible_bin, esphome_bin, fencekit_bin, interop_dir, missing, namespaces, npm_dir,
    npm_package, pcs_root, python, root, tool, venv_bin, workspace,
};
pub use private::inside;
pub use process::{Output, Peer, run};
pub use space::Space;

/// The value of an `Option`, or the end of the test: skipped with a line that says what is missing, or failed when
/// `FENCEKIT_INTEROP_REQUIRED=1`.
///
/// For tests that return nothing.
#[macro_export]
macro_rules! required {
    ($need:expr) => {
        match $need {
            Some(found) => found,
            None => {
                $crate::missing(stringify!($need));
                return;
            }
        }
    };
}
