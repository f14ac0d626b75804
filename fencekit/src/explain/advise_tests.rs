//! The advice for each kind of blocked failover.

use super::*;
use crate::pacemaker::cib::Cib;
use crate::pacemaker::monitor::Monitor;
use crate::verify::{Feed, Network, Rule, Timing};

fn plan() -> Plan {
    Plan {
        node: "storage-b".into(),
        devices: vec![Feed {
            label: "kasa @ 10.20.20.202".into(),
            address: None,
            off_max_watts: None,
            baseline_watts: None,
            standing: Default::default(),
        }],
        networks: vec![Network::new("storage", "10.10.10.2".parse().unwrap())],
        require_witness: false,
        timing: Timing::default(),
    }
}

fn report(verdict: Verdict, evidence: &[(Probe, &str, Outcome, &str)]) -> Report {
    Report {
        node: "storage-b".into(),
        verdict,
        elapsed_ms: 10,
        rule: Rule::Answered,
        reasons: vec!["the reason".into()],
        evidence: evidence
            .iter()
            .map(|(probe, subject, outcome, detail)| Evidence {
                probe: *probe,
                subject: (*subject).into(),
                network: (!matches!(probe, Probe::Power | Probe::Meter)).then(|| "storage".into()),
                outcome: *outcome,
                detail: (*detail).into(),
                at_ms: 0,
                elapsed_ms: 0,
            })
            .collect(),
    }
}

/// The page as it is read, which is reviewed with it.
#[test]
fn a_page_that_a_tired_operator_can_follow() {
    let report = report(
        Verdict::Inconclusive,
        &[
            (
                Probe::Power,
                "kasa @ 10.20.20.202",
                Outcome::Unknown,
                "unreachable: connection refused",
            ),
            (Probe::Icmp, "10.10.10.2", Outcome::Silent, "12 sent"),
        ],
    );
    let view = View {
        cib: Cib::parse("<cib><configuration><fencing-topology><fencing-level target='storage-b' index='1' devices='fence-storage-b,fence-verify-storage-b'/></fencing-topology></configuration></cib>").ok(),
        monitor: Monitor::parse("<pacemaker-result><summary><current_dc with_quorum='true'/></summary><nodes><node name='storage-b' online='false' unclean='true'/></nodes><status code='0'/></pacemaker-result>").ok(),
        history: vec![FenceEvent {
            status: "failed".into(),
            action: "reboot".into(),
            target: "storage-b".into(),
            delegate: "storage-a".into(),
            client: "pacemaker-controld.7".into(),
            origin: "storage-a".into(),
            completed: "2026-11-24 03:12:07".into(),
            reason: "Fence agent did not complete in time".into(),
        }],
        silent: None,
    };
    let page = explanation(&plan(), report, &view).to_string();
    assert_eq!(page, include_str!("page.txt"), "\n{page}");
}

#[test]
fn each_piece_of_evidence_blocks_for_what_it_is() {
    use Outcome::{Above, Answered, Below, Off, On, Silent, Unknown};
    use Probe::{Icmp, Meter, Neighbour, Path, Power, Witness};
    let mut plan = plan();
    plan.devices[0].label = "d".into();
    for (evidence, words) in [
        (vec![(Power, "d", On, "")], vec!["d says that its outlet is on."]),
        (
            vec![(Power, "d", Unknown, "why")],
            vec!["d does not say whether it is off: why"],
        ),
        (
            vec![
                (Power, "d", Off, ""),
                (Meter, "d", Above, "60 W"),
                (Icmp, "n", Silent, ""),
            ],
            vec!["d: 60 W"],
        ),
        (
            vec![(Meter, "d", Unknown, "why")],
            vec!["The meter of d cannot be read: why"],
        ),
        (
            vec![(Power, "d", Off, ""), (Icmp, "n", Answered, "")],
            vec!["storage-b answers on storage (n) although all of its devices say off."],
        ),
        (
            vec![(Power, "d", Unknown, "why"), (Neighbour, "n", Answered, "")],
            vec!["storage-b answers on storage (n): it is alive", "d does not say"],
        ),
        (
            vec![(Icmp, "n", Unknown, "no permission")],
            vec!["storage n could not be probed: no permission"],
        ),
        (
            vec![(Path, "n", Unknown, "link down")],
            vec!["This host has no sound way to storage (n): link down"],
        ),
        (
            vec![
                (Power, "d", Off, ""),
                (Icmp, "n", Silent, ""),
                (Witness, "w", Silent, ""),
            ],
            vec!["No witness answers on storage (asked: w)."],
        ),
        (
            vec![
                (Power, "d", Off, ""),
                (Meter, "d", Below, ""),
                (Witness, "w", Answered, ""),
            ],
            vec!["the reason"],
        ),
    ] {
        let blocks = node_blocks(&plan, &report(Verdict::Inconclusive, &evidence));
        assert_eq!(blocks.len(), words.len(), "{evidence:?} {blocks:#?}");
        for (block, words) in blocks.iter().zip(words) {
            assert!(block.what.starts_with(words), "{block:#?}");
            assert!(!block.why.is_empty() && !block.look.is_empty());
        }
    }
}

