//! The error for everything that people may get wrong in a cluster file.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails must say where"
)]

use std::fmt::Write as _;
use std::path::Path;

use fencekit::cluster::Cluster;

fn error(text: &str) -> String {
    match Cluster::from_text(text, "cluster.yml") {
        Ok(cluster) => panic!("taken: {text}\n{cluster:?}"),
        Err(error) => error.to_string(),
    }
}

/// Everything wrong that we could think of; the texts are in `cluster_errors.txt`, to be read as a user reads them.
const WRONG: &[&str] = &[
    "",
    "# nothing but words\n",
    "just a sentence",
    "- a\n- b\n",
    "verify: {wait: 10}\n",
    "stonith_node: {a: {method: kasa, ip: h}}\n",
    "stonith_nodes:\n",
    "stonith_nodes: {}\n",
    "stonith_nodes: [a, b]\n",
    "stonith_nodes: storage-a\n",
    "stonith_nodes:\n  a:\n",
    "stonith_nodes:\n  a: kasa\n",
    "stonith_nodes:\n  a: {ip: 10.0.0.1}\n",
    "stonith_nodes:\n  a: {method: kasa}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: }\n",
    "stonith_nodes:\n  a: {method: kassa, ip: 10.0.0.1}\n",
    "stonith_nodes:\n  a: {method: redfish, ip: 10.0.0.1}\n",
    "stonith_nodes:\n  a: {method: [kasa], ip: 10.0.0.1}\n",
    "stonith_nodes:\n  a: {mehtod: kasa, ip: 10.0.0.1}\n",
    "stonith_nodes:\n  a:\n    method: kasa\n    ip: 10.0.0.1\n    pasword: hunter2\n",
    "stonith_nodes:\n  a: {method: kasa, host: 10.0.0.1}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, switch_name: relay}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, user: a, username: b}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, password: a, password_file: b}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, password_env: A, password_script: /bin/x}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, password_env: \"my password\"}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, password: \"hun\\nter2\"}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, password: \"hun\\0ter2\"}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, password: [hunter2]}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, password: {{ vault_password }}}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, password: \"{{ vault_password }}\"}\n",
    "stonith_nodes:\n  a:\n    method: kasa\n    ip: 10.0.0.1\n    password: !vault |\n      $ANSIBLE_VAULT;1.1;AES256\n      6162\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, password: *hunter2}\n",
    "stonith_nodes:\n  a:\n    method: kasa\n    ip: 10.0.0.1\n    password: @hunter2\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, plug: !outlet 2}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.256}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1:9999}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: fe80::xyz}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, port: http}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, port: 65536}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, port: -1}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, identity: }\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, off_max_watts: five}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, off_max_watts: .nan}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, off_max_watts: -1}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, power_timeout: soon}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, mgmt_ip: node-a}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, mgmt_ip: 10.20.20.1/24}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, mgmt_ip: 0.0.0.0}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, mgmt_ip: 255.255.255.255}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, mgmt_ip: \"ff02::1\"}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, mgmt_ip: \"::ffff:10.20.20.1\"}\n",
    "stonith_nodes: {a: {method: kasa, ip: h}}\nverify: {witnesses: {storage: [\"::ffff:10.10.10.254\"]}}\n",
    "stonith_nodes: {a: {method: kasa, ip: h}}\nverify: {witnesses: {storage: []}}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, tcp_ports: }\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, storage_ip: {x: 10.0.0.2}}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, client_ips: {enduser: }}\n",
    "stonith_nodes:\n  a:\n    method: kasa\n    ip: 10.0.0.1\n    mgmt_ip:\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, client_ips: {storage: 10.0.0.9}}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, client_ips: [10.0.0.9, nonsense]}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, tcp_ports: [ssh]}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, tcp_ports: [0]}\n",
    "stonith_nodes:\n  a: {method: kasa, devices: []}\n",
    "stonith_nodes:\n  a: {method: kasa, devices: {ip: 10.0.0.1}}\n",
    "stonith_nodes:\n  a: {method: kasa, devices: [10.0.0.1]}\n",
    "stonith_nodes:\n  a: {devices: [{method: kasa, ip: 10.0.0.1}, {ip: 10.0.0.2}]}\n",
    "stonith_nodes:\n  a: {method: kasa, switch_name: x, devices: [{ip: 10.0.0.1}]}\n",
    "stonith_nodes:\n  a: {method: kasa, pasword: x, devices: [{ip: 10.0.0.1}]}\n",
    "stonith_nodes:\n  a: {method: kasa, devices: [{ip: 10.0.0.1}, {ip: 10.0.0.1}]}\n",
    "stonith_nodes:\n  a: {method: kasa, devices: [{ip: 10.0.0.1, mgmt_ip: 10.0.0.7}]}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1}\n  b: {method: kasa, ip: 10.0.0.1, port: 9999}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, port: 80}\n  b: {method: kasa, ip: 10.0.0.1}\n",
    "stonith_nodes:\n  a: {method: esphome, ip: h, port: 6053, plug: R}\n  b: {method: esphome, ip: h, plug: R}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 0x0a.20.20.0x8}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: 10.20.20.010}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: PLUG.lan, plug: 1}\n  b: {method: kasa, ip: plug.lan, plug: \"1\"}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: h1, mgmt_ip: 10.0.0.1}\n  b: {method: kasa, ip: h2, mgmt_ip: 10.0.0.1}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: h1}\n  a: {method: kasa, ip: h2}\n",
    "stonith_nodes:\n  a b: {method: kasa, ip: h1}\n",
    "stonith_nodes:\n  ? [a]\n  : {method: kasa, ip: h1}\n",
    "stonith_nodes: {a: {method: kasa, ip: h}}\nstonith_nodes: {b: {method: kasa, ip: i}}\n",
    "stonith_nodes: {a: {method: kasa, ip: h}}\nstonith_fence_verify: maybe\n",
    "stonith_nodes: {a: {method: kasa, ip: h}}\nverify: 10\n",
    "stonith_nodes: {a: {method: kasa, ip: h}}\nverify: {wiat: 10}\n",
    "stonith_nodes: {a: {method: kasa, ip: h}}\nverify: {wait: long}\n",
    "stonith_nodes: {a: {method: kasa, ip: h}}\nverify: {wait: 0}\n",
    "stonith_nodes: {a: {method: kasa, ip: h}}\nverify: {wait: 5, metered_wait: 6}\n",
    "stonith_nodes: {a: {method: kasa, ip: h}}\nverify: {witnesses: {mangement: 10.0.0.1}}\n",
    "stonith_nodes: {a: {method: kasa, ip: h}}\nverify: {witnesses: {storage: gateway}}\n",
    "stonith_nodes: {a: {method: kasa, ip: h}}\nstonith: {monitor-interval: 60s}\n",
    "stonith_nodes: {a: {method: kasa, ip: h}}\nstonith: {secrets: vault}\n",
    "stonith_nodes: {a: {method: kasa, ip: h}}\nquorum_nodes: [\"a b\"]\n",
    "stonith_nodes:\n\ta: {method: kasa, ip: h}\n",
    "stonith_nodes:\n  a: {method: kasa, ip: h\n",
    "stonith_nodes:\n  a: {method: kasa, ip: \"h}\n",
    "stonith_nodes: {a: {method: kasa, ip: h}}\n---\nmore: 1\n",
    "stonith_nodes: {a: {method: kasa, ip: h}}\n\0",
    "{\"stonith_nodes\": {\"a\": {\"method\": \"kasa\", \"ip\": \"h\", \"prot\": 1}}}",
];

#[test]
fn every_error_reads_as_recorded() {
    let mut actual = String::new();
    for text in WRONG {
        let error = error(text);
        assert!(
            !error.contains("hunter2") && !error.contains("ter2"),
            "a secret: {error}"
        );
        assert!(!error.contains('\n'), "more than one line: {error}");
        let _ = writeln!(actual, "{}\n    {error}\n", text.escape_debug());
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster_errors.txt");
    if std::env::var_os("FENCEKIT_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &actual).unwrap();
    }
    let recorded = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        actual, recorded,
        "run with FENCEKIT_UPDATE_SNAPSHOTS=1 when the change is meant"
    );
}
