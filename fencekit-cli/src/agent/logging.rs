//! Where an agent's words go: stderr, the system's log and a debug file. No secret passes.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use fencekit::Secret;
use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::fs::OFlags;

use super::syslog::{self, Syslog};

/// Shorter secrets stay: taking every "on" out of a log would tell more than it hides.
const SHORTEST_HIDDEN: usize = 4;

struct Logger {
    verbosity: u8,
    quiet: bool,
    syslog: Option<Syslog>,
    file: Option<Mutex<File>>,
    hidden: Mutex<Vec<Secret>>,
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Opens the log. A debug file that cannot be opened is a warning: it must not keep a node from being fenced.
pub(crate) fn open(program: &str, verbosity: u8, quiet: bool, debug_file: Option<&str>) {
    let opened = debug_file.map(|path| {
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            // A pipe without a reader must not hold up the agent.
            .custom_flags(i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default())
            .open(path)
    });
    let (file, problem) = match opened {
        Some(Ok(file)) => (Some(Mutex::new(file)), None),
        Some(Err(cause)) => (None, Some(cause)),
        None => (None, None),
    };
    let most = match (verbosity, file.is_some()) {
        (0, false) => LevelFilter::Info,
        (0 | 1, _) => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    };
    let logger = LOGGER.get_or_init(|| Logger {
        verbosity,
        quiet,
        syslog: Syslog::open(Path::new(syslog::SOCKET), program),
        file,
        hidden: Mutex::new(Vec::new()),
    });
    if log::set_logger(logger).is_ok() {
        log::set_max_level(most);
    }
    if let Some(cause) = problem {
        log::warn!("debug_file cannot be opened: {cause}; going on without it");
    }
}

/// Takes `secrets` out of every line from now on. They should never be in one: this is the second lock.
pub(crate) fn hide(secrets: impl IntoIterator<Item = Secret>) {
    if let Some(logger) = LOGGER.get() {
        let mut hidden = logger.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        hidden.extend(secrets);
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Not those of libraries: what they log is not ours to vouch for.
        metadata.target().starts_with("fencekit")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let hidden = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        let line = one_clean_line(&record.args().to_string(), &hidden);
        drop(hidden);
        let level = record.level();
        if on_stderr(level, self.verbosity, self.quiet) {
            let _ = writeln!(std::io::stderr(), "{}: {line}", shown(level));
        }
        if let Some(syslog) = self.syslog.as_ref().filter(|_| level <= Level::Info) {
            syslog.send(level, &line);
        }
        if let Some(file) = &self.file {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let now = utc(SystemTime::now());
            let _ = writeln!(file, "{now} [{}] {}: {line}", std::process::id(), shown(level));
        }
    }

    fn flush(&self) {}
}

fn on_stderr(level: Level, verbosity: u8, quiet: bool) -> bool {
    match verbosity {
        0 => !quiet && level <= Level::Warn,
        1 => level <= Level::Debug,
        _ => true,
    }
}

fn shown(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARNING",
        Level::Info => "INFO",
        Level::Debug => "DEBUG",
        Level::Trace => "TRACE",
    }
}

/// Without secrets, and without what would end the line or drive a terminal: devices choose part of the words.
fn one_clean_line(text: &str, hidden: &[Secret]) -> String {
    let mut line = text.to_owned();
    for secret in hidden
        .iter()
        .map(Secret::expose)
        .filter(|secret| secret.len() >= SHORTEST_HIDDEN)
    {
        line = line.replace(secret, "***");
    }
    clean(&line)
}

/// Text in which nothing ends a line or drives a terminal.
pub(crate) fn clean(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// `2026-11-24T06:00:21.813Z`.
pub(crate) fn utc(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (mut days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let mut year = 1970;
    while days >= days_of_year(year) {
        days -= days_of_year(year);
        year += 1;
    }
    let february = days_of_year(year) - 337;
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!(
        "{year:04}-{month:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        days + 1,
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

fn days_of_year(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    365 + u64::from(leap)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_798_761_599, "2026-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), date);
        }
    }

    #[test]
    fn quiet_silences_stderr_but_not_verbose() {
        assert!(on_stderr(Level::Warn, 0, false) && !on_stderr(Level::Error, 0, true));
        assert!(!on_stderr(Level::Info, 0, false) && on_stderr(Level::Debug, 1, true));
        assert!(!on_stderr(Level::Trace, 1, false) && on_stderr(Level::Trace, 2, false));
    }

    #[test]
    fn lines_hide_secrets_and_stay_lines() {
        let hidden = [Secret::from("sesame"), Secret::from("on")];
        let line = one_clean_line("key sesame is on\nalias \x1b[31mred", &hidden);
        assert_eq!(line, "key *** is on\\nalias \\u{1b}[31mred");
    }
}
