//! How the time of a whole verification or fence is shared out.

use std::time::Duration;

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::verify::{Plan, Timing};

/// How much longer than its window a verification takes as a rule: the last look at the devices comes after it.
const AROUND_WINDOW: Duration = Duration::from_secs(2);

/// The times of a fence or verification that has a limit as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// When the whole ends.
    pub whole: Deadline,
    /// When the off ends, so that the window of the verification is left.
    pub off: Deadline,
}

impl Budget {
    /// Of a call that has `limit` in all, of which `whole` is the end: what was done since the call began, such as
    /// running password programs, has taken its part. `option` is the limit's name in an error.
    ///
    /// # Errors
    /// [`Error::Config`] when `limit` is no longer than the window, so that no verdict could ever be confirmed-off, and
    /// [`Error::Timeout`] when the window does not fit any more. Nothing may be switched then.
    pub fn of(plan: &Plan, option: &str, limit: Duration, whole: Deadline) -> Result<Self> {
        let window = plan
            .timing
            .wait
            .max(Timing::SHORTEST)
            .saturating_add(plan.timing.settle);
        if limit <= window {
            return Err(Error::config(
                option,
                format!(
                    "{} ms leaves no time: {} is watched for {} ms",
                    limit.as_millis(),
                    plan.node,
                    window.as_millis()
                ),
                "give that and what the devices take",
            ));
        }
        let left = whole.remaining().saturating_sub(window);
        if left.is_zero() {
            return Err(Error::Timeout {
                doing: "fetching the passwords; nothing was switched".to_owned(),
                waited: limit.saturating_sub(whole.remaining()),
                source: None,
            });
        }
        let off = whole.capped(left - AROUND_WINDOW.min(left / 2));
        Ok(Self { whole, off })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(wait: u64) -> Plan {
        Plan {
            node: "storage-b".into(),
            devices: Vec::new(),
            networks: Vec::new(),
            require_witness: false,
            timing: Timing {
                wait: Duration::from_secs(wait),
                ..Timing::default()
            },
        }
    }

    fn budget(wait: u64, millis: u64) -> Result<Budget> {
        let limit = Duration::from_millis(millis);
        Budget::of(&plan(wait), "timeout", limit, Deadline::after(limit))
    }

    #[tokio::test(start_paused = true)]
    async fn the_window_is_kept_free_for_the_verification() {
        let times = budget(10, 60_000).unwrap();
        assert_eq!(times.whole.remaining(), Duration::from_secs(60));
        assert_eq!(times.off.remaining(), Duration::from_millis(47_500));
        for short in [1, 10_000, 10_500] {
            let text = budget(10, short).unwrap_err().to_string();
            assert!(
                text.starts_with("timeout: ") && text.contains("10500 ms"),
                "{text}"
            );
        }
        assert!(budget(10, 10_501).is_ok());
        assert!(
            budget(0, 1_000).is_err(),
            "a window is never shorter than a second"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_passwords_took_is_not_there_any_more() {
        let limit = Duration::from_secs(20);
        let whole = Deadline::after(limit);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let times = Budget::of(&plan(10), "timeout", limit, whole).unwrap();
        assert_eq!(times.off.remaining(), Duration::from_millis(2_500));
        tokio::time::sleep(Duration::from_secs(5)).await;
        let late = Budget::of(&plan(10), "timeout", limit, whole).unwrap_err();
        assert!(matches!(late, Error::Timeout { .. }), "{late}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_without_an_end_is_an_error_before_anything_is_switched() {
        let text = budget(u64::MAX, 60_000).unwrap_err().to_string();
        assert!(text.starts_with("timeout: 60000 ms leaves no time"), "{text}");
    }
}
