//! A cluster file.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &str| fencekit::fuzz::cluster(data));
