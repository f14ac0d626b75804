//! `fencekit drill` through the built program: what it refuses. A whole drill is in `interop/tests/verify_netns.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod command_common;

use std::net::TcpListener;

use command_common::{ANY, File, Sims, code, file, json, run, stderr};
use fencekit_sim::{Device, Spec};

struct Stage {
    _sims: Sims,
    plug: Device,
    _listener: TcpListener,
    file: File,
}

/// `storage-b` answers on loopback; `dead` has an address of the documentation's network, where nobody answers.
fn stage() -> Stage {
    let mut sims = Sims::new();
    let (plug, port) = sims.kasa(Spec::plug("storage-b"));
    let listener = TcpListener::bind(ANY).unwrap();
    let node_port = listener.local_addr().unwrap().port();
    let file = file(&format!(
        "stonith_nodes:\n  storage-b:\n    {{method: kasa, ip: 127.0.0.1, port: {port}, mgmt_ip: 127.0.0.1, \
         storage_ip: 127.0.0.1, tcp_ports: [{node_port}]}}\n"
    ));
    Stage {
        _sims: sims,
        plug,
        _listener: listener,
        file,
    }
}

impl Stage {
    fn drill(&self, more: &[&str]) -> std::process::Output {
        let place = |name: &str| self.file.directory.path().join(name).to_str().unwrap().to_owned();
        let (state, audit) = (place("drills.json"), place("audit.jsonl"));
        let mut args = vec![
            "drill",
            "storage-b",
            "--json",
            "--state",
            &state,
            "--audit",
            &audit,
        ];
        args.extend(["--silent-within", "1"]);
        args.extend(more);
        run(&self.file, &args)
    }

    fn was_switched(&self) -> bool {
        !self.plug.commands().is_empty()
    }
}

#[test]
fn without_a_confirmation_nothing_is_cut() {
    let stage = stage();
    for more in [
        &[][..],
        &["--yes-cut-power-of", "storage-a"],
        &["--yes-cut-power-of", ""],
    ] {
        let output = stage.drill(more);
        assert_eq!(code(&output), 2, "{more:?}: {}", stderr(&output));
        assert!(
            stderr(&output).contains("--yes-cut-power-of"),
            "{}",
            stderr(&output)
        );
    }
    assert!(!stage.was_switched());
}

#[test]
fn a_state_file_that_cannot_be_read_is_told_before_anything_is_cut() {
    let stage = stage();
    std::fs::write(stage.file.directory.path().join("drills.json"), "not json").unwrap();
    let output = stage.drill(&["--yes-cut-power-of", "storage-b"]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(!stage.was_switched());
}

/// On loopback the node never falls silent, as one on another outlet does not: the drill must say so, give the power
/// back, and keep no proof.
#[test]
fn a_node_that_goes_on_answering_is_not_proven_and_gets_its_power_back() {
    let stage = stage();
    let output = stage.drill(&["--yes-cut-power-of", "storage-b"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(json(&output)["error"].as_str().is_some());
    assert_eq!(stage.plug.commands(), [(0, false), (0, true)]);
    assert_eq!(stage.plug.relay(0), Some(true));
    assert!(!stage.file.directory.path().join("drills.json").exists());
    let record = std::fs::read_to_string(stage.file.directory.path().join("audit.jsonl")).unwrap();
    assert!(
        record.contains("\"action\":\"drill\"") && record.contains("error"),
        "{record}"
    );
}
