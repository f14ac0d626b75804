//! The cluster file as people write it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails must say where"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fencekit::Method;
use fencekit::cluster::{Cluster, Network, Password, Secrets};

fn read(text: &str) -> Cluster {
    Cluster::from_text(text, "cluster.yml").unwrap_or_else(|error| panic!("{error}"))
}

fn error(text: &str) -> String {
    match Cluster::from_text(text, "cluster.yml") {
        Ok(cluster) => panic!("taken: {text}\n{cluster:?}"),
        Err(error) => error.to_string(),
    }
}

/// A directory of its own for a test, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fencekit-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The variables of an Ansible group as the original guide's readers have them, with much that is not ours.
const GROUP_VARS: &str = r#"---
# Cluster settings of the storage nodes
cluster_name: "{{ inventory_hostname }}-san"
hacluster_password: !vault |
  $ANSIBLE_VAULT;1.1;AES256
  6162
pacemaker_preferred_node: storage-a
nfs_exports:
  - {path: /san-pool/nfs, options: "rw,sync"}
nfs_exports: []
stonith_nodes:
  storage-a:
    method: "ipmi"           # server with a BMC
    ip: "10.20.20.101"
    user: "bmcadmin"
    password: "secret"
  storage-b:
    method: "kasa"
    ip: "10.20.20.202"
    # no credentials
  storage-c:
    method: tasmota
    ip: 10.20.20.203
    user: "admin"
    password: "your-password"
  storage-d:
    method: esphome
    ip: 10.20.20.204
    switch_name: "relay"
    user: ""
    password:
stonith_fence_verify: true
"#;

#[test]
fn the_original_variables_are_valid_as_they_stand() {
    let cluster = read(GROUP_VARS);
    let methods: Vec<_> = cluster
        .nodes
        .iter()
        .map(|node| node.devices[0].method())
        .collect();
    assert_eq!(
        methods,
        [Method::Ipmi, Method::Kasa, Method::Tasmota, Method::Esphome]
    );
    let bmc = cluster.nodes[0].devices[0].settings().unwrap();
    assert_eq!(bmc.text("username"), Some("bmcadmin"));
    assert_eq!(bmc.secret("password").unwrap().expose(), "secret");
    let relay = &cluster.nodes[3].devices[0];
    assert_eq!(relay.settings.text("plug"), Some("relay"));
    assert!(matches!(relay.password, Password::None) && !relay.settings.has("username"));
    assert_eq!(cluster.fence_verify, Some(true));
    assert_eq!(cluster.warnings, [""; 0]);
}

