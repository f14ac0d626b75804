//! `fencekit status` through the built program, against simulated devices over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may end in a panic"
)]

mod command_common;

use std::time::{Duration, Instant};

use command_common::{Sims, closed_port, code, fencekit, file, json, run, stderr, stdout};
use fencekit_sim::{Faults, Spec};

#[test]
fn a_table_for_people() {
    let mut sims = Sims::new();
    let (_, a) = sims.kasa(Spec::plug("plug-a"));
    let (device, b) = sims.kasa(Spec::plug("plug\x1b[31m-b"));
    device.set(0, false, true);
    let file = file(&format!(
        "stonith_nodes:\n  storage-a: {{method: kasa, ip: 127.0.0.1, port: {a}}}\n  storage-b: {{method: kasa, ip: 127.0.0.1, port: {b}}}\n"
    ));
    let output = run(&file, &["status"]);
    let text = stdout(&output);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(code(&output), 0, "{text}{}", stderr(&output));
    assert!(lines[0].starts_with("NODE       STATE  DEVICE"), "{text}");
    assert!(
        lines[1].starts_with(&format!("storage-a  on     kasa @ 127.0.0.1:{a}")),
        "{text}"
    );
    assert!(
        lines[2].starts_with(&format!("storage-b  off    kasa @ 127.0.0.1:{b}")),
        "{text}"
    );
    assert!(
        !text.contains('\x1b'),
        "no colour without a terminal, and none from a device: {text:?}"
    );
    assert_eq!(stderr(&output), "");
}

