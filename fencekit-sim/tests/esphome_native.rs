//! The ESPHome backend over the native API against simulated devices on loopback.
#![allow(clippy::unwrap_used, reason = "the functions of a test, too, may fail it")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use fencekit::{
    Deadline, Error, ExpectedIdentity, FenceDevice, FenceDeviceExt, Method, Observation, Policy, Settings,
};
use fencekit_sim::esphome::{WebFirmware, parse_key, serve_native, serve_web};
use fencekit_sim::{Device, Faults, Outlet, Running, Spec};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const KEY: &str = "6Z4l0xkQ3m0l2mJm6q1oTq9wF6n1b2nYJw0J8j7m1lI=";
const OTHER_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// `Relay` and a second switch that nobody may touch.
fn two_switches() -> Spec {
    let mut spec = Spec::plug("Storage B power");
    spec.outlets = vec![Outlet::on("Relay"), Outlet::on("Second Outlet")];
    spec
}

async fn serve(spec: Spec, encrypted: bool) -> Running {
    let key = encrypted.then(|| parse_key(KEY).unwrap());
    serve_native(Device::new(spec), ANY, key).await.unwrap()
}

fn settings(running: &Running, options: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::new(Method::Esphome);
    settings.set("ip", "127.0.0.1").unwrap();
    settings
        .set("ipport", &running.address.port().to_string())
        .unwrap();
    settings.set("shell_timeout", "1").unwrap();
    settings.set("login_timeout", "1").unwrap();
    for (name, value) in options {
        settings.set(name, value).unwrap();
    }
    settings
}

fn device(running: &Running, options: &[(&str, &str)]) -> Box<dyn FenceDevice> {
    Method::Esphome.device(&settings(running, options)).unwrap()
}

fn with_key(running: &Running, switch: &str) -> Box<dyn FenceDevice> {
    device(running, &[("switch_name", switch), ("encryption_key", KEY)])
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
async fn off_is_confirmed_with_and_without_encryption() {
    for encrypted in [true, false] {
        let running = serve(two_switches(), encrypted).await;
        let plug = if encrypted {
            with_key(&running, "Second Outlet")
        } else {
            device(
                &running,
                &[("switch_name", "Second Outlet"), ("transport", "native")],
            )
        };
        let confirmed = plug.off_confirmed(&patience(5), soon(), &()).await.unwrap();
        assert_eq!((confirmed.before, confirmed.commands), (Observation::On, 1));
        assert_eq!(
            (running.device.relay(0), running.device.relay(1)),
            (Some(true), Some(false))
        );
        plug.on_confirmed(&patience(5), soon(), &()).await.unwrap();
        assert_eq!(running.device.commands(), [(1, false), (1, true)]);
    }
}

#[tokio::test]
async fn keys_and_encryption_that_do_not_fit_are_named() {
    let encrypting = serve(two_switches(), true).await;
    let plain = serve(two_switches(), false).await;
    for (running, options, said) in [
        (
            &encrypting,
            &[("encryption_key", OTHER_KEY)][..],
            "does not accept this encryption_key",
        ),
        (&encrypting, &[("transport", "native")], "give encryption_key"),
        (&plain, &[("encryption_key", KEY)], "encryption_key"),
    ] {
        let mut options = options.to_vec();
        options.push(("switch_name", "Relay"));
        let error = device(running, &options)
            .off_confirmed(&patience(5), soon(), &())
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(said), "{error}");
        assert!(!error.contains(KEY) && !error.contains(OTHER_KEY), "{error}");
        assert!(running.device.commands().is_empty());
    }
}

#[tokio::test]
async fn the_only_switch_needs_no_name() {
    let mut spec = Spec::plug("Plug");
    spec.outlets = vec![Outlet::on("Relay")];
    let running = serve(spec, true).await;
    let mut settings = settings(&running, &[("encryption_key", KEY)]);
    settings.set_node_name_plug("storage-b");
    let plug = Method::Esphome.device(&settings).unwrap();
    plug.off_confirmed(&patience(5), soon(), &()).await.unwrap();
    assert_eq!(running.device.relay(0), Some(false));

    let several = serve(two_switches(), true).await;
    let error = device(&several, &[("encryption_key", KEY)])
        .off_confirmed(&patience(5), soon(), &())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Config { .. }), "{error}");
    assert!(
        error.to_string().contains("\"Relay\", \"Second Outlet\""),
        "{error}"
    );
}

#[tokio::test]
async fn a_switch_of_a_sub_device_is_not_its_namesake() {
    let mut spec = Spec::plug("PDU");
    spec.outlets = vec![
        Outlet::on("Relay"),
        Outlet::on("Rack A/Relay"),
        Outlet::on("Rack B/Relay"),
    ];
    let running = serve(spec, true).await;
    with_key(&running, "Rack B/Relay")
        .off_confirmed(&patience(5), soon(), &())
        .await
        .unwrap();
    assert_eq!(running.device.commands(), [(2, false)]);
    let outlets = with_key(&running, "Relay")
        .outlets(&patience(5), soon())
        .await
        .unwrap();
    let shown: Vec<_> = outlets
        .iter()
        .map(|outlet| (outlet.plug.as_str(), &outlet.observation))
        .collect();
    assert_eq!(
        shown,
        [
            ("Relay", &Observation::On),
            ("Rack A/Relay", &Observation::On),
            ("Rack B/Relay", &Observation::Off)
        ]
    );
}

