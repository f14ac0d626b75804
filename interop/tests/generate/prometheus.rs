//! The alert rules, judged by promtool: their syntax, and when each alert fires. The metrics of `fencekit probe`, and
//! its units for systemd.

use std::fs;
use std::path::Path;
use std::process::Command;

use fencekit::generate::{Kind, Options};
use fencekit_interop::{fencekit_bin, required, run, tool, workspace};
use fencekit_sim::{Device, Spec, kasa};

use super::{LIMIT, made};

const FILE: &str = "
stonith_nodes:
  storage-a: {method: ipmi, ip: 10.20.20.101, user: u, password: p}
  storage-b: {method: kasa, ip: 10.20.20.202}
";
/// What no two languages quote alike.
const HOSTILE: &str = r#"stonith_nodes: {"a\"b\\c{{$x}}é": {method: kasa, ip: 10.20.20.202}}"#;

fn promtool(dir: &Path, arguments: &[&str]) -> fencekit_interop::Output {
    let promtool = tool("promtool").unwrap();
    run(Command::new(promtool).current_dir(dir).args(arguments), "", LIMIT)
}

#[test]
fn promtool_takes_the_rules_whatever_the_nodes_are_called() {
    required!(tool("promtool"));
    let dir = tempfile::tempdir().unwrap();
    for file in [FILE, HOSTILE] {
        let rules = made(Kind::Prometheus, file, &Options::default()).text;
        fs::write(dir.path().join("fencekit.rules.yml"), &rules).unwrap();
        let out = promtool(
            dir.path(),
            &[
                "check",
                "rules",
                "--lint=all",
                "--lint-fatal",
                "fencekit.rules.yml",
            ],
        );
        assert!(out.ok(), "{out}\n{rules}");
    }
}

#[test]
fn each_alert_fires_when_it_should_and_not_before() {
    required!(tool("promtool"));
    let dir = tempfile::tempdir().unwrap();
    let rules = made(Kind::Prometheus, FILE, &Options::default()).text;
    fs::write(dir.path().join("fencekit.rules.yml"), &rules).unwrap();
    fs::write(dir.path().join("tests.yml"), include_str!("alerts.yml")).unwrap();
    let out = promtool(dir.path(), &["test", "rules", "tests.yml"]);
    assert!(out.ok(), "{out}");
    // Every alert is tried: one without a test could be empty words.
    for line in rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        let tested = include_str!("alerts.yml")
            .matches(&format!("alertname: {line}\n"))
            .count();
        assert!(tested >= 2, "{line} is not tested for firing and for silence");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_takes_the_metrics_and_the_alerts_know_their_names() {
    let promtool = required!(tool("promtool"));
    let plug = kasa::serve_xor(Device::new(Spec::plug("plug")), "127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cluster.yml");
    let port = plug.address.port();
    let text = format!("stonith_nodes: {{'a\"b\\c': {{method: kasa, ip: 127.0.0.1, port: {port}}}}}");
    fs::write(&file, &text).unwrap();
    fs::write(
        dir.path().join("drills.json"),
        r#"{"a\"b\\c":{"time":"","epoch":1,"host":null,"outlets":[],"silent_after_ms":1,"back_after_ms":1}}"#,
    )
    .unwrap();
    let mut probe = Command::new(fencekit_bin());
    probe
        .current_dir(dir.path())
        .args(["probe", "--drills", "drills.json", "-c", "cluster.yml"]);
    let metrics = run(&mut probe, "", LIMIT);
    assert!(metrics.ok(), "{metrics}");
    let out = run(
        Command::new(promtool).args(["check", "metrics"]),
        &metrics.stdout,
        LIMIT,
    );
    assert!(out.ok() && out.stderr.is_empty(), "{out}\n{}", metrics.stdout);
    assert!(
        metrics.stdout.contains("fencekit_device_power_watts{"),
        "{metrics}"
    );

    // An alert on a name that the probe does not write would never fire.
    let rules = made(Kind::Prometheus, &text, &Options::default()).text;
    let exprs = rules
        .lines()
        .filter(|line| line.trim_start().starts_with("expr: "));
    let words = exprs.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let names: Vec<_> = words
        .filter(|word| word.starts_with("fencekit_") || word.starts_with("stonith_"))
        .collect();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        let known = format!("# TYPE {name} gauge\n");
        assert!(metrics.stdout.contains(&known), "{name} is in no metric");
    }
}

#[test]
fn systemd_takes_the_units() {
    let analyze = required!(tool("systemd-analyze"));
    let dir = tempfile::tempdir().unwrap();
    let units = ["fencekit-probe.service", "fencekit-probe.timer"];
    for unit in units {
        let text = fs::read_to_string(workspace().join("examples/systemd").join(unit)).unwrap();
        let here = fencekit_bin();
        fs::write(
            dir.path().join(unit),
            text.replace("/usr/local/bin/fencekit", here.to_str().unwrap()),
        )
        .unwrap();
    }
    let mut command = Command::new(analyze);
    command
        .arg("verify")
        .args(units.map(|unit| dir.path().join(unit)));
    let out = run(&mut command, "", LIMIT);
    // What it does not know it only mentions.
    assert!(out.ok() && out.stderr.is_empty(), "{out}");
}
