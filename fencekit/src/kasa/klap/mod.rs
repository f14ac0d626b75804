//! KLAP: HTTP POSTs, encrypted with a key that both sides make of their seeds and the account.

mod codec;
#[cfg(fuzzing)]
pub(super) mod fuzz;
mod link;

pub(super) use codec::Version;
pub(super) use link::{KlapLink, session_cookie};
