//! What the fuzzer calls.

use super::codec::{First, SEED, read_first};

/// A reply to the first half of a handshake. Nobody proves knowledge of an account by chance.
pub(in crate::kasa) fn handshake(bytes: &[u8]) {
    let known = matches!(read_first([7; SEED], bytes, None), First::Known(_));
    assert!(!known, "a handshake out of nothing");
}
