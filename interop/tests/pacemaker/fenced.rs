//! `pacemaker-fenced` alone, without corosync and without a CIB, in the namespaces of the test.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fencekit_interop::{Output, Peer, agent, agents_dir, run, tool};

/// What `stonith_admin` waits for an operation, and a little more for itself.
const OPERATION: Duration = Duration::from_secs(30);
const LIMIT: Duration = Duration::from_secs(40);

/// What makes its place; the Python package's tests use the same.
const PREPARE: &str = include_str!("prepare.sh");

/// The fencer, to be told what to do as an administrator tells it.
pub(crate) struct Fenced {
    daemon: Peer,
}

impl Fenced {
    /// Starts it with our agents in `/usr/sbin`. Only inside namespaces of the test's own.
    pub(crate) fn start(agents: &[&str]) -> Self {
        for name in agents {
            let _ = agent(name);
        }
        let out = run(
            Command::new("sh")
                .args(["-c", PREPARE, "prepare"])
                .arg(agents_dir()),
            "",
            Duration::from_secs(10),
        );
        assert!(out.ok(), "the fencer's place: {out}");
        let daemon = Peer::start(
            "pacemaker-fenced",
            Command::new(tool("pacemaker-fenced").unwrap())
                .args([
                    "--stand-alone",
                    "--logfile",
                    "/var/log/pacemaker/fenced.log",
                    "-V",
                ])
                .env("PCMK_logfacility", "none"),
        );
        let fenced = Self { daemon };
        let until = Instant::now() + Duration::from_secs(20);
        while !fenced.admin(&["--list-registered"]).ok() {
            assert!(
                fenced.daemon.runs() && Instant::now() < until,
                "the fencer does not answer: {}",
                fenced.log()
            );
            thread::sleep(Duration::from_millis(50));
        }
        fenced
    }

    /// Registers a device as the cluster would. `options` are `name=value`.
    pub(crate) fn register(&self, device: &str, agent: &str, options: &[&str]) {
        let mut args = vec!["--register", device, "--agent", agent];
        options
            .iter()
            .for_each(|option| args.extend(["--option", option]));
        let out = self.admin(&args);
        assert!(out.ok(), "{device}: {out}\n{}", self.log());
    }

    /// `stonith_admin` with these arguments.
    pub(crate) fn admin(&self, args: &[&str]) -> Output {
        run(Command::new(tool("stonith_admin").unwrap()).args(args), "", LIMIT)
    }

    /// Fences, unfences or reboots a node (`--fence`, `--unfence`, `--reboot`) and says how it went.
    pub(crate) fn ask(&self, what: &str, node: &str) -> Output {
        let seconds = OPERATION.as_secs().to_string();
        self.admin(&[what, node, "--timeout", &seconds])
    }

    /// The same, which must succeed.
    pub(crate) fn must(&self, what: &str, node: &str) {
        let out = self.ask(what, node);
        assert!(out.ok(), "{what} {node}: {out}\n{}", self.log());
    }

    /// The same, which must fail by the device's fault, and not because nothing could be asked.
    pub(crate) fn must_fail(&self, what: &str, node: &str) -> Output {
        let out = self.ask(what, node);
        assert!(
            !out.ok() && !out.timed_out,
            "{what} {node}: {out}\n{}",
            self.log()
        );
        assert!(
            !out.stderr.contains("No such device") && !out.stdout.contains("No such device"),
            "{what} {node}: {out}\n{}",
            self.log()
        );
        out
    }

    /// The fencer's own log.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string("/var/log/pacemaker/fenced.log").unwrap_or_default();
        format!("{}\n{log}", self.daemon.said())
    }
}

/// The command lines of agents that run: in a namespace of processes they can only be ours.
pub(crate) fn running_agents() -> Vec<String> {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .filter_map(|line| {
            let program = line.split(|byte| *byte == 0).next()?;
            let program = String::from_utf8_lossy(program).into_owned();
            let name = Path::new(&program).file_name()?.to_str()?;
            name.starts_with("fence_").then_some(program.clone())
        })
        .collect()
}
