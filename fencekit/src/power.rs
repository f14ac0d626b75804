//! What an outlet can be asked to do, and what can be seen of it.

use std::fmt;

/// A state that an outlet is asked to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PowerState {
    /// Powered.
    On,
    /// Not powered.
    Off,
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

/// What a device, freshly asked, says of its outlet.
///
/// Only [`Observation::Off`] is off. There is no conversion from `Unknown` to either state, and no method
/// that treats "not on" as off.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an observation that nobody looks at proves nothing"]
pub enum Observation {
    /// The device says that the outlet is on.
    On,
    /// The device says that the outlet is off.
    Off,
    /// The state cannot be told; the reason says why.
    Unknown(String),
}

impl Observation {
    /// An unknown state with its reason.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown(reason.into())
    }

    /// Whether exactly `state` was seen.
    #[must_use]
    pub fn is(&self, state: PowerState) -> bool {
        matches!(
            (self, state),
            (Self::On, PowerState::On) | (Self::Off, PowerState::Off)
        )
    }

    /// The state in one word, for programs: `on`, `off` or `unknown`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Why the state cannot be told; none when it can.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Unknown(reason) => Some(reason),
            Self::On | Self::Off => None,
        }
    }

    /// What several outlets that feed one node say together: off only when there is at least one and all are
    /// off; on as soon as one is on; unknown otherwise.
    pub fn combined(observations: impl IntoIterator<Item = Observation>) -> Self {
        let mut together = None;
        for observation in observations {
            together = Some(match (together, observation) {
                (_, Self::On) | (Some(Self::On), _) => Self::On,
                (Some(Self::Unknown(reason)), _) | (_, Self::Unknown(reason)) => Self::Unknown(reason),
                (None | Some(Self::Off), Self::Off) => Self::Off,
            });
        }
        together.unwrap_or_else(|| Self::unknown("no outlet was asked"))
    }
}

impl From<PowerState> for Observation {
    fn from(state: PowerState) -> Self {
        match state {
            PowerState::On => Self::On,
            PowerState::Off => Self::Off,
        }
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str("on"),
            Self::Off => f.write_str("off"),
            Self::Unknown(reason) => write!(f, "unknown ({reason})"),
        }
    }
}

/// One reading of a meter. A value that the device did not send is `None`, never zero.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct PowerReading {
    /// Active power in watts.
    pub watts: f64,
    /// Voltage in volts.
    pub volts: Option<f64>,
    /// Current in amperes.
    pub amps: Option<f64>,
    /// Energy counter in kilowatt-hours.
    pub kilowatt_hours: Option<f64>,
}

impl PowerReading {
    /// A reading of active power alone.
    #[must_use]
    pub fn of_watts(watts: f64) -> Self {
        Self {
            watts,
            volts: None,
            amps: None,
            kilowatt_hours: None,
        }
    }

    /// Whether the reading is a number that says "at most `limit` watts". NaN, infinities and values below
    /// -1 W (a broken meter) never are.
    #[must_use]
    pub fn at_most(&self, limit: f64) -> bool {
        self.watts.is_finite() && self.watts >= -1.0 && self.watts <= limit
    }
}

#[cfg(test)]
mod tests {
    use super::Observation::{Off, On};
    use super::*;

    #[test]
    fn nothing_asked_is_not_off() {
        assert!(matches!(Observation::combined([]), Observation::Unknown(_)));
    }

    #[test]
    fn off_needs_every_outlet() {
        assert_eq!(Observation::combined([Off, Off]), Off);
        assert_eq!(Observation::combined([Off, On]), On);
        assert_eq!(Observation::combined([Observation::unknown("x"), On]), On);
        assert_eq!(Observation::combined([On, Observation::unknown("x")]), On);
        assert_eq!(
            Observation::combined([Off, Observation::unknown("x")]),
            Observation::unknown("x")
        );
        assert_eq!(
            Observation::combined([Observation::unknown("x"), Off]),
            Observation::unknown("x")
        );
    }

    #[test]
    fn a_broken_meter_is_never_below() {
        for broken in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -50.0] {
            assert!(!PowerReading::of_watts(broken).at_most(5.0));
        }
        assert!(PowerReading::of_watts(0.0).at_most(0.0));
        assert!(!PowerReading::of_watts(5.1).at_most(5.0));
    }
}
