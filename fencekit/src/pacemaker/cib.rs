//! The cluster's configuration, as `cibadmin -Q` prints it: what of it concerns fencing.

use std::collections::BTreeMap;

use super::xml::{Element, walk};
use crate::secret::Secret;

/// The part of a configuration that concerns fencing.
#[derive(Debug, Default)]
pub(crate) struct Cib {
    /// Properties of the whole cluster; the first of several sets wins, as in Pacemaker.
    pub(crate) properties: BTreeMap<String, String>,
    /// The cluster's nodes, remote ones left out.
    pub(crate) nodes: Vec<String>,
    /// Fence resources.
    pub(crate) resources: Vec<Primitive>,
    pub(crate) levels: Vec<Level>,
    pub(crate) locations: Vec<Location>,
}

/// A fence resource.
#[derive(Debug, Default)]
pub(crate) struct Primitive {
    pub(crate) id: String,
    /// The agent.
    pub(crate) agent: String,
    /// Its options. Each is held as a secret, since it may be one.
    pub(crate) attributes: BTreeMap<String, Secret>,
    pub(crate) meta: BTreeMap<String, String>,
    /// How often it is monitored, as written; `None` when it is not.
    pub(crate) monitor: Option<String>,
    /// Part of what it is comes from elsewhere (a template, a shared set, a rule), and is not read.
    pub(crate) is_partial: bool,
}

impl Primitive {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(Secret::expose)
    }

    /// Whether `pcmk_host_list` or `pcmk_host_map` names this node.
    pub(crate) fn targets(&self, node: &str) -> bool {
        let list = self.attribute("pcmk_host_list").unwrap_or_default();
        let map = self.attribute("pcmk_host_map").unwrap_or_default();
        let mut listed = list.split([' ', ',', ';', '\t']);
        let mut mapped = map
            .split([' ', ';', '\t'])
            .filter_map(|pair| Some(pair.split_once([':', '='])?.0));
        listed.any(|name| name == node) || mapped.any(|name| name == node)
    }
}

/// A fence level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    /// The node; `None` for a level that is given by pattern or attribute.
    pub(crate) target: Option<String>,
    pub(crate) index: u32,
    pub(crate) resources: Vec<String>,
}

/// Where a resource may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// The resource; `None` for a rule that is given by pattern or set.
    pub(crate) resource: Option<String>,
    /// The node; `None` for a rule that is an expression.
    pub(crate) node: Option<String>,
    pub(crate) is_never: bool,
}

impl Cib {
    /// Reads a configuration.
    ///
    /// # Errors
    /// In words, what is wrong with the text. It is never shown: it holds passwords.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut cib = Self::default();
        walk(text, |around, element| cib.note(around, element), |_, _| {})?;
        cib.resources.retain(|primitive| !primitive.id.is_empty());
        Ok(cib)
    }

    fn note(&mut self, around: &[Element], element: &Element) {
        let inside = |name: &str| around.iter().any(|outer| outer.name == name);
        if !inside("configuration") {
            return;
        }
        match element.name.as_str() {
            "nvpair" => self.pair(around, element),
            "node" if inside("nodes") && matches!(element.get("type"), None | Some("member")) => {
                self.nodes.push(element.text("uname"));
            }
            "primitive" => self.resources.push(primitive(element)),
            "op" if element.get("name") == Some("monitor") => {
                if let Some(primitive) = self.open_primitive(around) {
                    primitive.monitor = element.get("interval").map(str::to_owned);
                }
            }
            "instance_attributes" | "meta_attributes" if element.get("id-ref").is_some() => {
                self.partial(around);
            }
            "rule" => self.partial(around),
            "fencing-level" => self.levels.push(Level {
                target: element.get("target").map(str::to_owned),
                index: element
                    .get("index")
                    .and_then(|text| text.parse().ok())
                    .unwrap_or(u32::MAX),
                resources: list(element.get("devices")),
            }),
            "rsc_location" => self.locations.push(Location {
                resource: element.get("rsc").map(str::to_owned),
                node: element.get("node").map(str::to_owned),
                is_never: matches!(element.get("score"), Some("-INFINITY" | "-1000000")),
            }),
            _ => {}
        }
    }

    /// The fence resource whose element is open: the one that came last.
    fn open_primitive(&mut self, around: &[Element]) -> Option<&mut Primitive> {
        let open = around.iter().rev().find(|outer| outer.name == "primitive")?;
        let last = self.resources.last_mut()?;
        (Some(last.id.as_str()) == open.get("id")).then_some(last)
    }

    fn partial(&mut self, around: &[Element]) {
        if let Some(primitive) = self.open_primitive(around) {
            primitive.is_partial = true;
        }
    }

    fn pair(&mut self, around: &[Element], element: &Element) {
        let Some(set) = around.last() else {
            return;
        };
        let (Some(name), Some(value)) = (element.get("name"), element.get("value")) else {
            return self.partial(around);
        };
        if set.name == "cluster_property_set" {
            self.properties
                .entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
            return;
        }
        let set = set.name.clone();
        let Some(primitive) = self.open_primitive(around) else {
            return;
        };
        match set.as_str() {
            "instance_attributes" => {
                let value = Secret::from(value);
                primitive.attributes.entry(name.to_owned()).or_insert(value);
            }
            "meta_attributes" => {
                primitive
                    .meta
                    .entry(name.to_owned())
                    .or_insert_with(|| value.to_owned());
            }
            _ => {}
        }
    }
}

