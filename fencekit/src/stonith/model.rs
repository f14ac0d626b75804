//! What the cluster is to be told.

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;

/// Fencing as the cluster is to have it.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The fence resources, node after node, in the order of the level.
    pub resources: Vec<Resource>,
    /// One level for each node, and a second one where it has a fallback: every resource in a level must succeed.
    pub levels: Vec<Level>,
    /// Where a resource must not run.
    pub rules: Vec<LocationRule>,
    /// Properties of the whole cluster.
    pub properties: Vec<Property>,
    /// What the user must know or do, a sentence each: verifications left out, files to be placed.
    pub notes: Vec<String>,
    /// Files with a password that must exist on every node, readable by root alone.
    pub secret_files: Vec<PathBuf>,
}

impl Configuration {
    /// Whether a text made of it holds a password or key.
    #[must_use]
    pub fn holds_secrets(&self) -> bool {
        self.resources
            .iter()
            .flat_map(|resource| &resource.attributes)
            .any(|attribute| attribute.secret)
    }
}

/// One fence resource.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its name in the cluster: `fence-NODE`, `fence-NODE-2` for the second supply, `fence-verify-NODE`;
    /// `fence-NODE-fallback` and `fence-verify-NODE-fallback` in the second level.
    pub id: String,
    /// The fence agent, as `fence_kasa`.
    pub agent: &'static str,
    /// The node that it fences.
    pub node: String,
    /// Its options, in a fixed order.
    pub attributes: Vec<Attribute>,
    /// How often the cluster asks whether it works; whole seconds.
    pub monitor_interval: Duration,
}

/// An option of a fence resource.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// Its name.
    pub name: &'static str,
    /// Its value; every value is held as if it were secret, since whoever prints it has to say so.
    pub value: Secret,
    /// Whether it is a password or key.
    pub secret: bool,
}

/// The fence resources of a node, all of which must succeed, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// The node that is fenced.
    pub node: String,
    /// Its number, from 1; a higher one is tried when a lower one failed.
    pub index: u8,
    /// The resources' names.
    pub resources: Vec<String>,
}

/// A resource that must never run on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocationRule {
    /// The resource's name.
    pub resource: String,
    /// The node's name.
    pub node: String,
}

/// A property of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
}
