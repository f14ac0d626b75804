//! What every task knows: where things lie and how to call cargo.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where things lie, who runs the task, and whether somebody asked to stop.
pub(crate) struct Context {
    /// The root of the source tree.
    pub(crate) workspace: PathBuf,
    /// The target directory.
    pub(crate) target: PathBuf,
    /// Where the set-up installs.
    pub(crate) interop: PathBuf,
    /// In CI a skipped test is a failure.
    pub(crate) ci: bool,
    /// Whether packages of the machine can be installed, and namespaces made.
    pub(crate) root: bool,
    stop: Arc<AtomicBool>,
}

impl Context {
    pub(crate) fn new() -> Result<Self, String> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .ok_or("xtask lies outside of a workspace")?
            .to_owned();
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop))
                .map_err(|error| format!("cannot take note of signals: {error}"))?;
        }
        // Processes that outlive their step become our children, so that they are found and ended.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|error| format!("cannot adopt processes left behind: {error}"))?;
        Ok(Self {
            interop: target.join("interop"),
            workspace,
            target,
            ci: env::var_os("CI").is_some_and(|value| value == "true" || value == "1"),
            root: rustix::process::geteuid().is_root(),
            stop,
        })
    }

    /// Whether the user asked to stop.
    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Cargo, in the workspace, bound to the lock file.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut cargo = self.unlocked_cargo(subcommand);
        cargo.arg("--locked");
        cargo
    }

    /// Cargo, in the workspace, for what has no lock file or takes no notice of it.
    pub(crate) fn unlocked_cargo(&self, subcommand: &str) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
        cargo.current_dir(&self.workspace).arg(subcommand);
        if self.ci {
            // Nothing there is built a second time.
            cargo.env("CARGO_INCREMENTAL", "0");
        }
        // What cargo told this program of its own package; some build scripts run again when it changes.
        let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"];
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if of_package.iter().any(|start| text.starts_with(start)) {
                cargo.env_remove(&name);
            }
        }
        cargo
    }

    /// Lets a command find the programs of unpacked Debian packages, where they could not be installed.
    pub(crate) fn with_unpacked(&self, command: &mut Command) {
        let debs = self.interop.join("debs");
        if !debs.is_dir() {
            return;
        }
        let old = env::var_os("PATH").unwrap_or_default();
        let dirs = ["usr/bin", "usr/sbin", "bin", "sbin"].map(|dir| debs.join(dir));
        if let Ok(path) = env::join_paths(env::split_paths(&old).chain(dirs)) {
            command.env("PATH", path);
        }
        let libraries = debs.join(format!("usr/lib/{}-linux-gnu", env::consts::ARCH));
        command.env("LD_LIBRARY_PATH", libraries);
    }
}
