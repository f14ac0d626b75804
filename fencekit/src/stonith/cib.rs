//! A configuration as the cluster's own XML.

use quick_xml::Writer;
use quick_xml::events::{BytesText, Event};

use super::build::{id_of, whole_seconds};
use super::model::{Configuration, Level, LocationRule, Property, Resource};
use crate::error::{Error, Result};

/// The oldest schema that every Pacemaker since 2.0 knows.
const SCHEMA: &str = "pacemaker-3.0";

/// A whole CIB with nothing but fencing in it.
///
/// # Errors
/// [`Error::Config`] when the text cannot be made; values were checked before.
pub fn cib(configuration: &Configuration) -> Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    document(&mut writer, configuration)
        .map_err(|cause| Error::config("cib", "cannot be written as XML", "report this").caused_by(cause))?;
    let mut text = String::from_utf8(writer.into_inner())
        .map_err(|cause| Error::config("cib", "is no UTF-8 text", "report this").caused_by(cause))?;
    text.push('\n');
    Ok(text)
}

type Xml = Writer<Vec<u8>>;
type Written = std::io::Result<()>;

fn document(writer: &mut Xml, configuration: &Configuration) -> Written {
    let mut words = String::from(" Fencing, written by fencekit generate cib. ");
    if configuration.holds_secrets() {
        words.push_str("Holds passwords: keep it readable by root alone. ");
    }
    for note in &configuration.notes {
        words.push_str(note);
        words.push_str(". ");
    }
    // Two dashes would end the comment.
    while words.contains("--") {
        words = words.replace("--", "- -");
    }
    writer.write_event(Event::Comment(BytesText::from_escaped(words)))?;
    writer
        .create_element("cib")
        .with_attributes([
            ("validate-with", SCHEMA),
            ("admin_epoch", "0"),
            ("epoch", "1"),
            ("num_updates", "0"),
        ])
        .write_inner_content(|writer| {
            writer
                .create_element("configuration")
                .write_inner_content(|writer| {
                    properties(writer, &configuration.properties)?;
                    writer.create_element("nodes").write_empty()?;
                    writer.create_element("resources").write_inner_content(|writer| {
                        configuration
                            .resources
                            .iter()
                            .try_for_each(|resource| primitive(writer, resource))
                    })?;
                    writer
                        .create_element("constraints")
                        .write_inner_content(|writer| {
                            configuration
                                .rules
                                .iter()
                                .try_for_each(|rule| location(writer, rule))
                        })?;
                    writer
                        .create_element("fencing-topology")
                        .write_inner_content(|writer| {
                            configuration.levels.iter().try_for_each(|one| level(writer, one))
                        })?;
                    Ok(())
                })?;
            writer.create_element("status").write_empty()?;
            Ok(())
        })?;
    Ok(())
}

fn properties(writer: &mut Xml, properties: &[Property]) -> Written {
    writer
        .create_element("crm_config")
        .write_inner_content(|writer| {
            writer
                .create_element("cluster_property_set")
                .with_attribute(("id", "cib-bootstrap-options"))
                .write_inner_content(|writer| {
                    properties.iter().try_for_each(|property| {
                        pair(writer, "cib-bootstrap-options", property.name, &property.value)
                    })
                })?;
            Ok(())
        })?;
    Ok(())
}

fn primitive(writer: &mut Xml, resource: &Resource) -> Written {
    let id = resource.id.as_str();
    writer
        .create_element("primitive")
        .with_attributes([("id", id), ("class", "stonith"), ("type", resource.agent)])
        .write_inner_content(|writer| {
            let set = format!("{id}-instance_attributes");
            writer
                .create_element("instance_attributes")
                .with_attribute(("id", set.as_str()))
                .write_inner_content(|writer| {
                    resource.attributes.iter().try_for_each(|attribute| {
                        pair(writer, &set, attribute.name, attribute.value.expose())
                    })
                })?;
            let interval = whole_seconds(resource.monitor_interval);
            writer
                .create_element("operations")
                .write_inner_content(|writer| {
                    writer
                        .create_element("op")
                        .with_attributes([
                            ("id", format!("{id}-monitor-interval-{interval}").as_str()),
                            ("name", "monitor"),
                            ("interval", interval.as_str()),
                        ])
                        .write_empty()?;
                    Ok(())
                })?;
            Ok(())
        })?;
    Ok(())
}

fn pair(writer: &mut Xml, set: &str, name: &str, value: &str) -> Written {
    writer
        .create_element("nvpair")
        .with_attributes([
            ("id", format!("{set}-{name}").as_str()),
            ("name", name),
            ("value", value),
        ])
        .write_empty()?;
    Ok(())
}

fn location(writer: &mut Xml, rule: &LocationRule) -> Written {
    let id = format!("location-{}-{}--INFINITY", rule.resource, id_of(&rule.node));
    writer
        .create_element("rsc_location")
        .with_attributes([
            ("id", id.as_str()),
            ("rsc", rule.resource.as_str()),
            ("node", rule.node.as_str()),
            ("score", "-INFINITY"),
        ])
        .write_empty()?;
    Ok(())
}

fn level(writer: &mut Xml, level: &Level) -> Written {
    let id = format!("fl-{}-{}", id_of(&level.node), level.index);
    writer
        .create_element("fencing-level")
        .with_attributes([
            ("id", id.as_str()),
            ("target", level.node.as_str()),
            ("index", level.index.to_string().as_str()),
            ("devices", level.resources.join(",").as_str()),
        ])
        .write_empty()?;
    Ok(())
}
