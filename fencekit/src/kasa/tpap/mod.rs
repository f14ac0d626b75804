//! TPAP: what new firmware speaks when third-party compatibility is off. A login by SPAKE2+, then AES-CCM.

mod codec;
mod link;
mod spake;

pub(super) use link::TpapLink;

#[cfg(fuzzing)]
pub(super) use codec::fuzz;
