//! Keeps what drills have found. The file is written whole and renamed, so that it is never half.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

pub(super) use fencekit::drills::{Drill, Outlet, PATH, load};

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
    use std::time::{SystemTime, UNIX_EPOCH};

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
            failure: None,
            silent_after_ms: Some(120),
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
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("failure"), "{text}");
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
