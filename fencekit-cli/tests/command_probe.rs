//! `fencekit probe` through the built program, against simulated devices over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may end in a panic"
)]

mod command_common;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use command_common::{Sims, closed_port, code, fencekit, file, json, run, stderr, stdout};
use fencekit_sim::{Faults, Spec};

/// The value of the series that begins so; its labels are compared as they are written.
fn value(text: &str, series: &str) -> Option<f64> {
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("{series} ")))?;
    Some(line.rsplit(' ').next().unwrap().parse().unwrap())
}

const SUCCESS: &str = "fencekit_device_last_success_timestamp_seconds";

#[test]
fn devices_are_really_asked_and_what_they_say_is_told() {
    let mut sims = Sims::new();
    let (strip, s) = sims.kasa(Spec::plug("strip").outlets(3));
    strip.set(1, false, true);
    let dead = closed_port();
    let file = file(&format!(
        "stonith_nodes:
  a: {{method: kasa, ip: 127.0.0.1, port: {s}, devices: [{{plug: 1}}, {{plug: 2}}]}}
  b: {{method: kasa, ip: 127.0.0.1, devices: [{{port: {s}, plug: 3}}, {{port: {dead}}}]}}
  c: {{method: tasmota, ip: 127.0.0.1, port: {dead}, password_file: /nowhere/at/all}}
"
    ));
    let output = run(&file, &["probe", "--timeout", "5"]);
    let text = stdout(&output);
    assert_eq!(code(&output), 1, "b's second device and c's: {}", stderr(&output));
    let agent = |name: &str, target: &str| {
        let method = name.trim_start_matches("fence_");
        let series =
            format!("stonith_agent_reachable{{agent=\"{name}\",method=\"{method}\",target=\"{target}\"}}");
        value(&text, &series)
    };
    assert_eq!(agent("fence_kasa", "a"), Some(1.0), "{text}");
    assert_eq!(
        agent("fence_kasa", "b"),
        Some(0.0),
        "one of two is not enough: {text}"
    );
    assert_eq!(agent("fence_tasmota", "c"), Some(0.0), "{text}");
    let of = |plug: u8| format!("{{target=\"a\",method=\"kasa\",device=\"kasa @ 127.0.0.1:{s} plug {plug}\"");
    let state = |plug, word: &str| {
        value(
            &text,
            &format!("fencekit_device_state{},state=\"{word}\"}}", of(plug)),
        )
    };
    assert_eq!(
        [state(1, "on"), state(1, "off"), state(1, "unknown")].map(Option::unwrap),
        [1.0, 0.0, 0.0]
    );
    assert_eq!(
        [state(2, "on"), state(2, "off"), state(2, "unknown")].map(Option::unwrap),
        [0.0, 1.0, 0.0]
    );
    let took = value(
        &text,
        &format!("fencekit_device_probe_duration_seconds{}}}", of(1)),
    )
    .unwrap();
    assert!(took > 0.0 && took < 5.0, "{took}");
    assert!(value(&text, "fencekit_probe_timestamp_seconds").unwrap() > 1.7e9);
    assert_eq!(text.matches(&format!("\n{SUCCESS}{{")).count(), 3, "{text}");
    assert_eq!(strip.commands(), [], "a probe switches nothing");
}

