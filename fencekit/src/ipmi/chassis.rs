//! Chassis and session commands, and what their answers say (IPMI 2.0, chapters 20, 22 and 28).

use super::config::Privilege;
use super::lan::{Request, netfn};
use crate::power::Observation;

/// Get Chassis Status. [`power`] reads the answer.
#[must_use]
pub fn status() -> Request {
    Request {
        netfn: netfn::CHASSIS,
        command: 0x01,
        data: Vec::new(),
        repeatable: true,
        doing: "reading the chassis status",
    }
}

/// What Chassis Control does. Off is the hard off; soft shutdown, reset and diagnostic interrupt are not built, since
/// none of them fences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The hard off.
    Off = 0,
    /// On.
    On = 1,
    /// Off and on by the BMC itself; never used to fence.
    Cycle = 2,
}

/// Chassis Control. A cycle is sent once, whatever becomes of it.
#[must_use]
pub fn control(control: Control) -> Request {
    Request {
        netfn: netfn::CHASSIS,
        command: 0x02,
        data: vec![control as u8],
        repeatable: control != Control::Cycle,
        doing: "waiting for the BMC to take the power command",
    }
}

/// Set Session Privilege Level.
#[must_use]
pub fn set_privilege(privilege: Privilege) -> Request {
    Request {
        netfn: netfn::APP,
        command: 0x3B,
        data: vec![privilege as u8],
        repeatable: true,
        doing: "setting the session's privilege level",
    }
}

/// Close Session.
pub(crate) fn close_session(bmc: u32) -> Request {
    Request {
        netfn: netfn::APP,
        command: 0x3C,
        data: bmc.to_le_bytes().to_vec(),
        repeatable: true,
        doing: "closing the session",
    }
}

/// Get Device ID.
pub(crate) fn device_id() -> Request {
    Request {
        netfn: netfn::APP,
        command: 0x01,
        data: Vec::new(),
        repeatable: true,
        doing: "asking for the device id",
    }
}

const POWER_ON: u8 = 0x01;
const OVERLOAD: u8 = 0x02;
const INTERLOCK: u8 = 0x04;
const POWER_FAULT: u8 = 0x08;
const CONTROL_FAULT: u8 = 0x10;

/// The power state in the data of a chassis status. `None` when the byte that holds it is missing.
#[must_use]
pub fn power(status: &[u8]) -> Option<Observation> {
    let power = *status.first()?;
    Some(if power & POWER_ON != 0 {
        Observation::On
    } else if power & CONTROL_FAULT != 0 {
        Observation::unknown(
            "the BMC says off, but also that the power did not follow its last command (power control fault)",
        )
    } else {
        Observation::Off
    })
}

/// What the BMC does once mains power returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RestorePolicy {
    StaysOff,
    AsBefore,
    AlwaysOn,
}

/// What a chassis status says besides the power state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extras {
    pub(crate) restore: Option<RestorePolicy>,
    pub(crate) overload: bool,
    pub(crate) interlock: bool,
    pub(crate) fault: bool,
    pub(crate) control_fault: bool,
}

/// Reads them; `None` when the first byte is missing.
pub(crate) fn extras(status: &[u8]) -> Option<Extras> {
    let power = *status.first()?;
    Some(Extras {
        restore: match (power >> 5) & 0x03 {
            0 => Some(RestorePolicy::StaysOff),
            1 => Some(RestorePolicy::AsBefore),
            2 => Some(RestorePolicy::AlwaysOn),
            _ => None,
        },
        overload: power & OVERLOAD != 0,
        interlock: power & INTERLOCK != 0,
        fault: power & POWER_FAULT != 0,
        control_fault: power & CONTROL_FAULT != 0,
    })
}

/// What Get Device ID tells: maker, product and firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceId {
    pub(crate) model: String,
    pub(crate) firmware: String,
}

/// Reads them; `None` when the answer is too short.
pub(crate) fn parse_device_id(data: &[u8]) -> Option<DeviceId> {
    let mut reader = super::bytes::Reader::new(data);
    let [_, _, major, minor, _, _] = reader.array()?;
    let [low, middle, high] = reader.array()?;
    let product = reader.le16()?;
    let maker = u32::from_le_bytes([low, middle, high & 0x0F, 0]);
    Some(DeviceId {
        model: format!("IPMI maker {maker} product {product}"),
        firmware: format!("{}.{minor:02x}", major & 0x7F),
    })
}
