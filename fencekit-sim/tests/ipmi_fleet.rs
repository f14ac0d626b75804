//! Many simulated BMCs at once, over a few sockets.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may end in a panic"
)]

mod ipmi_common;

use std::time::{Duration, Instant};

use fencekit::fleet;
use fencekit::ipmi::fleet::statuses;
use fencekit::ipmi::{Bmc, discovery};
use fencekit::{Deadline, Error, ExpectedIdentity, FenceDeviceExt, Method, Observation, Policy, Supply};
use fencekit_sim::ipmi::{BmcSpec, Forgery};
use ipmi_common::{bmc, client, policy, settings, soon};

#[tokio::test]
async fn many_bmcs_at_once_each_with_its_own_outcome() {
    let mut running = Vec::new();
    for number in 0..60u8 {
        let spec = match number % 6 {
            1 => BmcSpec {
                suites: vec![3],
                ..BmcSpec::default()
            },
            2 => BmcSpec {
                loss: 0.1,
                duplicates: 0.1,
                reordering: 0.1,
                seed: u64::from(number),
                ..BmcSpec::default()
            },
            3 => BmcSpec {
                forgery: Forgery::Rakp4,
                ..BmcSpec::default()
            },
            4 => BmcSpec {
                busy: 1,
                no_room: 1,
                ..BmcSpec::default()
            },
            _ => BmcSpec::default(),
        };
        let bmc = bmc(spec).await;
        bmc.device.set(0, number % 2 == 0, true);
        if number % 6 == 5 {
            bmc.device.set_faults("silent".parse().unwrap());
        }
        running.push(bmc);
    }
    let targets: Vec<_> = running
        .iter()
        // The same ones again: two sessions with one BMC never overlap.
        .chain(running.iter())
        .map(|running| Bmc::from_settings(&settings(running, &[])).unwrap())
        .collect();
    let outcomes = statuses(&targets, soon()).await;
    assert_eq!(outcomes.len(), targets.len());
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let number = number % running.len();
        match (number % 6, outcome) {
            (3, outcome) => assert!(
                matches!(outcome, Err(Error::Authentication { .. })),
                "{outcome:?}"
            ),
            (5, outcome) => assert!(matches!(outcome, Err(Error::Timeout { .. })), "{outcome:?}"),
            (_, Ok(seen)) => {
                let on = if number % 2 == 0 {
                    Observation::On
                } else {
                    Observation::Off
                };
                assert_eq!(seen.observation, on, "{number}");
                assert!(seen.identity.is_some());
            }
            (_, Err(error)) => panic!("{number}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_fleet_ends_with_its_deadline() {
    let running = bmc(BmcSpec::default()).await;
    running.device.set_faults("silent".parse().unwrap());
    let target = Bmc::from_settings(&settings(&running, &[("login_timeout", "60")])).unwrap();
    let started = Instant::now();
    let outcomes = statuses(
        &[target.clone(), target],
        Deadline::after(Duration::from_millis(700)),
    )
    .await;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Err(Error::Timeout { .. })))
    );
    assert!(statuses(&[], soon()).await.is_empty());
}

#[tokio::test]
async fn a_fleet_sends_nothing_twice_and_waits_for_nothing() {
    let mut running = Vec::new();
    for _ in 0..20 {
        running.push(bmc(BmcSpec::default()).await);
    }
    let targets: Vec<_> = running
        .iter()
        .map(|running| Bmc::from_settings(&settings(running, &[])).unwrap())
        .collect();
    // A machine that stalls makes the backend send again: the best of several tries counts.
    let mut quickest = Duration::MAX;
    let mut fewest = u64::MAX;
    for _ in 0..5 {
        let packets = || running.iter().map(|bmc| bmc.device.requests()).sum::<u64>();
        let (before, started) = (packets(), Instant::now());
        let outcomes = statuses(&targets, soon()).await;
        assert!(outcomes.iter().all(Result::is_ok));
        quickest = quickest.min(started.elapsed());
        fewest = fewest.min(packets() - before);
    }
    assert_eq!(fewest, 5 * 20);
    // The first repetition would come after 200 ms.
    assert!(quickest < Duration::from_millis(190), "{quickest:?}");
}

#[tokio::test]
async fn the_state_of_bmcs_that_are_expected_by_name_comes_through_the_fleet() {
    let mut running = Vec::new();
    let mut supplies = Vec::new();
    for number in 0..12 {
        let bmc = bmc(BmcSpec::default()).await;
        bmc.device.set(0, number % 2 == 0, true);
        let guid = client(&bmc, &[])
            .identity(&policy(), soon())
            .await
            .unwrap()
            .guid
            .unwrap();
        let expected = if number == 7 {
            "00112233-4455-6677-8899-aabbccddeeff"
        } else {
            &guid
        };
        let policy = Policy {
            expect_identity: Some(ExpectedIdentity::parse(expected).unwrap()),
            ..policy()
        };
        supplies.push(Supply::new(client(&bmc, &[]), policy));
        running.push(bmc);
    }
    running[3].device.set_faults("silent".parse().unwrap());
    let all: Vec<&Supply> = supplies.iter().collect();
    let told = std::sync::Mutex::new(Vec::new());
    let looks = fleet::statuses(&all, Duration::from_secs(1), |index, _| {
        told.lock().unwrap().push(index);
    })
    .await;
    for (number, look) in looks.iter().enumerate() {
        match (number, &look.outcome) {
            (3, outcome) => assert!(matches!(outcome, Err(Error::Timeout { .. })), "{outcome:?}"),
            (7, outcome) => assert!(matches!(outcome, Err(Error::WrongDevice { .. })), "{outcome:?}"),
            (_, Ok(seen)) => {
                let on = [Observation::On, Observation::Off][number % 2].clone();
                assert_eq!(seen.observation, on, "{number}");
            }
            (_, Err(error)) => panic!("{number}: {error}"),
        }
    }
    let mut told = told.into_inner().unwrap();
    assert_eq!(told.last(), Some(&3), "the silent one ends last");
    told.sort_unstable();
    assert_eq!(told, (0..12).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_bmc_answers_a_search_without_a_login() {
    let running = bmc(BmcSpec::default()).await;
    let search = discovery::Search {
        targets: vec![
            running.address.ip(),
            "127.0.0.77".parse().unwrap(),
            "::1".parse().unwrap(),
        ],
        port: running.address.port(),
        wait: Duration::from_millis(300),
    };
    let found = discovery::discover(&search, soon()).await.unwrap();
    let found: Vec<_> = found.iter().map(|one| (one.method, one.address)).collect();
    assert_eq!(found, [(Method::Ipmi, running.address)]);
    assert_eq!(running.device.commands(), []);
}
