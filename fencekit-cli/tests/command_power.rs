//! `fencekit on`, `off` and `reboot` through the built program.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may end in a panic"
)]

mod command_common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use command_common::{File, Sims, closed_port, code, fencekit, file, json, run, stderr, stdout};
use fencekit_sim::{Device, Faults, Spec};

/// A node with two power supplies, on a plug and on the second outlet of a strip.
fn two_supplies(sims: &mut Sims) -> (Device, Device, File) {
    let (plug, p) = sims.kasa(Spec::plug("plug"));
    let (strip, s) = sims.kasa(Spec::plug("strip").outlets(2));
    let file = file(&format!(
        "stonith_nodes:
  storage-b:
    method: kasa
    power_timeout: 2
    devices: [{{ip: 127.0.0.1, port: {p}}}, {{ip: 127.0.0.1, port: {s}, plug: 2}}]
"
    ));
    (plug, strip, file)
}

#[test]
fn off_is_off_when_every_device_is() {
    let mut sims = Sims::new();
    let (plug, strip, file) = two_supplies(&mut sims);
    let output = run(&file, &["off", "storage-b"]);
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    assert!(
        stdout(&output).starts_with("storage-b: off, confirmed\n"),
        "{}",
        stdout(&output)
    );
    assert_eq!(
        (plug.relay(0), strip.relay(0), strip.relay(1)),
        (Some(false), Some(true), Some(false))
    );

    let output = run(&file, &["on", "storage-b", "--json"]);
    let document = json(&output);
    assert_eq!(code(&output), 0);
    assert_eq!(
        (&document["action"], &document["confirmed"]),
        (&"on".into(), &true.into())
    );
    assert_eq!(document["devices"].as_array().unwrap().len(), 2);
    assert_eq!(document["devices"][1]["before"], "off");
    assert_eq!((plug.relay(0), strip.relay(1)), (Some(true), Some(true)));
}

#[test]
fn one_device_that_does_not_go_off_is_a_failure() {
    let mut sims = Sims::new();
    let (plug, strip, file) = two_supplies(&mut sims);
    strip.set_faults("stuck".parse::<Faults>().unwrap());
    let output = run(&file, &["off", "storage-b"]);
    let text = stdout(&output);
    assert_eq!(code(&output), 1, "{text}");
    assert!(text.starts_with("storage-b: NOT confirmed off\n"), "{text}");
    assert!(text.contains("not confirmed off: "), "{text}");
    assert_eq!((plug.relay(0), strip.relay(1)), (Some(false), Some(true)));
    let document = json(&run(&file, &["off", "storage-b", "--json"]));
    assert_eq!(document["confirmed"], false);
    assert_eq!(document["devices"][0]["confirmed"], true);
    assert_eq!(document["devices"][1]["confirmed"], false);
}

#[test]
fn a_reboot_that_is_not_off_first_switches_nothing_on() {
    let mut sims = Sims::new();
    let (plug, strip, file) = two_supplies(&mut sims);
    let started = Instant::now();
    let output = run(&file, &["reboot", "storage-b"]);
    assert_eq!(code(&output), 0, "{}", stdout(&output));
    let told: Vec<_> = plug.commands().into_iter().map(|(_, on)| on).collect();
    assert_eq!(told, [false, true]);
    // A power supply bridges a shorter gap, and the node would not have noticed.
    assert!(started.elapsed() >= fencekit::fence::MIN_OFF);

    strip.set_faults("stuck".parse::<Faults>().unwrap());
    let before = plug.commands().len();
    let output = run(&file, &["reboot", "storage-b"]);
    assert_eq!(code(&output), 1);
    assert!(
        plug.commands()[before..].iter().all(|(_, on)| !on),
        "{:?}",
        plug.commands()
    );
}

#[test]
fn a_plug_that_lies_is_caught_by_its_meter() {
    let mut sims = Sims::new();
    let (plug, port) = sims.kasa(Spec::plug("plug"));
    plug.set_faults("lie".parse::<Faults>().unwrap());
    let node = |limit: &str| {
        file(&format!(
            "stonith_nodes: {{b: {{method: kasa, ip: 127.0.0.1, port: {port}, power_timeout: 1{limit}}}}}\n"
        ))
    };
    let caught = run(&node(", off_max_watts: 5"), &["off", "b"]);
    assert_eq!(code(&caught), 1);
    assert!(stdout(&caught).contains("60.0 W"), "{}", stdout(&caught));
    assert_eq!(plug.relay(0), Some(true));
}

#[test]
fn an_unreachable_device_and_a_wrong_one_are_no_success() {
    let mut sims = Sims::new();
    let (plug, port) = sims.kasa(Spec::plug("plug"));
    let dead = closed_port();
    let file = file(&format!(
        "stonith_nodes:
  gone: {{method: kasa, ip: 127.0.0.1, port: {dead}}}
  wrong: {{method: kasa, ip: 127.0.0.1, port: {port}, identity: \"02:00:00:00:00:77\"}}
"
    ));
    let gone = run(&file, &["off", "gone"]);
    assert_eq!(code(&gone), 1);
    assert!(stdout(&gone).contains("unreachable"), "{}", stdout(&gone));
    let wrong = run(&file, &["off", "wrong"]);
    assert_eq!(code(&wrong), 1);
    assert!(
        stdout(&wrong).contains("wrong device: expected 02:00:00:00:00:77"),
        "{}",
        stdout(&wrong)
    );
    assert!(plug.commands().is_empty() && plug.relay(0) == Some(true));
}

#[test]
fn an_interrupted_off_says_that_nothing_is_known() {
    let mut sims = Sims::new();
    let (plug, port) = sims.kasa(Spec::plug("plug"));
    plug.set_faults("silent".parse::<Faults>().unwrap());
    let file = file(&format!(
        "stonith_nodes: {{b: {{method: kasa, ip: 127.0.0.1, port: {port}}}}}\n"
    ));
    let child = fencekit(&["off", "b", "-c"])
        .arg(&file.path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while plug.requests() == 0 && started.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("interrupted: what became of b is not known"),
        "{}",
        stderr(&output)
    );
}

/// A node on a plug that is gone, with another in front of it.
#[test]
fn what_the_first_level_cannot_switch_the_fallback_does_and_both_are_told() {
    let mut sims = Sims::new();
    let (fallback, port) = sims.kasa(Spec::plug("fallback"));
    let file = file(&format!(
        "stonith_nodes:\n  storage-a: {{method: kasa, ip: 127.0.0.1, port: {}, fallback: {{method: kasa, ip: 127.0.0.1, \
         port: {port}}}}}\n",
        closed_port()
    ));
    let output = run(&file, &["status"]);
    assert!(stdout(&output).contains(" (fallback)"), "{}", stdout(&output));
    assert_eq!(code(&output), 1, "{}", stdout(&output));
    let output = run(&file, &["off", "storage-a", "--timeout", "6"]);
    let text = stdout(&output);
    assert_eq!(code(&output), 0, "{text}{}", stderr(&output));
    assert!(
        text.starts_with("storage-a: off, confirmed by its fallback\n"),
        "{text}"
    );
    assert!(
        text.contains("unreachable") && text.contains(" (fallback): was on, 1 command"),
        "{text}"
    );
    assert_eq!(fallback.relay(0), Some(false));
    let document = json(&run(&file, &["status", "--json"]));
    assert_eq!(document["nodes"][0]["power"], "off");
    assert_eq!(document["nodes"][0]["devices"][1]["level"], 2);
    let output = run(&file, &["probe"]);
    let text = stdout(&output);
    assert!(text.contains("level=\"2\",state=\"off\"} 1"), "{text}");
}