#[test]
fn a_level_that_is_not_needed_blocks_nothing() {
    use Outcome::{Above, Off, On, Silent, Unknown};
    use Probe::{Icmp, Meter, Power, Witness};
    let mut plan = plan();
    plan.devices[0].label = "bmc".into();
    let mut plug = plan.devices[0].clone();
    plug.label = "plug".into();
    plug.standing.level = Level::Fallback;
    plan.devices.push(plug);
    let first = |evidence: &[(Probe, &str, Outcome, &str)]| {
        let blocks = node_blocks(&plan, &report(Verdict::Inconclusive, evidence));
        blocks.into_iter().map(|block| block.what).collect::<Vec<_>>()
    };
    let witness = (Witness, "w", Silent, "");
    let no_witness = "No witness answers on storage (asked: w).";
    assert_eq!(
        first(&[(Power, "bmc", Unknown, "gone"), (Power, "plug", Off, ""), witness]),
        [no_witness]
    );
    assert_eq!(
        first(&[
            (Power, "bmc", Off, ""),
            (Power, "plug", On, ""),
            (Meter, "plug", Above, "9 W"),
            witness
        ]),
        [no_witness]
    );
    assert_eq!(
        first(&[
            (Power, "bmc", Unknown, "gone"),
            (Power, "plug", On, ""),
            (Icmp, "n", Silent, "")
        ]),
        [
            "plug, its fallback, is on: it has not cut storage-b.",
            "bmc does not say whether it is off: gone"
        ]
    );
    assert_eq!(
        first(&[(Power, "bmc", On, ""), (Power, "plug", Off, "")]),
        ["bmc says that its outlet is on."]
    );
}

#[test]
fn what_keeps_the_cluster_from_fencing_is_told_first() {
    let view = View {
        cib: Cib::parse("<cib><configuration><crm_config><cluster_property_set><nvpair name='stonith-enabled' value='false'/></cluster_property_set></crm_config></configuration></cib>").ok(),
        monitor: Monitor::parse("<pacemaker-result><summary><current_dc with_quorum='false'/></summary><status code='0'/></pacemaker-result>").ok(),
        ..View::default()
    };
    let explained = explanation(
        &plan(),
        report(Verdict::Inconclusive, &[(Probe::Power, "d", Outcome::On, "")]),
        &view,
    );
    let what: Vec<&str> = explained.blocks.iter().map(|block| block.what.as_str()).collect();
    assert_eq!(
        what,
        [
            "The cluster does not fence: stonith-enabled is off.",
            "This part of the cluster has no quorum: it fences nobody.",
            "The cluster has no fence device for storage-b.",
            "d says that its outlet is on.",
        ]
    );
}

#[test]
fn nothing_blocks_the_failover_of_a_healthy_member() {
    let member = View {
        monitor: Monitor::parse("<pacemaker-result><nodes><node name='storage-b' online='true' unclean='false'/></nodes><status code='0'/></pacemaker-result>").ok(),
        ..View::default()
    };
    let alive = || report(Verdict::StillAlive, &[(Probe::Icmp, "n", Outcome::Answered, "")]);
    assert!(explanation(&plan(), alive(), &member).blocks.is_empty());
    assert_eq!(explanation(&plan(), alive(), &View::default()).blocks.len(), 1);
}

/// The command that claims a death is offered only where the node is not seen alive as a member, and never
/// without its warning.
#[test]
fn a_confirmation_by_hand_comes_with_its_warning_or_not_at_all() {
    let member = View {
        monitor: Monitor::parse("<pacemaker-result><nodes><node name='storage-b' online='true' unclean='false'/></nodes><status code='0'/></pacemaker-result>").ok(),
        ..View::default()
    };
    let offline = View {
        silent: Some("Pacemaker is not installed on this host".into()),
        ..View::default()
    };
    for (verdict, view, offered) in [
        (Verdict::ConfirmedOff, &offline, false),
        (Verdict::StillAlive, &member, false),
        (Verdict::StillAlive, &offline, true),
        (Verdict::Inconclusive, &offline, true),
    ] {
        let steps = explanation(&plan(), report(verdict, &[]), view).steps;
        let confirms: Vec<&Step> = steps
            .iter()
            .filter(|step| {
                step.command
                    .as_deref()
                    .is_some_and(|command| command.contains("confirm"))
            })
            .collect();
        assert_eq!(!confirms.is_empty(), offered, "{verdict} {steps:#?}");
        assert!(
            confirms
                .iter()
                .all(|step| step.warning.contains("two nodes write to the same data"))
        );
    }
}
