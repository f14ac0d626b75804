//! The cluster's state as `crm_mon --output-as=xml` prints it, and the fencing history of `stonith_admin`.

use super::xml::{Element, walk};

/// What the cluster says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Monitor {
    /// Whether the partition that this host is in may act. `None`: it does not say.
    pub(crate) has_quorum: Option<bool>,
    pub(crate) nodes: Vec<NodeState>,
    /// Fence resources.
    pub(crate) resources: Vec<ResourceState>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) history: Vec<FenceEvent>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeState {
    pub(crate) name: String,
    pub(crate) online: bool,
    /// It has to be fenced before its resources may run elsewhere.
    pub(crate) unclean: bool,
    pub(crate) pending: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResourceState {
    pub(crate) id: String,
    pub(crate) active: bool,
    pub(crate) failed: bool,
    pub(crate) blocked: bool,
}

/// An operation that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The resource, with the operation and its interval behind it: `fence-b_start_0`.
    pub(crate) key: String,
    pub(crate) node: String,
    /// `error`, `Timed Out`, and why.
    pub(crate) status: String,
    pub(crate) reason: String,
    pub(crate) when: String,
}

impl Failure {
    /// Whether this resource failed. No operation of a fence resource has an underscore in its name, but names of resources do.
    pub(crate) fn is_of(&self, resource: &str) -> bool {
        let mut parts = self.key.rsplitn(3, '_');
        let (_interval, _operation) = (parts.next(), parts.next());
        parts.next() == Some(resource)
    }
}

/// A fencing, done, failed or under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FenceEvent {
    /// `failed`, `success` or `pending`.
    pub(crate) status: String,
    pub(crate) action: String,
    pub(crate) target: String,
    /// The node that did it, where one did.
    pub(crate) delegate: String,
    /// Who asked for it.
    pub(crate) client: String,
    pub(crate) origin: String,
    pub(crate) completed: String,
    pub(crate) reason: String,
}

impl Monitor {
    /// Reads the output of either tool.
    ///
    /// # Errors
    /// In words, what is wrong with the text, or what the tool says went wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut monitor = Self::default();
        let mut code = None;
        let mut errors = Vec::new();
        walk(
            text,
            |around, element| match element.name.as_str() {
                "status" if around.len() == 1 => code = element.get("code").map(str::to_owned),
                _ => monitor.note(around, element),
            },
            |element, text| {
                if element.name == "error" {
                    errors.push(text.to_owned());
                }
            },
        )?;
        match code.as_deref() {
            Some("0") => Ok(monitor),
            Some(_) if !errors.is_empty() => Err(errors.join("; ")),
            Some(code) => Err(format!("ended with code {code}")),
            None => Err("does not say how it ended".to_owned()),
        }
    }

    fn note(&mut self, around: &[Element], element: &Element) {
        let inside = |name: &str| around.iter().any(|outer| outer.name == name);
        match element.name.as_str() {
            "current_dc" => self.has_quorum = element.get("with_quorum").map(super::xml::is_true),
            "node" if around.last().is_some_and(|outer| outer.name == "nodes") => {
                self.nodes.push(NodeState {
                    name: element.text("name"),
                    online: element.is("online"),
                    unclean: element.is("unclean"),
                    pending: element.is("pending"),
                });
            }
            "resource" if inside("resources") && is_fence_resource(element) => {
                self.resources.push(ResourceState {
                    id: element.text("id"),
                    active: element.is("active"),
                    failed: element.is("failed"),
                    blocked: element.is("blocked"),
                });
            }
            "failure" => self.failures.push(Failure {
                key: element
                    .get("op_key")
                    .or(element.get("id"))
                    .unwrap_or_default()
                    .to_owned(),
                node: element.text("node"),
                status: element
                    .get("status")
                    .or(element.get("exitstatus"))
                    .unwrap_or_default()
                    .to_owned(),
                reason: element.text("exitreason"),
                when: element.text("last-rc-change"),
            }),
            "fence_event" => self.history.push(FenceEvent {
                status: element.text("status"),
                action: element.text("action"),
                target: element.text("target"),
                delegate: element.text("delegate"),
                client: element.text("client"),
                origin: element.text("origin"),
                completed: element.text("completed"),
                reason: element.text("exit-reason"),
            }),
            _ => {}
        }
    }
}

