//! Discovery of Kasa and Tapo devices: by asking a network, and to wake one.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may end in a panic"
)]

mod kasa_common;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fencekit::kasa::{Search, discover};
use fencekit::{Error, FenceDevice, FenceDeviceExt, Method, Settings};
use fencekit_sim::kasa::{self, Dialect, KlapVersion, Quirks, Scheme, Unit};
use fencekit_sim::{Device, Spec};
use kasa_common::{LOGIN, own_address, owned, patient, quick, scheme};
use tokio::sync::Notify;

#[tokio::test]
async fn devices_of_both_generations_are_found() {
    let address = SocketAddr::new(own_address(), 0);
    let older = kasa::serve_xor(Device::new(Spec::plug("older").outlets(6)), address)
        .await
        .unwrap();
    let address = SocketAddr::new(own_address(), 0);
    let woken = Arc::new(Notify::new());
    let newer = kasa::serve_discovery(owned(1), address, scheme("TPAP", 4433), woken)
        .await
        .unwrap();
    let search = Search {
        targets: vec![older.address.ip(), newer.address.ip()],
        xor_port: older.address.port(),
        tdp_ports: vec![newer.address.port()],
        wait: Duration::from_millis(400),
    };
    let started = Instant::now();
    let mut found = discover(&search, patient()).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1));
    found.sort_by_key(|found| found.transport.clone());
    let [tpap, xor] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!((tpap.transport.as_str(), tpap.address.port()), ("tpap", 4433));
    assert_eq!(tpap.identity.mac.as_deref(), Some("50-C7-BF-00-00-01"));
    assert_eq!(tpap.metered, Some(true));
    assert!(tpap.note.contains("third-party"), "{}", tpap.note);
    assert_eq!((xor.transport.as_str(), xor.address), ("xor", older.address));
    assert_eq!(xor.identity.name.as_deref(), Some("older"));
    assert_eq!(xor.note, "a strip with 6 outlets");
}

#[tokio::test]
async fn a_broadcast_reaches_everybody() {
    let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    let sim = kasa::serve_discovery(owned(1), any, scheme("KLAP", 80), Arc::default())
        .await
        .unwrap();
    let search = Search {
        targets: vec![Ipv4Addr::new(127, 255, 255, 255).into()],
        xor_port: 9,
        tdp_ports: vec![sim.address.port()],
        wait: Duration::from_millis(300),
    };
    let found = discover(&search, patient()).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].transport.as_str(), found[0].address.port()),
        ("klap", 80)
    );
}

#[tokio::test]
async fn nobody_is_nobody_and_no_way_out_is_an_error() {
    let mut search = Search {
        targets: vec![own_address()],
        wait: Duration::from_millis(100),
        ..Search::default()
    };
    assert_eq!(discover(&search, patient()).await.unwrap(), []);
    search.targets.clear();
    assert!(matches!(
        discover(&search, patient()).await,
        Err(Error::Unreachable { .. })
    ));
}

fn device(address: SocketAddr, options: &[(&str, &str)]) -> Box<dyn FenceDevice> {
    let mut settings = Settings::new(Method::Kasa);
    settings.set("ip", &address.ip().to_string()).unwrap();
    settings.set("ipport", &address.port().to_string()).unwrap();
    for (name, value) in LOGIN.iter().chain(options) {
        settings.set(name, value).unwrap();
    }
    Method::Kasa.device(&settings).unwrap()
}

