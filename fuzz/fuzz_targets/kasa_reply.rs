//! One decrypted reply of a Kasa or Tapo device.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fencekit::fuzz::kasa::reply(data));
