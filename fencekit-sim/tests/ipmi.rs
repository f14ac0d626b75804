//! The IPMI backend against simulated BMCs over UDP.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the functions of a test, too, may fail it"
)]

mod ipmi_common;

use std::time::{Duration, Instant};

use fencekit::cluster::Cluster;
use fencekit::doctor::{Advice, Scope, Topic, examine};
use fencekit::{Deadline, Error, FenceDeviceExt, Observation, Policy, Severity};
use fencekit_sim::ipmi::{BmcSpec, Forgery, Quirk, serve};
use fencekit_sim::{Device, Faults, Running, Spec};
use ipmi_common::{PASSWORD, bmc, client, policy, soon};

async fn status(running: &Running, options: &[(&str, &str)]) -> Result<Observation, Error> {
    let device = client(running, options);
    device
        .status(&policy(), soon())
        .await
        .map(|seen| seen.observation)
}

/// The fewest packets that the BMC read in one of several tries: a machine that stalls makes the backend send again.
async fn fewest_packets(
    running: &Running,
    mut what: impl FnMut() -> futures_util::future::BoxFuture<'static, ()>,
) -> u64 {
    let mut fewest = u64::MAX;
    for _ in 0..5 {
        let before = running.device.requests();
        what().await;
        fewest = fewest.min(running.device.requests() - before);
    }
    fewest
}

#[tokio::test]
async fn a_status_is_five_round_trips() {
    for cipher in ["17", "3", "auto"] {
        let running = bmc(BmcSpec::default()).await;
        let packets = fewest_packets(&running, || {
            let device = client(&running, &[("cipher", cipher)]);
            Box::pin(async move {
                let seen = device.status(&policy(), soon()).await.unwrap();
                assert_eq!(seen.observation, Observation::On);
            })
        });
        assert_eq!(packets.await, 5, "cipher {cipher}");
    }
}

#[tokio::test]
async fn an_off_is_six_round_trips_and_its_two_looks() {
    let running = bmc(BmcSpec::default()).await;
    let packets = fewest_packets(&running, || {
        let device = client(&running, &[]);
        let plug = running.device.clone();
        Box::pin(async move {
            plug.set(0, true, true);
            let confirmed = device.off_confirmed(&policy(), soon(), &()).await.unwrap();
            assert_eq!((confirmed.commands, confirmed.looks), (1, 1));
            assert_eq!(plug.relay(0), Some(false));
        })
    });
    assert_eq!(packets.await, 6 + 2);
}

#[tokio::test]
async fn off_and_on_again() {
    let running = bmc(BmcSpec::default()).await;
    let device = client(&running, &[]);
    let rebooted = device.reboot(&policy(), soon(), &()).await.unwrap();
    assert!(rebooted.on.is_ok());
    assert_eq!(running.device.commands(), [(0, false), (0, true)]);
    assert_eq!(status(&running, &[]).await.unwrap(), Observation::On);
}

#[tokio::test]
async fn suite_3_is_taken_only_when_17_is_refused() {
    let only_3 = BmcSpec {
        suites: vec![3],
        ..BmcSpec::default()
    };
    let running = bmc(only_3.clone()).await;
    assert_eq!(status(&running, &[]).await.unwrap(), Observation::On);

    let error = status(&running, &[("cipher", "17")]).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");

    let silent = BmcSpec {
        ignores_unknown_suites: true,
        ..only_3
    };
    let running = bmc(silent).await;
    let error = status(&running, &[]).await.unwrap_err();
    assert!(error.to_string().contains("cipher=3"), "{error}");
    assert_eq!(
        status(&running, &[("cipher", "3")]).await.unwrap(),
        Observation::On
    );
}

