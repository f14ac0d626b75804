//! Ansible's variables of a cluster: the way back from a cluster file to group and host variables.
//!
//! `group_vars/storage_nodes/cluster.yml` with `host_vars` beside it is a cluster file again, as the original has them;
//! `group_vars/all/ha_cluster.yml` is for the linux-system-roles role `ha_cluster`.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::produce::{File, directory};
use super::{Generated, Kind};
use crate::cluster::{Cluster, Entry, Network, Node, Password, Secrets};
use crate::error::Result;
use crate::method::Method;
use crate::stonith::{Configuration, ROLE_SETS_EVERYTHING, ha_cluster, scalar};

/// Group and host variables. `file` is where the nodes have the cluster file.
///
/// # Errors
/// As [`Configuration::new`].
pub(super) fn ansible(cluster: &Cluster, file: &Path) -> Result<Generated> {
    let wanted = Configuration::new(cluster, file)?;
    let mut notes = wanted.notes.clone();
    notes.push(format!("ha_cluster.yml: {ROLE_SETS_EVERYTHING}"));
    let mut files = vec![
        File {
            name: "group_vars/storage_nodes/cluster.yml".to_owned(),
            text: group_variables(cluster, &mut notes),
            secret: cluster.holds_secrets(),
        },
        File {
            name: "group_vars/all/ha_cluster.yml".to_owned(),
            text: ha_cluster(&wanted),
            secret: wanted.holds_secrets(),
        },
    ];
    for node in cluster.nodes.iter().filter(|node| has_host_variables(node)) {
        files.push(File {
            name: format!("host_vars/{}.yml", node.name),
            text: format!(
                "---\n# Where {} answers; written by fencekit generate ansible.\n{}",
                node.name,
                addresses(node, "")
            ),
            secret: false,
        });
    }
    if files.iter().any(|file| file.secret) {
        notes.push(
            "its passwords stand in the group variables: encrypt the single values with ansible-vault, or write \
             password_file into the cluster file; fencekit itself cannot open a vault"
                .to_owned(),
        );
    }
    Ok(directory(Kind::Ansible, files, notes))
}

/// Whether a node's addresses go into a file under its name. One management and one storage address fit there; others,
/// and those of a node whose name is none of a file, stay with the group.
fn has_host_variables(node: &Node) -> bool {
    let is_single = |network: Network| {
        let own = node.addresses.iter().filter(|address| address.network == network);
        own.count() <= 1
    };
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    !node.addresses.is_empty()
        && !node.name.starts_with('.')
        && node.name.chars().all(plain)
        && is_single(Network::Management)
        && is_single(Network::Storage)
}

fn group_variables(cluster: &Cluster, notes: &mut Vec<String>) -> String {
    let mut text = String::from(
        "---\n# Fencing: which device cuts which node's power; written by fencekit generate ansible.\n",
    );
    if cluster.holds_secrets() {
        text.push_str("# Holds passwords: keep it from others, and encrypt them with ansible-vault.\n");
    }
    text.push_str("stonith_nodes:\n");
    for node in &cluster.nodes {
        let _ = writeln!(text, "  {}:", quoted(&node.name));
        match node.devices.as_slice() {
            [entry] => text.push_str(&device(entry, "    ")),
            several => {
                text.push_str("    devices:\n");
                for entry in several {
                    text.push_str(&device(entry, "        ").replacen("        ", "      - ", 1));
                }
            }
        }
        if let Some(fallback) = &node.fallback {
            text.push_str("    fallback:\n");
            text.push_str(&device(fallback, "      "));
        }
        if let Some(delay) = node.delay {
            let _ = writeln!(text, "    delay: {}", time(delay));
        }
        if !node.tcp_ports.is_empty() {
            let _ = writeln!(text, "    tcp_ports: {}", list(&node.tcp_ports));
        }
        if !node.addresses.is_empty() && !has_host_variables(node) {
            notes.push(format!(
                "{}: its addresses stay in the group variables, since host variables cannot carry them",
                node.name
            ));
            text.push_str(&addresses(node, "    "));
        }
        for entry in node.entries() {
            if let Password::Environment(variable) = &entry.password {
                notes.push(format!(
                    "{}: its password is in the variable {variable}, which must be set wherever fencekit runs",
                    node.name
                ));
            }
        }
    }
    settings(&mut text, cluster);
    text
}

