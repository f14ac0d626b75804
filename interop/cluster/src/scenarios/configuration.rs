//! The generated script against the running cluster, and what happens without verification.

use super::{Outcome, Scenario, kill_corosync, roles, taken_over, told};
use crate::Checked;
use crate::lab::{Lab, PATIENCE};
use crate::rack::succeeded;

/// The generated script, run on a live cluster.
pub(super) const LIVE: Scenario = Scenario {
    name: "configured-live",
    about: "the generated script on the running cluster: dry run, second run, change, node removed, failure",
    run: live,
};

/// Without verification a lie costs data: the proof that the proof can fail.
pub(super) const UNVERIFIED: Scenario = Scenario {
    name: "unverified-lie",
    about: "stonith_fence_verify: false and a plug that lies: two nodes write, and the storage shows it",
    run: unverified,
};

/// The fencing that the cluster has, without counters of other changes.
fn fencing(lab: &Lab) -> Checked<String> {
    lab.must("quorum", "cibadmin", &["--query", "--scope", "configuration"])
}

fn says(out: &fencekit_interop::Output, words: &str) -> Checked {
    succeeded(out, "configure-stonith.sh")?;
    match out.stdout.contains(words) {
        true => Ok(()),
        false => Err(format!("the script should say {words:?}: {out}")),
    }
}

fn same(lab: &Lab, before: &str, when: &str) -> Checked {
    match fencing(lab)? == before {
        true => Ok(()),
        false => Err(format!("the configuration changed in {when}")),
    }
}

fn live(lab: &mut Lab) -> Checked<Outcome> {
    let (owner, _) = roles(lab)?;
    let began = lab.mark();
    let file = lab.cluster_file.clone();
    let before = fencing(lab)?;
    says(&lab.configure("storage-a", &file, &[])?, "Nothing to change.")?;
    same(lab, &before, "a second run")?;
    told::is_sound(lab, "storage-b")?;

    let changed = file
        .replace("monitor_interval: 20s", "monitor_interval: 30s")
        .replace("delay: 5s", "delay: 6s");
    let dry = lab.configure("storage-a", &changed, &["--dry-run"])?;
    says(&dry, "+fence-storage-b: pcmk_delay_base=6s")?;
    same(lab, &before, "a dry run")?;
    says(
        &lab.configure("storage-a", &changed, &[])?,
        "every fence resource runs",
    )?;
    let delay = [
        "--resource",
        "fence-storage-b",
        "--get-parameter",
        "pcmk_delay_base",
    ];
    if lab.must("quorum", "crm_resource", &delay)?.trim() != "6s" {
        return Err("the changed delay did not reach the cluster".to_owned());
    }

    let (start, end) = (file.find("  storage-b:"), file.find("stonith_fence_verify"));
    let (Some(start), Some(end)) = (start, end) else {
        return Err("the cluster file is not as expected".to_owned());
    };
    let mut smaller = file.clone();
    smaller.replace_range(start..end, "");
    let kept = lab.configure("storage-a", &smaller, &[])?;
    says(&kept, "fence-storage-b: no longer in the cluster file")?;
    // Its verification reads the file, so it fails now, and Pacemaker gives up on it. What fails for such a reason must
    // run again when the file is whole.
    lab.wait(
        "the verification of a node that left the file fails",
        PATIENCE,
        |lab| {
            let of = [
                "--query",
                "--resource",
                "fence-verify-storage-b",
                "--node",
                "storage-a",
            ];
            lab.ask("quorum", "crm_failcount", &of)
                .is_ok_and(|out| out.stdout.contains("INFINITY"))
        },
    )?;
    says(
        &lab.configure("storage-a", &file, &[])?,
        "every fence resource runs",
    )?;
    says(
        &lab.configure("storage-a", &smaller, &["--prune"])?,
        "every fence resource runs",
    )?;
    if fencing(lab)?.contains("id=\"fence-storage-b") {
        return Err("--prune left something of storage-b".to_owned());
    }

    // A name that is taken: the script must give up, and leave everything.
    let taken = "<primitive id=\"fence-storage-b\" class=\"ocf\" provider=\"pacemaker\" type=\"Dummy\"/>";
    lab.must(
        "quorum",
        "cibadmin",
        &["--create", "--scope", "resources", "--xml-text", taken],
    )?;
    let before = fencing(lab)?;
    let refused = lab.configure("storage-a", &file, &[])?;
    if refused.code != Some(1) || !refused.stderr.contains("already the name of something else") {
        return Err(format!("the script should have refused: {refused}"));
    }
    same(lab, &before, "a run that failed")?;
    lab.must(
        "quorum",
        "cibadmin",
        &["--delete", "--scope", "resources", "--xml-text", taken],
    )?;
    says(
        &lab.configure("storage-a", &file, &[])?,
        "every fence resource runs",
    )?;
    if lab.storage.taken_over(owner, began).is_some() || lab.storage.owner().as_deref() != Some(owner) {
        return Err("the service should never have noticed".to_owned());
    }
    Ok(Outcome {
        service_ms: None,
        told: "eight runs of the script, each as it should; the service never noticed".to_owned(),
    })
}

fn unverified(lab: &mut Lab) -> Checked<Outcome> {
    let (victim, survivor) = roles(lab)?;
    let file = lab
        .cluster_file
        .replace("stonith_fence_verify: true", "stonith_fence_verify: false");
    succeeded(
        &lab.configure(survivor, &file, &["--prune"])?,
        "configure-stonith.sh",
    )?;
    let fault = lab.mark();
    lab.rack.fault(victim, 0, "lie")?;
    kill_corosync(lab, victim)?;
    let service_ms = taken_over(lab, survivor, fault)?;
    let both = |lab: &mut Lab| lab.storage.last_by(victim).unwrap_or_default() > fault + service_ms + 500;
    lab.wait("both write", PATIENCE, both)?;
    let overlaps = lab.storage.overlaps();
    lab.rack.fault(victim, 0, "none")?;
    lab.rack.device(victim, 0)?.set(0, false, true);
    lab.wait("the power was really cut", PATIENCE, |lab| !lab.rack.runs(victim))?;
    // What was written until the power was really cut.
    let overlaps = overlaps.len() + lab.storage.overlaps().len();
    if overlaps == 0 {
        return Err("two wrote, and the storage does not show it".to_owned());
    }
    Ok(Outcome {
        service_ms: Some(service_ms),
        told: format!(
            "as it must be without verification: {overlaps} writes of two nodes at once, all found"
        ),
    })
}
