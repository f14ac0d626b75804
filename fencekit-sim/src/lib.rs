//! Simulated fence devices with injectable faults, for tests, `fencekit sim` and `fencekit demo`.
//!
//! A simulated device is a [`Device`]: outlets, an identity and [`Faults`] that can be set while it runs. The
//! protocol modules serve one over real sockets. The simulator is not the judge of a backend: shared codecs hide
//! shared bugs, so each backend is also tested against devices that others wrote (see `interop/`).

pub mod cluster;
pub mod device;
pub mod esphome;
pub mod fault;
pub mod http;
pub mod http_outlet;
pub mod ipmi;
pub mod kasa;
pub mod network;
pub mod tasmota;
pub mod wire;

pub use device::{Device, Outlet, Spec};
pub use fault::Faults;
pub use network::SimNetwork;
pub use wire::{Running, Wire};
