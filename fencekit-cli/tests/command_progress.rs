//! The line on a terminal while a command waits, through the built program with a terminal as its stderr.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod command_common;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use command_common::{ANY, Sims, fencekit, file};
use fencekit_sim::{Faults, Spec};
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};

const END: &str = "that was all";

/// What the command writes to a terminal on stderr, and to a stdout that is none.
fn on_a_terminal(command: &mut Command) -> (String, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let mut terminal = OpenOptions::new()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    let theirs = OwnedFd::from(terminal.try_clone().unwrap());
    command.env("TERM", "xterm").stderr(Stdio::from(theirs));
    let output = command.output().unwrap();
    terminal.write_all(END.as_bytes()).unwrap();
    let mut master = File::from(master);
    let mut told = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&told).contains(END) {
        let read = master.read(&mut buffer).unwrap();
        told.extend(buffer.iter().take(read));
    }
    let told = String::from_utf8(told).unwrap();
    (told, String::from_utf8(output.stdout).unwrap())
}

/// A line was shown that begins so after its seconds, was taken back, and stdout has none of it.
fn assert_shown((told, stdout): &(String, String), what: &str) {
    let shown = told.split("\r\x1b[K").any(|line| {
        let line = line.split_once(" s: ");
        line.is_some_and(|(_, line)| line.starts_with(what))
    });
    assert!(shown, "{what:?} is not in {told:?}");
    assert!(
        told.contains(&format!("\r\x1b[K{END}")) || told.contains(&format!("\n{END}")),
        "{told:?}"
    );
    assert!(!stdout.contains(what), "{stdout}");
}

#[test]
fn a_search_says_what_it_waits_for() {
    // Nobody is at this address.
    let mut command = fencekit(&["discover", "--wait", "1.5", "127.88.0.1"]);
    assert_shown(&on_a_terminal(&mut command), "waiting for devices to answer");
    let output = fencekit(&["discover", "--wait", "1.5", "127.88.0.1"])
        .output()
        .unwrap();
    let stderr = command_common::stderr(&output);
    assert!(
        !stderr.contains("waiting"),
        "elsewhere there is no such line: {stderr}"
    );
}

#[test]
fn a_probe_names_the_device_that_does_not_answer() {
    let mut sims = Sims::new();
    let (plug, port) = sims.kasa(Spec::plug("plug"));
    plug.set_faults("silent".parse::<Faults>().unwrap());
    let file = file(&format!(
        "stonith_nodes: {{b: {{method: kasa, ip: 127.0.0.1, port: {port}}}}}\n"
    ));
    let mut command = fencekit(&["probe", "--timeout", "1.5", "--config"]);
    let told = on_a_terminal(command.arg(&file.path));
    assert_shown(&told, &format!("asking kasa @ 127.0.0.1:{port}"));
}

#[test]
fn a_drill_says_that_it_looks_before_it_cuts() {
    let mut sims = Sims::new();
    let (plug, port) = sims.kasa(Spec::plug("plug"));
    plug.set_faults("silent".parse::<Faults>().unwrap());
    let node = TcpListener::bind(ANY).unwrap();
    let file = file(&format!(
        "stonith_nodes: {{b: {{method: kasa, ip: 127.0.0.1, port: {port}, shell_timeout: 1, mgmt_ip: 127.0.0.1, tcp_ports: [{}]}}}}\n",
        node.local_addr().unwrap().port()
    ));
    let place = |name: &str| file.directory.path().join(name);
    let mut command = fencekit(&["drill", "b", "--yes-cut-power-of", "b", "--timeout", "1"]);
    command
        .arg("--state")
        .arg(place("drills.json"))
        .arg("--audit")
        .arg(place("audit.jsonl"));
    let told = on_a_terminal(command.arg("--config").arg(&file.path));
    assert_shown(&told, "asking whether b is alive");
    assert_shown(&told, "reading the meters");
}
