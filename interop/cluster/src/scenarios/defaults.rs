//! A cluster file that names no time: what is left out must fit together, and Pacemaker must wait long enough for it.

use super::{Outcome, Scenario, crossed, fenced_and_verified, roles, taken_over};
use crate::Checked;
use crate::lab::Lab;
use crate::rack::NODES;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "default-times",
        about: "the cluster file names no time: the node with the service dies, and is fenced at the first attempt",
        run: with_default_times,
    },
    Scenario {
        name: "default-times-slow-plug",
        about: "the same with a plug that obeys later than the times of the other clusters allow",
        run: with_a_slow_plug,
    },
    crossed::CROSSED,
];

/// How long a verification watches by default.
const WATCHES_MS: u64 = 10_000;
/// How long Pacemaker waits by default for one off.
const OFF_MS: u64 = 60_000;
/// Later than the 15 s that the other clusters give an off.
const OBEYS_AFTER: u64 = 16;

fn with_default_times(lab: &mut Lab) -> Checked<Outcome> {
    let (victim, survivor) = roles(lab)?;
    has_the_defaults(lab, victim)?;
    let service_ms = dies_and_is_fenced(lab, victim, survivor)?;
    // Detection, off, verification, on and the start together within what a single off may take: there is room.
    if !(WATCHES_MS..OFF_MS).contains(&service_ms) {
        return Err(format!(
            "the service came after {service_ms} ms, not between {WATCHES_MS} and {OFF_MS}"
        ));
    }
    Ok(Outcome {
        service_ms: Some(service_ms),
        told: format!("{victim} fenced at the first attempt and verified for 10 s, service on {survivor}"),
    })
}

fn with_a_slow_plug(lab: &mut Lab) -> Checked<Outcome> {
    let (victim, survivor) = roles(lab)?;
    lab.rack.fault(victim, 0, &format!("delay={OBEYS_AFTER}"))?;
    let service_ms = dies_and_is_fenced(lab, victim, survivor)?;
    if service_ms < OBEYS_AFTER * 1000 + WATCHES_MS {
        return Err(format!(
            "the service came after {service_ms} ms, before the plug can have obeyed and the verification ended"
        ));
    }
    Ok(Outcome {
        service_ms: Some(service_ms),
        told: format!(
            "the plug obeyed after {OBEYS_AFTER} s, {victim} was fenced at the first attempt, service on {survivor}"
        ),
    })
}

/// What the generated script made of the times that the file leaves out.
fn has_the_defaults(lab: &Lab, victim: &str) -> Checked {
    let (device, verification) = (format!("fence-{victim}"), format!("fence-verify-{victim}"));
    for (resource, name, value) in [
        (&device, "pcmk_off_timeout", "60s"),
        (&device, "pcmk_on_timeout", "60s"),
        (&device, "pcmk_reboot_timeout", "120s"),
        (&verification, "pcmk_off_timeout", "60s"),
        (&verification, "verify_wait", "10"),
    ] {
        let asked = ["--resource", resource, "--get-parameter", name];
        let found = lab.must("quorum", "crm_resource", &asked)?;
        if found.trim() != value {
            return Err(format!("{name} of {resource} should be {value}, not {found:?}"));
        }
    }
    let asked = ["--query", "--quiet", "--name", "stonith-timeout"];
    match lab.must("quorum", "crm_attribute", &asked)?.trim() {
        // Off and on of a device and its verification.
        "240s" => Ok(()),
        other => Err(format!("stonith-timeout should be 240s, not {other:?}")),
    }
}

/// From the death to the service, in milliseconds; no attempt may have failed, and no time been too short.
fn dies_and_is_fenced(lab: &mut Lab, victim: &str, survivor: &str) -> Checked<u64> {
    let fault = lab.mark();
    lab.rack.crash(victim);
    let service_ms = taken_over(lab, survivor, fault)?;
    fenced_and_verified(lab, victim, survivor)?;
    for node in NODES {
        let log = lab.log(node);
        let too_short = |line: &&str| {
            line.contains("timed out") || line.contains("Timed Out") || line.contains("was not terminated")
        };
        if let Some(line) = log.lines().find(too_short) {
            return Err(format!("a time was too short: {node}: {line}"));
        }
    }
    Ok(service_ms)
}
