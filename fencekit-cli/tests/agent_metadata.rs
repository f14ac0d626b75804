//! The metadata: what pcs and Pacemaker read on nearly every command, as whoever they are.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::{AGENTS, ALL, call, command};
use serde_json::Value;

fn metadata(agent: &'static str) -> String {
    let ran = call(agent).with_arguments(&["-o", "metadata"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{agent}: {ran:?}");
    ran.out
}

#[test]
fn metadata_is_the_same_by_every_name_and_form() {
    for agent in ALL {
        let first = metadata(agent);
        for action in ["meta-data", "metadata", "manpage"] {
            assert_eq!(
                call(agent).feed(format!("action={action}\n").as_bytes()).out,
                first,
                "{agent} {action}"
            );
            assert_eq!(
                call(agent).with_arguments(&[format!("--action={action}")]).out,
                first,
                "{agent} {action}"
            );
        }
    }
}

/// What the metadata says is what the agents take: a change must be meant. `FENCEKIT_ACCEPT=1` writes the files anew.
#[test]
fn metadata_changes_only_on_purpose() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/metadata");
    for agent in ALL {
        let path = directory.join(format!("{agent}.xml"));
        let now = metadata(agent);
        if std::env::var_os("FENCEKIT_ACCEPT").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            now == kept,
            "{agent}: its metadata changed; if that is meant, run FENCEKIT_ACCEPT=1 cargo test -p fencekit-cli --test agent_metadata"
        );
    }
}

#[test]
fn parameters_carry_what_pcs_needs() {
    for agent in AGENTS {
        let metadata = metadata(agent);
        for parameter in [
            "name=\"action\" unique=\"0\" required=\"1\"",
            "obsoletes=\"ipaddr\"",
            "name=\"ipaddr\"",
            "name=\"plug\" unique=\"0\" required=\"0\" obsoletes=\"port\"",
            "name=\"port\" unique=\"0\" required=\"0\" deprecated=\"1\"",
            "name=\"passwd\" unique=\"0\" required=\"0\" deprecated=\"1\"",
            "name=\"debug_file\" unique=\"0\" required=\"0\" obsoletes=\"debug\"",
        ] {
            assert!(metadata.contains(parameter), "{agent}: {parameter}");
        }
        assert!(
            metadata.contains("<action name=\"on\" automatic=\"0\"/>"),
            "{agent}"
        );
        for action in [
            "off",
            "reboot",
            "status",
            "list",
            "list-status",
            "monitor",
            "metadata",
            "manpage",
            "validate-all",
        ] {
            assert!(
                metadata.contains(&format!("<action name=\"{action}\"/>")),
                "{agent}: {action}"
            );
        }
    }
}

/// Pacemaker goes by the status of an agent without `list`, where no host list is configured: any node would do.
#[test]
fn every_agent_has_a_list() {
    for agent in ALL {
        let metadata = metadata(agent);
        for action in ["list", "list-status"] {
            let element = format!("<action name=\"{action}\"/>");
            assert!(metadata.contains(&element), "{agent}: {action}");
        }
    }
}

/// pcs runs agents as `hacluster` too: no rights, no home, no environment, no directory to write to.
#[test]
fn metadata_needs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o555)).unwrap();
    for agent in ALL {
        let child = command(agent)
            .args(["-o", "metadata"])
            .env_clear()
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = common::wait(child);
        assert_eq!(
            (output.status.code(), output.stderr.as_slice()),
            (Some(0), &b""[..]),
            "{agent}"
        );
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn secrets_have_no_default_and_no_value_in_the_metadata() {
    for agent in ALL {
        let metadata = metadata(agent);
        for secret in ["password", "fence_pass", "encryption_key", "hexadecimal_kg"] {
            let Some((_, after)) = metadata.split_once(&format!("<parameter name=\"{secret}\"")) else {
                continue;
            };
            let content = after
                .split_once("<content")
                .unwrap()
                .1
                .split_once("/>")
                .unwrap()
                .0;
            assert!(!content.contains("default"), "{agent} {secret}");
        }
    }
}

/// Through the links, as Pacemaker starts them.
#[test]
fn installed_links_are_the_agents() {
    let directory = tempfile::tempdir().unwrap();
    let theirs = directory.path().join("fence_http");
    std::fs::write(&theirs, "not ours").unwrap();
    let install = |code| {
        let dir = directory.path().to_str().unwrap();
        let output = command("fencekit")
            .args(["install-agents", "--dir", dir])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let problem = install(1);
    assert!(
        problem.contains("fence_http: exists and is no link of fencekit's"),
        "{problem}"
    );
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "not ours");
    std::fs::remove_file(&theirs).unwrap();
    for _ in 0..2 {
        assert_eq!(install(0), "");
    }
    std::fs::remove_file(directory.path().join("fence_kasa")).unwrap();
    std::fs::remove_file(directory.path().join("fence_ipmi")).unwrap();
    std::fs::write(directory.path().join("fence_ipmi"), "not ours").unwrap();
    let output = command("fencekit")
        .args(["install-agents", "--json", "--dir"])
        .arg(directory.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let links = document["links"].as_array().unwrap();
    assert_eq!(links.len(), ALL.len());
    for link in links {
        let outcome = match link["agent"].as_str().unwrap() {
            "fence_kasa" => "new",
            "fence_ipmi" => "failed",
            _ => "kept",
        };
        assert_eq!(link["outcome"], outcome, "{link}");
        assert_eq!(link["error"].is_string(), outcome == "failed", "{link}");
    }
    std::fs::remove_file(directory.path().join("fence_ipmi")).unwrap();
    assert_eq!(install(0), "");
    for agent in ALL {
        let output = Command::new(directory.path().join(agent))
            .args(["-o", "metadata"])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), metadata(agent));
    }
}
