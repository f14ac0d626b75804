//! What `fencekit doctor` and `fencekit explain` say of the running cluster: nothing that is not so, and what blocks.

use fencekit_interop::{fencekit_bin, run};
use serde_json::Value;

use crate::Checked;
use crate::lab::{LIMIT, Lab};

/// The program on a node, with the cluster file; its exit code and its one document.
fn document(lab: &Lab, node: &str, arguments: &[&str]) -> Checked<(Option<i32>, Value)> {
    let mut command = lab.rack.inside(node, "env")?;
    command
        .arg(fencekit_bin())
        .args(arguments)
        .arg("--json")
        .arg("--config")
        .arg(lab.folder.join("cluster.yml"));
    let out = run(&mut command, "", LIMIT);
    let document = serde_json::from_str(&out.stdout)
        .map_err(|error| format!("fencekit {}: {error}: {out}", arguments.join(" ")))?;
    Ok((out.code, document))
}

fn list<'v>(document: &'v Value, key: &str) -> &'v [Value] {
    document
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'v>(item: &'v Value, key: &str) -> &'v str {
    item.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The doctor finds every device and nothing wrong, and says that the cluster was told what the file says.
pub(super) fn is_sound(lab: &Lab, node: &str) -> Checked {
    let (code, told) = document(lab, node, &["doctor"])?;
    let findings = list(&told, "findings");
    let is_false = |finding: &&Value| {
        let severe = !matches!(text(finding, "severity"), "info" | "warning");
        severe
            || text(finding, "topic") == "witness"
            || text(finding, "topic") == "pacemaker" && text(finding, "severity") != "info"
    };
    let wrong: Vec<&Value> = findings.iter().filter(is_false).collect();
    if code != Some(0) || !wrong.is_empty() {
        return Err(format!(
            "the doctor ended with {code:?} on a healthy cluster: {wrong:#?}"
        ));
    }
    let details: Vec<&str> = findings.iter().map(|finding| text(finding, "detail")).collect();
    let reached = details
        .iter()
        .filter(|detail| detail.starts_with("reached"))
        .count();
    let same = details.contains(&"the cluster has been told what the file says");
    match reached == 4 && same {
        true => Ok(()),
        false => Err(format!(
            "the doctor should say more of a healthy cluster: {details:#?}"
        )),
    }
}

/// The explanation ends as a verdict that is no success, says what blocks, and that the cluster waits.
pub(super) fn is_blocked_by(lab: &Lab, survivor: &str, victim: &str, what: &str) -> Checked {
    let (code, told) = document(lab, survivor, &["explain", victim])?;
    let mut blocks = list(&told, "blocks").iter().map(|block| text(block, "what"));
    let mut lines = list(&told, "pacemaker").iter().filter_map(Value::as_str);
    let waits = lines.any(|line| line.contains("UNCLEAN"));
    if code != Some(3) || !blocks.any(|block| block.contains(what)) || !waits {
        return Err(format!(
            "fencekit explain {victim} should say {what:?} and UNCLEAN, and ended with {code:?}: {told:#}"
        ));
    }
    Ok(())
}