#[tokio::test]
async fn the_wrong_device_is_not_switched() {
    let running = serve(two_switches(), true).await;
    let mut policy = patience(5);
    policy.expect_identity = Some(ExpectedIdentity::parse("50:c7:bf:00:00:01").unwrap());
    let plug = with_key(&running, "Relay");
    plug.off_confirmed(&policy, soon(), &()).await.unwrap();
    running.device.set_faults("wrong_identity".parse().unwrap());
    let error = plug.on_confirmed(&policy, soon(), &()).await.unwrap_err();
    assert!(matches!(error, Error::WrongDevice { .. }), "{error}");
    assert_eq!(running.device.commands().len(), 1);
}

#[tokio::test]
async fn a_load_on_the_meter_keeps_off_from_being_confirmed() {
    let running = serve(two_switches(), true).await;
    let plug = with_key(&running, "Relay");
    let mut policy = patience(2);
    policy.off_max_watts = Some(5.0);
    let confirmed = plug.off_confirmed(&policy, soon(), &()).await.unwrap();
    assert_eq!(confirmed.power.unwrap().watts, 0.0);
    running.device.set(0, true, true);
    running.device.set_faults("lie".parse().unwrap());
    let error = plug.off_confirmed(&policy, soon(), &()).await.unwrap_err();
    assert!(error.to_string().contains("meter"), "{error}");
}

#[tokio::test]
async fn a_late_relay_is_waited_for_and_a_restart_forgets_nothing() {
    let running = serve(two_switches(), true).await;
    running.device.set_faults("delay=0.4".parse().unwrap());
    let plug = with_key(&running, "Relay");
    let started = Instant::now();
    let confirmed = plug.off_confirmed(&patience(5), soon(), &()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(400) && confirmed.looks > 1);
}

/// Whatever goes wrong, off is claimed only when the relay is off, encrypted or not.
#[tokio::test]
async fn no_fault_makes_a_false_off() {
    let mut runs = Vec::new();
    let faults = Faults::NAMES
        .iter()
        .filter(|fault| !["lie", "bounce", "meter_stuck"].contains(fault));
    for (fault, encrypted) in faults.flat_map(|fault| [(*fault, true), (*fault, false)]) {
        runs.push(tokio::spawn(async move {
            let running = serve(two_switches(), encrypted).await;
            running.device.set_faults(fault.parse().unwrap());
            let plug = if encrypted {
                with_key(&running, "Relay")
            } else {
                device(&running, &[("switch_name", "Relay"), ("transport", "native")])
            };
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
            (fault, outcome.map(|_| ()).map_err(|error| error.to_string()))
        }));
    }
    for run in runs {
        let (fault, outcome) = run.await.unwrap();
        // A redirect means nothing here.
        let harmless = ["delay", "wrong_identity", "redirect", "server_error"].contains(&fault);
        // Some hundred bytes, each late, may or may not be in time.
        let either = ["slow", "trickle", "one_client"].contains(&fault);
        match outcome {
            Ok(()) => assert!(harmless || either, "{fault} should have failed"),
            Err(error) => assert!(!harmless && !error.contains('\n'), "{fault}: {error}"),
        }
    }
}

#[tokio::test]
async fn without_a_transport_the_native_api_is_found_and_rest_where_there_is_none() {
    let native = serve(two_switches(), false).await;
    let web = serve_web(Device::new(two_switches()), ANY, WebFirmware::default())
        .await
        .unwrap();
    for running in [&native, &web] {
        let started = Instant::now();
        let plug = device(running, &[("switch_name", "Relay")]);
        plug.off_confirmed(&patience(5), soon(), &()).await.unwrap();
        assert_eq!(running.device.relay(0), Some(false), "{}", running.transport);
        assert_eq!(running.device.relay(1), Some(true));
        assert!(
            started.elapsed() < Duration::from_secs(4),
            "{}",
            running.transport
        );
    }
    // With a user name it is REST that is meant, whatever else answers.
    let login = [
        ("switch_name", "Relay"),
        ("username", "admin"),
        ("password", "s3cret"),
    ];
    let error = device(&native, &login)
        .status(&patience(1), soon())
        .await
        .unwrap_err();
    assert!(!matches!(error, Error::Config { .. }), "{error}");
}

#[tokio::test]
async fn a_native_api_that_greets_late_is_waited_for() {
    let native = serve(two_switches(), false).await;
    native.device.set_faults(Faults {
        slow: Some(Duration::from_millis(1300)),
        ..Faults::default()
    });
    let patient = [
        ("switch_name", "Relay"),
        ("login_timeout", "8"),
        ("shell_timeout", "4"),
    ];
    let plug = device(&native, &patient);
    let status = plug.status(&patience(15), soon()).await.unwrap();
    assert_eq!(status.observation, Observation::On);
    // One slow greeting does not settle it for the object's life: the native API tells who the device is.
    native.device.set_faults(Faults::default());
    let who = plug
        .connect(soon())
        .await
        .unwrap()
        .identity(soon())
        .await
        .unwrap();
    assert!(who.mac.is_some(), "{who}");
}

/// A key must never be got round by an attacker who lets only plaintext through.
#[tokio::test]
async fn a_key_is_never_given_up() {
    let web = serve_web(Device::new(two_switches()), ANY, WebFirmware::default())
        .await
        .unwrap();
    let plain = serve(two_switches(), false).await;
    for running in [&web, &plain] {
        let error = with_key(running, "Relay")
            .off_confirmed(&patience(2), soon(), &())
            .await;
        assert!(error.is_err());
        assert!(running.device.commands().is_empty());
    }
}