#[test]
fn the_whole_file_is_read() {
    let cluster = read(
        r#"
stonith_nodes:
  storage-a:
    method: ipmi
    ip: 10.20.20.101
    port: 6230
    user: bmcadmin
    password_env: FENCE_A
    identity: "50:c7:bf:00:00:01"
    off_max_watts: 5
    mgmt_ip: 10.20.20.1
    storage_ip: [10.10.10.1, "fd00::1"]
    client_ips: {enduser: 10.30.30.1, hypervisor: 10.40.40.1}
    tcp_ports: [22, 445]
  storage-b:
    method: kasa
    user: me@example.org
    password: sesame
    off_max_watts: 3
    devices:
      - {ip: 10.20.20.202, plug: 2}
      - {method: tasmota, ip: 10.20.20.203, password_file: b.secret, off_max_watts: 4.5}
    client_ips: [10.30.30.2]
    tcp_ports: 22
stonith_fence_verify: no
verify:
  wait: 8
  metered_wait: 4s
  require_witness: yes
  witnesses: {management: [10.20.20.254], storage: 10.10.10.254, enduser: [10.30.30.254], client: [10.30.30.253]}
quorum_nodes: [quorum]
stonith: {monitor_interval: 2m, off_timeout: 90s, on_timeout: 45, secrets: file}
"#,
    );
    let a = cluster.node("storage-a").unwrap();
    assert_eq!(a.devices[0].settings.integer::<u16>("ipport"), Some(6230));
    assert_eq!(
        a.devices[0].settings.text("expect_identity"),
        Some("50:c7:bf:00:00:01")
    );
    assert!(matches!(&a.devices[0].password, Password::Environment(name) if name == "FENCE_A"));
    let addresses: Vec<_> = a
        .addresses
        .iter()
        .map(|address| format!("{} {}", address.network, address.ip))
        .collect();
    assert_eq!(
        addresses,
        [
            "management 10.20.20.1",
            "storage 10.10.10.1",
            "storage fd00::1",
            "enduser 10.30.30.1",
            "hypervisor 10.40.40.1",
        ]
    );
    assert_eq!(a.tcp_ports, [22, 445]);

    let [plug, relay] = &cluster.node("storage-b").unwrap().devices[..] else {
        panic!()
    };
    assert_eq!(
        plug.settings().unwrap().secret("password").unwrap().expose(),
        "sesame"
    );
    assert_eq!(plug.settings.number("off_max_watts"), Some(3.0));
    assert_eq!(
        (relay.method(), relay.settings.text("username")),
        (Method::Tasmota, Some("me@example.org"))
    );
    assert_eq!(relay.settings.number("off_max_watts"), Some(4.5));
    assert!(matches!(&relay.password, Password::File(path) if path == Path::new("./b.secret")));

    assert_eq!(cluster.fence_verify, Some(false));
    assert_eq!(cluster.verify.wait, Duration::from_secs(8));
    assert_eq!(cluster.verify.metered_wait, Some(Duration::from_secs(4)));
    assert!(cluster.verify.require_witness);
    let of = |network: &str| {
        let network = Network::named(network);
        let witnesses = cluster.verify.witnesses_of(&network);
        witnesses.map(|ip| ip.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of("storage"), ["10.10.10.254"]);
    assert_eq!(of("enduser"), ["10.30.30.254", "10.30.30.253"]);
    assert_eq!(of("hypervisor"), ["10.30.30.253"]);
    assert_eq!(cluster.quorum_nodes, ["quorum"]);
    assert_eq!(cluster.stonith.monitor_interval, Duration::from_secs(120));
    assert_eq!(cluster.stonith.off_timeout, Duration::from_secs(90));
    assert_eq!(cluster.stonith.on_timeout, Duration::from_secs(45));
    assert_eq!(cluster.stonith.secrets, Secrets::File);
}

#[test]
fn defaults_are_those_of_the_interface() {
    let cluster = read("stonith_nodes: {a: {method: kasa, ip: plug-a.lan}}");
    assert_eq!(cluster.fence_verify, None);
    assert_eq!(cluster.verify.wait, Duration::from_secs(10));
    assert!(!cluster.verify.require_witness && cluster.verify.metered_wait.is_none());
    assert_eq!(cluster.stonith.off_timeout, Duration::from_secs(60));
    assert_eq!(cluster.stonith.secrets, Secrets::Cib);
}

#[test]
fn json_says_the_same() {
    let cluster = read(
        "{\"stonith_nodes\": {\"a\": {\n\t\"method\": \"kasa\",\n\t\"ip\": \"::1\", \"port\": 0, \"off_max_watts\": 5}}}",
    );
    let entry = &cluster.nodes[0].devices[0];
    assert!(entry.any_port && !entry.settings.has("ipport"));
    let error = cluster.nodes[0].supplies().unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(
        error
            .to_string()
            .starts_with("a: port: 0 is for fencekit sim alone"),
        "{error}"
    );
}

#[test]
fn passwords_keep_their_spelling() {
    for (written, meant) in [
        ("0123", "0123"),
        ("yes", "yes"),
        ("1e3", "1e3"),
        ("0x1F", "0x1F"),
        ("\"a: b # c\"", "a: b # c"),
        ("' lead'", " lead"),
        ("p@ss{w}ord*", "p@ss{w}ord*"),
        ("\"\\u00e4\\\"\"", "ä\""),
    ] {
        let cluster = read(&format!(
            "stonith_nodes: \n  a:\n    method: kasa\n    ip: h\n    password: {written}\n"
        ));
        let settings = cluster.nodes[0].devices[0].settings().unwrap();
        assert_eq!(settings.secret("password").unwrap().expose(), meant);
    }
}

#[test]
fn anchors_and_merges_work_as_in_ansible() {
    let cluster = read(
        "plug: &plug {method: kasa, user: me, password: hunter2}\nstonith_nodes:\n  a: {<<: *plug, ip: 10.0.0.1}\n  b: {<<: *plug, ip: 10.0.0.2, user: you}\n",
    );
    let users: Vec<_> = cluster
        .nodes
        .iter()
        .map(|node| node.devices[0].settings.text("username").unwrap())
        .collect();
    assert_eq!(users, ["me", "you"]);
}

#[test]
fn nothing_secret_is_in_debug_output() {
    let cluster = read("stonith_nodes: {a: {method: kasa, ip: h, user: me, password: hunter2}}");
    assert!(!format!("{cluster:?}").contains("hunter2"));
}

#[test]
fn a_placeholder_is_worth_a_warning() {
    let cluster = read(
        "stonith_nodes:\n  a:\n    method: ipmi\n    ip: 10.0.0.1\n    user: u\n    password: CHANGEME-vault-this\n",
    );
    assert_eq!(
        cluster.warnings,
        [
            "cluster.yml, line 6, column 15: stonith_nodes.a.password: is still the example's CHANGEME; write the real one"
        ]
    );
}

#[test]
fn passwords_come_from_files_beside_the_cluster_file() {
    let directory = Directory::new("files");
    directory.write("a.secret", "sesame street\n", 0o600);
    directory.write("two.secret", "one\ntwo\n", 0o600);
    directory.write("empty.secret", "\n", 0o600);
    let load = |file: &str| {
        let text = format!("stonith_nodes: {{a: {{method: kasa, ip: h, password_file: {file}}}}}");
        let path = directory.write("cluster.yml", &text, 0o644);
        Cluster::load(path).unwrap()
    };
    let good = load("a.secret");
    let settings = good.nodes[0].devices[0].settings().unwrap();
    assert_eq!(settings.secret("password").unwrap().expose(), "sesame street");
    assert_eq!(good.warnings, [""; 0], "no password stands in the file itself");
    for (file, problem) in [
        ("two.secret", "is more than one line of text"),
        ("empty.secret", "is empty"),
        ("none.secret", "cannot be read"),
    ] {
        let error = load(file).nodes[0].supplies().unwrap_err().to_string();
        assert!(
            error.starts_with("a: password_file: ") && error.contains(problem),
            "{error}"
        );
        assert!(error.contains(directory.0.to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_file_with_a_password_that_everybody_can_read_is_worth_a_warning() {
    let directory = Directory::new("mode");
    let text = "stonith_nodes: {a: {method: kasa, ip: h, password: hunter2}}";
    let open = Cluster::load(directory.write("open.yml", text, 0o644)).unwrap();
    assert_eq!(open.warnings.len(), 1);
    assert!(open.warnings[0].contains("can be read by everybody") && !open.warnings[0].contains("hunter2"));
    let closed = Cluster::load(directory.write("closed.yml", text, 0o640)).unwrap();
    assert_eq!(closed.warnings, [""; 0]);
}

#[test]
fn files_that_are_no_cluster_files_are_refused() {
    let directory = Directory::new("odd");
    let huge = format!(
        "stonith_nodes: {{a: {{method: kasa, ip: h}}}}\n{}",
        "# filler\n".repeat(1_200_000)
    );
    let cases = [
        (directory.write("huge.yml", &huge, 0o600), "longer than 4 MiB"),
        (directory.0.join("none.yml"), "there is no such file"),
        (directory.0.clone(), "is a directory"),
    ];
    for (path, problem) in cases {
        let started = std::time::Instant::now();
        let error = Cluster::load(&path).unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
        assert_eq!(error.exit_code(), 2);
        assert!(started.elapsed() < Duration::from_secs(2));
    }
    let path = directory.0.join("latin1.yml");
    std::fs::write(&path, b"a: \xe4\n").unwrap();
    assert!(Cluster::load(path).unwrap_err().to_string().contains("no UTF-8"));
}

#[test]
fn host_vars_bring_the_addresses() {
    let directory = Directory::new("host-vars");
    let vars = directory.0.join("host_vars");
    std::fs::create_dir_all(&vars).unwrap();
    std::fs::write(
        vars.join("a.yml"),
        "mgmt_ip: \"10.20.20.1\"\nstorage_ip: 10.10.10.1\niscsi_target_iqn: \"{{ prefix }}:a\"\nclient_ips:\n  enduser: 10.30.30.1\n",
    )
    .unwrap();
    let nodes =
        "stonith_nodes:\n  a: {method: kasa, ip: h1, mgmt_ip: 10.20.20.1}\n  b: {method: kasa, ip: h2}\n";
    let path = directory.write(
        "cluster.yml",
        &format!("{nodes}verify: {{witnesses: {{enduser: [10.30.30.254]}}}}\n"),
        0o600,
    );
    let cluster = Cluster::load_with_host_vars(&path, &vars).unwrap();
    assert_eq!(cluster.node("a").unwrap().addresses.len(), 3);
    assert_eq!(cluster.warnings.len(), 1);
    assert!(cluster.warnings[0].ends_with("there are no host variables of b"));
    let alone = Cluster::load(&path).unwrap_err().to_string();
    assert!(
        alone.contains("verify.witnesses.enduser: is no network of any node"),
        "{alone}"
    );

    std::fs::write(vars.join("b.yml"), "mgmt_ip: 10.20.20.1\n").unwrap();
    let shared = Cluster::load_with_host_vars(&path, &vars)
        .unwrap_err()
        .to_string();
    assert!(shared.contains("has the address 10.20.20.1 of a"), "{shared}");
    std::fs::write(vars.join("a.yml"), "mgmt_ip: 10.20.20.9\n").unwrap();
    let torn = Cluster::load_with_host_vars(&path, &vars)
        .unwrap_err()
        .to_string();
    assert!(
        torn.contains("is 10.20.20.9, but the cluster file has 10.20.20.1 for a"),
        "{torn}"
    );
    assert!(Cluster::load_with_host_vars(&path, directory.0.join("none")).is_err());
}

#[test]
fn host_vars_bring_lists_as_the_file_has_them() {
    let directory = Directory::new("host-vars-lists");
    let vars = directory.0.join("host_vars");
    std::fs::create_dir_all(&vars).unwrap();
    let host_vars = "mgmt_ip: [10.20.20.1, 10.20.20.2]\nstorage_ip:\n  - 10.10.10.1\n  - 10.10.10.2\n\
                     client_ips: {enduser: [10.30.30.1, 10.30.30.2]}\n";
    std::fs::write(vars.join("a.yml"), host_vars).unwrap();
    let path = directory.write(
        "cluster.yml",
        "stonith_nodes:\n  a: {method: kasa, ip: h1}\n",
        0o600,
    );
    let cluster = Cluster::load_with_host_vars(&path, &vars).unwrap();
    let same = "stonith_nodes:\n  a: {method: kasa, ip: h1, mgmt_ip: [10.20.20.1, 10.20.20.2], \
                storage_ip: [10.10.10.1, 10.10.10.2], client_ips: {enduser: [10.30.30.1, 10.30.30.2]}}\n";
    let of_file = Cluster::from_text(same, "test").unwrap();
    assert_eq!(
        cluster.node("a").unwrap().addresses,
        of_file.node("a").unwrap().addresses
    );
    assert_eq!(cluster.node("a").unwrap().addresses.len(), 6);

    // What the file says is all there is: an address more would be unknown to whoever reads the file alone.
    let path = directory.write(
        "cluster.yml",
        "stonith_nodes:\n  a: {method: kasa, ip: h1, storage_ip: [10.10.10.1, 10.10.10.3]}\n",
        0o600,
    );
    let torn = Cluster::load_with_host_vars(&path, &vars)
        .unwrap_err()
        .to_string();
    assert!(
        torn.contains("storage_ip: is 10.10.10.2, but the cluster file has 10.10.10.1 for a"),
        "{torn}"
    );
    // Nor is a key that stands twice a list.
    std::fs::write(vars.join("a.yml"), "mgmt_ip: 10.20.20.1\nmgmt_ip: 10.20.20.2\n").unwrap();
    assert!(Cluster::load_with_host_vars(&path, &vars).is_err());
}

#[test]
fn an_unknown_node_is_told_its_neighbours() {
    let cluster =
        read("stonith_nodes:\n  storage-a: {method: kasa, ip: h1}\n  storage-b: {method: kasa, ip: h2}\n");
    assert_eq!(
        cluster.node("storage_b").unwrap_err().to_string(),
        "node: \"storage_b\" is not in the cluster file; did you mean storage-b? its nodes are: storage-a, storage-b"
    );
}

#[test]
fn keys_of_others_are_passed_over_but_slips_get_a_word() {
    let cluster = read("stonith_nodes: {a: {method: kasa, ip: h}}\nzfs: 1\nstonith_fence_verfy: false\n");
    assert_eq!(
        cluster.warnings,
        [
            "cluster.yml, line 3, column 1: stonith_fence_verfy: is passed over; did you mean stonith_fence_verify?"
        ]
    );
}

#[test]
fn a_key_that_resembles_none_gets_the_list() {
    let error = error("stonith_nodes:\n  a: {method: kasa, ip: 10.0.0.1, colour: blue}\n");
    let start = "cluster.yml, line 2, column 35: stonith_nodes.a.colour: is not known; the keys here are: ";
    assert!(error.starts_with(start), "{error}");
    for key in ["ip", "devices", "password_env", "identity", "off_max_watts"] {
        assert!(error.contains(key), "{error}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,300}") {
        let _ = Cluster::from_text(&text, "x");
    }

    #[test]
    fn broken_files_are_read_or_refused(at in 0usize..4000, piece in "[\\PC\t\n]{0,4}", cut in 0usize..8) {
        let mut text: Vec<char> = GROUP_VARS.chars().collect();
        let at = at % text.len();
        let end = (at + cut).min(text.len());
        text.splice(at..end, piece.chars());
        let text: String = text.into_iter().collect();
        if let Err(error) = Cluster::from_text(&text, "x") {
            let error = error.to_string();
            proptest::prop_assert!(error.starts_with("x, line "), "{}", error);
            proptest::prop_assert!(!error.contains('\n'), "{}", error);
        }
    }

    #[test]
    fn every_password_is_kept(password in "[^\\x00\n\r]{1,40}") {
        let json = serde_json::to_string(&password).unwrap();
        // Control characters of the second kind are JSON, but not YAML.
        let is_yaml = |c: char| !matches!(c, '\x7f'..='\u{9f}' | '\u{fffe}' | '\u{ffff}');
        proptest::prop_assume!(!password.trim().starts_with("{{") && password.chars().all(is_yaml));
        let cluster = Cluster::from_text(
            &format!("{{\"stonith_nodes\": {{\"a\": {{\"method\": \"kasa\", \"ip\": \"h\", \"password\": {json}}}}}}}"),
            "x",
        );
        let settings = cluster.unwrap().nodes[0].devices[0].settings().unwrap();
        let kept = settings.secret("password").unwrap();
        proptest::prop_assert_eq!(kept.expose(), password.as_str());
    }
}

#[test]
fn a_url_with_a_token_makes_a_file_that_others_can_read_a_warning() {
    let directory = Directory::new("token");
    let warned = |url: &str| {
        let text = format!(
            "stonith_nodes:\n  b:\n    {{method: http, ip: 127.0.0.1, power_off_url: \"{url}\", power_on_url: /on, \
             status_url: /s, status_on_regex: 'on', status_off_regex: 'off'}}\n"
        );
        let path = directory.write("cluster.yml", &text, 0o644);
        let cluster = Cluster::load(&path).unwrap();
        cluster
            .warnings
            .iter()
            .any(|line| line.contains("can be read by everybody"))
    };
    assert!(warned("/off?token=abc"));
    assert!(!warned("/off"));
}
