//! The examples, built as their readers build them, against simulated devices, a network, and a BMC of others.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fencekit_interop::{
    Output, Peer, Space, fencekit_bin, private_namespaces, required, run, tool, workspace,
};
use fencekit_sim::kasa::{self, Unit};
use fencekit_sim::{Device, Spec};

use super::build::prefix;
use super::ipmi_common::{PASSWORD, USER, ipmi_sim};
use super::{LIMIT, Stage};

/// Built with the Makefile, which finds the library through pkg-config.
fn by_pkg_config(to: &Path) {
    let mut make = Command::new(tool("make").unwrap_or_else(|| panic!("make is missing")));
    make.arg("-C")
        .arg(workspace().join("examples/c"))
        .arg(format!("OUT={}", to.display()))
        .env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"));
    let out = run(&mut make, "", LIMIT);
    assert!(out.ok(), "{out}");
}

/// Built with CMake, which finds the library by its package.
fn by_cmake(to: &Path) {
    let cmake = tool("cmake").unwrap_or_else(|| panic!("cmake is missing"));
    let mut configure = Command::new(&cmake);
    configure
        .arg("-S")
        .arg(workspace().join("examples/c"))
        .arg("-B")
        .arg(to)
        .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix().display()));
    let out = run(&mut configure, "", LIMIT);
    assert!(out.ok(), "{out}");
    let out = run(Command::new(&cmake).arg("--build").arg(to), "", LIMIT);
    assert!(out.ok(), "{out}");
}

