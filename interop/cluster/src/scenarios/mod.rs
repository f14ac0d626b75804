//! What is done to the clusters, and what must come of it.

mod blocked;
mod configuration;
mod crossed;
mod defaults;
mod plain;
mod supplies;
mod told;

use crate::Checked;
use crate::lab::{Lab, PATIENCE};
use crate::rack::succeeded;

/// A cluster and its scenarios.
pub(crate) struct Planned {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its cluster file, from which everything about fencing comes.
    pub(crate) file: &'static str,
    /// Makes it ready for the first scenario.
    pub(crate) begin: fn(&mut Lab) -> Checked,
    /// What is done to it, in this order.
    pub(crate) scenarios: &'static [Scenario],
}

/// A fault, and what must come of it.
pub(crate) struct Scenario {
    /// Its name.
    pub(crate) name: &'static str,
    /// In a sentence.
    pub(crate) about: &'static str,
    /// Does it and looks.
    pub(crate) run: fn(&mut Lab) -> Checked<Outcome>,
}

/// What came of it, for the table.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// From the fault to the service's first write on the survivor.
    pub(crate) service_ms: Option<u64>,
    /// What was seen.
    pub(crate) told: String,
}

impl Planned {
    /// The scenario of this name.
    pub(crate) fn scenario(&self, name: &str) -> Option<&Scenario> {
        self.scenarios.iter().find(|scenario| scenario.name == name)
    }

    /// Those named, or all.
    pub(crate) fn chosen(&self, names: &[&str]) -> Vec<&Scenario> {
        let all = self.scenarios.iter();
        all.filter(|scenario| names.is_empty() || names.contains(&scenario.name))
            .collect()
    }
}

/// The clusters; they run side by side.
pub(crate) const CLUSTERS: &[Planned] = &[
    Planned {
        name: "dies",
        file: PLUGS,
        begin: |lab| fenced_by(lab, PLUGS),
        scenarios: plain::SCENARIOS,
    },
    Planned {
        name: "blocked",
        file: PLUGS,
        begin: |lab| fenced_by(lab, PLUGS),
        scenarios: blocked::SCENARIOS,
    },
    Planned {
        name: "gives-up",
        file: PLUGS,
        begin: |lab| fenced_by(lab, PLUGS),
        scenarios: blocked::GIVES_UP,
    },
    Planned {
        name: "supplies",
        file: SUPPLIES,
        begin: |lab| fenced_by(lab, SUPPLIES),
        scenarios: supplies::SCENARIOS,
    },
    Planned {
        name: "defaults",
        file: DEFAULTS,
        begin: |lab| fenced_by(lab, DEFAULTS),
        scenarios: defaults::SCENARIOS,
    },
];

/// Both storage nodes on smart plugs.
const PLUGS: &str = include_str!("../../files/plugs.yml");
/// A BMC with a plug in front of it; two power supplies.
const SUPPLIES: &str = include_str!("../../files/supplies.yml");
/// Smart plugs again, and no time is named.
const DEFAULTS: &str = include_str!("../../files/defaults.yml");

/// Configures the fencing, after which the service must come by itself.
fn fenced_by(lab: &mut Lab, file: &str) -> Checked {
    if lab.storage.writes() > 0 {
        return Err("the service ran before the cluster had fencing".to_owned());
    }
    succeeded(&lab.configure("storage-a", file, &[])?, "configure-stonith.sh")?;
    lab.settled()?;
    lab.wait("the service writes", PATIENCE, |lab| {
        lab.storage.owner().is_some()
    })
}

/// The node that has the service, and the other one.
fn roles(lab: &mut Lab) -> Checked<(&'static str, &'static str)> {
    match lab.storage.owner().as_deref() {
        Some("storage-a") => Ok(("storage-a", "storage-b")),
        Some("storage-b") => Ok(("storage-b", "storage-a")),
        other => Err(format!(
            "the service should run on a storage node, not on {other:?}"
        )),
    }
}

/// Waits for the service on the survivor, and says how long after the fault it wrote first.
fn taken_over(lab: &mut Lab, survivor: &str, fault: u64) -> Checked<u64> {
    let node = survivor.to_owned();
    lab.wait(&format!("the service on {survivor}"), PATIENCE, move |lab| {
        lab.storage.taken_over(&node, fault).is_some()
    })?;
    let first = lab.storage.taken_over(survivor, fault);
    Ok(first.map_or(0, |first| first.at.saturating_sub(fault)))
}

/// Ends corosync alone: the node leaves the cluster, and its service goes on writing.
fn kill_corosync(lab: &Lab, node: &str) -> Checked {
    let killed = lab.must(node, "sh", &["-c", "kill -KILL $(pidof corosync)"]);
    killed.map(drop)
}

/// What the log must say of a fencing that worked: the verification in the level succeeded.
fn fenced_and_verified(lab: &mut Lab, victim: &str, survivor: &str) -> Checked {
    let verified = format!("targeting {victim} using fence-verify-{victim} returned 0");
    lab.logged(survivor, &["'off'", &verified])?;
    logged_of(lab, victim, survivor)
}

/// What the log must say of any fencing that worked.
fn logged_of(lab: &mut Lab, victim: &str, survivor: &str) -> Checked {
    let done = format!("targeting {victim} by");
    lab.logged(survivor, &["'reboot'", &done, ": OK"])
}