/// A port that is closed now.
fn closed_port(address: IpAddr) -> SocketAddr {
    TcpListener::bind((address, 0)).unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_plug_whose_port_is_closed_is_woken() {
    for udp_port in [20002, 20004] {
        let ip = own_address();
        let tcp = closed_port(ip);
        let woken = Arc::new(Notify::new());
        let unit = owned(1);
        let udp = SocketAddr::new(ip, udp_port);
        let _udp = kasa::serve_discovery(unit.clone(), udp, scheme("KLAP", tcp.port()), Arc::clone(&woken))
            .await
            .unwrap();
        let device = device(tcp, &[("transport", "auto")]);
        let asleep = unit.clone();
        let server = tokio::spawn(async move {
            woken.notified().await;
            kasa::serve_klap(asleep, tcp, KlapVersion::V2, Dialect::Smart)
                .await
                .unwrap()
        });
        let off = device.off_confirmed(&quick(), patient(), &()).await.unwrap();
        assert_eq!(off.commands, 1);
        assert_eq!(unit.relay(0), Some(false));
        drop(server.await.unwrap());
    }
}

#[tokio::test]
async fn a_plug_that_is_not_there_is_unreachable_soon() {
    for transport in ["auto", "xor", "klap", "aes", "tpap"] {
        let started = Instant::now();
        let device = device(closed_port(own_address()), &[("transport", transport)]);
        let error = device.off_confirmed(&quick(), patient(), &()).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{transport}: {error}");
        assert!(started.elapsed() < Duration::from_secs(3), "{transport}");
    }
}

#[tokio::test]
async fn the_login_over_aes_is_of_the_version_that_the_plug_names() {
    for login in [1, 2] {
        let ip = own_address();
        let quirks = Quirks {
            login_version_2: login == 2,
            ..Quirks::default()
        };
        let unit = Unit::from(owned(1)).quirks(quirks);
        let sim = kasa::serve_aes(unit.clone(), SocketAddr::new(ip, 0))
            .await
            .unwrap();
        let scheme = Scheme {
            login,
            ..scheme("AES", sim.address.port())
        };
        let udp = SocketAddr::new(ip, 20002);
        let _udp = kasa::serve_discovery(unit, udp, scheme, Arc::default())
            .await
            .unwrap();
        let device = device(sim.address, &[("transport", "aes")]);
        device.off_confirmed(&quick(), patient(), &()).await.unwrap();
        assert_eq!(sim.device.relay(0), Some(false), "lv {login}");
    }
}

#[tokio::test]
async fn a_login_over_aes_that_the_plug_does_not_name_is_not_guessed() {
    for login in [1, 2] {
        let quirks = Quirks {
            login_version_2: login == 2,
            ..Quirks::default()
        };
        let unit = Unit::from(owned(1)).quirks(quirks.clone());
        let sim = kasa::serve_aes(unit, SocketAddr::new(own_address(), 0))
            .await
            .unwrap();
        let logins = || quirks.logins.load(Ordering::Relaxed);
        let error = device(sim.address, &[])
            .status(&quick(), patient())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "lv {login}: {error}");
        assert!(error.to_string().contains("UDP ports 20002 and 20004"), "{error}");
        assert_eq!(logins(), 0, "lv {login}");
        // Set by the user, it is the older form, tried once.
        let set = device(sim.address, &[("transport", "aes")]);
        let outcome = set.off_confirmed(&quick(), patient(), &()).await;
        match login {
            1 => assert_eq!(outcome.unwrap().commands, 1),
            _ => {
                let error = outcome.unwrap_err();
                assert!(matches!(error, Error::Authentication { .. }), "{error}");
                assert!(error.to_string().contains("20002"), "{error}");
                assert_eq!(logins(), 1);
            }
        }
    }
}

#[tokio::test]
async fn the_port_of_one_transport_does_not_hide_a_plug_that_moved_to_the_other() {
    let unit = owned(1);
    let ip = own_address();
    let _moved = kasa::serve_xor(unit.clone(), SocketAddr::new(ip, 9999))
        .await
        .unwrap();
    let device = device(SocketAddr::new(ip, 80), &[]);
    device.off_confirmed(&quick(), patient(), &()).await.unwrap();
    assert_eq!(unit.relay(0), Some(false));
}

/// Ends a simulated device and waits until its port is free again.
async fn stop(sim: fencekit_sim::Running) {
    let address = sim.address;
    drop(sim);
    while TcpListener::bind(address).is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_transport_that_changes_between_two_operations_is_found() {
    let unit = owned(1);
    let here = SocketAddr::new(own_address(), 0);
    let first = kasa::serve_klap(unit.clone(), here, KlapVersion::V2, Dialect::Smart)
        .await
        .unwrap();
    let address = first.address;
    let device = device(address, &[]);
    device.off_confirmed(&quick(), patient(), &()).await.unwrap();
    stop(first).await;
    let second = kasa::serve_tpap(unit.clone(), address).await.unwrap();
    device.on_confirmed(&quick(), patient(), &()).await.unwrap();
    stop(second).await;
    let third = kasa::serve_xor(unit.clone(), address).await.unwrap();
    device.off_confirmed(&quick(), patient(), &()).await.unwrap();
    stop(third).await;
    let _fourth = kasa::serve_aes(unit.clone(), address).await.unwrap();
    let udp = SocketAddr::new(address.ip(), 20002);
    let scheme = Scheme {
        login: 1,
        ..scheme("AES", address.port())
    };
    let _says_so = kasa::serve_discovery(unit.clone(), udp, scheme, Arc::default())
        .await
        .unwrap();
    device.on_confirmed(&quick(), patient(), &()).await.unwrap();
    assert_eq!(unit.commands(), [(0, false), (0, true), (0, false), (0, true)]);
}
