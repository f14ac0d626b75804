//! A node dies or leaves, and its fence devices do what they say.

use fencekit_interop::{fencekit_bin, run};

use super::{Outcome, Scenario, configuration, fenced_and_verified, kill_corosync, roles, taken_over};
use crate::Checked;
use crate::lab::{LIMIT, Lab};
use crate::rack::{NETWORKS, NODES, succeeded};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "node-killed",
        about: "the node with the service dies; it is fenced, and the other takes over",
        run: node_killed,
    },
    Scenario {
        name: "corosync-killed",
        about: "the node leaves the cluster, but its service goes on writing until it is fenced",
        run: corosync_killed,
    },
    Scenario {
        name: "cables-pulled",
        about: "all links of the node are down, and it lives",
        run: cables_pulled,
    },
    Scenario {
        name: "node-returns",
        about: "a fenced node boots, joins, and can have the service again",
        run: node_returns,
    },
    Scenario {
        name: "wrong-outlet",
        about: "the drill finds a node that is not fed by its outlet; nobody is harmed",
        run: wrong_outlet,
    },
    configuration::UNVERIFIED,
];

fn node_killed(lab: &mut Lab) -> Checked<Outcome> {
    let (victim, survivor) = roles(lab)?;
    let fault = lab.mark();
    lab.rack.crash(victim);
    let service_ms = taken_over(lab, survivor, fault)?;
    fenced_and_verified(lab, victim, survivor)?;
    Ok(Outcome {
        service_ms: Some(service_ms),
        told: format!("{victim} fenced and verified, service on {survivor}"),
    })
}

fn corosync_killed(lab: &mut Lab) -> Checked<Outcome> {
    let (victim, survivor) = roles(lab)?;
    let fault = lab.mark();
    kill_corosync(lab, victim)?;
    let service_ms = taken_over(lab, survivor, fault)?;
    fenced_and_verified(lab, victim, survivor)?;
    let last = lab.storage.last_by(victim).unwrap_or_default();
    let wrote_on = last.saturating_sub(fault);
    if wrote_on < 1000 {
        return Err(format!(
            "{victim} should have gone on writing, but stopped after {wrote_on} ms"
        ));
    }
    Ok(Outcome {
        service_ms: Some(service_ms),
        told: format!(
            "{victim} wrote for {wrote_on} ms more, until its power was cut; service on {survivor}"
        ),
    })
}

fn cables_pulled(lab: &mut Lab) -> Checked<Outcome> {
    let (victim, survivor) = roles(lab)?;
    let fault = lab.mark();
    lab.rack
        .cables(victim, &NETWORKS.map(|(network, _)| network), false);
    let service_ms = taken_over(lab, survivor, fault)?;
    fenced_and_verified(lab, victim, survivor)?;
    Ok(Outcome {
        service_ms: Some(service_ms),
        told: format!("{victim} lived without links, was fenced and verified; service on {survivor}"),
    })
}

fn node_returns(lab: &mut Lab) -> Checked<Outcome> {
    let (victim, survivor) = roles(lab)?;
    let fault = lab.mark();
    lab.rack.crash(victim);
    let service_ms = taken_over(lab, survivor, fault)?;
    let left_off = lab.log("quorum").contains("Not turning");
    if left_off {
        // Pacemaker leaves a fenced node off when its leader is a node that may not use the device, as a quorum node.
        let cluster_file = lab.folder.join("cluster.yml");
        let mut on = lab.rack.inside(survivor, "env")?;
        on.arg(fencekit_bin())
            .args(["on", victim, "--config"])
            .arg(cluster_file);
        succeeded(&run(&mut on, "", LIMIT), "fencekit on")?;
    }
    lab.settled()?;
    if lab.storage.owner().as_deref() != Some(survivor) {
        return Err(format!("the service left {survivor} when {victim} came back"));
    }
    lab.move_service(victim)?;
    Ok(Outcome {
        service_ms: Some(service_ms),
        told: match left_off {
            false => {
                format!("{victim} was switched on, joined again, and took the service back when asked to")
            }
            true => {
                format!("{victim} was left off by Pacemaker, joined after fencekit on, took the service back")
            }
        },
    })
}

fn wrong_outlet(lab: &mut Lab) -> Checked<Outcome> {
    let (owner, drilled) = roles(lab)?;
    let fault = lab.mark();
    lab.rack.miswire(drilled, true);
    let mut command = lab.rack.inside("quorum", "env")?;
    command
        .arg(fencekit_bin())
        .args([
            "drill",
            drilled,
            "--yes-cut-power-of",
            drilled,
            "--silent-within",
            "3",
            "--patience",
            "60",
        ])
        .arg("--config")
        .arg(lab.folder.join("cluster.yml"))
        .arg("--state")
        .arg(lab.folder.join("drills.json"))
        .arg("--audit")
        .arg(lab.folder.join("audit.log"));
    let drill = run(&mut command, "", LIMIT);
    if drill.code != Some(1) || !drill.stderr.contains("still answers") {
        return Err(format!("the drill should have found the wrong outlet: {drill}"));
    }
    let device = lab.rack.device(drilled, 0)?;
    if device.commands().iter().filter(|(_, on)| !on).count() == 0 || device.relay(0) != Some(true) {
        return Err(format!(
            "the outlet should be on again after the drill: {:?}",
            device.commands()
        ));
    }
    let fenced =
        lab.storage.taken_over(owner, fault).is_some() || lab.storage.owner().as_deref() != Some(owner);
    if fenced || !lab.status().is_some_and(|status| status.has(&NODES)) {
        return Err("the drill should have left every node and the service alone".to_owned());
    }
    Ok(Outcome {
        service_ms: None,
        told: format!("the drill says that {drilled} still answers; {owner} and its service never noticed"),
    })
}
