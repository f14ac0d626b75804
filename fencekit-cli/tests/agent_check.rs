//! `fence_check` through the built program: what it prints, its exit codes, and that it switches nothing.
//!
//! On loopback nothing falls silent, so everything here is a node that lives or a probe that fails. Dead nodes are in
//! `interop/tests/verify_netns`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod command_common;
mod common;

use std::net::TcpListener;
use std::time::Duration;

use command_common::{ANY, File, Sims, file};
use common::{Call, FORMS, call};
use fencekit_sim::{Device, Faults, Spec};

/// Far less than any script here takes.
const QUICK: Duration = Duration::from_secs(8);

/// A node on a simulated Kasa plug, with a port that accepts on loopback.
struct Stage {
    _sims: Sims,
    plug: Device,
    plug_port: u16,
    listener: TcpListener,
}

fn stage() -> Stage {
    let mut sims = Sims::new();
    let (plug, plug_port) = sims.kasa(Spec::plug("storage-b"));
    Stage {
        _sims: sims,
        plug,
        plug_port,
        listener: TcpListener::bind(ANY).unwrap(),
    }
}

impl Stage {
    fn node_port(&self) -> String {
        self.listener.local_addr().unwrap().port().to_string()
    }

    fn check(&self) -> Call {
        call("fence_check")
            .with("fence_method", "kasa")
            .with("fence_ip", "127.0.0.1")
            .with("fence_port", &self.plug_port.to_string())
            .with("target_mgmt_ip", "127.0.0.1")
            .with("target_storage_ip", "127.0.0.1")
            .with("target_client_ips", "127.0.0.1")
            .with("target_tcp_ports", &self.node_port())
            .with("verify_wait", "1")
    }

    fn cluster(&self) -> File {
        file(&format!(
            "stonith_nodes:\n  storage-b:\n    {{method: kasa, ip: 127.0.0.1, port: {}, mgmt_ip: 127.0.0.1, \
             tcp_ports: [{}]}}\nverify: {{wait: 1}}\n",
            self.plug_port,
            self.node_port()
        ))
    }

    fn was_switched(&self) -> bool {
        !self.plug.commands().is_empty()
    }
}

#[test]
fn the_status_is_the_original_report_and_switches_nothing() {
    let stage = stage();
    let label = format!("kasa @ 127.0.0.1:{}", stage.plug_port);
    let expected = format!(
        "fence_check status for storage-b:\n  STONITH device ({label}): power=on\n  \
         Management   127.0.0.1:  reachable\n  Storage      127.0.0.1:  reachable\n  \
         Client       127.0.0.1:  reachable\nStatus: ON\n"
    );
    for form in FORMS {
        let ran = stage.check().with("plug", "storage-b").run(form, "status");
        ran.is(0, &expected);
    }
    assert!(!stage.was_switched());
}

#[test]
fn a_plug_that_says_off_is_overruled_by_a_node_that_answers() {
    let stage = stage();
    stage.plug.set(0, false, false);
    for action in ["off", "reboot"] {
        let ran = stage.check().with("port", "storage-b").act(action);
        ran.fails("not confirmed off: storage-b: still-alive");
        assert!(ran.err.contains("the port accepted a connection"), "{ran:?}");
    }
    let status = stage.check().act("status");
    assert_eq!(status.code, Some(0), "{status:?}");
    assert!(
        status.out.contains("power=off") && status.out.ends_with("Status: ON\n"),
        "{status:?}"
    );
    assert!(!stage.was_switched());
}

#[test]
fn a_plug_that_says_on_is_alive() {
    let stage = stage();
    stage.check().act("off").fails("still-alive");
    assert!(!stage.was_switched());
}