/// What doctor says of a node whose only device is this BMC.
async fn diagnosed(running: &Running, cipher: &str) -> Vec<Advice> {
    let file = format!(
        "stonith_nodes:\n  storage-a:\n    method: ipmi\n    ip: 127.0.0.1\n    port: {}\n    user: fencer\n    \
         password: {PASSWORD}\n    {cipher}\n",
        running.address.port()
    );
    let cluster = Cluster::from_text(&file, "cluster.yml").unwrap();
    let scope = Scope {
        networks: false,
        pacemaker: false,
        ..Scope::default()
    };
    let diagnosis = examine(&cluster, &scope, Duration::from_secs(4)).await.unwrap();
    assert!(diagnosis.elapsed_ms < 4_500, "{}", diagnosis.elapsed_ms);
    let mut findings = diagnosis.findings;
    // Where the BMC has its power from is another matter.
    findings.retain(|advice| advice.device.is_some() && advice.topic != Topic::SinglePoint);
    findings
}

#[tokio::test]
async fn doctor_finds_out_that_a_bmc_drops_suite_17_without_a_word() {
    let running = bmc(BmcSpec {
        suites: vec![3],
        ignores_unknown_suites: true,
        ..BmcSpec::default()
    })
    .await;
    let found = diagnosed(&running, "").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].severity, Severity::Problem);
    assert!(found[0].detail.contains("suite 17"), "{found:?}");
    assert!(found[0].mend.contains("cipher=3"), "{found:?}");
    // As it says: nothing of that is left then.
    let found = diagnosed(&running, "cipher: 3").await;
    assert!(
        found.iter().all(|advice| advice.severity < Severity::Unknown),
        "{found:?}"
    );
    assert_eq!(running.device.commands(), []);
    // One that is really silent is not told to change its suite.
    running.device.set_faults("silent".parse().unwrap());
    let found = diagnosed(&running, "").await;
    assert!(
        found.iter().all(|advice| !advice.mend.contains("cipher")),
        "{found:?}"
    );
}

#[tokio::test]
async fn kg_is_honoured_and_a_wrong_one_is_told_from_a_wrong_password() {
    let running = bmc(BmcSpec {
        kg: Some(b"a key of 20 bytes!!!".to_vec()),
        ..BmcSpec::default()
    })
    .await;
    let kg = "61206b6579206f66203230206279746573212121";
    for cipher in ["17", "3"] {
        let options = [("hexadecimal_kg", kg), ("cipher", cipher)];
        assert_eq!(status(&running, &options).await.unwrap(), Observation::On);
    }
    let error = status(&running, &[]).await.unwrap_err();
    assert!(matches!(error, Error::Authentication { .. }));
    assert!(error.to_string().contains("hexadecimal_kg"), "{error}");
    let error = status(&running, &[("password", "wrong"), ("hexadecimal_kg", kg)])
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("check username and password"),
        "{error}"
    );
}

#[tokio::test]
async fn wrong_credentials_are_told_apart_and_not_repeated() {
    let running = bmc(BmcSpec::default()).await;
    let error = status(&running, &[("password", "wrong")]).await.unwrap_err();
    assert!(matches!(error, Error::Authentication { .. }), "{error}");
    let error = status(&running, &[("username", "nobody")]).await.unwrap_err();
    assert!(error.to_string().contains("\"nobody\""), "{error}");
    let packets = fewest_packets(&running, || {
        let device = client(&running, &[("password", "wrong")]);
        let policy = Policy {
            connect_attempts: 3,
            ..policy()
        };
        Box::pin(async move {
            let _ = device.off_confirmed(&policy, soon(), &()).await.unwrap_err();
        })
    });
    assert_eq!(packets.await, 2);
}

