//! The Kasa backend over every transport and dialect, against simulated plugs and strips, with every fault.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may end in a panic"
)]

mod kasa_common;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fencekit::{Deadline, Error, FenceDeviceExt, Finding, Observation, Severity};
use fencekit_sim::kasa::{Dialect, Habits, KlapVersion, Quirks, Unit};
use fencekit_sim::{Device, Faults, Spec};
use kasa_common::{LOGIN, Served, Way, backend, is_safe, owned, patient, quick};

/// The options of the owner, with more.
fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    LOGIN.iter().chain(more).copied().collect()
}

#[tokio::test]
async fn a_plug_is_switched_off_and_on_and_says_so() {
    for way in Way::ALL {
        for transport in [way.transport(), "auto"] {
            let sim = way.serve(owned(1)).await;
            let device = backend(&sim, &with(&[("transport", transport)]));
            let off = device.off_confirmed(&quick(), patient(), &()).await.unwrap();
            assert_eq!((off.before, off.commands), (Observation::On, 1), "{way:?}");
            assert_eq!(sim.device.relay(0), Some(false), "{way:?}");
            assert_eq!(
                device.observe(&quick(), patient()).await,
                Observation::Off,
                "{way:?}"
            );
            device.on_confirmed(&quick(), patient(), &()).await.unwrap();
            assert_eq!(sim.device.relay(0), Some(true), "{way:?}");
            assert_eq!(sim.device.commands().len(), 2, "{way:?}");
        }
    }
}

#[tokio::test]
async fn a_plug_is_rebooted() {
    let runs = Way::ALL.iter().map(async |way| {
        let sim = way.serve(owned(1)).await;
        let rebooted = backend(&sim, &LOGIN)
            .reboot(&quick(), patient(), &())
            .await
            .unwrap();
        assert!(rebooted.on.is_ok(), "{way:?}");
        assert_eq!(sim.device.commands(), [(0, false), (0, true)], "{way:?}");
    });
    futures_util::future::join_all(runs).await;
}

#[tokio::test]
async fn one_outlet_of_a_strip_is_switched_and_its_neighbours_are_not() {
    for way in Way::ALL {
        for plug in ["3", "Outlet 3"] {
            let sim = way.serve(owned(6)).await;
            let device = backend(&sim, &with(&[("plug", plug)]));
            device.off_confirmed(&quick(), patient(), &()).await.unwrap();
            for outlet in 0..6 {
                assert_eq!(sim.device.relay(outlet), Some(outlet != 2), "{way:?} plug={plug}");
            }
            assert_eq!(sim.device.commands(), [(2, false)], "{way:?}");
            assert_eq!(
                device.observe(&quick(), patient()).await,
                Observation::Off,
                "{way:?}"
            );
        }
        let sim = way.serve(owned(6)).await;
        for options in [&[][..], &[("plug", "7")]] {
            let error = backend(&sim, &with(options))
                .off_confirmed(&quick(), patient(), &())
                .await
                .unwrap_err();
            assert!(matches!(error, Error::Config { .. }), "{way:?}: {error}");
        }
        assert_eq!(sim.device.commands(), [], "{way:?}");
    }
}

#[tokio::test]
async fn outlets_identity_and_meter_are_read() {
    for way in Way::ALL {
        let sim = way.serve(owned(5)).await;
        sim.device.set(3, false, true);
        let device = backend(&sim, &LOGIN);
        let outlets = device.outlets(&quick(), patient()).await.unwrap();
        let listed: Vec<_> = outlets
            .iter()
            .map(|outlet| (outlet.plug.as_str(), outlet.alias.as_str()))
            .collect();
        assert_eq!(listed[0], ("1", "Outlet 1"), "{way:?}");
        assert_eq!(listed[4], ("5", "Outlet 5"), "{way:?}");
        assert_eq!(outlets[3].observation, Observation::Off, "{way:?}");
        let identity = device.identity(&quick(), patient()).await.unwrap();
        assert_eq!(identity.name.as_deref(), Some("storage-b"), "{way:?}");
        for (plug, watts) in [("3", 60.0), ("4", 0.0)] {
            let device = backend(&sim, &with(&[("plug", plug)]));
            let reading = device.power_reading(&quick(), patient()).await.unwrap();
            assert_eq!(reading.watts, watts, "{way:?}");
        }
        let sim = way.serve(owned(1)).await;
        let reading = backend(&sim, &LOGIN)
            .power_reading(&quick(), patient())
            .await
            .unwrap();
        assert_eq!((reading.watts, reading.volts), (60.0, Some(230.1)), "{way:?}");
    }
}

