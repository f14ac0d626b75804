//! Passwords from elsewhere: `password_file` and `password_script`, which keep them out of the cluster's
//! configuration and out of every process list.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::options::Settings;
use crate::secret::Secret;

/// Longest password that a file or script may give, in bytes.
const LONGEST: usize = 4096;
/// How long a script may take, and a file that is a pipe.
const PATIENCE: Duration = Duration::from_secs(10);

impl Settings {
    /// Puts the password that `password_script` or `password_file` give into `password`.
    ///
    /// As with fence-agents the script wins over the file, and either over a `password` that was given as well.
    /// Nothing happens when neither is set. A file that others can read is a warning in the log.
    ///
    /// This reads a file or runs a program for up to ten seconds: it blocks, and belongs outside of a runtime.
    ///
    /// # Errors
    /// [`Error::Config`] when the file cannot be read, the script fails or is too slow, or what they give is empty,
    /// not text, or longer than a line.
    pub fn load_password(&mut self) -> Result<()> {
        let password = if let Some(command) = self.text("password_script") {
            from_script(command, PATIENCE)?
        } else if let Some(path) = self.text("password_file") {
            from_file(Path::new(path))?
        } else {
            return Ok(());
        };
        self.set("password", password.expose())
    }
}

/// The password in a file: its one line, without the line break.
///
/// # Errors
/// [`Error::Config`] when it cannot be read, or does not hold exactly one line of text.
pub fn from_file(path: &Path) -> Result<Secret> {
    from_file_within(path, PATIENCE)
}

/// The same for at most `patience`: opening a pipe that nobody writes to takes for ever, too.
pub(crate) fn from_file_within(path: &Path, patience: Duration) -> Result<Secret> {
    let shown = path.display();
    let cannot = |cause: std::io::Error| {
        Error::config(
            "password_file",
            format!("{shown} cannot be read: {cause}"),
            "give the path of a file that the agent's user, usually root, can read",
        )
        .caused_by(cause)
    };
    let place = path.to_owned();
    let (about, bytes) = within(patience, move || open_and_read(&place))
        .ok_or_else(|| {
            Error::config(
                "password_file",
                format!("{shown} gave nothing within {:.1} s", patience.as_secs_f64()),
                "give a regular file",
            )
        })?
        .map_err(cannot)?;
    if about.is_dir() {
        return Err(Error::config(
            "password_file",
            format!("{shown} is a directory"),
            "give the path of the file itself",
        ));
    }
    if about.is_file() && about.permissions().mode() & 0o024 != 0 {
        log::warn!("password_file: {shown} is open to other users; run chmod 600 {shown}");
    }
    one_line(bytes).map_err(|problem| {
        Error::config(
            "password_file",
            format!("{shown} {problem}"),
            "write the password alone on one line",
        )
    })
}

/// What a file is, and what is in it; nothing of a directory.
fn open_and_read(path: &Path) -> std::io::Result<(Metadata, Zeroizing<Vec<u8>>)> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    let bytes = if about.is_dir() {
        Zeroizing::default()
    } else {
        read_all(file)?
    };
    Ok((about, bytes))
}

/// The password in a variable of the environment.
///
/// # Errors
/// [`Error::Config`] when it is not set, is empty, or holds more than one line.
pub fn from_environment(variable: &str) -> Result<Secret> {
    let wrong = |problem: &str| {
        Error::config(
            "password_env",
            format!("{variable} {problem}"),
            "set the variable to the password alone, or use password_file",
        )
    };
    let Some(text) = std::env::var_os(variable) else {
        return Err(wrong("is not set"));
    };
    one_line(Zeroizing::new(text.into_encoded_bytes())).map_err(wrong)
}

/// The password that a command prints: the path of a program, or a line for the shell.
///
/// It runs with the environment and the user of this process, without input, and its errors go to this process'
/// stderr.
///
/// # Errors
/// [`Error::Config`] when it cannot be started, does not end within `patience` with success, or does not print
/// exactly one line of text.
pub fn from_script(command: &str, patience: Duration) -> Result<Secret> {
    // The first word alone: what follows may be a token.
    let shown = command.split_whitespace().next().unwrap_or_default();
    let wrong =
        |problem: String, mend: &str| Error::config("password_script", format!("{shown} {problem}"), mend);
    let began = Instant::now();
    let mut child = shell_or_program(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|cause| {
            wrong(
                format!("cannot be started: {cause}"),
                "give the path of an executable that prints the password",
            )
            .caused_by(cause)
        })?;
    let printed = child
        .stdout
        .take()
        .and_then(|out| within(patience, || read_all(out)));
    let ended = wait_within(&mut child, patience.saturating_sub(began.elapsed()));
    let (Some(printed), Some(ended)) = (printed, ended) else {
        return Err(wrong(
            format!("was still running after {:.1} s", patience.as_secs_f64()),
            "give a program that prints the password and ends",
        ));
    };
    let too_long = printed.as_ref().is_ok_and(|bytes| bytes.len() > LONGEST);
    if !ended.success() && !too_long {
        return Err(wrong(
            format!("failed: {ended}"),
            "run it by hand to see what it says",
        ));
    }
    printed
        .map_err(|cause| cause.to_string())
        .and_then(|bytes| one_line(bytes).map_err(|problem| format!("printed what {problem}")))
        .map_err(|problem| wrong(problem, "let it print the password alone, on one line"))
}

