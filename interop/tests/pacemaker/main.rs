//! Pacemaker's own fencer drives our agents; the devices are simulated, on their protocols' own ports.
//!
//! Every test has a network, a process table and a `/usr/sbin` of its own. Alone, the fencer knows no levels: those
//! take a cluster.

// The functions that the tests share are tests too.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod fenced;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use fencekit_interop::{private_namespaces, required, tool};
use fencekit_sim::{Device, Faults, Running, Spec, kasa, tasmota};

use fenced::{Fenced, running_agents};

const AGENTS: &[&str] = &["fence_kasa", "fence_tasmota"];

/// What every test here needs, and its namespaces.
macro_rules! pacemaker {
    () => {
        required!(tool("pacemaker-fenced"));
        required!(tool("stonith_admin"));
        private_namespaces!();
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fences_unfences_and_reboots_through_a_kasa_plug() {
    pacemaker!();
    let plug = kasa("127.0.0.1:9999", Spec::plug("plug")).await;
    let fenced = Fenced::start(AGENTS);
    // Given a list of hosts, the fencer also sends port=storage-b, which is no outlet of this plug.
    fenced.register(
        "fence-b",
        "fence_kasa",
        &["ip=127.0.0.1", "pcmk_host_list=storage-b"],
    );

    assert!(fenced.admin(&["--query", "fence-b"]).ok(), "{}", fenced.log());
    assert!(fenced.admin(&["--list", "storage-b"]).stdout.contains("fence-b"));
    assert_eq!(plug.device.commands(), [], "a monitor switched something");

    fenced.must("--fence", "storage-b");
    assert_eq!(plug.device.relay(0), Some(false));
    fenced.must("--unfence", "storage-b");
    assert_eq!(plug.device.relay(0), Some(true));
    fenced.must("--reboot", "storage-b");
    assert_eq!(plug.device.relay(0), Some(true));
    assert_eq!(
        plug.device.commands(),
        [(0, false), (0, true), (0, false), (0, true)]
    );
    assert!(!fenced.log().contains("Parse error"), "{}", fenced.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fences_through_a_tasmota_relay_with_its_password_in_a_file() {
    pacemaker!();
    let relay = tasmota(
        "127.0.0.1:80",
        Spec::plug("relay").credentials("admin", "sésame & 1"),
    )
    .await;
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    fs::write(&secret, "sésame & 1\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let fenced = Fenced::start(AGENTS);
    let file = format!("password_file={}", secret.display());
    let common = ["ip=127.0.0.1", "pcmk_host_list=storage-b"];
    fenced.register("fence-b", "fence_tasmota", &[common[0], common[1], &file]);
    fenced.must("--fence", "storage-b");
    assert_eq!(relay.device.relay(0), Some(false));
    fenced.must("--unfence", "storage-b");

    fs::write(&secret, "wrong").unwrap();
    fenced.must_fail("--fence", "storage-b");
    assert_eq!(relay.device.relay(0), Some(true));
    assert!(!fenced.log().contains("sésame"), "the password is in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fences_only_the_mapped_outlet_of_a_strip() {
    pacemaker!();
    let strip = kasa("127.0.0.1:9999", Spec::plug("strip").outlets(3)).await;
    let fenced = Fenced::start(AGENTS);
    fenced.register(
        "pdu",
        "fence_kasa",
        &["ip=127.0.0.1", "pcmk_host_map=storage-a:1;storage-b:2,3"],
    );
    fenced.must("--fence", "storage-a");
    assert_eq!(relays(&strip.device), [false, true, true]);
    // Two supplies on one strip: both must be off.
    fenced.must("--fence", "storage-b");
    assert_eq!(relays(&strip.device), [false, false, false]);
    let unknown = fenced.ask("--fence", "quorum");
    assert!(!unknown.ok(), "{unknown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finds_a_nodes_outlet_by_the_list_of_aliases() {
    pacemaker!();
    let mut spec = Spec::plug("strip").outlets(2);
    "storage-a".clone_into(&mut spec.outlets[0].alias);
    "storage-b".clone_into(&mut spec.outlets[1].alias);
    let strip = kasa("127.0.0.1:9999", spec).await;
    let fenced = Fenced::start(AGENTS);
    fenced.register(
        "pdu",
        "fence_kasa",
        &["ip=127.0.0.1", "pcmk_host_check=dynamic-list"],
    );
    let targets = fenced.admin(&["--list-targets", "pdu"]);
    assert!(
        targets.stdout.contains("storage-a") && targets.stdout.contains("storage-b"),
        "{targets}\n{}",
        fenced.log()
    );
    fenced.must("--fence", "storage-b");
    assert_eq!(relays(&strip.device), [true, false]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nodes_other_device_takes_over_from_a_dead_one() {
    pacemaker!();
    let second = tasmota("127.0.0.2:80", Spec::plug("second")).await;
    let fenced = Fenced::start(AGENTS);
    // Nothing listens there.
    fenced.register(
        "dead",
        "fence_kasa",
        &["ip=127.0.0.1", "pcmk_host_list=storage-b"],
    );
    fenced.register(
        "alive",
        "fence_tasmota",
        &["ip=127.0.0.2", "pcmk_host_list=storage-b"],
    );
    fenced.must("--fence", "storage-b");
    assert_eq!(second.device.relay(0), Some(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_says_it_is_still_on_is_no_success() {
    pacemaker!();
    let plug = kasa("127.0.0.1:9999", Spec::plug("plug")).await;
    plug.device.set_faults(Faults {
        stuck: true,
        ..Faults::default()
    });
    let fenced = Fenced::start(AGENTS);
    let short = [
        "ip=127.0.0.1",
        "pcmk_host_list=storage-b",
        "disable_timeout=0",
        "power_timeout=2",
    ];
    fenced.register("fence-b", "fence_kasa", &short);
    fenced.must_fail("--fence", "storage-b");
    fenced.must_fail("--reboot", "storage-b");
    assert!(
        plug.device.commands().iter().all(|(_, on)| !on),
        "a plug that never went off was switched on"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plug_that_lies_is_caught_by_its_meter() {
    pacemaker!();
    let plug = kasa("127.0.0.1:9999", Spec::plug("plug")).await;
    plug.device.set_faults(Faults {
        lie: true,
        ..Faults::default()
    });
    let fenced = Fenced::start(AGENTS);
    let options = [
        "ip=127.0.0.1",
        "pcmk_host_list=storage-b",
        "off_max_watts=5",
        "disable_timeout=0",
        "power_timeout=3",
    ];
    fenced.register("fence-b", "fence_kasa", &options);
    fenced.must_fail("--fence", "storage-b");
    assert_eq!(plug.device.relay(0), Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_device_at_the_address_is_not_switched() {
    pacemaker!();
    let plug = kasa("127.0.0.1:9999", Spec::plug("plug")).await;
    let fenced = Fenced::start(AGENTS);
    let options = [
        "ip=127.0.0.1",
        "pcmk_host_list=storage-b",
        "expect_identity=50:C7:BF:FF:FF:FF",
    ];
    fenced.register("fence-b", "fence_kasa", &options);
    fenced.must_fail("--fence", "storage-b");
    assert_eq!(plug.device.commands(), []);
}

/// The fencer ends an agent with SIGKILL, and only by its own clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_killed_at_its_timeout_leaves_nothing_broken() {
    pacemaker!();
    let plug = kasa("127.0.0.1:9999", Spec::plug("plug")).await;
    let fenced = Fenced::start(AGENTS);
    let options = [
        "ip=127.0.0.1",
        "pcmk_host_list=storage-b",
        "pcmk_off_timeout=2s",
        "pcmk_off_retries=1",
    ];
    fenced.register("fence-b", "fence_kasa", &options);

    plug.device.set_faults(Faults {
        silent: true,
        ..Faults::default()
    });
    let hung = fenced.must_fail("--fence", "storage-b");
    assert!(hung.elapsed < Duration::from_secs(15), "{hung}");
    assert_eq!(plug.device.relay(0), Some(true));
    assert_eq!(running_agents(), [] as [String; 0], "{}", fenced.log());

    // The device answers again: the next attempt finds no lock, no half-open connection, nothing in its way.
    plug.device.set_faults(Faults {
        one_client: true,
        ..Faults::default()
    });
    fenced.must("--fence", "storage-b");
    assert_eq!(plug.device.relay(0), Some(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_a_cut_and_a_garbled_reply_are_failures() {
    pacemaker!();
    let relay = tasmota("127.0.0.1:80", Spec::plug("relay")).await;
    let fenced = Fenced::start(AGENTS);
    let short = [
        "ip=127.0.0.1",
        "pcmk_host_list=storage-b",
        "disable_timeout=0",
        "power_timeout=2",
    ];
    fenced.register("fence-b", "fence_tasmota", &short);
    for fault in ["refuse", "garbage", "html", "reset", "no_state"] {
        let mut faults = Faults::default();
        faults.set(fault).unwrap();
        relay.device.set_faults(faults);
        fenced.must_fail("--fence", "storage-b");
        assert_eq!(relay.device.relay(0), Some(true), "{fault}");
    }
    relay.device.set_faults(Faults::default());
    fenced.must("--fence", "storage-b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pacemaker_lists_describes_and_validates_the_agents() {
    pacemaker!();
    let _plug = kasa("127.0.0.1:9999", Spec::plug("plug")).await;
    let fenced = Fenced::start(AGENTS);
    let installed = fenced.admin(&["--list-installed"]).stdout;
    for name in AGENTS {
        assert!(installed.lines().any(|line| line.trim() == *name), "{installed}");
        let metadata = fenced.admin(&["--metadata", "--agent", name]);
        assert!(
            metadata.ok() && metadata.stdout.contains(&format!("name=\"{name}\"")),
            "{metadata}"
        );
    }
    let valid = ["--validate", "--agent", "fence_kasa", "--option", "ip=127.0.0.1"];
    let out = fenced.admin(&valid);
    assert!(out.ok(), "{out}\n{}", fenced.log());
    let wrong = [&valid[..], &["--option", "transport=bogus"]].concat();
    let out = fenced.admin(&wrong);
    assert!(!out.ok(), "{out}");
}

async fn kasa(address: &str, spec: Spec) -> Running {
    kasa::serve_xor(Device::new(spec), address.parse::<SocketAddr>().unwrap())
        .await
        .unwrap()
}

async fn tasmota(address: &str, spec: Spec) -> Running {
    tasmota::serve(Device::new(spec), address.parse::<SocketAddr>().unwrap())
        .await
        .unwrap()
}

fn relays(device: &Device) -> Vec<bool> {
    (0..device.count())
        .map(|outlet| device.relay(outlet).unwrap())
        .collect()
}
