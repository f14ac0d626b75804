//! `fencekit verify` and `fencekit fence` through the built program, on loopback, where a node never falls silent.
//! Nodes that do are in `interop/tests/verify_netns`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod command_common;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Stdio;

use command_common::{ANY, File, Sims, closed_port, code, fencekit, file, json, run, stderr, stdout};
use fencekit_sim::{Device, Spec};
use serde_json::Value;

struct Stage {
    _sims: Sims,
    plug: Device,
    bare_plug: Device,
    _listener: TcpListener,
    file: File,
}

/// A node that answers on loopback, on a plug without a password.
fn stage() -> Stage {
    let mut sims = Sims::new();
    let (plug, port) = sims.kasa(Spec::plug("storage-b"));
    let (bare_plug, bare_port) = sims.kasa(Spec::plug("bare"));
    let listener = TcpListener::bind(ANY).unwrap();
    let node_port = listener.local_addr().unwrap().port();
    let file = file(&format!(
        "stonith_nodes:\n  storage-b:\n    {{method: kasa, ip: 127.0.0.1, port: {port}, mgmt_ip: 127.0.0.1, \
         tcp_ports: [{node_port}]}}\n  bare: {{method: kasa, ip: 127.0.0.1, port: {bare_port}}}\n  \
         gone: {{method: kasa, ip: 127.0.0.1, port: {}}}\nverify: {{wait: 1}}\n",
        closed_port()
    ));
    Stage {
        _sims: sims,
        plug,
        bare_plug,
        _listener: listener,
        file,
    }
}

fn audit_of(stage: &Stage) -> String {
    let path = stage.file.directory.path().join("log/audit.jsonl");
    path.to_str().unwrap().to_owned()
}

