//! Whole nodes of a cluster file: every device that feeds them, and the proof that they are dead.
//!
//! The command line, the C library and the Python package all work through this room, so that a node is off, and is
//! dead, by the same rules everywhere. The results serialise to the documents that `--json` prints.
//!
//! ```no_run
//! # async fn example() -> fencekit::Result<()> {
//! use std::time::Duration;
//!
//! use fencekit::Deadline;
//! use fencekit::cluster::Cluster;
//! use fencekit::operate::Subject;
//! use fencekit::verify::HostProber;
//!
//! let cluster = Cluster::load("/etc/fencekit/cluster.yml")?;
//! let mut node = Subject::of(&cluster, "storage-b")?;
//! let fenced = node.fence(Deadline::after(Duration::from_secs(60)), &HostProber::new(), &()).await?;
//! assert!(fenced.report.is_confirmed_off());
//! # Ok(())
//! # }
//! ```

mod budget;
mod contradiction;
mod document;
mod look;
mod switch;

use std::time::Duration;

pub use budget::Budget;
pub use document::look as look_document;
pub use look::{DeviceLook, NodeLook, Nodes};
pub use switch::{Rebooted, Switch, Switched};

use crate::cluster::{Cluster, Entry, Node};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::fence::{Event, FenceDeviceExt};
use crate::fleet::{self, Supply};
use crate::level::Level;
use crate::power::{Observation, PowerState};
use crate::verify::{self, Plan, Prober, Report, Rule, Verdict};

/// How long a meter may take before the off. A fence does not wait for it any longer.
const BASELINE: Duration = Duration::from_secs(2);

/// Hears what happens to the devices of a node, for a progress line or a log. `()` ignores it.
pub trait Watch: Sync {
    /// Something happened to the device with this index among the node's. Called on the task that works; it must not
    /// block.
    fn event(&self, device: usize, event: Event<'_>);

    /// That device is done, well or not.
    fn done(&self, device: usize) {
        let _ = device;
    }

    /// A fence came to this verdict, and it is not the last: the fallback is tried now, and the node watched again. For a
    /// record, which [`Fenced::report`] alone would leave without it.
    fn superseded(&self, report: &Report) {
        let _ = report;
    }
}

impl Watch for () {
    fn event(&self, _: usize, _: Event<'_>) {}
}

/// A node, the devices that feed it, and what is verified of it.
#[derive(Debug)]
pub struct Subject<'c> {
    /// The node of the cluster file.
    pub node: &'c Node,
    /// Its devices, in the file's order and the fallback last. All of the first level must be off for the node to be off,
    /// or the fallback.
    pub supplies: Vec<Supply>,
    /// What is verified of it, from this host's point of view.
    pub plan: Plan,
}

/// A node that was switched off and watched.
#[derive(Debug)]
pub struct Fenced {
    /// The off. It may have failed and the node be dead all the same.
    pub off: Switched,
    /// The verdict, which alone decides: a success is [`Report::is_confirmed_off`].
    pub report: Report,
    /// The level that the node is dead by: the fallback, where it was confirmed off or the first level does not say so;
    /// none unless the node is proven dead.
    pub level: Option<Level>,
}

impl<'c> Subject<'c> {
    /// A node of a cluster, seen from this host: where the host is a node of the cluster itself, its own addresses
    /// are known and must be there for silence to count.
    ///
    /// # Errors
    /// [`Error::Config`] for a name that the cluster does not have, and for a device whose
    /// options or password file are wrong.
    pub fn of(cluster: &'c Cluster, name: &str) -> Result<Self> {
        Self::within(cluster, name, Deadline::far())
    }

    /// The same within a limit, which bounds the programs and files that passwords come from; they are asked side by side.
    ///
    /// # Errors
    /// As [`of`](Self::of), and [`Error::Timeout`] when `deadline` comes first.
    pub fn within(cluster: &'c Cluster, name: &str, deadline: Deadline) -> Result<Self> {
        Self::with(cluster, name, cluster.node(name)?.supplies_within(deadline)?)
    }

