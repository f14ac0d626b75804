//! The IPMI backend against BMCs that others wrote.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the functions of a test, too, may fail it"
)]

mod ipmi_common;

use std::time::Duration;

use fencekit::ipmi::discovery::{Search, discover};
use fencekit::{Error, ExpectedIdentity, FenceDeviceExt, Observation, Policy};
use fencekit_interop::required;

use ipmi_common::{Bmc, fakebmc, ipmi_sim, soon};

/// Status, off, off again, status, on.
async fn status_off_on(bmc: &Bmc, ciphers: &[&str]) {
    for cipher in ciphers {
        let device = bmc.device(&[("cipher", cipher)]);
        let policy = Policy::default();
        device.on_confirmed(&policy, soon(), &()).await.unwrap();
        for _ in 0..2 {
            device.off_confirmed(&policy, soon(), &()).await.unwrap();
            assert_eq!(device.observe(&policy, soon()).await, Observation::Off);
        }
        let rebooted = device.reboot(&policy, soon(), &()).await.unwrap();
        rebooted.on.unwrap();
        assert_eq!(device.observe(&policy, soon()).await, Observation::On);
    }
}

/// `silent` when the BMC answers nothing to a user whom it does not know.
async fn wrong_credentials(bmc: &Bmc, silent: bool) {
    for (name, wrong) in [("password", "wrong"), ("username", "nobody")] {
        let device = bmc.device(&[(name, wrong), ("login_timeout", "1")]);
        let policy = Policy {
            connect_attempts: 1,
            ..Policy::default()
        };
        let error = device.off_confirmed(&policy, soon(), &()).await.unwrap_err();
        match error {
            Error::Authentication { .. } => {}
            Error::Timeout { .. } if silent && name == "username" => {}
            other => panic!("{name}: {other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openipmi_simulator() {
    let bmc = required!(ipmi_sim());
    assert_eq!(bmc.ready().await, Observation::On);
    status_off_on(&bmc, &["auto", "3"]).await;
    wrong_credentials(&bmc, false).await;
    let search = Search {
        targets: vec!["127.0.0.1".parse().unwrap()],
        port: bmc.port,
        wait: Duration::from_secs(1),
    };
    let found = discover(&search, soon()).await.unwrap();
    assert_eq!(found.len(), 1, "a search finds it: {found:?}");

    let error = bmc
        .device(&[("cipher", "17")])
        .status(&Policy::default(), soon())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");

    let policy = Policy {
        expect_identity: Some(ExpectedIdentity::parse("a1234567-89ab-cdef-a123-456789abcdef").unwrap()),
        ..Policy::default()
    };
    bmc.device(&[]).off_confirmed(&policy, soon(), &()).await.unwrap();
    let identity = bmc.device(&[]).identity(&policy, soon()).await.unwrap();
    assert!(identity.firmware.is_some(), "{identity}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pyghmi_fake_bmc() {
    let bmc = required!(fakebmc());
    assert_eq!(bmc.ready().await, Observation::Off);
    status_off_on(&bmc, &["3"]).await;
    wrong_credentials(&bmc, true).await;

    // Asked for 17 it does not refuse, it answers with the algorithms of 3: nobody can tell that from an attack.
    for cipher in ["auto", "17"] {
        let device = bmc.device(&[("cipher", cipher)]);
        let error = device.status(&Policy::default(), soon()).await.unwrap_err();
        assert!(error.to_string().contains("downgrade"), "{error}");
    }
}
