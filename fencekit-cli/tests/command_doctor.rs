//! `fencekit doctor` through the built program, on simulated devices with each kind of misconfiguration.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

mod command_common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

use command_common::{File, Sims, closed_port, code, fencekit, file, json, stderr, stdout};
use fencekit_sim::{Device, Spec};
use serde_json::{Value, json};

const AGENTS: [&str; 2] = ["fence_kasa", "fence_check"];

/// A cluster of two nodes that answer on loopback, each on a plug of its own, with everything in order.
struct Stage {
    _sims: Sims,
    plugs: [Device; 2],
    text: String,
    file: File,
}

fn spec(name: &str, mac: &str) -> Spec {
    Spec {
        mac: mac.to_owned(),
        ..Spec::plug(name)
    }
}

fn stage() -> Stage {
    let mut sims = Sims::new();
    let (a, port_a) = sims.kasa(spec("storage-a", "50:C7:BF:00:00:0A"));
    let (b, port_b) = sims.kasa(spec("storage-b", "50:C7:BF:00:00:0B"));
    let text = format!(
        "stonith_nodes:
  storage-a: {{method: kasa, ip: 127.0.0.1, port: {port_a}, identity: '50:C7:BF:00:00:0A', off_max_watts: 5, mgmt_ip: 127.0.0.2}}
  storage-b: {{method: kasa, ip: 127.0.0.1, port: {port_b}, identity: '50:C7:BF:00:00:0B', off_max_watts: 5, mgmt_ip: 127.0.0.3}}
"
    );
    let file = file(&text);
    let stage = Stage {
        _sims: sims,
        plugs: [a, b],
        text,
        file,
    };
    fs::create_dir(stage.agents()).unwrap();
    for agent in AGENTS {
        symlink(env!("CARGO_BIN_EXE_fencekit"), stage.agents().join(agent)).unwrap();
    }
    stage.drilled(|_| {});
    stage
}

impl Stage {
    fn agents(&self) -> PathBuf {
        self.file.directory.path().join("sbin")
    }

    fn drills(&self) -> PathBuf {
        self.file.directory.path().join("drills.json")
    }

    fn write(&self, text: &str) {
        fs::write(&self.file.path, text).unwrap();
    }

    /// Records of drills of today, changed by `change`.
    fn drilled(&self, change: impl FnOnce(&mut Value)) {
        let label = |node: usize| {
            let line = self.text.lines().nth(node + 1).unwrap();
            let port = line.split("port: ").nth(1).unwrap().split(',').next().unwrap();
            format!("kasa @ 127.0.0.1:{port}")
        };
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let drill = |node: usize| {
            json!({
                "time": "2026-11-24T08:00:00.000Z", "epoch": now.as_secs(), "host": "storage-a",
                "outlets": [{"device": label(node), "watts_on": 60.0, "watts_off": 0.0}],
                "silent_after_ms": 100, "back_after_ms": 40_000,
            })
        };
        let mut drills = json!({"storage-a": drill(0), "storage-b": drill(1)});
        change(&mut drills);
        fs::write(self.drills(), drills.to_string()).unwrap();
    }

    fn doctor(&self, args: &[&str]) -> Output {
        let mut command = fencekit(&["doctor", "--timeout", "5"]);
        command.arg("--state").arg(self.drills());
        command.arg("--agents").arg(self.agents());
        command.arg("--config").arg(&self.file.path).args(args);
        command.output().unwrap()
    }