#[test]
fn the_last_success_outlives_a_silence_and_the_file_is_whole_and_readable() {
    let mut sims = Sims::new();
    let (plug, port) = sims.kasa(Spec::plug("plug"));
    let file = file(&format!(
        "stonith_nodes: {{a: {{method: kasa, ip: 127.0.0.1, port: {port}}}}}"
    ));
    let textfile = file.directory.path().join("fencekit.prom");
    let probe = || {
        let mut command = Command::new("sh");
        command.args(["-c", "umask 077; exec \"$@\"", "sh"]);
        let program = fencekit(&["probe", "--timeout", "1", "--textfile"]);
        command.arg(program.get_program()).args(program.get_args());
        let output = command.arg(&textfile).arg("-c").arg(&file.path).output().unwrap();
        assert_eq!(stdout(&output), "");
        (code(&output), std::fs::read_to_string(&textfile).unwrap())
    };
    let labels = format!("{{target=\"a\",device=\"kasa @ 127.0.0.1:{port}\"}}");
    let success = |text: &str| value(text, &format!("{SUCCESS}{labels}"));

    let (code, first) = probe();
    assert_eq!(code, 0);
    let mode = std::fs::metadata(&textfile).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "whatever the umask is");
    let answered = success(&first).unwrap();

    // An older success than this one, so that a new one would show; and one of a device that is gone.
    let older = first.replace(
        &format!("{SUCCESS}{labels} {answered}"),
        &format!("{SUCCESS}{labels} 1700000000"),
    );
    let older = format!("{older}{SUCCESS}{{target=\"gone\",device=\"kasa @ 10.0.0.1\"}} 1600000000\n");
    assert_ne!(older, first);
    std::fs::write(&textfile, older).unwrap();
    plug.set_faults(Faults {
        silent: true,
        ..Faults::default()
    });
    let (code, silent) = probe();
    assert_eq!(code, 1);
    assert_eq!(success(&silent), Some(1_700_000_000.0), "{silent}");
    assert!(!silent.contains("gone"), "{silent}");
    assert!(
        silent.contains("stonith_agent_reachable{agent=\"fence_kasa\",method=\"kasa\",target=\"a\"} 0\n")
    );
    assert!(
        silent.contains("state=\"unknown\"} 1\n") && !silent.contains("state=\"off\"} 1"),
        "{silent}"
    );

    plug.set_faults(Faults::default());
    let (code, again) = probe();
    assert_eq!(code, 0);
    assert!(success(&again).unwrap() >= answered);
    let left: Vec<_> = std::fs::read_dir(file.directory.path())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left.len(), 2, "nothing half-written stays: {left:?}");
}

#[test]
fn drills_are_told_and_the_host_s_own_node_can_be_left_out() {
    let mut sims = Sims::new();
    let (_, own) = sims.kasa(Spec::plug("plug-own"));
    let (_, port) = sims.kasa(Spec::plug("plug"));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let host = host.trim();
    let file = file(&format!(
        "stonith_nodes:\n  {host}: {{method: kasa, ip: 127.0.0.1, port: {own}}}\n  other: {{method: kasa, ip: 127.0.0.1, port: {port}}}\n"
    ));
    let drills = file.directory.path().join("drills.json");
    std::fs::write(&drills, "{\"other\": {\"time\": \"2026-11-24T08:00:00.000Z\", \"epoch\": 1795507200, \"host\": null, \"outlets\": [], \"silent_after_ms\": 1, \"back_after_ms\": null}}").unwrap();
    let output = run(
        &file,
        &["probe", "--skip-own", "--drills", drills.to_str().unwrap()],
    );
    let text = stdout(&output);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(!text.contains(&format!("target=\"{host}\"")), "{text}");
    assert_eq!(
        value(&text, "fencekit_drill_timestamp_seconds{target=\"other\"}"),
        Some(1_795_507_200.0)
    );

    let document = json(&run(&file, &["probe", "--json"]));
    assert_eq!(document["nodes"][1]["node"], "other");
    assert_eq!(document["nodes"][1]["power"], "on");
}

#[test]
fn a_file_that_cannot_be_written_is_wrong_usage() {
    let mut sims = Sims::new();
    let (_, port) = sims.kasa(Spec::plug("plug"));
    let file = file(&format!(
        "stonith_nodes: {{a: {{method: kasa, ip: 127.0.0.1, port: {port}}}}}"
    ));
    let output = run(&file, &["probe", "--textfile", "/nowhere/at/all.prom"]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("textfile: /nowhere/at/all.prom cannot be written"),
        "{}",
        stderr(&output)
    );
}