#[tokio::test]
async fn nothing_forged_is_ever_believed() {
    for forgery in [Forgery::Rakp2, Forgery::Rakp4, Forgery::EmptyRakp4] {
        let running = bmc(BmcSpec {
            forgery,
            ..BmcSpec::default()
        })
        .await;
        running.device.set(0, false, true);
        let error = status(&running, &[]).await.unwrap_err();
        assert!(
            matches!(error, Error::Authentication { .. }),
            "{forgery:?}: {error}"
        );
        let error = client(&running, &[])
            .off_confirmed(&policy(), soon(), &())
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::Authentication { .. }),
            "{forgery:?}: {error}"
        );
        assert_eq!(running.device.commands(), []);
    }
    for forgery in [Forgery::Sealed, Forgery::Plain, Forgery::Replay] {
        let running = bmc(BmcSpec {
            forgery,
            ..BmcSpec::default()
        })
        .await;
        running.device.set_faults(Faults {
            stuck: true,
            ..Faults::default()
        });
        assert_eq!(
            status(&running, &[]).await.unwrap(),
            Observation::On,
            "{forgery:?}"
        );
        let policy = Policy {
            power_timeout: Duration::from_secs(1),
            ..policy()
        };
        let error = client(&running, &[])
            .off_confirmed(&policy, soon(), &())
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::NotConfirmed { .. }),
            "{forgery:?}: {error}"
        );
    }
}

#[tokio::test]
async fn a_downgrade_is_refused() {
    for suite in [0, 1, 2, 3, 16] {
        let running = bmc(BmcSpec {
            answers_with_suite: Some(suite),
            ..BmcSpec::default()
        })
        .await;
        let error = status(&running, &[]).await.unwrap_err();
        assert!(error.to_string().contains("downgrade"), "{error}");
        assert_eq!(running.device.requests(), 1, "nothing was sent to it");
    }
}

#[tokio::test]
async fn busy_answers_are_asked_again_within_the_deadline() {
    for busy_code in [0xC0, 0xC3, 0xC4, 0xD2] {
        let running = bmc(BmcSpec {
            busy: 2,
            busy_code,
            ..BmcSpec::default()
        })
        .await;
        let confirmed = client(&running, &[]).off_confirmed(&policy(), soon(), &()).await;
        assert_eq!(confirmed.unwrap().commands, 1, "{busy_code:02X}");
    }
    let running = bmc(BmcSpec {
        busy: u32::MAX,
        ..BmcSpec::default()
    })
    .await;
    let device = client(&running, &[]);
    let deadline = Deadline::after(Duration::from_secs(2));
    let error = device.status(&policy(), deadline).await.unwrap_err();
    assert!(error.to_string().contains("busy (completion code C0)"), "{error}");
}

#[tokio::test]
async fn no_room_for_a_session_is_waited_for() {
    let running = bmc(BmcSpec {
        no_room: 2,
        ..BmcSpec::default()
    })
    .await;
    assert_eq!(status(&running, &[]).await.unwrap(), Observation::On);

    let running = bmc(BmcSpec {
        session_limit: 1,
        ..BmcSpec::default()
    })
    .await;
    // Every session was closed, or the second one would find no room.
    for _ in 0..3 {
        assert_eq!(status(&running, &[]).await.unwrap(), Observation::On);
    }
}

#[tokio::test]
async fn a_session_that_is_dropped_is_closed() {
    let running = bmc(BmcSpec {
        session_limit: 1,
        ..BmcSpec::default()
    })
    .await;
    drop(client(&running, &[]).connect(soon()).await.unwrap());
    assert_eq!(status(&running, &[]).await.unwrap(), Observation::On);
}

#[tokio::test]
async fn off_when_off_and_on_after_off_are_looked_at() {
    let running = bmc(BmcSpec {
        off_when_off_fails: true,
        fails_ons: 2,
        ..BmcSpec::default()
    })
    .await;
    let device = client(&running, &[]);
    for _ in 0..2 {
        device.off_confirmed(&policy(), soon(), &()).await.unwrap();
    }
    assert_eq!(running.device.commands(), [(0, false)]);
    device.on_confirmed(&policy(), soon(), &()).await.unwrap();
    assert_eq!(running.device.relay(0), Some(true));
}

