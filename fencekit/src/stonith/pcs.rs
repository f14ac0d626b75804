//! `configure-stonith.sh`: a script that brings the configuration into a cluster with pcs.

use std::fmt::Write;

use super::build::whole_seconds;
use super::model::{Configuration, Level, Resource};
use super::value::ShellWord;
use crate::error::Result;

const HEAD: &str = include_str!("pcs_script/head.sh");
const TAIL: &str = include_str!("pcs_script/tail.sh");
const STEP: &str = include_str!("pcs_script/step.py");
/// Ends the program text within the script; no line of it is this word.
const END_OF_STEP: &str = "END_OF_STEP";

/// The script, for pcs 0.10 to 0.12. Secrets go from it to the configuration by files of its own, never by argv; with
/// `secrets: cib` it holds them, so it must be readable by root alone.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) for what a shell cannot carry; the model was checked before.
pub fn pcs(configuration: &Configuration) -> Result<String> {
    let mut script =
        String::from("#!/bin/bash\n# Configures the cluster's fencing; written by fencekit generate pcs.\n");
    if configuration.holds_secrets() {
        script.push_str(
            "# HOLDS PASSWORDS: keep it readable by root alone (chmod 700), and delete it after use.\n",
        );
    } else {
        script.push_str("# Holds no passwords.\n");
    }
    for note in &configuration.notes {
        let _ = writeln!(script, "# NOTE: {}", comment(note));
    }
    script.push_str("#\n");
    script.push_str(HEAD);
    let _ = write!(
        script,
        "cat >\"$work/step.py\" <<'{END_OF_STEP}'\n{STEP}{END_OF_STEP}\n\n"
    );
    wanted(&mut script, configuration)?;
    script.push_str(TAIL);
    Ok(script)
}

/// The part that says what is wanted, and runs twice: to change, and to compare.
fn wanted(script: &mut String, configuration: &Configuration) -> Result<()> {
    script.push_str(
        "# Values in single quotes are meant as they stand.\n# shellcheck disable=SC2016\nwanted() {\n",
    );
    for resource in &configuration.resources {
        device(script, resource)?;
    }
    for level in &configuration.levels {
        let verb = match level.index {
            1 => "level".to_owned(),
            index => format!("level_at {index}"),
        };
        let _ = write!(script, "    {verb} {}", ShellWord::new(&level.node)?);
        for resource in &level.resources {
            let _ = write!(script, " {}", ShellWord::new(resource)?);
        }
        script.push('\n');
    }
    let mut told: Vec<&str> = Vec::new();
    for Level { node, .. } in &configuration.levels {
        if told.contains(&node.as_str()) {
            continue;
        }
        told.push(node);
        let _ = write!(script, "    only_levels {}", ShellWord::new(node)?);
        let own = configuration.levels.iter().filter(|level| level.node == *node);
        for level in own {
            let _ = write!(script, " {}", level.index);
        }
        script.push('\n');
    }
    for resource in &configuration.resources {
        let _ = write!(script, "    keep_off {}", ShellWord::new(&resource.id)?);
        for rule in configuration
            .rules
            .iter()
            .filter(|rule| rule.resource == resource.id)
        {
            let _ = write!(script, " {}", ShellWord::new(&rule.node)?);
        }
        script.push('\n');
    }
    for property in &configuration.properties {
        let _ = writeln!(
            script,
            "    property {} {}",
            property.name,
            ShellWord::new(&property.value)?
        );
    }
    script.push_str("}\n");
    Ok(())
}

fn device(script: &mut String, resource: &Resource) -> Result<()> {
    let id = ShellWord::new(&resource.id)?;
    let (secret, open): (Vec<_>, Vec<_>) = resource.attributes.iter().partition(|attribute| attribute.secret);
    for attribute in secret {
        let value = attribute.value.expose();
        // A quoted here-document carries every line as it stands, except its own end.
        let end = match value {
            "END_OF_SECRET" => "END_OF_THIS_SECRET",
            _ => "END_OF_SECRET",
        };
        let _ = writeln!(
            script,
            "    secret {id} {} <<'{end}'\n{value}\n{end}",
            attribute.name
        );
    }
    let interval = whole_seconds(resource.monitor_interval);
    let _ = write!(script, "    device {id} {} {interval}", resource.agent);
    for attribute in open {
        let word = ShellWord::new(&format!("{}={}", attribute.name, attribute.value.expose()))?;
        let _ = write!(script, " \\\n        {word}");
    }
    script.push('\n');
    Ok(())
}

/// A note as a comment of one line.
fn comment(text: &str) -> String {
    text.replace(char::is_control, " ")
}
