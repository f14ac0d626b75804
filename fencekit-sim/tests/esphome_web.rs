//! The ESPHome backend over REST against simulated devices on loopback.
#![allow(clippy::unwrap_used, reason = "the functions of a test, too, may fail it")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use fencekit::{
    Deadline, Error, FenceDevice, FenceDeviceExt, Method, Observation, Policy, PowerState, Settings,
};
use fencekit_sim::esphome::{Names, Scheme, WebFirmware, serve_web};
use fencekit_sim::{Device, Faults, Outlet, Running, Spec};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// `Relay` and a second switch that nobody may touch.
fn two_switches() -> Spec {
    let mut spec = Spec::plug("Storage B power");
    spec.outlets = vec![Outlet::on("Relay"), Outlet::on("Second Outlet")];
    spec
}

async fn serve(spec: Spec, firmware: WebFirmware) -> Running {
    serve_web(Device::new(spec), ANY, firmware).await.unwrap()
}

fn device(running: &Running, plug: &str, more: &[(&str, &str)]) -> Box<dyn FenceDevice> {
    let mut settings = Settings::new(Method::Esphome);
    settings.set("ip", "127.0.0.1").unwrap();
    settings
        .set("ipport", &running.address.port().to_string())
        .unwrap();
    settings.set("transport", "web").unwrap();
    settings.set("switch_name", plug).unwrap();
    settings.set("shell_timeout", "1").unwrap();
    settings.set("login_timeout", "1").unwrap();
    for (name, value) in more {
        settings.set(name, value).unwrap();
    }
    Method::Esphome.device(&settings).unwrap()
}