#[tokio::test]
async fn an_on_that_is_lost_right_after_an_off_is_sent_again() {
    let running = bmc(BmcSpec {
        loses_ons: 1,
        ..BmcSpec::default()
    })
    .await;
    let device = client(&running, &[]);
    device.off_confirmed(&policy(), soon(), &()).await.unwrap();
    let on = device.on_confirmed(&policy(), soon(), &()).await.unwrap();
    assert_eq!(on.commands, 2);
    assert_eq!(running.device.relay(0), Some(true));
}

#[tokio::test]
async fn a_delayed_off_is_success_only_once_it_is_off_and_polls_are_slow() {
    let running = bmc(BmcSpec::default()).await;
    running.device.set_faults(Faults {
        delay: Some(Duration::from_millis(1200)),
        ..Faults::default()
    });
    let started = Instant::now();
    let confirmed = client(&running, &[])
        .off_confirmed(&policy(), soon(), &())
        .await
        .unwrap();
    assert!(started.elapsed() >= Duration::from_millis(1200));
    assert!(confirmed.looks <= 4, "{} looks", confirmed.looks);
    assert_eq!(running.device.relay(0), Some(false));
}

#[tokio::test]
async fn a_bmc_that_lost_its_power_with_the_node_is_not_off() {
    let running = bmc(BmcSpec {
        shares_feed: true,
        ..BmcSpec::default()
    })
    .await;
    let policy = Policy {
        power_timeout: Duration::from_secs(3),
        ..policy()
    };
    let error = client(&running, &[("login_timeout", "1"), ("shell_timeout", "1")])
        .off_confirmed(&policy, soon(), &())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotConfirmed { .. }), "{error}");
    let error = status(&running, &[("login_timeout", "1")]).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
}

#[tokio::test]
async fn a_closed_port_is_unreachable_and_soon_known() {
    let running = bmc(BmcSpec::default()).await;
    let device = client(&running, &[("login_timeout", "5")]);
    drop(running);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let started = Instant::now();
    let error = device.status(&policy(), soon()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn every_fault_of_the_wire_is_an_error_or_the_truth() {
    for name in [
        "silent",
        "drop_reply",
        "cut_reply",
        "garbage",
        "html",
        "oversize",
        "no_state",
        "doubled",
        "slow=0.3",
    ] {
        let running = bmc(BmcSpec::default()).await;
        running.device.set_faults(name.parse().unwrap());
        let limit = if name.starts_with("slow") { "4" } else { "1" };
        let seen = client(&running, &[("login_timeout", limit), ("shell_timeout", limit)])
            .observe(&policy(), soon())
            .await;
        match name {
            "doubled" | "slow=0.3" => assert_eq!(seen, Observation::On, "{name}"),
            _ => assert!(matches!(seen, Observation::Unknown(_)), "{name}: {seen}"),
        }
    }
}

#[tokio::test]
async fn loss_duplicates_and_reordering_do_no_harm() {
    let each = (1..=8).map(|seed| async move {
        let running = bmc(BmcSpec {
            loss: 0.15,
            duplicates: 0.2,
            reordering: 0.3,
            detects_duplicates: seed % 2 == 0,
            seed,
            ..BmcSpec::default()
        })
        .await;
        let policy = Policy {
            connect_attempts: 3,
            power_timeout: Duration::from_secs(20),
            ..policy()
        };
        let device = client(&running, &[("login_timeout", "5"), ("shell_timeout", "5")]);
        let deadline = Deadline::after(Duration::from_secs(30));
        device.off_confirmed(&policy, deadline, &()).await.unwrap();
        assert_eq!(running.device.relay(0), Some(false));
    });
    futures_util::future::join_all(each).await;
}

#[tokio::test]
async fn too_low_a_level_is_said_before_anything_is_switched() {
    let running = bmc(BmcSpec {
        privilege_limit: 2,
        ..BmcSpec::default()
    })
    .await;
    let error = client(&running, &[])
        .off_confirmed(&policy(), soon(), &())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Authentication { .. }), "{error}");
    assert_eq!(
        status(&running, &[("privlvl", "user")]).await.unwrap(),
        Observation::On
    );
    let error = client(&running, &[("privlvl", "user")])
        .off_confirmed(&policy(), soon(), &())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("privlvl"), "{error}");
    assert_eq!(running.device.commands(), []);
}

