//! The reply to a KLAP handshake.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fencekit::fuzz::kasa::handshake(data));
