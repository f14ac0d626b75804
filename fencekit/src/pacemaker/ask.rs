//! Runs Pacemaker's own tools. They read and print; none of those named here changes anything.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

/// Longest output that is read, in bytes: more than any cluster's configuration has.
const LONGEST: u64 = 64 * 1024 * 1024;
/// How long a tool may take. They answer within a second, or wait for a cluster that does not.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a tool printed.
#[derive(Debug)]
pub(crate) struct Said {
    /// It ended with 0.
    pub(crate) success: bool,
    /// May hold passwords.
    pub(crate) stdout: Zeroizing<String>,
    pub(crate) stderr: String,
}

/// Why a tool said nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Silent {
    /// It is not on this host.
    Absent,
    /// It cannot be run, or does not end.
    Failed(String),
}

/// Runs a tool of Pacemaker's on a thread of its own, which ends with it.
pub(crate) async fn ask(tool: &'static str, arguments: &[&str]) -> Result<Said, Silent> {
    let Some(program) = find(tool) else {
        return Err(Silent::Absent);
    };
    let mut command = Command::new(program);
    command.args(arguments).env("LC_ALL", "C");
    let (send, receive) = tokio::sync::oneshot::channel();
    thread::spawn(move || {
        let _ = send.send(run(command, PATIENCE));
    });
    match receive.await {
        Ok(said) => said.map_err(|why| Silent::Failed(format!("{tool} {why}"))),
        Err(_) => Err(Silent::Failed(format!("{tool} could not be run"))),
    }
}

/// Where the tool is. Root's path is not everybody's.
fn find(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(tool))
        .find(|file| file.is_file())
}

fn run(mut command: Command, patience: Duration) -> Result<Said, String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|cause| format!("cannot be started: {cause}"))?;
    let stdout = child.stdout.take().map(read);
    let stderr = child.stderr.take().map(read);
    let ended = ends_within(&mut child, patience);
    let Some(success) = ended else {
        return Err(format!("was still running after {} s", patience.as_secs()));
    };
    Ok(Said {
        success,
        stdout: text(stdout),
        stderr: text(stderr).trim().to_owned(),
    })
}

fn read(source: impl Read + Send + 'static) -> JoinHandle<Zeroizing<Vec<u8>>> {
    thread::spawn(move || {
        let mut bytes = Zeroizing::new(Vec::new());
        let _ = source.take(LONGEST).read_to_end(&mut bytes);
        bytes
    })
}

fn text(reading: Option<JoinHandle<Zeroizing<Vec<u8>>>>) -> Zeroizing<String> {
    let bytes = reading
        .and_then(|reading| reading.join().ok())
        .unwrap_or_default();
    Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether it ended with success; `None` when it did not end, and was killed.
fn ends_within(child: &mut Child, patience: Duration) -> Option<bool> {
    let began = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) if began.elapsed() < patience => thread::sleep(Duration::from_millis(5)),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_success_are_told() {
        let said = run(shell("echo out; echo err >&2; exit 3"), PATIENCE).unwrap();
        assert_eq!(
            (said.success, said.stdout.as_str(), said.stderr.as_str()),
            (false, "out\n", "err")
        );
        assert!(run(shell("head -c 300000 /dev/zero"), PATIENCE).unwrap().success);
    }

    #[test]
    fn a_tool_that_does_not_end_is_ended() {
        let error = run(shell("exec sleep 60"), Duration::from_millis(200)).unwrap_err();
        assert!(error.contains("still running"), "{error}");
    }

    #[tokio::test]
    async fn a_tool_that_is_not_there_is_absent() {
        assert_eq!(
            ask("fencekit-no-such-tool", &[]).await.unwrap_err(),
            Silent::Absent
        );
    }
}
