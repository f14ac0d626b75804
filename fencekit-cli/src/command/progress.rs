//! A line on stderr while something takes longer than a second.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::agent::logging::clean;

/// When the line appears.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is written anew.
const EVERY: Duration = Duration::from_millis(200);
/// Cells of a terminal that the line may take: longer ones would wrap and could not be taken back.
const WIDTH: usize = 78;

/// Who is being waited for. On a terminal it is one line, written over and taken away at the end; elsewhere there is
/// nothing to see, and `-v` gives a line for each event.
#[derive(Debug)]
pub(super) struct Progress {
    waiting: Mutex<BTreeMap<usize, String>>,
    started: Instant,
}

impl Progress {
    /// Waits for all of these, by their index.
    pub(super) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self {
            waiting: Mutex::new(names.into_iter().enumerate().collect()),
            started: Instant::now(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<usize, String>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what one of them is at.
    pub(super) fn at(&self, index: usize, what: String) {
        if let Some(text) = self.waiting().get_mut(&index) {
            *text = what;
        }
    }

    /// One of them is done.
    pub(super) fn done(&self, index: usize) {
        self.waiting().remove(&index);
    }

    /// Runs `work` and shows who is being waited for.
    pub(super) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if dumb || !std::io::stderr().is_terminal() {
            return work.await;
        }
        let mut work = std::pin::pin!(work);
        let mut ticks = tokio::time::interval_at(self.started + PATIENCE, EVERY);
        let mut line = Line { shown: false };
        loop {
            tokio::select! {
                outcome = &mut work => return outcome,
                _ = ticks.tick() => line.show(&self.text()),
            }
        }
    }

    fn text(&self) -> String {
        let waiting = self.waiting();
        let seconds = self.started.elapsed().as_secs();
        let first = waiting.values().next().map_or("", String::as_str);
        let more = match waiting.len() {
            0 | 1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let room = WIDTH.saturating_sub(more.len() + 8);
        let first: String = clean(first).chars().take(room).collect();
        format!("{seconds} s: {first}{more}")
    }
}

/// Runs `work` and shows that it is being waited for, and what it is.
pub(super) async fn waiting<T>(what: impl Into<String>, work: impl Future<Output = T>) -> T {
    Progress::new([what.into()]).during(work).await
}

/// The line on the terminal; it goes away with this, however the work ends.
struct Line {
    shown: bool,
}

impl Line {
    fn show(&mut self, text: &str) {
        self.shown = true;
        let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
        let _ = std::io::stderr().flush();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
            let _ = std::io::stderr().flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_line_names_who_is_waited_for_and_never_wraps() {
        let progress = Progress::new((0..12).map(|n| format!("waiting for plug {n} {}", "x".repeat(200))));
        progress.done(0);
        progress.at(1, "kasa @ 10.0.0.1: told to switch off\n".into());
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(
            progress.text(),
            "3 s: kasa @ 10.0.0.1: told to switch off\\n and 10 more"
        );
        progress.done(1);
        assert!(progress.text().chars().count() <= WIDTH);
    }
}