#[test]
fn verify_reports_as_documented_and_switches_nothing() {
    let stage = stage();
    let output = run(&stage.file, &["verify", "storage-b", "--json"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["node"], "storage-b");
    assert_eq!(report["verdict"], "still-alive");
    assert!(report["elapsed_ms"].is_u64());
    let evidence = report["evidence"].as_array().unwrap();
    let of = |probe: &str| evidence.iter().find(|one| one["probe"] == probe).unwrap();
    assert_eq!(of("power")["outcome"], "on");
    assert_eq!(of("power")["network"], Value::Null);
    assert_eq!(of("tcp")["outcome"], "answered");
    assert_eq!(of("tcp")["network"], "management");
    for key in [
        "probe",
        "subject",
        "network",
        "outcome",
        "detail",
        "at_ms",
        "elapsed_ms",
    ] {
        assert!(of("power").get(key).is_some(), "{key}");
    }
    assert!(stage.plug.commands().is_empty());

    let text = run(&stage.file, &["verify", "storage-b"]);
    assert!(
        stdout(&text).starts_with("storage-b: still-alive after "),
        "{}",
        stdout(&text)
    );
}

#[test]
fn a_node_without_addresses_is_inconclusive() {
    let stage = stage();
    stage.bare_plug.set(0, false, true);
    let output = run(&stage.file, &["verify", "bare", "--json"]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    assert_eq!(json(&output)["verdict"], "inconclusive");
    assert_eq!(json(&output)["rule"], "no-address");
}

#[test]
fn a_device_that_is_gone_is_unknown_and_never_off() {
    let stage = stage();
    let output = run(&stage.file, &["verify", "gone", "--json"]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    assert_eq!(json(&output)["rule"], "power-not-off");
    assert_eq!(json(&output)["evidence"][0]["outcome"], "unknown");
}

#[test]
fn a_fence_of_a_node_that_still_answers_fails_and_is_on_record() {
    let stage = stage();
    let path = audit_of(&stage);
    let output = run(&stage.file, &["fence", "storage-b", "--json", "--audit", &path]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let document = json(&output);
    assert_eq!(document["verdict"], "still-alive");
    assert_eq!(document["off"][0]["confirmed"], true);
    assert_eq!(stage.plug.commands().last(), Some(&(0, false)));

    let text = std::fs::read_to_string(&path).unwrap();
    let record: Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!(
        (&record["action"], &record["node"]),
        (&"fence".into(), &"storage-b".into())
    );
    assert_eq!(record["outcome"]["verdict"], "still-alive");
    assert!(!record["outcome"]["evidence"].as_array().unwrap().is_empty());
}

/// A node that answers on loopback, whatever becomes of its plug and of the fallback on `port`.
fn with_fallback(sims: &mut Sims, node: &TcpListener, port: u16) -> File {
    let (_, plug) = sims.kasa(Spec::plug("storage-b"));
    let node = node.local_addr().unwrap().port();
    file(&format!(
        "stonith_nodes:\n  storage-b:\n    {{method: kasa, ip: 127.0.0.1, port: {plug}, mgmt_ip: 127.0.0.1, \
         tcp_ports: [{node}], fallback: {{method: kasa, ip: 127.0.0.1, port: {port}}}}}\nverify: {{wait: 1}}\n"
    ))
}

/// The record's verdict that the fallback was tried after: the plug said off, and the node answered.
fn assert_superseded(record: &Value) {
    let superseded = record["superseded"].as_array().unwrap();
    assert_eq!(superseded.len(), 1, "{record:#}");
    assert_eq!(superseded[0]["verdict"], "still-alive", "{record:#}");
    let evidence = superseded[0]["evidence"].as_array().unwrap();
    let saw = |probe: &str, outcome: &str| {
        let mut seen = evidence.iter();
        seen.any(|one| one["probe"] == probe && one["outcome"] == outcome)
    };
    assert!(saw("power", "off") && saw("tcp", "answered"), "{record:#}");
}

#[test]
fn the_verdict_before_the_fallback_is_on_record_too() {
    let mut sims = Sims::new();
    let listener = TcpListener::bind(ANY).unwrap();
    let (fallback, port) = sims.kasa(Spec::plug("fallback"));
    let file = with_fallback(&mut sims, &listener, port);
    let audit = file.directory.path().join("audit.jsonl");
    let path = audit.to_str().unwrap();
    let output = run(&file, &["fence", "storage-b", "--json", "--audit", path]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert_eq!(fallback.relay(0), Some(false));
    let record: Value = serde_json::from_slice(&std::fs::read(&audit).unwrap()).unwrap();
    assert_superseded(&record);
    assert_eq!(record["outcome"]["verdict"], "still-alive");
    assert_eq!(record["outcome"]["off"].as_array().unwrap().len(), 2);
    assert_eq!(
        json(&output),
        record["outcome"],
        "the document is what it was before"
    );
}

/// The fallback takes the connection and never answers.
#[test]
fn a_fence_that_is_interrupted_at_its_fallback_leaves_the_verdict_before_on_record() {
    let mut sims = Sims::new();
    let listener = TcpListener::bind(ANY).unwrap();
    let mute = TcpListener::bind(ANY).unwrap();
    let file = with_fallback(&mut sims, &listener, mute.local_addr().unwrap().port());
    let audit = file.directory.path().join("audit.jsonl");
    let mut command = fencekit(&["fence", "storage-b"]);
    command.arg("--audit").arg(&audit).arg("--config").arg(&file.path);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let told = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = told.map(Result::unwrap);
    assert!(told.any(|line| line.contains("it is cut by its fallback")));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let record: Value = serde_json::from_slice(&std::fs::read(&audit).unwrap()).unwrap();
    assert_eq!(record["interrupted"], true, "{record}");
    assert_superseded(&record);
}

#[test]
fn a_fence_of_an_unknown_node_sends_nothing_and_leaves_no_record() {
    let stage = stage();
    let path = audit_of(&stage);
    let output = run(&stage.file, &["fence", "storage-c", "--audit", &path]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("storage-c"), "{}", stderr(&output));
    assert!(stage.plug.commands().is_empty());
    assert!(!std::path::Path::new(&path).exists());
}

#[test]
fn a_record_that_cannot_be_kept_is_a_warning_and_the_verdict_stands() {
    let stage = stage();
    let output = run(
        &stage.file,
        &["fence", "storage-b", "--audit", "/proc/none/audit"],
    );
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("no record of this was kept"),
        "{}",
        stderr(&output)
    );
    assert!(stdout(&output).contains("still-alive"), "{}", stdout(&output));
}

#[test]
fn no_record_and_no_output_holds_a_password() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cluster.yml");
    std::fs::write(
        &path,
        "stonith_nodes:\n  n: {method: tasmota, ip: 127.0.0.1, port: 9, password: open-sesame-1, \
         mgmt_ip: 127.0.0.1}\nverify: {wait: 1}\n",
    )
    .unwrap();
    let audit = directory.path().join("audit.jsonl");
    let output = fencekit(&["-vv", "fence", "n", "--json", "--timeout", "1"])
        .arg("--audit")
        .arg(&audit)
        .arg("--config")
        .arg(&path)
        .output()
        .unwrap();
    assert_ne!(code(&output), 0);
    let record = std::fs::read_to_string(&audit).unwrap();
    for text in [stdout(&output), stderr(&output), record] {
        assert!(!text.contains("sesame"), "{text}");
    }
}
