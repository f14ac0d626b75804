//! Processes with a time limit, each in a group of its own and ended by its id.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// How a program ended and what it said.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether it outlived its limit and was killed for that.
    pub timed_out: bool,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// How long it ran.
    pub elapsed: Duration,
}

impl Output {
    /// Whether it ended by itself with exit code 0.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.code == Some(0) && !self.timed_out
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.timed_out {
            write!(f, "killed after {:?}", self.elapsed)?;
        } else {
            match (self.code, self.signal) {
                (Some(code), _) => write!(f, "exit {code} after {:?}", self.elapsed)?,
                (None, Some(signal)) => write!(f, "signal {signal} after {:?}", self.elapsed)?,
                (None, None) => write!(f, "ended after {:?}", self.elapsed)?,
            }
        }
        write!(
            f,
            "\nstdout: {}\nstderr: {}",
            self.stdout.trim_end(),
            self.stderr.trim_end()
        )
    }
}

/// Runs a program to its end with this on its stdin; past the limit it is killed together with its children.
///
/// # Panics
/// When it does not start.
#[must_use]
pub fn run(command: &mut Command, stdin: &str, limit: Duration) -> Output {
    let started = Instant::now();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut group = Group::spawn(command);
    let stdout = group.child.stdout.take().map(read_all);
    let stderr = group.child.stderr.take().map(read_all);
    if let Some(mut pipe) = group.child.stdin.take() {
        let text = stdin.to_owned();
        // A program that does not read its stdin must not hold this one up.
        thread::spawn(move || pipe.write_all(text.as_bytes()));
    }
    let timed_out = !group.exits_within(limit);
    let status = group.end();
    Output {
        code: status.code().filter(|_| !timed_out),
        signal: status.signal(),
        timed_out,
        stdout: collect(stdout),
        stderr: collect(stderr),
        elapsed: started.elapsed(),
    }
}

/// A program that runs beside the test: a device or a daemon. Dropping it ends it together with its children.
pub struct Peer {
    name: String,
    group: Mutex<Group>,
    said: Arc<Said>,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({})", self.name)
    }
}

impl Peer {
    /// Starts it. `name` is for messages.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(name: &str, command: &mut Command) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut group = Group::spawn(command);
        let said = Arc::new(Said::default());
        if let Some(pipe) = group.child.stdout.take() {
            said.listen(pipe);
        }
        if let Some(pipe) = group.child.stderr.take() {
            said.listen(pipe);
        }
        Self {
            name: name.to_owned(),
            group: Mutex::new(group),
            said,
        }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.group().child.id()
    }

    /// Writes a line to its stdin.
    ///
    /// # Panics
    /// When it has closed its stdin.
    pub fn send(&self, line: &str) {
        let mut group = self.group();
        let Some(pipe) = group.child.stdin.as_mut() else {
            panic!("{}: its stdin is closed", self.name);
        };
        writeln!(pipe, "{line}")
            .unwrap_or_else(|error| panic!("{}: its stdin: {error}\n{}", self.name, self.said()));
    }

    /// The first line of its output, from the start, that `wanted` takes; waits for it when it has not come yet.
    ///
    /// # Panics
    /// When the program ends or the limit passes without such a line; with all that it said.
    #[must_use]
    pub fn wait_for(&self, limit: Duration, wanted: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + limit;
        let mut lines = self.said.lock();
        loop {
            // Counted before the look: a line that comes with the end of the output is not missed.
            let over = lines.open == 0;
            if let Some(line) = lines.all.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            let said = || lines.all.join("\n");
            assert!(
                !over,
                "{} ended without the line waited for:\n{}",
                self.name,
                said()
            );
            assert!(
                !left.is_zero(),
                "{} did not say it within {limit:?}:\n{}",
                self.name,
                said()
            );
            lines = self
                .said
                .more
                .wait_timeout(lines, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Everything that it has said so far, stdout and stderr as they came.
    #[must_use]
    pub fn said(&self) -> String {
        self.said.lock().all.join("\n")
    }

    /// Whether it still runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        !self.group().exits_within(Duration::ZERO)
    }

    fn group(&self) -> MutexGuard<'_, Group> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.group().end();
    }
}