#[test]
fn on_succeeds_and_asks_nobody() {
    let stage = stage();
    for form in FORMS {
        let ran = stage.check().run(form, "on");
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    assert_eq!(stage.plug.requests(), 0);
}

/// A level powers its node on again with `on` for every device: a password that cannot be fetched by then must not
/// keep it off.
#[test]
fn on_needs_no_password_and_no_file() {
    let stage = stage();
    let script = stage.check().with("password_script", "sleep 60; exit 1");
    let missing = stage.check().with("password_file", "/nonexistent/secret");
    let file = call("fence_check")
        .with("config", "/nonexistent/cluster.yml")
        .with("plug", "storage-b");
    for check in [&script, &missing, &file] {
        let ran = check.act("on");
        ran.is(0, "Success: nothing to verify\n");
        assert!(ran.took < QUICK, "{ran:?}");
    }
    missing
        .act("validate-all")
        .fails("password_file: /nonexistent/secret");
}

/// A list that failed would make Pacemaker go by the status, which is the same whichever node is meant.
#[test]
fn a_list_succeeds_names_nobody_and_asks_nobody() {
    let stage = stage();
    let by_options = stage.check().with("password_file", "/nonexistent/secret");
    let by_file = call("fence_check").with("config", "/nonexistent/cluster.yml");
    for check in [by_options, by_file, call("fence_check")] {
        for form in FORMS {
            check.run(form, "list").is(0, "N/A\n");
            check.run(form, "list-status").is(0, "N/A\n");
        }
    }
    assert_eq!(stage.plug.requests(), 0);
}

#[test]
fn validate_all_runs_no_script() {
    let stage = stage();
    let text = std::fs::read_to_string(stage.cluster().path).unwrap();
    let method = "{method: ipmi, ip: 127.0.0.1, user: fencer, password_script: sleep 60,";
    let bmc = file(&text.replace("{method: kasa, ip: 127.0.0.1,", method));
    let by_file = call("fence_check")
        .with("config", bmc.path.to_str().unwrap())
        .with("plug", "storage-b");
    let by_options = call("fence_check")
        .with("fence_method", "ipmi")
        .with("fence_ip", "127.0.0.1")
        .with("fence_user", "fencer")
        .with("password_script", "sleep 60")
        .with("target_mgmt_ip", "127.0.0.1");
    for check in [by_file, by_options] {
        let ran = check.act("validate-all");
        ran.is(0, "");
        assert!(ran.took < QUICK, "{ran:?}");
    }
}

#[test]
fn without_addresses_nothing_is_verified() {
    let stage = stage();
    stage.plug.set(0, false, true);
    let ran = call("fence_check")
        .with("fence_method", "kasa")
        .with("fence_ip", "127.0.0.1")
        .with("fence_port", &stage.plug_port.to_string())
        .with("verify_wait", "1")
        .act("off");
    ran.fails("inconclusive (no address of the node is configured");
}

#[test]
fn the_monitor_needs_a_device_that_answers() {
    let stage = stage();
    stage.check().act("monitor").is(0, "");
    let silent: Faults = "silent".parse().unwrap();
    stage.plug.set_faults(silent);
    let ran = stage
        .check()
        .with("login_timeout", "1")
        .with("shell_timeout", "1")
        .act("monitor");
    assert_eq!(ran.code, Some(1), "{ran:?}");
}

#[test]
fn a_cluster_file_names_the_node_by_any_of_its_names() {
    let stage = stage();
    let file = stage.cluster();
    let path = file.path.to_str().unwrap();
    for lines in [
        "plug=storage-b",
        "port=storage-b",
        "nodename=storage-b",
        "nodename=storage-b\nport=7",
        "nodename=storage-b\nport=storage-b",
    ] {
        let ran = call("fence_check").feed(format!("action=status\nconfig={path}\n{lines}\n").as_bytes());
        assert_eq!(ran.code, Some(0), "{lines}: {ran:?}");
        assert!(
            ran.out.starts_with("fence_check status for storage-b:\n"),
            "{lines}: {ran:?}"
        );
        assert!(
            ran.out.contains("Management   127.0.0.1:  reachable"),
            "{lines}: {ran:?}"
        );
    }
    let unknown = call("fence_check")
        .with("config", path)
        .with("plug", "storage-c")
        .act("off");
    unknown.fails("\"storage-c\" is not in the cluster file");
}

/// A device that belongs to one node and is asked about another must not answer for its own.
#[test]
fn two_nodes_of_a_cluster_file_at_once_are_refused() {
    let stage = stage();
    let text = std::fs::read_to_string(stage.cluster().path).unwrap();
    let other = "stonith_nodes:\n  storage-a: {method: kasa, ip: 127.0.0.2, mgmt_ip: 127.0.0.2}";
    let file = file(&text.replace("stonith_nodes:", other));
    let path = file.path.to_str().unwrap();
    for action in ["off", "reboot", "status"] {
        for lines in [
            "plug=storage-a\nnodename=storage-b",
            "nodename=storage-b\nplug=storage-a\nport=storage-b",
        ] {
            let lines = format!("action={action}\nconfig={path}\n{lines}\n");
            let ran = call("fence_check").feed(lines.as_bytes());
            ran.fails("plug: names storage-a, and the cluster asks about storage-b");
        }
    }
    assert_eq!(stage.plug.requests(), 0);
}

/// Pacemaker starts and monitors an agent without naming a node.
#[test]
fn a_cluster_file_without_a_node_can_be_monitored_and_not_verified() {
    let stage = stage();
    let file = stage.cluster();
    let check = || call("fence_check").with("config", file.path.to_str().unwrap());
    check().act("monitor").is(0, "");
    check().act("validate-all").is(0, "");
    check().act("off").fails("plug: is missing");
}

#[test]
fn wrong_options_are_called_by_their_names_here() {
    let base = || {
        call("fence_check")
            .with("fence_method", "kasa")
            .with("fence_ip", "127.0.0.1")
    };
    call("fence_check").act("off").fails("fence_method: is missing");
    call("fence_check")
        .with("fence_method", "kasa")
        .act("off")
        .fails("fence_ip: is missing");
    base()
        .with("fence_method", "plug")
        .act("off")
        .fails("fence_method: \"plug\" is not valid");
    base()
        .with("encryption_key", "x")
        .act("off")
        .fails("encryption_key: is not an option of method kasa");
    base()
        .with("target_mgmt_ip", "storage-b")
        .act("off")
        .fails("target_mgmt_ip: \"storage-b\" is no IP address; write an address");
    for (address, says) in [
        (
            "::ffff:10.20.20.1",
            "is an IPv4 address written as IPv6; write 10.20.20.1",
        ),
        ("0.0.0.0", "is no address of a host"),
        ("255.255.255.255", "is no address of a host"),
        ("ff02::1", "is no address of a host"),
        (
            "10.20.20.1/24",
            "is a network; write the address alone, as 10.20.20.1",
        ),
    ] {
        for name in ["target_mgmt_ip", "target_client_ips", "witness_storage_ip"] {
            let ran = base().with(name, address).act("off");
            ran.fails(&format!("{name}: \"{address}\" {says}"));
        }
    }
    base()
        .with("target_tcp_ports", "22,0")
        .act("off")
        .fails("target_tcp_ports: \"0\" is not valid");
    base()
        .with("target_tcp_ports", "22,ssh")
        .act("off")
        .fails("target_tcp_ports: \"ssh\" is not valid");
    base().with("verify_wait", "-1").act("off").fails("verify_wait");
    let both = base().with("config", "/nonexistent").act("off");
    both.fails("fence_method: contradicts config");
}

/// What a template with an empty variable leaves behind must not make the verification weaker.
#[test]
fn a_blank_option_of_safety_is_refused_and_nothing_is_asked() {
    let stage = stage();
    for name in [
        "expect_identity",
        "target_mgmt_ip",
        "target_storage_ip",
        "target_client_ips",
        "target_tcp_ports",
        "witness_mgmt_ip",
        "witness_storage_ip",
        "witness_client_ips",
        "off_max_watts",
        "require_witness",
    ] {
        for value in ["", " ", ",", " , ,"] {
            for action in ["off", "reboot", "status", "monitor", "validate-all"] {
                let ran = stage.check().with(name, value).act(action);
                ran.fails(&format!("Failed: {name}: "));
            }
        }
    }
    for value in ["127.0.0.1,", ",127.0.0.1", "127.0.0.1, ,127.0.0.2"] {
        let ran = stage.check().with("target_client_ips", value).act("off");
        ran.fails("target_client_ips: has a blank between its commas; ");
    }
    assert_eq!(stage.plug.requests(), 0);
}

#[test]
fn a_slip_in_an_option_of_safety_is_an_error_and_another_word_a_warning() {
    let stage = stage();
    for action in ["off", "reboot", "status"] {
        for slip in [
            "expect_identiy",
            "target_storage_ips",
            "witness_mgmt",
            "require_witnes",
        ] {
            let ran = stage.check().with(slip, "x").act(action);
            ran.fails(&format!("was probably meant by the unknown option '{slip}'"));
        }
    }
    assert_eq!(stage.plug.requests(), 0);
    let ran = stage.check().with("colour_of_the_rack", "red").act("status");
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn the_password_is_in_no_output() {
    for form in FORMS {
        let ran = call("fence_check")
            .with("fence_method", "tasmota")
            .with("fence_ip", "127.0.0.1")
            .with("fence_port", "9")
            .with("fence_pass", "open-sesame-1")
            .with("target_mgmt_ip", "127.0.0.1")
            .with("verify_wait", "1")
            .with("verbose_level", "3")
            .run(form, "off");
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(
            !ran.err.contains("sesame") && !ran.out.contains("sesame"),
            "{ran:?}"
        );
    }
}
