//! The processes below one of ours, from /proc, so that they are ended by their ids.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

/// Ends everything below a process, and then the process itself. It must not have been reaped yet.
pub(crate) fn kill_tree(root: u32) {
    // Those that are born meanwhile are found in the next round.
    for _ in 0..20 {
        let below = descendants(root);
        if below.is_empty() {
            break;
        }
        below.into_iter().for_each(kill);
    }
    kill(root);
}

/// Ends and reaps the processes that an ended step left behind, and says what they were.
pub(crate) fn end_orphans() -> Vec<String> {
    let own = getpid().as_raw_nonzero().get().unsigned_abs();
    let mut ended = Vec::new();
    for _ in 0..20 {
        while matches!(waitpid(None, WaitOptions::NOHANG), Ok(Some(_))) {}
        let left = descendants(own);
        if left.is_empty() {
            break;
        }
        for pid in left {
            ended.extend(command_line(pid));
            kill(pid);
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    ended.dedup();
    ended
}

/// What the processes that this one started have used of the processor, those that have ended.
pub(crate) fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = ticks_of_children(&stat).unwrap_or_default();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// The unit of times in /proc on every architecture of Linux that Debian has.
const TICKS_PER_SECOND: u64 = 100;

/// The 16th and 17th field of a line of `/proc/PID/stat` (proc(5)).
fn ticks_of_children(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(13);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(ticks()? + ticks()?)
}

/// All living processes below this one.
fn descendants(root: u32) -> Vec<u32> {
    let mut pairs = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some(parent) = living_parent(&stat) {
            pairs.push((pid, parent));
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(pairs.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// The parent's id in a line of `/proc/PID/stat`, unless the process is a zombie. The name before it may hold
/// anything, brackets too.
fn living_parent(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z").then_some(parent)
}

fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn command_line(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    let text = text.trim();
    (!text.is_empty()).then(|| text.chars().take(120).collect())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use super::*;

    #[test]
    fn reads_the_parent_behind_any_name() {
        assert_eq!(living_parent("12 (a) b) 1 (c)) S 7 12 12 0"), Some(7));
        assert_eq!(living_parent("12 (cat) Z 7 12 12 0"), None);
        assert_eq!(living_parent("12 (cat"), None);
        assert_eq!(living_parent(""), None);
    }

    #[test]
    fn adds_the_times_of_children() {
        let stat = "12 (a) b) S 7 12 12 0 -1 4194304 100 200 0 0 11 22 333 444 20 0 1 0";
        assert_eq!(ticks_of_children(stat), Some(777));
        assert_eq!(ticks_of_children("12 (cat) S 7"), None);
    }

    #[test]
    fn ends_grandchildren_in_groups_of_their_own() {
        let mut child = Command::new("sh")
            .args(["-c", "setsid sleep 60 & sleep 60 & wait"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(5);
        while descendants(child.id()).len() < 2 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let below = descendants(child.id());
        assert_eq!(below.len(), 2);
        kill_tree(child.id());
        child.wait().unwrap();
        let alive = |pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| living_parent(&stat).is_some())
        };
        while below.iter().any(alive) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(!below.iter().any(alive));
    }
}