/// A child that leads a process group of its own.
struct Group {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Group {
    fn spawn(command: &mut Command) -> Self {
        let child = command.process_group(0).spawn().unwrap_or_else(|error| {
            panic!(
                "cannot start {}: {error}",
                command.get_program().to_string_lossy()
            )
        });
        Self { child, ended: None }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for its end without reaping it: while it is not reaped, its group's number is nobody else's.
    fn exits_within(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let mut pause = Duration::from_millis(1);
        loop {
            if self.ended.is_some() || !matches!(waitid(WaitId::Pid(self.pid()), options), Ok(None)) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    fn end(&mut self) -> ExitStatus {
        if let Some(status) = self.ended {
            return status;
        }
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let status = self.child.wait().expect("a child can be waited for");
        self.ended = Some(status);
        status
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

#[derive(Default)]
struct Said {
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Default)]
struct Lines {
    all: Vec<String>,
    /// Pipes that are still open.
    open: usize,
}

impl Said {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(self: &Arc<Self>, pipe: impl Read + Send + 'static) {
        let said = Arc::clone(self);
        said.lock().open += 1;
        thread::spawn(move || {
            let mut reader = BufReader::new(pipe);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                said.lock().all.push(text);
                said.more.notify_all();
            }
            said.lock().open -= 1;
            said.more.notify_all();
        });
    }
}

fn read_all(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// A process that left the group may hold the pipe open for ever: what it says is of no interest.
fn collect(pipe: Option<Receiver<String>>) -> String {
    pipe.and_then(|receiver| receiver.recv_timeout(Duration::from_secs(2)).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn says_how_a_program_ended_and_what_it_said() {
        let out = run(
            &mut sh("cat; echo bad >&2; exit 3"),
            "hello",
            Duration::from_secs(5),
        );
        assert_eq!(
            (out.code, out.stdout.as_str(), out.stderr.as_str()),
            (Some(3), "hello", "bad\n")
        );
        assert!(!out.ok());
    }

    #[test]
    fn kills_a_program_and_its_children_past_the_limit() {
        let out = run(
            &mut sh("sleep 60 & echo $!; wait"),
            "",
            Duration::from_millis(300),
        );
        assert!(out.timed_out && out.code.is_none(), "{out}");
        assert!(out.elapsed < Duration::from_secs(2), "{out}");
        assert!(gone(out.stdout.trim()), "{out}");
    }

    #[test]
    fn a_child_left_behind_holds_nothing_up() {
        let out = run(&mut sh("sleep 60 & echo $!"), "", Duration::from_secs(30));
        assert!(out.ok() && out.elapsed < Duration::from_secs(2), "{out}");
        assert!(gone(out.stdout.trim()), "{out}");
    }

    #[test]
    fn a_peer_is_heard_spoken_to_and_ended() {
        let peer = Peer::start(
            "echo",
            &mut sh("echo pid $$; while read line; do echo \"got $line\"; done"),
        );
        let pid = peer.wait_for(Duration::from_secs(5), |line| line.starts_with("pid "));
        peer.send("one");
        assert_eq!(
            peer.wait_for(Duration::from_secs(5), |line| line.starts_with("got")),
            "got one"
        );
        assert!(peer.runs());
        drop(peer);
        assert!(gone(pid.trim_start_matches("pid ")));
    }

    #[test]
    #[should_panic(expected = "ended without the line waited for:\nonly this")]
    fn a_peer_that_ends_early_tells_what_it_said() {
        let peer = Peer::start("short", &mut sh("echo only this"));
        let _ = peer.wait_for(Duration::from_secs(5), |line| line == "ready");
    }

    /// Whether a process is dead: no entry, or a zombie that waits for somebody to take note.
    fn gone(pid: &str) -> bool {
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
                Err(_) => return true,
                Ok(stat) if stat.contains(") Z ") => return true,
                Ok(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
        false
    }
}
