//! One packet or message of a BMC.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fencekit::fuzz::ipmi::message(data));
