//! The same inputs through an agent of fence-agents and through ours: exit code, stdout and what becomes of the plug
//! must agree.
//!
//! `fence_dummy` is theirs: it keeps its plug in a file and reads its options with the code that all agents of
//! fence-agents share.

// The functions that the tests share are tests too.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::fmt::Debug;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fencekit_interop::{Output, agent, required, run, tool};
use fencekit_sim::{Device, Spec, kasa};

const LIMIT: Duration = Duration::from_secs(20);
const ON: bool = true;
const OFF: bool = false;

/// State before, and the lines on stdin.
const STDIN: &[(bool, &str)] = &[
    (ON, "action=status"),
    (OFF, "action=status"),
    (ON, "action=on"),
    (OFF, "action=on"),
    (ON, "action=off"),
    (OFF, "action=off"),
    (ON, "action=reboot"),
    (OFF, "action=reboot"),
    (ON, "action=monitor"),
    (OFF, "action=monitor"),
    (ON, "action=validate-all"),
    // The default action is reboot.
    (ON, ""),
    (OFF, "\n"),
    // Case of the action, quotes, comments, blank lines, blanks around a line.
    (ON, "action=OFF"),
    (OFF, "action=On"),
    (ON, "action=\"off\""),
    (ON, "# action=status\n\naction=off\n\n# action=on"),
    (ON, "  action=off  "),
    (ON, "action=off\r"),
    // The last of two wins.
    (ON, "action=on\naction=off"),
    (ON, "action=off\naction=status"),
    // Unknown options are passed over.
    (ON, "action=off\nbogus=1"),
    (ON, "bogus=1\naction=status\nnodename=storage-b"),
    (OFF, "action=status\nport=storage-b"),
    (ON, "action=off\nnodename=storage-b\nport=storage-b"),
    // An action's name has to be right.
    (ON, "action=bogus"),
    (ON, "action="),
    (ON, "action"),
    (ON, "action=off;on"),
    // Timing.
    (ON, "action=off\ndelay=1"),
    (ON, "action=status\ndelay=abc"),
    (ON, "action=off\ndelay=-1s"),
    (ON, "action=off\npower_timeout=abc"),
    (ON, "action=off\npower_wait=1"),
    (OFF, "action=on\nretry_on=2"),
    (ON, "action=off\nstonith_status_sleep=1"),
    (ON, "action=off\nstonith-status-sleep=1"),
    (
        ON,
        "action=off\nlogin_timeout=5\nshell_timeout=3\npower_timeout=20\ndisable_timeout=true",
    ),
    // How much is said elsewhere changes nothing on stdout.
    (ON, "action=off\nverbose=1"),
    (ON, "action=off\nquiet=1"),
    (OFF, "action=status\nquiet=yes"),
];

