//! Agents and devices that fail, lie or are not the right ones: each a failure, in time, and nothing else switched.

mod common;

use std::time::Duration;

use common::devices::{bmc, esphome, kasa};
use common::{FORMS, call};
use fencekit_sim::{Faults, Spec};

#[test]
fn a_missing_plug_is_off_for_status_alone_and_only_when_asked_for() {
    let strip = kasa(Spec::plug("strip").outlets(2));
    let missing = call("fence_kasa").at(strip.address).with("plug", "7");
    missing.act("status").fails("\"7\" is no outlet of this device");
    let as_off = missing.clone().with("missing_as_off", "1");
    let ran = as_off.act("status");
    ran.is(2, "Status: OFF\n");
    assert!(ran.err.contains("missing_as_off"), "{ran:?}");
    for action in ["off", "reboot", "on", "monitor"] {
        as_off.act(action).fails("\"7\" is no outlet of this device");
    }
    // One of two is there, and on.
    let one_there = call("fence_kasa")
        .at(strip.address)
        .with("missing_as_off", "1")
        .with("plug", "7,1");
    one_there.act("status").is(0, "Status: ON\n");
    // No plug at all is not a missing one, nor is a device that does not answer, or is another one.
    call("fence_kasa")
        .at(strip.address)
        .with("missing_as_off", "1")
        .act("status")
        .fails("plug: is missing");
    as_off
        .clone()
        .with("expect_identity", "02:00:00:00:00:01")
        .act("status")
        .fails("");
    drop(strip);
    as_off
        .with("login_timeout", "1")
        .act("status")
        .fails("unreachable");
}

#[test]
fn an_ambiguous_plug_is_not_a_missing_one() {
    let mut spec = Spec::plug("strip").outlets(2);
    spec.outlets[0].alias = "node".to_owned();
    spec.outlets[1].alias = "node".to_owned();
    let strip = kasa(spec);
    let ran = call("fence_kasa")
        .at(strip.address)
        .with("missing_as_off", "1")
        .with("plug", "node")
        .act("status");
    ran.fails("more than one outlet");
    // Outlet 1 to who wrote it, and the end of the id of outlet 2.
    let ran = call("fence_kasa")
        .at(strip.address)
        .with("missing_as_off", "1")
        .with("plug", "01")
        .act("status");
    ran.fails("more than one outlet");
}

#[test]
fn a_plug_that_an_unreadable_name_may_hide_is_not_missing() {
    let mut spec = Spec::plug("strip").outlets(2);
    spec.outlets[1].alias = String::new();
    let strip = kasa(spec);
    let ran = call("fence_kasa")
        .at(strip.address)
        .with("missing_as_off", "1")
        .with("plug", "node")
        .act("status");
    ran.fails("outlet 2 has no name that can be read");
}

#[test]
fn the_wrong_device_is_never_switched() {
    let plug = kasa(Spec::plug("rack"));
    let expecting = call("fence_kasa").at(plug.address);
    let right = expecting.clone().with("expect_identity", "50c7bf000001");
    right.act("status").is(0, "Status: ON\n");
    for action in ["off", "on", "reboot", "status", "monitor", "list"] {
        let wrong = expecting.clone().with("expect_identity", "50:C7:BF:00:00:02");
        wrong
            .act(action)
            .fails("wrong device: expected 50:C7:BF:00:00:02");
    }
    assert_eq!(plug.device.commands(), []);
}

#[test]
fn a_device_that_is_not_there_is_a_quick_failure_in_every_action() {
    let plug = kasa(Spec::plug("rack"));
    let address = plug.address;
    drop(plug);
    // The listener ends a moment after the sender is dropped.
    std::thread::sleep(Duration::from_millis(100));
    for action in ["on", "off", "reboot", "status", "monitor", "list", "list-status"] {
        let ran = call("fence_kasa").at(address).act(action);
        ran.fails(&format!("kasa @ {address}: unreachable: "));
        assert!(ran.took < Duration::from_secs(5), "{ran:?}");
    }
}

#[test]
fn a_silent_device_is_a_failure_within_the_timeouts() {
    let plug = kasa(Spec::plug("rack"));
    plug.device.set_faults("silent".parse().unwrap());
    let quick = call("fence_kasa")
        .at(plug.address)
        .with("login_timeout", "1")
        .with("shell_timeout", "1")
        .with("power_timeout", "1");
    for (action, seconds) in [("status", 2), ("monitor", 2), ("off", 3)] {
        let ran = quick.act(action);
        ran.fails("timed out");
        assert!(ran.took < Duration::from_secs(seconds + 2), "{action}: {ran:?}");
    }
}

