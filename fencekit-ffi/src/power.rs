//! States and readings as C sees them.

use fencekit_core::{Confirmation, Observation, PowerReading};

use crate::failure::Failure;
use crate::result::fencekit_result;

/// Whether an outlet is on.
#[allow(non_camel_case_types, reason = "the name in C")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum fencekit_power {
    /// Not known. Never take it for off.
    Unknown = 0,
    /// On.
    On = 1,
    /// Off.
    Off = 2,
}

impl From<&Observation> for fencekit_power {
    fn from(observation: &Observation) -> Self {
        match observation {
            Observation::On => Self::On,
            Observation::Off => Self::Off,
            Observation::Unknown(_) => Self::Unknown,
        }
    }
}

/// The state, where it is known.
pub(crate) fn known(observation: &Observation) -> Result<fencekit_power, Failure> {
    match observation {
        Observation::Unknown(reason) => Err(Failure::new(
            fencekit_result::StateUnknown,
            format!("the state of the outlet is not known: {reason}"),
        )),
        known => Ok(known.into()),
    }
}

/// How an off was confirmed.
#[allow(non_camel_case_types, reason = "the name in C")]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct fencekit_confirmation {
    /// The state before anything was sent.
    pub before: fencekit_power,
    /// How often the command was sent.
    pub commands: u32,
    /// How many looks were taken after it.
    pub looks: u32,
    /// What the meter read afterwards, in watts; NaN when none was asked.
    pub watts: f64,
}

impl From<&Confirmation> for fencekit_confirmation {
    fn from(confirmation: &Confirmation) -> Self {
        Self {
            before: (&confirmation.before).into(),
            commands: confirmation.commands,
            looks: confirmation.looks,
            watts: confirmation.power.map_or(f64::NAN, |power| power.watts),
        }
    }
}

/// One reading of a meter. What the device did not report is NaN, never zero.
#[allow(non_camel_case_types, reason = "the name in C")]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct fencekit_power_reading {
    /// Active power in watts.
    pub watts: f64,
    /// Voltage in volts.
    pub volts: f64,
    /// Current in amperes.
    pub amps: f64,
    /// Energy counter in kilowatt-hours.
    pub kilowatt_hours: f64,
}

impl From<PowerReading> for fencekit_power_reading {
    fn from(reading: PowerReading) -> Self {
        let number = |value: Option<f64>| value.unwrap_or(f64::NAN);
        Self {
            watts: reading.watts,
            volts: number(reading.volts),
            amps: number(reading.amps),
            kilowatt_hours: number(reading.kilowatt_hours),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_off_is_off_and_zeroed_memory_is_not() {
        assert_eq!(known(&Observation::Off).unwrap(), fencekit_power::Off);
        assert_eq!(known(&Observation::On).unwrap(), fencekit_power::On);
        let unknown = known(&Observation::unknown("it does not say")).unwrap_err();
        assert_eq!(unknown.result, fencekit_result::StateUnknown);
        assert_eq!(fencekit_power::Unknown as u32, 0);
    }

    #[test]
    fn what_was_not_read_is_no_number() {
        let reading = fencekit_power_reading::from(PowerReading::of_watts(0.0));
        assert!(reading.watts == 0.0 && reading.volts.is_nan() && reading.amps.is_nan());
        assert!(reading.kilowatt_hours.is_nan());
    }
}
