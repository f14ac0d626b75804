//! Runs a command within a time limit, shows what it says and keeps it for the count.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::proc_tree::kill_tree;

/// Where the output goes besides being kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// To the terminal as it comes.
    Live,
    /// To the terminal only when the command fails.
    OnFailure,
    /// Nowhere: the caller shows it.
    Never,
}

/// What a command said, stdout and stderr as they came.
pub(crate) struct Ended {
    /// Its output.
    pub(crate) text: String,
    /// Why it failed: exit code, signal, time limit or the user's wish. None after success.
    pub(crate) failure: Option<String>,
}

impl Ended {
    /// The output of a success, or what went wrong.
    pub(crate) fn success(self) -> Result<String, String> {
        match self.failure {
            None => Ok(self.text),
            Some(failure) => Err(failure),
        }
    }
}

/// Runs it until it ends, `until` passes or the user stops the task; then it is ended with everything below it.
pub(crate) fn run(context: &Context, command: &mut Command, until: Instant, show: Show) -> Ended {
    let name = command.get_program().to_string_lossy().into_owned();
    let name = name.rsplit('/').next().unwrap_or_default().to_owned();
    let spawned = command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            return Ended {
                text: String::new(),
                failure: Some(format!("{name} does not start: {error}")),
            };
        }
    };
    let lines = read_lines(child.stdout.take(), child.stderr.take());
    let mut text = String::new();
    let mut killed = None;
    let status = loop {
        take_lines(&lines, &mut text, show);
        match child.try_wait() {
            Ok(None) => {}
            Ok(Some(status)) => break Ok(status),
            Err(error) => break Err(error),
        }
        if killed.is_none() && context.stopped() {
            killed = Some("stopped".to_owned());
        } else if killed.is_none() && Instant::now() >= until {
            killed = Some(format!("{name} ran past its time limit and was ended"));
        }
        if killed.is_some() {
            kill_tree(child.id());
        }
    };
    // What was written shortly before the end; a process left behind may hold the pipe open for longer.
    let grace = Instant::now() + Duration::from_millis(500);
    while let Ok(line) = lines.recv_timeout(grace.saturating_duration_since(Instant::now())) {
        keep(&line, &mut text, show);
    }
    let failure = killed.or_else(|| match status {
        Ok(status) if status.success() => None,
        Ok(status) => Some(match (status.code(), status.signal()) {
            (Some(code), _) => format!("{name} ended with exit code {code}"),
            (None, signal) => format!("{name} was ended by signal {}", signal.unwrap_or_default()),
        }),
        Err(error) => Some(format!("{name}: {error}")),
    });
    if failure.is_some() && show == Show::OnFailure {
        print_now(&text);
    }
    Ended { text, failure }
}

fn read_lines(
    stdout: Option<impl Read + Send + 'static>,
    stderr: Option<impl Read + Send + 'static>,
) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    let read = |pipe: Box<dyn Read + Send>, sender: mpsc::Sender<String>| {
        thread::spawn(move || {
            let mut reader = BufReader::new(pipe);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
                line.clear();
            }
        });
    };
    if let Some(pipe) = stdout {
        read(Box::new(pipe), sender.clone());
    }
    if let Some(pipe) = stderr {
        read(Box::new(pipe), sender);
    }
    receiver
}

/// Waits a moment for output and takes all there is.
fn take_lines(lines: &Receiver<String>, text: &mut String, show: Show) {
    match lines.recv_timeout(Duration::from_millis(20)) {
        Ok(line) => keep(&line, text, show),
        // Closed pipes answer at once: do not spin until the process has ended.
        Err(mpsc::RecvTimeoutError::Disconnected) => thread::sleep(Duration::from_millis(20)),
        Err(mpsc::RecvTimeoutError::Timeout) => {}
    }
    while let Ok(line) = lines.try_recv() {
        keep(&line, text, show);
    }
}

fn keep(line: &str, text: &mut String, show: Show) {
    if show == Show::Live {
        print_now(line);
    }
    text.push_str(line);
}

fn print_now(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Ended {
        let context = Context::new().unwrap();
        let mut command = Command::new("sh");
        run(
            &context,
            command.args(["-c", script]),
            Instant::now() + limit,
            Show::OnFailure,
        )
    }

    #[test]
    fn keeps_both_streams_and_tells_the_exit_code() {
        let ended = sh("echo one; echo two >&2", Duration::from_secs(5));
        assert!(ended.text.contains("one\n") && ended.text.contains("two\n"));
        assert_eq!(ended.failure, None);
        assert_eq!(
            sh("exit 4", Duration::from_secs(5)).failure.as_deref(),
            Some("sh ended with exit code 4")
        );
    }

    #[test]
    fn ends_what_runs_past_its_limit() {
        let started = Instant::now();
        let ended = sh("echo begun; sleep 60 & sleep 60", Duration::from_millis(200));
        assert!(ended.failure.unwrap().contains("time limit"));
        assert!(ended.text.starts_with("begun\n"));
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_program_that_is_not_there_is_a_failure() {
        let context = Context::new().unwrap();
        let ended = run(
            &context,
            &mut Command::new("/nonexistent/program"),
            Instant::now() + Duration::from_secs(1),
            Show::OnFailure,
        );
        assert!(ended.failure.unwrap().starts_with("program does not start"));
    }
}
