//! What the fuzzer calls.

use zeroize::Zeroizing;

use crate::power::Observation;

use super::native::fuzz as native;
use super::plug::Name;
use super::web::fuzz as web;

/// A reply of `web_server` about a switch called Relay, a sensor or the device.
pub fn web(bytes: &[u8]) {
    let state = web::replies(bytes, &Name::new("Relay"));
    if matches!(state, Some(Observation::Off)) {
        assert!(
            bytes.windows(5).any(|word| word == b"false"),
            "off out of nothing"
        );
    }
}

/// What a device says over the native API, cut after `cut` bytes; in plaintext, and to somebody who waits for
/// encryption, which nobody sets up by chance.
pub fn native(bytes: &[u8], cut: usize) {
    native::talk(bytes, cut, Zeroizing::new([9; 32]));
}
