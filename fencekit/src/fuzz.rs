//! Every parser, for the fuzzer. Only in builds with `--cfg fuzzing`: no part of the library's interface.
#![allow(missing_docs, clippy::panic, clippy::missing_panics_doc)]

pub use crate::esphome::fuzz as esphome;
pub use crate::ipmi::fuzz as ipmi;
pub use crate::kasa::fuzz as kasa;
pub use crate::tasmota::fuzz as tasmota;

/// A `WWW-Authenticate` header.
pub fn challenge(header: &str) {
    let _ = crate::transport::digest::best(crate::transport::digest::challenges([header]));
}

/// A cluster file.
pub fn cluster(text: &str) {
    let _ = crate::cluster::Cluster::from_text(text, "cluster.yml");
}

/// An answer to a search over mDNS or by a BMC, which anybody on the network can send.
pub fn announcement(packet: &[u8]) {
    crate::discover::fuzz(packet);
    let _ = crate::ipmi::discovery::is_pong(packet);
}