    /// Everything but what is as it should be: severity, topic, node and detail.
    fn wrong(&self) -> (i32, Vec<(String, String, String, String)>) {
        let output = self.doctor(&["--json"]);
        let document = json(&output);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let wrong = document["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["severity"] != "info")
            .inspect(|one| assert_ne!(text(&one["mend"]), "", "{one}"))
            .map(|one| {
                (
                    text(&one["severity"]),
                    text(&one["topic"]),
                    text(&one["node"]),
                    text(&one["detail"]),
                )
            });
        (code(&output), wrong.collect())
    }

    /// Exactly one thing is wrong, and it is this.
    #[track_caller]
    fn expect(&self, exit: i32, severity: &str, topic: &str, node: &str, words: &str) {
        let (code, wrong) = self.wrong();
        let [(s, t, n, detail)] = wrong.as_slice() else {
            panic!("{wrong:#?}");
        };
        assert_eq!(
            (s.as_str(), t.as_str(), n.as_str()),
            (severity, topic, node),
            "{detail}"
        );
        assert!(detail.contains(words), "{detail}");
        assert_eq!(code, exit, "{detail}");
        assert!(
            self.plugs.iter().all(|plug| plug.commands().is_empty()),
            "it switched"
        );
    }
}

#[test]
fn a_cluster_in_order_has_nothing_to_mend() {
    let stage = stage();
    let (code, wrong) = stage.wrong();
    assert_eq!((code, wrong.len()), (0, 0), "{wrong:#?}");

    let output = stage.doctor(&[]);
    let text = stdout(&output);
    for line in [
        "ok      reached      reached, ",
        "ok      identity     is storage-b (50:C7:BF:00:00:0B), as expected",
        "ok      meter        draws 60.0 W; off is at most 5 W",
        "ok      outlet       the device calls the outlet storage-a too",
        "ok      address      answers on management",
        "ok      agents       2 fence agents are installed in ",
        "The fencing is good: nothing to mend",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains('\x1b'), "coloured without a terminal");
    let quiet = stage.doctor(&["--quiet"]);
    assert_eq!(stdout(&quiet), "The fencing is good: nothing to mend\n");
}

#[test]
fn the_document_says_what_it_comes_to() {
    let stage = stage();
    let document = json(&stage.doctor(&["--json", "storage-b"]));
    assert_eq!(document["outcome"], "good");
    assert_eq!(document["nodes"], json!(["storage-b"]));
    assert!(document["elapsed_ms"].is_u64());
    let findings = document["findings"].as_array().unwrap();
    let first = &findings[0];
    for key in ["severity", "topic", "node", "device", "detail", "mend"] {
        assert!(first.get(key).is_some(), "{key}");
    }
    assert!(findings.iter().all(|one| one["node"] != "storage-a"));
}

#[test]
fn a_node_that_is_not_in_the_file_is_wrong_usage() {
    let stage = stage();
    let output = stage.doctor(&["storage-c"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("storage-c"), "{}", stderr(&output));
}

#[test]
fn a_device_that_is_gone() {
    let stage = stage();
    let port = closed_port().to_string();
    let line = stage.text.lines().nth(2).unwrap();
    let old = line.split("port: ").nth(1).unwrap().split(',').next().unwrap();
    stage.write(&stage.text.replace(old, &port));
    stage.drilled(|drills| {
        drills["storage-b"]["outlets"][0]["device"] = json!(format!("kasa @ 127.0.0.1:{port}"));
    });
    stage.expect(1, "problem", "reached", "storage-b", "unreachable");
}

#[test]
fn another_device_at_the_address() {
    let stage = stage();
    stage.write(&stage.text.replace("00:00:0B'", "00:00:0C'"));
    stage.expect(1, "problem", "identity", "storage-b", "wrong device");
}

#[test]
fn a_device_without_an_expected_identity() {
    let stage = stage();
    stage.write(&stage.text.replace(" identity: '50:C7:BF:00:00:0B',", ""));
    stage.expect(0, "warning", "identity", "storage-b", "50:C7:BF:00:00:0B");
    let output = stage.doctor(&[]);
    assert!(
        stdout(&output).contains("-> write identity: \"50:C7:BF:00:00:0B\" beside its ip"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn an_outlet_that_is_off_while_its_node_answers() {
    let stage = stage();
    stage.plugs[1].set(0, false, true);
    let (code, wrong) = stage.wrong();
    let told: Vec<_> = wrong
        .iter()
        .map(|(s, t, n, _)| (s.as_str(), t.as_str(), n.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("problem", "power", "storage-b"),
            ("problem", "outlet", "storage-b")
        ],
        "{wrong:#?}"
    );
    assert_eq!(code, 1);
}

#[test]
fn a_draw_that_would_prove_nothing() {
    let stage = stage();
    stage.write(
        &stage
            .text
            .replace("0B', off_max_watts: 5", "0B', off_max_watts: 75"),
    );
    stage.expect(0, "warning", "meter", "storage-b", "no more than off_max_watts");
}

#[test]
fn two_nodes_on_one_strip_and_two_names_for_one_outlet() {
    let mut sims = Sims::new();
    let mut strip = spec("strip", "50:C7:BF:00:00:0A").outlets(3);
    strip.outlets[1].alias = "storage-a".to_owned();
    strip.outlets[2].alias = "storage-b".to_owned();
    let (_, port) = sims.kasa(strip);
    let stage = stage();
    let nodes = |a: &str, b: &str| {
        stage.write(&format!(
            "stonith_nodes:
  storage-a: {{method: kasa, ip: 127.0.0.1, port: {port}, plug: '{a}', identity: '50:C7:BF:00:00:0A', off_max_watts: 5, mgmt_ip: 127.0.0.2}}
  storage-b: {{method: kasa, ip: 127.0.0.1, port: {port}, plug: '{b}', identity: '50:C7:BF:00:00:0A', off_max_watts: 5, mgmt_ip: 127.0.0.3}}
"
        ));
        stage.drilled(|drills| {
            for (node, plug) in [("storage-a", a), ("storage-b", b)] {
                drills[node]["outlets"][0]["device"] = json!(format!("kasa @ 127.0.0.1:{port} plug {plug}"));
            }
        });
    };
    nodes("2", "3");
    stage.expect(
        0,
        "warning",
        "single-point",
        "",
        "storage-a, storage-b all hang on kasa @ 127.0.0.1",
    );

    // The wires are crossed, as far as the strip's own names say.
    nodes("3", "2");
    let (code, wrong) = stage.wrong();
    let crossed: Vec<_> = wrong.iter().filter(|(_, topic, ..)| topic == "outlet").collect();
    assert_eq!((code, crossed.len()), (1, 2), "{wrong:#?}");
    assert!(
        crossed[0].3.contains("calls this outlet storage-b"),
        "{crossed:?}"
    );

    // One outlet by its number and by its name: the file's own check cannot see it.
    nodes("2", "storage-a");
    let (code, wrong) = stage.wrong();
    assert_eq!(code, 1);
    let shared = wrong.iter().any(|(severity, topic, node, detail)| {
        (severity.as_str(), topic.as_str(), node.as_str()) == ("problem", "outlet", "storage-b")
            && detail.contains("fencing storage-b would cut storage-a")
    });
    assert!(shared, "{wrong:#?}");
}

#[test]
fn one_device_under_two_addresses() {
    let mut sims = Sims::new();
    let (_, port) = sims.kasa(spec("storage-b", "50:C7:BF:00:00:0A"));
    let stage = stage();
    let line = stage.text.lines().nth(2).unwrap();
    let old = line.split("port: ").nth(1).unwrap().split(',').next().unwrap();
    let text = stage
        .text
        .replace(old, &port.to_string())
        .replace("00:00:0B'", "00:00:0A'");
    stage.write(&text);
    let (code, wrong) = stage.wrong();
    assert_eq!(code, 1);
    assert!(
        wrong.iter().any(|(_, topic, ..)| topic == "single-point"),
        "{wrong:#?}"
    );
    assert!(
        wrong
            .iter()
            .any(|(s, topic, ..)| topic == "outlet" && s == "problem"),
        "{wrong:#?}"
    );
}

#[test]
fn drills_that_are_missing_old_or_of_other_wiring() {
    let stage = stage();
    stage.drilled(|drills| drop(drills.as_object_mut().unwrap().remove("storage-b")));
    stage.expect(0, "warning", "drill", "storage-b", "no drill has proven");
    stage.drilled(|drills| {
        let epoch = drills["storage-b"]["epoch"].as_u64().unwrap();
        drills["storage-b"]["epoch"] = json!(epoch - 181 * 24 * 3600);
    });
    stage.expect(0, "warning", "drill", "storage-b", "181 days old");
    stage.drilled(|drills| drills["storage-b"]["back_after_ms"] = Value::Null);
    stage.expect(0, "warning", "drill", "storage-b", "did not come back");
    stage.drilled(|drills| drills["storage-b"]["failure"] = json!("storage-b still answers"));
    stage.expect(1, "problem", "drill", "storage-b", "storage-b still answers");
    // Other devices now: what was found of the old ones is over.
    stage.drilled(|drills| {
        drills["storage-b"]["failure"] = json!("storage-b still answers");
        drills["storage-b"]["outlets"][0]["device"] = json!("kasa @ 10.0.0.9");
    });
    stage.expect(0, "warning", "drill", "storage-b", "was with kasa @ 10.0.0.9");
    stage.drilled(|drills| drills["storage-b"]["outlets"][0]["device"] = json!("kasa @ 10.0.0.9"));
    stage.expect(0, "warning", "drill", "storage-b", "was with kasa @ 10.0.0.9");
    fs::write(stage.drills(), "not json").unwrap();
    stage.expect(3, "unknown", "drill", "", "cannot be read");
}

#[test]
fn agents_that_lead_elsewhere() {
    let stage = stage();
    let agent = stage.agents().join("fence_kasa");
    let instead = |target: &Path| {
        fs::remove_file(&agent).unwrap();
        symlink(target, &agent).unwrap();
    };
    instead(Path::new("/nowhere/fencekit"));
    stage.expect(1, "problem", "agents", "", "link into nothing");
    instead(Path::new("/bin/sh"));
    stage.expect(1, "problem", "agents", "", "not fencekit's agent");
    let other = stage.file.directory.path().join("fencekit");
    fs::write(&other, "").unwrap();
    instead(&other);
    stage.expect(0, "warning", "agents", "", "not to this program");
    // On a host that is no node of the cluster none is needed.
    fs::remove_file(&agent).unwrap();
    let (code, wrong) = stage.wrong();
    assert_eq!((code, wrong.len()), (0, 0), "{wrong:#?}");
}

#[test]
fn files_that_others_may_write_or_read() {
    let stage = stage();
    let open = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(&stage.file.path, 0o666);
    stage.expect(1, "problem", "permissions", "", "can be written by everybody");
    open(&stage.file.path, 0o644);

    let secret = stage.file.directory.path().join("b.secret");
    fs::write(&secret, "open-sesame\n").unwrap();
    let text = stage
        .text
        .replace("0B', off", "0B', password_file: b.secret, transport: xor, off");
    stage.write(&text);
    open(&secret, 0o644);
    stage.expect(0, "warning", "permissions", "storage-b", "can be read by others");
    open(&secret, 0o620);
    stage.expect(
        1,
        "problem",
        "permissions",
        "storage-b",
        "can be written by others",
    );
    open(&secret, 0o600);
    assert_eq!(stage.wrong().0, 0);
    fs::remove_file(&secret).unwrap();
    let output = stage.doctor(&["--json"]);
    assert_eq!(code(&output), 1);
    assert!(
        stdout(&output).contains("b.secret cannot be read"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn the_program_for_a_password_runs_once() {
    let stage = stage();
    let runs = stage.file.directory.path().join("runs");
    let script = format!("echo run >> {}; echo secret", runs.display());
    let of_node = "password_script: '".to_owned() + &script + "', off_max_watts: 5, mgmt_ip: 127.0.0.2";
    stage.write(
        &stage
            .text
            .replace("off_max_watts: 5, mgmt_ip: 127.0.0.2", &of_node),
    );
    let (exit, wrong) = stage.wrong();
    assert_eq!(fs::read_to_string(&runs).unwrap(), "run\n", "{wrong:?}");
    assert_eq!(exit, 0, "the drill is of these devices still: {wrong:?}");
    // Devices that cannot be made ready are not taken for others than those of the drill.
    stage.write(&stage.text.replace(
        "off_max_watts: 5, mgmt_ip: 127.0.0.2",
        "password_script: 'exit 3', mgmt_ip: 127.0.0.2",
    ));
    let (_, wrong) = stage.wrong();
    assert!(wrong.iter().all(|(_, topic, ..)| topic != "drill"), "{wrong:?}");
}