/// A device's keys, by the names that the original has for them.
fn device(entry: &Entry, indent: &str) -> String {
    let mut text = format!("{indent}method: {}\n", entry.method());
    for spec in entry.method().options() {
        let Some(value) = entry.settings.secret(spec.name) else {
            continue;
        };
        let key = match (entry.method(), spec.name) {
            (_, "ipport") => "port",
            (_, "username") => "user",
            (_, "expect_identity") => "identity",
            (Method::Esphome, "plug") => "switch_name",
            (_, name) => name,
        };
        let _ = writeln!(text, "{indent}{key}: {}", scalar(value.expose()));
    }
    if entry.any_port {
        let _ = writeln!(text, "{indent}port: 0");
    }
    let (key, value) = match &entry.password {
        Password::None => return text,
        Password::Given(secret) => ("password", secret.expose().to_owned()),
        Password::File(path) => ("password_file", path.display().to_string()),
        Password::Environment(variable) => ("password_env", variable.clone()),
        Password::Script(script) => ("password_script", script.clone()),
    };
    let _ = writeln!(text, "{indent}{key}: {}", scalar(&value));
    text
}

fn settings(text: &mut String, cluster: &Cluster) {
    if let Some(wanted) = cluster.fence_verify {
        let _ = writeln!(text, "stonith_fence_verify: {wanted}");
    }
    let verify = &cluster.verify;
    let _ = writeln!(text, "verify:\n  wait: {}", time(verify.wait));
    if let Some(wait) = verify.metered_wait {
        let _ = writeln!(text, "  metered_wait: {}", time(wait));
    }
    let _ = writeln!(text, "  require_witness: {}", verify.require_witness);
    if !verify.witnesses.is_empty() {
        text.push_str("  witnesses:\n");
    }
    for (network, witnesses) in &verify.witnesses {
        let _ = writeln!(text, "    {}: {}", quoted(&network.to_string()), list(witnesses));
    }
    let stonith = &cluster.stonith;
    let secrets = match stonith.secrets {
        Secrets::Cib => "cib",
        Secrets::File => "file",
    };
    let _ = write!(
        text,
        "stonith:\n  monitor_interval: {}\n  off_timeout: {}\n  on_timeout: {}\n  secrets: {secrets}\n",
        time(stonith.monitor_interval),
        time(stonith.off_timeout),
        time(stonith.on_timeout),
    );
    if !cluster.quorum_nodes.is_empty() {
        let _ = writeln!(text, "quorum_nodes: {}", list(&cluster.quorum_nodes));
    }
}

/// `mgmt_ip`, `storage_ip` and `client_ips` of a node.
fn addresses(node: &Node, indent: &str) -> String {
    let mut text = String::new();
    for (key, network) in [("mgmt_ip", Network::Management), ("storage_ip", Network::Storage)] {
        let own = node.addresses.iter().filter(|address| address.network == network);
        match own.map(|address| address.ip).collect::<Vec<_>>().as_slice() {
            [] => {}
            [one] => {
                let _ = writeln!(text, "{indent}{key}: {}", quoted(&one.to_string()));
            }
            several => {
                let _ = writeln!(text, "{indent}{key}: {}", list(several));
            }
        }
    }
    let mut clients: Vec<(&Network, Vec<IpAddr>)> = Vec::new();
    for address in &node.addresses {
        if !matches!(address.network, Network::Client(_)) {
            continue;
        }
        match clients
            .iter_mut()
            .find(|(network, _)| **network == address.network)
        {
            Some((_, all)) => all.push(address.ip),
            None => clients.push((&address.network, vec![address.ip])),
        }
    }
    match clients.as_slice() {
        [] => {}
        [(Network::Client(None), all)] => {
            let _ = writeln!(text, "{indent}client_ips: {}", list(all));
        }
        named => {
            let _ = writeln!(text, "{indent}client_ips:");
            for (network, all) in named {
                let name = quoted(&network.to_string());
                let _ = match all.as_slice() {
                    [one] => writeln!(text, "{indent}  {name}: {}", quoted(&one.to_string())),
                    several => writeln!(text, "{indent}  {name}: {}", list(several)),
                };
            }
        }
    }
    text
}

fn list(items: &[impl ToString]) -> String {
    let items: Vec<_> = items.iter().map(|item| scalar(&item.to_string())).collect();
    format!("[{}]", items.join(", "))
}

