//! What can be generated, by name.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A kind of configuration that [`produce`](super::produce) makes of a cluster file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `configure-stonith.sh`: a script that brings fencing into a cluster with pcs.
    Pcs,
    /// Lines for `crm configure load update`.
    Crmsh,
    /// The cluster's own XML.
    Cib,
    /// Variables of the linux-system-roles role `ha_cluster`.
    HaCluster,
    /// Ansible's group and host variables, those of the role `ha_cluster` among them.
    Ansible,
    /// Firewall rules around the fence devices.
    Nftables,
    /// Alert rules for Prometheus.
    Prometheus,
    /// ESPHome firmware configuration: a file for each device, and their secrets apart.
    Esphome,
    /// Console commands that make Tasmota devices right for fencing; their passwords apart.
    Tasmota,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Pcs,
        Self::Crmsh,
        Self::Cib,
        Self::HaCluster,
        Self::Ansible,
        Self::Nftables,
        Self::Prometheus,
        Self::Esphome,
        Self::Tasmota,
    ];

    /// The name on the command line, in Python and in C.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcs => "pcs",
            Self::Crmsh => "crmsh",
            Self::Cib => "cib",
            Self::HaCluster => "ha-cluster",
            Self::Ansible => "ansible",
            Self::Nftables => "nftables",
            Self::Prometheus => "prometheus",
            Self::Esphome => "esphome",
            Self::Tasmota => "tasmota",
        }
    }

    /// What it is, in one line for people.
    #[must_use]
    pub fn summary(self) -> &'static str {
        match self {
            Self::Pcs => "A script that brings fencing into a cluster with pcs (configure-stonith.sh)",
            Self::Crmsh => "A configuration for crm configure load update",
            Self::Cib => "The cluster's own XML",
            Self::HaCluster => "Variables of the linux-system-roles role ha_cluster",
            Self::Ansible => "Ansible's group_vars and host_vars, those of the role ha_cluster among them",
            Self::Nftables => {
                "Firewall rules: each node reaches every device but its own, devices reach nothing"
            }
            Self::Prometheus => "Alert rules for what fencekit probe measures",
            Self::Esphome => {
                "ESPHome firmware configuration, a file for each device and one with their secrets"
            }
            Self::Tasmota => "Console commands that make Tasmota devices right for fencing",
        }
    }

    /// Whether it is a set of files that belong into a directory, rather than one text.
    #[must_use]
    pub fn is_directory(self) -> bool {
        matches!(self, Self::Esphome | Self::Ansible)
    }

    /// Whether its text is a program, to be executable where it is written.
    #[must_use]
    pub fn is_program(self) -> bool {
        matches!(self, Self::Pcs)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = Error;

    /// # Errors
    /// [`Error::Config`] for a name that is none; it lists those there are.
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                Error::config(
                    "kind",
                    format!("{text:?} is not known"),
                    format!("write one of: {names}"),
                )
            })
    }
}

impl serde::Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