/// Every fault at once, each on its own device, fenced at `outlet`.
async fn every_fault(way: Way, outlets: usize, outlet: usize, options: &[(&str, &str)]) {
    let policy = kasa_common::policy(&[("expect_identity", "50:C7:BF:00:00:01")]);
    let runs = Faults::NAMES.iter().map(async |fault| {
        let sim = way.serve(owned(outlets)).await;
        sim.device.set_faults(kasa_common::fault(fault));
        let started = Instant::now();
        // Byte by byte, a millisecond apart, some replies take seconds; and all of these run at once.
        let (step, whole) = match kasa_common::is_harmless(way, fault) {
            true => ("15", 60),
            false => ("1", 6),
        };
        let deadline = Deadline::after(Duration::from_secs(whole));
        let options: Vec<_> = options.iter().copied().chain([("shell_timeout", step)]).collect();
        let device = backend(&sim, &options);
        let outcome = device.off_confirmed(&policy, deadline, &()).await;
        assert!(
            started.elapsed() < Duration::from_secs(whole + 2),
            "{way:?} {fault}"
        );
        is_safe(way, fault, &sim.device, outlet, &outcome);
        let commands = sim.device.commands();
        assert!(
            commands.iter().all(|command| *command == (outlet, false)),
            "{way:?} {fault}"
        );
        for secret in [kasa_common::PASSWORD, "UGFzc3cwcmQh"] {
            assert!(
                !format!("{outcome:?} {device:?}").contains(secret),
                "{way:?} {fault}"
            );
        }
    });
    futures_util::future::join_all(runs).await;
}

#[tokio::test]
async fn no_fault_of_a_plug_is_taken_for_an_off() {
    let runs = Way::ALL.iter().map(|way| every_fault(*way, 1, 0, &LOGIN));
    futures_util::future::join_all(runs).await;
}

#[tokio::test]
async fn no_fault_of_a_strip_is_taken_for_an_off() {
    let options = with(&[("plug", "2")]);
    let runs = Way::ALL.iter().map(|way| every_fault(*way, 3, 1, &options));
    futures_util::future::join_all(runs).await;
}

fn logins() -> impl Iterator<Item = Way> {
    Way::ALL.iter().copied().filter(|way| way.has_login())
}

#[tokio::test]
async fn wrong_credentials_are_tried_once_and_are_no_state() {
    let user = kasa_common::USER;
    let wrong = [
        &[("username", user), ("password", "wrong")][..],
        &[
            ("username", "owner@example.com"),
            ("password", kasa_common::PASSWORD),
        ],
        &[],
    ];
    for way in logins() {
        for (options, transport) in wrong
            .iter()
            .flat_map(|options| [way.transport(), "auto"].map(|t| (options, t)))
        {
            // TPAP has no use for the user's name.
            if way == Way::Tpap && options.first() == Some(&("username", "owner@example.com")) {
                continue;
            }
            let quirks = Quirks::default();
            let sim = quirky(way, quirks.clone()).await;
            let options: Vec<_> = options
                .iter()
                .copied()
                .chain([("transport", transport)])
                .collect();
            let device = backend(&sim, &options);
            let error = device.off_confirmed(&quick(), patient(), &()).await.unwrap_err();
            assert!(matches!(error, Error::Authentication { .. }), "{way:?}: {error}");
            assert!(error.to_string().contains("password"), "{way:?}: {error}");
            assert_eq!(sim.device.commands(), [], "{way:?}");
            let tried = quirks.logins.load(Ordering::Relaxed);
            assert!(tried <= 1, "{way:?}: the device has seen {tried} logins");
        }
    }
}

