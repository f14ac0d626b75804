//! The XML that Pacemaker, pcs and crmsh read: which options an agent takes, and which actions.

use std::io;

use fencekit::options::{Kind, OptionSpec};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::getopt::takes_value;
use super::table::{ACTIONS, Agent, VENDOR_URL};

/// The whole document.
///
/// # Errors
/// None in practice: it is written to memory.
pub(crate) fn document(agent: &Agent) -> io::Result<String> {
    let mut xml = Writer::new_with_indent(Vec::new(), b'\t', 1);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.create_element("resource-agent")
        .with_attributes([("name", agent.name), ("shortdesc", agent.short)])
        .write_inner_content(|xml| {
            text(xml, "longdesc", agent.long)?;
            text(xml, "vendor-url", VENDOR_URL)?;
            xml.create_element("parameters").write_inner_content(|xml| {
                agent
                    .options()
                    .iter()
                    .try_for_each(|spec| all_names_of(xml, spec))
            })?;
            xml.create_element("actions")
                .write_inner_content(|xml| ACTIONS.iter().try_for_each(|name| action(xml, name)))?;
            Ok(())
        })?;
    let mut document = String::from_utf8(xml.into_inner()).map_err(io::Error::other)?;
    document.push('\n');
    Ok(document)
}

type Xml = Writer<Vec<u8>>;

fn text(xml: &mut Xml, element: &str, content: &str) -> io::Result<()> {
    xml.create_element(element)
        .write_text_content(BytesText::new(content))?;
    Ok(())
}

/// One parameter for each name, so that configurations with names of old stay valid.
fn all_names_of(xml: &mut Xml, spec: &OptionSpec) -> io::Result<()> {
    parameter(xml, spec, spec.name, spec.old_names.first().copied(), false)?;
    for old_name in spec.old_names {
        parameter(xml, spec, old_name, None, true)?;
    }
    Ok(())
}

fn parameter(
    xml: &mut Xml,
    spec: &OptionSpec,
    name: &str,
    obsoletes: Option<&str>,
    deprecated: bool,
) -> io::Result<()> {
    // The action always has a value; the contract calls it required all the same.
    let required = spec.required || spec.name == "action";
    let mut element = xml.create_element("parameter").with_attributes([
        ("name", name),
        ("unique", "0"),
        ("required", if required { "1" } else { "0" }),
    ]);
    if let Some(old_name) = obsoletes {
        element = element.with_attribute(("obsoletes", old_name));
    }
    if deprecated {
        element = element.with_attribute(("deprecated", "1"));
    }
    element.write_inner_content(|xml| {
        let mixed = usage(spec);
        xml.create_element("getopt")
            .with_attribute(("mixed", mixed.as_str()))
            .write_empty()?;
        content(xml, spec)?;
        xml.create_element("shortdesc")
            .with_attribute(("lang", "en"))
            .write_text_content(BytesText::new(spec.help))?;
        Ok(())
    })?;
    Ok(())
}

fn content(xml: &mut Xml, spec: &OptionSpec) -> io::Result<()> {
    let kind = match spec.kind {
        Kind::Boolean => "boolean",
        Kind::Seconds => "second",
        Kind::Integer(..) => "integer",
        Kind::Choice(_) => "select",
        Kind::Text | Kind::Secret | Kind::Number => "string",
    };
    let mut element = xml.create_element("content").with_attribute(("type", kind));
    if let Some(default) = spec.default {
        element = element.with_attribute(("default", default));
    }
    let Kind::Choice(words) = spec.kind else {
        element.write_empty()?;
        return Ok(());
    };
    element.write_inner_content(|xml| {
        words.iter().try_for_each(|word| {
            xml.create_element("option")
                .with_attribute(("value", *word))
                .write_empty()?;
            Ok(())
        })
    })?;
    Ok(())
}

fn action(xml: &mut Xml, name: &str) -> io::Result<()> {
    let mut element = xml.create_element("action").with_attribute(("name", name));
    if name == "on" {
        // A node is not switched on just because it joins.
        element = element.with_attribute(("automatic", "0"));
    }
    element.write_empty()?;
    Ok(())
}

/// `-a, --ip=[ip]`.
pub(crate) fn usage(spec: &OptionSpec) -> String {
    let letter = spec
        .short
        .map(|letter| format!("-{letter}, "))
        .unwrap_or_default();
    if takes_value(spec) {
        format!("{letter}--{}=[{}]", spec.long, placeholder(spec))
    } else {
        format!("{letter}--{}", spec.long)
    }
}

fn placeholder(spec: &OptionSpec) -> &'static str {
    match (spec.name, spec.kind) {
        ("ipport", _) => "port",
        ("username", _) => "name",
        ("plug", _) => "id",
        ("password_script", _) => "script",
        ("plug_separator" | "separator", _) => "char",
        ("disable_timeout", _) => "true/false",
        ("retry_on", _) => "attempts",
        (_, Kind::Seconds) => "seconds",
        (_, Kind::Integer(..) | Kind::Number) => "number",
        (name, _) if name.ends_with("file") => "file",
        (name, _) if name.ends_with("url") => "url",
        (name, _) if name.ends_with("regex") => "regex",
        (name, _) => name,
    }
}
