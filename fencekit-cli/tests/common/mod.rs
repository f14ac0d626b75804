//! What the tests of the agents share: running one as Pacemaker or a person does, and simulated devices to run
//! it against.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test file uses its part, and a test may panic"
)]

pub(crate) mod devices;

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use fencekit_sim::{Device, Running};

/// All agents.
pub(crate) const ALL: &[&str] = &[
    "fence_kasa",
    "fence_tasmota",
    "fence_esphome",
    "fence_http",
    "fence_ipmi",
    "fence_check",
];

/// Those of devices.
pub(crate) const AGENTS: &[&str] = &[
    "fence_kasa",
    "fence_tasmota",
    "fence_esphome",
    "fence_http",
    "fence_ipmi",
];

/// How options reach an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `key=value` lines.
    Stdin,
    /// `--key=value`.
    Long,
    /// `-k value` where there is a letter.
    Short,
}

pub(crate) const FORMS: [Form; 3] = [Form::Stdin, Form::Long, Form::Short];

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
}

impl Ran {
    fn of(output: &Output, took: Duration) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            took,
        }
    }

    /// Exit code and stdout, for a comparison that shows all of it when it fails.
    #[track_caller]
    pub(crate) fn is(&self, code: i32, out: &str) {
        assert_eq!((self.code, self.out.as_str()), (Some(code), out), "{self:?}");
    }

    /// A failure: exit 1, nothing on stdout, and one clear line that contains `says`.
    #[track_caller]
    pub(crate) fn fails(&self, says: &str) {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{self:?}");
        let errors: Vec<_> = self
            .err
            .lines()
            .filter(|line| line.starts_with("ERROR: "))
            .collect();
        let [line] = errors.as_slice() else {
            panic!("not one line of error: {self:?}");
        };
        assert!(line.starts_with("ERROR: Failed: "), "{self:?}");
        assert!(line.contains(says), "{self:?} does not say {says:?}");
    }
}

/// A command of the program under an agent's name, as through its link.
pub(crate) fn command(agent: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fencekit"));
    command
        .arg0(agent)
        .env_remove("PCMK_service")
        .env_remove("RUST_BACKTRACE");
    command
}

/// An agent and its options.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    agent: &'static str,
    options: Vec<(String, String)>,
    environment: Vec<(String, String)>,
}

pub(crate) fn call(agent: &'static str) -> Call {
    Call {
        agent,
        options: Vec::new(),
        environment: Vec::new(),
    }
}

impl Call {
    /// With one more option.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.options.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a device's address.
    pub(crate) fn at(self, address: SocketAddr) -> Self {
        self.with("ip", &address.ip().to_string())
            .with("ipport", &address.port().to_string())
    }

    /// As Pacemaker's fencer runs it.
    pub(crate) fn under_pacemaker(mut self) -> Self {
        self.environment
            .push(("PCMK_service".into(), "pacemaker-fenced".into()));
        self
    }

    /// With a variable in its environment.
    pub(crate) fn in_environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs it with `action`.
    pub(crate) fn run(&self, form: Form, action: &str) -> Ran {
        let call = self.clone().with("action", action);
        match form {
            Form::Stdin => {
                let lines: Vec<_> = call
                    .options
                    .iter()
                    .map(|(name, value)| format!("{name}={value}\n"))
                    .collect();
                call.feed(lines.concat().as_bytes())
            }
            Form::Long => call.with_arguments(&call.arguments(false)),
            Form::Short => call.with_arguments(&call.arguments(true)),
        }
    }

    /// Runs it over stdin.
    pub(crate) fn act(&self, action: &str) -> Ran {
        self.run(Form::Stdin, action)
    }

    /// Runs it with these bytes on stdin.
    pub(crate) fn feed(&self, bytes: &[u8]) -> Ran {
        run(self.command(), bytes)
    }

    /// Runs it with these arguments.
    pub(crate) fn with_arguments<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Ran {
        let mut command = self.command();
        command.args(arguments);
        run(command, b"")
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = command(self.agent);
        command.envs(self.environment.iter().cloned());
        command
    }

    /// The options as arguments, spelled as the agent's own metadata says.
    fn arguments(&self, short: bool) -> Vec<String> {
        let metadata = run(
            {
                let mut command = command(self.agent);
                command.args(["-o", "metadata"]);
                command
            },
            b"",
        );
        let mut arguments = Vec::new();
        for (name, value) in &self.options {
            let mixed = getopt(&metadata.out, name);
            let letter = mixed
                .strip_prefix('-')
                .filter(|rest| !rest.starts_with('-'))
                .and_then(|rest| rest.chars().next());
            let (long, takes_value) = long_of(&mixed);
            match letter.filter(|_| short) {
                Some(letter) => {
                    arguments.push(format!("-{letter}"));
                    if takes_value {
                        arguments.push(value.clone());
                    }
                }
                None if takes_value => arguments.push(format!("--{long}={value}")),
                None => arguments.push(format!("--{long}")),
            }
        }
        arguments
    }
}

/// The `getopt mixed` of a parameter.
fn getopt(metadata: &str, name: &str) -> String {
    let parameter = format!("<parameter name=\"{name}\"");
    let after = metadata
        .split_once(&parameter)
        .unwrap_or_else(|| panic!("the metadata has no {name}"))
        .1;
    let after = after.split_once("mixed=\"").unwrap().1;
    after.split_once('"').unwrap().0.to_owned()
}

fn long_of(mixed: &str) -> (&str, bool) {
    let long = mixed.split_once("--").unwrap().1;
    match long.split_once('=') {
        Some((name, _)) => (name, true),
        None => (long, false),
    }
}

/// Longest that any run may take; a hung one is killed and fails its test.
const LIMIT: Duration = Duration::from_secs(60);

fn run(mut command: Command, bytes: &[u8]) -> Ran {
    let began = Instant::now();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // An agent that has read enough closes its end.
    let _ = child.stdin.take().unwrap().write_all(bytes);
    let output = wait(child);
    Ran::of(&output, began.elapsed())
}

/// The output of a child that ends in time.
pub(crate) fn wait(child: Child) -> Output {
    let id = child.id();
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || send.send(child.wait_with_output()));
    match receive.recv_timeout(LIMIT) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            let _ = Command::new("kill").arg("-9").arg(id.to_string()).status();
            panic!("the agent was still running after {LIMIT:?}");
        }
    }
}

/// A simulated device that is served from a thread of its own, so that a test can wait for an agent.
pub(crate) struct Served {
    pub(crate) device: Device,
    pub(crate) address: SocketAddr,
    _stop: tokio::sync::oneshot::Sender<()>,
}

/// A free port on loopback.
pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Serves what `start` starts, until dropped.
pub(crate) fn serve<F, Fut>(start: F) -> Served
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = std::io::Result<Running>>,
{
    let (send, receive) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let running = start().await.unwrap();
            send.send((running.device.clone(), running.address)).unwrap();
            let _ = stopped.await;
        });
    });
    let (device, address) = receive.recv_timeout(Duration::from_secs(10)).unwrap();
    Served {
        device,
        address,
        _stop: stop,
    }
}
