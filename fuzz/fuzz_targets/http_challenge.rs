//! A WWW-Authenticate header.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &str| fencekit::fuzz::challenge(data));
