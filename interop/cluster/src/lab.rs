//! The cluster as a whole: brought up, configured, watched and put in order again.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fencekit::cluster::Cluster;
use fencekit_interop::{Output, fencekit_bin, run};

use crate::Checked;
use crate::rack::{NETWORKS, NODES, Rack, disk, log_from, succeeded};
use crate::status::Status;
use crate::storage::{self, Storage};

/// What a command inside a node may take on a loaded machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);
/// What the cluster may take for a step of its own. It is waited for, not slept through.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

const NODE_SCRIPT: &str = include_str!("../files/node.sh");
const WRITER_AGENT: &str = include_str!("../files/StorageWriter");
const CIB: &str = include_str!("../files/cib.xml");

/// A running cluster. Its namespaces, and with them all its processes and mounts, end with this process.
pub(crate) struct Lab {
    /// Where it keeps everything, below the target directory.
    pub(crate) folder: PathBuf,
    /// The networks, devices and nodes.
    pub(crate) rack: Rack,
    /// The cluster file that the cluster is configured by.
    pub(crate) cluster_file: String,
    /// The shared storage.
    pub(crate) storage: Storage,
    /// The logs' lengths when the scenario began.
    marks: BTreeMap<&'static str, u64>,
}

impl Lab {
    /// Brings the cluster up, not fenced yet: three members, and a service that does not start for want of fencing.
    pub(crate) fn up(folder: &Path, cluster_file: &str) -> Checked<Self> {
        let shared = folder.join("shared");
        prepare(folder, &shared).map_err(|error| format!("{}: {error}", folder.display()))?;
        let agents = run(
            Command::new(fencekit_bin())
                .args(["install-agents", "--dir"])
                .arg(shared.join("agents")),
            "",
            LIMIT,
        );
        succeeded(&agents, "fencekit install-agents")?;
        let cluster = Cluster::from_text(cluster_file, "cluster.yml").map_err(|error| error.to_string())?;
        let mut lab = Self {
            folder: folder.to_owned(),
            rack: Rack::new(&cluster, folder)?,
            cluster_file: cluster_file.to_owned(),
            storage: Storage::new(folder.join("storage")),
            marks: BTreeMap::new(),
        };
        let members = lab.wait("all nodes are members", PATIENCE, |lab| {
            lab.status().is_some_and(|status| status.has(&NODES))
        });
        members.map_err(|problem| format!("{problem}\n{}", lab.rack.said()))?;
        Ok(lab)
    }

    /// What fences the cluster: the script that `fencekit generate pcs` makes of this file, run on this node.
    pub(crate) fn configure(&self, node: &str, cluster_file: &str, arguments: &[&str]) -> Checked<Output> {
        let file = self.folder.join("cluster.yml");
        let script = self.folder.join("configure-stonith.sh");
        private(&file, cluster_file).map_err(|error| format!("{}: {error}", file.display()))?;
        let generated = run(
            Command::new(fencekit_bin())
                .args(["generate", "pcs", "--config"])
                .arg(&file)
                .arg("--output")
                .arg(&script),
            "",
            LIMIT,
        );
        succeeded(&generated, "fencekit generate pcs")?;
        let mut command = self.rack.inside(node, "bash")?;
        command.arg(&script).args(arguments);
        Ok(run(&mut command, "", LIMIT))
    }

    /// A program's end and output, inside a node.
    pub(crate) fn ask(&self, node: &str, program: &str, arguments: &[&str]) -> Checked<Output> {
        let mut command = self.rack.inside(node, program)?;
        Ok(run(command.args(arguments), "", LIMIT))
    }

    /// The same, which must succeed.
    pub(crate) fn must(&self, node: &str, program: &str, arguments: &[&str]) -> Checked<String> {
        let out = self.ask(node, program, arguments)?;
        succeeded(&out, &format!("{node}: {program} {}", arguments.join(" ")))?;
        Ok(out.stdout)
    }

    /// The cluster as the quorum node sees it.
    pub(crate) fn status(&self) -> Option<Status> {
        let out = self.ask("quorum", "crm_mon", &["--one-shot", "--output-as=xml"]);
        out.ok()
            .filter(Output::ok)
            .and_then(|out| Status::read(&out.stdout))
    }

