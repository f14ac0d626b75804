//! Agents against simulated devices, through sequences of actions in every form of options.

mod common;

use std::time::{Duration, Instant};

use common::devices::{bmc, esphome, http, http_call, kasa, tasmota};
use common::{Call, FORMS, Form, Served, call};
use fencekit_sim::{Faults, Spec};

/// A device and an agent that is set up for its outlet with index `outlet`.
struct Case {
    what: &'static str,
    served: Served,
    call: Call,
    outlet: usize,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |what, served: Served, call: Call, outlet| {
        let call = call.at(served.address).with("stonith_status_sleep", "0.1");
        cases.push(Case {
            what,
            served,
            call,
            outlet,
        });
    };
    add("Kasa plug", kasa(Spec::plug("rack")), call("fence_kasa"), 0);
    let strip = Spec::plug("strip").outlets(3);
    add(
        "Kasa strip by number",
        kasa(strip.clone()),
        call("fence_kasa").with("plug", "2"),
        1,
    );
    add(
        "Kasa strip by alias",
        kasa(strip.clone()),
        call("fence_kasa").with("plug", "Outlet 3"),
        2,
    );
    add(
        "Kasa strip, old name",
        kasa(strip),
        call("fence_kasa").with("port", "1"),
        0,
    );
    add(
        "Tasmota",
        tasmota(Spec::plug("Tasmota")),
        call("fence_tasmota"),
        0,
    );
    add(
        "Tasmota with two relays and a password",
        tasmota(
            Spec::plug("Tasmota")
                .outlets(2)
                .credentials("admin", "open-sesame-1"),
        ),
        call("fence_tasmota")
            .with("plug", "2")
            .with("password", "open-sesame-1"),
        1,
    );
    add("HTTP outlet", http(Spec::plug("pdu").outlets(2)), http_call(2), 1);
    add(
        "HTTP outlet with a password and POST",
        http(Spec::plug("pdu").credentials("admin", "open-sesame-1")),
        http_call(1)
            .with("power_on_method", "POST")
            .with("power_on_body", "state=on&why=fence")
            .with("power_off_method", "POST")
            .with("username", "admin")
            .with("password", "open-sesame-1"),
        0,
    );
    add(
        "BMC",
        bmc(Spec::plug("bmc").credentials("fencer", "open-sesame-1")),
        call("fence_ipmi")
            .with("username", "fencer")
            .with("password", "open-sesame-1")
            .with("cipher", "17")
            .with("lanplus", "1"),
        0,
    );
    add(
        "ESPHome with a password",
        esphome(Spec::plug("Relay").credentials("admin", "open-sesame-1")),
        call("fence_esphome")
            .with("transport", "web")
            .with("switch_name", "Relay")
            .with("login", "admin")
            .with("passwd", "open-sesame-1"),
        0,
    );
    cases
}

#[test]
fn every_device_goes_through_its_states_in_every_form() {
    for case in cases() {
        for form in FORMS {
            sequence(&case, form);
        }
    }
}

fn sequence(case: &Case, form: Form) {
    let Case {
        what,
        served,
        call,
        outlet,
    } = case;
    for (action, code, out, powered) in [
        ("status", 0, "Status: ON\n", true),
        ("monitor", 0, "", true),
        ("off", 0, "Success: Powered OFF\n", false),
        ("status", 2, "Status: OFF\n", false),
        ("monitor", 0, "", false),
        ("off", 0, "Success: Already OFF\n", false),
        ("on", 0, "Success: Powered ON\n", true),
        ("on", 0, "Success: Already ON\n", true),
        ("validate-all", 0, "", true),
    ] {
        let ran = call.run(form, action);
        assert_eq!(
            (ran.code, ran.out.as_str(), served.device.relay(*outlet)),
            (Some(code), out, Some(powered)),
            "{what}, {form:?}, {action}: {ran:?}"
        );
        assert_eq!(ran.err, "", "{what}, {form:?}, {action}");
    }
    let others = (0..served.device.count()).filter(|other| other != outlet);
    for other in others {
        assert_eq!(
            served.device.relay(other),
            Some(true),
            "{what}: outlet {other} was touched"
        );
    }
}

