//! Many devices at once.
//!
//! Devices are asked side by side, at most [`AT_ONCE`] of them, so that one slow device delays nobody. Outlets of one
//! device are asked one after the other: plugs and relays serve one client at a time. Results come in the order of
//! the question.
//!
//! The state of many BMCs is asked over a few sockets that they share; every other device takes one of its own.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::deadline::Deadline;
use crate::device::{FenceDevice, Inspection};
use crate::error::Result;
use crate::fence::{FenceDeviceExt, Policy};
use crate::level::{Level, Standing};
use crate::method::Method;
use crate::options::Settings;
use crate::power::Observation;

/// How many devices are asked at once. Each takes a socket, and a process commonly has 1024.
pub const AT_ONCE: usize = 400;

/// A device that feeds a node, and what it takes to believe it.
#[derive(Debug)]
pub struct Supply {
    /// The device.
    pub device: Box<dyn FenceDevice>,
    /// Identity, meter, patience.
    pub policy: Policy,
    /// To which level of its node it belongs; the first, where it stands alone.
    pub level: Level,
}

impl Supply {
    /// A device that stands alone.
    #[must_use]
    pub fn new(device: Box<dyn FenceDevice>, policy: Policy) -> Self {
        Self {
            device,
            policy,
            level: Level::First,
        }
    }

    /// The same from its options.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for options that are wrong or missing, and
    /// [`Error::Unsupported`](crate::Error::Unsupported) when this build lacks the backend.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let device = settings.method().device(settings)?;
        Ok(Self::new(device, Policy::from_settings(settings)?))
    }

    /// How much its word weighs for its node.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing::of(self.level, self.device.label())
    }
}

/// What became of looking at one device.
#[derive(Debug)]
pub struct Look {
    /// What was seen, or why nothing was.
    pub outcome: Result<Inspection>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Look {
    /// What the look says of the state. An error says nothing.
    pub fn observation(&self) -> Observation {
        match &self.outcome {
            Ok(seen) => seen.observation.clone(),
            Err(error) => Observation::unknown(error.to_string()),
        }
    }
}

/// The state of every device, each within `patience`. `told` hears of each one as it comes in, by its index.
///
/// Patience counts from the moment that a device's turn comes, so that a long list does not starve its end. BMCs share
/// a few sockets; every other device takes one of its own.
pub async fn statuses(supplies: &[&Supply], patience: Duration, told: impl Fn(usize, &Look)) -> Vec<Look> {
    let (bmcs, others): (Vec<usize>, Vec<usize>) = (0..supplies.len())
        .partition(|index| supplies.get(*index).is_some_and(|supply| bmcs::is_one(supply)));
    let told = |index: usize, look: Look| {
        told(index, &look);
        (index, look)
    };
    let connected = async {
        let chosen: Vec<&Supply> = others
            .iter()
            .filter_map(|index| supplies.get(*index).copied())
            .collect();
        each(&chosen, |at, supply| {
            let (told, index) = (&told, others.get(at).copied().unwrap_or_default());
            async move { told(index, status(supply, patience).await) }
        })
        .await
    };
    let (mut looks, more) =
        futures_util::future::join(connected, bmcs::statuses(supplies, &bmcs, patience, &told)).await;
    looks.extend(more);
    looks.sort_by_key(|(index, _)| *index);
    looks.into_iter().map(|(_, look)| look).collect()
}

async fn status(supply: &Supply, patience: Duration) -> Look {
    let started = Instant::now();
    let deadline = Deadline::after(patience);
    Look {
        outcome: supply.device.status(&supply.policy, deadline).await,
        elapsed: started.elapsed(),
    }
}

#[cfg(feature = "ipmi")]
mod bmcs {
    //! Many BMCs over few sockets.

    use super::*;
    use crate::ipmi::{Bmc, fleet};

    pub(super) fn is_one(supply: &Supply) -> bool {
        supply.device.as_bmc().is_some()
    }

    pub(super) async fn statuses<T>(
        supplies: &[&Supply],
        indices: &[usize],
        patience: Duration,
        told: &impl Fn(usize, Look) -> T,
    ) -> Vec<T> {
        let chosen: Vec<(usize, &Supply, &Bmc)> = indices
            .iter()
            .filter_map(|index| {
                let supply = supplies.get(*index)?;
                Some((*index, *supply, supply.device.as_bmc()?))
            })
            .collect();
        let bmcs: Vec<&Bmc> = chosen.iter().map(|(_, _, bmc)| *bmc).collect();
        let turns = u32::try_from(bmcs.len().div_ceil(fleet::SESSIONS)).unwrap_or(u32::MAX);
        let deadline = Deadline::after(patience.saturating_mul(turns));
        let (mut done, mut nameless) = (Vec::with_capacity(bmcs.len()), Vec::new());
        fleet::watch(&bmcs, deadline, patience, |at, outcome, elapsed| {
            let Some((index, supply, _)) = chosen.get(at) else {
                return;
            };
            match outcome.and_then(|seen| identified(supply, seen)) {
                Ok(None) => nameless.push((*index, *supply)),
                Ok(Some(seen)) => done.push(told(
                    *index,
                    Look {
                        outcome: Ok(seen),
                        elapsed,
                    },
                )),
                Err(error) => done.push(told(
                    *index,
                    Look {
                        outcome: Err(error),
                        elapsed,
                    },
                )),
            }
        })
        .await;
        let again: Vec<&Supply> = nameless.iter().map(|(_, supply)| *supply).collect();
        let more = each(&again, |at, supply| {
            let index = nameless.get(at).map_or(0, |(index, _)| *index);
            async move { told(index, status(supply, patience).await) }
        });
        done.extend(more.await);
        done
    }