/// State before, and the arguments.
const ARGUMENTS: &[(bool, &[&str])] = &[
    (ON, &["-o", "status"]),
    (OFF, &["-o", "status"]),
    (ON, &["-ostatus"]),
    (ON, &["--action=off"]),
    (ON, &["--action", "off"]),
    (OFF, &["--action", "on"]),
    (ON, &["-o", "reboot"]),
    (OFF, &["-o", "monitor"]),
    (ON, &["-o", "validate-all"]),
    (ON, &["-o", "OFF"]),
    (ON, &["-o", "status", "-o", "off"]),
    (ON, &["--act=off"]),
    (ON, &["-q", "-o", "off"]),
    (ON, &["-qo", "off"]),
    (OFF, &["-v", "-v", "-o", "status"]),
    (ON, &["-o", "off", "--power-timeout=20", "--delay", "0"]),
    (ON, &["-o", "bogus"]),
    (ON, &["-o"]),
    (ON, &["--bogus"]),
    (ON, &["-o", "off", "--delay=abc"]),
    (ON, &["-o", "off", "--"]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_on_stdin_mean_what_they_mean_to_fence_agents() {
    let dummy = required!(tool("fence_dummy"));
    compare(&dummy, STDIN, |pair, before, lines| {
        let theirs = format!("status_file={}\n{lines}\n", pair.file());
        let ours = format!("ip=127.0.0.1\nipport={}\n{lines}\n", pair.address.port());
        (pair.theirs(before, &[], &theirs), pair.ours(before, &[], &ours))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_mean_what_they_mean_to_fence_agents() {
    let dummy = required!(tool("fence_dummy"));
    compare(&dummy, ARGUMENTS, |pair, before, arguments| {
        let file = pair.file();
        let port = pair.address.port().to_string();
        let theirs = [&["--status-file", file.as_str()], *arguments].concat();
        let ours = [&["-a", "127.0.0.1", "-u", port.as_str()], *arguments].concat();
        (pair.theirs(before, &theirs, ""), pair.ours(before, &ours, ""))
    })
    .await;
}

/// Runs every case through both agents, several cases at a time, each on plugs of its own.
async fn compare<T: Debug + Sync>(
    dummy: &Path,
    cases: &[(bool, T)],
    case: impl Fn(&Pair, bool, &T) -> (Did, Did) + Sync,
) {
    let mut pairs = Vec::new();
    for _ in 0..8 {
        pairs.push(Pair::start(dummy).await);
    }
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let succeeded = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for pair in &pairs {
            scope.spawn(|| {
                while let Some((before, input)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (theirs, ours) = case(pair, *before, input);
                    succeeded.fetch_add(usize::from(theirs.out.ok()), Ordering::Relaxed);
                    let input = format!("{input:?} on a plug that is {}", word(*before));
                    wrong.lock().unwrap().extend(difference(&input, &theirs, &ours));
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Two agents that both fail at everything agree too.
    assert!(
        succeeded.into_inner() * 2 > cases.len(),
        "their agent hardly ever succeeds"
    );
}

/// What an agent did: how it ended, what it said, and the plug's state afterwards.
struct Did {
    out: Output,
    after: bool,
}

/// Their agent with its file, ours with its simulated plug.
struct Pair {
    dummy: PathBuf,
    dir: tempfile::TempDir,
    ours: PathBuf,
    address: SocketAddr,
    device: Device,
    _running: fencekit_sim::Running,
}

impl Pair {
    async fn start(dummy: &Path) -> Self {
        let device = Device::new(Spec::plug("storage-b"));
        let running = kasa::serve_xor(device.clone(), (Ipv4Addr::LOCALHOST, 0).into())
            .await
            .unwrap();
        Self {
            dummy: dummy.to_owned(),
            dir: tempfile::tempdir().unwrap(),
            ours: agent("fence_kasa"),
            address: running.address,
            device,
            _running: running,
        }
    }

    fn file(&self) -> String {
        self.dir.path().join("plug").display().to_string()
    }

    fn theirs(&self, before: bool, arguments: &[&str], stdin: &str) -> Did {
        fs::write(self.file(), word(before)).unwrap();
        let out = run_agent(&self.dummy, arguments, stdin);
        let after = fs::read_to_string(self.file()).unwrap().trim() == "on";
        Did { out, after }
    }

    fn ours(&self, before: bool, arguments: &[&str], stdin: &str) -> Did {
        self.device.set(0, before, true);
        let out = run_agent(&self.ours, arguments, stdin);
        let after = self.device.relay(0).unwrap();
        Did { out, after }
    }
}

fn run_agent(program: &Path, arguments: &[&str], stdin: &str) -> Output {
    run(
        Command::new(program).args(arguments).env_remove("PCMK_service"),
        stdin,
        LIMIT,
    )
}

fn difference(input: &str, theirs: &Did, ours: &Did) -> Option<String> {
    let says = |did: &Did| (did.out.code, did.out.stdout.trim().to_owned(), word(did.after));
    let (theirs_says, ours_says) = (says(theirs), says(ours));
    (theirs_says != ours_says).then(|| {
        format!(
            "{input}:\n  theirs {theirs_says:?} {}\n  ours   {ours_says:?} {}",
            theirs.out.stderr.trim(),
            ours.out.stderr.trim()
        )
    })
}

fn word(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}
