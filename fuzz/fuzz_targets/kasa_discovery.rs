//! An answer to a search for Kasa and Tapo devices.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fencekit::fuzz::kasa::discovery(data));
