//! A fence device does not do what it should: the cluster waits, and goes on when it can be sure.

use super::{Outcome, Scenario, fenced_and_verified, kill_corosync, roles, taken_over};
use crate::Checked;
use crate::lab::{Lab, PATIENCE};
use crate::rack::{NODES, succeeded};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "plug-lies",
        about: "the plug says off and the node lives: blocked, until an operator who saw it dead confirms",
        run: plug_lies,
    },
    Scenario {
        name: "plug-hangs",
        about: "the plug takes the request and never answers: blocked, until it does",
        run: |lab| blocked_until_back(lab, "silent"),
    },
    Scenario {
        name: "plug-answers-500",
        about: "the plug answers everything with status 500: blocked, until it does not",
        run: |lab| blocked_until_back(lab, "server_error"),
    },
    Scenario {
        name: "password-changed",
        about: "the devices have a new password: blocked, until the cluster file has it too",
        run: password_changed,
    },
    Scenario {
        name: "survivor-loses-a-network",
        about: "the survivor cannot hear one of the networks, so its silence there proves nothing",
        run: survivor_loses_a_network,
    },
];

/// The longest of them, which has a cluster of its own.
pub(super) const GIVES_UP: &[Scenario] = &[Scenario {
    name: "plug-back-after-giving-up",
    about: "the plug is gone for so long that Pacemaker gives up; when it is back, the failover goes on without hands",
    run: back_after_giving_up,
}];

/// How many fencings must have failed before the block counts as seen.
const ATTEMPTS: usize = 2;

/// Waits until the fencing of the victim has failed that often, and checks that nobody took over.
pub(super) fn blocked(lab: &mut Lab, victim: &str, survivor: &str, fault: u64) -> Checked {
    let failed = format!("'reboot' targeting {victim} by {survivor}");
    let attempts = |lab: &Lab| {
        let log = lab.log(survivor);
        let ends = log
            .lines()
            .filter(|line| line.contains("finalize_op") && line.contains("'reboot'"));
        let ends = ends.filter(|line| line.contains(&format!("targeting {victim}")));
        ends.filter(|line| !line.contains(": OK")).count()
    };
    lab.wait(&format!("{failed} fails"), PATIENCE, |lab| {
        attempts(lab) >= ATTEMPTS
    })?;
    match lab.storage.taken_over(survivor, fault) {
        None => Ok(()),
        Some(_) => Err(format!(
            "{survivor} took over although the fencing of {victim} failed"
        )),
    }
}

fn plug_lies(lab: &mut Lab) -> Checked<Outcome> {
    let (victim, survivor) = roles(lab)?;
    let fault = lab.mark();
    lab.rack.fault(victim, 0, "lie")?;
    kill_corosync(lab, victim)?;
    blocked(lab, victim, survivor, fault)?;
    lab.logged(survivor, &["fence_check", "stderr", "still-alive"])?;
    if lab.storage.owner().as_deref() != Some(victim) {
        return Err(format!("{victim} should write on: its power was never cut"));
    }
    // The operator finds the plug broken, pulls the mains cable, and says so.
    lab.rack.fault(victim, 0, "silent")?;
    lab.rack.break_supply(victim, true);
    let confirmed = lab.mark();
    lab.must(survivor, "pcs", &["stonith", "confirm", victim, "--force"])?;
    let service_ms = taken_over(lab, survivor, confirmed)?;
    Ok(Outcome {
        service_ms: Some(service_ms),
        told: format!(
            "blocked while {victim} lived; time is from pcs stonith confirm to the service on {survivor}"
        ),
    })
}

