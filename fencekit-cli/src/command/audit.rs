//! The record of what was done to a node: one line of JSON, appended and on the disk before the program ends.
//!
//! It holds no secret: devices are named by their labels, as everywhere. A record that cannot be written is a
//! warning, since by then the fence has happened.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::agent::logging::utc;

/// Where records go unless told otherwise.
pub(super) const PATH: &str = "/var/log/fencekit/audit.jsonl";
/// A dying disk must not keep the verdict from whoever waits for the exit code.
const PATIENCE: Duration = Duration::from_secs(3);

/// A record that was begun.
pub(super) struct Audit {
    fields: Value,
}

impl Audit {
    /// What is about to be done, by whom and when.
    pub(super) fn begin(action: &str, node: &str) -> Self {
        let fields = json!({
            "time": utc(SystemTime::now()),
            "host": fencekit::operate::host(),
            "uid": rustix::process::getuid().as_raw(),
            "user": std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).ok(),
            "version": env!("CARGO_PKG_VERSION"),
            "action": action,
            "node": node,
        });
        Self { fields }
    }

    /// Adds what is known however it ends.
    pub(super) fn note(&mut self, more: Value) {
        if let (Some(fields), Value::Object(more)) = (self.fields.as_object_mut(), more) {
            fields.extend(more);
        }
    }

    /// Adds what became of it, and appends the record.
    pub(super) fn end(mut self, path: &Path, outcome: Value) {
        self.note(outcome);
        let line = format!("{}\n", self.fields);
        let (send, receive) = mpsc::sync_channel(1);
        let to: PathBuf = path.to_owned();
        std::thread::spawn(move || {
            let _ = send.send(append(&to, &line));
        });
        match receive.recv_timeout(PATIENCE) {
            Ok(Ok(())) => {}
            Ok(Err(cause)) => log::warn!(
                "no record of this was kept: {}: {cause}; name another file by --audit",
                path.display()
            ),
            Err(_) => log::warn!(
                "the record of this may be lost: {} could not be written within {} s",
                path.display(),
                PATIENCE.as_secs()
            ),
        }
    }
}

/// One write and one fsync, so that records of several processes do not mix and none is lost in a crash.
fn append(path: &Path, line: &str) -> io::Result<()> {
    let open = || {
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
    };
    let mut file = match open() {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            let directory = path.parent().unwrap_or(Path::new("."));
            DirBuilder::new().mode(0o700).create(directory)?;
            open()?
        }
        opened => opened?,
    };
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn records_are_appended_whole_and_readable_by_the_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fencekit/audit.jsonl");
        for verdict in ["inconclusive", "confirmed-off"] {
            Audit::begin("fence", "storage-b").end(&path, json!({"verdict": verdict}));
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let records: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(records.len(), 2);
        assert_eq!(records[0]["verdict"], "inconclusive");
        assert_eq!(records[1]["node"], "storage-b");
        assert!(records[1]["time"].as_str().unwrap().ends_with('Z'));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }

    #[test]
    fn a_record_that_cannot_be_kept_is_no_failure() {
        Audit::begin("fence", "storage-b").end(Path::new("/proc/none/audit.jsonl"), json!({}));
    }
}
