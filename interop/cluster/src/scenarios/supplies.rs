//! Nodes with more than one device: a BMC and the plug in front of it, two power supplies; and a fight.

use std::process::Stdio;

use super::blocked::blocked;
use super::{Outcome, Scenario, configuration, fenced_and_verified, logged_of, roles, taken_over, told};
use crate::Checked;
use crate::lab::{Lab, PATIENCE};

pub(super) const SCENARIOS: &[Scenario] = &[
    configuration::LIVE,
    Scenario {
        name: "bmc-fences",
        about: "the node dies, its BMC lives and switches it off",
        run: bmc_fences,
    },
    Scenario {
        name: "bmc-dead-with-its-node",
        about: "the node's power supply fails, and its BMC with it: the plug of the second level fences it",
        run: bmc_dead,
    },
    Scenario {
        name: "one-of-two-plugs-fails",
        about: "a node with two supplies, one of whose plugs is gone: blocked, until it is back",
        run: one_of_two,
    },
    Scenario {
        name: "both-shoot",
        about: "both storage nodes fence each other at once, with a delay on one: one survives",
        run: both_shoot,
    },
];

fn bmc_fences(lab: &mut Lab) -> Checked<Outcome> {
    lab.move_service("storage-a")?;
    let fault = lab.mark();
    lab.rack.crash("storage-a");
    let service_ms = taken_over(lab, "storage-b", fault)?;
    fenced_and_verified(lab, "storage-a", "storage-b")?;
    Ok(Outcome {
        service_ms: Some(service_ms),
        told: "the BMC switched storage-a off, and it was verified".to_owned(),
    })
}

fn bmc_dead(lab: &mut Lab) -> Checked<Outcome> {
    lab.move_service("storage-a")?;
    let plug = lab.rack.device("storage-a", 1)?;
    let before = plug.commands().len();
    let fault = lab.mark();
    lab.rack.break_supply("storage-a", true);
    let service_ms = taken_over(lab, "storage-b", fault)?;
    lab.logged(
        "storage-b",
        &[
            "'off'",
            "targeting storage-a using fence-verify-storage-a-fallback returned 0",
        ],
    )?;
    if !plug.commands().iter().skip(before).any(|(_, on)| !on) {
        return Err(format!(
            "the plug of the second level was not asked: {:?}",
            plug.commands()
        ));
    }
    Ok(Outcome {
        service_ms: Some(service_ms),
        told: "level 1 failed, the plug of level 2 switched storage-a off, and it was verified".to_owned(),
    })
}

fn one_of_two(lab: &mut Lab) -> Checked<Outcome> {
    lab.move_service("storage-b")?;
    let fault = lab.mark();
    lab.rack.fault("storage-b", 1, "reset")?;
    lab.rack.crash("storage-b");
    blocked(lab, "storage-b", "storage-a", fault)?;
    told::is_blocked_by(
        lab,
        "storage-a",
        "storage-b",
        "10.20.20.203 does not say whether it is off",
    )?;
    if lab.rack.device("storage-b", 0)?.relay(0) != Some(false) {
        return Err("the plug that works should be off by now".to_owned());
    }
    let back = lab.mark();
    lab.rack.fault("storage-b", 1, "none")?;
    let service_ms = taken_over(lab, "storage-a", back)?;
    fenced_and_verified(lab, "storage-b", "storage-a")?;
    Ok(Outcome {
        service_ms: Some(service_ms),
        told: "one plug off was not enough; time is from the other's return to the service".to_owned(),
    })
}

/// Both at once, as two nodes do that lost sight of each other and each believe to have the quorum.
fn both_shoot(lab: &mut Lab) -> Checked<Outcome> {
    lab.move_service("storage-a")?;
    let fault = lab.mark();
    let boots = lab.rack.boots("storage-b");
    let mut shots = Vec::new();
    for (shooter, target) in [("storage-a", "storage-b"), ("storage-b", "storage-a")] {
        let mut command = lab.rack.inside(shooter, "stonith_admin")?;
        command
            .args(["--reboot", target, "--timeout", "60"])
            .stdin(Stdio::null());
        let shot = command
            .spawn()
            .map_err(|error| format!("stonith_admin: {error}"))?;
        shots.push(shot);
    }
    let service_ms = taken_over(lab, "storage-b", fault);
    for mut shot in shots {
        let _ = shot.kill();
        let _ = shot.wait();
    }
    let service_ms = service_ms?;
    logged_of(lab, "storage-a", "storage-b")?;
    lab.wait("storage-a is back", PATIENCE, |lab| {
        lab.rack.boots("storage-a") > 1 || lab.log("quorum").contains("Not turning")
    })?;
    if lab.rack.boots("storage-b") != boots || lab.storage.owner().as_deref() != Some("storage-b") {
        return Err("storage-b, whose fencing was delayed, should have survived".to_owned());
    }
    let _ = roles(lab)?;
    Ok(Outcome {
        service_ms: Some(service_ms),
        told: "storage-b was to be shot 5 s later, and survived; storage-a was fenced and verified"
            .to_owned(),
    })
}
