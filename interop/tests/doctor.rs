//! `fencekit doctor` on simulated devices of every method, and on a configuration that Pacemaker's own tools change.

// The functions that the tests share are tests too.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fencekit::cluster::Cluster;
use fencekit::stonith::{self, Configuration};
use fencekit_interop::{Output, agents_dir, fencekit_bin, required, run, tool};
use fencekit_sim::cluster::{Simulated, plan, serve};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const FILE: &str = "
stonith_nodes:
  storage-a:
    devices:
      - {method: kasa, ip: 127.0.0.1, port: 0, user: me@example.org, password: sesame-kasa}
      - {method: tasmota, ip: 127.0.0.1, port: 0, password: sesame-tasmota}
    mgmt_ip: 127.0.0.2
  storage-b:
    devices:
      - {method: ipmi, ip: 127.0.0.1, port: 0, user: admin, password: sesame-ipmi}
      - {method: esphome, ip: 127.0.0.1, port: 0, switch_name: Relay, user: admin, password: sesame-esp}
      - method: http
        ip: 127.0.0.1
        port: 0
        power_on_url: /on
        power_off_url: /off
        status_url: /state
        status_on_regex: 'ON'
        status_off_regex: 'OFF'
    mgmt_ip: 127.0.0.3
quorum_nodes: [quorum]
";
const NODES: &str = r#"<nodes><node id="1" uname="storage-a"/><node id="2" uname="storage-b"/><node id="3" uname="quorum"/></nodes>"#;

/// A cluster of simulated devices, its file, and a configuration made of it.
struct Stage {
    dir: tempfile::TempDir,
    devices: Vec<Simulated>,
}

impl Stage {
    async fn new() -> Self {
        let written = Cluster::from_text(FILE, "cluster.yml").unwrap();
        let mut text = FILE.to_owned();
        let mut devices = Vec::new();
        for planned in plan(&written).unwrap() {
            let device = serve(planned).await.unwrap();
            text = text.replacen("port: 0", &format!("port: {}", device.address().port()), 1);
            devices.push(device);
        }
        let stage = Self {
            dir: tempfile::tempdir().unwrap(),
            devices,
        };
        fs::write(stage.file(), &text).unwrap();
        let cluster = Cluster::from_text(&text, "cluster.yml").unwrap();
        let wanted = Configuration::new(&cluster, &stage.file()).unwrap();
        let cib = stonith::cib(&wanted).unwrap().replace("<nodes/>", NODES);
        // As a running cluster's has it; pcs computes its changes from it.
        let cib = cib.replacen("<cib ", "<cib crm_feature_set=\"3.0.14\" ", 1);
        fs::write(stage.cib(), cib).unwrap();
        stage
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("cluster.yml")
    }

    fn cib(&self) -> PathBuf {
        self.dir.path().join("cib.xml")
    }

    /// A program of Pacemaker's changes the configuration.
    fn change(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(tool(program).unwrap());
        command.args(arguments).env("CIB_file", self.cib());
        let out = run(&mut command, "", LIMIT);
        assert!(out.ok(), "{program} {arguments:?}: {out}");
    }

    fn doctor(&self) -> Output {
        self.doctor_of(&self.file())
    }

    /// From within the directory of the file, which `path` may start from.
    fn doctor_of(&self, path: &Path) -> Output {
        let mut command = Command::new(fencekit_bin());
        command
            .current_dir(self.dir.path())
            .args(["doctor", "--json", "--timeout", "8", "--config"])
            .arg(path);
        command.arg("--agents").arg(agents_dir());
        command.arg("--state").arg(self.dir.path().join("drills.json"));
        command.env("CIB_file", self.cib());
        run(&mut command, "", LIMIT)
    }

