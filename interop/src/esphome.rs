//! Real ESPHome firmware, compiled for this host by the set-up.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::{Peer, interop_dir, wait_for_tcp};

/// The port of the native API.
pub const ESPHOME_PORT: u16 = 6053;
/// The key of the device `encrypted`.
pub const ESPHOME_KEY: &str = "6Z4l0xkQ3m0l2mJm6q1oTq9wF6n1b2nYJw0J8j7m1lI=";

/// A device that runs until this is dropped.
#[derive(Debug)]
pub struct Firmware {
    /// Where it listens: an address of its own in 127.0.0.0/8.
    pub address: Ipv4Addr,
    /// The process, with what it logs.
    pub peer: Peer,
    /// Its flash.
    _home: TempDir,
}

impl Firmware {
    /// Starts the device `encrypted` or `plain`; `None` when it has not been compiled.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(device: &str) -> Option<Self> {
        let dir = interop_dir().join("esphome-firmware");
        let program = dir.join(device);
        if !program.is_file() {
            return None;
        }
        let address = own_address();
        let home = tempfile::tempdir().expect("a directory can be made");
        let mut command = Command::new(program);
        command
            .env("HOME", home.path())
            .env("LD_PRELOAD", dir.join("loopback.so"))
            .env("FENCEKIT_BIND", address.to_string());
        let peer = Peer::start("esphome", &mut command);
        wait_for_tcp(
            SocketAddr::new(IpAddr::V4(address), ESPHOME_PORT),
            Duration::from_secs(10),
        );
        Some(Self {
            address,
            peer,
            _home: home,
        })
    }
}

/// An address that no other test has: of this process and this call.
fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let [.., high, low] = process::id().to_be_bytes();
    Ipv4Addr::new(127, 100 + number % 100, high, low)
}
