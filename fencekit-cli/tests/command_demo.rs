//! `fencekit demo` through the built program, and the example files that it and the documentation use.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may end in a panic"
)]

mod command_common;

use std::path::Path;
use std::time::{Duration, Instant};

use command_common::{code, fencekit, json, stderr, stdout};
use fencekit::cluster::Cluster;

#[test]
fn the_demonstration_holds_and_is_short() {
    let started = Instant::now();
    let output = fencekit(&["demo"])
        .env("FENCEKIT_CONFIG", "/nonexistent")
        .output()
        .unwrap();
    let text = stdout(&output);
    assert_eq!(code(&output), 0, "{text}{}", stderr(&output));
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    assert!(
        text.contains("storage-b: confirmed-off") && text.contains("storage-b: still-alive"),
        "{text}"
    );
    assert!(
        text.contains("its meter still reads 60.0 W") && text.contains("nothing was switched"),
        "{text}"
    );
    assert!(text.contains("simulated") && !text.contains("NOT SO"), "{text}");
    assert!(!text.contains("correct-horse"), "a password: {text}");
    assert_eq!(stderr(&output), "");
}

#[test]
fn programs_get_one_document() {
    let output = fencekit(&["demo", "--json"]).output().unwrap();
    let document = json(&output);
    assert_eq!((code(&output), &document["ok"]), (0, &true.into()));
    let steps = document["steps"].as_array().unwrap();
    assert!(
        steps.len() >= 10 && steps.iter().all(|step| step["held"] == true),
        "{document}"
    );
}

#[test]
fn the_example_files_are_good_ones() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/cluster");
    let own = Cluster::load(examples.join("cluster.yml")).unwrap();
    let original =
        Cluster::load_with_host_vars(examples.join("group_vars.yml"), examples.join("host_vars")).unwrap();
    for (a, b) in own.nodes.iter().zip(&original.nodes) {
        assert_eq!((&a.name, &a.addresses), (&b.name, &b.addresses));
        assert_eq!(a.devices[0].method(), b.devices[0].method());
    }
    let every = Cluster::load(examples.join("every-method.yml")).unwrap();
    assert_eq!(every.nodes.last().unwrap().devices.len(), 2);
}
