//! How long an answer is waited for, and when to give up.

use std::time::{Duration, Instant};

const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// First pause after the BMC said that it is busy; it doubles up to [`LONGEST_WAIT`].
const BUSY_PAUSE: Duration = Duration::from_millis(250);
/// How long an explicitly busy BMC is asked again. A session that somebody left open on it ends after 60 s.
const BUSY_LIMIT: Duration = Duration::from_secs(75);

/// The timing of one step: the handshake, or one command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// When the step began.
    pub(super) since: Instant,
    give_up: Instant,
    /// Up to when explicit "busy" answers push `give_up` on.
    busy_until: Instant,
    limit: Duration,
    first_wait: Duration,
    wait: Duration,
    pause: Duration,
    sent_at: Instant,
    /// The packet was sent twice, so its answer tells nothing of how long answers take.
    repeated: bool,
    /// How long answers take, smoothed, and how much that varies (RFC 6298).
    usual: Option<(Duration, Duration)>,
}

impl Patience {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            give_up: now,
            busy_until: now,
            limit: Duration::ZERO,
            first_wait: Duration::ZERO,
            wait: Duration::ZERO,
            pause: BUSY_PAUSE,
            sent_at: now,
            repeated: false,
            usual: None,
        }
    }

    /// Begins a step in which the BMC may be silent for `limit`, or until `deadline` when that comes first.
    pub(super) fn begin(&mut self, first_wait: Duration, limit: Duration, deadline: Instant, now: Instant) {
        self.since = now;
        // An option may be longer than the clock can count.
        self.limit = limit.min(deadline.saturating_duration_since(now));
        self.give_up = deadline.min(now + self.limit);
        self.busy_until = deadline.min(now + BUSY_LIMIT);
        self.first_wait = first_wait;
        self.pause = BUSY_PAUSE;
        self.rewind();
    }

    fn rewind(&mut self) {
        let usual = self
            .usual
            .map_or(Duration::ZERO, |(mean, spread)| mean + spread * 4);
        self.wait = self.first_wait.max(usual).min(LONGEST_WAIT);
    }

    /// Notes that a packet goes out; when its answer counts as lost.
    pub(super) fn sent(&mut self, now: Instant) -> Instant {
        self.sent_at = now;
        self.repeated = false;
        self.give_up.min(now + self.wait)
    }

    /// As [`sent`](Self::sent), of a packet that went out before.
    pub(super) fn sent_again(&mut self, now: Instant) -> Instant {
        let timer = self.sent(now);
        self.repeated = true;
        timer
    }

    /// Notes a lost packet: the next wait is longer.
    pub(super) fn lost(&mut self) {
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }

    /// Notes an answer.
    pub(super) fn heard(&mut self, now: Instant) {
        if !self.repeated {
            let took = now.saturating_duration_since(self.sent_at);
            self.usual = Some(match self.usual {
                None => (took, took / 2),
                Some((mean, spread)) => (mean * 7 / 8 + took / 8, spread * 3 / 4 + mean.abs_diff(took) / 4),
            });
        }
        self.rewind();
    }

    /// Notes an explicit "busy"; when to ask again. The silence that is allowed begins anew, within bounds.
    pub(super) fn busy(&mut self, now: Instant) -> Instant {
        let again = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_WAIT);
        self.give_up = self.give_up.max(again + self.limit).min(self.busy_until);
        again.min(self.give_up)
    }

    pub(super) fn give_up(&self) -> Instant {
        self.give_up
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= self.give_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absurd_limit_ends_with_the_deadline() {
        let now = Instant::now();
        let deadline = now + Duration::from_secs(600);
        let mut patience = Patience::new(now);
        patience.begin(BUSY_PAUSE, Duration::from_secs(u64::MAX), deadline, now);
        assert_eq!(patience.give_up(), deadline);
        // A busy BMC makes it begin anew.
        let later = now + Duration::from_secs(1);
        assert_eq!(patience.busy(later), later + BUSY_PAUSE);
        assert!(!patience.is_over(later));
        let late = deadline + Duration::from_secs(1);
        patience.begin(BUSY_PAUSE, Duration::from_secs(u64::MAX), deadline, late);
        assert!(patience.is_over(late));
    }
}
