//! A reply of ESPHome's web server.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fencekit::fuzz::esphome::web(data));
