//! AES securePassthrough: JSON envelopes over HTTP, with a key that the device encrypts for us.

mod codec;
mod link;

pub(super) use codec::LoginVersion;
pub(super) use link::{AesLink, LazyKeyPair};

#[cfg(fuzzing)]
pub(super) use codec::fuzz;
