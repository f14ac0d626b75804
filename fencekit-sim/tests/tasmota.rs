//! The Tasmota backend against the simulated device, over real sockets.
#![allow(
    clippy::unwrap_used,
    reason = "a test may panic; clippy knows only the functions marked as tests"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fencekit::{
    Deadline, Error, ExpectedIdentity, FenceDevice, FenceDeviceExt, Method, Observation, Policy, Settings,
    Severity,
};
use fencekit_sim::tasmota::Tasmota;
use fencekit_sim::{Device, Faults, Running, Spec};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A simulated Tasmota that serves, and the backend configured for it.
struct Bench {
    tasmota: Tasmota,
    running: Running,
}

impl Bench {
    async fn new(spec: Spec) -> Self {
        let tasmota = Tasmota::new(Device::new(spec));
        let running = tasmota.clone().serve(LOOPBACK).await.unwrap();
        Self { tasmota, running }
    }

    fn sim(&self) -> &Device {
        &self.running.device
    }

    fn settings(&self, options: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::new(Method::Tasmota);
        settings.set("ip", "127.0.0.1").unwrap();
        settings
            .set("ipport", &self.running.address.port().to_string())
            .unwrap();
        settings.set("login_timeout", "1").unwrap();
        settings.set("shell_timeout", "1").unwrap();
        for (name, value) in options {
            settings.set(name, value).unwrap();
        }
        settings
    }

    fn device(&self, options: &[(&str, &str)]) -> Box<dyn FenceDevice> {
        Method::Tasmota.device(&self.settings(options)).unwrap()
    }
}

fn policy() -> Policy {
    Policy {
        poll: Duration::from_millis(50),
        power_timeout: Duration::from_secs(2),
        ..Policy::default()
    }
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(40))
}

