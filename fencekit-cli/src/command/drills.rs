//! What drills have proven: which outlets feed which node, when, and how long it took.
//!
//! One JSON object by node. A drill replaces the node's record; the file is written whole and renamed, so that it is
//! never half.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Where records are kept unless told otherwise.
pub(super) const PATH: &str = "/var/lib/fencekit/drills.json";

/// One device of a node that was drilled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Outlet {
    /// The device's label, with its outlet.
    pub(super) device: String,
    /// What it drew before, in watts, where it has a meter.
    pub(super) watts_on: Option<f64>,
    /// What it drew while it was off.
    pub(super) watts_off: Option<f64>,
}

/// A drill that proved its node's wiring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Drill {
    /// When, in UTC.
    pub(super) time: String,
    /// The same in seconds since 1970, for its age.
    pub(super) epoch: u64,
    /// From where.
    pub(super) host: Option<String>,
    /// The outlets that together feed the node.
    pub(super) outlets: Vec<Outlet>,
    /// From the confirmed off to the last answer, in milliseconds.
    pub(super) silent_after_ms: u64,
    /// From the confirmed on to the first answer, in milliseconds; `None` when it did not come back in time.
    pub(super) back_after_ms: Option<u64>,
}

impl Drill {
    /// How long ago it was.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "for the preflight, which warns of old drills")
    )]
    pub(super) fn age(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(Duration::from_secs(self.epoch))
    }
}

/// Every node's drill. A file that is not there holds none.
pub(super) fn load(path: &Path) -> io::Result<BTreeMap<String, Drill>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(cause) => Err(cause),
    }
}

/// Keeps a node's drill.
pub(super) fn keep(path: &Path, node: &str, drill: Drill) -> io::Result<()> {
    let mut drills = load(path)?;
    drills.insert(node.to_owned(), drill);
    let directory = path.parent().unwrap_or(Path::new("."));
    if !directory.as_os_str().is_empty() && !directory.exists() {
        DirBuilder::new().mode(0o755).create(directory)?;
    }
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&fresh)?;
    let text = serde_json::to_string_pretty(&drills).map_err(io::Error::other)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drill(back_after_ms: Option<u64>) -> Drill {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Drill {
            time: "2026-11-24T08:00:00.000Z".into(),
            epoch: now.as_secs() - 3600,
            host: Some("storage-a".into()),
            outlets: vec![Outlet {
                device: "kasa @ 10.20.20.202".into(),
                watts_on: Some(61.5),
                watts_off: Some(0.0),
            }],
            silent_after_ms: 120,
            back_after_ms,
        }
    }

    #[test]
    fn the_newest_drill_of_each_node_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fencekit/drills.json");
        assert!(load(&path).unwrap().is_empty());
        keep(&path, "storage-a", drill(None)).unwrap();
        keep(&path, "storage-b", drill(None)).unwrap();
        keep(&path, "storage-b", drill(Some(40_000))).unwrap();
        let drills = load(&path).unwrap();
        assert_eq!(drills.len(), 2);
        assert_eq!(drills["storage-b"], drill(Some(40_000)));
        let age = drills["storage-a"].age().as_secs();
        assert!((3600..3700).contains(&age), "{age}");
        let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("drills.json");
        fs::write(&path, "not json").unwrap();
        assert!(keep(&path, "storage-b", drill(None)).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "not json");
    }
}
