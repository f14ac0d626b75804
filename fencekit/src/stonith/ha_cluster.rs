//! Variables of the linux-system-roles role `ha_cluster`.

use std::fmt::Write;

use super::build::whole_seconds;
use super::model::Configuration;

/// What whoever runs the role must know.
pub(crate) const ROLE_SETS_EVERYTHING: &str = "the role ha_cluster sets the whole cluster's configuration, and takes away what its other variables do not say";

/// The role's variables as YAML. They hold the passwords of `secrets: cib`: keep them in a vault.
#[must_use]
pub fn ha_cluster(configuration: &Configuration) -> String {
    let mut text = String::from(
        "---\n# Variables of the role ha_cluster (linux-system-roles), written by fencekit generate ha-cluster.\n",
    );
    if configuration.holds_secrets() {
        text.push_str(
            "# Holds passwords: encrypt it with ansible-vault, or write secrets: file in the cluster file.\n",
        );
    }
    let own = [ROLE_SETS_EVERYTHING.to_owned()];
    for note in own.iter().chain(&configuration.notes) {
        let _ = writeln!(text, "# {}", note.replace(char::is_control, " "));
    }
    text.push_str("ha_cluster_resource_primitives:\n");
    for resource in &configuration.resources {
        let _ = writeln!(text, "  - id: {}", scalar(&resource.id));
        let _ = writeln!(
            text,
            "    agent: {}",
            scalar(&format!("stonith:{}", resource.agent))
        );
        text.push_str("    instance_attrs:\n      - attrs:\n");
        for attribute in &resource.attributes {
            let _ = writeln!(text, "          - name: {}", scalar(attribute.name));
            let _ = writeln!(text, "            value: {}", scalar(attribute.value.expose()));
        }
        let interval = scalar(&whole_seconds(resource.monitor_interval));
        text.push_str("    operations:\n      - action: monitor\n        attrs:\n");
        let _ = writeln!(text, "          - name: interval\n            value: {interval}");
    }
    text.push_str("ha_cluster_stonith_levels:\n");
    for level in &configuration.levels {
        let _ = writeln!(text, "  - level: {}", level.index);
        let _ = writeln!(text, "    target: {}\n    resource_ids:", scalar(&level.node));
        for resource in &level.resources {
            let _ = writeln!(text, "      - {}", scalar(resource));
        }
    }
    text.push_str("ha_cluster_constraints_location:\n");
    for rule in &configuration.rules {
        let _ = writeln!(text, "  - resource:\n      id: {}", scalar(&rule.resource));
        let _ = writeln!(text, "    node: {}", scalar(&rule.node));
        text.push_str("    options:\n      - name: score\n        value: \"-INFINITY\"\n");
    }
    text.push_str("ha_cluster_cluster_properties:\n  - attrs:\n");
    for property in &configuration.properties {
        let _ = writeln!(text, "      - name: {}", scalar(property.name));
        let _ = writeln!(text, "        value: {}", scalar(&property.value));
    }
    text
}

/// A JSON string is a YAML string, whatever it holds. Jinja would read `{{` and `{%` in it: such a value is marked
/// as text that is no template.
pub(crate) fn scalar(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    match text.contains("{{") || text.contains("{%") || text.contains("{#") {
        true => format!("!unsafe {quoted}"),
        false => quoted,
    }
}
