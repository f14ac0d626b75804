//! XOR over TCP 9999, and over UDP 9999 for discovery.

pub(super) mod codec;
mod link;

pub(super) use link::XorLink;
