//! The configuration for crmsh, loaded by the real crm into a CIB of a file: what comes of it is what `generate cib`
//! says, or it was refused before.

use std::fs;
use std::path::Path;
use std::process::Command;

use fencekit::cluster::Cluster;
use fencekit::generate::{Kind, Options, produce};
use fencekit_interop::{cib_facts, empty_cib, required, run, tool};

use super::{LIMIT, hostile_file, made, of_file};

#[test]
fn crm_makes_the_same_of_a_cluster_file() {
    required!(tool("crm"));
    let files = ["original", "two-supplies", "every-setting", "fallback"].map(of_file);
    for text in files.iter().chain([&hostile_file("")]) {
        let wanted = cib_facts(&made(Kind::Cib, text, &Options::default()).text);
        assert!(wanted.len() > 10, "{wanted:?}");
        assert_eq!(cib_facts(&by_crm(text)), wanted, "{text}");
    }
}

fn by_crm(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let cib = dir.path().join("cib.xml");
    let cluster = Cluster::from_text(text, "cluster.yml").unwrap();
    fs::write(&cib, empty_cib(&[&cluster])).unwrap();
    let lines = made(Kind::Crmsh, text, &Options::default()).text;
    fs::write(dir.path().join("fencing.crm"), lines).unwrap();
    let mut command = Command::new("crm");
    command
        .current_dir(dir.path())
        .env("CIB_file", &cib)
        .env("HOME", dir.path())
        .env("TERM", "dumb")
        .args(["-F", "configure", "load", "update", "fencing.crm"]);
    let out = run(&mut command, "", LIMIT);
    // Our agents are not installed here, and crm says so; what else is wrong would be.
    let wrong = out.stderr.lines().filter(|line| {
        line.contains("ERROR")
            && !line.contains("got no meta-data")
            && !line.contains("no such resource agent")
    });
    assert!(out.ok() && wrong.count() == 0, "{out}");
    fs::read_to_string(cib).unwrap()
}

/// Nothing is silently changed: what crm would make something else of is named, and not shown.
#[test]
fn what_crm_would_change_is_refused_by_name() {
    for (password, problem) in [
        ("geheïm", "beyond ASCII"),
        (r#"a\"b"#, "backslash before a double quote"),
        (r"ab\", "or at its end"),
    ] {
        let text = format!(
            "stonith_nodes:\n  n1: {{method: kasa, ip: 10.0.0.1, user: u, password: {}, mgmt_ip: 10.0.1.1}}\n",
            serde_json::Value::from(password)
        );
        let cluster = Cluster::from_text(&text, "cluster.yml").unwrap();
        let file = Path::new("/etc/fencekit/cluster.yml");
        let error = produce(Kind::Crmsh, &cluster, file, &Options::default()).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("n1: password: ") && error.contains(problem),
            "{error}"
        );
        assert!(!error.contains(password), "{error}");
    }
}
