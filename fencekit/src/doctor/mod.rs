//! The preflight: what is wrong with a cluster's fencing, and how to mend it. Nothing is switched.
//!
//! [`examine`] asks every device at once, looks at the wiring, the networks, the files and agents on this host, the
//! drills, and, on a cluster node, at what Pacemaker has been told. Each [`Advice`] says what was found and what to do.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use fencekit::cluster::Cluster;
//! use fencekit::doctor::{self, Scope};
//!
//! # async fn example() -> fencekit::Result<()> {
//! let file = "/etc/fencekit/cluster.yml";
//! let cluster = Cluster::load(file)?;
//! let scope = Scope { file: Some(file.into()), ..Scope::default() };
//! let diagnosis = doctor::examine(&cluster, &scope, Duration::from_secs(10)).await?;
//! for advice in &diagnosis.findings {
//!     println!("{:?} {}: {}; {}", advice.severity, advice.topic, advice.detail, advice.mend);
//! }
//! # Ok(())
//! # }
//! ```

mod advice;
mod cluster;
mod device;
mod file;
mod host;
#[cfg(target_os = "linux")]
mod reach;
mod wiring;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use advice::{Advice, Topic};

use crate::cluster::{Cluster, Node, supplies};
use crate::deadline::Deadline;
use crate::device::Severity;
use crate::drills;
use crate::error::Result;
use crate::fleet::{self, Supply};
use crate::operate;

/// What is to be examined, and from where.
#[derive(Clone, Debug)]
pub struct Scope {
    /// These nodes; all when empty.
    pub nodes: Vec<String>,
    /// The cluster file, whose permissions are then looked at; `None` when it was no file.
    pub file: Option<PathBuf>,
    /// The name of this host, as Pacemaker takes it for a node's.
    pub host: Option<String>,
    /// The program that the fence agents' links must lead to; `None`: any program called `fencekit`.
    pub program: Option<PathBuf>,
    /// Where Pacemaker looks for fence agents.
    pub agents: PathBuf,
    /// Where `fencekit drill` keeps its records.
    pub drills: PathBuf,
    /// Whether nodes and witnesses are asked on their networks.
    pub networks: bool,
    /// Whether Pacemaker on this host is asked what it was told.
    pub pacemaker: bool,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            file: None,
            host: operate::host(),
            program: None,
            agents: PathBuf::from("/usr/sbin"),
            drills: PathBuf::from(drills::PATH),
            networks: true,
            pacemaker: true,
        }
    }
}

/// What an examination came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing stands against relying on the fencing; there may be warnings.
    Good,
    /// At least one problem.
    Problem,
    /// No problem, but something could not be examined.
    Inconclusive,
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// What it comes to.
    pub outcome: Outcome,
    /// The nodes that were examined, in the order of the question.
    pub nodes: Vec<String>,
    /// What was found: node by node, then what concerns the cluster and this host.
    pub findings: Vec<Advice>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

impl Diagnosis {
    fn new(nodes: &[&Node], mut findings: Vec<Advice>, elapsed: Duration) -> Self {
        let devices: Vec<Option<String>> = findings.iter().map(|advice| advice.device.clone()).collect();
        findings.sort_by_key(|advice| {
            let node = advice.node.as_ref();
            let node = node.and_then(|name| nodes.iter().position(|node| node.name == *name));
            let device = advice
                .device
                .is_some()
                .then(|| devices.iter().position(|one| *one == advice.device));
            (
                node.unwrap_or(nodes.len()),
                device.flatten().unwrap_or(devices.len()),
            )
        });
        // What keeps a device from being asked may keep the cluster from being configured too.
        let mut told = BTreeSet::new();
        findings.retain(|advice| {
            told.insert((advice.device.clone(), advice.detail.clone())) || advice.node.is_some()
        });
        let worst = findings.iter().map(|advice| advice.severity).max();
        Self {
            outcome: match worst {
                Some(Severity::Problem) => Outcome::Problem,
                Some(Severity::Unknown) => Outcome::Inconclusive,
                Some(Severity::Info | Severity::Warning) | None => Outcome::Good,
            },
            nodes: nodes.iter().map(|node| node.name.clone()).collect(),
            findings,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The exit code of `fencekit doctor`: 0 good, 1 a problem, 3 something could not be examined.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.outcome {
            Outcome::Good => 0,
            Outcome::Problem => 1,
            Outcome::Inconclusive => 3,
        }
    }
}

/// What is wrong with the fencing of a cluster. Each device is asked within `patience`, all at once; nothing is
/// switched.
///
/// Password files and scripts are read first, side by side and within `patience` as well; that blocks.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) when a node of the scope is not in the cluster. Whatever else goes wrong
/// is a finding.
pub async fn examine(cluster: &Cluster, scope: &Scope, patience: Duration) -> Result<Diagnosis> {
    let started = Instant::now();
    let nodes = chosen(cluster, &scope.nodes)?;
    let mut findings = Vec::new();

    let mut fed = Vec::new();
    let made = supplies(&nodes, Deadline::after(patience));
    for (node, made) in nodes.iter().zip(made) {
        match made {
            Ok(supplies) => fed.push((*node, supplies)),
            Err(error) => findings.push(device::failure(&error).of(&node.name)),
        }
    }
    let answers = ask(&fed, patience).await;
    findings.extend(answers.iter().flat_map(device::Answer::advice));
    findings.extend(wiring::examine(cluster, &answers));
    #[cfg(target_os = "linux")]
    if scope.networks {
        findings.extend(reach::examine(cluster, &nodes, &answers, scope.host.as_deref()).await);
    }
    findings.extend(file::examine(cluster, &nodes, scope.file.as_deref()));
    findings.extend(host::examine(cluster, &nodes, scope, &fed));
    if scope.pacemaker {
        findings.extend(cluster::examine(cluster, &nodes, scope).await);
    }
    Ok(Diagnosis::new(&nodes, findings, started.elapsed()))
}

fn chosen<'c>(cluster: &'c Cluster, names: &[String]) -> Result<Vec<&'c Node>> {
    if names.is_empty() {
        return Ok(cluster.nodes.iter().collect());
    }
    let mut nodes: Vec<&Node> = Vec::new();
    for name in names {
        let node = cluster.node(name)?;
        if !nodes.iter().any(|known| known.name == node.name) {
            nodes.push(node);
        }
    }
    Ok(nodes)
}

/// Asks every device, all at once.
async fn ask<'c>(fed: &'c [(&'c Node, Vec<Supply>)], patience: Duration) -> Vec<device::Answer<'c>> {
    let each = || {
        fed.iter().flat_map(|(node, supplies)| {
            let entries = node.entries();
            supplies
                .iter()
                .zip(entries)
                .map(|(supply, entry)| (*node, entry, supply))
        })
    };
    let supplies: Vec<&Supply> = each().map(|(.., supply)| supply).collect();
    let asked = fleet::each(&supplies, |_, supply| device::ask(supply, patience)).await;
    each()
        .zip(asked)
        .map(|((node, entry, supply), asked)| device::Answer {
            node,
            entry,
            supply,
            asked,
        })
        .collect()
}
