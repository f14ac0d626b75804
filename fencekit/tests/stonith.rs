//! The cluster file as cluster configuration: nine files and their texts, what is refused, and quoting.
#![cfg(feature = "cluster")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails must say where"
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fencekit::Method;
use fencekit::cluster::Cluster;
use fencekit::stonith::{self, Configuration, ShellWord};
use proptest::prelude::*;

const FILES: [&str; 9] = [
    "original",
    "two-supplies",
    "no-addresses",
    "unverified",
    "secret-files",
    "hostile",
    "every-setting",
    "watched",
    "fallback",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stonith")
}

fn wanted(text: &str) -> fencekit::Result<Configuration> {
    let cluster = Cluster::from_text(text, "cluster.yml").unwrap_or_else(|error| panic!("{error}"));
    Configuration::new(&cluster, Path::new("/etc/fencekit/cluster.yml"))
}

fn configuration(text: &str) -> Configuration {
    wanted(text).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> String {
    match wanted(text) {
        Ok(_) => panic!("taken: {text}"),
        Err(error) => {
            assert_eq!(error.exit_code(), 2, "{error}");
            error.to_string()
        }
    }
}

/// What a script says is wanted, without what is the same in every script.
fn part_of(script: &str) -> &str {
    let start = script.find("\nwanted() {\n").unwrap();
    let length = script[start..].find("\n}\n").unwrap();
    &script[start + 1..start + length + 3]
}

/// `FENCEKIT_BLESS=1` writes the texts anew; look at the difference before it is committed.
#[test]
fn nine_files_become_the_texts_beside_them() {
    for name in FILES {
        let text = fs::read_to_string(folder().join(format!("{name}.yml"))).unwrap();
        let wanted = configuration(&text);
        let all = format!(
            "{}\n{}\n{}\n{}\n{}\n",
            wanted.notes.join("\n"),
            part_of(&stonith::pcs(&wanted).unwrap()),
            stonith::crmsh(&wanted).unwrap_or_else(|error| error.to_string()),
            stonith::cib(&wanted).unwrap(),
            stonith::ha_cluster(&wanted),
        );
        let path = folder().join(format!("{name}.txt"));
        if std::env::var_os("FENCEKIT_BLESS").is_some() {
            fs::write(&path, &all).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap();
        assert_eq!(all, expected, "{name}: FENCEKIT_BLESS=1 writes it anew");
    }
}

#[test]
fn every_script_is_one_that_bash_reads() {
    for name in FILES {
        let text = fs::read_to_string(folder().join(format!("{name}.yml"))).unwrap();
        let script = stonith::pcs(&configuration(&text)).unwrap();
        let mut bash = Command::new("bash")
            .arg("-n")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        assert!(bash.wait().unwrap().success(), "{name}");
    }
}

#[test]
fn a_fallback_is_a_second_level_verified_by_the_rule_of_the_first() {
    let text = fs::read_to_string(folder().join("fallback.yml")).unwrap();
    let wanted = configuration(&text);
    let levels: Vec<_> = wanted
        .levels
        .iter()
        .map(|level| (level.node.as_str(), level.index, level.resources.join(" ")))
        .collect();
    let second = "fence-storage-a-fallback fence-verify-storage-a-fallback";
    assert_eq!(
        levels,
        [
            (
                "storage-a",
                1,
                "fence-storage-a fence-verify-storage-a".to_owned()
            ),
            ("storage-a", 2, second.to_owned()),
            (
                "storage-b",
                1,
                "fence-storage-b fence-verify-storage-b".to_owned()
            ),
        ]
    );
    let value = |id: &str, name: &str| {
        let resource = wanted.resources.iter().find(|one| one.id == id).unwrap();
        let found = resource.attributes.iter().find(|one| one.name == name);
        found.map(|one| one.value.expose().to_owned())
    };
    // Both ask every device, whoever cut the power.
    for verifier in ["fence-verify-storage-a", "fence-verify-storage-a-fallback"] {
        assert_eq!(value(verifier, "plug").as_deref(), Some("storage-a"));
        assert!(value(verifier, "config").is_some());
        assert_eq!(value(verifier, "fence_ip"), None);
    }
    assert_eq!(value("fence-verify-storage-b", "config"), None);
    let notes = wanted.notes.iter();
    assert_eq!(
        notes.filter(|note| note.contains("verification reads")).count(),
        1
    );
    for id in ["fence-storage-a", "fence-storage-a-fallback"] {
        assert_eq!(value(id, "pcmk_delay_base").as_deref(), Some("5s"));
    }
    for id in [
        "fence-verify-storage-a",
        "fence-verify-storage-a-fallback",
        "fence-storage-b",
    ] {
        assert_eq!(value(id, "pcmk_delay_base"), None);
    }
    // None of them runs on the node that it fences.
    let own = |rule: &&stonith::LocationRule| rule.node == "storage-a";
    assert_eq!(wanted.rules.iter().filter(own).count(), 4);
}

#[test]
fn a_fallback_on_the_same_outlet_is_refused() {
    let of = |fallback: &str| {
        format!(
            "stonith_nodes:\n  a: {{method: kasa, ip: 10.0.0.1, mgmt_ip: 10.1.0.1, fallback: {{{fallback}}}}}\n"
        )
    };
    let same = Cluster::from_text(&of("method: kasa, ip: 10.0.0.1"), "cluster.yml").unwrap_err();
    assert!(
        same.to_string().contains("is the same device and outlet"),
        "{same}"
    );
    let unknown = Cluster::from_text(
        &of("method: kasa, ip: 10.0.0.2, mgmt_ip: 10.1.0.9"),
        "cluster.yml",
    );
    assert!(unknown.unwrap_err().to_string().contains("fallback.mgmt_ip"));
}

#[test]
fn two_supplies_are_two_devices_of_one_level_and_the_verification_comes_last() {
    let text = fs::read_to_string(folder().join("two-supplies.yml")).unwrap();
    let wanted = configuration(&text);
    assert_eq!(
        wanted.levels[0].resources,
        ["fence-storage-b", "fence-storage-b-2", "fence-verify-storage-b"]
    );
    for resource in &wanted.resources {
        let host = resource
            .attributes
            .iter()
            .find(|one| one.name == "pcmk_host_list");
        assert_eq!(host.unwrap().value.expose(), "storage-b");
        assert!(
            wanted
                .rules
                .iter()
                .any(|rule| rule.resource == resource.id && rule.node == "storage-b")
        );
    }
}

#[test]
fn nothing_runs_on_a_quorum_node() {
    let text = fs::read_to_string(folder().join("original.yml")).unwrap();
    let wanted = configuration(&text);
    for resource in &wanted.resources {
        let rule = wanted
            .rules
            .iter()
            .find(|rule| rule.resource == resource.id && rule.node == "quorum");
        assert!(rule.is_some(), "{}", resource.id);
    }
}

#[test]
fn a_node_without_addresses_is_said_or_refused() {
    let node = "stonith_nodes:\n  b: {method: kasa, ip: 10.0.0.1}\n";
    let wanted = configuration(node);
    assert_eq!(wanted.levels[0].resources, ["fence-b"]);
    assert!(
        wanted.notes[0].contains("its verification is left out"),
        "{:?}",
        wanted.notes
    );
    assert!(
        stonith::pcs(&wanted)
            .unwrap()
            .contains("# NOTE: b: has no mgmt_ip")
    );
    let error = refused(&format!("{node}stonith_fence_verify: true\n"));
    assert!(
        error.starts_with("b: stonith_fence_verify: is true, but"),
        "{error}"
    );
}

/// What the generator knows and `fence_check` at run time would not.
#[test]
fn a_verification_by_the_file_is_refused_where_the_file_does_not_say_it_all() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("cluster.yml");
    let vars = place.path().join("host_vars");
    fs::create_dir(&vars).unwrap();
    fs::write(vars.join("b.yml"), "mgmt_ip: 10.0.1.1\nstorage_ip: 10.0.2.1\n").unwrap();
    let with = |text: &str| {
        fs::write(&file, text).unwrap();
        let cluster = Cluster::load_with_host_vars(&file, &vars).unwrap();
        Configuration::new(&cluster, Path::new("/etc/fencekit/cluster.yml"))
    };
    let two =
        "stonith_nodes:\n  b: {method: kasa, devices: [{ip: 10.0.0.1}, {ip: 10.0.0.2}], mgmt_ip: 10.0.1.1";
    let error = with(&format!("{two}}}\n")).unwrap_err().to_string();
    assert!(
        error.starts_with("b: host_vars: hold addresses") && error.contains("into the cluster file"),
        "{error}"
    );
    // Told by its own options, or by the file as well, nothing is lost.
    let all = with(&format!("{two}, storage_ip: 10.0.2.1}}\n")).unwrap();
    assert_eq!(all.resources.last().unwrap().attributes[0].name, "config");
    let alone = with("stonith_nodes:\n  b: {method: kasa, ip: 10.0.0.1}\n").unwrap();
    let options = &alone.resources.last().unwrap().attributes;
    assert!(options.iter().any(|one| one.name == "target_storage_ip"));

    let error = refused(
        "stonith_nodes:\n  b: {method: kasa, ip: 10.0.0.1, user: u, password_env: HOME, mgmt_ip: 10.0.1.1}\nstonith: {secrets: file}\n",
    );
    assert!(
        error.starts_with("b: password_env: is read by its verification"),
        "{error}"
    );
}

#[test]
fn timeouts_that_cannot_work_are_refused_by_name() {
    let node = "stonith_nodes:\n  b: {method: kasa, ip: 10.0.0.1, mgmt_ip: 10.0.1.1, power_wait: 9}\n";
    let error = refused(&format!("{node}verify: {{wait: 60}}\n"));
    assert!(
        error.starts_with("stonith.off_timeout: 60 s is not longer than verify.wait, 60 s"),
        "{error}"
    );
    let error = refused(&format!(
        "{node}stonith_fence_verify: false\nstonith: {{off_timeout: 9}}\n"
    ));
    assert!(error.starts_with("b: power_wait: 9 s is not shorter"), "{error}");
    let wanted = configuration(&format!("{node}stonith: {{off_timeout: 61.5, on_timeout: 30}}\n"));
    let timeout = wanted.properties.iter().find(|one| one.name == "stonith-timeout");
    assert_eq!(timeout.unwrap().value, "183s", "off and on of two devices");
}

#[test]
fn what_no_cluster_can_carry_is_refused_without_being_shown() {
    let of = |value: &str| {
        format!("stonith_nodes:\n  b: {{method: kasa, ip: 10.0.0.1, mgmt_ip: 10.0.1.1, password: {value}}}\n")
    };
    for (value, problem) in [
        (r#""hunter2\t""#, "control character"),
        (r#""hunter2\e""#, "control character"),
        (r#""hunter2 ""#, "ends in a blank"),
        (r#"'"hunter2"'"#, "stands in double quotes"),
        (r#""hunter2\uffff""#, "U+FFFE or U+FFFF"),
    ] {
        let error = refused(&of(value));
        assert!(error.starts_with("b: password: "), "{error}");
        assert!(error.contains(problem) && !error.contains("hunter"), "{error}");
    }
    for name in ["-b", "a=b", "a%b"] {
        let error = refused(&format!(
            "stonith_nodes:\n  \"{name}\": {{method: kasa, ip: 10.0.0.1}}\n"
        ));
        assert!(error.contains("cannot be the target"), "{error}");
    }
    let error =
        refused("stonith_nodes:\n  a/b: {method: kasa, ip: 10.0.0.1}\n  a+b: {method: kasa, ip: 10.0.0.2}\n");
    assert!(
        error.contains("would both have a fence resource called fence-a_b"),
        "{error}"
    );
    let error = refused("stonith_nodes:\n  b: {method: kasa, ip: 10.0.0.1, port: 0}\n");
    assert!(error.starts_with("b: port: 0 is for fencekit sim"), "{error}");
}

#[test]
fn what_crmsh_would_change_is_refused_by_name() {
    for key in ["user: é", "password: \"p\\u00e9\""] {
        let wanted = configuration(&format!(
            "stonith_nodes: {{b: {{method: kasa, ip: 10.0.0.1, {key}}}}}"
        ));
        let error = stonith::crmsh(&wanted).unwrap_err().to_string();
        assert!(
            error.starts_with("b: ") && error.contains("beyond ASCII"),
            "{error}"
        );
        assert!(!error.contains('é'), "{error}");
        assert!(stonith::cib(&wanted).is_ok() && stonith::pcs(&wanted).is_ok());
    }
    for value in [r#"a\"b"#, r"a\"] {
        let value = serde_json::Value::from(value);
        let text = format!("stonith_nodes: {{b: {{method: kasa, ip: 10.0.0.1, user: {value}}}}}");
        let error = stonith::crmsh(&configuration(&text)).unwrap_err().to_string();
        assert!(error.starts_with("b: username: holds a backslash"), "{error}");
    }
}

#[test]
fn secrets_in_files_are_in_no_text() {
    let text = fs::read_to_string(folder().join("secret-files.yml")).unwrap();
    let wanted = configuration(&text);
    assert!(!wanted.holds_secrets());
    let paths: Vec<_> = wanted
        .secret_files
        .iter()
        .map(|path| path.to_str().unwrap())
        .collect();
    assert_eq!(paths, ["/etc/fencekit/node-1.secret", "/etc/fencekit/plug"]);
    for text in [
        stonith::pcs(&wanted).unwrap(),
        stonith::crmsh(&wanted).unwrap(),
        stonith::cib(&wanted).unwrap(),
        stonith::ha_cluster(&wanted),
    ] {
        assert!(!text.contains("correct-horse"));
    }
    let error = refused(
        "stonith_nodes:\n  b: {method: esphome, ip: 10.0.0.1, encryption_key: \"QRTIErOb/fcE9Ukd/5qA3RGYMn0Y+p06U58SCtOXvPc=\"}\nstonith: {secrets: file}\n",
    );
    assert!(error.starts_with("b: encryption_key: has no file"), "{error}");
}

/// The secret is an argument of nothing in the script, only the text of a here-document.
#[test]
fn no_secret_is_an_argument() {
    let text = fs::read_to_string(folder().join("original.yml")).unwrap();
    let script = stonith::pcs(&configuration(&text)).unwrap();
    let with: Vec<_> = script
        .lines()
        .filter(|line| line.contains("correct-horse"))
        .collect();
    assert_eq!(with, ["correct-horse", "correct-horse"]);
}

#[test]
fn every_option_of_every_method_reaches_its_resource() {
    for method in Method::ALL {
        for spec in method.options() {
            let refused = spec.check("1").is_err();
            if refused
                || [
                    "ip",
                    "password",
                    "password_file",
                    "password_script",
                    "switch_name",
                ]
                .contains(&spec.name)
            {
                continue;
            }
            let text = format!(
                "stonith_nodes:\n  b: {{method: {method}, ip: 10.0.0.1, {}: \"1\"}}\n",
                match spec.name {
                    "ipport" => "port",
                    name => name,
                }
            );
            // Some stand only beside others; the backend refuses them alone.
            let Ok(cluster) = Cluster::from_text(&text, "cluster.yml") else {
                continue;
            };
            let wanted = Configuration::new(&cluster, Path::new("/c")).unwrap();
            let found = wanted.resources[0]
                .attributes
                .iter()
                .find(|one| one.name == spec.name);
            assert_eq!(found.unwrap().value.expose(), "1", "{method} {}", spec.name);
        }
    }
}

/// What a real shell makes of a script's text.
fn through_bash(script: &str) -> Vec<u8> {
    let mut bash = Command::new("bash")
        .arg("-s")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = bash.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Characters that shells, YAML, XML and pcs give a meaning to, and any others.
fn hostile() -> impl Strategy<Value = String> {
    let special = prop::sample::select(
        "'\"`$(){}[]<>&|;!*?~#%^=\\,: \t\n-ENDOFSECRET_é火\u{a0}"
            .chars()
            .collect::<Vec<_>>(),
    );
    prop::collection::vec(prop_oneof![3 => special, 1 => any::<char>()], 0..40)
        .prop_map(|all| all.into_iter().filter(|c| *c != '\0').collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_quoted_word_comes_out_of_a_real_shell_as_it_went_in(texts in prop::collection::vec(hostile(), 1..20)) {
        let words: Vec<_> = texts.iter().map(|text| ShellWord::new(text).unwrap().to_string()).collect();
        let output = through_bash(&format!("printf '%s\\0' {}\n", words.join(" ")));
        let expected: Vec<u8> = texts.iter().flat_map(|text| text.bytes().chain([0])).collect();
        prop_assert_eq!(output, expected);
    }

    /// Whatever is not refused comes out of the script's own functions byte for byte.
    #[test]
    fn values_come_out_of_the_script_as_they_are_in_the_file(user in hostile(), password in hostile()) {
        let yaml = |text: &str| serde_json::Value::from(text).to_string();
        let text = format!(
            "stonith_nodes:\n  b: {{method: kasa, ip: 10.0.0.1, user: {}, password: {}}}\n",
            yaml(&user),
            yaml(&password),
        );
        let Ok(cluster) = Cluster::from_text(&text, "cluster.yml") else { return Ok(()) };
        let Ok(wanted) = Configuration::new(&cluster, Path::new("/c")) else { return Ok(()) };
        let script = stonith::pcs(&wanted).unwrap();
        let functions = "secret() { printf '%s=' \"$2\"; cat; printf '\\0'; }\ndevice() { shift 3; printf '%s\\n\\0' \"$@\"; }\nlevel() { :; }\nonly_levels() { :; }\nkeep_off() { :; }\nproperty() { :; }\n";
        let output = through_bash(&format!("{functions}{}wanted\n", part_of(&script)));
        let lines: Vec<_> = String::from_utf8(output).unwrap().split_terminator('\0').map(str::to_owned).collect();
        for attribute in &wanted.resources[0].attributes {
            let expected = format!("{}={}\n", attribute.name, attribute.value.expose());
            prop_assert!(lines.contains(&expected), "{:?} in {:?}", expected, lines);
        }
    }
}