    /// Waits for it, looking again and again.
    pub(crate) fn wait(&mut self, what: &str, limit: Duration, is: impl Fn(&mut Self) -> bool) -> Checked {
        let until = Instant::now() + limit;
        loop {
            if is(self) {
                return self.rack.problems();
            }
            if Instant::now() >= until {
                return Err(format!("did not come about within {limit:?}: {what}"));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until all three are members, every resource runs, and nothing is under way.
    pub(crate) fn settled(&mut self) -> Checked {
        self.wait("all nodes are members and every resource runs", PATIENCE, |lab| {
            lab.status()
                .is_some_and(|status| status.has(&NODES) && status.all_run())
        })?;
        self.must("quorum", "crm_resource", &["--wait", "--timeout=60s"])?;
        Ok(())
    }

    /// Puts everything in order for the next scenario.
    pub(crate) fn reset(&mut self) -> Checked {
        self.rack.reset()?;
        self.wait("all nodes are members", PATIENCE, |lab| {
            // An off that waited behind a hanging monitor may come when the fencing is long over.
            lab.rack.outlets_on();
            lab.status().is_some_and(|status| status.has(&NODES))
        })?;
        self.must("quorum", "crm_resource", &["--cleanup"])?;
        self.settled()
    }

    /// Moves the service there, as an administrator does.
    pub(crate) fn move_service(&mut self, node: &str) -> Checked {
        if self.storage.owner().as_deref() == Some(node) {
            return Ok(());
        }
        self.must(
            "quorum",
            "crm_resource",
            &["--move", "--resource=service", "--node", node],
        )?;
        let target = node.to_owned();
        self.wait("the service was moved", PATIENCE, move |lab| {
            lab.storage.owner().as_ref() == Some(&target)
        })?;
        self.must("quorum", "crm_resource", &["--clear", "--resource=service"])?;
        self.settled()
    }

    /// Marks the beginning of a scenario in the logs. Returns the monotonic time in milliseconds.
    pub(crate) fn mark(&mut self) -> u64 {
        for node in NODES {
            let path = disk(&self.folder, node).join("log/pacemaker/pacemaker.log");
            let length = fs::metadata(path).map_or(0, |metadata| metadata.len());
            self.marks.insert(node, length);
        }
        storage::now()
    }

    /// What a node's Pacemaker has logged since the mark.
    pub(crate) fn log(&self, node: &str) -> String {
        log_from(
            &self.folder,
            node,
            self.marks.get(node).copied().unwrap_or_default(),
        )
    }

    /// Waits until a node's Pacemaker has logged a line with all of these words since the mark.
    pub(crate) fn logged(&mut self, node: &str, words: &[&str]) -> Checked {
        self.wait(&format!("{node} logs {words:?}"), PATIENCE, |lab| {
            let log = lab.log(node);
            log.lines()
                .any(|line| words.iter().all(|word| line.contains(word)))
        })
    }

    /// The lines of the logs since the mark that tell most about fencing.
    pub(crate) fn useful_lines(&self) -> Vec<String> {
        let mut found = Vec::new();
        for node in NODES {
            let log = self.log(node);
            let told = log.lines().filter(|line| {
                let of_fencing = ["targeting ", "terminated", "stderr", "Cannot fence", "giving up"];
                of_fencing.iter().any(|word| line.contains(word))
            });
            let told: Vec<_> = told.map(|line| format!("{node}: {line}")).collect();
            let first = told.len().saturating_sub(25);
            found.extend(told.into_iter().skip(first));
        }
        found
    }
}

/// An empty folder with what the nodes share. The last run's traces go.
fn prepare(folder: &Path, shared: &Path) -> std::io::Result<()> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(shared.join("agents"))?;
    fs::create_dir_all(shared.join("ocf/fencekit"))?;
    executable(&shared.join("node.sh"), NODE_SCRIPT)?;
    executable(&shared.join("ocf/fencekit/StorageWriter"), WRITER_AGENT)?;
    let program = std::env::current_exe()?;
    let cib = CIB
        .replace("@PROGRAM@", &program.display().to_string())
        .replace("@FILE@", &folder.join("storage").display().to_string());
    fs::write(shared.join("cib.xml"), cib)?;
    fs::write(shared.join("corosync.conf"), corosync_conf())
}

/// Two links, as a careful administrator has them. Each `{` must end its line.
fn corosync_conf() -> String {
    let mut text = String::from(
        "totem {\n version: 2\n cluster_name: lab\n transport: knet\n crypto_cipher: none\n crypto_hash: none\n \
         token: 2000\n}\nquorum {\n provider: corosync_votequorum\n}\nsystem {\n sched_rr: no\n \
         move_to_root_cgroup: no\n}\nlogging {\n to_logfile: yes\n logfile: /var/log/corosync/corosync.log\n \
         to_syslog: no\n timestamp: hires\n}\nnodelist {\n",
    );
    for (number, node) in (1..).zip(NODES) {
        text.push_str(&format!(" node {{\n  nodeid: {number}\n  name: {node}\n"));
        for (ring, (_, prefix)) in NETWORKS.iter().take(2).enumerate() {
            text.push_str(&format!("  ring{ring}_addr: {prefix}.{number}\n"));
        }
        text.push_str(" }\n");
    }
    text.push_str("}\n");
    text
}

fn executable(path: &Path, text: &str) -> std::io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// A file with passwords.
fn private(path: &Path, text: &str) -> std::io::Result<()> {
    fs::write(path, "")?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    fs::write(path, text)
}