/// The node dies while its plug fails; later the plug works again.
fn blocked_until_back(lab: &mut Lab, faults: &str) -> Checked<Outcome> {
    let (victim, survivor) = roles(lab)?;
    let fault = lab.mark();
    lab.rack.fault(victim, 0, faults)?;
    lab.rack.crash(victim);
    blocked(lab, victim, survivor, fault)?;
    let back = lab.mark();
    lab.rack.fault(victim, 0, "none")?;
    let service_ms = taken_over(lab, survivor, back)?;
    fenced_and_verified(lab, victim, survivor)?;
    Ok(Outcome {
        service_ms: Some(service_ms),
        told: format!(
            "blocked for {:.0} s; time is from the plug's return to the service on {survivor}",
            std::time::Duration::from_millis(back - fault).as_secs_f64()
        ),
    })
}

/// Somebody changes the passwords on the devices, and forgets the cluster.
fn password_changed(lab: &mut Lab) -> Checked<Outcome> {
    let (victim, survivor) = roles(lab)?;
    for node in [victim, survivor] {
        lab.rack.device(node, 0)?.set_password("changed");
    }
    let fault = lab.mark();
    lab.rack.crash(victim);
    // It does not come back with its plug: the configuration must be right without it, too.
    lab.rack.break_supply(victim, true);
    blocked(lab, victim, survivor, fault)?;
    let mended = lab
        .cluster_file
        .replace("p'lug $a", "changed")
        .replace("p\\\"lug ä", "changed");
    let back = lab.mark();
    let out = lab.configure(survivor, &mended, &[])?;
    succeeded(&out, "configure-stonith.sh")?;
    lab.cluster_file = mended;
    let service_ms = taken_over(lab, survivor, back)?;
    fenced_and_verified(lab, victim, survivor)?;
    // What fences the survivor may run on the victim alone, which is down: no fault of the configuration.
    let again = lab.configure(survivor, &lab.cluster_file, &[])?;
    succeeded(&again, "configure-stonith.sh with a node down")?;
    let waits = format!("no node that may run them is up now: fence-{survivor} fence-verify-{survivor};");
    if !again.stdout.contains(&waits) {
        return Err(format!("the script should say {waits:?}: {again}"));
    }
    Ok(Outcome {
        service_ms: Some(service_ms),
        told: "a changed file was pushed into the blocked cluster; time is from then to the service"
            .to_owned(),
    })
}

/// After ten failures Pacemaker tries again only when something happens, and every cluster-recheck-interval, which is a
/// minute here.
fn back_after_giving_up(lab: &mut Lab) -> Checked<Outcome> {
    let (victim, survivor) = roles(lab)?;
    let fault = lab.mark();
    lab.rack.fault(victim, 0, "reset")?;
    lab.rack.crash(victim);
    lab.wait("Pacemaker gives up", 2 * PATIENCE, |lab| {
        NODES.iter().any(|node| lab.log(node).contains("giving up"))
    })?;
    blocked(lab, victim, survivor, fault)?;
    let back = lab.mark();
    lab.rack.fault(victim, 0, "none")?;
    let service_ms = taken_over(lab, survivor, back)?;
    fenced_and_verified(lab, victim, survivor)?;
    Ok(Outcome {
        service_ms: Some(service_ms),
        told: format!(
            "gave up after {} s; time is from the plug's return, with cluster-recheck-interval=60s",
            (back - fault) / 1000
        ),
    })
}

fn survivor_loses_a_network(lab: &mut Lab) -> Checked<Outcome> {
    let (victim, survivor) = roles(lab)?;
    let fault = lab.mark();
    lab.rack.cables(survivor, &["client"], false);
    lab.rack.crash(victim);
    blocked(lab, victim, survivor, fault)?;
    lab.logged(survivor, &["fence_check", "stderr", "inconclusive"])?;
    let back = lab.mark();
    lab.rack.cables(survivor, &["client"], true);
    let service_ms = taken_over(lab, survivor, back)?;
    fenced_and_verified(lab, victim, survivor)?;
    Ok(Outcome {
        service_ms: Some(service_ms),
        told: format!(
            "no verdict without the client network; time is from its return to the service on {survivor}"
        ),
    })
}
