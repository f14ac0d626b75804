//! Alert rules for Prometheus: on what `fencekit probe` measures, and on what `ha_cluster_exporter` tells of the
//! cluster itself.

use std::fmt::Write;

use super::{Generated, Kind};
use crate::cluster::Cluster;

/// One alert. Its texts are Prometheus's templates.
struct Alert {
    name: &'static str,
    expr: String,
    lasts: &'static str,
    severity: &'static str,
    summary: &'static str,
    description: &'static str,
}

pub(super) fn prometheus(cluster: &Cluster) -> Generated {
    let mut text = String::from(
        "# Alerts on fencing, written by fencekit generate prometheus. Name this file under rule_files.\n\
         # stonith_* and fencekit_* come from fencekit probe (a timer and node_exporter's textfile collector),\n\
         # ha_cluster_* from ha_cluster_exporter of ClusterLabs on the cluster's nodes.\n\
         groups:\n",
    );
    group(&mut text, "fencekit-cluster", &of_the_cluster());
    group(&mut text, "fencekit-devices", &of_the_devices(cluster));
    Generated {
        kind: Kind::Prometheus,
        text,
        notes: Vec::new(),
        holds_secrets: false,
        files: Vec::new(),
    }
}

fn of_the_cluster() -> Vec<Alert> {
    let failed = |resources: &str| {
        format!(
            "ha_cluster_pacemaker_fail_count{{{resources}}} > 0 or \
             ha_cluster_pacemaker_resources{{{resources},status=\"failed\"}} == 1"
        )
    };
    vec![
        Alert {
            name: "StonithDisabled",
            expr: "ha_cluster_pacemaker_stonith_enabled == 0".to_owned(),
            lasts: "1m",
            severity: "critical",
            summary: "Fencing is switched off",
            description: "stonith-enabled is false on {{ $labels.instance }}: a node that stops answering is not \
                          fenced, and both sides may write the same data. Mend: pcs property set stonith-enabled=true",
        },
        Alert {
            name: "STONITHResourceFailed",
            expr: failed("resource=~\"fence-.+\",resource!~\"fence-verify-.+\""),
            lasts: "2m",
            severity: "critical",
            summary: "Fence resource {{ $labels.resource }} failed",
            description: "Pacemaker could not use the fence device of {{ $labels.resource }}. Look: fencekit status, \
                          pcs stonith status. Once mended: pcs stonith cleanup {{ $labels.resource }}",
        },
        Alert {
            name: "STONITHFenceVerifyFailed",
            expr: failed("resource=~\"fence-verify-.+\""),
            lasts: "2m",
            severity: "critical",
            summary: "Verification {{ $labels.resource }} failed",
            description: "What proves a fenced node dead does not work, so a failover would be blocked. Look: \
                          fencekit verify NODE. Once mended: pcs stonith cleanup {{ $labels.resource }}",
        },
        Alert {
            name: "STONITHFencingBlocked",
            expr: "ha_cluster_pacemaker_nodes{status=\"unclean\"} == 1".to_owned(),
            lasts: "3m",
            severity: "critical",
            summary: "{{ $labels.node }} is to be fenced and is not",
            description: "The cluster waits for a confirmed fence of {{ $labels.node }} and starts nothing of it \
                          elsewhere. Look: fencekit verify {{ $labels.node }}. To try again: stonith_admin -B \
                          {{ $labels.node }}. Only when it was seen dead: pcs stonith confirm {{ $labels.node }}",
        },
        Alert {
            name: "STONITHClusterUnseen",
            expr: "absent(ha_cluster_pacemaker_stonith_enabled)".to_owned(),
            lasts: "10m",
            severity: "warning",
            summary: "No node tells whether fencing is enabled",
            description: "ha_cluster_pacemaker_stonith_enabled is missing: without ha_cluster_exporter the alerts on \
                          the cluster itself cannot fire",
        },
    ]
}

