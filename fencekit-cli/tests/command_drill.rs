//! `fencekit drill` through the built program: what it refuses. A whole drill is in `interop/tests/verify_netns`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod command_common;

use std::net::TcpListener;

use command_common::{ANY, File, Sims, code, file, json as parsed, run, stderr, stdout};
use fencekit_sim::{Device, Spec};
use serde_json::{Value, json};

struct Stage {
    _sims: Sims,
    plug: Device,
    port: u16,
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
        port,
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

#[test]
fn a_place_where_nothing_can_be_kept_is_told_before_anything_is_cut() {
    let stage = stage();
    std::fs::create_dir(stage.file.directory.path().join("drills.json.lock")).unwrap();
    let output = stage.drill(&["--yes-cut-power-of", "storage-b"]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    let told = stderr(&output);
    assert!(
        told.contains("drills.json.lock: ") && told.contains("name another"),
        "{told}"
    );
    assert!(!stage.was_switched());
}

/// On loopback the node never falls silent, as one on another outlet does not: the drill must say so, give the power
/// back, and keep that in place of an older proof, for doctor to tell.
#[test]
fn a_node_that_goes_on_answering_is_not_proven_and_gets_its_power_back() {
    let stage = stage();
    let state = stage.file.directory.path().join("drills.json");
    let label = format!("kasa @ 127.0.0.1:{}", stage.port);
    let proof = |device: &str| {
        json!({
            "time": "2026-11-24T08:00:00.000Z", "epoch": 1_795_507_200, "host": null, "silent_after_ms": 9,
            "back_after_ms": 40_000, "outlets": [{"device": device, "watts_on": null, "watts_off": null}],
        })
    };
    let before = json!({"storage-a": proof("kasa @ 10.0.0.9"), "storage-b": proof(&label)});
    std::fs::write(&state, before.to_string()).unwrap();
    let output = stage.drill(&["--yes-cut-power-of", "storage-b"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let error = parsed(&output)["error"].as_str().unwrap().to_owned();
    assert!(
        error.starts_with("not confirmed off: storage-b still answers 1 s after"),
        "{error}"
    );
    assert_eq!(stage.plug.commands(), [(0, false), (0, true)]);
    assert_eq!(stage.plug.relay(0), Some(true));
    let kept: Value = serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
    assert_eq!(kept["storage-a"], before["storage-a"]);
    let drill = &kept["storage-b"];
    assert!(
        drill["failure"].as_str().unwrap().contains("still answers"),
        "{drill}"
    );
    assert_eq!(drill["outlets"][0]["device"], json!(label));
    assert_eq!(
        (&drill["silent_after_ms"], &drill["back_after_ms"]),
        (&Value::Null, &Value::Null)
    );
    let state = state.to_str().unwrap();
    let doctor = run(&stage.file, &["doctor", "--state", state]);
    assert!(
        stdout(&doctor).contains("PROBLEM drill        the drill of 2"),
        "{}",
        stdout(&doctor)
    );
    let metrics = stdout(&run(&stage.file, &["probe", "--drills", state]));
    assert!(
        !metrics.contains("fencekit_drill_timestamp_seconds{target=\"storage-b\""),
        "{metrics}"
    );
    let record = std::fs::read_to_string(stage.file.directory.path().join("audit.jsonl")).unwrap();
    assert!(
        record.contains("\"action\":\"drill\"") && record.contains("error"),
        "{record}"
    );
}
