//! Fencing for high-availability clusters.
//!
//! When a cluster node stops answering, a survivor may take over its storage only once that node is
//! certainly dead. This crate switches the node's power off through a smart plug, an HTTP outlet or a
//! BMC, and says "off" only when the device, freshly asked, says so itself.
//!
//! **A false "off" destroys data; a false "on" only delays a failover.** Every type follows from that:
//! only [`Observation::Off`] is off. A timeout, a reset, a cut reply or a wrong device is an [`Error`]
//! or [`Observation::Unknown`], and neither ever becomes a success.
//!
//! # Rooms
//!
//! - [`device`]: the [`FenceDevice`] trait that a backend implements, and the [`Session`] it opens.
//! - [`fence`]: the one place where "off" is confirmed, for every backend.
//! - [`options`] and [`method`]: devices from the fence agents' option names.
//! - `kasa`, `tasmota`, `esphome`, `http_outlet`, `ipmi`: the backends, one feature each.
//! - `cluster`: the cluster file. `operate`: its nodes switched, fenced and verified. `fleet`: many devices at once.
//!   `stonith`: the file as cluster configuration.
//! - `doctor`: what is wrong with a cluster's fencing, and how to mend it. `explain`: why a failover is blocked.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "cluster")]
pub mod cluster;
pub mod credentials;
pub mod deadline;
pub mod device;
pub mod discover;
#[cfg(all(feature = "cluster", feature = "verify"))]
pub mod doctor;
#[cfg(feature = "cluster")]
pub mod drills;
pub mod error;
#[cfg(feature = "esphome")]
pub mod esphome;
#[cfg(all(feature = "cluster", feature = "verify"))]
pub mod explain;
pub mod fence;
pub mod fleet;
#[cfg(fuzzing)]
pub mod fuzz;
#[cfg(feature = "cluster")]
pub mod generate;
#[cfg(feature = "http")]
pub mod http_outlet;
pub mod identity;
#[cfg(feature = "ipmi")]
pub mod ipmi;
#[cfg(feature = "kasa")]
pub mod kasa;
pub mod level;
pub mod method;
#[cfg(all(feature = "cluster", feature = "verify"))]
pub mod operate;
pub mod options;
#[cfg(all(feature = "cluster", feature = "verify"))]
pub(crate) mod pacemaker;
pub mod power;
pub mod secret;
#[cfg(feature = "cluster")]
pub mod stonith;
#[cfg(feature = "tasmota")]
pub mod tasmota;
#[cfg_attr(
    not(all(
        feature = "kasa",
        feature = "tasmota",
        feature = "esphome",
        feature = "http",
        feature = "ipmi",
        feature = "tls"
    )),
    allow(
        dead_code,
        unused_imports,
        reason = "a backend that is left out may be the only one to use a part"
    )
)]
pub(crate) mod transport;
#[cfg(feature = "verify")]
pub mod verify;

pub use deadline::Deadline;
pub use device::{FenceDevice, Finding, Inspection, Label, Outlet, Readback, Session, Severity};
pub use discover::Found;
pub use error::{Error, Result};
pub use fence::{Confirmation, FenceDeviceExt, Policy};
pub use fleet::Supply;
pub use identity::{ExpectedIdentity, Identity};
pub use level::{Level, Standing};
pub use method::Method;
pub use options::Settings;
pub use power::{Observation, PowerReading, PowerState};
pub use secret::Secret;