    /// Whatever is worse than a warning, and warnings about the cluster's configuration: topic, node and detail.
    fn wrong(&self) -> (Option<i32>, Vec<(String, String, String)>) {
        let out = self.doctor();
        assert!(
            !out.stdout.contains("sesame") && !out.stderr.contains("sesame"),
            "{out}"
        );
        let document: Value =
            serde_json::from_str(&out.stdout).unwrap_or_else(|cause| panic!("{cause}: {out}"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let told = ["pacemaker", "resource", "level", "location", "property", "timing"];
        let wrong = document["findings"].as_array().unwrap().iter().filter(|one| {
            let severity = text(&one["severity"]);
            let topic = text(&one["topic"]);
            matches!(severity.as_str(), "problem" | "unknown")
                || (severity == "warning" && told.contains(&topic.as_str()))
        });
        let wrong = wrong.map(|one| (text(&one["topic"]), text(&one["node"]), text(&one["detail"])));
        (out.code, wrong.collect())
    }
}

fn has(wrong: &[(String, String, String)], topic: &str, words: &str) -> bool {
    wrong
        .iter()
        .any(|(t, _, detail)| t == topic && detail.contains(words))
}

macro_rules! pacemaker {
    () => {
        required!(tool("cibadmin"));
        required!(tool("crm_attribute"));
        required!(tool("crm_resource"));
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_of_every_method_and_a_cluster_that_was_told_the_same_are_in_order() {
    pacemaker!();
    let stage = Stage::new().await;
    let (code, wrong) = stage.wrong();
    assert_eq!((code, wrong.len()), (Some(0), 0), "{wrong:#?}");
    // The resources name the file by its whole path, however doctor is told of it.
    let out = stage.doctor_of(Path::new("cluster.yml"));
    let document: Value = serde_json::from_str(&out.stdout).unwrap();
    let findings = document["findings"].as_array().unwrap();
    let count = |topic: &str, words: &str| {
        let of = findings.iter().filter(|one| one["topic"] == topic);
        of.filter(|one| one["detail"].as_str().unwrap().contains(words))
            .count()
    };
    assert_eq!(count("reached", "reached"), 5, "{out}");
    assert_eq!(count("power", "on"), 5, "{out}");
    assert_eq!(count("address", "answers on management"), 2, "{out}");
    assert_eq!(
        count("pacemaker", "the cluster has been told what the file says"),
        1,
        "{out}"
    );
    for device in &stage.devices {
        assert!(
            device.device().commands().is_empty(),
            "it switched {:?}",
            device.feeds()
        );
    }
}

/// Each change by the tool that an administrator would take, and what doctor tells of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_pacemakers_tools_changed_is_told() {
    pacemaker!();
    let set = |name, value| vec!["-t", "crm_config", "-n", name, "-v", value];
    let cases: Vec<(&str, Vec<&str>, i32, &str, &str)> = vec![
        (
            "crm_attribute",
            set("stonith-enabled", "false"),
            1,
            "property",
            "stonith-enabled is false",
        ),
        (
            "crm_attribute",
            set("stonith-timeout", "30s"),
            0,
            "timing",
            "stonith-timeout is 30s",
        ),
        (
            "crm_attribute",
            set("maintenance-mode", "true"),
            0,
            "property",
            "maintenance-mode is on",
        ),
        (
            "crm_resource",
            vec!["-r", "fence-storage-a", "-p", "ip", "-v", "10.9.9.9"],
            1,
            "resource",
            "fence-storage-a has ip=10.9.9.9",
        ),
        (
            "crm_resource",
            vec!["-r", "fence-storage-a", "-p", "password", "-v", "sesame-old"],
            1,
            "resource",
            "fence-storage-a has another password",
        ),
        (
            "crm_resource",
            vec!["-r", "fence-storage-b", "-d", "pcmk_host_list"],
            1,
            "resource",
            "fence-storage-b lacks pcmk_host_list",
        ),
        (
            "crm_resource",
            vec![
                "--meta",
                "-r",
                "fence-storage-b-2",
                "-p",
                "target-role",
                "-v",
                "Stopped",
            ],
            1,
            "resource",
            "fence-storage-b-2 is disabled",
        ),
        (
            "cibadmin",
            vec![
                "--delete",
                "--xpath",
                "//fencing-level[@target='storage-b']",
                "--force",
            ],
            1,
            "level",
            "there is none",
        ),
        (
            "cibadmin",
            vec![
                "--delete",
                "--xpath",
                "//rsc_location[@rsc='fence-storage-a' and @node='quorum']",
                "--force",
            ],
            0,
            "location",
            "no location rule keeps fence-storage-a off quorum",
        ),
        (
            "cibadmin",
            vec![
                "--create",
                "--scope",
                "fencing-topology",
                "--xml-text",
                "<fencing-level id='around' target='storage-a' index='2' devices='fence-storage-a'/>",
            ],
            1,
            "level",
            "level 2 (fence-storage-a) is without the verification",
        ),
        (
            "cibadmin",
            vec![
                "--create",
                "--scope",
                "nodes",
                "--xml-text",
                "<node id='4' uname='storage-c'/>",
            ],
            1,
            "pacemaker",
            "storage-c is not in the file, and nothing can fence it",
        ),
    ];
    let stage = Stage::new().await;
    let good = fs::read_to_string(stage.cib()).unwrap();
    for (program, arguments, expected, topic, words) in cases {
        fs::write(stage.cib(), &good).unwrap();
        stage.change(program, &arguments);
        let (code, wrong) = stage.wrong();
        assert!(has(&wrong, topic, words), "{program} {arguments:?}: {wrong:#?}");
        assert_eq!(code, Some(expected), "{program} {arguments:?}: {wrong:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_pcs_changed_is_told() {
    pacemaker!();
    let _ = required!(tool("pcs"));
    let stage = Stage::new().await;
    let pcs = |arguments: &[&str]| {
        let mut command = Command::new(tool("pcs").unwrap());
        command.arg("-f").arg(stage.cib()).args(arguments);
        let out = run(&mut command, "", LIMIT);
        assert!(out.ok(), "pcs {arguments:?}: {out}");
    };
    pcs(&["stonith", "level", "remove", "1", "target", "storage-b"]);
    pcs(&["stonith", "delete", "fence-verify-storage-a"]);
    pcs(&["stonith", "disable", "fence-storage-a"]);
    pcs(&["property", "set", "no-quorum-policy=ignore"]);
    let (code, wrong) = stage.wrong();
    assert_eq!(code, Some(1));
    assert!(has(&wrong, "level", "there is none"), "{wrong:#?}");
    assert!(
        has(&wrong, "resource", "fence-storage-a is disabled"),
        "{wrong:#?}"
    );
    assert!(
        has(&wrong, "property", "no-quorum-policy is ignore"),
        "{wrong:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_cannot_be_read_is_inconclusive_on_a_node_alone() {
    pacemaker!();
    let stage = Stage::new().await;
    fs::write(stage.cib(), "not xml").unwrap();
    // This host is no node of the cluster.
    let (code, wrong) = stage.wrong();
    assert_eq!((code, wrong.len()), (Some(0), 0), "{wrong:#?}");

    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let text = fs::read_to_string(stage.file()).unwrap();
    let text = text.replace(
        "quorum_nodes: [quorum]",
        &format!("quorum_nodes: [{}]", host.trim()),
    );
    fs::write(stage.file(), text).unwrap();
    let (code, wrong) = stage.wrong();
    assert!(has(&wrong, "pacemaker", "could not be examined"), "{wrong:#?}");
    // The agents' directory of the tests may lack a link.
    assert!(matches!(code, Some(1 | 3)), "{wrong:#?}");
    assert!(Path::new(&stage.cib()).exists());
}
