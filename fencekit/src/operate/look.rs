//! The state of many nodes, all devices at once.

use std::time::Duration;

use serde::ser::{Serialize, Serializer};
use serde_json::{Value, json};

use super::document;
use crate::cluster::{Cluster, Node, supplies};
use crate::deadline::Deadline;
use crate::device::{Inspection, Label};
use crate::error::Result;
use crate::fence::FenceDeviceExt;
use crate::fleet::{self, Look, Supply};
use crate::level::{Level, Standing};
use crate::power::Observation;

/// What was seen of one device of a node.
#[derive(Debug)]
pub struct DeviceLook {
    /// The device.
    pub label: Label,
    /// The level that it belongs to.
    pub level: Level,
    /// What was seen.
    pub look: Look,
}

/// What was seen of a node's devices.
#[derive(Debug)]
pub struct NodeLook {
    /// The node's name.
    pub node: String,
    /// Its devices, the fallback last; or why they could not be asked at all (a password file that is missing).
    pub devices: Result<Vec<DeviceLook>>,
}

impl NodeLook {
    /// What the devices say together, by the rule of [`Standing::combined`].
    pub fn observation(&self) -> Observation {
        match &self.devices {
            Ok(devices) => Standing::combined(
                devices
                    .iter()
                    .map(|one| (Standing::of(one.level, &one.label), one.look.observation())),
            ),
            Err(error) => Observation::unknown(error.to_string()),
        }
    }
}

/// `{"node", "power", "detail", "devices"}`.
impl Serialize for NodeLook {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let devices: Vec<Value> = self
            .devices
            .iter()
            .flatten()
            .map(|one| document::look(&one.label, one.level, &one.look))
            .collect();
        let together = self.observation();
        json!({
            "node": self.node,
            "power": together.word(),
            "detail": together.reason(),
            "devices": devices,
        })
        .serialize(serializer)
    }
}

/// Several nodes of a cluster, to be looked at together.
#[derive(Debug)]
pub struct Nodes<'c> {
    nodes: Vec<&'c Node>,
    /// A password file that is missing concerns one node; the others are looked at all the same.
    supplies: Vec<Result<Vec<Supply>>>,
}

impl<'c> Nodes<'c> {
    /// The nodes with these names, in the order of the question; all of the file's when none is named.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a name that the cluster does not have.
    pub fn of(cluster: &'c Cluster, names: &[impl AsRef<str>]) -> Result<Self> {
        Self::within(cluster, names, Deadline::far())
    }

    /// The same within a limit, which bounds the programs and files that passwords come from; they are asked side by side.
    /// A node whose passwords are not there in time says so.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn within(cluster: &'c Cluster, names: &[impl AsRef<str>], deadline: Deadline) -> Result<Self> {
        let nodes: Vec<&Node> = if names.is_empty() {
            cluster.nodes.iter().collect()
        } else {
            names
                .iter()
                .map(|name| cluster.node(name.as_ref()))
                .collect::<Result<_>>()?
        };
        let supplies = supplies(&nodes, deadline);
        Ok(Self { nodes, supplies })
    }

    fn all(&self) -> Vec<&Supply> {
        self.supplies.iter().flatten().flatten().collect()
    }

    /// The devices that will be asked.
    pub fn labels(&self) -> impl Iterator<Item = &Label> {
        self.supplies
            .iter()
            .flatten()
            .flatten()
            .map(|supply| supply.device.label())
    }

    /// The state of every device, each within `patience`. `told` hears of each, by its place among
    /// [`labels`](Self::labels), as its answer comes in.
    pub async fn statuses(&self, patience: Duration, told: impl Fn(usize, &Look)) -> Vec<NodeLook> {
        let mut looks = fleet::statuses(&self.all(), patience, told).await.into_iter();
        self.nodes
            .iter()
            .zip(&self.supplies)
            .map(|(node, supplies)| NodeLook {
                node: node.name.clone(),
                devices: match supplies {
                    Ok(supplies) => Ok(supplies
                        .iter()
                        .zip(looks.by_ref())
                        .map(|(supply, look)| DeviceLook {
                            label: supply.device.label().clone(),
                            level: supply.level,
                            look,
                        })
                        .collect()),
                    Err(error) => Err(error.without_source()),
                },
            })
            .collect()
    }

    /// Reads the meter of every device that answered in [`statuses`](Self::statuses) without showing one, each within
    /// `patience`, and adds what it reads to its look. Where there is no meter, or it does not answer, nothing is
    /// added.
    pub async fn add_meters(&self, looks: &mut [NodeLook], patience: Duration) {
        let seen = looks
            .iter_mut()
            .flat_map(|node| node.devices.iter_mut().flatten());
        let (supplies, seen): (Vec<&Supply>, Vec<&mut Inspection>) = self
            .all()
            .into_iter()
            .zip(seen)
            .filter_map(|(supply, seen)| Some((supply, seen.look.outcome.as_mut().ok()?)))
            .filter(|(_, seen)| seen.power.is_none())
            .unzip();
        let readings = fleet::each(&supplies, |_, supply| async move {
            let deadline = Deadline::after(patience);
            supply.device.power_reading(&supply.policy, deadline).await
        })
        .await;
        for (seen, reading) in seen.into_iter().zip(readings) {
            seen.power = reading.ok();
        }
    }
}
