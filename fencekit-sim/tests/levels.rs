//! A node with a second level: two plugs of which one is the fallback, over real sockets; the node itself is simulated.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may end in a panic"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fencekit::cluster::Cluster;
use fencekit::fence::Event;
use fencekit::operate::{Nodes, Subject, Watch};
use fencekit::verify::{Rule, Verdict};
use fencekit::{Deadline, Level, PowerState};
use fencekit_sim::ipmi::BmcSpec;
use fencekit_sim::{Device, Running, SimNetwork, Spec};
use serde_json::json;

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 20, 20, 1));
const WITNESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 20, 20, 254));

struct Stage {
    first: Device,
    fallback: Device,
    cluster: Cluster,
    ports: [u16; 2],
    _running: [Running; 2],
}

async fn stage() -> Stage {
    stage_with("").await
}

/// With further keys for the device of the first level.
async fn stage_with(keys: &str) -> Stage {
    let [first, fallback] = ["first", "fallback"].map(|name| Device::new(Spec::plug(name)));
    let one = fencekit_sim::kasa::serve_xor(first.clone(), ANY).await.unwrap();
    let other = fencekit_sim::kasa::serve_xor(fallback.clone(), ANY)
        .await
        .unwrap();
    let ports @ [at, behind] = [one.address.port(), other.address.port()];
    let text = format!(
        "stonith_nodes:\n  storage-a:\n    devices: [{{method: kasa, ip: 127.0.0.1, port: {at}, power_timeout: 2{keys}}}]\n    \
         fallback: {{method: kasa, ip: 127.0.0.1, port: {behind}, power_timeout: 2}}\n    mgmt_ip: {NODE}\n\
         verify: {{wait: 1, witnesses: {{management: [{WITNESS}]}}}}\n",
    );
    Stage {
        first,
        fallback,
        cluster: Cluster::from_text(&text, "cluster.yml").unwrap(),
        ports,
        _running: [one, other],
    }
}

impl Stage {
    /// The node's network; `feeds` are the outlets that it really hangs on, one behind the other.
    fn network(&self, feeds: &[&Device]) -> SimNetwork {
        let feeds: Vec<Device> = feeds.iter().map(|device| (*device).clone()).collect();
        let powered = move || feeds.iter().all(|device| device.relay(0) == Some(true));
        SimNetwork::new()
            .with_node_while("management", NODE, powered)
            .with_host("management", WITNESS)
    }

    fn fault(&self, first: &str) {
        self.first.set_faults(first.parse().unwrap());
    }

    fn asked(&self) -> (usize, usize) {
        (self.first.commands().len(), self.fallback.commands().len())
    }
}

/// The devices in the order in which they were done.
#[derive(Default)]
struct Order(Mutex<Vec<usize>>);

