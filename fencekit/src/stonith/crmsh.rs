//! A configuration for crmsh.

use std::fmt::Write;

use super::build::whole_seconds;
use super::model::Configuration;

/// Lines for `crm configure load update FILE`. They hold the passwords of `secrets: cib`: keep the file readable by
/// root alone.
#[must_use]
pub fn crmsh(configuration: &Configuration) -> String {
    let mut text = String::from(
        "# Fencing, written by fencekit generate crmsh. Load it with: crm configure load update FILE\n",
    );
    if configuration.holds_secrets() {
        text.push_str("# Holds passwords: keep it readable by root alone (chmod 600).\n");
    }
    for note in &configuration.notes {
        let _ = writeln!(text, "# {}", note.replace(char::is_control, " "));
    }
    for resource in &configuration.resources {
        let _ = write!(
            text,
            "primitive {} stonith:{} \\\n    params",
            resource.id, resource.agent
        );
        for attribute in &resource.attributes {
            let _ = write!(text, " {}={}", attribute.name, quoted(attribute.value.expose()));
        }
        let interval = whole_seconds(resource.monitor_interval);
        let _ = writeln!(text, " \\\n    op monitor interval={interval}");
    }
    for rule in &configuration.rules {
        let (resource, node) = (&rule.resource, &rule.node);
        let id = format!("location-{resource}-{}--INFINITY", super::build::id_of(node));
        let _ = writeln!(text, "location {id} {resource} -inf: {}", quoted(node));
    }
    if !configuration.levels.is_empty() {
        text.push_str("fencing_topology");
        for level in &configuration.levels {
            // With commas: all of them. With blanks each would be a level of its own.
            let _ = write!(
                text,
                " \\\n    {}: {}",
                quoted(&level.node),
                level.resources.join(",")
            );
        }
        text.push('\n');
    }
    if !configuration.properties.is_empty() {
        text.push_str("property");
        for property in &configuration.properties {
            let _ = write!(text, " {}={}", property.name, quoted(&property.value));
        }
        text.push('\n');
    }
    text
}

/// Quotes that hold in crmsh, whose words are split as a POSIX shell splits them.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ',' | '/');
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}