/// A resource; one that fences nothing keeps no id, and is dropped at the end.
fn primitive(element: &Element) -> Primitive {
    if element.get("class") != Some("stonith") && element.get("template").is_none() {
        return Primitive::default();
    }
    Primitive {
        id: element.text("id"),
        agent: element.text("type"),
        is_partial: element.get("template").is_some(),
        ..Primitive::default()
    }
}

fn list(text: Option<&str>) -> Vec<String> {
    let items = text.unwrap_or_default().split([',', ' ']);
    items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CIB: &str = r#"<cib><configuration>
  <crm_config>
    <cluster_property_set id="one"><nvpair id="a" name="stonith-enabled" value="false"/></cluster_property_set>
    <cluster_property_set id="two"><nvpair id="b" name="stonith-enabled" value="true"/></cluster_property_set>
  </crm_config>
  <nodes><node id="1" uname="a"/><node id="2" uname="b" type="member"><instance_attributes id="x"><nvpair id="y" name="standby" value="on"/></instance_attributes></node><node id="r" uname="r" type="remote"/></nodes>
  <resources>
    <primitive id="vip" class="ocf" provider="heartbeat" type="IPaddr2"><instance_attributes id="v"><nvpair id="w" name="ip" value="10.0.0.9"/></instance_attributes></primitive>
    <group id="g"><primitive id="fence-b" class="stonith" type="fence_kasa">
      <instance_attributes id="i"><nvpair id="p" name="password" value="a&quot;&lt;b&amp;&#233;"/><nvpair id="h" name="pcmk_host_list" value="b"/></instance_attributes>
      <meta_attributes id="m"><nvpair id="t" name="target-role" value="Stopped"/></meta_attributes>
      <operations><op id="o" name="monitor" interval="60s"/><op id="s" name="start" interval="0"/></operations>
    </primitive></group>
    <primitive id="fence-c" class="stonith" type="fence_kasa"><instance_attributes id-ref="i"/></primitive>
  </resources>
  <constraints><rsc_location id="l" rsc="fence-b" node="b" score="-INFINITY"/><rsc_location id="k" rsc="fence-b"><rule id="q" score="-INFINITY"/></rsc_location></constraints>
  <fencing-topology><fencing-level id="f" target="b" index="1" devices="fence-b,verify-b"/><fencing-level id="e" target-pattern="c.*" index="2" devices="fence-c"/></fencing-topology>
</configuration><status><node_state uname="z"/></status></cib>"#;

    #[test]
    fn everything_about_fencing_is_read() {
        let cib = Cib::parse(CIB).unwrap();
        assert_eq!(cib.properties["stonith-enabled"], "false");
        assert_eq!(cib.nodes, ["a", "b"]);
        let ids: Vec<_> = cib.resources.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["fence-b", "fence-c"]);
        let fence = &cib.resources[0];
        assert_eq!(fence.agent, "fence_kasa");
        assert_eq!(fence.attribute("password"), Some("a\"<b&é"));
        assert_eq!(fence.meta["target-role"], "Stopped");
        assert_eq!(fence.monitor.as_deref(), Some("60s"));
        assert!(fence.targets("b") && !fence.targets("bb") && !fence.is_partial);
        assert!(cib.resources[1].is_partial);
        assert_eq!(cib.levels.len(), 2);
        assert_eq!(cib.levels[0].resources, ["fence-b", "verify-b"]);
        assert_eq!(cib.levels[1].target, None);
        assert!(cib.locations[0].is_never && !cib.locations[1].is_never);
        assert!(!format!("{cib:?}").contains("a\\\"<b"), "a password is printed");
    }

    #[test]
    fn host_maps_name_their_nodes() {
        let mut primitive = Primitive::default();
        primitive
            .attributes
            .insert("pcmk_host_map".into(), Secret::from("a:1;b:2,3"));
        assert!(primitive.targets("a") && primitive.targets("b") && !primitive.targets("2"));
    }

    #[test]
    fn what_is_no_configuration_is_refused_and_not_shown() {
        for text in [
            "",
            "sesame",
            "<cib>",
            "<cib><a></cib>",
            "<a b=\"sesame>",
            &"<sesame>".repeat(100),
        ] {
            let error = Cib::parse(text).unwrap_err();
            assert!(!error.contains("sesame"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = Cib::parse(&text);
        }

        #[test]
        fn no_cut_or_garbled_configuration_makes_it_panic(cut in 0..CIB.len(), at in 0..CIB.len(), byte in any::<u8>()) {
            let _ = Cib::parse(CIB.get(..cut).unwrap_or_default());
            let mut bytes = CIB.as_bytes().to_vec();
            bytes[at] = byte;
            let _ = Cib::parse(&String::from_utf8_lossy(&bytes));
        }
    }
}
