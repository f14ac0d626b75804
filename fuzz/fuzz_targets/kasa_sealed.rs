//! The replies of a Kasa or Tapo device over AES and TPAP.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fencekit::fuzz::kasa::sealed(data));
