//! Many devices at once.
//!
//! Devices are asked side by side, at most [`AT_ONCE`] of them, so that one slow device delays nobody. Outlets of one
//! device are asked one after the other: plugs and relays serve one client at a time. Results come in the order of
//! the question.
//!
//! A process has a socket for each device that it asks; whoever watches tens of thousands of BMCs can have them share
//! a few through `ipmi::fleet`.

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
use crate::method::Method;

/// How many devices are asked at once. Each takes a socket, and a process commonly has 1024.
pub const AT_ONCE: usize = 400;

/// A device that feeds a node, and what it takes to believe it.
#[derive(Debug)]
pub struct Supply {
    /// The device.
    pub device: Box<dyn FenceDevice>,
    /// Identity, meter, patience.
    pub policy: Policy,
}

/// What became of looking at one device.
#[derive(Debug)]
pub struct Look {
    /// What was seen, or why nothing was.
    pub outcome: Result<Inspection>,
    /// How long it took.
    pub elapsed: Duration,
}

/// The state of every device, each within `patience`. `told` hears of each one as it comes in, by its index.
///
/// Patience counts from the moment that a device's turn comes, so that a long list does not starve its end.
pub async fn statuses(supplies: &[&Supply], patience: Duration, told: impl Fn(usize, &Look)) -> Vec<Look> {
    each(supplies, |index, supply| {
        let told = &told;
        async move {
            let started = Instant::now();
            let deadline = Deadline::after(patience);
            let look = Look {
                outcome: supply.device.status(&supply.policy, deadline).await,
                elapsed: started.elapsed(),
            };
            told(index, &look);
            look
        }
    })
    .await
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
        Supply {
            device: Box::new(Named(Label {
                method: Method::Kasa,
                address: address.to_owned(),
                plug: None,
            })),
            policy: Policy {
                connect_attempts: 1,
                ..Policy::default()
            },
        }
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
