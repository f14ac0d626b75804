//! What can be made to go wrong with a simulated device while it runs.

use std::str::FromStr;
use std::time::Duration;

/// Faults of one device; all off by default. Those of the wire come first, then those of the device itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Each reply comes this much later.
    pub slow: Option<Duration>,
    /// Requests are read, but neither acted on nor answered.
    pub silent: bool,
    /// The connection is reset when a request arrives, before it is acted on.
    pub reset: bool,
    /// The request is acted on, then the connection ends without a reply.
    pub drop_reply: bool,
    /// The request is acted on, then half of the reply is sent and the connection ends.
    pub cut_reply: bool,
    /// The reply is replaced by random bytes.
    pub garbage: bool,
    /// The reply is replaced by an HTML page with status 200 (on raw TCP: by the page alone).
    pub html: bool,
    /// The reply is a redirect to another address (HTTP only).
    pub redirect: bool,
    /// The reply is replaced by HTTP's status 500 (HTTP only).
    pub server_error: bool,
    /// The reply goes out byte by byte, a millisecond apart.
    pub trickle: bool,
    /// The reply announces 1 GB (2 GiB on XOR) and goes on for as long as it is read, bounded at 64 MiB.
    pub oversize: bool,
    /// The reply is sent twice.
    pub doubled: bool,
    /// A second connection is reset while one is open.
    pub one_client: bool,

    /// Commands are answered, status 200 and well-formed, with the protocol's own words for a refusal.
    pub refuse: bool,
    /// Commands are accepted and the device reports the new state, but the relay does not move.
    pub lie: bool,
    /// Commands are accepted, but nothing moves and the device says so.
    pub stuck: bool,
    /// The relay and the reported state follow a command this much later.
    pub delay: Option<Duration>,
    /// An outlet switched off goes on again by itself after this long.
    pub bounce: Option<Duration>,
    /// The device reports another identity (as after an address was reused).
    pub wrong_identity: bool,
    /// Any credentials are refused.
    pub reject_auth: bool,
    /// Replies lack the state.
    pub no_state: bool,
    /// The meter shows nothing although the relay is on, or what it last showed: it is stuck at this many watts.
    pub meter_stuck: Option<f64>,
}

/// A fault's name that is not known.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is no fault; write one of: {names}, or none", names = Faults::NAMES.join(", "))]
pub struct UnknownFault(String);

impl Faults {
    /// Every name that [`set`](Self::set) takes.
    pub const NAMES: &[&str] = &[
        "slow",
        "silent",
        "reset",
        "drop_reply",
        "cut_reply",
        "garbage",
        "html",
        "redirect",
        "server_error",
        "trickle",
        "oversize",
        "doubled",
        "one_client",
        "refuse",
        "lie",
        "stuck",
        "delay",
        "bounce",
        "wrong_identity",
        "reject_auth",
        "no_state",
        "meter_stuck",
    ];

    /// Turns one fault on: `lie`, `slow=0.5` (seconds; 1 when left out) or `meter_stuck=30` (watts).
    ///
    /// # Errors
    /// [`UnknownFault`] for a name or number that cannot be read.
    pub fn set(&mut self, text: &str) -> Result<(), UnknownFault> {
        let (name, number) = match text.split_once('=') {
            Some((name, number)) => {
                let number = number
                    .trim()
                    .parse::<f64>()
                    .map_err(|_| UnknownFault(text.to_owned()))?;
                (name.trim(), Some(number))
            }
            None => (text.trim(), None),
        };
        let seconds = || {
            Duration::try_from_secs_f64(number.unwrap_or(1.0))
                .map(Some)
                .map_err(|_| UnknownFault(text.to_owned()))
        };
        match name {
            "slow" => self.slow = seconds()?,
            "delay" => self.delay = seconds()?,
            "bounce" => self.bounce = seconds()?,
            "meter_stuck" => self.meter_stuck = Some(number.unwrap_or(30.0)),
            _ => *self.flag(name).ok_or_else(|| UnknownFault(text.to_owned()))? = true,
        }
        Ok(())
    }

    /// The faults that are on, in the words of [`set`](Self::set).
    #[must_use]
    pub fn active(&self) -> Vec<String> {
        let mut copy = self.clone();
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        Self::NAMES
            .iter()
            .filter_map(|name| {
                let number = match *name {
                    "slow" => seconds(self.slow),
                    "delay" => seconds(self.delay),
                    "bounce" => seconds(self.bounce),
                    "meter_stuck" => self.meter_stuck,
                    _ => return copy.flag(name).is_some_and(|on| *on).then(|| (*name).to_owned()),
                };
                number.map(|number| format!("{name}={number}"))
            })
            .collect()
    }

    fn flag(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "silent" => &mut self.silent,
            "reset" => &mut self.reset,
            "drop_reply" => &mut self.drop_reply,
            "cut_reply" => &mut self.cut_reply,
            "garbage" => &mut self.garbage,
            "html" => &mut self.html,
            "redirect" => &mut self.redirect,
            "server_error" => &mut self.server_error,
            "trickle" => &mut self.trickle,
            "oversize" => &mut self.oversize,
            "doubled" => &mut self.doubled,
            "one_client" => &mut self.one_client,
            "refuse" => &mut self.refuse,
            "lie" => &mut self.lie,
            "stuck" => &mut self.stuck,
            "wrong_identity" => &mut self.wrong_identity,
            "reject_auth" => &mut self.reject_auth,
            "no_state" => &mut self.no_state,
            _ => return None,
        })
    }
}

/// Reads a comma-separated list of faults; `none` and an empty text are no faults.
impl FromStr for Faults {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let mut faults = Self::default();
        for fault in text
            .split(',')
            .map(str::trim)
            .filter(|fault| !fault.is_empty() && *fault != "none")
        {
            faults.set(fault)?;
        }
        Ok(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_fault() {
        for name in Faults::NAMES {
            let faults: Faults = name.parse().unwrap();
            assert_ne!(faults, Faults::default(), "{name}");
            assert_eq!(
                faults.active().join(",").parse::<Faults>().unwrap(),
                faults,
                "{name}"
            );
        }
        assert_eq!(Faults::default().active(), [""; 0]);
        assert_eq!("none".parse::<Faults>().unwrap(), Faults::default());
        assert!("lies".parse::<Faults>().is_err() && "slow=x".parse::<Faults>().is_err());
    }
}
