//! The verification pipeline: proves a node dead, or says why not.
//!
//! A fence device's word is one witness among several. A [`Plan`] names a node's devices and the addresses it
//! answers on while it lives; [`verify`] asks the devices and probes the addresses, all at once and again and again
//! for the whole window, and [`decide`] makes a verdict of what was seen:
//!
//! - [`Verdict::ConfirmedOff`]: every device says off, and every network was silent although an answer would have
//!   been heard. The only success.
//! - [`Verdict::StillAlive`]: a device says on, or the node answered anywhere.
//! - [`Verdict::Inconclusive`]: everything else. A probe that failed shows nothing, and a network that could not
//!   have been heard is not silent.

mod drive;
pub(crate) mod engine;
pub mod evidence;
#[cfg(target_os = "linux")]
mod linux;
pub mod plan;
pub mod probe;
pub mod report;
mod rules;
#[cfg(test)]
mod simulation;
mod stream;
mod summary;
mod tally;
#[cfg(test)]
mod truth_table;
pub mod verdict;

pub use drive::{survey, verify};
pub use evidence::{Evidence, Outcome, Probe};
#[cfg(target_os = "linux")]
pub use linux::HostProber;
pub use plan::{Feed, Network, Plan, Timing};
pub use probe::{Heard, Path, Prober};
pub use report::Report;
pub use verdict::{Decision, Rule, Verdict, Window, decide};