impl Watch for Order {
    fn event(&self, _: usize, _: Event<'_>) {}

    fn done(&self, device: usize) {
        self.0.lock().unwrap().push(device);
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(8))
}

#[tokio::test]
async fn the_fallback_is_left_alone_where_the_first_level_does_it() {
    let stage = stage().await;
    let mut node = Subject::of(&stage.cluster, "storage-a").unwrap();
    let network = stage.network(&[&stage.fallback, &stage.first]);
    let fenced = node.fence(soon(), &network, &()).await.unwrap();
    assert_eq!(fenced.report.verdict, Verdict::ConfirmedOff, "{}", fenced.report);
    assert_eq!(
        (fenced.level, fenced.off.off_by()),
        (Some(Level::First), Some(Level::First))
    );
    assert_eq!((stage.asked(), stage.fallback.relay(0)), ((1, 0), Some(true)));
    let document = json!(fenced);
    assert_eq!(
        (&document["level"], &document["off"][0]["level"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(document["off"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_fallback_cuts_what_the_first_level_does_not_answer_for() {
    for fault in ["reset", "silent"] {
        let stage = stage().await;
        stage.fault(fault);
        let mut node = Subject::of(&stage.cluster, "storage-a").unwrap();
        let network = stage.network(&[&stage.fallback, &stage.first]);
        let started = Instant::now();
        let fenced = node.fence(soon(), &network, &()).await.unwrap();
        assert_eq!(
            fenced.report.verdict,
            Verdict::ConfirmedOff,
            "{fault}: {}",
            fenced.report
        );
        assert_eq!(fenced.level, Some(Level::Fallback));
        assert_eq!(fenced.off.failure().map(|(label, _)| label), None);
        assert_eq!((stage.asked().1, stage.fallback.relay(0)), (1, Some(false)));
        // Half of the time for the first level, a last question to it within the other half, and a window that does not
        // wait for the device that never answered.
        assert!(
            started.elapsed() < Duration::from_millis(4000 + 3500 + 500 + 1000 + 2000),
            "{fault}"
        );
        let document = json!(fenced);
        assert_eq!(document["level"], 2);
        assert_eq!(document["off"][0]["confirmed"], false);
        assert_eq!(
            (&document["off"][1]["confirmed"], &document["off"][1]["level"]),
            (&json!(true), &json!(2))
        );
        assert!(
            fenced.report.reasons[0].contains("its fallback, which cuts all of its power, says off"),
            "{}",
            fenced.report
        );
    }
}

/// The plug of the first level says on: something feeds it that the fallback does not cut.
#[tokio::test]
async fn a_first_level_that_says_on_contradicts_the_fallback() {
    let stage = stage().await;
    stage.fault("stuck");
    let mut node = Subject::of(&stage.cluster, "storage-a").unwrap();
    // Dead to the network, though it may well write to its storage.
    let network = stage.network(&[&stage.fallback]);
    let fenced = node.fence(soon(), &network, &()).await.unwrap();
    assert_eq!(stage.fallback.relay(0), Some(false));
    assert_eq!((fenced.off.off_by(), fenced.off.is_confirmed()), (None, false));
    assert_eq!(fenced.report.verdict, Verdict::StillAlive, "{}", fenced.report);
    assert_eq!((fenced.report.rule, fenced.level), (Rule::PowerOn, None));
    assert_eq!(json!(fenced)["level"], json!(null));
}

/// The same without a verification: an off and a reboot ask the first level again.
#[tokio::test]
async fn an_off_that_the_first_level_contradicts_is_none() {
    let stage = stage().await;
    stage.fault("stuck");
    let node = Subject::of(&stage.cluster, "storage-a").unwrap();
    let off = node.switch(PowerState::Off, soon(), &()).await;
    assert_eq!((off.off_by(), off.is_confirmed()), (None, false), "{off:?}");
    assert_eq!(stage.fallback.relay(0), Some(false));
    let (label, error) = off.failure().unwrap();
    assert!(label.address.ends_with(&stage.ports[0].to_string()), "{label}");
    assert_eq!(
        error.to_string(),
        "not confirmed off: it says on although the fallback says off; does it cut all of this node's power?"
    );
    assert_eq!((off.devices.len(), off.devices[0].contradicts), (2, true));
    assert_eq!(json!(off)[0]["confirmed"], false);

    let rebooted = node.reboot(soon(), &()).await;
    assert!(rebooted.on.is_none() && !rebooted.is_confirmed());
    assert_eq!(stage.fallback.relay(0), Some(false));
}

/// It takes a second to say so, as a BMC takes for its login: what is kept free for the question is enough for it, though the
/// fallback took all else.
#[tokio::test]
async fn a_first_level_that_is_slow_to_say_on_is_waited_for() {
    let stage = stage().await;
    stage.fault("stuck,slow=1");
    let node = Subject::of(&stage.cluster, "storage-a").unwrap();
    let off = node.switch(PowerState::Off, soon(), &()).await;
    assert_eq!(stage.fallback.relay(0), Some(false));
    assert!(!off.is_confirmed() && off.devices[0].contradicts, "{off:?}");
}

/// It says off, and its meter shows that the node runs.
#[tokio::test]
async fn a_meter_of_the_first_level_contradicts_the_fallback() {
    let stage = stage_with(", off_max_watts: 5").await;
    stage.fault("meter_stuck=30");
    let node = Subject::of(&stage.cluster, "storage-a").unwrap();
    let off = node.switch(PowerState::Off, soon(), &()).await;
    assert_eq!(stage.fallback.relay(0), Some(false));
    assert!(!off.is_confirmed() && off.devices[0].contradicts, "{off:?}");
    let text = off.failure().unwrap().1.to_string();
    assert!(
        text.contains("its meter reads ") && text.contains("the fallback says off"),
        "{text}"
    );
}

/// A first level that was late, and says off by the time it is asked again, contradicts nothing.
#[tokio::test]
async fn a_first_level_that_went_off_late_contradicts_nothing() {
    let stage = stage().await;
    stage.fault("stuck");
    let node = Subject::of(&stage.cluster, "storage-a").unwrap();
    let late = async {
        while stage.fallback.commands().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stage.fault("none");
        stage.first.set(0, false, false);
    };
    let off = node.switch(PowerState::Off, soon(), &());
    let (off, ()) = futures_util::future::join(off, late).await;
    assert_eq!(off.off_by(), Some(Level::Fallback), "{off:?}");
}

/// A plug whose fallback is the node's BMC.
async fn before_a_bmc(first: &Device, bmc: &Running) -> (Cluster, Running) {
    let plug = fencekit_sim::kasa::serve_xor(first.clone(), ANY).await.unwrap();
    let text = format!(
        "stonith_nodes:\n  storage-a:\n    method: kasa\n    ip: 127.0.0.1\n    port: {}\n    power_timeout: 2\n    \
         fallback: {{method: ipmi, ip: 127.0.0.1, port: {}, user: fencer, password: secret, power_timeout: 2}}\n",
        plug.address.port(),
        bmc.address.port()
    );
    (Cluster::from_text(&text, "cluster.yml").unwrap(), plug)
}

/// The plug does as it is told and feeds something else; the node's BMC knows better.
#[tokio::test]
async fn a_bmc_that_is_the_fallback_is_asked_before_the_first_level_is_believed() {
    let first = Device::new(Spec::plug("first"));
    let node = Device::new(Spec::plug("bmc").credentials("fencer", "secret"));
    let bmc = fencekit_sim::ipmi::serve(node.clone(), ANY, BmcSpec::default())
        .await
        .unwrap();
    let (cluster, _plug) = before_a_bmc(&first, &bmc).await;
    let subject = Subject::of(&cluster, "storage-a").unwrap();

    // It says on and cannot be switched off.
    node.set_faults("stuck".parse().unwrap());
    let off = subject.switch(PowerState::Off, soon(), &()).await;
    assert_eq!((first.relay(0), node.relay(0)), (Some(false), Some(true)));
    assert!(!off.is_confirmed(), "{off:?}");
    assert_eq!(off.devices.len(), 2);

    // It says on and is switched off in its turn.
    node.set_faults("none".parse().unwrap());
    let off = subject.switch(PowerState::Off, soon(), &()).await;
    assert!(off.is_confirmed(), "{off:?}");
    assert_eq!(node.relay(0), Some(false));

    // It has no power, as usual.
    node.set_faults("silent".parse().unwrap());
    let off = subject.switch(PowerState::Off, soon(), &()).await;
    assert_eq!(
        (off.off_by(), off.devices.len()),
        (Some(Level::First), 1),
        "{off:?}"
    );
}

/// The first plug says off and feeds something else.
#[tokio::test]
async fn a_node_that_answers_after_its_off_is_cut_by_the_fallback() {
    let stage = stage().await;
    let mut node = Subject::of(&stage.cluster, "storage-a").unwrap();
    let network = stage.network(&[&stage.fallback]);
    let fenced = node.fence(soon(), &network, &()).await.unwrap();
    assert_eq!(fenced.report.verdict, Verdict::ConfirmedOff, "{}", fenced.report);
    assert_eq!((stage.asked(), fenced.level), ((1, 1), Some(Level::Fallback)));
}

/// Nothing that a witness keeps from being heard is mended by cutting more power.
#[tokio::test]
async fn a_doubt_of_the_observers_own_does_not_cut_the_fallback() {
    let stage = stage().await;
    let mut node = Subject::of(&stage.cluster, "storage-a").unwrap();
    let network = SimNetwork::new()
        .with_node_while("management", NODE, || false)
        .with_node_while("management", WITNESS, || false);
    let fenced = node.fence(soon(), &network, &()).await.unwrap();
    assert_eq!(fenced.report.rule, Rule::Witness, "{}", fenced.report);
    assert_eq!((fenced.level, stage.asked()), (None, (1, 0)));
}

#[tokio::test]
async fn neither_level_is_no_off() {
    let stage = stage().await;
    stage.fault("refuse");
    stage.fallback.set_faults("refuse".parse().unwrap());
    let node = Subject::of(&stage.cluster, "storage-a").unwrap();
    let off = node.switch(PowerState::Off, soon(), &()).await;
    assert!(!off.is_confirmed() && off.off_by().is_none());
    assert_eq!((off.devices.len(), off.failure().is_some()), (2, true));
    let rebooted = node.reboot(soon(), &()).await;
    assert!(rebooted.on.is_none() && !rebooted.is_confirmed());
}

/// What was cut at the fallback has power again only through it, and it comes first.
#[tokio::test]
async fn on_begins_with_the_fallback() {
    let stage = stage().await;
    for device in [&stage.first, &stage.fallback] {
        device.set(0, false, true);
    }
    let node = Subject::of(&stage.cluster, "storage-a").unwrap();
    let order = Order::default();
    let on = node.switch(PowerState::On, soon(), &order).await;
    assert!(on.is_confirmed(), "{on:?}");
    let levels: Vec<_> = on.devices.iter().map(|device| device.level).collect();
    assert_eq!(levels, [Level::First, Level::Fallback]);
    assert_eq!(order.0.into_inner().unwrap(), [1, 0]);
}

#[tokio::test]
async fn a_reboot_switches_on_what_it_switched_off() {
    let stage = stage().await;
    let node = Subject::of(&stage.cluster, "storage-a").unwrap();
    let deadline = || Deadline::after(Duration::from_secs(20));
    let rebooted = node.reboot(deadline(), &()).await;
    assert!(rebooted.is_confirmed());
    assert_eq!(stage.asked(), (2, 0));

    stage.fault("reset");
    let rebooted = node.reboot(deadline(), &());
    let mended = async {
        // As a BMC that starts once its node has power again.
        while stage.fallback.commands().len() < 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        stage.fault("none");
    };
    let (rebooted, ()) = futures_util::future::join(rebooted, mended).await;
    assert!(rebooted.is_confirmed(), "{rebooted:?}");
    assert_eq!(rebooted.off.off_by(), Some(Level::Fallback));
    assert_eq!(stage.fallback.relay(0), Some(true));
}

/// `retry_on` counts for a node as it does for a device: the plug is away when the on begins.
#[tokio::test]
async fn the_on_of_a_reboot_is_tried_as_often_as_retry_on_says() {
    for (keys, comes_on) in [("", false), (", retry_on: 5", true)] {
        let stage = stage_with(keys).await;
        let node = Subject::of(&stage.cluster, "storage-a").unwrap();
        let rebooted = node.reboot(Deadline::after(Duration::from_secs(20)), &());
        let away = async {
            while stage.first.commands().is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            // Within the rest of five seconds.
            tokio::time::sleep(Duration::from_millis(3500)).await;
            stage.fault("reset");
            tokio::time::sleep(Duration::from_secs(4)).await;
            stage.fault("none");
        };
        let (rebooted, ()) = futures_util::future::join(rebooted, away).await;
        assert!(rebooted.off.is_confirmed());
        assert_eq!(rebooted.is_confirmed(), comes_on, "{keys}: {rebooted:?}");
    }
}

#[tokio::test]
async fn a_status_shows_both_levels_and_their_rule() {
    let stage = stage().await;
    stage.fault("reset");
    let patience = Duration::from_secs(5);
    let nodes = Nodes::of(&stage.cluster, &["storage-a"]).unwrap();
    let seen = nodes.statuses(patience, |_, _| ()).await;
    let document = json!(seen[0]);
    assert_eq!(document["power"], "unknown");
    assert_eq!(document["devices"][1]["power"], "on");
    assert_eq!(
        (&document["devices"][0]["level"], &document["devices"][1]["level"]),
        (&json!(1), &json!(2))
    );
    stage.fallback.set(0, false, false);
    let seen = nodes.statuses(patience, |_, _| ()).await;
    assert_eq!(json!(seen[0])["power"], "off");
    stage.fault("none");
    let seen = nodes.statuses(patience, |_, _| ()).await;
    assert_eq!(json!(seen[0])["power"], "on");
}