#[tokio::test]
async fn another_bmc_is_never_switched() {
    let running = bmc(BmcSpec::default()).await;
    let seen = client(&running, &[]).status(&policy(), soon()).await.unwrap();
    let guid = seen.identity.unwrap().guid.unwrap();
    let policy = Policy {
        expect_identity: Some(fencekit::ExpectedIdentity::parse(&guid).unwrap()),
        ..policy()
    };
    let device = client(&running, &[]);
    device.off_confirmed(&policy, soon(), &()).await.unwrap();
    running.device.set_faults("wrong_identity".parse().unwrap());
    let error = device.on_confirmed(&policy, soon(), &()).await.unwrap_err();
    assert!(matches!(error, Error::WrongDevice { .. }), "{error}");
    assert_eq!(running.device.commands(), [(0, false)]);
}

#[tokio::test]
async fn the_meter_reads_through_dcmi_and_cycle_only_when_asked() {
    let running = bmc(BmcSpec::default()).await;
    let device = client(&running, &[]);
    let reading = device.power_reading(&policy(), soon()).await.unwrap();
    assert!((reading.watts - 60.0).abs() < 0.5);
    device.cycle(&policy(), soon()).await.unwrap();
    assert_eq!(running.device.commands(), [(0, false)]);

    let mut spec = Spec::plug("a").credentials("fencer", PASSWORD);
    spec.metered = false;
    let running = serve(
        Device::new(spec),
        "127.0.0.1:0".parse().unwrap(),
        BmcSpec::default(),
    )
    .await
    .unwrap();
    let error = client(&running, &[])
        .power_reading(&policy(), soon())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
}

#[tokio::test]
async fn a_control_fault_is_not_off() {
    let running = bmc(BmcSpec {
        status_bits: 0x10,
        status_len: 3,
        ..BmcSpec::default()
    })
    .await;
    running.device.set(0, false, true);
    assert!(matches!(
        status(&running, &[]).await.unwrap(),
        Observation::Unknown(_)
    ));
}

#[tokio::test]
async fn quirks_are_lived_with_when_named_and_never_guessed() {
    for (quirk, name) in Quirk::ALL {
        for cipher in ["3", "17"] {
            let running = bmc(BmcSpec {
                quirk,
                ..BmcSpec::default()
            })
            .await;
            let named = [("cipher", cipher), ("quirks", name)];
            let off = client(&running, &named)
                .off_confirmed(&policy(), soon(), &())
                .await;
            assert!(off.is_ok(), "{name}: {off:?}");
            let unnamed = [("cipher", cipher), ("login_timeout", "1"), ("shell_timeout", "1")];
            let on = client(&running, &unnamed)
                .on_confirmed(&policy(), soon(), &())
                .await;
            assert!(on.is_err(), "{name}");
            assert_eq!(running.device.commands(), [(0, false)], "{name}");
        }
    }
}

#[tokio::test]
async fn suites_without_encryption_work_when_allowed_by_name() {
    for cipher in ["2", "16"] {
        let running = bmc(BmcSpec {
            suites: vec![2, 16],
            forgery: Forgery::Plain,
            ..BmcSpec::default()
        })
        .await;
        let options = [("cipher", cipher), ("allow", "weak-suites")];
        let device = client(&running, &options);
        device.off_confirmed(&policy(), soon(), &()).await.unwrap();
        assert_eq!(running.device.relay(0), Some(false));
    }
}
