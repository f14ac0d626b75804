//! Namespaces of its own for each cluster: whatever happens to this program, the kernel ends what is in there.

use std::process::{Command, Stdio};

use fencekit_interop::{namespaces, tool};

use crate::Checked;

/// Programs without which there is no cluster.
const NEEDED: &[&str] = &[
    "corosync",
    "pacemakerd",
    "pcs",
    "crm_mon",
    "crm_resource",
    "ip",
    "nsenter",
    "setpriv",
    "unshare",
];

/// What is missing to bring a cluster up.
pub(crate) fn missing() -> Option<String> {
    let absent: Vec<_> = NEEDED
        .iter()
        .filter(|name| tool(name).is_none())
        .copied()
        .collect();
    if !absent.is_empty() {
        return Some(format!(
            "{} missing; `cargo xtask setup` installs what is needed",
            absent.join(", ")
        ));
    }
    namespaces()
        .is_none()
        .then(|| "a cluster needs root, and a kernel that lets root make namespaces".to_owned())
}

/// This program with another task, as the first process of new namespaces (network, mounts, processes, host name). It
/// ends when the caller does, and everything inside ends with it.
pub(crate) fn command(task: &str, arguments: &[&str]) -> Checked<Command> {
    if let Some(missing) = missing() {
        return Err(missing);
    }
    let program = std::env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "unshare"])
        .args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--uts",
            "--ipc",
            "--mount-proc",
            "--kill-child",
        ])
        .arg(program)
        .args(["inside", task])
        .args(arguments);
    Ok(command)
}

/// Runs a task in there, with this terminal, to its end.
pub(crate) fn enter(task: &str, arguments: &[&str]) -> Checked {
    let status = command(task, arguments)?
        .stdin(Stdio::inherit())
        .status()
        .map_err(|error| format!("setpriv: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{task}: {status}")),
    }
}
