//! The HTTP outlet backend against the simulated device, over real sockets.
#![allow(
    clippy::unwrap_used,
    reason = "a test may panic; clippy knows only the functions marked as tests"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fencekit::{
    Confirmation, Deadline, Error, FenceDevice, FenceDeviceExt, Method, Observation, Policy, Settings,
};
use fencekit_sim::esphome::Scheme;
use fencekit_sim::http_outlet::{Firmware, Routes, serve_with};
use fencekit_sim::{Device, Faults, Running, Spec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

struct Bench(Running);

impl Bench {
    async fn new(spec: Spec) -> Self {
        Self::with(spec, Firmware::default()).await
    }

    async fn with(spec: Spec, firmware: Firmware) -> Self {
        Self(serve_with(Device::new(spec), LOOPBACK, firmware).await.unwrap())
    }

    fn sim(&self) -> &Device {
        &self.0.device
    }

    /// `options` over the usual ones; an empty value takes one away.
    fn settings(&self, options: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::new(Method::Http);
        let port = self.0.address.port().to_string();
        for (name, value) in [
            ("ip", "127.0.0.1"),
            ("ipport", port.as_str()),
            ("power_on_url", "/outlet/1/on"),
            ("power_off_url", "/outlet/1/off"),
            ("status_url", "/outlet/1"),
            ("status_on_regex", r#""state":"on""#),
            ("status_off_regex", r#""state":"off""#),
            ("login_timeout", "1"),
            ("shell_timeout", "1"),
        ]
        .iter()
        .chain(options)
        {
            settings.set(name, value).unwrap();
        }
        settings
    }

    fn device(&self, options: &[(&str, &str)]) -> Box<dyn FenceDevice> {
        Method::Http.device(&self.settings(options)).unwrap()
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

async fn off(device: &(dyn FenceDevice + 'static)) -> fencekit::Result<Confirmation> {
    device.off_confirmed(&policy(), deadline(), &()).await
}

async fn status(device: &(dyn FenceDevice + 'static)) -> fencekit::Result<Observation> {
    Ok(device.status(&policy(), deadline()).await?.observation)
}

#[tokio::test]
async fn an_outlet_is_fenced_read_and_powered_on() {
    let bench = Bench::new(Spec::plug("pdu").outlets(2)).await;
    let device = bench.device(&[]);
    assert_eq!(status(&*device).await.unwrap(), Observation::On);
    off(&*device).await.unwrap();
    assert_eq!(
        (bench.sim().relay(0), bench.sim().relay(1)),
        (Some(false), Some(true))
    );
    assert_eq!(status(&*device).await.unwrap(), Observation::Off);
    device.on_confirmed(&policy(), deadline(), &()).await.unwrap();
    assert_eq!(bench.sim().relay(0), Some(true));
}

#[tokio::test]
async fn methods_bodies_and_whole_urls_work() {
    for method in ["GET", "POST", "PUT", "PATCH"] {
        let bench = Bench::new(Spec::plug("pdu")).await;
        let url = format!("http://{}/outlet/1/off", bench.0.address);
        let body = if method == "GET" { "" } else { r#"{"state":"off"}"# };
        for body in ["", body] {
            let device = bench.device(&[
                ("power_off_url", url.as_str()),
                ("power_off_method", method),
                ("power_off_body", body),
            ]);
            off(&*device).await.unwrap();
            assert_eq!(bench.sim().relay(0), Some(false), "{method}");
        }
    }
}

#[tokio::test]
async fn whole_urls_need_no_ip() {
    let bench = Bench::new(Spec::plug("pdu")).await;
    let mut settings = bench.settings(&[]);
    settings.unset("ip");
    settings.unset("ipport");
    for (option, path) in [
        ("power_on_url", "/on"),
        ("power_off_url", "/off"),
        ("status_url", ""),
    ] {
        settings
            .set(option, &format!("http://{}/outlet/1{path}", bench.0.address))
            .unwrap();
    }
    let device = Method::Http.device(&settings).unwrap();
    assert_eq!(device.label().to_string(), format!("http @ {}", bench.0.address));
    off(&*device).await.unwrap();
    assert_eq!(bench.sim().relay(0), Some(false));
}

#[tokio::test]
async fn queries_go_out_as_they_are() {
    let mut routes = Routes::of_outlet(1);
    routes.off = "/cgi?o=1&c=off%20now".into();
    let firmware = Firmware {
        routes: vec![routes],
        ..Firmware::default()
    };
    let bench = Bench::with(Spec::plug("pdu"), firmware).await;
    off(&*bench.device(&[("power_off_url", "/cgi?o=1&c=off%20now")]))
        .await
        .unwrap();
}

#[tokio::test]
async fn basic_and_digest_logins_work_and_wrong_ones_fail_without_a_command() {
    for login in [Scheme::Basic, Scheme::Digest, Scheme::DigestSha256] {
        let firmware = Firmware {
            login,
            ..Firmware::default()
        };
        let bench = Bench::with(Spec::plug("pdu").credentials("admin", "s3cret"), firmware).await;
        let right = [("username", "admin"), ("password", "s3cret")];
        off(&*bench.device(&right)).await.unwrap();
        let sent = bench.sim().commands().len();
        for wrong in [&[("username", "admin"), ("password", "wr0ng")][..], &[]] {
            let error = off(&*bench.device(wrong)).await.unwrap_err();
            assert!(matches!(error, Error::Authentication { .. }), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("wr0ng"));
        }
        assert_eq!(bench.sim().commands().len(), sent);
    }
}

#[tokio::test]
async fn without_an_off_expression_nothing_is_switched() {
    let bench = Bench::new(Spec::plug("pdu")).await;
    let only_on = bench.device(&[("status_off_regex", "")]);
    assert_eq!(status(&*only_on).await.unwrap(), Observation::On);
    let error = off(&*only_on).await.unwrap_err().to_string();
    assert!(
        error.contains("status_off_regex") && error.contains("nothing was switched"),
        "{error}"
    );
    assert_eq!(bench.sim().commands(), []);
    bench.sim().set(0, false, true);
    assert!(matches!(
        status(&*only_on).await.unwrap(),
        Observation::Unknown(_)
    ));

    let only_off = bench.device(&[("status_on_regex", "")]);
    assert_eq!(status(&*only_off).await.unwrap(), Observation::Off);
    bench.sim().set(0, true, true);
    assert!(matches!(
        status(&*only_off).await.unwrap(),
        Observation::Unknown(_)
    ));
    off(&*only_off).await.unwrap();
}

#[tokio::test]
async fn both_expressions_matching_is_unknown() {
    let bench = Bench::new(Spec::plug("pdu")).await;
    let device = bench.device(&[("status_off_regex", "state")]);
    assert!(matches!(status(&*device).await.unwrap(), Observation::Unknown(_)));
    let error = off(&*device).await;
    // Off shows as off by the one expression alone.
    assert!(error.is_ok() && bench.sim().relay(0) == Some(false));
    let error = off(&*bench.device(&[("status_on_regex", "outlet")]))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("both match"), "{error}");
}

#[tokio::test]
async fn a_device_for_looking_only_needs_no_power_urls() {
    let bench = Bench::new(Spec::plug("pdu")).await;
    let mut settings = bench.settings(&[]);
    settings.unset("power_on_url");
    settings.unset("power_off_url");
    let device = Method::Http.device(&settings).unwrap();
    assert_eq!(status(&*device).await.unwrap(), Observation::On);
    let error = off(&*device).await.unwrap_err().to_string();
    assert!(error.contains("power_off_url"), "{error}");
}

#[tokio::test]
async fn wrong_options_are_refused_before_anything_is_sent() {
    let bench = Bench::new(Spec::plug("pdu")).await;
    for (option, value) in [
        ("status_url", ""),
        ("status_url", "outlet/1"),
        ("status_off_regex", "(off"),
        ("status_off_regex", ".*"),
        ("expect_identity", "50:c7:bf:00:00:01"),
        ("off_max_watts", "5"),
        ("plug", "2"),
        ("power_off_body", "x=1"),
        ("password", "without user"),
        ("ip", ""),
    ] {
        let error = Method::Http
            .device(&bench.settings(&[(option, value)]))
            .unwrap_err();
        assert!(matches!(error, Error::Config { .. }), "{option}: {error:?}");
    }
    let mut by_node_name = bench.settings(&[]);
    by_node_name.set_node_name_plug("storage-b");
    assert!(Method::Http.device(&by_node_name).is_ok());
    assert_eq!(bench.sim().requests(), 0);
}

#[tokio::test]
async fn a_wrong_address_on_the_device_is_refused() {
    let bench = Bench::new(Spec::plug("pdu")).await;
    let error = off(&*bench.device(&[("power_off_url", "/outlet/9/off")]))
        .await
        .unwrap_err();
    assert!(matches!(&error, Error::Refused { .. }), "{error:?}");
    assert!(
        error.to_string().contains("HTTP 404 for power_off_url"),
        "{error}"
    );
    assert!(off(&*bench.device(&[("status_url", "/outlet/9")])).await.is_err());
    assert_eq!(bench.sim().commands(), []);
}

/// Off on off answered with 409: accepted when, and only when, the status shows off.
#[tokio::test]
async fn a_conflict_counts_only_with_the_state_it_claims() {
    let firmware = Firmware {
        conflict: true,
        ..Firmware::default()
    };
    let bench = Bench::with(Spec::plug("pdu").outlets(2), firmware).await;
    let device = bench.device(&[]);
    off(&*device).await.unwrap();
    off(&*device).await.unwrap();
    assert_eq!(bench.sim().commands(), [(0, false)]);
    // The command goes to another outlet, which is off: a conflict, but the watched outlet is on.
    bench.sim().set(0, true, true);
    bench.sim().set(1, false, true);
    let error = off(&*bench.device(&[("power_off_url", "/outlet/2/off")]))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
}

/// A server that answers each request with bytes: with `there` at `path`, and with `elsewhere` at every other one.
async fn raw(path: &'static str, there: &'static str, elsewhere: &'static str) -> SocketAddr {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|read| read > 0)
            {
            }
            let target = String::from_utf8_lossy(&head);
            let target = target.split(' ').nth(1).unwrap_or_default();
            let reply = if target == path { there } else { elsewhere };
            let _ = stream.write_all(reply.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

/// A device at `address` whose status is the word OFF or ON.
fn at(address: SocketAddr) -> Box<dyn FenceDevice> {
    let mut settings = Settings::new(Method::Http);
    let port = address.port().to_string();
    for (name, value) in [
        ("ip", "127.0.0.1"),
        ("ipport", port.as_str()),
        ("power_off_url", "/off"),
        ("status_url", "/state"),
        ("status_on_regex", "ON"),
        ("status_off_regex", "OFF"),
    ] {
        settings.set(name, value).unwrap();
    }
    Method::Http.device(&settings).unwrap()
}

#[tokio::test]
async fn a_status_that_was_cut_changed_or_kept_in_a_cache_is_no_off() {
    for (reply, says) in [
        (
            "HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\n\r\nOFF",
            "HTTP 206",
        ),
        ("HTTP/1.1 203 Changed\r\nContent-Length: 3\r\n\r\nOFF", "HTTP 203"),
        (
            "HTTP/1.1 200 OK\r\nAge: 30\r\nContent-Length: 3\r\n\r\nOFF",
            "Age",
        ),
        (
            "HTTP/1.1 200 OK\r\nAge: 0\r\nAge: soon\r\nContent-Length: 3\r\n\r\nOFF",
            "Age",
        ),
    ] {
        let device = at(raw("/state", reply, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await);
        for error in [
            status(&*device).await.unwrap_err(),
            off(&*device).await.unwrap_err(),
        ] {
            assert!(error.to_string().contains(says), "{reply}: {error}");
        }
    }
    let fresh = "HTTP/1.1 200 OK\r\nAge: 0\r\nContent-Length: 3\r\n\r\nOFF";
    let device = at(raw("/state", fresh, "").await);
    assert_eq!(status(&*device).await.unwrap(), Observation::Off);
}

/// The reply to a command says only that it was taken; what counts is the look after it.
#[tokio::test]
async fn a_command_may_be_answered_by_a_part() {
    let device = at(raw(
        "/off",
        "HTTP/1.1 206 Partial Content\r\nAge: 30\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOFF",
    )
    .await);
    off(&*device).await.unwrap();
}

#[tokio::test]
async fn a_redirect_says_where_it_pointed() {
    let bench = Bench::new(Spec::plug("pdu")).await;
    bench.sim().set_faults("redirect".parse().unwrap());
    let error = off(&*bench.device(&[])).await.unwrap_err().to_string();
    assert!(
        error.contains("http://127.0.0.1:9") && error.contains("302"),
        "{error}"
    );
    // A path may hold a key.
    assert!(!error.contains("elsewhere"), "{error}");
}

/// There is no meter, so a device that lies is believed; every other fault ends in an error or a real off.
#[tokio::test]
async fn no_fault_makes_a_false_off() {
    let runs = Faults::NAMES.iter().map(|name| tokio::spawn(one_fault(name)));
    for run in runs.collect::<Vec<_>>() {
        run.await.unwrap();
    }
}

async fn one_fault(name: &str) {
    let bench = Bench::new(Spec::plug("pdu").outlets(2).credentials("admin", "pw")).await;
    let succeeds = [
        "slow",
        "trickle",
        "doubled",
        "one_client",
        "delay",
        "bounce",
        "wrong_identity",
        "meter_stuck",
        "lie",
    ];
    let harmless = succeeds.contains(&name);
    let step = if harmless { "10" } else { "1" };
    let device = bench.device(&[("username", "admin"), ("password", "pw"), ("shell_timeout", step)]);
    bench.sim().set_faults(name.parse().unwrap());
    let patient = Policy {
        power_timeout: Duration::from_secs(if harmless { 30 } else { 3 }),
        ..policy()
    };
    let started = Instant::now();
    let outcome = device.off_confirmed(&patient, deadline(), &()).await;
    assert!(
        harmless || started.elapsed() < Duration::from_secs(15),
        "{name}: {:?}",
        started.elapsed()
    );
    let really_off = bench.sim().relay(0) == Some(false) || name == "bounce" || name == "lie";
    assert!(outcome.is_err() || really_off, "{name}: {outcome:?}");
    assert_eq!(bench.sim().relay(1), Some(true), "{name} moved the neighbour");
    assert_eq!(outcome.is_ok(), harmless, "{name}: {outcome:?}");
}
