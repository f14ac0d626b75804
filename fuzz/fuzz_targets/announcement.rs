//! An answer to a search over mDNS or for BMCs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fencekit::fuzz::announcement(data));
