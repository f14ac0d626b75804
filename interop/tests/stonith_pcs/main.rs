//! The generated pcs script through real pcs and Pacemaker's own judges, on configurations in files.

// The functions that the tests share are tests too.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod every_file;
mod versions;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fencekit::cluster::Cluster;
use fencekit::stonith::{self, Configuration};
use fencekit_interop::{Output, agent, agents_dir, private_namespaces, required, run, tool, workspace};

const LIMIT: Duration = Duration::from_secs(170);
const AGENTS: &[&str] = &[
    "fence_kasa",
    "fence_tasmota",
    "fence_esphome",
    "fence_http",
    "fence_ipmi",
    "fence_check",
];
const SCHEMAS: &str = "/usr/share/pacemaker/pacemaker-3.0.rng";
const EMPTY: &str = r#"<cib crm_feature_set="3.0.14" validate-with="pacemaker-3.0" epoch="1" num_updates="0" admin_epoch="0"><configuration><crm_config/><nodes><node id="1" uname="storage-a"/><node id="2" uname="storage-b"/><node id="3" uname="quorum"/><node id="4" uname="a"/><node id="5" uname="b"/></nodes><resources/><constraints/></configuration><status/></cib>"#;
/// What no two shells agree about, in a name and in a password.
const HOSTILE: &str = r#"
stonith_nodes:
  storage-a:
    method: kasa
    ip: 10.0.0.1
    user: "a'b\"c `id` $(id) $HOME \\ !1 * ? [x] ~ ; & | < > # % {x} é 火"
    password: "p'w\"d=\\$(id)`id` &amp; <x> é"
  storage-b:
    method: kasa
    devices: [{ip: 10.0.0.2, plug: "Rack, left"}, {method: tasmota, ip: 10.0.0.3, password: " -x=END_OF_SECRET"}]
quorum_nodes: [quorum]
"#;

fn files() -> Vec<PathBuf> {
    let folder = workspace().join("fencekit/tests/stonith");
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yml"))
        .collect();
    files.sort();
    assert!(files.len() >= 8);
    files
}

fn configuration(text: &str) -> Configuration {
    let cluster = Cluster::from_text(text, "cluster.yml").unwrap();
    Configuration::new(&cluster, Path::new("/etc/fencekit/cluster.yml")).unwrap()
}

#[test]
fn every_script_passes_shellcheck() {
    let shellcheck = required!(tool("shellcheck"));
    for file in files() {
        let script = stonith::pcs(&configuration(&fs::read_to_string(&file).unwrap())).unwrap();
        let out = run(Command::new(&shellcheck).arg("-"), &script, LIMIT);
        assert!(out.ok(), "{}: {out}", file.display());
    }
}