#[test]
fn under_pacemaker_a_slow_device_is_waited_for() {
    let plug = kasa(Spec::plug("rack"));
    plug.device.set_faults("slow=1.2".parse().unwrap());
    let slow = call("fence_kasa")
        .at(plug.address)
        .with("login_timeout", "0.5")
        .with("shell_timeout", "0.5");
    slow.clone().act("status").fails("timed out");
    slow.clone().under_pacemaker().act("status").is(0, "Status: ON\n");
    slow.under_pacemaker()
        .with("disable_timeout", "false")
        .act("status")
        .fails("timed out");
}

#[test]
fn a_plug_that_stays_on_is_a_failure_by_hand_and_a_word_in_the_log_under_pacemaker() {
    let plug = kasa(Spec::plug("rack"));
    plug.device.set_faults("stuck".parse().unwrap());
    let quick = call("fence_kasa")
        .at(plug.address)
        .with("login_timeout", "0.2")
        .with("shell_timeout", "0.2")
        .with("power_timeout", "1")
        .with("stonith_status_sleep", "0.2");
    quick
        .act("off")
        .fails("not confirmed off: the device still says on");
    // Pacemaker ends it with SIGKILL: what is wrong must be on stderr before.
    let mut command = quick.clone().under_pacemaker().command();
    let lines = format!(
        "ip=127.0.0.1\nipport={}\naction=off\nlogin_timeout=0.2\nshell_timeout=0.2\npower_timeout=1\n",
        plug.address.port()
    );
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), lines.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_secs(4));
    assert!(
        child.try_wait().unwrap().is_none(),
        "it gave up before Pacemaker did"
    );
    child.kill().unwrap();
    let output = common::wait(child);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(
        err.contains("not confirmed off after") && output.stdout.is_empty(),
        "{output:?}"
    );
}

#[test]
fn a_lie_is_caught_by_the_meter() {
    let plug = kasa(Spec::plug("rack"));
    plug.device.set_faults("lie".parse().unwrap());
    let metered = call("fence_kasa")
        .at(plug.address)
        .with("off_max_watts", "5")
        .with("power_timeout", "1");
    metered.act("off").fails("its meter still reads 60.0 W");
    plug.device.set_faults(Faults::default());
    plug.device.set(0, true, true);
    metered.act("off").is(0, "Success: Powered OFF\n");
}

/// A BMC cannot even be described without a password.
#[test]
fn a_password_from_elsewhere_opens_a_bmc() {
    let device = bmc(Spec::plug("bmc").credentials("fencer", "open-sesame-1"));
    let base = call("fence_ipmi").at(device.address).with("username", "fencer");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    std::fs::write(&file, "open-sesame-1\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for (option, value) in [
        ("password_file", file.to_str().unwrap()),
        ("password_script", "echo open-sesame-1"),
    ] {
        let call = base.clone().with(option, value);
        call.act("validate-all").is(0, "");
        call.act("status").is(0, "Status: ON\n");
    }
    base.act("status").fails("password: is missing");
}

#[test]
fn a_password_from_elsewhere_opens_the_device() {
    let device = esphome(Spec::plug("Relay").credentials("admin", "open-sesame-1"));
    let base = call("fence_esphome")
        .at(device.address)
        .with("transport", "web")
        .with("plug", "Relay")
        .with("username", "admin");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    std::fs::write(&file, "open-sesame-1\n").unwrap();
    let set_mode =
        |mode| std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    set_mode(0o600);
    let path = file.to_str().unwrap();
    for form in FORMS {
        base.clone()
            .with("password_file", path)
            .run(form, "status")
            .is(0, "Status: ON\n");
        let script = base
            .clone()
            .with("password", "wrong")
            .with("password_script", "echo open-sesame-1");
        script.run(form, "status").is(0, "Status: ON\n");
    }
    base.clone()
        .with("password", "wrong")
        .act("status")
        .fails("authentication failed");
    set_mode(0o644);
    let ran = base.clone().with("password_file", path).act("status");
    ran.is(0, "Status: ON\n");
    assert!(ran.err.contains("open to other users"), "{ran:?}");
    // From stdin, with the options as arguments.
    let port = device.address.port().to_string();
    let mut child = call("fence_esphome")
        .command()
        .args([
            "-o",
            "status",
            "-a",
            "127.0.0.1",
            "-u",
            &port,
            "-l",
            "admin",
            "-n",
            "Relay",
        ])
        .args(["--transport=web", "--password-file=-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"open-sesame-1\n").unwrap();
    assert_eq!(common::wait(child).stdout, b"Status: ON\n");
}
