//! One node: namespaces whose first process starts corosync and Pacemaker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fencekit_interop::Peer;
use rustix::process::{Pid, Signal, kill_process};

use crate::Checked;
use crate::rack::disk;

/// A node and its processes, while it has any.
pub(crate) struct Node {
    name: &'static str,
    folder: PathBuf,
    /// Whether it has power; a node that has may still have ended by itself.
    pub(crate) powered: bool,
    /// How often it was started.
    pub(crate) boots: u32,
    running: Option<Running>,
}

struct Running {
    /// The program that holds the namespaces; it ends when process 1 has, and that is when all others have.
    holder: Peer,
    first: Pid,
}

impl Node {
    /// A node without power. `folder` is the lab's.
    pub(crate) fn new(name: &'static str, folder: &Path) -> Self {
        Self {
            name,
            folder: folder.to_owned(),
            powered: false,
            boots: 0,
            running: None,
        }
    }

    /// Whether its processes run.
    pub(crate) fn runs(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.holder.runs())
    }

    /// What its first process has said, for messages.
    pub(crate) fn said(&self) -> String {
        let said = self.running.as_ref().map(|running| running.holder.said());
        format!("{}: {}", self.name, said.unwrap_or_else(|| "off".to_owned()))
    }

    /// Starts it. The network namespace is there already; all others are new.
    pub(crate) fn boot(&mut self) -> Checked {
        let disk = disk(&self.folder, self.name);
        fs::create_dir_all(&disk).map_err(|error| format!("{}: {error}", disk.display()))?;
        let shared = self.folder.join("shared");
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.name))
            // A loaded machine must not cost a node its membership.
            .args(["nice", "-n", "-10", "unshare"])
            .args([
                "--mount",
                "--pid",
                "--fork",
                "--uts",
                "--ipc",
                "--mount-proc",
                "--kill-child",
            ])
            .arg(shared.join("node.sh"))
            .arg(self.name)
            .arg(&disk)
            .arg(&shared);
        let holder = Peer::start(self.name, &mut command);
        let first = first_process(&holder, self.name)?;
        self.running = Some(Running { holder, first });
        self.boots += 1;
        Ok(())
    }

    /// Ends every process of it, as the loss of power does, and waits until there are none.
    pub(crate) fn kill(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        let _ = kill_process(running.first, Signal::KILL);
        let until = Instant::now() + Duration::from_secs(10);
        while running.holder.runs() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// A command inside it.
    pub(crate) fn inside(&self, program: &str) -> Checked<Command> {
        let running = self
            .running
            .as_ref()
            .ok_or_else(|| format!("{} is off", self.name))?;
        let first = running.first.as_raw_nonzero().to_string();
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &first])
            .args(["--mount", "--pid", "--uts", "--ipc", "--net", "--", program]);
        Ok(command)
    }
}

/// The child of the holder, which is process 1 inside.
fn first_process(holder: &Peer, name: &str) -> Checked<Pid> {
    let until = Instant::now() + Duration::from_secs(20);
    while holder.runs() && Instant::now() < until {
        if let Some(child) = child_of(holder.id()) {
            return Ok(child);
        }
        thread::sleep(Duration::from_millis(5));
    }
    Err(format!("{name} does not start: {}", holder.said()))
}

fn child_of(parent: u32) -> Option<Pid> {
    let processes = fs::read_dir("/proc").ok()?;
    processes.flatten().find_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name before it may hold anything, brackets too.
        let (_, fields) = stat.rsplit_once(')')?;
        let of: u32 = fields.split_ascii_whitespace().nth(1)?.parse().ok()?;
        (of == parent).then(|| Pid::from_raw(id))?
    })
}