async fn off(
    device: &(dyn FenceDevice + 'static),
    policy: &Policy,
) -> fencekit::Result<fencekit::Confirmation> {
    device.off_confirmed(policy, deadline(), &()).await
}

#[tokio::test]
async fn one_relay_is_fenced_read_and_powered_on() {
    let bench = Bench::new(Spec::plug("plug-b")).await;
    let device = bench.device(&[]);
    assert_eq!(
        device.status(&policy(), deadline()).await.unwrap().observation,
        Observation::On
    );
    let done = off(&*device, &policy()).await.unwrap();
    assert_eq!((done.before, done.commands), (Observation::On, 1));
    assert_eq!(bench.sim().relay(0), Some(false));
    assert_eq!(
        device.status(&policy(), deadline()).await.unwrap().observation,
        Observation::Off
    );
    device.on_confirmed(&policy(), deadline(), &()).await.unwrap();
    assert_eq!(bench.sim().relay(0), Some(true));
    assert_eq!(bench.sim().commands(), [(0, false), (0, true)]);
}

#[tokio::test]
async fn a_fence_takes_few_requests() {
    let bench = Bench::new(Spec::plug("plug-b")).await;
    off(&*bench.device(&[]), &policy()).await.unwrap();
    // Status 0, StateText1, StateText2; Power1 OFF; StateText1, StateText2 only once; Status 0.
    assert_eq!(bench.sim().requests(), 5);
}

#[tokio::test]
async fn of_several_relays_only_the_named_one_moves() {
    let bench = Bench::new(Spec::plug("strip").outlets(4)).await;
    off(&*bench.device(&[("plug", "3")]), &policy()).await.unwrap();
    let relays: Vec<_> = (0..4).map(|outlet| bench.sim().relay(outlet).unwrap()).collect();
    assert_eq!(relays, [true, true, false, true]);
    let outlets = bench.device(&[]).outlets(&policy(), deadline()).await.unwrap();
    let shown: Vec<_> = outlets
        .iter()
        .map(|o| (o.plug.as_str(), o.alias.as_str(), &o.observation))
        .collect();
    assert_eq!(shown[2], ("3", "Outlet 3", &Observation::Off));
    assert_eq!(shown[3], ("4", "Outlet 4", &Observation::On));
}

#[tokio::test]
async fn a_plug_must_be_named_on_a_strip_and_must_exist() {
    let bench = Bench::new(Spec::plug("strip").outlets(4)).await;
    for (plug, words) in [
        (None, "from 1 to 4"),
        (Some("5"), "from 1 to 4"),
        (Some("64"), "no relay 64"),
    ] {
        let options: Vec<_> = plug.into_iter().map(|plug| ("plug", plug)).collect();
        let error = off(&*bench.device(&options), &policy()).await.unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let mut by_node_name = bench.settings(&[]);
    by_node_name.set_node_name_plug("storage-b");
    let device = Method::Tasmota.device(&by_node_name).unwrap();
    assert!(matches!(
        off(&*device, &policy()).await,
        Err(Error::Config { .. })
    ));
    assert_eq!(bench.sim().commands(), []);
}

#[tokio::test]
async fn a_node_name_does_not_disturb_a_single_relay() {
    let bench = Bench::new(Spec::plug("plug-b")).await;
    let mut settings = bench.settings(&[]);
    settings.set_node_name_plug("storage-b");
    off(&*Method::Tasmota.device(&settings).unwrap(), &policy())
        .await
        .unwrap();
    assert_eq!(bench.sim().relay(0), Some(false));
}

#[tokio::test]
async fn set_option_26_and_old_power_bits_are_understood() {
    for (option_26, as_text) in [(0, false), (1, true), (1, false)] {
        let bench = Bench::new(Spec::plug("plug-b")).await;
        bench.tasmota.change(|settings| {
            settings.options.insert(26, option_26);
            settings.power_bits_as_text = as_text;
        });
        off(&*bench.device(&[]), &policy()).await.unwrap();
        assert_eq!(bench.sim().relay(0), Some(false));
    }
}

#[tokio::test]
async fn state_texts_of_the_owner_are_read() {
    let bench = Bench::new(Spec::plug("plug-b")).await;
    bench
        .tasmota
        .change(|settings| settings.state_texts = ["Aus".into(), "An".into()]);
    off(&*bench.device(&[]), &policy()).await.unwrap();
    // Swapped on purpose: the words still mean what the device says that they mean.
    bench
        .tasmota
        .change(|settings| settings.state_texts = ["ON".into(), "OFF".into()]);
    let swapped = bench.device(&[]);
    assert_eq!(
        swapped.status(&policy(), deadline()).await.unwrap().observation,
        Observation::Off
    );
    swapped.on_confirmed(&policy(), deadline(), &()).await.unwrap();
    assert_eq!(bench.sim().relay(0), Some(true));
}

#[tokio::test]
async fn equal_state_texts_are_an_error() {
    let bench = Bench::new(Spec::plug("plug-b")).await;
    bench
        .tasmota
        .change(|settings| settings.state_texts = ["X".into(), "X".into()]);
    let error = off(&*bench.device(&[]), &policy()).await.unwrap_err();
    assert!(error.to_string().contains("StateText1 OFF"), "{error}");
}

#[tokio::test]
async fn other_lines_of_the_log_do_not_mislead() {
    let bench = Bench::new(Spec::plug("plug-b")).await;
    bench
        .tasmota
        .change(|settings| settings.log_noise = r#""Time":"x","Wifi":{"RSSI":1},"Time":"y""#.into());
    off(&*bench.device(&[]), &policy()).await.unwrap();
    // A line from before the command gets in: both states stand in the reply to Power, so it was not accepted.
    bench.sim().set(0, true, true);
    bench
        .tasmota
        .change(|settings| settings.log_noise = r#""POWER":"ON""#.into());
    let error = off(&*bench.device(&[]), &policy()).await.unwrap_err();
    assert!(error.to_string().contains("two different states"), "{error}");
}

#[tokio::test]
async fn a_password_goes_by_header_first_and_by_query_to_old_firmware() {
    for (header_auth, refusal_status) in [(true, 401), (false, 401), (false, 200)] {
        let mut spec = Spec::plug("plug-b");
        spec.password = Some("s3cret & more".into());
        let bench = Bench::new(spec).await;
        bench.tasmota.change(|settings| {
            settings.header_auth = header_auth;
            settings.refusal_status = refusal_status;
        });
        off(&*bench.device(&[("password", "s3cret & more")]), &policy())
            .await
            .unwrap();
        // Without the header it costs one request more, once.
        assert_eq!(bench.sim().requests(), if header_auth { 5 } else { 6 });

        for (options, words) in [
            (vec![], "give its WebPassword"),
            (vec![("password", "wrong")], "check password"),
            (
                vec![("password", "s3cret & more"), ("username", "root")],
                "user \"root\"",
            ),
        ] {
            let error = off(&*bench.device(&options), &policy()).await.unwrap_err();
            assert!(matches!(error, Error::Authentication { .. }), "{error:?}");
            let text = format!("{error} {error:?}");
            assert!(text.contains(words) && !text.contains("s3cret"), "{text}");
        }
    }
}

#[tokio::test]
async fn another_user_name_is_honoured() {
    let bench = Bench::new(Spec::plug("plug-b").credentials("proxy", "pw")).await;
    off(
        &*bench.device(&[("username", "proxy"), ("password", "pw")]),
        &policy(),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn identity_is_checked_before_anything_is_switched() {
    let bench = Bench::new(Spec::plug("plug-b")).await;
    let device = bench.device(&[]);
    for right in ["50-c7-bf-00-00-01", "plug-b", "tasmota-000001-0001"] {
        let expect = Policy {
            expect_identity: Some(ExpectedIdentity::parse(right).unwrap()),
            ..policy()
        };
        off(&*device, &expect).await.unwrap();
        assert_eq!(
            device.status(&expect, deadline()).await.unwrap().observation,
            Observation::Off
        );
    }
    bench.sim().set(0, true, true);
    let sent = bench.sim().commands().len();
    bench.sim().set_faults("wrong_identity".parse().unwrap());
    let expect = Policy {
        expect_identity: Some(ExpectedIdentity::parse("50-c7-bf-00-00-01").unwrap()),
        ..policy()
    };
    assert!(matches!(
        off(&*device, &expect).await,
        Err(Error::WrongDevice { .. })
    ));
    assert_eq!(bench.sim().commands().len(), sent);
}

#[tokio::test]
async fn a_locked_relay_is_refused_with_the_mend() {
    for lock in ["PowerLock", "PowerOnState"] {
        let bench = Bench::new(Spec::plug("plug-b")).await;
        bench.tasmota.change(|settings| match lock {
            "PowerLock" => {
                settings.power_lock.insert(1);
            }
            _ => settings.power_on_state = 4,
        });
        let error = off(&*bench.device(&[]), &policy()).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("PowerLock1 0"), "{error}");
        assert_eq!(bench.sim().relay(0), Some(true));
    }
}

#[tokio::test]
async fn an_off_within_the_start_delay_is_not_believed() {
    let bench = Bench::new(Spec::plug("plug-b")).await;
    bench.tasmota.change(|settings| {
        settings.options.insert(47, 200);
    });
    bench.sim().restart();
    let error = off(&*bench.device(&[]), &policy()).await.unwrap_err();
    assert_eq!(
        (bench.sim().reported(0), bench.sim().relay(0)),
        (Some(false), Some(true))
    );
    assert!(error.to_string().contains("SetOption47"), "{error}");
}

#[tokio::test]
async fn a_start_delay_that_the_status_lost_is_asked_for() {
    let bench = Bench::new(Spec::plug("plug-b")).await;
    bench.tasmota.change(|settings| {
        settings.options.insert(47, 200);
        settings.loses_option_list = true;
    });
    bench.sim().restart();
    let error = off(&*bench.device(&[]), &policy()).await.unwrap_err();
    assert_eq!(
        (bench.sim().reported(0), bench.sim().relay(0)),
        (Some(false), Some(true))
    );
    assert!(error.to_string().contains("SetOption47"), "{error}");
}

#[tokio::test]
async fn firmware_without_a_start_delay_is_fenced_right_after_a_start() {
    let bench = Bench::new(Spec::plug("plug-b")).await;
    bench.tasmota.change(|settings| {
        settings.loses_option_list = true;
        settings.unknown_options.insert(47);
    });
    bench.sim().restart();
    off(&*bench.device(&[]), &policy()).await.unwrap();
    assert_eq!(bench.sim().relay(0), Some(false));
}

#[tokio::test]
async fn a_meter_counts_only_with_set_option_21() {
    let bench = Bench::new(Spec::plug("plug-b")).await;
    let device = bench.device(&[]);
    let metered = Policy {
        off_max_watts: Some(5.0),
        ..policy()
    };
    let error = off(&*device, &metered).await.unwrap_err();
    assert!(error.to_string().contains("SetOption21 1"), "{error}");
    bench.tasmota.change(|settings| {
        settings.options.insert(21, 1);
    });
    let done = off(&*device, &metered).await.unwrap();
    assert_eq!(done.power.unwrap().watts, 0.0);
    bench.sim().set(0, true, true);
    bench.sim().set_faults("lie".parse().unwrap());
    let error = off(&*device, &metered).await.unwrap_err();
    assert!(error.to_string().contains("60.0 W"), "{error}");
}

#[tokio::test]
async fn each_relay_has_its_own_meter() {
    let bench = Bench::new(Spec::plug("strip").outlets(2)).await;
    bench.tasmota.change(|settings| {
        settings.options.insert(21, 1);
    });
    let metered = Policy {
        off_max_watts: Some(5.0),
        ..policy()
    };
    off(&*bench.device(&[("plug", "2")]), &metered).await.unwrap();
    let other = bench
        .device(&[("plug", "1")])
        .power_reading(&policy(), deadline())
        .await
        .unwrap();
    assert_eq!(other.watts, 60.0);
}

#[tokio::test]
async fn a_device_without_web_api_says_how_to_mend_it() {
    let bench = Bench::new(Spec::plug("plug-b")).await;
    bench.tasmota.change(|settings| settings.web_server = 1);
    let error = off(&*bench.device(&[]), &policy()).await.unwrap_err();
    assert!(error.to_string().contains("WebServer 2"), "{error}");
}

#[tokio::test]
async fn the_referer_opens_a_device_with_set_option_128_off() {
    let bench = Bench::new(Spec::plug("plug-b")).await;
    bench.tasmota.change(|settings| {
        settings.options.insert(128, 0);
    });
    off(&*bench.device(&[]), &policy()).await.unwrap();
}

#[tokio::test]
async fn findings_name_every_setting_that_misleads() {
    let bench = Bench::new(Spec::plug("plug-b")).await;
    bench.tasmota.change(|settings| {
        settings.power_lock.insert(1);
        settings.power_on_state = 5;
        settings.pulse_time.insert(1, 112);
        settings.rules = [false, true, false];
        settings.timers = true;
        settings.interlock = true;
        settings.wifi_config = 2;
        settings.options = [(3, 1), (47, 10), (85, 1)].into();
    });
    let device = bench.device(&[]);
    let mut session = device.connect(deadline()).await.unwrap();
    let found = session.findings(deadline()).await.unwrap();
    for command in [
        "PowerLock1 0",
        "PowerOnState 3",
        "PulseTime1 0",
        "Rule2 0",
        "Timers 0",
        "Interlock 0",
        "WifiConfig 5",
        "SetOption0 1",
        "SetOption1 1",
        "SetOption3 0",
        "SetOption21 1",
        "SetOption47 0",
        "SetOption65 1",
        "SetOption73 1",
        "SetOption85 0",
        "SetOption128 1",
        "NtpServer1",
        "WebPassword",
    ] {
        assert!(
            found.iter().any(|finding| finding.mend.contains(command)),
            "{command}: {found:#?}"
        );
    }
    assert_eq!(found.first().unwrap().severity, Severity::Problem);
    assert!(!found.iter().any(|finding| finding.mend.contains("Rule1")));
}

#[tokio::test]
async fn a_device_set_up_for_fencing_has_nothing_to_mend() {
    let mut spec = Spec::plug("plug-b");
    spec.password = Some("pw".into());
    let bench = Bench::new(spec).await;
    bench.tasmota.change(|settings| {
        settings.options = [(0, 1), (1, 1), (21, 1), (26, 1), (65, 1), (73, 1), (128, 1)].into();
        settings.wifi_config = 5;
        settings.ntp_server = "10.20.20.254".into();
    });
    let device = bench.device(&[("password", "pw")]);
    let found = device
        .connect(deadline())
        .await
        .unwrap()
        .findings(deadline())
        .await
        .unwrap();
    assert!(
        found.iter().all(|finding| finding.severity == Severity::Info),
        "{found:#?}"
    );
}

/// With a meter that counts, no fault whatever makes a success while the relay is on; and each ends in time.
#[tokio::test]
async fn no_fault_makes_a_false_off() {
    let runs = Faults::NAMES.iter().map(|name| tokio::spawn(one_fault(name)));
    for run in runs.collect::<Vec<_>>() {
        run.await.unwrap();
    }
}

async fn one_fault(name: &str) {
    let bench = Bench::new(Spec::plug("strip").outlets(2).credentials("admin", "pw")).await;
    bench.tasmota.change(|settings| {
        settings.options.insert(21, 1);
    });
    // Those that can be lived with get all the time that a busy machine may need.
    let harmless = matches!(
        name,
        "slow" | "trickle" | "doubled" | "one_client" | "delay" | "bounce"
    );
    let (step, whole) = if harmless { ("10", 30) } else { ("1", 3) };
    let device = bench.device(&[("plug", "2"), ("password", "pw"), ("shell_timeout", step)]);
    bench.sim().set_faults(name.parse().unwrap());
    let strict = Policy {
        expect_identity: Some(ExpectedIdentity::parse("50:c7:bf:00:00:01").unwrap()),
        off_max_watts: Some(5.0),
        power_timeout: Duration::from_secs(whole),
        ..policy()
    };
    let started = Instant::now();
    let outcome = off(&*device, &strict).await;
    if !harmless {
        assert!(
            started.elapsed() < Duration::from_secs(15),
            "{name}: {:?}",
            started.elapsed()
        );
    }
    // The relay of `bounce` may be on again by now, a second after it was really off.
    let really_off = bench.sim().relay(1) == Some(false) || name == "bounce";
    assert!(outcome.is_err() || really_off, "{name}: {outcome:?}");
    assert_eq!(bench.sim().relay(0), Some(true), "{name} moved the neighbour");
    assert_eq!(outcome.is_ok(), harmless, "{name}: {outcome:?}");
}