fn is_fence_resource(element: &Element) -> bool {
    let agent = element.get("resource_agent");
    agent.is_some_and(|agent| agent.starts_with("stonith:"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MONITOR: &str = r#"<pacemaker-result api-version="2.25" request="crm_mon -1 --output-as=xml">
  <summary><current_dc present="true" with_quorum="true"/><cluster_options stonith-enabled="true"/></summary>
  <nodes>
    <node name="a" id="1" online="true" unclean="false" pending="false" type="member"/>
    <node name="b" id="2" online="false" unclean="true" pending="false" type="member"/>
  </nodes>
  <resources>
    <resource id="vip" resource_agent="ocf:heartbeat:IPaddr2" role="Started" active="true"/>
    <resource id="fence-b" resource_agent="stonith:fence_kasa" role="Started" active="true" blocked="false" failed="false"><node name="a" id="1" cached="true"/></resource>
    <resource id="fence-a" resource_agent="stonith:fence_kasa" role="Stopped" active="false" blocked="false" failed="true"/>
  </resources>
  <failures><failure op_key="fence-a_start_0" node="b" exitstatus="error" exitreason="no route" exitcode="1" call="7" status="Timed Out" last-rc-change="then"/></failures>
  <fence_history status="0"><fence_event action="reboot" target="b" client="pacemaker-controld.1" origin="a" status="failed" delegate="a" completed="now" exit-reason="Fence agent did not complete in time"/></fence_history>
  <status code="0" message="OK"/>
</pacemaker-result>"#;

    #[test]
    fn everything_about_fencing_is_read() {
        let monitor = Monitor::parse(MONITOR).unwrap();
        assert_eq!(monitor.has_quorum, Some(true));
        assert_eq!(monitor.nodes.len(), 2);
        assert!(monitor.nodes[1].unclean && !monitor.nodes[1].online);
        assert_eq!(monitor.resources.len(), 2);
        assert!(monitor.resources[1].failed && !monitor.resources[1].active);
        assert_eq!(monitor.failures[0].key, "fence-a_start_0");
        assert!(monitor.failures[0].is_of("fence-a") && !monitor.failures[0].is_of("fence"));
        assert_eq!(monitor.history[0].status, "failed");
        assert_eq!(monitor.history[0].reason, "Fence agent did not complete in time");
    }

    #[test]
    fn a_failure_is_of_the_resource_of_that_very_name() {
        let failure = Failure {
            key: "fence-san_2_monitor_60000".to_owned(),
            ..Failure::default()
        };
        assert!(failure.is_of("fence-san_2"));
        for other in [
            "fence-san",
            "fence-san_2_monitor",
            "fence-san_2_monitor_60000",
            "",
        ] {
            assert!(!failure.is_of(other), "{other}");
        }
        assert!(!Failure::default().is_of(""));
    }

    #[test]
    fn a_tool_that_failed_says_why() {
        let text = r#"<pacemaker-result api-version="2.25"><status code="102" message="Not connected"><errors><error>crm_mon: Connection to cluster failed</error></errors></status></pacemaker-result>"#;
        assert_eq!(
            Monitor::parse(text).unwrap_err(),
            "crm_mon: Connection to cluster failed"
        );
        assert!(Monitor::parse("<pacemaker-result/>").is_err());
        assert!(Monitor::parse("crm_mon: not found").is_err());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(cut in 0..MONITOR.len(), at in 0..MONITOR.len(), byte in any::<u8>()) {
            let _ = Monitor::parse(MONITOR.get(..cut).unwrap_or_default());
            let mut bytes = MONITOR.as_bytes().to_vec();
            bytes[at] = byte;
            let _ = Monitor::parse(&String::from_utf8_lossy(&bytes));
        }
    }
}