#[test]
fn a_reboot_leaves_the_power_off_long_enough_to_be_noticed() {
    let plug = kasa(Spec::plug("rack"));
    let (send, changes) = std::sync::mpsc::channel();
    plug.device.on_change(Box::new(move |_, on| {
        let _ = send.send((Instant::now(), on));
    }));
    // `reboot` is what an agent does when nothing is asked for.
    let lines = format!("ip=127.0.0.1\nipport={}\n", plug.address.port());
    call("fence_kasa")
        .feed(lines.as_bytes())
        .is(0, "Success: Rebooted\n");
    let changes: Vec<_> = changes.try_iter().collect();
    let [(off, false), (on, true)] = changes.as_slice() else {
        panic!("{changes:?}");
    };
    assert!(*on - *off >= Duration::from_secs(5), "{:?}", *on - *off);
}

#[test]
fn a_reboot_whose_on_fails_has_fenced_all_the_same() {
    let plug = kasa(Spec::plug("rack"));
    let device = plug.device.clone();
    plug.device.on_change(Box::new(move |_, on| {
        if !on {
            let device = device.clone();
            // Once the off is confirmed the plug takes no more orders. Set from another thread: this is called under
            // the device's lock.
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_secs(3));
                device.set_faults(Faults {
                    stuck: true,
                    ..Faults::default()
                });
            });
        }
    }));
    let ran = call("fence_kasa")
        .at(plug.address)
        .with("power_timeout", "2")
        .with("stonith_status_sleep", "0.2")
        .act("reboot");
    ran.is(0, "Success: Rebooted\n");
    assert!(
        ran.err.contains("the node was powered off, but is not on again"),
        "{ran:?}"
    );
    assert_eq!(plug.device.relay(0), Some(false));
}

#[test]
fn an_exit_code_does_not_depend_on_a_reader() {
    let plug = kasa(Spec::plug("rack"));
    let port = plug.address.port().to_string();
    for (action, code) in [("status", 0), ("off", 0), ("status", 2), ("list", 1)] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let child = call("fence_kasa")
            .command()
            .args(["-o", action, "-a", "127.0.0.1", "-u", &port])
            .stdout(full)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        assert_eq!(common::wait(child).status.code(), Some(code), "{action}");
    }
}

#[test]
fn delay_comes_before_the_device_is_touched_and_only_for_fencing() {
    let plug = kasa(Spec::plug("rack"));
    let delayed = call("fence_kasa").at(plug.address).with("delay", "1");
    let ran = delayed.act("status");
    ran.is(0, "Status: ON\n");
    assert!(ran.took < Duration::from_millis(900), "{ran:?}");
    let requests = plug.device.requests();
    let device = plug.device.clone();
    let watcher = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(600));
        device.requests()
    });
    let ran = delayed.act("off");
    ran.is(0, "Success: Powered OFF\n");
    assert!(ran.took >= Duration::from_secs(1), "{ran:?}");
    assert_eq!(
        watcher.join().unwrap(),
        requests,
        "the device was asked during the delay"
    );
}

#[test]
fn lists_show_every_outlet() {
    let strip = kasa(Spec::plug("strip").outlets(2));
    strip.device.set(1, false, true);
    let listed = call("fence_kasa").at(strip.address);
    listed.act("list").is(0, "1,Outlet 1\n2,Outlet 2\n");
    listed.act("list-status").is(0, "1,Outlet 1,ON\n2,Outlet 2,OFF\n");
    let separated = listed.with("separator", ";");
    separated
        .run(Form::Short, "list-status")
        .is(0, "1;Outlet 1;ON\n2;Outlet 2;OFF\n");
}

#[test]
fn an_alias_cannot_forge_lines_of_a_list_or_drive_a_terminal() {
    let plug = kasa(Spec::plug("a\n9,storage-b\x1b[31m"));
    let ran = call("fence_kasa").at(plug.address).act("list");
    assert_eq!((ran.code, ran.out.lines().count()), (Some(0), 1), "{ran:?}");
    assert!(!ran.out.contains('\x1b'), "{ran:?}");
}

#[test]
fn what_fenced_sends_for_a_plug_works() {
    let plug = kasa(Spec::plug("rack"));
    let port = plug.address.port();
    for (action, code) in [
        ("status", 0),
        ("off", 0),
        ("status", 2),
        ("on", 0),
        ("validate-all", 0),
    ] {
        for option in ["port", "plug"] {
            let lines = format!(
                "{option}=storage-b\nnodename=storage-b\naction={action}\nip=127.0.0.1\nipport={port}\npcmk_host_list=storage-b\n"
            );
            let ran = call("fence_kasa").under_pacemaker().feed(lines.as_bytes());
            assert_eq!(
                (ran.code, ran.err.as_str()),
                (Some(code), ""),
                "{option} {action}: {ran:?}"
            );
        }
    }
    let monitor = format!("ip=127.0.0.1\naction=monitor\nipport={port}\n");
    call("fence_kasa")
        .under_pacemaker()
        .feed(monitor.as_bytes())
        .is(0, "");
}