fn patience(seconds: u64) -> Policy {
    Policy {
        power_timeout: Duration::from_secs(seconds),
        poll: Duration::from_millis(100),
        ..Policy::default()
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

#[tokio::test]
async fn off_is_confirmed_on_every_generation_and_login() {
    for names in [Names::ObjectId, Names::Both, Names::Name] {
        for login in [
            None,
            Some(Scheme::Basic),
            Some(Scheme::Digest),
            Some(Scheme::DigestSha256),
        ] {
            let mut spec = two_switches();
            if login.is_some() {
                spec = spec.credentials("admin", "s3cret");
            }
            let firmware = WebFirmware {
                names,
                login: login.unwrap_or_default(),
                ..WebFirmware::default()
            };
            let running = serve(spec, firmware).await;
            let credentials = [("username", "admin"), ("password", "s3cret")];
            let plug = device(
                &running,
                "Second Outlet",
                if login.is_some() { &credentials } else { &[] },
            );
            let confirmed = plug.off_confirmed(&patience(5), soon(), &()).await.unwrap();
            assert_eq!(confirmed.before, Observation::On);
            assert!(confirmed.looks >= 1);
            assert_eq!(running.device.relay(1), Some(false));
            assert_eq!(
                running.device.relay(0),
                Some(true),
                "the other switch was touched"
            );
            plug.on_confirmed(&patience(5), soon(), &()).await.unwrap();
            assert_eq!(running.device.relay(1), Some(true));
            assert!(running.device.commands().iter().all(|(outlet, _)| *outlet == 1));
        }
    }
}

#[tokio::test]
async fn the_reply_comes_before_the_relay_and_is_no_proof() {
    let running = serve(two_switches(), WebFirmware::default()).await;
    running.device.set_faults("delay=0.4".parse().unwrap());
    let plug = device(&running, "Relay", &[]);
    let started = Instant::now();
    let confirmed = plug.off_confirmed(&patience(5), soon(), &()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(400) && confirmed.looks > 1);
    assert_eq!((confirmed.commands, running.device.relay(0)), (1, Some(false)));
}

#[tokio::test]
async fn an_expired_nonce_is_renewed() {
    let firmware = WebFirmware {
        login: Scheme::Digest,
        nonce_uses: 1,
        ..WebFirmware::default()
    };
    let running = serve(two_switches().credentials("admin", "s3cret"), firmware).await;
    let plug = device(
        &running,
        "Relay",
        &[("username", "admin"), ("password", "s3cret")],
    );
    plug.off_confirmed(&patience(5), soon(), &()).await.unwrap();
    assert_eq!(running.device.relay(0), Some(false));
}

#[tokio::test]
async fn wrong_or_missing_credentials_switch_nothing() {
    for login in [Scheme::Basic, Scheme::Digest, Scheme::DigestSha256] {
        let firmware = WebFirmware {
            login,
            ..WebFirmware::default()
        };
        let running = serve(two_switches().credentials("admin", "s3cret"), firmware).await;
        for credentials in [&[][..], &[("username", "admin"), ("password", "wrong")]] {
            let plug = device(&running, "Relay", credentials);
            let before = running.device.requests();
            let error = plug.off_confirmed(&patience(5), soon(), &()).await.unwrap_err();
            assert!(matches!(error, Error::Authentication { .. }), "{error}");
            assert!(!error.to_string().contains("wrong"), "{error}");
            assert!(running.device.requests() - before <= 2, "the device may lock out");
        }
        assert!(running.device.commands().is_empty());
    }
}

#[tokio::test]
async fn the_wrong_switch_is_a_clear_error() {
    for names in [Names::ObjectId, Names::Both, Names::Name] {
        let firmware = WebFirmware {
            names,
            ..WebFirmware::default()
        };
        let running = serve(two_switches(), firmware).await;
        let started = Instant::now();
        let error = device(&running, "Nope", &[])
            .off_confirmed(&patience(5), soon(), &())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{error}");
        assert!(started.elapsed() < Duration::from_secs(1));
        assert!(running.device.commands().is_empty());
    }
}

#[tokio::test]
async fn a_switch_of_a_sub_device_is_not_its_namesake() {
    let mut spec = Spec::plug("PDU");
    spec.outlets = vec![
        Outlet::on("Relay"),
        Outlet::on("Rack A/Relay"),
        Outlet::on("Rack B/Relay"),
    ];
    let running = serve(spec, WebFirmware::default()).await;
    device(&running, "Rack B/Relay", &[])
        .off_confirmed(&patience(5), soon(), &())
        .await
        .unwrap();
    assert_eq!(running.device.commands(), [(2, false)]);
}

#[tokio::test]
async fn an_assumed_state_is_never_off() {
    let firmware = WebFirmware {
        assumed_state: true,
        ..WebFirmware::default()
    };
    let running = serve(two_switches(), firmware).await;
    let plug = device(&running, "Relay", &[]);
    let error = plug.off_confirmed(&patience(1), soon(), &()).await.unwrap_err();
    assert!(error.to_string().contains("assumed_state"), "{error}");
}

#[tokio::test]
async fn the_identity_is_the_name_in_the_event_stream() {
    let running = serve(two_switches(), WebFirmware::default()).await;
    let plug = device(&running, "Relay", &[]);
    let mut policy = patience(5);
    policy.expect_identity = Some(fencekit::ExpectedIdentity::parse("Storage B power").unwrap());
    plug.off_confirmed(&policy, soon(), &()).await.unwrap();
    assert_eq!(running.device.relay(0), Some(false));

    running.device.set_faults("wrong_identity".parse().unwrap());
    let error = plug.on_confirmed(&policy, soon(), &()).await.unwrap_err();
    assert!(matches!(error, Error::WrongDevice { .. }), "{error}");
    assert_eq!(running.device.relay(0), Some(false));
}

#[tokio::test]
async fn the_meter_is_asked_and_a_load_keeps_off_from_being_confirmed() {
    let running = serve(two_switches(), WebFirmware::default()).await;
    let plug = device(&running, "Relay", &[]);
    let mut policy = patience(2);
    policy.off_max_watts = Some(5.0);
    let confirmed = plug.off_confirmed(&policy, soon(), &()).await.unwrap();
    assert_eq!(confirmed.power.unwrap().watts, 0.0);
    running.device.set_faults("lie".parse().unwrap());
    running.device.set(0, true, true);
    let error = plug.off_confirmed(&policy, soon(), &()).await.unwrap_err();
    assert!(error.to_string().contains("meter"), "{error}");
    let second = device(&running, "Relay", &[("power_sensor", "Second Outlet Power")]);
    let reading = second.power_reading(&policy, soon()).await.unwrap();
    assert_eq!(reading.watts, 60.0);
}

/// Whatever goes wrong, off is claimed only when the relay is off.
#[tokio::test]
async fn no_fault_makes_a_false_off() {
    let mut runs = Vec::new();
    for fault in Faults::NAMES
        .iter()
        .filter(|fault| !["lie", "bounce", "meter_stuck"].contains(fault))
    {
        runs.push(tokio::spawn(async move {
            let running = serve(two_switches(), WebFirmware::default()).await;
            running.device.set_faults(fault.parse().unwrap());
            let plug = device(&running, "Relay", &[]);
            let deadline = Deadline::after(Duration::from_secs(4));
            let outcome = plug.off_confirmed(&patience(3), deadline, &()).await;
            if outcome.is_ok() {
                assert_eq!(running.device.relay(0), Some(false), "{fault}: a false off");
            }
            assert_eq!(
                running.device.relay(1),
                Some(true),
                "{fault}: another switch was touched"
            );
            (*fault, outcome.map(|_| ()).map_err(|error| error.to_string()))
        }));
    }
    for run in runs {
        let (fault, outcome) = run.await.unwrap();
        let harmless = [
            "slow",
            "trickle",
            "doubled",
            "one_client",
            "delay",
            "wrong_identity",
        ]
        .contains(&fault);
        match outcome {
            Ok(()) => assert!(harmless, "{fault} should have failed"),
            Err(error) => {
                assert!(!error.contains('\n') && !error.is_empty());
                assert!(
                    !harmless || fault == "one_client" || fault == "slow",
                    "{fault}: {error}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_is_the_devices_word() {
    let running = serve(two_switches(), WebFirmware::default()).await;
    running.device.set_faults("refuse".parse().unwrap());
    let plug = device(&running, "Relay", &[]);
    let mut session = plug.connect(soon()).await.unwrap();
    let error = session.switch(PowerState::Off, soon()).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
}

#[tokio::test]
async fn a_connection_that_ends_without_a_word_is_no_off() {
    let running = serve(two_switches(), WebFirmware::default()).await;
    running.device.set_faults("drop_reply".parse().unwrap());
    let plug = device(&running, "Relay", &[]);
    let state = plug
        .observe(&patience(1), Deadline::after(Duration::from_secs(3)))
        .await;
    assert!(matches!(state, Observation::Unknown(_)), "{state}");
}
