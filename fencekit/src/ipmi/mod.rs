//! BMCs over IPMI 2.0 (RMCP+), without ipmitool.
//!
//! - [`Bmc`]: the fence device, over one UDP socket for each session.
//! - [`fleet`]: many BMCs at once.
//! - [`machine`]: the session itself, without sockets and clock.
//!
//! Every session proves in both directions that its sides know the password, and every answer that counts is
//! authenticated and new: so the state is read back on the same session. Cipher suite 17 is tried first, 3 only when
//! the BMC explicitly refuses 17; whatever is weaker is refused, and IPMI 1.5 is not built.
//!
//! RAKP gives a hash of the password to anyone who knows a user's name and reaches the BMC. That is the protocol:
//! use long random passwords and a network of its own for BMCs.

mod bytes;
pub mod chassis;
mod config;
mod crypto;
mod dcmi;
mod device;
pub mod discovery;
pub mod fleet;
#[cfg(fuzzing)]
pub mod fuzz;
mod guid;
mod handshake;
mod lan;
mod link;
mod live;
pub mod machine;
mod patience;
mod rmcp;
mod setup;
mod suite;
#[cfg(test)]
mod tests;
mod window;

pub use config::{Config, OPTIONS, Privilege, Quirks};
pub use device::Bmc;
pub use lan::{Answer, Request};
pub use machine::Machine;
pub use suite::Suite;

use crate::device::FenceDevice;
use crate::error::Result;
use crate::options::Settings;

pub(crate) fn device(settings: &Settings) -> Result<Box<dyn FenceDevice>> {
    Ok(Box::new(Bmc::from_settings(settings)?))
}