#[test]
fn one_document_for_programs() {
    let mut sims = Sims::new();
    let (_, a) = sims.kasa(Spec::plug("plug-a"));
    let strip = Spec::plug("strip").outlets(3);
    let (strip, s) = sims.kasa(strip);
    strip.set(1, false, true);
    let dead = closed_port();
    let file = file(&format!(
        "stonith_nodes:
  a: {{method: kasa, ip: 127.0.0.1, port: {a}}}
  b:
    method: kasa
    ip: 127.0.0.1
    port: {s}
    devices: [{{plug: 1}}, {{plug: 2}}]
  c: {{method: kasa, ip: 127.0.0.1, port: {s}, plug: 3}}
  d: {{method: kasa, ip: 127.0.0.1, port: {dead}}}
"
    ));
    let output = run(&file, &["status", "--json", "--timeout", "2"]);
    assert_eq!(code(&output), 1, "d is not known");
    let document = json(&output);
    let power = |index: usize| document["nodes"][index]["power"].as_str().unwrap().to_owned();
    assert_eq!(
        [power(0), power(1), power(2), power(3)],
        ["on", "on", "on", "unknown"]
    );
    let of_b = document["nodes"][1]["devices"].as_array().unwrap();
    assert_eq!(
        (&of_b[0]["power"], &of_b[1]["power"]),
        (&"on".into(), &"off".into())
    );
    assert_eq!(of_b[0]["plug"], "1");
    assert_eq!(document["nodes"][0]["devices"][0]["method"], "kasa");
    assert!(
        document["nodes"][3]["detail"]
            .as_str()
            .unwrap()
            .contains("connection refused")
    );

    let some = run(&file, &["status", "--json", "c", "a"]);
    let names: Vec<_> = json(&some)["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["node"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!((code(&some), names), (0, vec!["c".to_owned(), "a".to_owned()]));
}

#[test]
fn one_silent_device_delays_nobody_and_is_no_success() {
    let mut sims = Sims::new();
    let (silent, port) = sims.kasa(Spec::plug("silent"));
    silent.set_faults("silent".parse::<Faults>().unwrap());
    let mut text = format!("stonith_nodes:\n  z: {{method: kasa, ip: 127.0.0.1, port: {port}}}\n");
    for n in 0..20 {
        let (_, port) = sims.kasa(Spec::plug("quick"));
        text.push_str(&format!(
            "  n{n}: {{method: kasa, ip: 127.0.0.1, port: {port}}}\n"
        ));
    }
    let file = file(&text);
    let started = Instant::now();
    let output = run(&file, &["status", "--json", "--timeout", "1"]);
    assert!(
        started.elapsed() < Duration::from_millis(2500),
        "{:?}",
        started.elapsed()
    );
    let document = json(&output);
    assert_eq!(document["nodes"][0]["power"], "unknown");
    let quick = document["nodes"].as_array().unwrap().iter().skip(1);
    for node in quick {
        assert_eq!(node["power"], "on");
        assert!(node["devices"][0]["elapsed_ms"].as_u64().unwrap() < 900, "{node}");
    }
    assert_eq!(code(&output), 1);
}

#[test]
fn a_password_file_that_is_missing_concerns_its_node_alone() {
    let mut sims = Sims::new();
    let (_, port) = sims.kasa(Spec::plug("plug"));
    let file = file(&format!(
        "stonith_nodes:\n  a: {{method: kasa, ip: 127.0.0.1, port: {port}}}\n  b: {{method: kasa, ip: 127.0.0.2, user: u, password_file: none}}\n"
    ));
    let output = run(&file, &["status"]);
    let text = stdout(&output);
    assert_eq!(code(&output), 1);
    assert!(
        text.contains("a     on") && text.contains("b     unknown"),
        "{text}"
    );
    assert!(
        text.contains("b: password_file: ") && text.contains("cannot be read"),
        "{text}"
    );
    assert!(!text.contains("not supported"), "{text}");
}

#[test]
fn wrong_usage_and_wrong_files_end_with_2() {
    let good = file("stonith_nodes: {a: {method: kasa, ip: 127.0.0.1}}\n");
    let output = run(&good, &["status", "b"]);
    assert_eq!(code(&output), 2);
    assert_eq!(
        stderr(&output),
        "ERROR: node: \"b\" is not in the cluster file; its nodes are: a\n"
    );
    let bad = file("stonith_nodes: {a: {method: kasa, ip: 127.0.0.1, color: red}}\n");
    let output = run(&bad, &["status", "--json"]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("line 1, column 50: stonith_nodes.a.color: is not known"),
        "{}",
        stderr(&output)
    );
    assert!(
        json(&output)["error"]
            .as_str()
            .unwrap()
            .contains("line 1, column 50")
    );

    for args in [
        &["frobnicate"][..],
        &["status", "--colour"],
        &["status", "--timeout", "0"],
        &[],
    ] {
        let output = fencekit(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stdout(&output).is_empty(), "{args:?}");
    }
    let missing = fencekit(&["status", "-c", "/nonexistent/cluster.yml"])
        .output()
        .unwrap();
    assert_eq!(code(&missing), 2);
    assert!(
        stderr(&missing).contains("there is no such file"),
        "{}",
        stderr(&missing)
    );
}

#[test]
fn the_file_comes_from_the_environment_too_and_help_is_no_error() {
    let mut sims = Sims::new();
    let (_, port) = sims.kasa(Spec::plug("plug"));
    let file = file(&format!(
        "stonith_nodes: {{a: {{method: kasa, ip: 127.0.0.1, port: {port}}}}}\n"
    ));
    let output = fencekit(&["status"])
        .env("FENCEKIT_CONFIG", &file.path)
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    for args in [&["--help"][..], &["--version"], &["status", "--help"]] {
        let output = fencekit(args)
            .env("FENCEKIT_CONFIG", "/secret/path")
            .output()
            .unwrap();
        assert_eq!(code(&output), 0, "{args:?}");
        assert!(!stdout(&output).is_empty() && stderr(&output).is_empty());
    }
    let version = stdout(&fencekit(&["--version"]).output().unwrap());
    assert_eq!(version, format!("fencekit {}\n", env!("CARGO_PKG_VERSION")));
}
