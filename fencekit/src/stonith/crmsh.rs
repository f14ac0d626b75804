//! A configuration for crmsh.

use std::fmt::Write;

use super::build::whole_seconds;
use super::model::Configuration;
use crate::error::{Error, Result};

/// Lines for `crm configure load update FILE`. They hold the passwords of `secrets: cib`: keep the file readable by
/// root alone.
///
/// # Errors
/// [`Error::Config`] for a value beyond ASCII: crmsh 4.4 loads it, and writes something else into the cluster.
pub fn crmsh(configuration: &Configuration) -> Result<String> {
    refuse_what_crmsh_changes(configuration)?;
    let mut text = String::from(
        "# Fencing, written by fencekit generate crmsh. Load it with: crm configure load update FILE\n",
    );
    if configuration.holds_secrets() {
        text.push_str("# Holds passwords: keep it readable by root alone (chmod 600).\n");
    }
    for note in &configuration.notes {
        let _ = writeln!(text, "# {}", comment(note));
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
            // With commas: all of them. After a blank comes the next level of the same node.
            if level.index == 1 {
                let _ = write!(text, " \\\n    {}:", quoted(&level.node));
            }
            let _ = write!(text, " {}", level.resources.join(","));
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
    Ok(text)
}

/// crmsh puts `&#233;` for é, and escapes that once more: the device would get another password. And it cannot read a
/// backslash before a double quote, however they are quoted.
fn refuse_what_crmsh_changes(configuration: &Configuration) -> Result<()> {
    let refuse = |what: String, problem: &str| {
        Err(Error::config(
            what,
            problem,
            "change it, keep passwords out with secrets: file, or generate cib or pcs",
        ))
    };
    const BEYOND: &str = "holds a character beyond ASCII, which crmsh changes on its way into the cluster";
    for resource in &configuration.resources {
        for attribute in &resource.attributes {
            let (value, of) = (
                attribute.value.expose(),
                format!("{}: {}", resource.node, attribute.name),
            );
            if !value.is_ascii() {
                return refuse(of, BEYOND);
            }
            if value.contains("\\\"") || value.ends_with('\\') {
                return refuse(
                    of,
                    "holds a backslash before a double quote or at its end, which crmsh cannot read",
                );
            }
        }
    }
    match configuration.rules.iter().find(|rule| !rule.node.is_ascii()) {
        Some(rule) => refuse(format!("node {}", rule.node), BEYOND),
        None => Ok(()),
    }
}

/// A note as a comment of one line. crmsh keeps it as one of XML, where two dashes would end it.
fn comment(text: &str) -> String {
    let mut text = text.replace(char::is_control, " ");
    while text.contains("--") {
        text = text.replace("--", "- -");
    }
    let text = text.trim_end();
    match text.strip_suffix('-') {
        Some(rest) => format!("{rest}_"),
        None => text.to_owned(),
    }
}

/// Quotes that hold in crmsh, whose words are split as a POSIX shell splits them.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ',' | '/');
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}
