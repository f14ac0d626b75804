//! What a cluster's configuration says of fencing, whoever wrote it.

use std::collections::BTreeSet;
use std::fmt::Write;

use fencekit::cluster::Cluster;
use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

/// A configuration with the nodes of these clusters, and nothing else in it.
#[must_use]
pub fn empty_cib(clusters: &[&Cluster]) -> String {
    let nodes = clusters.iter().flat_map(|cluster| &cluster.nodes);
    let quorum = clusters.iter().flat_map(|cluster| &cluster.quorum_nodes);
    let names: BTreeSet<&String> = nodes.map(|node| &node.name).chain(quorum).collect();
    let mut nodes = String::new();
    for (index, name) in names.into_iter().enumerate() {
        let _ = write!(nodes, r#"<node id="{}" uname="{name}"/>"#, index + 1);
    }
    format!(
        r#"<cib crm_feature_set="3.0.14" validate-with="pacemaker-3.0" epoch="1" num_updates="0" admin_epoch="0"><configuration><crm_config/><nodes>{nodes}</nodes><resources/><constraints/></configuration><status/></cib>"#
    )
}

/// Resources with every option, monitors, levels, location rules and properties, as lists of words; ids that a
/// writer is free to choose are left out.
///
/// # Panics
/// When it is no XML, when something is without a name, or there twice.
#[must_use]
pub fn cib_facts(cib: &str) -> BTreeSet<Vec<String>> {
    let mut reader = Reader::from_str(cib);
    let mut facts = BTreeSet::new();
    let mut owner = String::new();
    loop {
        match reader.read_event().expect("a CIB is XML") {
            Event::Eof => return facts,
            Event::Start(element) | Event::Empty(element) => {
                let kind = element.name().as_ref().to_owned();
                match kind.as_str() {
                    "crm_config" => owner = "cluster".to_owned(),
                    "primitive" => owner = value(&element, "id"),
                    _ => {}
                }
                let names: &[&str] = match kind.as_str() {
                    "primitive" => &["class", "type"],
                    "nvpair" => &["name", "value"],
                    "op" => &["name", "interval"],
                    "rsc_location" => &["rsc", "node", "score"],
                    "fencing-level" => &["target", "index", "devices"],
                    _ => continue,
                };
                let mut fact = vec![kind.clone()];
                if matches!(kind.as_str(), "primitive" | "nvpair" | "op") {
                    fact.push(owner.clone());
                }
                fact.extend(names.iter().map(|name| value(&element, name)));
                assert!(facts.insert(fact.clone()), "{fact:?} is there twice: {cib}");
            }
            _ => {}
        }
    }
}

fn value(element: &BytesStart<'_>, name: &str) -> String {
    let found = element.try_get_attribute(name).expect("attributes are XML");
    let found = found.unwrap_or_else(|| panic!("{element:?} has no {name}"));
    unescape(&found.value).expect("a value is XML").into_owned()
}
