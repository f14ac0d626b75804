//! Keeps what drills have found. The file is written whole and renamed, so that it is never half, and under a lock, so
//! that drills of several nodes that end at once do not lose each other's records: a disproof that is lost leaves an
//! older proof standing.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(super) use fencekit::drills::{Drill, Outlet, PATH, load};

/// How long others may hold the lock; each needs it for one small write.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is tried meanwhile.
const EVERY: Duration = Duration::from_millis(20);

/// Whether a drill could be kept: the file can be read, where there is one, and locked.
pub(super) fn ready(path: &Path) -> io::Result<()> {
    let _lock = lock(path, PATIENCE)?;
    load(path).map(drop)
}

/// Keeps a node's drill.
pub(super) fn keep(path: &Path, node: &str, drill: Drill) -> io::Result<()> {
    // Until the rename is done.
    let _lock = lock(path, PATIENCE)?;
    let mut drills = load(path)?;
    drills.insert(node.to_owned(), drill);
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

/// Locks a file beside `path` until what is returned is dropped; `path` itself is another file after each rename.
fn lock(path: &Path, patience: Duration) -> io::Result<File> {
    make_directory(path)?;
    let beside = beside(path);
    let named = |cause: io::Error| io::Error::new(cause.kind(), format!("{}: {cause}", beside.display()));
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&beside)
        .map_err(named)?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(cause)) => return Err(named(cause)),
            Err(TryLockError::WouldBlock) if started.elapsed() >= patience => {
                return Err(held(&beside, patience));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(EVERY),
        }
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn held(lock: &Path, patience: Duration) -> io::Error {
    let text = format!(
        "{0} was locked by another program for {1} s; fuser -v {0} shows it: once it has ended, drill again",
        lock.display(),
        patience.as_secs_f64()
    );
    io::Error::new(io::ErrorKind::TimedOut, text)
}

fn make_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    if directory.as_os_str().is_empty() || directory.exists() {
        return Ok(());
    }
    match DirBuilder::new().mode(0o755).create(directory) {
        // Another drill was first.
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
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
        let left = fs::read_dir(path.parent().unwrap()).unwrap();
        let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["drills.json", "drills.json.lock"]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("drills.json");
        fs::write(&path, "not json").unwrap();
        assert!(keep(&path, "storage-b", drill(None)).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "not json");
    }
    #[test]
    fn drills_that_end_at_once_do_not_lose_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fencekit/drills.json");
        let together = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (path, together) = (&path, &together);
                scope.spawn(move || {
                    together.wait();
                    for node in 0..8 {
                        keep(path, &format!("node-{thread}-{node}"), drill(None)).unwrap();
                    }
                });
            }
        });
        assert_eq!(load(&path).unwrap().len(), 64);
    }

    #[test]
    fn a_lock_that_another_holds_is_waited_for_and_then_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("drills.json");
        let other = lock(&path, PATIENCE).unwrap();
        let error = lock(&path, Duration::from_millis(100)).unwrap_err().to_string();
        assert!(error.contains("drills.json.lock was locked"), "{error}");
        assert!(error.contains("drill again"), "{error}");
        let waiting = std::thread::spawn({
            let path = path.clone();
            move || keep(&path, "storage-b", drill(None))
        });
        std::thread::sleep(Duration::from_millis(100));
        assert!(load(&path).unwrap().is_empty());
        drop(other);
        waiting.join().unwrap().unwrap();
        assert_eq!(load(&path).unwrap().len(), 1);
    }
}