#[test]
fn a_node_name_on_a_strip_must_be_an_outlets_name() {
    let strip = kasa(Spec::plug("strip").outlets(2));
    let port = strip.address.port();
    let fenced = |extra: &str| {
        let lines =
            format!("{extra}nodename=storage-b\nport=storage-b\naction=off\nip=127.0.0.1\nipport={port}\n");
        call("fence_kasa").under_pacemaker().feed(lines.as_bytes())
    };
    fenced("").fails("storage-b");
    assert_eq!(strip.device.commands(), []);
    fenced("plug=2\n").is(0, "Success: Powered OFF\n");
    assert_eq!(
        (strip.device.relay(0), strip.device.relay(1)),
        (Some(true), Some(false))
    );

    let mut named = Spec::plug("strip").outlets(2);
    named.outlets[0].alias = "storage-b".to_owned();
    let strip = kasa(named);
    let lines = format!(
        "nodename=storage-b\nport=storage-b\naction=off\nip=127.0.0.1\nipport={}\n",
        strip.address.port()
    );
    call("fence_kasa")
        .under_pacemaker()
        .feed(lines.as_bytes())
        .is(0, "Success: Powered OFF\n");
    assert_eq!(
        (strip.device.relay(0), strip.device.relay(1)),
        (Some(false), Some(true))
    );
}

#[test]
fn monitor_works_on_a_strip_without_a_plug_and_status_does_not() {
    let strip = kasa(Spec::plug("strip").outlets(2));
    let unnamed = call("fence_kasa").at(strip.address);
    unnamed.act("monitor").is(0, "");
    unnamed.act("status").fails("plug: is missing");
    unnamed.act("off").fails("plug: is missing");
    assert_eq!(strip.device.commands(), []);
}

#[test]
fn a_state_that_cannot_be_read_is_a_failure_of_monitor_too() {
    let outlet = http(Spec::plug("pdu"));
    let unreadable = http_call(1)
        .at(outlet.address)
        .with("status_on_regex", "ENABLED")
        .with("status_off_regex", "DISABLED");
    for action in ["status", "monitor", "off", "on"] {
        let ran = unreadable.clone().with("power_timeout", "1").act(action);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{action}: {ran:?}");
    }
    unreadable.act("list-status").is(0, "1,,UNKNOWN\n");
}

#[test]
fn several_plugs_are_one_node() {
    let strip = kasa(Spec::plug("strip").outlets(3));
    let device = &strip.device;
    let both = call("fence_kasa").at(strip.address).with("plug", "1,3");
    both.act("status").is(0, "Status: ON\n");
    device.set(0, false, true);
    both.act("status").is(0, "Status: ON\n");
    both.act("off").is(0, "Success: Powered OFF\n");
    assert_eq!(
        (device.relay(0), device.relay(1), device.relay(2)),
        (Some(false), Some(true), Some(false))
    );
    both.act("status").is(2, "Status: OFF\n");
    both.act("off").is(0, "Success: Already OFF\n");
    let map = format!(
        "nodename=node2\nport=1;3\nplug_separator=;\naction=reboot\nip=127.0.0.1\nipport={}\n",
        strip.address.port()
    );
    device.set(0, true, true);
    device.set(2, true, true);
    let before = device.commands().len();
    call("fence_kasa")
        .feed(map.as_bytes())
        .is(0, "Success: Rebooted\n");
    // Off for all before on for any: a node with two supplies would never lose power otherwise.
    assert_eq!(
        device.commands()[before..],
        [(0, false), (2, false), (0, true), (2, true)]
    );
}

#[test]
fn several_plugs_of_which_one_fails_are_a_failure() {
    let strip = kasa(Spec::plug("strip").outlets(2));
    let call = call("fence_kasa").at(strip.address).with("power_timeout", "1");
    let with_wrong_one = call.clone().with("plug", "1,7");
    with_wrong_one.act("off").fails("plug 7");
    with_wrong_one.act("status").fails("plug 7");
    // The first comes back by itself while the second is switched.
    strip.device.set_faults("bounce=0.05".parse().unwrap());
    let ran = call.with("plug", "1,2").with("power_wait", "0.5").act("off");
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
}
