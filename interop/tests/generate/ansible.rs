//! Ansible's variables, read by Ansible; and those of the role `ha_cluster` against what its documentation says of them.
//!
//! The role itself is not run: no registry has it, and it takes machines of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use fencekit::cluster::Cluster;
use fencekit::generate::{Kind, Options};
use fencekit_interop::{ansible_bin, required, run};
use serde_json::Value;

use super::{LIMIT, hostile_file, made, of_file};

const PLAYBOOK: &str = r#"
- hosts: storage_nodes
  gather_facts: false
  tasks:
    - name: Tell what was read
      ansible.builtin.copy:
        dest: "{{ playbook_dir }}/{{ inventory_hostname }}.json"
        mode: "0600"
        content: >-
          {{ {'stonith_nodes': stonith_nodes, 'ha': ha_cluster_resource_primitives, 'levels': ha_cluster_stonith_levels,
              'location': ha_cluster_constraints_location, 'properties': ha_cluster_cluster_properties,
              'mgmt_ip': mgmt_ip | default(none)} | to_json }}
"#;

fn playbook(place: &Path, arguments: &[&str]) {
    let mut command = Command::new(ansible_bin("ansible-playbook").unwrap());
    command
        .current_dir(place)
        .env("HOME", place)
        .env("LC_ALL", "C.UTF-8")
        .env("ANSIBLE_HOME", place.join("home"))
        .args(["-i", "hosts.yml", "play.yml"])
        .args(arguments);
    let out = run(&mut command, "", LIMIT);
    assert!(out.ok(), "{arguments:?}: {out}");
}

/// What Ansible reads of the variables of a cluster file, on its first node: those of `generate ansible`, and in the
/// place of its part for the role what `generate ha-cluster` prints.
fn through_ansible(text: &str) -> Value {
    let place = tempfile::tempdir().unwrap();
    for file in made(Kind::Ansible, text, &Options::default()).files {
        let path = place.path().join(file.name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file.text).unwrap();
    }
    fs::write(
        place.path().join("group_vars/all/ha_cluster.yml"),
        made(Kind::HaCluster, text, &Options::default()).text,
    )
    .unwrap();
    let first = Cluster::from_text(text, "test").unwrap().nodes[0].name.clone();
    // This Ansible's own Python: what is found elsewhere on the machine may not run.
    let python = r#"ansible_python_interpreter: "{{ ansible_playbook_python }}""#;
    let hosts = format!("storage_nodes: {{hosts: {{{first}: {{ansible_connection: local, {python}}}}}}}\n");
    fs::write(place.path().join("hosts.yml"), hosts).unwrap();
    fs::write(place.path().join("play.yml"), PLAYBOOK).unwrap();
    playbook(place.path(), &["--syntax-check"]);
    playbook(place.path(), &[]);
    let told = fs::read_to_string(place.path().join(format!("{first}.json"))).unwrap();
    serde_json::from_str(&told).unwrap()
}

#[test]
fn ansible_reads_every_value_as_it_stands_in_the_cluster_file() {
    required!(ansible_bin("ansible-playbook"));
    // Jinja's signs are among the characters; here they are surely together.
    let text = hostile_file("é火\u{a0}").replacen("user: \"v", "user: \"{{ 7 * 7 }} {% raw %} {# x #}", 1);
    let read = through_ansible(&text);
    let cluster = Cluster::from_text(&text, "test").unwrap();
    let mut compared = 0;
    for (node, primitive) in cluster.nodes.iter().zip(read["ha"].as_array().unwrap()) {
        let settings = node.devices[0].settings().unwrap();
        let pairs = primitive["instance_attrs"][0]["attrs"].as_array().unwrap();
        for (option, key) in [("username", "user"), ("password", "password"), ("plug", "plug")] {
            let value = settings.secret(option).unwrap();
            let read = &read["stonith_nodes"][&node.name][key];
            assert_eq!(read, value.expose(), "{}", node.name);
            let pair = pairs.iter().find(|pair| pair["name"] == option).unwrap();
            assert_eq!(pair["value"], value.expose(), "{}", node.name);
            compared += 1;
        }
    }
    assert_eq!(compared, 3 * 24);
}

#[test]
fn the_role_s_variables_have_the_shape_that_it_documents() {
    required!(ansible_bin("ansible-playbook"));
    let read = through_ansible(&of_file("original"));
    assert_eq!(read["mgmt_ip"], "10.20.20.1");
    let each = |name: &str| {
        let all = read[name].as_array().unwrap();
        assert!(!all.is_empty(), "{name}");
        all.clone()
    };
    for primitive in each("ha") {
        keys(&primitive, &["id", "agent", "instance_attrs", "operations"]);
        assert!(primitive["agent"].as_str().unwrap().starts_with("stonith:fence_"));
        attributes(&primitive["instance_attrs"]);
        let operations = primitive["operations"].as_array().unwrap();
        assert_eq!(operations.len(), 1);
        keys(&operations[0], &["action", "attrs"]);
        pairs(&operations[0]["attrs"]);
    }
    let ids: Vec<_> = each("ha").iter().map(|one| one["id"].clone()).collect();
    for level in each("levels") {
        keys(&level, &["level", "target", "resource_ids"]);
        assert!((1..=9).contains(&level["level"].as_u64().unwrap()));
        let members = level["resource_ids"].as_array().unwrap();
        assert!(!members.is_empty() && members.iter().all(|id| ids.contains(id)));
    }
    for rule in each("location") {
        keys(&rule, &["resource", "node", "options"]);
        keys(&rule["resource"], &["id"]);
        assert!(ids.contains(&rule["resource"]["id"]) && rule["node"].is_string());
        pairs(&rule["options"]);
        assert_eq!(rule["options"][0]["value"], "-INFINITY");
    }
    attributes(&read["properties"]);
}

/// A map with these keys and no others.
fn keys(value: &Value, expected: &[&str]) {
    let mut found: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = expected.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{value}");
}

/// A list with one set of attributes; the role takes no notice of more.
fn attributes(value: &Value) {
    let sets = value.as_array().unwrap();
    assert_eq!(sets.len(), 1, "{value}");
    keys(&sets[0], &["attrs"]);
    pairs(&sets[0]["attrs"]);
}

/// A list of names with values, each a text.
fn pairs(value: &Value) {
    let pairs = value.as_array().unwrap();
    assert!(!pairs.is_empty());
    for pair in pairs {
        keys(pair, &["name", "value"]);
        assert!(pair["name"].is_string() && pair["value"].is_string(), "{pair}");
    }
}
