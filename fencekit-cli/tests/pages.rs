//! What a page tells its reader to type must exist: each command of ours with the options that it names, each cluster file. And
//! all of them speak of one place for the program.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod command_common;

use command_common::{code, fencekit, stderr, stdout};

const PAGE: &str = include_str!("../../docs/operations.md");
const README: &str = include_str!("../../README.md");
const FIRST_CLUSTER: &str = include_str!("../../docs/first-cluster.md");
const CLUSTER_FILE: &str = include_str!("../../docs/cluster-file.md");

/// Each `fencekit ...`, in blocks of commands and within lines.
fn commands(page: &'static str) -> Vec<Vec<&'static str>> {
    let mut commands = Vec::new();
    let mut in_block = false;
    for line in page.lines().map(str::trim) {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            let command = line
                .split_once(" #")
                .map_or(line, |(command, _)| command.trim_end());
            commands.push(command);
        } else {
            commands.extend(line.split('`').skip(1).step_by(2));
        }
    }
    assert!(!in_block, "a block that does not end");
    commands
        .into_iter()
        .filter(|command| command.starts_with("fencekit ") && !command.ends_with(" KIND"))
        .map(|command| command.split_whitespace().skip(1).collect())
        .collect()
}

#[test]
fn every_command_exists_and_takes_its_options() {
    let pages = [(PAGE, 25), (README, 10), (FIRST_CLUSTER, 8), (CLUSTER_FILE, 2)];
    for (page, least) in pages {
        assert!(commands(page).len() >= least, "{}", commands(page).len());
    }
    for arguments in pages.into_iter().flat_map(|(page, _)| commands(page)) {
        // Parsed in order: what stands before --help is checked, and nothing is done.
        let mut all = arguments.clone();
        all.push("--help");
        let output = fencekit(&all).output().unwrap();
        assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
        let usage = format!("Usage: fencekit {}", arguments.first().unwrap());
        let is_option = arguments.first().unwrap().starts_with('-');
        assert!(
            is_option || stdout(&output).contains(&usage),
            "{arguments:?}: {}",
            stdout(&output)
        );
    }
}

#[test]
fn a_command_that_does_not_exist_would_be_seen() {
    for wrong in [["explane", "b", "--help"], ["doctor", "--quite", "--help"]] {
        assert_eq!(code(&fencekit(&wrong).output().unwrap()), 2, "{wrong:?}");
    }
}

#[test]
fn each_way_to_confirm_by_hand_stands_beside_its_warning() {
    let at = |words: &str| PAGE.find(words).unwrap();
    let warning = at("This claims that you have seen the node without power.");
    for words in [
        "pcs stonith confirm storage-b",
        "stonith_admin --confirm storage-b",
    ] {
        assert_eq!(PAGE.matches(words).count(), 1, "{words}");
        assert!(warning - at(words) < 400, "{words}");
    }
}

#[test]
fn the_cluster_files_are_right() {
    for (page, mut nodes) in [(README, 2), (CLUSTER_FILE, 2)] {
        for block in page.split("```yaml\n").skip(1) {
            let text = block.split("```").next().unwrap();
            let cluster = fencekit::cluster::Cluster::from_text(text, "page").unwrap();
            assert!(cluster.warnings.is_empty(), "{:?}", cluster.warnings);
            assert!(cluster.nodes.iter().all(|node| !node.addresses.is_empty()));
            nodes -= cluster.nodes.len();
        }
        assert_eq!(nodes, 0);
    }
}

#[test]
fn the_program_has_one_place() {
    let texts = [
        PAGE,
        FIRST_CLUSTER,
        include_str!("../../examples/systemd/fencekit-probe.service"),
        include_str!(
            "../../examples/ansible/ansible_collections/fencekit/stonith/roles/stonith/defaults/main.yml"
        ),
    ];
    for text in texts {
        assert!(text.contains("/usr/local/bin/fencekit"), "{text}");
        assert!(
            !text.contains("/usr/bin/fencekit") && !text.contains("/usr/local/sbin/fencekit"),
            "{text}"
        );
    }
}