    /// What was seen, if it came from the expected BMC; `None` when the session's beginning does not tell who that is,
    /// so that it has to be asked.
    fn identified(supply: &Supply, seen: Inspection) -> Result<Option<Inspection>> {
        match (&supply.policy.expect_identity, &seen.identity) {
            (None, _) => Ok(Some(seen)),
            (Some(_), None) => Ok(None),
            (Some(expected), Some(identity)) => expected.check(identity).map(|()| Some(seen)),
        }
    }
}

#[cfg(not(feature = "ipmi"))]
mod bmcs {
    //! There are none without their backend.

    use super::*;

    pub(super) fn is_one(_: &Supply) -> bool {
        false
    }

    pub(super) async fn statuses<T>(
        _: &[&Supply],
        _: &[usize],
        _: Duration,
        _: &impl Fn(usize, Look) -> T,
    ) -> Vec<T> {
        Vec::new()
    }
}

/// Does `work` with every device, as many at once as this module allows, and gives the results in their order.
/// Outlets of one device take turns.
pub async fn each<'s, R, F>(supplies: &[&'s Supply], work: impl Fn(usize, &'s Supply) -> F) -> Vec<R>
where
    F: Future<Output = R>,
{
    let slots = Semaphore::new(AT_ONCE);
    let mut running: FuturesUnordered<_> = by_device(supplies)
        .into_iter()
        .map(|outlets| {
            let (slots, work) = (&slots, &work);
            async move {
                // The semaphore is never closed; were it, asking without a slot beats not asking.
                let _slot = slots.acquire().await;
                let mut results = Vec::with_capacity(outlets.len());
                for (index, supply) in outlets {
                    results.push((index, work(index, supply).await));
                }
                results
            }
        })
        .collect();
    let mut results = Vec::with_capacity(supplies.len());
    while let Some(more) = running.next().await {
        results.extend(more);
    }
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The outlets of each device, with their indices; devices in the order of their first outlet.
fn by_device<'s>(supplies: &[&'s Supply]) -> Vec<Vec<(usize, &'s Supply)>> {
    let mut places: HashMap<(Method, &str), usize> = HashMap::new();
    let mut devices: Vec<Vec<(usize, &'s Supply)>> = Vec::new();
    for (index, supply) in supplies.iter().enumerate() {
        let label = supply.device.label();
        let place = *places
            .entry((label.method, &label.address))
            .or_insert(devices.len());
        match devices.get_mut(place) {
            Some(outlets) => outlets.push((index, *supply)),
            None => devices.push(vec![(index, *supply)]),
        }
    }
    devices
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::device::{Label, Session};
    use crate::error::Error;

    #[derive(Debug)]
    struct Named(Label);

    #[async_trait]
    impl FenceDevice for Named {
        fn label(&self) -> &Label {
            &self.0
        }

        async fn connect(&self, deadline: Deadline) -> Result<Box<dyn Session>> {
            match self.0.address.as_str() {
                "dead" => deadline.run("connecting", std::future::pending()).await,
                other => Err(Error::unreachable(other.to_owned())),
            }
        }
    }

    fn supply(address: &str) -> Supply {
        let label = Label {
            method: Method::Kasa,
            address: address.to_owned(),
            plug: None,
        };
        let policy = Policy {
            connect_attempts: 1,
            ..Policy::default()
        };
        Supply::new(Box::new(Named(label)), policy)
    }

    #[tokio::test(start_paused = true)]
    async fn results_keep_their_order_and_a_dead_device_delays_nobody() {
        let supplies: Vec<_> = ["dead", "a", "b"].map(supply).into();
        let supplies: Vec<_> = supplies.iter().collect();
        let heard = std::sync::Mutex::new(Vec::new());
        let looks = statuses(&supplies, Duration::from_secs(5), |index, look| {
            heard.lock().unwrap().push((index, look.elapsed.as_secs()));
        })
        .await;
        assert!(matches!(looks[0].outcome, Err(Error::Timeout { .. })));
        assert!(looks[2].outcome.as_ref().unwrap_err().to_string().ends_with('b'));
        assert_eq!(*heard.lock().unwrap(), [(1, 0), (2, 0), (0, 5)]);
    }

    #[tokio::test(start_paused = true)]
    async fn outlets_of_one_device_take_turns_and_devices_do_not() {
        let supplies: Vec<_> = ["a", "b", "a", "a"].map(supply).into();
        let supplies: Vec<_> = supplies.iter().collect();
        let (at_once, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let started = Instant::now();
        let order = each(&supplies, |index, _| {
            let (at_once, most) = (&at_once, &most);
            async move {
                most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
                at_once.fetch_sub(1, Ordering::SeqCst);
                index
            }
        })
        .await;
        assert_eq!(order, [0, 1, 2, 3]);
        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert_eq!(started.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_limit_at_once() {
        let supplies: Vec<_> = (0..AT_ONCE + 10).map(|n| supply(&n.to_string())).collect();
        let supplies: Vec<_> = supplies.iter().collect();
        let (at_once, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        each(&supplies, |_, _| {
            let (at_once, most) = (&at_once, &most);
            async move {
                most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
                at_once.fetch_sub(1, Ordering::SeqCst);
            }
        })
        .await;
        assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
    }
}
