//! One absolute point in monotonic time that goes down through every call.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Result};

/// The moment by which an operation must have ended, whatever it is doing then.
///
/// A deadline is absolute: passing it on does not start it anew, so the steps of an operation share one
/// budget. Time is monotonic; setting the host's clock changes nothing.
///
/// ```
/// use std::time::Duration;
/// use fencekit::Deadline;
///
/// let whole = Deadline::after(Duration::from_secs(20));
/// let one_step = whole.capped(Duration::from_secs(3));
/// assert!(one_step.remaining() <= whole.remaining());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    at: Instant,
}

/// Stands for "no limit of our own": the caller bounds us from outside. Still finite, so that a forgotten
/// process ends by itself.
const FAR: Duration = Duration::from_secs(24 * 60 * 60);

impl Deadline {
    /// A deadline `budget` from now. Budgets above a day count as a day.
    #[must_use]
    pub fn after(budget: Duration) -> Self {
        Self {
            at: Instant::now() + budget.min(FAR),
        }
    }

    /// A deadline so far off that somebody else's limit comes first, as under Pacemaker, which kills the
    /// agent itself.
    #[must_use]
    pub fn far() -> Self {
        Self::after(FAR)
    }

    /// The moment itself.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.at
    }

    /// Time left; zero once it has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Whether the moment has passed.
    #[must_use]
    pub fn expired(self) -> bool {
        self.remaining().is_zero()
    }

    /// The earlier of this deadline and `step` from now: the limit of one step within the whole.
    #[must_use]
    pub fn capped(self, step: Duration) -> Self {
        Self {
            at: self.at.min(Instant::now() + step.min(FAR)),
        }
    }

    /// Runs `future` until the deadline.
    ///
    /// `doing` says what is being waited for, in the words of an error message: "connecting".
    ///
    /// # Errors
    /// [`Error::Timeout`] when the deadline comes first; whatever `future` returns otherwise.
    pub async fn run<T>(self, doing: &str, future: impl Future<Output = Result<T>>) -> Result<T> {
        let started = Instant::now();
        match tokio::time::timeout_at(self.at, future).await {
            Ok(outcome) => outcome,
            Err(elapsed) => Err(Error::Timeout {
                doing: doing.to_owned(),
                waited: started.elapsed(),
                source: Some(Box::new(elapsed)),
            }),
        }
    }

    /// Sleeps for `pause`, or until the deadline when that comes first. True when the pause was whole.
    pub async fn sleep(self, pause: Duration) -> bool {
        let wake = Instant::now() + pause.min(FAR);
        tokio::time::sleep_until(wake.min(self.at)).await;
        wake < self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn steps_share_one_budget() {
        let whole = Deadline::after(Duration::from_secs(5));
        assert!(whole.sleep(Duration::from_secs(3)).await);
        assert_eq!(whole.capped(Duration::from_secs(10)), whole);
        assert!(!whole.sleep(Duration::from_secs(10)).await);
        assert!(whole.expired());
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_future_is_a_timeout_that_says_what_it_did() {
        let late = Deadline::after(Duration::from_secs(2));
        let outcome: Result<()> = late.run("reading the reply", std::future::pending()).await;
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }));
        assert_eq!(error.to_string(), "timed out after 2.0 s while reading the reply");
    }

    #[test]
    fn huge_budgets_do_not_overflow() {
        assert!(Deadline::after(Duration::MAX).remaining() <= FAR);
        assert!(Deadline::far().capped(Duration::MAX).remaining() <= FAR);
    }
}
