//! `fencekit explain` through the built program, on loopback, where a node never falls silent.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]

mod command_common;

use command_common::{Sims, closed_port, code, file, json, run, stderr, stdout};
use fencekit_sim::Spec;

#[test]
fn a_node_that_answers_although_its_plug_says_off() {
    let mut sims = Sims::new();
    let (plug, port) = sims.kasa(Spec::plug("storage-b"));
    plug.set(0, false, true);
    let file = file(&format!(
        "stonith_nodes:\n  storage-b: {{method: kasa, ip: 127.0.0.1, port: {port}, mgmt_ip: 127.0.0.3}}\nverify: {{wait: 1}}\n"
    ));
    let output = run(&file, &["explain", "storage-b"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let text = stdout(&output);
    let places = [
        "storage-b is ALIVE.",
        "What blocks",
        "answers on management (127.0.0.3) although all of its devices say off.",
        "What Pacemaker says",
        "What to do",
        "WARNING: this claims that you have seen storage-b without power.",
        "pcs stonith confirm storage-b",
        "fencekit doctor storage-b",
    ]
    .map(|words| text.find(words).unwrap_or_else(|| panic!("{words}\n{text}")));
    assert!(places.is_sorted(), "{text}");
    assert!(!text.contains('\x1b'), "coloured without a terminal");

    let document = json(&run(&file, &["explain", "storage-b", "--json"]));
    assert_eq!(document["verdict"], "still-alive");
    assert_eq!(document["report"]["node"], "storage-b");
    for key in ["what", "why", "look"] {
        assert!(document["blocks"][0][key].is_string(), "{key}");
    }
    assert!(plug.commands().is_empty(), "it switched");
}

#[test]
fn a_device_that_is_gone_is_inconclusive_and_an_unknown_node_wrong_usage() {
    let port = closed_port();
    let file = file(&format!(
        "stonith_nodes:\n  storage-b: {{method: kasa, ip: 127.0.0.1, port: {port}}}\nverify: {{wait: 1}}\n"
    ));
    let output = run(&file, &["explain", "storage-b"]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.starts_with("storage-b is NOT proven dead"), "{text}");
    assert!(text.contains("does not say whether it is off"), "{text}");
    assert!(text.contains("no device or no address of storage-b"), "{text}");
    assert_eq!(code(&run(&file, &["explain", "storage-c"])), 2);
}