fn example(dir: &Path, name: &str, arguments: &[&str]) -> Output {
    run(Command::new(dir.join(name)).args(arguments), "", LIMIT)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_run_against_a_simulated_device() {
    let _ = required!(tool("pkg-config"));
    let stage = Stage::new().await;
    let file = stage.dir.path().join("cluster.yml");
    let file = file.to_str().unwrap();
    let (made, cmade) = (stage.dir.path().join("make"), stage.dir.path().join("cmake"));
    fs::create_dir(&made).unwrap();
    by_pkg_config(&made);
    by_cmake(&cmade);
    for (dir, fence) in [
        (&made, "fence_node"),
        (&cmade, "fence_node"),
        (&cmade, "fence_node_static"),
    ] {
        stage.sim.device.set(0, true, true);
        if fence != "fence_node_static" {
            let polled = example(dir, "poll_devices", &[file, "2"]);
            assert!(polled.ok(), "{polled}");
            assert_eq!(polled.stdout.matches(": on, ").count(), 2, "{polled}");
        }
        let fenced = example(dir, fence, &[file, "storage-b"]);
        // The plug is off, but the node's address answers: it is this host's.
        assert_eq!(fenced.code, Some(1), "{fenced}");
        assert!(
            fenced.stdout.contains("power") && fenced.stderr.contains("still alive: storage-b"),
            "{fenced}"
        );
        assert_eq!(stage.sim.device.relay(0), Some(false));
    }
    let nobody = example(&made, "fence_node", &[file, "storage-c"]);
    assert_eq!(nobody.code, Some(2), "{nobody}");
    assert_eq!(example(&made, "poll_devices", &["/nonexistent"]).code, Some(2));
}

/// The example on a network where the node really falls silent: the only case that ends with success.
#[test]
fn a_node_that_falls_silent_is_confirmed_off() {
    private_namespaces!();
    let others = Space::new();
    let shell = |script: &str| {
        let out = run(Command::new("sh").args(["-ec", script]), "", LIMIT);
        assert!(out.ok(), "{script}: {out}");
    };
    shell(&format!(
        "ip link add o type veth peer name p netns {}",
        others.id()
    ));
    shell("ip addr add 10.20.20.7/24 dev o; ip link set o up");
    // The plug, a witness, and the node while it lives.
    others.shell("ip addr add 10.20.20.202/24 dev p; ip addr add 10.20.20.254/24 dev p");
    others.shell("ip addr add 10.20.20.2/24 dev p; ip link set p up");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cluster.yml");
    fs::write(
        &file,
        "stonith_nodes:\n  storage-b: {method: tasmota, ip: 10.20.20.202, port: 8080, mgmt_ip: 10.20.20.2}\n\
         verify: {wait: 2, require_witness: true, witnesses: {management: [10.20.20.254]}}\n",
    )
    .unwrap();
    let mut sim = others.inside(fencekit_bin().to_str().unwrap());
    sim.arg("sim").arg("--config").arg(&file);
    let plug = Peer::start("the plug", &mut sim);
    let _ = plug.wait_for(LIMIT, |line| line.contains("\"transport\""));
    by_pkg_config(dir.path());
    let fence = |arguments: &[&str]| example(dir.path(), "fence_node", arguments);
    let file = file.to_str().unwrap();
    let alive = fence(&[file, "storage-b"]);
    assert_eq!(alive.code, Some(1), "{alive}");
    others.shell("ip addr del 10.20.20.2/24 dev p");
    let off = fence(&[file, "storage-b"]);
    assert_eq!(off.code, Some(0), "{off}");
    assert!(off.stdout.ends_with("confirmed-off\n"), "{off}");
    let verified = fence(&["--verify", file, "storage-b"]);
    assert_eq!(verified.code, Some(0), "{verified}");
    // With the network gone nobody can tell.
    others.shell("ip link set p down");
    let unheard = fence(&["--verify", file, "storage-b"]);
    assert_eq!(unheard.code, Some(3), "{unheard}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_run_against_the_openipmi_simulator() {
    let bmc = required!(ipmi_sim());
    let _ = bmc.ready().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cluster.yml");
    let text = format!(
        "stonith_nodes:\n  storage-a: {{method: ipmi, ip: 127.0.0.1, port: {}, user: {USER}, password: {PASSWORD}, \
         mgmt_ip: 127.0.0.1}}\nverify: {{wait: 1}}\n",
        bmc.port
    );
    fs::write(&file, text).unwrap();
    by_pkg_config(dir.path());
    let file = file.to_str().unwrap();
    let on = example(dir.path(), "poll_devices", &[file]);
    assert!(on.ok() && on.stdout.contains(": on"), "{on}");
    let fenced = example(dir.path(), "fence_node", &[file, "storage-a"]);
    assert_eq!(fenced.code, Some(1), "{fenced}");
    let off = example(dir.path(), "poll_devices", &[file]);
    assert!(off.ok() && off.stdout.contains(": off"), "{off}");
}

/// The fence agent on the library of fence-agents, through ctypes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_over_ctypes_fences() {
    let fencing = PathBuf::from("/usr/share/fence/fencing.py");
    required!(fencing.is_file().then_some(()));
    let stage = Stage::new().await;
    let port = stage.sim.address.port();
    let agent = |action: &str, port: u16| {
        let options = format!(
            "action={action}\nip=127.0.0.1\nipport={port}\ndevice_method=kasa\nexpect_identity=50:c7:bf:00:00:01\n\
             power_timeout=3\ndevice_options={{\"off_max_watts\": 5}}\n"
        );
        // The machine's own Python: that of fence-agents, with what they need.
        let mut command = Command::new("/usr/bin/python3");
        command
            .arg(workspace().join("examples/python-ctypes/fence_fencekit.py"))
            .env("FENCEKIT_LIBRARY", prefix().join("lib/libfencekit.so.0"))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        run(&mut command, &options, LIMIT)
    };
    let metadata = agent("metadata", port);
    assert!(
        metadata.ok() && metadata.stdout.contains("<parameter name=\"device_method\""),
        "{metadata}"
    );
    assert_eq!(agent("status", port).code, Some(0));
    assert_eq!(agent("monitor", port).code, Some(0));
    let list = agent("list", port);
    assert!(list.ok() && list.stdout.contains("storage-b"), "{list}");
    let off = agent("off", port);
    assert!(off.ok(), "{off}");
    assert_eq!(stage.sim.device.relay(0), Some(false));
    assert_eq!(agent("status", port).code, Some(2));
    assert_eq!(agent("on", port).code, Some(0));
    assert_eq!(stage.sim.device.relay(0), Some(true));
    // Nobody listens there. No exit code but that of a failure: 2 would say off.
    for action in ["status", "off", "monitor"] {
        let gone = agent(action, 9);
        assert_eq!(gone.code, Some(1), "{action}: {gone}");
    }
    stage.sim.device.set_faults(fencekit_sim::Faults {
        stuck: true,
        ..fencekit_sim::Faults::default()
    });
    assert_eq!(
        agent("off", port).code,
        Some(1),
        "a plug that does nothing is not off"
    );
    stage.sim.device.set_faults(fencekit_sim::Faults {
        lie: true,
        ..fencekit_sim::Faults::default()
    });
    for attempt in 1..=2 {
        let lie = agent("off", port);
        assert_eq!(
            lie.code,
            Some(1),
            "a lie is not off, asked {attempt} times: {lie}"
        );
    }
}

/// As the fencer of Pacemaker calls it: without limits of the agent's own, and the node's name in the place of an outlet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_over_ctypes_fences_for_pacemaker() {
    let fencing = PathBuf::from("/usr/share/fence/fencing.py");
    required!(fencing.is_file().then_some(()));
    let agent = |port: u16, options: &str| {
        let options = format!("ip=127.0.0.1\nipport={port}\ndevice_method=kasa\n{options}\n");
        let mut command = Command::new("/usr/bin/python3");
        command
            .arg(workspace().join("examples/python-ctypes/fence_fencekit.py"))
            .env("FENCEKIT_LIBRARY", prefix().join("lib/libfencekit.so.0"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PCMK_service", "pacemaker-fenced");
        run(&mut command, &options, LIMIT)
    };
    let stage = Stage::new().await;
    let (plug, port) = (&stage.sim.device, stage.sim.address.port());
    let named = "nodename=node-b\nport=node-b";
    assert_eq!(agent(port, "action=monitor").code, Some(0));
    let off = agent(port, &format!("action=off\n{named}"));
    assert_eq!((off.code, plug.relay(0)), (Some(0), Some(false)), "{off}");
    assert_eq!(agent(port, &format!("action=status\n{named}")).code, Some(2));
    let on = agent(port, &format!("action=on\n{named}"));
    assert_eq!((on.code, plug.relay(0)), (Some(0), Some(true)), "{on}");

    // On a strip such a name is no outlet, and outlets are named.
    let strip = Device::new(Spec::plug("strip").outlets(3));
    let unit = Unit::from(strip.clone());
    let running = kasa::serve_xor(unit, SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    let port = running.address.port();
    let wrong = agent(port, &format!("action=off\n{named}"));
    assert_eq!((wrong.code, strip.commands().len()), (Some(1), 0), "{wrong}");
    let both = agent(port, "action=off\nplug=1,3\nnodename=node-b");
    assert!(both.ok(), "{both}");
    let relays: Vec<_> = (0..3).map(|outlet| strip.relay(outlet)).collect();
    assert_eq!(relays, [Some(false), Some(true), Some(false)]);
}

/// The on of a reboot that fails does not undo the fence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_over_ctypes_has_fenced_though_the_on_fails() {
    let fencing = PathBuf::from("/usr/share/fence/fencing.py");
    required!(fencing.is_file().then_some(()));
    let stage = Stage::new().await;
    let plug = stage.sim.device.clone();
    let port = stage.sim.address.port();
    let agent = tokio::task::spawn_blocking(move || {
        let options = format!(
            "action=reboot\nip=127.0.0.1\nipport={port}\ndevice_method=kasa\npower_timeout=2\npower_wait=3\n"
        );
        let mut command = Command::new("/usr/bin/python3");
        command
            .arg(workspace().join("examples/python-ctypes/fence_fencekit.py"))
            .env("FENCEKIT_LIBRARY", prefix().join("lib/libfencekit.so.0"))
            .env("PYTHONDONTWRITEBYTECODE", "1");
        run(&mut command, &options, LIMIT)
    });
    while plug.relay(0) == Some(true) && !agent.is_finished() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A look after the command, and the rest until the on.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    plug.set_faults("refuse".parse().unwrap());
    let rebooted = agent.await.unwrap();
    assert_eq!(
        (rebooted.code, plug.relay(0)),
        (Some(0), Some(false)),
        "{rebooted}"
    );
    assert!(!rebooted.stderr.contains("Traceback"), "{rebooted}");
}
