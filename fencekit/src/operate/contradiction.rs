//! The last question before a node counts as off: whether a device of its other level contradicts that.

use std::time::Duration;

use tokio::time::Instant;

use super::{Subject, Switch, Switched};
use crate::deadline::Deadline;
use crate::error::Error;
use crate::fence::FenceDeviceExt;
use crate::fleet::{self, Supply};
use crate::level::Level;
use crate::power::{Observation, PowerState};

/// Rest before the question: a BMC lives on the capacitors of its supply for a moment, and would still say on.
const REST: Duration = Duration::from_millis(500);
/// How long the question may take. A BMC without power, which is the usual case, costs all of it.
const LOOK: Duration = Duration::from_secs(3);

/// How much of the time before `deadline` is kept free for the question, while something else is to be done before it.
pub(super) fn kept(deadline: Deadline) -> Duration {
    (REST + LOOK).min(deadline.remaining() / 4)
}

impl Subject<'_> {
    /// Looks once, on a new connection, at every device of the other level than `by`, which was switched last, where
    /// its "on" [is life](crate::level::Standing::on_is_life), and notes in `off` those that contradict. One that does
    /// not answer does not matter: it is what a BMC without power does. Nobody is asked about an off that is not
    /// confirmed anyway.
    pub(super) async fn ask_the_others(&self, by: Level, off: &mut Switched, deadline: Deadline) {
        if !off.is_confirmed() {
            return;
        }
        let others: Vec<&Supply> = self
            .supplies
            .iter()
            .filter(|supply| supply.level != by && supply.standing().on_is_life())
            .collect();
        if others.is_empty() {
            return;
        }
        let time = match by {
            // The fallback may have the rest of it.
            Level::First => kept(deadline),
            // Nothing comes after this: it has what was kept free, whole.
            Level::Fallback => (REST + LOOK).min(deadline.remaining()),
        };
        let deadline = deadline.capped(time);
        tokio::time::sleep(REST.min(time / 4)).await;
        let said = fleet::each(&others, |_, supply| async move {
            let started = Instant::now();
            let what = what_contradicts(supply, deadline).await?;
            Some(Switch {
                label: supply.device.label().clone(),
                level: supply.level,
                outcome: Err(contradiction(&what, by)),
                elapsed: started.elapsed(),
                contradicts: true,
            })
        })
        .await;
        for against in said.into_iter().flatten() {
            log::error!("{}: {}", against.label, describe(&against));
            off.replace(against);
        }
    }
}

/// What a device shows that speaks against an off; none when it says off, and when it says nothing.
async fn what_contradicts(supply: &Supply, deadline: Deadline) -> Option<String> {
    let seen = match supply.device.status(&supply.policy, deadline).await {
        Ok(seen) => seen,
        Err(error) => {
            log::debug!("{}: it cannot contradict: {error}", supply.device.label());
            return None;
        }
    };
    match seen.observation {
        Observation::On => return Some("it says on".to_owned()),
        // A load is life, whatever the state is.
        Observation::Unknown(_) | Observation::Off => {}
    }
    let limit = supply.policy.off_max_watts?;
    let reading = match seen.power {
        Some(reading) => reading,
        None => supply.device.power_reading(&supply.policy, deadline).await.ok()?,
    };
    (!reading.at_most(limit))
        .then(|| format!("its meter reads {:.1} W (off_max_watts={limit})", reading.watts))
}

fn contradiction(what: &str, by: Level) -> Error {
    let (off, mend) = match by {
        Level::First => (
            "the devices of the first level say off",
            "are they this node's, and all of them?",
        ),
        Level::Fallback => ("the fallback says off", "does it cut all of this node's power?"),
    };
    Error::NotConfirmed {
        wanted: PowerState::Off.to_string(),
        detail: format!("{what} although {off}; {mend}"),
        source: None,
    }
}

fn describe(switch: &Switch) -> String {
    let error = switch.outcome.as_ref().err();
    error.map(ToString::to_string).unwrap_or_default()
}
