//! DCMI: the power meter of BMCs that have one (DCMI 1.5, section 6.6.1).

use super::bytes::Reader;
use super::lan::{Request, netfn};

/// Identifies DCMI among the groups.
const GROUP: u8 = 0xDC;
const ACTIVE: u8 = 0x40;

/// Get Power Reading, the system's statistics.
pub(crate) fn power_reading() -> Request {
    Request {
        netfn: netfn::GROUP,
        command: 0x02,
        data: vec![GROUP, 0x01, 0x00, 0x00],
        repeatable: true,
        doing: "reading the DCMI power meter",
    }
}

/// The present power in watts.
///
/// # Errors
/// What is wrong with the answer. Never a zero in place of a value.
pub(crate) fn parse_power_reading(data: &[u8]) -> Result<f64, &'static str> {
    const CUT: &str = "the DCMI power reading is cut short";
    let mut reader = Reader::new(data);
    if reader.u8() != Some(GROUP) {
        return Err("the BMC's answer is no DCMI power reading");
    }
    let watts = reader.le16().ok_or(CUT)?;
    // Minimum, maximum and average, time stamp and period.
    reader.take(2 * 3 + 4 + 4).ok_or(CUT)?;
    match reader.u8() {
        Some(state) if state & ACTIVE != 0 => Ok(f64::from(watts)),
        Some(_) => Err("the DCMI power meter is not measuring"),
        None => Err(CUT),
    }
}
