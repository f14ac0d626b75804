//! The Kasa backend over XOR, against the simulated plug and strip, with every fault.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may end in a panic"
)]

mod kasa_common;

use std::time::Duration;

use fencekit::{Deadline, Error, FenceDeviceExt, Observation};
use fencekit_sim::{Device, Spec};
use kasa_common::{backend, loopback, patient, quick};

async fn plug() -> fencekit_sim::Running {
    fencekit_sim::kasa::serve_xor(Device::new(Spec::plug("storage-b")), loopback())
        .await
        .unwrap()
}

async fn strip() -> fencekit_sim::Running {
    fencekit_sim::kasa::serve_xor(Device::new(Spec::plug("rack").outlets(6)), loopback())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_plug_is_switched_off_and_on_and_says_so() {
    let sim = plug().await;
    let device = backend(&sim, &[]);
    let off = device.off_confirmed(&quick(), patient(), &()).await.unwrap();
    assert_eq!((off.before, off.commands), (Observation::On, 1));
    assert_eq!(sim.device.relay(0), Some(false));
    assert_eq!(device.observe(&quick(), patient()).await, Observation::Off);

    device.on_confirmed(&quick(), patient(), &()).await.unwrap();
    assert_eq!(sim.device.relay(0), Some(true));
    assert_eq!(sim.device.commands(), [(0, false), (0, true)]);
}

#[tokio::test]
async fn an_off_takes_three_questions() {
    let sim = plug().await;
    let device = backend(&sim, &[]);
    device.off_confirmed(&quick(), patient(), &()).await.unwrap();
    // One look, one command, one look on a new connection: nothing is asked twice.
    assert_eq!(sim.device.requests(), 3);
}

#[tokio::test]
async fn one_outlet_of_a_strip_is_switched_and_its_neighbours_are_not() {
    for plug in ["3", "Outlet 3"] {
        let sim = strip().await;
        let device = backend(&sim, &[("plug", plug)]);
        device.off_confirmed(&quick(), patient(), &()).await.unwrap();
        for outlet in 0..6 {
            assert_eq!(sim.device.relay(outlet), Some(outlet != 2), "plug={plug}");
        }
        assert_eq!(sim.device.commands(), [(2, false)]);
        assert_eq!(device.observe(&quick(), patient()).await, Observation::Off);
    }
}

#[tokio::test]
async fn a_strip_without_a_fitting_plug_is_left_alone() {
    let sim = strip().await;
    for options in [&[][..], &[("plug", "7")], &[("plug", "storage-b")]] {
        let device = backend(&sim, options);
        let error = device.off_confirmed(&quick(), patient(), &()).await.unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{error}");
        assert!(error.to_string().contains("Outlet 6"), "{error}");
    }
    assert_eq!(sim.device.commands(), []);
}

#[tokio::test]
async fn outlets_are_listed_without_a_plug() {
    let sim = strip().await;
    sim.device.set(3, false, true);
    let outlets = backend(&sim, &[]).outlets(&quick(), patient()).await.unwrap();
    assert_eq!(outlets.len(), 6);
    assert_eq!(
        (outlets[3].plug.as_str(), outlets[3].alias.as_str()),
        ("4", "Outlet 4")
    );
    assert_eq!(outlets[3].observation, Observation::Off);
    assert_eq!(outlets[4].observation, Observation::On);
}

#[tokio::test]
async fn the_meter_is_that_of_the_outlet() {
    let sim = plug().await;
    let reading = backend(&sim, &[])
        .power_reading(&quick(), patient())
        .await
        .unwrap();
    assert!(
        (reading.watts - 60.0).abs() < 0.01 && reading.volts == Some(230.1),
        "{reading:?}"
    );

    let sim = strip().await;
    sim.device.set(1, false, true);
    let of = async |plug: &str| {
        let device = backend(&sim, &[("plug", plug)]);
        device.power_reading(&quick(), patient()).await.unwrap().watts
    };
    assert_eq!((of("2").await, of("3").await), (0.0, 60.0));

    let mut spec = Spec::plug("no meter");
    spec.metered = false;
    let sim = fencekit_sim::kasa::serve_xor(Device::new(spec), loopback())
        .await
        .unwrap();
    let error = backend(&sim, &[])
        .power_reading(&quick(), patient())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
}

#[tokio::test]
async fn another_device_at_the_address_is_not_switched() {
    let sim = plug().await;
    let expected = [("expect_identity", "50-c7-bf-00-00-01")];
    let device = backend(&sim, &[]);
    let policy = kasa_common::policy(&expected);
    device.off_confirmed(&policy, patient(), &()).await.unwrap();

    sim.device.set_faults("wrong_identity".parse().unwrap());
    let error = device.on_confirmed(&policy, patient(), &()).await.unwrap_err();
    assert!(matches!(error, Error::WrongDevice { .. }), "{error}");
    assert_eq!(sim.device.commands(), [(0, false)]);
    let id = fencekit_sim::kasa::device_id(&sim.device);
    let by_id = kasa_common::policy(&[("expect_identity", &id)]);
    assert!(device.status(&by_id, patient()).await.is_ok());
}

#[tokio::test]
async fn a_stuck_relay_is_caught_by_the_meter() {
    let sim = plug().await;
    sim.device.set_faults("lie".parse().unwrap());
    let policy = kasa_common::policy(&[("off_max_watts", "5")]);
    let deadline = Deadline::after(Duration::from_secs(4));
    let error = backend(&sim, &[])
        .off_confirmed(&policy, deadline, &())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("60.0 W"), "{error}");
}

#[tokio::test]
async fn sessions_with_one_device_wait_for_each_other() {
    let sim = plug().await;
    sim.device.set_faults("one_client,slow=0.05".parse().unwrap());
    let devices: Vec<_> = (0..6).map(|_| backend(&sim, &[])).collect();
    let looks = devices.iter().map(|device| async {
        let session = device.connect(patient()).await;
        let seen = session?.inspect(patient()).await;
        seen.map(|seen| seen.observation)
    });
    for seen in futures_util::future::join_all(looks).await {
        assert_eq!(seen.unwrap(), Observation::On);
    }
}
