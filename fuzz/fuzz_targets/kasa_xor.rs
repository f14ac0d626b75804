//! XOR frames of a Kasa device, in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: (u16, &[u8])| fencekit::fuzz::kasa::xor(data.1, usize::from(data.0)));
