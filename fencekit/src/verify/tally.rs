//! What each stream of probes has shown so far.

use std::time::Duration;

use super::probe::{Heard, Path};
use crate::power::Observation;

/// A moment of the verification: time since it began.
pub(crate) type At = Duration;

/// One look at a device.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Look {
    /// The outlet.
    pub(crate) observation: Observation,
    /// The meter in watts, or why it could not be read; `None` when it was not asked.
    pub(crate) watts: Option<Result<f64, String>>,
}

/// What a probe brought back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Finding {
    Look(Look),
    Path(Result<Path, String>),
    Heard(Heard),
}

/// Something seen, when, and how long it took.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample<T> {
    pub(crate) started: At,
    pub(crate) at: At,
    pub(crate) what: T,
}

impl<T> Sample<T> {
    pub(crate) fn took(&self) -> Duration {
        self.at.saturating_sub(self.started)
    }
}

/// The answers of one address, or their absence.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    /// The first answer.
    pub(crate) first: Option<Sample<String>>,
    /// When answers came.
    pub(crate) heard: Vec<At>,
    /// The first failure of a probe within the window.
    pub(crate) failure: Option<Sample<String>>,
    /// Probes that were sent and not answered.
    pub(crate) silent: u32,
    /// The first of them, within the window, that may not have got there.
    pub(crate) unreached: Option<Sample<String>>,
    /// What the newest probe said, for probes that ask one after the other.
    pub(crate) newest: Option<Sample<Heard>>,
}

impl Answers {
    pub(crate) fn note(&mut self, started: At, at: At, heard: Heard, counts: bool) {
        self.newest = Some(Sample {
            started,
            at,
            what: heard.clone(),
        });
        match heard {
            Heard::Answered(what) => {
                self.heard.push(at);
                self.first.get_or_insert(Sample { started, at, what });
            }
            Heard::Silent if counts => self.silent += 1,
            Heard::Unreached(what) if counts => {
                self.silent += 1;
                self.unreached.get_or_insert(Sample { started, at, what });
            }
            Heard::Failed(what) if counts => {
                self.failure.get_or_insert(Sample { started, at, what });
            }
            Heard::Silent | Heard::Unreached(_) | Heard::Failed(_) | Heard::Undecided(_) => {}
        }
    }
}

/// The looks at one device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Looks {
    /// The first look that showed it on.
    pub(crate) on: Option<Sample<()>>,
    /// All looks, in order.
    pub(crate) all: Vec<Sample<Look>>,
}

impl Looks {
    pub(crate) fn note(&mut self, started: At, at: At, look: Look) {
        if look.observation == Observation::On {
            self.on.get_or_insert(Sample {
                started,
                at,
                what: (),
            });
        }
        self.all.push(Sample {
            started,
            at,
            what: look,
        });
    }

    pub(crate) fn newest(&self) -> Option<&Sample<Look>> {
        self.all.last()
    }

    /// When the device was heard: a look that shows a state is an answer of the device.
    pub(crate) fn heard(&self) -> Vec<At> {
        self.all
            .iter()
            .filter(|look| !matches!(look.what.observation, Observation::Unknown(_)))
            .map(|look| look.at)
            .collect()
    }

    /// Whether the newest two readings of the meter are at most `limit`.
    pub(crate) fn twice_below(&self, limit: f64) -> bool {
        let mut newest = self.all.iter().rev();
        let mut below = || newest.next().is_some_and(|look| is_below(&look.what, limit));
        below() && below()
    }
}

/// Whether a look's meter reads at most `limit`; never when it was not read.
pub(crate) fn is_below(look: &Look, limit: f64) -> bool {
    match look.watts {
        Some(Ok(watts)) => crate::power::PowerReading::of_watts(watts).at_most(limit),
        Some(Err(_)) | None => false,
    }
}

/// The way to one address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ways {
    /// The way at first.
    pub(crate) first: Option<Path>,
    /// What was wrong with it within the window, first of all.
    pub(crate) broken: Option<Sample<String>>,
    /// When the newest check began.
    pub(crate) newest: Option<At>,
}

impl Ways {
    pub(crate) fn note(&mut self, started: At, at: At, way: Result<Path, String>, counts: bool) {
        self.newest = Some(started);
        let wrong = match (way, &self.first) {
            (Ok(path), None) => {
                self.first = Some(path);
                None
            }
            (Ok(path), Some(first)) if path.goes_like(first) => None,
            (Ok(path), Some(first)) => Some(format!("the route changed from {first} to {path}")),
            (Err(wrong), _) => Some(wrong),
        };
        if let Some(what) = wrong.filter(|_| counts) {
            self.broken.get_or_insert(Sample { started, at, what });
        }
    }
}

/// The longest stretch of the window without an answer, its two ends taken along.
pub(crate) fn longest_gap(heard: &[At], open: At, end: At) -> Duration {
    let mut last = open;
    let mut longest = Duration::ZERO;
    for at in heard.iter().copied().filter(|at| (open..=end).contains(at)) {
        longest = longest.max(at.saturating_sub(last));
        last = at;
    }
    longest.max(end.saturating_sub(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_gap_reaches_from_end_to_end() {
        assert_eq!(longest_gap(&[], ms(500), ms(10_500)), ms(10_000));
        assert_eq!(longest_gap(&[ms(600), ms(4000)], ms(500), ms(10_500)), ms(6500));
        assert_eq!(
            longest_gap(&[ms(100), ms(11_000)], ms(500), ms(10_500)),
            ms(10_000)
        );
    }

    #[test]
    fn a_route_that_changes_is_broken() {
        let path = |link: &str| Path {
            link: link.into(),
            gateway: None,
            source: None,
            addresses: Vec::new(),
            resolves: true,
        };
        let mut ways = Ways::default();
        ways.note(ms(0), ms(1), Ok(path("eth1")), true);
        ways.note(ms(1000), ms(1001), Ok(path("eth1")), true);
        assert!(ways.broken.is_none());
        ways.note(ms(2000), ms(2001), Ok(path("eth0")), true);
        assert!(ways.broken.unwrap().what.contains("from eth1 to eth0"));
    }

    #[test]
    fn a_meter_that_was_not_read_is_not_below() {
        let look = |watts| Look {
            observation: Observation::Off,
            watts,
        };
        assert!(is_below(&look(Some(Ok(0.3))), 5.0));
        assert!(!is_below(&look(Some(Ok(f64::NAN))), 5.0));
        assert!(!is_below(&look(Some(Err("cut reply".into()))), 5.0));
        assert!(!is_below(&look(None), 5.0));
    }
}
