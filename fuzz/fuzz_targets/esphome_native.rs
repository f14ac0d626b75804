//! What an ESPHome device says over the native API, in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: (u16, &[u8])| fencekit::fuzz::esphome::native(data.1, usize::from(data.0)));
