//! Network namespaces beside that of the test.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::run;

/// How long a script inside may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A network namespace, for as long as its sleeping process lives.
#[derive(Debug)]
pub struct Space(Child);

impl Space {
    /// A namespace with loopback up and nothing else, for at most 170 seconds.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let child = Command::new("unshare")
            .args(["--net", "sleep", "170"])
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare starts");
        let space = Self(child);
        let ours = std::fs::read_link("/proc/self/ns/net").expect("a network namespace");
        let until = Instant::now() + Duration::from_secs(5);
        while std::fs::read_link(format!("/proc/{}/ns/net", space.id())).is_ok_and(|theirs| theirs == ours) {
            assert!(Instant::now() < until, "no namespace came");
            std::thread::sleep(Duration::from_millis(10));
        }
        space.shell("ip link set lo up");
        space
    }

    /// The process that holds it: what `ip link set NAME netns` takes.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// A program to be run in it.
    #[must_use]
    pub fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.id().to_string(), "-n", program]);
        command
    }

    /// Runs a script of `sh -e` in it.
    ///
    /// # Panics
    /// When the script fails.
    pub fn shell(&self, script: &str) {
        let out = run(self.inside("sh").args(["-ec", script]), "", LIMIT);
        assert!(out.ok(), "{script}: {out}");
    }
}

impl Default for Space {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