#[tokio::test]
async fn a_locked_plug_is_left_alone() {
    let quirks = Quirks {
        locked_out: true,
        ..Quirks::default()
    };
    let sim = quirky(Way::Tpap, quirks.clone()).await;
    let error = backend(&sim, &LOGIN)
        .off_confirmed(&quick(), patient(), &())
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Authentication { .. }) && error.to_string().contains("locked"),
        "{error}"
    );
    assert_eq!(quirks.logins.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_login_that_the_plug_forgets_half_way_begins_again() {
    let quirks = Quirks::default();
    quirks.forgotten_logins.store(2, Ordering::Relaxed);
    let sim = quirky(Way::Tpap, quirks.clone()).await;
    let off = backend(&sim, &LOGIN)
        .off_confirmed(&quick(), patient(), &())
        .await
        .unwrap();
    assert_eq!(off.commands, 1);
    assert_eq!(sim.device.relay(0), Some(false));
}

#[tokio::test]
async fn a_plug_that_was_never_set_up_is_switched_without_credentials() {
    for way in logins().filter(|way| *way != Way::Tpap) {
        // Where the device tells accounts apart by itself, ours does no harm either.
        let options: &[&[(&str, &str)]] = if way == Way::Aes { &[&[]] } else { &[&[], &LOGIN] };
        for options in options {
            let sim = way.serve(Device::new(Spec::plug("new"))).await;
            let device = backend(&sim, options);
            device.off_confirmed(&quick(), patient(), &()).await.unwrap();
            assert_eq!(sim.device.relay(0), Some(false), "{way:?}");
        }
    }
}

async fn quirky(way: Way, quirks: Quirks) -> Served {
    way.serve(Unit::from(owned(1)).quirks(quirks)).await
}

#[tokio::test]
async fn a_plug_that_closes_after_each_reply_is_switched() {
    for way in logins() {
        let quirks = Quirks {
            close_each: true,
            ..Quirks::default()
        };
        let sim = quirky(way, quirks).await;
        let device = backend(&sim, &with(&[("transport", way.transport())]));
        device.off_confirmed(&quick(), patient(), &()).await.unwrap();
        assert_eq!(sim.device.relay(0), Some(false), "{way:?}");
    }
}

#[tokio::test]
async fn a_displaced_session_is_opened_anew_but_not_for_ever() {
    for way in logins() {
        let quirks = Quirks::default();
        let sim = quirky(way, quirks.clone()).await;
        let device = backend(&sim, &with(&[("transport", way.transport())]));
        quirks.displace(2);
        let off = device.off_confirmed(&quick(), patient(), &()).await.unwrap();
        assert_eq!(off.commands, 1, "{way:?}");
        quirks.displace(1_000);
        let error = device.on_confirmed(&quick(), patient(), &()).await.unwrap_err();
        assert!(error.to_string().contains("displaced"), "{way:?}: {error}");
        assert_eq!(sim.device.commands(), [(0, false)], "{way:?}");
        quirks.displace(0);
        device.on_confirmed(&quick(), patient(), &()).await.unwrap();
    }
}

#[tokio::test]
async fn a_wrong_signature_fails_only_when_asked_to() {
    for way in Way::ALL
        .iter()
        .copied()
        .filter(|way| matches!(way, Way::Klap(..)))
    {
        let quirks = Quirks {
            bad_signature: true,
            ..Quirks::default()
        };
        let sim = quirky(way, quirks).await;
        backend(&sim, &LOGIN)
            .off_confirmed(&quick(), patient(), &())
            .await
            .unwrap();
        let strict = backend(&sim, &with(&[("strict_signature", "1")]));
        let error = strict.status(&quick(), patient()).await.unwrap_err();
        assert!(error.to_string().contains("signature"), "{error}");
    }
}

#[tokio::test]
async fn older_meters_are_read_too() {
    for way in logins() {
        let quirks = Quirks {
            old_meter: true,
            ..Quirks::default()
        };
        let sim = quirky(way, quirks).await;
        let reading = backend(&sim, &LOGIN)
            .power_reading(&quick(), patient())
            .await
            .unwrap();
        assert_eq!(reading.watts, 60.0, "{way:?}");
    }
}

#[tokio::test]
async fn an_off_over_auto_costs_no_more_than_over_the_right_transport() {
    for way in Way::ALL {
        let cost = async |transport: &str| {
            let sim = way.serve(owned(1)).await;
            let device = backend(&sim, &with(&[("transport", transport)]));
            device.off_confirmed(&quick(), patient(), &()).await.unwrap();
            sim.device.requests()
        };
        let (right, auto) = (cost(way.transport()).await, cost("auto").await);
        println!("{way:?}: {right} requests, auto {auto}");
        match way {
            // A login was given, so HTTP is tried before XOR: its request is no frame, and the door closes.
            Way::Xor => assert!(auto <= right + 1, "{way:?}: {auto} against {right}"),
            Way::Klap(..) => assert_eq!(auto, right, "{way:?}"),
            // One request for each transport that is asked for before, on the first connection only.
            Way::Tpap => assert_eq!(auto, right + 1, "{way:?}"),
            Way::Aes => assert_eq!(auto, right + 2, "{way:?}"),
        }
    }
}

#[tokio::test]
async fn settings_that_may_undo_a_fence_are_found() {
    let risky = Habits {
        schedule: true,
        countdown: true,
        away: true,
        auto_off: true,
        always_on: true,
        clock_unset: true,
        updating: true,
    };
    let topics = async |way: Way, outlets: usize, habits: Habits| {
        let sim = way.serve(Unit::new(owned(outlets), habits)).await;
        let plug = (outlets > 1).then_some(("plug", "2"));
        let device = backend(&sim, &LOGIN.iter().copied().chain(plug).collect::<Vec<_>>());
        let mut session = device.connect(patient()).await.unwrap();
        let findings = session.findings(patient()).await.unwrap();
        assert!(
            findings.iter().any(|finding| finding.detail.contains("dialect")),
            "{findings:?}"
        );
        let mut topics: Vec<_> = findings
            .iter()
            .filter(|finding| finding.severity > Severity::Info)
            .map(|finding| finding.topic)
            .collect();
        topics.sort_unstable();
        topics
    };
    for way in Way::ALL {
        for outlets in [1, 3] {
            assert_eq!(topics(*way, outlets, Habits::default()).await, [""; 0], "{way:?}");
            let found = topics(*way, outlets, risky).await;
            let iot = ["clock", "countdown", "firmware", "schedule", "schedule"];
            let smart = ["clock", "countdown", "restore", "schedule", "schedule", "setting"];
            let expected = if way.is_iot() { &iot[..] } else { &smart };
            assert_eq!(found, expected, "{way:?} {outlets}");
        }
    }
}

async fn findings(way: Way, unit: Unit) -> Vec<Finding> {
    let outlets = unit.device.count();
    let sim = way.serve(unit).await;
    let plug = (outlets > 1).then_some(("plug", "2"));
    let device = backend(&sim, &LOGIN.iter().copied().chain(plug).collect::<Vec<_>>());
    let mut session = device.connect(patient()).await.unwrap();
    session.findings(patient()).await.unwrap()
}

#[tokio::test]
async fn a_setting_that_the_plug_does_not_tell_is_no_clean_bill() {
    let risky = Habits {
        schedule: true,
        ..Habits::default()
    };
    let busy = Quirks {
        busy_settings: true,
        ..Quirks::default()
    };
    for way in Way::ALL {
        for outlets in [1, 3] {
            let unit = Unit::new(owned(outlets), risky).quirks(busy.clone());
            let findings = findings(*way, unit).await;
            let unknown: Vec<_> = findings
                .iter()
                .filter(|finding| finding.severity == Severity::Unknown)
                .map(|finding| finding.topic)
                .collect();
            let iot = ["schedule", "countdown", "schedule"];
            let smart = ["setting", "schedule", "countdown", "schedule"];
            let expected = if way.is_iot() { &iot[..] } else { &smart };
            assert_eq!(unknown, expected, "{way:?} {outlets}: {findings:?}");
        }
    }
}

#[tokio::test]
async fn a_rule_on_a_later_page_is_found() {
    let risky = Habits {
        schedule: true,
        ..Habits::default()
    };
    for outlets in [1, 3] {
        let found = async |idle_rules: usize| {
            let quirks = Quirks {
                idle_rules,
                ..Quirks::default()
            };
            let unit = Unit::new(owned(outlets), risky).quirks(quirks);
            let findings = findings(Way::Tpap, unit).await;
            findings
                .iter()
                .filter(|finding| finding.severity > Severity::Info)
                .map(|finding| (finding.severity, finding.topic))
                .collect::<Vec<_>>()
        };
        for before in [0, 3, 4, 9, 31] {
            assert_eq!(found(before).await, [(Severity::Warning, "schedule")], "{before}");
        }
        // A list without end is left, and that it was is told.
        let endless = found(10_000).await;
        assert!(endless.contains(&(Severity::Unknown, "schedule")), "{endless:?}");
    }
}

#[tokio::test]
async fn a_wrong_signature_and_a_default_account_are_findings() {
    let quirks = Quirks {
        bad_signature: true,
        ..Quirks::default()
    };
    let unit = Unit::from(Device::new(Spec::plug("new"))).quirks(quirks);
    let sim = Way::Klap(KlapVersion::V2, Dialect::Smart).serve(unit).await;
    let device = backend(&sim, &LOGIN);
    let mut session = device.connect(patient()).await.unwrap();
    let findings = session.findings(patient()).await.unwrap();
    for part in ["wrong signature", "account that all"] {
        let found = findings.iter().any(|finding| finding.detail.contains(part));
        assert!(found, "{part}: {findings:?}");
    }
}