fn of_the_devices(cluster: &Cluster) -> Vec<Alert> {
    // A series that is not there fires no other alert. The result of absent() has the label that it was asked for.
    let absent = cluster.nodes.iter().map(|node| {
        let target = quoted(&node.name);
        format!("absent(stonith_agent_reachable{{target={target}}})")
    });
    vec![
        Alert {
            name: "STONITHAgentUnreachable",
            expr: "stonith_agent_reachable == 0".to_owned(),
            lasts: "5m",
            severity: "critical",
            summary: "{{ $labels.target }} cannot be fenced: {{ $labels.agent }} gets no answer",
            description: "The {{ $labels.method }} device that cuts the power of {{ $labels.target }} could not be \
                          asked. Look: fencekit status {{ $labels.target }}, fencekit doctor",
        },
        Alert {
            name: "STONITHStateUnknown",
            expr: "fencekit_device_state{state=\"unknown\"} == 1 unless on(instance, target, method) \
                   stonith_agent_reachable == 0"
                .to_owned(),
            lasts: "10m",
            severity: "warning",
            summary: "{{ $labels.device }} does not tell its state",
            description: "The device of {{ $labels.target }} answers, but whether it is on cannot be read: an off \
                          could not be confirmed. Look: fencekit status {{ $labels.target }}",
        },
        Alert {
            name: "STONITHOutletOff",
            expr: "fencekit_device_state{state=\"off\"} == 1".to_owned(),
            lasts: "15m",
            severity: "warning",
            summary: "{{ $labels.device }} is off",
            description: "{{ $labels.target }} was fenced and not brought back, or hangs on one supply less. To \
                          switch it on: fencekit on {{ $labels.target }}",
        },
        Alert {
            name: "STONITHLastSuccessOld",
            expr: "time() - fencekit_device_last_success_timestamp_seconds > 3600".to_owned(),
            lasts: "5m",
            severity: "critical",
            summary: "{{ $labels.device }} has not answered for {{ $value | humanizeDuration }}",
            description: "No look at the device of {{ $labels.target }} succeeded for more than an hour. Look: \
                          fencekit status {{ $labels.target }}",
        },
        Alert {
            name: "STONITHProbeStale",
            expr: "time() - fencekit_probe_timestamp_seconds > 900".to_owned(),
            lasts: "5m",
            severity: "warning",
            summary: "fencekit probe has not run on {{ $labels.instance }} for {{ $value | humanizeDuration }}",
            description: "What is known of the fence devices is old. Look: systemctl status fencekit-probe.timer \
                          fencekit-probe.service",
        },
        Alert {
            name: "STONITHTextfileBroken",
            expr: "node_textfile_scrape_error == 1 and on(instance) fencekit_probe_timestamp_seconds"
                .to_owned(),
            lasts: "5m",
            severity: "warning",
            summary: "A textfile on {{ $labels.instance }} cannot be read",
            description: "node_exporter met a file that it cannot read. Look: promtool check metrics, on each file of \
                          its textfile directory",
        },
        Alert {
            name: "STONITHDrillOld",
            expr: "time() - fencekit_drill_timestamp_seconds > 180 * 86400".to_owned(),
            lasts: "1h",
            severity: "warning",
            summary: "{{ $labels.target }} was last drilled {{ $value | humanizeDuration }} ago",
            description: "Which outlets feed {{ $labels.target }} has not been proven for half a year. At a quiet \
                          hour: fencekit drill {{ $labels.target }}",
        },
        Alert {
            name: "STONITHNeverDrilled",
            expr:
                "max by (target) (stonith_agent_reachable) unless on(target) fencekit_drill_timestamp_seconds"
                    .to_owned(),
            lasts: "1d",
            severity: "info",
            summary: "The wiring of {{ $labels.target }} is not proven",
            description: "No drill of {{ $labels.target }} is on record: that its device cuts its power is believed, \
                          not known. At a quiet hour: fencekit drill {{ $labels.target }}",
        },
        Alert {
            name: "STONITHProbeAbsent",
            expr: absent.collect::<Vec<_>>().join(" or "),
            lasts: "10m",
            severity: "critical",
            summary: "Nobody watches the fence device of {{ $labels.target }}",
            description: "stonith_agent_reachable is missing for {{ $labels.target }}. Look: systemctl status \
                          fencekit-probe.timer, and whether node_exporter reads the textfile",
        },
    ]
}

fn group(text: &mut String, name: &str, alerts: &[Alert]) {
    let _ = writeln!(text, "  - name: {name}\n    rules:");
    for alert in alerts {
        let _ = write!(
            text,
            "      - alert: {}\n        expr: {}\n        for: {}\n        labels: {{severity: {}}}\n        \
             annotations:\n          summary: {}\n          description: {}\n",
            alert.name,
            scalar(&alert.expr),
            alert.lasts,
            alert.severity,
            scalar(alert.summary),
            scalar(alert.description),
        );
    }
}

/// A string of PromQL, which escapes as Go does.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            // YAML takes the two separators for line breaks.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A JSON string is a YAML string, whatever it holds.
fn scalar(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_is_missed_by_its_own_name() {
        let cluster =
            Cluster::from_text("stonith_nodes: {'a\"\\b': {method: kasa, ip: 10.0.0.1}}", "test").unwrap();
        let text = prometheus(&cluster).text;
        assert!(
            text.contains(r#"expr: "absent(stonith_agent_reachable{target=\"a\\\"\\\\b\"})""#),
            "{text}"
        );
    }
}
