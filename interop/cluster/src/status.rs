//! What `crm_mon` says of the cluster.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// A moment of the cluster, as one of its nodes sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// Whether the nodes have a leader that they talk to.
    pub(crate) has_dc: bool,
    /// Nodes with whether they are members in good order.
    pub(crate) nodes: BTreeMap<String, bool>,
    /// Nodes that must be fenced and are not yet.
    pub(crate) unclean: Vec<String>,
    /// Resources with the node that each runs on; none for one that does not run, or has failed.
    pub(crate) resources: BTreeMap<String, Option<String>>,
}

impl Status {
    /// Reads the answer of `crm_mon --output-as=xml`.
    pub(crate) fn read(xml: &str) -> Option<Self> {
        let mut status = Self::default();
        let mut reader = Reader::from_str(xml);
        let mut resource = None;
        loop {
            let event = reader.read_event().ok()?;
            match &event {
                Event::Start(element) | Event::Empty(element) => {
                    status.add(element, &mut resource);
                }
                Event::Eof => return Some(status),
                _ => {}
            }
        }
    }

    fn add(&mut self, element: &BytesStart<'_>, resource: &mut Option<String>) {
        let is = |name: &str, value: &str| attribute(element, name).as_deref() == Some(value);
        match element.local_name().as_ref() {
            "current_dc" => self.has_dc = is("present", "true"),
            "resource" => {
                let id = attribute(element, "id").unwrap_or_default();
                self.resources.insert(id.clone(), None);
                let runs = is("active", "true") && is("role", "Started") && is("failed", "false");
                *resource = runs.then_some(id);
            }
            "node" if attribute(element, "online").is_some() => {
                let name = attribute(element, "name").unwrap_or_default();
                if is("unclean", "true") {
                    self.unclean.push(name.clone());
                }
                let well = is("online", "true") && is("unclean", "false") && is("pending", "false");
                self.nodes.insert(name, well);
            }
            "node" => {
                if let (Some(id), Some(name)) = (resource.take(), attribute(element, "name")) {
                    self.resources.insert(id, Some(name));
                }
            }
            _ => {}
        }
    }

    /// Whether a leader is there and these nodes are members in good order.
    pub(crate) fn has(&self, nodes: &[&str]) -> bool {
        self.has_dc && nodes.iter().all(|node| self.nodes.get(*node) == Some(&true))
    }

    /// Whether every resource runs.
    pub(crate) fn all_run(&self) -> bool {
        self.resources.values().all(Option::is_some)
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.try_get_attribute(name).ok()??;
    Some(found.value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_nodes_and_resources() {
        let xml = r#"<?xml version="1.0"?>
<crm_mon version="2.1.5"><summary><current_dc present="true" name="quorum" id="3"/></summary>
<nodes>
  <node name="quorum" online="true" unclean="false" pending="false" type="member"/>
  <node name="storage-a" online="true" unclean="false" pending="true" type="member"/>
  <node name="storage-b" online="false" unclean="true" pending="false" type="member"/>
</nodes>
<resources>
  <resource id="service" role="Started" active="true" failed="false" nodes_running_on="1">
    <node name="storage-a" id="1" cached="true"/>
  </resource>
  <resource id="fence-a" role="Stopped" active="false" failed="false" nodes_running_on="0"/>
  <resource id="fence-b" role="Started" active="true" failed="true" nodes_running_on="1">
    <node name="storage-a" id="1" cached="true"/>
  </resource>
</resources></crm_mon>"#;
        let status = Status::read(xml).unwrap();
        assert!(status.has(&["quorum"]) && !status.has(&["storage-a"]) && !status.has(&["storage-b"]));
        assert_eq!(status.unclean, ["storage-b"]);
        assert_eq!(status.resources["service"].as_deref(), Some("storage-a"));
        assert_eq!(
            (&status.resources["fence-a"], &status.resources["fence-b"]),
            (&None, &None)
        );
        assert!(!status.all_run());
        assert!(!Status::default().has(&[]), "no leader");
    }
}
