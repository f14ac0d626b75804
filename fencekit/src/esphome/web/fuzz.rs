//! What the fuzzer calls.

use crate::esphome::plug::Name;
use crate::power::Observation;

use super::codec;

/// Reads bytes as everything that they may be a reply to; gives the state of the switch.
pub(in crate::esphome) fn replies(bytes: &[u8], name: &Name) -> Option<Observation> {
    let _ = (
        codec::watts(bytes, name),
        codec::has_identity(bytes),
        codec::identity(bytes),
    );
    codec::switch_state(bytes, name).ok()
}
