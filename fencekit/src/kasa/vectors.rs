//! Known answers for the codecs, computed by independent implementations.

use serde_json::Value;

/// The whole file.
pub(super) fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/kasa.json")).unwrap()
}

/// Bytes from hexadecimal digits.
pub(super) fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