/// A key: Ansible fills in values alone.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn time(time: Duration) -> String {
    quoted(&format!("{}s", time.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = r#"
stonith_nodes:
  storage-a:
    method: ipmi
    ip: 10.0.0.1
    port: 6230
    user: u
    password: "{{ not }} 'a' {% x"
    identity: "50:c7:bf:00:00:01"
    mgmt_ip: 10.0.1.1
    storage_ip: 10.0.2.1
    client_ips: {enduser: 10.0.3.1, hypervisor: [10.0.4.1, "fd00::1"]}
    tcp_ports: [22, 445]
  storage-b:
    devices:
      - {method: kasa, ip: 10.0.0.2, plug: "Rack, left", password_file: /etc/fencekit/b.secret}
      - {method: esphome, ip: 10.0.0.3, switch_name: "Relay #1", encryption_key: QRTIErOb/fcE9Ukd/5qA3RGYMn0Y+p06U58SCtOXvPc=}
    mgmt_ip: [10.0.1.2, "fd00::2"]
  "c/d": {method: tasmota, ip: 10.0.0.4, password: four, client_ips: [10.0.3.3, 10.0.5.3]}
  e: {method: tasmota, ip: 10.0.0.5, password_env: HOME}
verify: {wait: 2.5, metered_wait: 1.25, require_witness: true, witnesses: {management: [10.0.1.254], enduser: [10.0.3.254]}}
stonith: {monitor_interval: 2m, off_timeout: 20.5, on_timeout: 45s}
quorum_nodes: [quorum]
"#;

    fn read_back(made: &Generated) -> Cluster {
        let place = tempfile::tempdir().unwrap();
        for file in &made.files {
            let path = place.path().join(&file.name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &file.text).unwrap();
        }
        std::fs::create_dir_all(place.path().join("host_vars")).unwrap();
        let group = place.path().join("group_vars/storage_nodes/cluster.yml");
        Cluster::load_with_host_vars(group, place.path().join("host_vars")).unwrap()
    }

    /// Everything that a cluster says but its warnings, secrets included.
    fn everything(cluster: &Cluster) -> String {
        let mut cluster = cluster.clone();
        cluster.warnings.clear();
        for node in &mut cluster.nodes {
            node.has_host_vars = false;
            node.addresses
                .sort_by(|one, other| one.network.cmp(&other.network));
        }
        let wanted = Configuration::new(&cluster, Path::new("/c")).unwrap();
        format!("{cluster:#?}\n{}", crate::stonith::cib(&wanted).unwrap())
    }

    #[test]
    fn the_variables_are_the_cluster_file_again() {
        let cluster = Cluster::from_text(FILE, "test").unwrap();
        let made = ansible(&cluster, Path::new("/c")).unwrap();
        assert_eq!(everything(&read_back(&made)), everything(&cluster));
        let names: Vec<_> = made.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "group_vars/storage_nodes/cluster.yml",
                "group_vars/all/ha_cluster.yml",
                "host_vars/storage-a.yml"
            ]
        );
        let notes = made.notes.join("\n");
        for said in [
            "storage-b: its addresses stay",
            "c/d: its addresses stay",
            "variable HOME",
            "ansible-vault",
        ] {
            assert!(notes.contains(said), "{said}: {notes}");
        }
        assert!(
            made.files[0].text.contains("password: !unsafe \"{{ not }}"),
            "{}",
            made.files[0].text
        );
        assert!(!made.text.contains("{{ not }}") && made.files[0].secret);
    }

    #[test]
    fn a_fallback_and_a_delay_come_back_too() {
        let file = "stonith_nodes:\n  a:\n    {method: kasa, ip: 10.0.0.1, mgmt_ip: 10.0.1.1, delay: 5, \
                    fallback: {method: tasmota, ip: 10.0.0.9, password: \"tas' mota\", plug: 2}}\n";
        let cluster = Cluster::from_text(file, "test").unwrap();
        let read = read_back(&ansible(&cluster, Path::new("/c")).unwrap());
        assert!(read.nodes[0].fallback.is_some() && read.nodes[0].delay.is_some());
        assert_eq!(everything(&read), everything(&cluster));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever a cluster file may say comes back, or is refused for what no cluster can carry.
        #[test]
        fn any_value_goes_there_and_back(
            name in "[a-z{}'\"#%/._é-]{1,12}",
            user in "\\PC{0,20}",
            password in "[ -~é火\u{a0}]{0,30}",
            plug in "[ -~]{0,20}",
            wait in 1000u64..9000,
            client in "[a-z{}' #]{1,8}",
        ) {
            let json = |text: &str| serde_json::Value::from(text).to_string();
            let text = format!(
                "stonith_nodes:\n  {}: {{method: kasa, ip: 10.0.0.1, user: !unsafe {}, password: {}, plug: {}, \
                 client_ips: {{{}: 10.1.0.1}}}}\nverify: {{wait: {wait}ms}}\n",
                json(&name), json(&user), json(&password), json(&plug), json(&client),
            );
            let Ok(cluster) = Cluster::from_text(&text, "test") else { return Ok(()) };
            let Ok(made) = ansible(&cluster, Path::new("/c")) else { return Ok(()) };
            prop_assert_eq!(everything(&read_back(&made)), everything(&cluster));
        }
    }
}
