//! The agents' metadata, judged by fence-agents' own schema and by its own agents' metadata.

// The functions that the tests share are tests too.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fencekit_interop::{agent, fencekit_bin, private_namespaces, required, run, tool};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// Every agent of the program; `installs_exactly_these_agents` keeps it true.
const AGENTS: &[&str] = &[
    "fence_kasa",
    "fence_tasmota",
    "fence_esphome",
    "fence_http",
    "fence_ipmi",
    "fence_check",
];

const SCHEMA: &str = "/usr/share/cluster/relaxng/metadata.rng";
const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn installs_exactly_these_agents() {
    let dir = tempfile::tempdir().unwrap();
    let out = run(
        Command::new(fencekit_bin())
            .args(["install-agents", "--dir"])
            .arg(dir.path()),
        "",
        LIMIT,
    );
    assert!(out.ok(), "{out}");
    let mut found: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let mut known = AGENTS.to_vec();
    known.sort_unstable();
    assert_eq!(found, known);
}

#[test]
fn fits_the_schema_of_fence_agents() {
    let xmllint = required!(tool("xmllint"));
    let _ = required!(Path::new(SCHEMA).exists().then_some("fence-agents"));
    for name in AGENTS {
        let metadata = metadata(&agent(name));
        let out = run(
            Command::new(&xmllint).args(["--noout", "--nonet", "--relaxng", SCHEMA, "-"]),
            &metadata,
            LIMIT,
        );
        assert!(out.ok(), "{name}: {out}");
    }
}

/// pcs asks as an ordinary user on nearly every command, on nodes whose disk may be full.
#[test]
fn needs_no_root_no_network_no_home_and_nowhere_to_write() {
    let setpriv = required!(tool("setpriv"));
    private_namespaces!();
    let place = Path::new("/mnt");
    mount(&["-t", "tmpfs", "-o", "mode=0755", "none", "/mnt"]);
    for name in AGENTS {
        fs::copy(fencekit_bin(), place.join(name)).unwrap();
    }
    for dir in ["/mnt", "/tmp", "/run", "/var"] {
        if dir != "/mnt" {
            mount(&["--bind", dir, dir]);
        }
        mount(&["-o", "remount,bind,ro", dir]);
    }
    for name in AGENTS {
        let mut command = Command::new(&setpriv);
        command
            .env_clear()
            .current_dir("/")
            .args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--no-new-privs",
            ])
            .arg(place.join(name))
            .args(["-o", "metadata"]);
        let out = run(&mut command, "", LIMIT);
        assert!(out.ok() && out.stderr.is_empty(), "{name}: {out}");
        assert_eq!(out.stdout, metadata(&place.join(name)), "{name}");
    }
}

/// What every agent of fence-agents offers, ours offer under the same names, with the same letters, types and defaults.
#[test]
fn offers_the_common_options_of_fence_agents() {
    // One without a device and one of a PDU, so that the login options are among them.
    let standard = [required!(tool("fence_dummy")), required!(tool("fence_apc"))];
    let own = [
        "cmd_prompt",
        "command_prompt",
        "identity_file",
        "random_sleep_range",
        "secure",
        "ssh",
        "ssh_options",
        "ssh_path",
        "status_file",
        "switch",
        "telnet_path",
        "telnet_timeout",
        "telnet_ssl_path",
        "type",
        "gnutlscli_path",
        "verbose_level",
    ];
    let mut common = BTreeMap::new();
    for path in standard {
        common.extend(parameters(&metadata(&path)));
    }
    common.retain(|name, _| !own.contains(&name.as_str()));
    assert!(common.len() > 20, "{:?}", common.keys());
    // fence_check switches nothing and logs in nowhere by itself: its options are its own.
    for name in AGENTS.iter().filter(|name| **name != "fence_check") {
        let ours = parameters(&metadata(&agent(name)));
        let mut wrong = Vec::new();
        for (option, theirs) in &common {
            // What a device needs, and its port, are its own affair.
            match ours.get(option) {
                None => wrong.push(format!("{option} is missing")),
                Some(own) if own.letters != theirs.letters && !gave_its_letter_up(own, theirs, &ours) => {
                    wrong.push(format!("{option} is {}, not {}", own.letters, theirs.letters));
                }
                Some(own) if own.kind != theirs.kind && !is_boolean_in_truth(option) => {
                    wrong.push(format!("{option} has type {}, not {}", own.kind, theirs.kind));
                }
                Some(own) if own.default != theirs.default && option != "ipport" => {
                    wrong.push(format!(
                        "{option} defaults to {:?}, not {:?}",
                        own.default, theirs.default
                    ));
                }
                Some(_) => {}
            }
        }
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
}

/// An agent's own option may need the letter of a common one, as `-C` is the cipher of fence-agents' `fence_ipmilan`.
fn gave_its_letter_up(own: &Parameter, theirs: &Parameter, ours: &BTreeMap<String, Parameter>) -> bool {
    theirs.letters.split_once(", ").is_some_and(|(letter, long)| {
        let taken = ours
            .values()
            .any(|other| other.letters.starts_with(&format!("{letter},")));
        own.letters == long && taken
    })
}

/// fence-agents declares it a string and reads it as a boolean.
fn is_boolean_in_truth(option: &str) -> bool {
    option == "disable_timeout"
}

fn metadata(program: &Path) -> String {
    let out = run(Command::new(program).args(["-o", "metadata"]), "", LIMIT);
    assert!(out.ok(), "{}: {out}", program.display());
    let by_stdin = run(&mut Command::new(program), "action=metadata\n", LIMIT);
    assert_eq!(by_stdin.stdout, out.stdout, "{}", program.display());
    out.stdout
}

fn mount(args: &[&str]) {
    let out = run(Command::new("mount").args(args), "", LIMIT);
    assert!(out.ok(), "mount {args:?}: {out}");
}

/// A parameter as metadata gives it.
#[derive(Debug, Default, PartialEq)]
struct Parameter {
    letters: String,
    kind: String,
    default: Option<String>,
}

fn parameters(xml: &str) -> BTreeMap<String, Parameter> {
    let mut found: BTreeMap<String, Parameter> = BTreeMap::new();
    let mut reader = Reader::from_str(xml);
    let mut name = String::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => return found,
            Event::Start(tag) | Event::Empty(tag) => {
                let parameter = found.entry(name.clone()).or_default();
                match tag.name().as_ref() {
                    "parameter" => name = attribute(&tag, "name").unwrap(),
                    // How a program writes the value's name is free; the switches are not.
                    "getopt" => {
                        let mixed = attribute(&tag, "mixed").unwrap();
                        parameter.letters = mixed.split('[').next().unwrap().to_owned();
                    }
                    "content" => {
                        parameter.kind = attribute(&tag, "type").unwrap();
                        parameter.default = attribute(&tag, "default");
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        found.remove("");
    }
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = tag.try_get_attribute(name).unwrap()?;
    Some(
        attribute
            .normalized_value(XmlVersion::Explicit1_0)
            .unwrap()
            .into_owned(),
    )
}
