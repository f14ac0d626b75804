//! Packets of a BMC that does not know the password.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fencekit::fuzz::ipmi::session(data));