#[test]
fn every_cib_fits_the_schema_of_pacemaker_and_its_verifier() {
    let xmllint = required!(tool("xmllint"));
    let verify = required!(tool("crm_verify"));
    let _ = required!(Path::new(SCHEMAS).exists().then_some("pacemaker"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cib.xml");
    let mut texts: Vec<_> = files()
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    texts.push(HOSTILE.to_owned());
    for text in texts {
        let cib = stonith::cib(&configuration(&text)).unwrap();
        let out = run(
            Command::new(&xmllint).args(["--noout", "--nonet", "--relaxng", SCHEMAS, "-"]),
            &cib,
            LIMIT,
        );
        assert!(out.ok(), "{out}\n{cib}");
        fs::write(&path, &cib).unwrap();
        let out = run(Command::new(&verify).arg("-V").arg("-x").arg(&path), "", LIMIT);
        assert!(out.ok(), "{out}\n{cib}");
    }
}

/// A script and the configuration that it edits.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// Our agents appear in `/usr/sbin`, where pcs looks for them. Only inside namespaces of the test's own.
    fn new() -> Self {
        for name in AGENTS {
            let _ = agent(name);
        }
        let mount = "mount -t overlay -o \"lowerdir=$1:/usr/sbin\" none /usr/sbin";
        let out = run(
            Command::new("sh")
                .args(["-euc", mount, "mount"])
                .arg(agents_dir()),
            "",
            LIMIT,
        );
        assert!(out.ok(), "{out}");
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::write(place.cib(), EMPTY).unwrap();
        place
    }

    fn cib(&self) -> PathBuf {
        self.dir.path().join("cib.xml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.cib()).unwrap()
    }

    fn run(&self, wanted: &Configuration, arguments: &[&str]) -> Output {
        let script = self.dir.path().join("configure-stonith.sh");
        fs::write(&script, stonith::pcs(wanted).unwrap()).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = Command::new("bash");
        command.arg(script).arg("--cib").arg(self.cib()).args(arguments);
        run(&mut command, "", LIMIT)
    }

    /// What Pacemaker's verifier says.
    fn verify(&self) {
        let bare = self.dir.path().join("bare.xml");
        fs::write(&bare, without_nodes(&self.text())).unwrap();
        let out = run(
            Command::new("crm_verify").arg("-V").arg("-x").arg(bare),
            "",
            LIMIT,
        );
        assert!(out.ok(), "{out}");
    }

    /// The value of an option as pcs itself tells it.
    fn value(&self, resource: &str, option: &str) -> Option<String> {
        let mut command = Command::new("pcs");
        command.arg("-f").arg(self.cib());
        command.args(["stonith", "config", "--output-format=json"]);
        let out = run(&mut command, "", LIMIT);
        assert!(out.ok(), "{out}");
        let all: serde_json::Value = serde_json::from_str(&out.stdout).unwrap();
        let primitives = all["primitives"].as_array().unwrap();
        let found = primitives.iter().find(|one| one["id"] == resource)?;
        let pairs = found["instance_attributes"][0]["nvpairs"].as_array().unwrap();
        let pair = pairs.iter().find(|pair| pair["name"] == option)?;
        Some(pair["value"].as_str().unwrap().to_owned())
    }
}

/// The configuration alone, for the verifier: the nodes have no state here, and it warns of that.
fn without_nodes(cib: &str) -> String {
    let (before, rest) = cib.split_once("<nodes>").unwrap();
    let (_, after) = rest.split_once("</nodes>").unwrap();
    format!("{before}<nodes/>{after}")
}

macro_rules! pcs {
    () => {
        required!(tool("pcs"));
        required!(tool("crm_verify"));
        private_namespaces!();
    };
}

/// Without verification: what is checked here is pcs, not the agents.
fn unverified(text: &str) -> Configuration {
    configuration(&format!("{text}stonith_fence_verify: false\n"))
}

#[test]
fn hostile_values_come_back_byte_for_byte_and_a_second_run_changes_nothing() {
    pcs!();
    let place = Place::new();
    let wanted = unverified(HOSTILE);

    let dry = place.run(&wanted, &["--dry-run"]);
    assert!(dry.ok(), "{dry}");
    assert_eq!(place.text(), EMPTY, "a dry run wrote");
    assert!(dry.stdout.contains("+fence-storage-a: password=(hidden"), "{dry}");

    let first = place.run(&wanted, &[]);
    assert!(first.ok(), "{first}");
    for resource in &wanted.resources {
        for attribute in &resource.attributes {
            assert_eq!(
                place.value(&resource.id, attribute.name).as_deref(),
                Some(attribute.value.expose()),
                "{} {}",
                resource.id,
                attribute.name
            );
        }
    }
    for attribute in wanted.resources.iter().flat_map(|one| &one.attributes) {
        if attribute.secret {
            assert!(!first.stdout.contains(attribute.value.expose()), "{first}");
            assert!(!first.stderr.contains(attribute.value.expose()), "{first}");
        }
    }

    let once = place.text();
    let second = place.run(&wanted, &[]);
    assert!(
        second.ok() && second.stdout.starts_with("Nothing to change."),
        "{second}"
    );
    assert_eq!(place.text(), once);
}

#[test]
fn what_changed_is_updated_and_what_is_gone_goes_with_prune_alone() {
    pcs!();
    let place = Place::new();
    let before = unverified(
        "stonith_nodes:\n  a: {method: tasmota, ip: 10.0.0.1, password: one, plug: 2}\n  b: {method: kasa, ip: 10.0.0.2}\n",
    );
    let out = place.run(&before, &[]);
    assert!(out.ok(), "{out}");

    // Another address, another password, an option less; and another agent for b.
    let after = unverified(
        "stonith_nodes:\n  a: {method: tasmota, ip: 10.0.0.9, password: two}\n  b: {method: tasmota, ip: 10.0.0.2}\n",
    );
    let out = place.run(&after, &[]);
    assert!(out.ok(), "{out}");
    assert_eq!(place.value("fence-a", "ip").as_deref(), Some("10.0.0.9"));
    assert_eq!(place.value("fence-a", "password").as_deref(), Some("two"));
    assert_eq!(place.value("fence-a", "plug"), None);
    assert!(
        place.text().contains(r#"type="fence_tasmota""#) && !place.text().contains(r#"type="fence_kasa""#)
    );

    let smaller = unverified("stonith_nodes:\n  a: {method: tasmota, ip: 10.0.0.9, password: two}\n");
    let out = place.run(&smaller, &[]);
    assert!(out.ok(), "{out}");
    assert!(
        out.stdout.contains("fence-b: no longer in the cluster file"),
        "{out}"
    );
    assert!(place.value("fence-b", "ip").is_some());
    let out = place.run(&smaller, &["--prune"]);
    assert!(out.ok(), "{out}");
    assert_eq!(place.value("fence-b", "ip"), None);
    assert!(!place.text().contains(r#"target="b""#), "{}", place.text());
}

/// A second level is ours to add, to change and, with `--prune`, to remove; it is no foreign one.
#[test]
fn a_fallback_comes_changes_and_goes() {
    pcs!();
    let place = Place::new();
    let with = |fallback: &str| {
        unverified(&format!(
            "stonith_nodes:\n  a: {{method: kasa, ip: 10.0.0.1, delay: 5s{fallback}}}\n"
        ))
    };
    let tasmota = with(", fallback: {method: tasmota, ip: 10.0.0.2}");
    let out = place.run(&tasmota, &[]);
    assert!(out.ok() && !out.stdout.contains("WARNING"), "{out}");
    assert!(
        place.text().contains(r#"devices="fence-a-fallback""#),
        "{}",
        place.text()
    );
    assert_eq!(place.value("fence-a", "pcmk_delay_base").as_deref(), Some("5s"));
    let again = place.run(&tasmota, &[]);
    assert!(
        again.ok() && again.stdout.starts_with("Nothing to change."),
        "{again}"
    );

    let out = place.run(&with(", fallback: {method: kasa, ip: 10.0.0.3}"), &[]);
    assert!(out.ok(), "{out}");
    assert_eq!(place.value("fence-a-fallback", "ip").as_deref(), Some("10.0.0.3"));

    // The level goes at once: nobody verifies by the cluster file what it does. Its devices wait for --prune.
    let out = place.run(&with(""), &[]);
    assert!(
        out.ok() && out.stdout.contains("-level 2 of a: fence-a-fallback\n"),
        "{out}"
    );
    assert!(
        out.stdout
            .contains("fence-a-fallback: no longer in the cluster file"),
        "{out}"
    );
    let out = place.run(&with(""), &["--prune"]);
    assert!(out.ok(), "{out}");
    assert!(!place.text().contains("fallback"), "{}", place.text());
}

#[test]
fn a_failure_leaves_the_configuration_as_it_was_and_is_told() {
    pcs!();
    let place = Place::new();
    let taken = EMPTY.replace(
        "<resources/>",
        r#"<resources><primitive id="fence-b" class="ocf" provider="pacemaker" type="Dummy"/></resources>"#,
    );
    fs::write(place.cib(), &taken).unwrap();
    let wanted =
        unverified("stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1}\n  b: {method: kasa, ip: 10.0.0.2}\n");
    let out = place.run(&wanted, &[]);
    assert_eq!(out.code, Some(1), "{out}");
    assert!(
        out.stderr
            .contains("fence-b is already the name of something else"),
        "{out}"
    );
    assert_eq!(place.text(), taken);
}

/// A cluster that has been told it all.
fn configured(wanted: &Configuration) -> String {
    let cib = stonith::cib(wanted).unwrap();
    cib.replacen("<cib ", r#"<cib crm_feature_set="3.0.14" "#, 1)
}

/// Pacemaker tries such a level when the verification found the node alive, and believes it.
#[test]
fn a_level_that_passes_by_the_verification_goes_or_stops_the_script() {
    pcs!();
    let place = Place::new();
    let wanted = unverified(
        "stonith_nodes:\n  b: {method: kasa, devices: [{ip: 10.0.0.1}, {ip: 10.0.0.2}]}\n  a: {method: kasa, ip: 10.0.0.3}\n",
    );
    let sound = configured(&wanted);
    let with_level = |level: &str| {
        let text = sound.replace("</fencing-topology>", &format!("{level}</fencing-topology>"));
        assert_ne!(text, sound);
        fs::write(place.cib(), &text).unwrap();
        text
    };

    // Ours, of another number: it is shown, and goes.
    with_level(r#"<fencing-level id="x" target="b" index="2" devices="fence-b-2"/>"#);
    let out = place.run(&wanted, &[]);
    assert!(
        out.ok() && out.stdout.contains("-level 2 of b: fence-b-2\n"),
        "{out}"
    );
    assert_eq!(
        place.text().matches("<fencing-level ").count(),
        2,
        "{}",
        place.text()
    );

    // Somebody else's, alone or with one of ours: it is theirs to take away.
    let foreign = r#"<resources><primitive id="apc" class="stonith" type="fence_kasa"/>"#;
    for devices in ["apc", "fence-b-2,apc"] {
        let text = with_level(&format!(
            r#"<fencing-level id="x" target="b" index="3" devices="{devices}"/>"#
        ))
        .replace("<resources>", foreign);
        fs::write(place.cib(), &text).unwrap();
        let out = place.run(&wanted, &[]);
        assert_eq!(out.code, Some(1), "{out}");
        let named = format!("b has level 3 ({})", devices.replace(',', ", "));
        assert!(
            out.stderr.contains(&named) && out.stderr.contains("pcs stonith level remove 3 target b\n"),
            "{out}"
        );
        assert_eq!(place.text(), text);
    }
}

/// Of several sets Pacemaker takes one, and rules and references are its own to read.
#[test]
fn what_is_set_twice_or_by_a_rule_is_not_as_asked_for() {
    pcs!();
    let place = Place::new();
    let wanted = unverified("stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, plug: 2}\n");
    let sound = configured(&wanted);

    let rule =
        r#"<rule id="r" boolean-op="and"><date_expression id="d" operation="gt" start="2000-01-01"/></rule>"#;
    let pair = |name: &str, value: &str| format!(r#"<nvpair id="y" name="{name}" value="{value}"/>"#);
    for (opening, inside) in [
        (
            "<crm_config>",
            format!(
                r#"<cluster_property_set id="z">{}</cluster_property_set>"#,
                pair("stonith-enabled", "false")
            ),
        ),
        (
            "<crm_config>",
            format!(
                r#"<cluster_property_set id="z" score="9">{rule}{}</cluster_property_set>"#,
                pair("stonith-enabled", "false")
            ),
        ),
    ] {
        let text = sound.replace(opening, &format!("{opening}{inside}"));
        assert_ne!(text, sound);
        fs::write(place.cib(), &text).unwrap();
        let out = place.run(&wanted, &[]);
        assert_eq!(out.code, Some(1), "{out}");
        assert!(
            out.stderr
                .contains("stonith-enabled is set by a rule, by reference or more than once (false, true)"),
            "{out}"
        );
        assert_eq!(place.text(), text);
    }

    // What a device gets from elsewhere gives way to the values of the cluster file.
    let own = r#"<instance_attributes id="fence-a-instance_attributes">"#;
    let second = format!(
        r#"<instance_attributes id="z">{}</instance_attributes>{own}"#,
        pair("ip", "10.9.9.9")
    );
    for instead in [second, format!("{own}{rule}")] {
        let text = sound.replace(own, &instead);
        assert_ne!(text, sound);
        fs::write(place.cib(), &text).unwrap();
        let out = place.run(&wanted, &[]);
        assert!(
            out.ok() && out.stdout.contains("-fence-a: options in several sets"),
            "{out}"
        );
        assert!(!place.text().contains("<rule"), "{}", place.text());
        assert_eq!(place.value("fence-a", "ip").as_deref(), Some("10.0.0.1"));
        assert_eq!(place.value("fence-a", "plug").as_deref(), Some("2"));
    }
}
