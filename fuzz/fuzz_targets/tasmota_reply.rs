//! One reply of a Tasmota.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: (u8, &str)| fencekit::fuzz::tasmota::reply(data.1, data.0));
