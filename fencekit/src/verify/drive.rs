//! Runs a verification over real devices and a prober.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::engine::{Engine, Request, Target};
use super::plan::{Plan, Timing};
use super::probe::{Heard, Path, Prober};
use super::report::Report;
use super::tally::{Finding, Look};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::fence::{FenceDeviceExt, Policy};
use crate::fleet::Supply;
use crate::power::Observation;

/// How long a quick look takes.
const SURVEY: Duration = Duration::from_secs(2);

/// Observes a node as its plan says and decides. Nothing is switched.
///
/// `supplies` are the plan's devices, in its order. The verification ends by itself: after the plan's window and at
/// most ten seconds more, or at the first sign of life.
///
/// # Errors
/// [`Error::Config`] when there are more or fewer supplies than planned devices, or a time is longer than
/// [`Timing::LONGEST`]. Whatever goes wrong with a device or a network is evidence, not an error.
pub async fn verify(plan: &Plan, supplies: &[Supply], prober: &dyn Prober) -> Result<Report> {
    plan.timing.check()?;
    drive(Engine::new(plan.clone()), plan, supplies, prober).await
}

/// Looks at a node once: every device and every network, for as long as a quick look takes, whether the node is
/// alive or not. The report's evidence is the result; its verdict comes from a window too short for a fence.
///
/// # Errors
/// As [`verify`].
pub async fn survey(plan: &Plan, supplies: &[Supply], prober: &dyn Prober) -> Result<Report> {
    let mut plan = plan.clone();
    plan.timing = Timing {
        wait: SURVEY,
        metered_wait: None,
        settle: Duration::ZERO,
    };
    drive(Engine::survey(plan.clone()), &plan, supplies, prober).await
}

async fn drive(mut engine: Engine, plan: &Plan, supplies: &[Supply], prober: &dyn Prober) -> Result<Report> {
    if plan.devices.len() != supplies.len() {
        let problem = format!(
            "{} are planned, {} were given",
            plan.devices.len(),
            supplies.len()
        );
        return Err(Error::config(
            "devices",
            problem,
            "give one for each, in the plan's order",
        ));
    }
    let started = Instant::now();
    let probing = Probing::new(supplies, prober);
    let mut running: FuturesUnordered<BoxFuture<'_, (u64, Finding)>> = FuturesUnordered::new();
    loop {
        let now = started.elapsed();
        for request in engine.poll(now) {
            let limit = request.until.saturating_sub(now);
            let path = match request.target {
                Target::Tcp(to) => engine.path_to_node(to.ip()),
                Target::Neighbour(to, _) => engine.path_to_node(to),
                _ => None,
            };
            running.push(Box::pin(probing.make(request, path.cloned(), limit)));
        }
        if let Some(ending) = engine.ending() {
            return Ok(Report::new(&plan.node, ending.clone()));
        }
        let wake = engine.poll_timeout().unwrap_or_default();
        tokio::select! {
            // Answers first: one that is there when the window ends still counts.
            biased;
            Some((id, finding)) = running.next(), if !running.is_empty() => {
                engine.handle(started.elapsed(), id, finding);
            }
            () = tokio::time::sleep_until(started + wake) => {}
        }
    }
}

struct Probing<'a> {
    supplies: &'a [Supply],
    prober: &'a dyn Prober,
    policies: Vec<Policy>,
    /// One for each device by method and address: plugs serve one client at a time, and two outlets of one strip
    /// are two feeds.
    turns: BTreeMap<String, Mutex<()>>,
}

impl<'a> Probing<'a> {
    fn new(supplies: &'a [Supply], prober: &'a dyn Prober) -> Self {
        // The engine itself asks again; a look that tries often would be a look from long ago.
        let once = |supply: &Supply| Policy {
            connect_attempts: 1,
            ..supply.policy.clone()
        };
        Self {
            supplies,
            prober,
            policies: supplies.iter().map(once).collect(),
            turns: supplies
                .iter()
                .map(|supply| (turn_of(supply), Mutex::new(())))
                .collect(),
        }
    }

    async fn make(&self, request: Request, path: Option<Path>, limit: Duration) -> (u64, Finding) {
        let deadline = Deadline::after(limit);
        let finding = match request.target {
            Target::Device(index) => Finding::Look(self.look(index, deadline).await),
            Target::DevicePath(to) | Target::NodePath(to) | Target::WitnessPath(to) => {
                Finding::Path(self.prober.path(to).await)
            }
            Target::Icmp(to) | Target::Witness(to) => Finding::Heard(self.prober.ping(to, deadline).await),
            Target::Tcp(to) => Finding::Heard(self.prober.connect(to, path.as_ref(), deadline).await),
            Target::Neighbour(to, asked_ago) => Finding::Heard(match path {
                Some(path) => self.prober.neighbour(to, &path, asked_ago).await,
                None => Heard::Failed("the way to it is not known".to_owned()),
            }),
        };
        (request.id, finding)
    }

    async fn look(&self, index: usize, deadline: Deadline) -> Look {
        let (Some(supply), Some(policy)) = (self.supplies.get(index), self.policies.get(index)) else {
            return Look {
                observation: Observation::unknown("no such device"),
                watts: None,
            };
        };
        let asking = async {
            let _turn = match self.turns.get(&turn_of(supply)) {
                Some(turn) => Some(turn.lock().await),
                None => None,
            };
            look_at(supply, policy, deadline).await
        };
        match tokio::time::timeout_at(deadline.instant(), asking).await {
            Ok(look) => look,
            Err(_) => unknown(policy, "the device did not answer in time"),
        }
    }
}

fn turn_of(supply: &Supply) -> String {
    let label = supply.device.label();
    format!("{} @ {}", label.method, label.address)
}

fn unknown(policy: &Policy, reason: &str) -> Look {
    Look {
        observation: Observation::unknown(reason),
        watts: policy.off_max_watts.map(|_| Err(reason.to_owned())),
    }
}

async fn look_at(supply: &Supply, policy: &Policy, deadline: Deadline) -> Look {
    let seen = match supply.device.status(policy, deadline).await {
        Ok(seen) => seen,
        Err(error) => return unknown(policy, &error.to_string()),
    };
    let watts = match (policy.off_max_watts, seen.power) {
        (None, _) => None,
        (Some(_), Some(reading)) => Some(Ok(reading.watts)),
        (Some(_), None) => {
            let reading = supply.device.power_reading(policy, deadline).await;
            Some(
                reading
                    .map(|reading| reading.watts)
                    .map_err(|error| error.to_string()),
            )
        }
    };
    Look {
        observation: seen.observation,
        watts,
    }
}
