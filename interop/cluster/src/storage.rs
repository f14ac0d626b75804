//! The shared storage: a file that the service appends a line to every few milliseconds, and what the lines prove.
//!
//! A line is `NODE SESSION COUNTER MILLISECONDS`: who writes, which start of the service it is, the number of the write
//! and the monotonic clock, which all nodes share. Each line is one append, so the file's order is the order of the
//! writes. One start of the service must have ended before the next one writes: lines of two are never mixed.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Between two writes.
const PAUSE: Duration = Duration::from_millis(20);

/// Milliseconds of the monotonic clock, the same on every node.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds * 1000 + nanoseconds / 1_000_000
}

/// The service itself: writes until it is killed.
pub(crate) fn write(node: &str, path: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let session = now();
    for counter in 1_u64.. {
        file.write_all(format!("{node} {session} {counter} {}\n", now()).as_bytes())?;
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// A write of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrote {
    /// The node that wrote.
    pub(crate) node: String,
    /// Which start of the service wrote.
    pub(crate) session: u64,
    /// The number of the write in its session, from 1.
    pub(crate) counter: u64,
    /// When, on the monotonic clock in milliseconds.
    pub(crate) at: u64,
}

impl Wrote {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let wrote = Self {
            node: words.next()?.to_owned(),
            session: words.next()?.parse().ok()?,
            counter: words.next()?.parse().ok()?,
            at: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(wrote)
    }
}

/// What the lines have shown so far.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    last: Option<Wrote>,
    /// Session to the number of its last write.
    sessions: HashMap<(String, u64), u64>,
    /// When each node wrote last.
    latest: HashMap<String, u64>,
    /// When each session wrote first.
    takeovers: Vec<Wrote>,
    /// Writes that should not have been.
    overlaps: Vec<String>,
    writes: u64,
}

impl Ledger {
    /// Takes the next line.
    fn add(&mut self, line: &str) {
        let Some(wrote) = Wrote::read(line) else {
            self.overlaps.push(format!("torn line: {line:?}"));
            return;
        };
        self.writes += 1;
        let session = (wrote.node.clone(), wrote.session);
        let goes_on = self
            .last
            .as_ref()
            .is_some_and(|last| (&last.node, last.session) == (&wrote.node, wrote.session));
        let before = self.sessions.insert(session, wrote.counter);
        if before.is_none() {
            self.takeovers.push(wrote.clone());
        } else if let Some(last) = self.last.as_ref().filter(|_| !goes_on) {
            self.overlaps.push(format!(
                "{} wrote again {} ms after {} had",
                wrote.node,
                wrote.at.saturating_sub(last.at),
                last.node
            ));
        }
        if wrote.counter != before.unwrap_or_default() + 1 {
            self.overlaps.push(format!(
                "write {} of {} follows write {}",
                wrote.counter,
                wrote.node,
                before.unwrap_or_default()
            ));
        }
        self.latest.insert(wrote.node.clone(), wrote.at);
        self.last = Some(wrote);
    }
}

/// The file, read as it grows.
#[derive(Debug)]
pub(crate) struct Storage {
    path: PathBuf,
    read: u64,
    rest: String,
    ledger: Ledger,
}

impl Storage {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            read: 0,
            rest: String::new(),
            ledger: Ledger::default(),
        }
    }

    /// The last write.
    pub(crate) fn last(&mut self) -> Option<Wrote> {
        self.catch_up();
        self.ledger.last.clone()
    }

    /// The node that writes now: none when nobody has for a second.
    pub(crate) fn owner(&mut self) -> Option<String> {
        let last = self.last()?;
        (now().saturating_sub(last.at) < 1000).then_some(last.node)
    }

    /// When this node wrote last.
    pub(crate) fn last_by(&mut self, node: &str) -> Option<u64> {
        self.catch_up();
        self.ledger.latest.get(node).copied()
    }

    /// The first write of a session that began at or after this time, by this node.
    pub(crate) fn taken_over(&mut self, node: &str, since: u64) -> Option<Wrote> {
        self.catch_up();
        let mut all = self.ledger.takeovers.iter();
        all.find(|first| first.node == node && first.session >= since)
            .cloned()
    }

    /// What proves that two wrote at once, and how many of it is new since the last call.
    pub(crate) fn overlaps(&mut self) -> Vec<String> {
        self.catch_up();
        std::mem::take(&mut self.ledger.overlaps)
    }

    /// How many writes there were.
    pub(crate) fn writes(&mut self) -> u64 {
        self.catch_up();
        self.ledger.writes
    }

    fn catch_up(&mut self) {
        let Ok(mut file) = File::open(&self.path) else {
            return;
        };
        let mut text = String::new();
        let read = file
            .seek(SeekFrom::Start(self.read))
            .and_then(|_| file.read_to_string(&mut text));
        let Ok(read) = read else { return };
        self.read += read as u64;
        self.rest.push_str(&text);
        let whole = self.rest.rfind('\n').map_or(0, |end| end + 1);
        let rest = self.rest.split_off(whole);
        for line in std::mem::replace(&mut self.rest, rest).lines() {
            self.ledger.add(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlaps(lines: &[&str]) -> Vec<String> {
        let mut ledger = Ledger::default();
        lines.iter().for_each(|line| ledger.add(line));
        ledger.overlaps
    }

    #[test]
    fn one_after_the_other_is_right_even_back_and_forth() {
        let none: [String; 0] = [];
        assert_eq!(
            overlaps(&["a 10 1 10", "a 10 2 30", "b 50 1 50", "b 50 2 70", "a 90 1 90"]),
            none
        );
    }

    #[test]
    fn a_write_after_the_successors_first_is_found() {
        assert_eq!(
            overlaps(&["a 10 1 10", "b 50 1 50", "a 10 2 55", "b 50 2 70"]),
            [
                "a wrote again 5 ms after b had",
                "b wrote again 15 ms after a had"
            ]
        );
        // The same node twice is no better.
        assert_eq!(overlaps(&["a 10 1 10", "a 20 1 20", "a 10 2 30"]).len(), 1);
    }

    #[test]
    fn a_lost_or_torn_write_is_found() {
        assert_eq!(overlaps(&["a 10 1 10", "a 10 3 50"]).len(), 1);
        assert_eq!(overlaps(&["a 10 2 10"]).len(), 1);
        assert_eq!(overlaps(&["a 10 1"]).len(), 1);
        assert_eq!(overlaps(&["a 10 1 10b 20 1 20"]).len(), 1);
    }
}