    /// The same with devices that were made ready before, by [`Node::supplies_within`] of this very node: where that must
    /// not block.
    ///
    /// # Errors
    /// [`Error::Config`] for a name that the cluster does not have, and for devices that are not the
    /// node's: fewer of them would make one power supply pass for all.
    pub fn with(cluster: &'c Cluster, name: &str, supplies: Vec<Supply>) -> Result<Self> {
        let node = cluster.node(name)?;
        let first = node.devices.iter().map(|entry| (entry, Level::First));
        let wanted = first.chain(node.fallback.iter().map(|entry| (entry, Level::Fallback)));
        let is_of = |(entry, level): (&Entry, Level), supply: &Supply| {
            level == supply.level && entry.method() == supply.device.label().method
        };
        let count = node.entries().count();
        if count != supplies.len() || !wanted.zip(&supplies).all(|(one, supply)| is_of(one, supply)) {
            return Err(Error::config(
                "devices",
                format!("these {} are not the {count} of {name}", supplies.len()),
                "make them ready by supplies_within of this node",
            ));
        }
        let plan = cluster.plan(node, &supplies, host().as_deref());
        Ok(Self { node, supplies, plan })
    }

    /// Watches the node to a verdict. Nothing is switched. It ends by itself: after the plan's window and at most ten
    /// seconds more, or at the first sign of life.
    ///
    /// # Errors
    /// As [`verify::verify`].
    pub async fn verify(&self, prober: &dyn Prober) -> Result<Report> {
        verify::verify(&self.plan, &self.supplies, prober).await
    }

    /// Switches the node off and watches it to a verdict. The verdict is asked for even when the off was not confirmed:
    /// it is what the operator needs then, and it alone decides.
    ///
    /// The fallback is tried when the first level is not confirmed off, and also when that is and the verdict speaks
    /// against it: a plug may say off that feeds another node. Then the node is watched again.
    ///
    /// `deadline` is for the off, of both levels together; the last verification may begin when it ends. Meters are read
    /// before it, where [`Timing::metered_wait`](verify::Timing) makes that matter.
    ///
    /// # Errors
    /// As [`verify::verify`]; what went wrong with a device is in [`Fenced::off`].
    pub async fn fence(
        &mut self,
        deadline: Deadline,
        prober: &dyn Prober,
        watch: &dyn Watch,
    ) -> Result<Fenced> {
        if self.plan.timing.metered_wait.is_some() {
            let baselines = baselines(&self.supplies).await;
            for (feed, watts) in self.plan.devices.iter_mut().zip(baselines) {
                feed.baseline_watts = watts;
            }
        }
        let mut off = self.switch(PowerState::Off, deadline, watch).await;
        let mut report = self.verify(prober).await?;
        let untried = self.has_fallback() && off.devices.iter().all(|one| one.level == Level::First);
        if untried && !deadline.expired() && could_be_mended_by_power(&report) {
            // The later verdict takes this one's place, but what was seen stays seen.
            watch.superseded(&report);
            log::warn!("{}; it is cut by its fallback", report.line());
            for evidence in &report.evidence {
                log::info!("{}: {evidence}", report.node);
            }
            let fallback = self
                .switch_level(Level::Fallback, PowerState::Off, deadline, watch)
                .await;
            off.devices.extend(fallback.devices);
            report = self.verify(prober).await?;
        }
        let level = self.dead_by(&off, &report);
        Ok(Fenced { off, report, level })
    }

    fn dead_by(&self, off: &Switched, report: &Report) -> Option<Level> {
        let cut = |one: &Switch| one.level == Level::Fallback && one.outcome.is_ok();
        let first = self.plan.power_of(Level::First, &report.evidence);
        let level = match off.devices.iter().any(cut) || first != Observation::Off {
            true => Level::Fallback,
            false => Level::First,
        };
        report.is_confirmed_off().then_some(level)
    }
}

/// Whether a node without any power could still get another verdict; what this host cannot hear, it cannot hear then.
fn could_be_mended_by_power(report: &Report) -> bool {
    match report.verdict {
        Verdict::ConfirmedOff => false,
        Verdict::StillAlive => true,
        Verdict::Inconclusive => matches!(report.rule, Rule::PowerNotOff | Rule::MeterNotBelow),
    }
}

/// What each meter reads before the off, where that matters to the verdict.
async fn baselines(supplies: &[Supply]) -> Vec<Option<f64>> {
    let all: Vec<&Supply> = supplies.iter().collect();
    fleet::each(&all, |_, supply| async move {
        supply.policy.off_max_watts?;
        let deadline = Deadline::after(BASELINE);
        match supply.device.power_reading(&supply.policy, deadline).await {
            Ok(reading) => Some(reading.watts),
            Err(error) => {
                log::warn!("{}: no baseline: {error}", supply.device.label());
                None
            }
        }
    })
    .await
}

/// The name of this host, as Pacemaker takes it for a node's; none where the system does not tell.
#[must_use]
pub fn host() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
