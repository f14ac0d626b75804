//! The supplies of two nodes are swapped: whoever fences the other one cuts its own power.

use fencekit_interop::{Output, fencekit_bin, run};

use super::{Outcome, Scenario, fenced_and_verified, kill_corosync, roles, taken_over};
use crate::Checked;
use crate::lab::{LIMIT, Lab, PATIENCE};

pub(super) const CROSSED: Scenario = Scenario {
    name: "crossed-outlets",
    about: "the outlets of both nodes are swapped: the wrong node dies, and nobody takes over while the right one lives",
    run: crossed_outlets,
};

/// How long the right node must go on writing alone once the wrong one is dead, in milliseconds: longer than the
/// fencing, the verification and the start of the service take together.
const ALONE_MS: u64 = 20_000;

fn crossed_outlets(lab: &mut Lab) -> Checked<Outcome> {
    let (victim, survivor) = roles(lab)?;
    let fault = lab.mark();
    lab.rack.cross(true);
    // It is out of the cluster, and its service writes on.
    kill_corosync(lab, victim)?;
    lab.wait(&format!("{survivor} cuts its own power"), PATIENCE, |lab| {
        !lab.rack.runs(survivor)
    })?;
    let off = lab.rack.device(victim, 0)?.relay(0) == Some(false);
    let died = lab.mark();
    lab.wait(&format!("{victim} writes on"), PATIENCE, |lab| {
        lab.storage.last_by(victim).unwrap_or_default() > died + ALONE_MS
    })?;
    let alone = lab.storage.taken_over(survivor, fault).is_none()
        && lab.storage.owner().as_deref() == Some(victim)
        && lab.rack.runs(victim);
    if !off || !alone || lab.rack.runs(survivor) {
        return Err(format!(
            "the outlet of {victim} should be off, {survivor} dead and {victim} the only one that writes"
        ));
    }
    // The plug says off, and the node lives.
    let verified = by_hand(lab, &["verify", victim])?;
    if verified.code == Some(0) || !verified.stdout.contains("still-alive") {
        return Err(format!(
            "{victim} lives, and the verification should say so: {verified}"
        ));
    }

    // Somebody puts the supplies where they belong, which cuts the power of the node that was meant. Where the quorum node
    // leads, it waits the whole off timeout and a fifth more for the answer of the shooter that died, and then fences anew.
    let mended = lab.mark();
    lab.rack.cross(false);
    let service_ms = taken_over(lab, survivor, mended)?;
    fenced_and_verified(lab, victim, survivor)?;
    Ok(Outcome {
        service_ms: Some(service_ms),
        told: format!(
            "{survivor} cut its own power, {victim} wrote on alone; time is from the supplies' return to the service"
        ),
    })
}

/// The program on the quorum node, which feels nothing of all this.
fn by_hand(lab: &Lab, arguments: &[&str]) -> Checked<Output> {
    let mut command = lab.rack.inside("quorum", "env")?;
    command
        .arg(fencekit_bin())
        .args(arguments)
        .arg("--config")
        .arg(lab.folder.join("cluster.yml"));
    Ok(run(&mut command, "", LIMIT))
}
