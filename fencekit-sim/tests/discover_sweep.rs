//! Devices found by knocking at an address, on simulated ones.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::net::SocketAddr;
use std::time::Duration;

use fencekit::discover::sweep::{self, Sweep};
use fencekit::{Deadline, Found, Method};
use fencekit_sim::{Device, Faults, Spec, esphome, tasmota};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A port that nobody listens on: bound once and given back.
/// Taken for good by a socket that does not listen: one that was merely free could be the next test's device.
fn closed_port() -> u16 {
    let socket = Box::leak(Box::new(tokio::net::TcpSocket::new_v4().unwrap()));
    socket.bind(ANY_PORT).unwrap();
    socket.local_addr().unwrap().port()
}

async fn knock(http_port: u16, native_port: u16) -> Vec<Found> {
    let sweep = Sweep {
        http_port,
        native_port,
        patience: Duration::from_secs(2),
        ..Sweep::of("127.0.0.1".parse().unwrap())
    };
    sweep::discover(&sweep, Deadline::after(Duration::from_secs(20)))
        .await
        .unwrap()
}

#[tokio::test]
async fn a_tasmota_is_found_with_its_name_and_nothing_is_switched() {
    let running = tasmota::serve(Device::new(Spec::plug("plug b")), ANY_PORT)
        .await
        .unwrap();
    let found = knock(running.address.port(), closed_port()).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].method, found[0].address),
        (Method::Tasmota, running.address)
    );
    assert!(
        found[0].identity.mac.is_some() || found[0].identity.name.is_some(),
        "{found:?}"
    );
    assert_eq!(running.device.commands(), []);
}

#[tokio::test]
async fn a_tasmota_behind_a_password_is_found_too() {
    let device = Device::new(Spec::plug("plug b").credentials("admin", "s3cret"));
    let running = tasmota::serve(device, ANY_PORT).await.unwrap();
    let found = knock(running.address.port(), closed_port()).await;
    assert_eq!(
        found.iter().map(|one| one.method).collect::<Vec<_>>(),
        [Method::Tasmota]
    );
}

#[tokio::test]
async fn an_esphome_is_found_by_its_native_api() {
    let running = esphome::serve_native(Device::new(Spec::plug("plug b")), ANY_PORT, None)
        .await
        .unwrap();
    let found = knock(closed_port(), running.address.port()).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].method, found[0].address),
        (Method::Esphome, running.address)
    );
    assert_eq!(running.device.commands(), []);
}

#[tokio::test]
async fn nobody_and_somebody_else_are_passed_over() {
    assert_eq!(knock(closed_port(), closed_port()).await, []);
    let running = tasmota::serve(Device::new(Spec::plug("other")), ANY_PORT)
        .await
        .unwrap();
    running.device.set_faults(Faults {
        html: true,
        ..Faults::default()
    });
    assert_eq!(knock(running.address.port(), closed_port()).await, []);
}

#[tokio::test]
async fn a_tasmota_that_answers_only_to_its_own_pages_is_found() {
    let tasmota = tasmota::Tasmota::new(Device::new(Spec::plug("plug b")));
    tasmota.change(|settings| {
        settings.options.insert(128, 0);
    });
    let running = tasmota.serve(ANY_PORT).await.unwrap();
    let found = knock(running.address.port(), closed_port()).await;
    assert_eq!(found.len(), 1, "{found:?}");
}

/// A device on 127.0.0.2, and on the same port of 127.0.0.1 somebody who never answers.
async fn beside_a_silent_one() -> (fencekit_sim::Running, std::net::TcpListener) {
    let mut tries = 0;
    loop {
        let running = tasmota::serve(Device::new(Spec::plug("plug b")), "127.0.0.2:0".parse().unwrap())
            .await
            .unwrap();
        tries += 1;
        match std::net::TcpListener::bind(("127.0.0.1", running.address.port())) {
            Ok(silent) => return (running, silent),
            Err(taken) => assert!(tries < 8, "no port is free on both addresses: {taken}"),
        }
    }
}

#[tokio::test]
async fn what_was_found_before_the_time_was_up_is_kept() {
    let (running, _silent) = beside_a_silent_one().await;
    let sweep = Sweep {
        http_port: running.address.port(),
        native_port: closed_port(),
        patience: Duration::from_secs(30),
        ..Sweep::of("127.0.0.1-2".parse().unwrap())
    };
    let soon = || Deadline::after(Duration::from_secs(2));
    let found = sweep::discover(&sweep, soon()).await.unwrap();
    assert_eq!(
        found.iter().map(|one| one.address).collect::<Vec<_>>(),
        [running.address]
    );
    let nobody = Sweep {
        range: "127.0.0.1".parse().unwrap(),
        ..sweep
    };
    assert!(sweep::discover(&nobody, soon()).await.is_err());
}