fn shell_or_program(command: &str) -> Command {
    if Path::new(command).is_file() {
        return Command::new(command);
    }
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command);
    shell
}

/// What comes of some reading, `None` when it does not end in time. The reading thread is then left behind: nothing can
/// end a read on a pipe that somebody else keeps open.
fn within<T: Send + 'static>(patience: Duration, read: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (send, receive) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let _ = send.send(read());
    });
    receive.recv_timeout(patience).ok()
}

/// Everything up to the end or to just above [`LONGEST`].
fn read_all(source: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    // Large enough never to be moved, which would leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * LONGEST));
    source.take(LONGEST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// How a child ended; one that does not end in time is killed.
fn wait_within(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if began.elapsed() >= patience {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn one_line(bytes: Zeroizing<Vec<u8>>) -> Result<Secret, &'static str> {
    if bytes.len() > LONGEST {
        return Err("is longer than any password");
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| "is not UTF-8 text")?;
    let line = text.trim_end_matches(['\n', '\r']);
    if line.is_empty() {
        return Err("is empty");
    }
    if line.contains(['\n', '\r', '\0']) {
        return Err("is more than one line of text");
    }
    Ok(Secret::from(line))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::Method;

    fn file(content: &[u8]) -> std::path::PathBuf {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = std::env::temp_dir().join(format!(
            "fencekit-secret-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        File::create(&path).unwrap().write_all(content).unwrap();
        path
    }

    fn read(content: &[u8]) -> Result<Secret> {
        let path = file(content);
        let secret = from_file(&path);
        std::fs::remove_file(path).unwrap();
        secret
    }

    #[test]
    fn a_file_gives_its_line_and_keeps_blanks() {
        assert_eq!(read(b"hunter2\n").unwrap().expose(), "hunter2");
        assert_eq!(read(b" two words \r\n").unwrap().expose(), " two words ");
        assert_eq!(read(b"no end").unwrap().expose(), "no end");
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_takes_no_longer_than_it_may() {
        let path = file(b"");
        std::fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let began = Instant::now();
        let error = from_file_within(&path, Duration::from_millis(200)).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("gave nothing within 0.2 s; give a regular file"),
            "{error}"
        );
        #[cfg(feature = "cluster")]
        {
            let limit = crate::Deadline::after(Duration::from_millis(200));
            let password = crate::cluster::Password::File(path.clone());
            assert!(matches!(password.read_within(limit), Err(Error::Timeout { .. })));
        }
        assert!(began.elapsed() < Duration::from_secs(5));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_holds_no_password_is_refused_without_showing_it() {
        let long = vec![b'x'; 1 << 20];
        for content in [
            &b""[..],
            b"\n\n",
            b"sesame1\nsesame2\n",
            b"sesame\0x",
            b"\xff\xfesesame",
            &long,
        ] {
            let error = read(content).unwrap_err().to_string();
            assert!(error.starts_with("password_file: "), "{error}");
            assert!(!error.contains("sesame") && !error.contains("xxx"), "{error}");
        }
        assert!(from_file(Path::new("/nonexistent")).is_err());
        assert!(from_file(Path::new("/tmp")).is_err());
        let endless = from_file(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(endless.contains("longer than any password"), "{endless}");
    }

    #[test]
    fn a_script_is_a_program_or_a_line_for_the_shell() {
        let program = file(b"#!/bin/sh\necho from program\n");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let by_path = from_script(program.to_str().unwrap(), PATIENCE);
        std::fs::remove_file(program).unwrap();
        assert_eq!(by_path.unwrap().expose(), "from program");
        let by_shell = from_script("printf '%s\\n' \"a  b\"", PATIENCE).unwrap();
        assert_eq!(by_shell.expose(), "a  b");
    }

    #[test]
    fn a_script_that_fails_prints_nothing_or_hangs_is_an_error() {
        for (command, says) in [
            ("echo secret; exit 3", "exit status: 3"),
            ("true", "empty"),
            ("/nonexistent/program", "exit status: 127"),
            ("yes | head -c 100000", "longer than any password"),
        ] {
            let error = from_script(command, PATIENCE).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let began = Instant::now();
        let error = from_script("exec sleep 30", Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().contains("still running"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn the_script_wins_over_the_file_and_the_file_over_the_password() {
        let path = file(b"of file\n");
        let mut settings = Settings::new(Method::Kasa);
        settings.set("password", "given").unwrap();
        settings.load_password().unwrap();
        assert_eq!(settings.secret("password").unwrap().expose(), "given");
        settings.set("password_file", path.to_str().unwrap()).unwrap();
        settings.load_password().unwrap();
        assert_eq!(settings.secret("password").unwrap().expose(), "of file");
        settings.set("password_script", "echo of script").unwrap();
        settings.load_password().unwrap();
        assert_eq!(settings.secret("password").unwrap().expose(), "of script");
        std::fs::remove_file(path).unwrap();
    }
}
