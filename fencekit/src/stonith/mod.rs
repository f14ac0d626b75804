//! The cluster file as cluster configuration: fence resources, levels, location rules and properties, and the texts
//! that bring them into a cluster.
//!
//! [`Configuration::new`] makes the model; [`pcs`], [`crmsh`], [`cib`] and [`ha_cluster`] turn it into text. Nothing
//! here talks to a device or a cluster.
//!
//! ```
//! use fencekit::cluster::Cluster;
//! use fencekit::stonith::{self, Configuration};
//!
//! let cluster = Cluster::from_text(
//!     "stonith_nodes:\n  storage-b: {method: kasa, ip: 10.20.20.202, mgmt_ip: 10.20.20.2}\n",
//!     "cluster.yml",
//! )?;
//! let wanted = Configuration::new(&cluster, "/etc/fencekit/cluster.yml".as_ref())?;
//! assert_eq!(wanted.levels[0].resources, ["fence-storage-b", "fence-verify-storage-b"]);
//! assert!(stonith::pcs(&wanted)?.starts_with("#!/bin/bash\n"));
//! # Ok::<(), fencekit::Error>(())
//! ```

mod build;
mod cib;
mod crmsh;
mod ha_cluster;
mod model;
mod pcs;
mod value;
mod verification;

pub use cib::cib;
pub use crmsh::crmsh;
pub use ha_cluster::ha_cluster;
pub(crate) use ha_cluster::{ROLE_SETS_EVERYTHING, scalar};
pub use model::{Attribute, Configuration, Level, LocationRule, Property, Resource};
pub use pcs::pcs;
pub use value::ShellWord;
