//! What Pacemaker has been told, against the cluster file, and how its fence resources fare.

use std::path::Path;

use super::advice::{Advice, Topic};
use super::{Scope, host};
use crate::cluster::{Cluster, Node};
use crate::device::Severity;
use crate::options::may_hold_a_token;
use crate::pacemaker::ask::{Silent, ask};
use crate::pacemaker::cib::{Cib, Level, Primitive};
use crate::pacemaker::is_true;
use crate::pacemaker::monitor::Monitor;
use crate::stonith::{self, Configuration};

/// How the file is brought into the cluster.
const APPLY: &str = "fencekit generate pcs --output configure-stonith.sh, see what bash configure-stonith.sh --dry-run says, \
                     then run it";

/// What Pacemaker's `cibadmin` and `crm_mon` say; advice alone where they cannot be asked.
pub(super) async fn examine(cluster: &Cluster, nodes: &[&Node], scope: &Scope) -> Vec<Advice> {
    let said = match ask("cibadmin", &["--query"]).await {
        Ok(said) => said,
        Err(Silent::Absent) if !host::is_member(cluster, scope.host.as_deref()) => {
            return vec![not_here("Pacemaker is not installed")];
        }
        Err(Silent::Absent) => {
            return vec![unasked("Pacemaker is not installed on this node of the cluster")];
        }
        Err(Silent::Failed(why)) => return vec![unasked(&why)],
    };
    if !said.success {
        let why = said.stderr.lines().next().unwrap_or("cibadmin failed");
        return vec![if host::is_member(cluster, scope.host.as_deref()) {
            unasked(&format!(
                "Pacemaker does not answer on this node of the cluster ({why})"
            ))
        } else {
            not_here("Pacemaker does not run here")
        }];
    }
    let cib = match Cib::parse(&said.stdout) {
        Ok(cib) => cib,
        Err(why) => return vec![unasked(&format!("the cluster's configuration {why}"))],
    };
    let file = scope
        .file
        .as_deref()
        .unwrap_or(Path::new("/etc/fencekit/cluster.yml"));
    let wanted = Configuration::new(cluster, file).ok();
    let mut advice = compare(cluster, nodes, wanted.as_ref(), &cib);
    // A configuration in a file has no state.
    if std::env::var_os("CIB_file").is_none() {
        advice.extend(state(nodes, wanted.as_ref()).await);
    }
    advice
}

fn not_here(why: &str) -> Advice {
    Advice::info(
        Topic::Pacemaker,
        format!("not on a cluster node ({why}): what the cluster was told is not examined"),
    )
}

fn unasked(why: &str) -> Advice {
    Advice::unknown(
        Topic::Pacemaker,
        format!("{why}: what the cluster was told could not be examined"),
        "start the cluster on this node (pcs cluster start) and run this as root",
    )
}

/// A configuration against the file. Pure.
fn compare(cluster: &Cluster, nodes: &[&Node], wanted: Option<&Configuration>, cib: &Cib) -> Vec<Advice> {
    let mut advice = properties(wanted, cib);
    advice.extend(members(cluster, nodes, cib));
    let Some(wanted) = wanted else {
        return advice;
    };
    for node in nodes {
        advice.extend(
            of_node(node, wanted, cib)
                .into_iter()
                .map(|one| one.of(&node.name)),
        );
    }
    let known = |primitive: &&Primitive| !wanted.resources.iter().any(|one| one.id == primitive.id);
    let foreign: Vec<&str> = cib
        .resources
        .iter()
        .filter(known)
        .map(|one| one.id.as_str())
        .collect();
    if !foreign.is_empty() {
        advice.push(Advice::info(
            Topic::Resource,
            format!(
                "fence resources that are not from this file: {}",
                foreign.join(", ")
            ),
        ));
    }
    let worst = advice.iter().map(|one| one.severity).max();
    if worst.is_none_or(|worst| worst == Severity::Info) {
        advice.push(Advice::info(
            Topic::Pacemaker,
            "the cluster has been told what the file says",
        ));
    }
    advice
}

fn properties(wanted: Option<&Configuration>, cib: &Cib) -> Vec<Advice> {
    let mut advice = Vec::new();
    let value = |name: &str| cib.properties.get(name).map(String::as_str);
    for name in ["stonith-enabled", "fencing-enabled"] {
        if value(name).is_some_and(|value| !is_true(value)) {
            advice.push(Advice::problem(
                Topic::Property,
                format!(
                    "{name} is {}: nothing is ever fenced",
                    value(name).unwrap_or_default()
                ),
                format!("pcs property set {name}=true"),
            ));
        }
    }
    if value("maintenance-mode").is_some_and(is_true) {
        advice.push(Advice::warning(
            Topic::Property,
            "maintenance-mode is on: nothing is started elsewhere after a fence",
            "pcs property set maintenance-mode=false, when the work is done",
        ));
    }
    if value("startup-fencing").is_some_and(|value| !is_true(value)) {
        advice.push(Advice::warning(
            Topic::Property,
            "startup-fencing is off: a node that was never seen since the start is taken for dead unfenced",
            "pcs property set startup-fencing=true",
        ));
    }
    if value("no-quorum-policy") == Some("ignore") {
        advice.push(Advice::warning(
            Topic::Property,
            "no-quorum-policy is ignore: both halves of a split cluster fence each other",
            "pcs property set no-quorum-policy=stop, and give the cluster a third vote",
        ));
    }
    if let Some(watchdog) = value("stonith-watchdog-timeout").filter(|text| seconds(text) != Some(0.0)) {
        advice.push(Advice::warning(
            Topic::Property,
            format!("stonith-watchdog-timeout is {watchdog}: a node is taken for dead after that time, and nobody verifies it"),
            "pcs property set stonith-watchdog-timeout=0, unless each node's watchdog was proven",
        ));
    }
    let needed = wanted.and_then(|wanted| wanted.properties.iter().find(|one| one.name == "stonith-timeout"));
    if let Some(needed) = needed {
        // What is not set is 60 s.
        let has = value("stonith-timeout").unwrap_or("60s");
        if seconds(has)
            .zip(seconds(&needed.value))
            .is_none_or(|(has, needed)| has < needed)
        {
            advice.push(Advice::warning(
                Topic::Timing,
                format!(
                    "stonith-timeout is {has}, and a whole level may take {}: a slow fence is given up",
                    needed.value
                ),
                format!("pcs property set stonith-timeout={}", needed.value),
            ));
        }
    }
    advice
}

/// A time as Pacemaker writes it, in seconds.
fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text.get(number.len()..)? {
        "" | "s" | "sec" => 1.0,
        "ms" | "msec" => 0.001,
        "m" | "min" => 60.0,
        "h" | "hr" => 3600.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

fn members(cluster: &Cluster, nodes: &[&Node], cib: &Cib) -> Vec<Advice> {
    let mut advice = Vec::new();
    // One that nobody has joined yet knows no nodes.
    if cib.nodes.is_empty() {
        return advice;
    }
    for node in nodes.iter().filter(|node| !cib.nodes.contains(&node.name)) {
        advice.push(
            Advice::problem(
                Topic::Pacemaker,
                format!(
                    "the cluster has no node of this name; its nodes are {}",
                    cib.nodes.join(", ")
                ),
                "write the node's name as crm_node --list shows it",
            )
            .of(&node.name),
        );
    }
    let known = |name: &&String| {
        cluster.nodes.iter().any(|node| node.name == **name) || cluster.quorum_nodes.contains(name)
    };
    for name in cib.nodes.iter().filter(|name| !known(name)) {
        let targeted = cib.resources.iter().any(|one| one.targets(name));
        advice.push(if targeted {
            Advice::info(
                Topic::Pacemaker,
                format!("the cluster's node {name} is not in the file; something else fences it"),
            )
        } else {
            Advice::problem(
                Topic::Pacemaker,
                format!("the cluster's node {name} is not in the file, and nothing can fence it"),
                format!("add {name} under stonith_nodes, or under quorum_nodes if it runs no resource"),
            )
        });
    }
    advice
}

fn of_node(node: &Node, wanted: &Configuration, cib: &Cib) -> Vec<Advice> {
    let mut advice = Vec::new();
    for resource in wanted.resources.iter().filter(|one| one.node == node.name) {
        match cib.resources.iter().find(|one| one.id == resource.id) {
            Some(primitive) => compare_resource(resource, primitive, &mut advice),
            None => advice.push(missing(node, resource, cib)),
        }
    }
    levels(&node.name, wanted, cib, &mut advice);
    for rule in &wanted.rules {
        let is_ours = wanted
            .resources
            .iter()
            .any(|one| one.id == rule.resource && one.node == node.name);
        let exists = cib.resources.iter().any(|one| one.id == rule.resource);
        if is_ours && exists && !keeps_off(cib, rule) {
            advice.push(Advice::warning(
                Topic::Location,
                format!("no location rule keeps {} off {}", rule.resource, rule.node),
                format!("pcs constraint location {} avoids {}", rule.resource, rule.node),
            ));
        }
    }
    advice
}

fn keeps_off(cib: &Cib, rule: &stonith::LocationRule) -> bool {
    cib.locations.iter().any(|location| {
        location.is_never
            && location.resource.as_ref() == Some(&rule.resource)
            && location.node.as_ref() == Some(&rule.node)
    })
}

fn missing(node: &Node, resource: &stonith::Resource, cib: &Cib) -> Advice {
    let others = cib.resources.iter().filter(|one| one.targets(&node.name));
    let others: Vec<&str> = others.map(|one| one.id.as_str()).collect();
    let instead = if others.is_empty() {
        String::new()
    } else {
        format!("; it fences {} by {}", node.name, others.join(", "))
    };
    Advice::problem(
        Topic::Resource,
        format!("the cluster has no fence resource {}{instead}", resource.id),
        APPLY,
    )
}

fn compare_resource(wanted: &stonith::Resource, has: &Primitive, advice: &mut Vec<Advice>) {
    let id = &wanted.id;
    let problem = |detail: String| Advice::problem(Topic::Resource, detail, APPLY);
    if has.agent != wanted.agent && !has.is_partial {
        advice.push(problem(format!("{id} runs {}, not {}", has.agent, wanted.agent)));
        return;
    }
    if has
        .meta
        .get("target-role")
        .is_some_and(|role| role.eq_ignore_ascii_case("stopped"))
    {
        advice.push(Advice::problem(
            Topic::Resource,
            format!("{id} is disabled: the cluster does not use it"),
            format!("pcs stonith enable {id}"),
        ));
    }
    if has
        .monitor
        .as_deref()
        .is_none_or(|every| seconds(every) == Some(0.0))
        && !has.is_partial
    {
        advice.push(Advice::warning(
            Topic::Resource,
            format!("{id} is not monitored: a device that is gone is noticed when it is needed"),
            APPLY,
        ));
    }
    if has.is_partial {
        advice.push(Advice::unknown(
            Topic::Resource,
            format!("{id} takes options from a template, a shared set or a rule, which are not compared"),
            format!("pcs stonith config {id} shows them; see that they are those of the file"),
        ));
        return;
    }
    for attribute in &wanted.attributes {
        let name = attribute.name;
        let value = has.attribute(name);
        // Pacemaker may keep a secret elsewhere, and says so.
        if value == Some(attribute.value.expose()) || value.is_some_and(|value| value.starts_with("lrm://")) {
            continue;
        }
        let detail = match value {
            None => format!("{id} lacks {name}"),
            // A token that the file no longer has is one all the same.
            Some(value) if attribute.secret || may_hold_a_token(name, value) => {
                format!("{id} has another {name} than the file")
            }
            Some(value) => format!("{id} has {name}={value}, the file {}", attribute.value.expose()),
        };
        advice.push(if name.starts_with("pcmk_") && name.ends_with("_timeout") {
            Advice::warning(Topic::Timing, detail, APPLY)
        } else {
            problem(detail)
        });
    }
    for name in has.attributes.keys() {
        if wanted.attributes.iter().any(|attribute| attribute.name == name) {
            continue;
        }
        advice.push(if name.starts_with("pcmk_") {
            Advice::info(
                Topic::Resource,
                format!("{id} has {name} too, which is not from this file"),
            )
        } else {
            Advice::warning(
                Topic::Resource,
                format!("{id} has {name}, which the file does not have"),
                APPLY,
            )
        });
    }
}

/// The first level that succeeds ends the fencing: one without the verification is a way around it.
fn levels(node: &str, configuration: &Configuration, cib: &Cib, advice: &mut Vec<Advice>) {
    let wanted = || configuration.levels.iter().filter(|level| level.node == node);
    let mut own: Vec<&Level> = cib
        .levels
        .iter()
        .filter(|level| level.target.as_deref() == Some(node))
        .collect();
    own.sort_by_key(|level| level.index);
    if own.is_empty() && cib.levels.iter().any(|level| level.target.is_none()) {
        advice.push(Advice::unknown(
            Topic::Level,
            "fence levels are given by pattern or attribute, which are not compared",
            "pcs stonith level config shows them; see that each of this node's ends with its verification",
        ));
        return;
    }
    for level in wanted() {
        if !own.iter().any(|has| has.resources == level.resources) {
            advice.push(no_level(level, &own));
        }
    }
    let order = |wanted: &stonith::Level| own.iter().position(|has| has.resources == wanted.resources);
    let places: Vec<usize> = wanted().filter_map(order).collect();
    if !places.is_sorted() {
        advice.push(Advice::problem(
            Topic::Level,
            "its fence levels are in another order than in the file: the fallback is tried first",
            APPLY,
        ));
    }
    let is_verifier = |id: &String| {
        let mut resources = configuration.resources.iter();
        resources.any(|one| one.id == *id && one.node == node && one.agent == "fence_check")
    };
    let is_verified = wanted().any(|level| level.resources.iter().any(is_verifier));
    for level in own
        .iter()
        .filter(|level| !level.resources.iter().any(is_verifier))
    {
        if is_verified {
            advice.push(Advice::problem(
                Topic::Level,
                format!(
                    "level {} ({}) is without the verification: {node} would count as dead on its devices' word",
                    level.index,
                    level.resources.join(" ")
                ),
                format!("pcs stonith level remove {} {node}", level.index),
            ));
        }
    }
}

fn no_level(wanted: &stonith::Level, own: &[&Level]) -> Advice {
    let has: Vec<String> = own
        .iter()
        .map(|level| format!("level {}: {}", level.index, level.resources.join(" ")))
        .collect();
    let has = if has.is_empty() {
        "none".to_owned()
    } else {
        has.join("; ")
    };
    Advice::problem(
        Topic::Level,
        format!(
            "no fence level has {} in this order; there is {has}",
            wanted.resources.join(" ")
        ),
        APPLY,
    )
}

/// How nodes and fence resources fare now.
async fn state(nodes: &[&Node], wanted: Option<&Configuration>) -> Vec<Advice> {
    let said = ask("crm_mon", &["-1", "--output-as=xml"]).await;
    let monitor = match said {
        Ok(said) => Monitor::parse(&said.stdout),
        Err(Silent::Absent) => Err("crm_mon is not there".to_owned()),
        Err(Silent::Failed(why)) => Err(why),
    };
    match monitor {
        Ok(monitor) => fares(nodes, wanted, &monitor),
        Err(why) => vec![Advice::unknown(
            Topic::Pacemaker,
            format!("the state of the cluster could not be read: {why}"),
            "see what crm_mon -1 says",
        )],
    }
}

fn fares(nodes: &[&Node], wanted: Option<&Configuration>, monitor: &Monitor) -> Vec<Advice> {
    let mut advice = Vec::new();
    if monitor.has_quorum == Some(false) {
        advice.push(Advice::problem(
            Topic::Pacemaker,
            "this part of the cluster has no quorum: it fences nobody",
            "see pcs quorum status; bring the missing nodes back",
        ));
    }
    for node in nodes {
        let name = &node.name;
        let Some(state) = monitor.nodes.iter().find(|state| state.name == *name) else {
            continue;
        };
        if state.unclean {
            advice.push(
                Advice::problem(
                    Topic::Pacemaker,
                    format!("{name} is UNCLEAN: the cluster waits for its fence"),
                    format!("fencekit explain {name}"),
                )
                .of(name),
            );
        } else if !state.online {
            advice.push(
                Advice::warning(
                    Topic::Pacemaker,
                    format!("{name} is offline"),
                    "pcs cluster start on it, when it may come back",
                )
                .of(name),
            );
        }
    }
    for resource in wanted.into_iter().flat_map(|wanted| &wanted.resources) {
        if !nodes.iter().any(|node| node.name == resource.node) {
            continue;
        }
        let id = &resource.id;
        let Some(state) = monitor.resources.iter().find(|state| state.id == *id) else {
            continue;
        };
        let failures = monitor.failures.iter().filter(|failure| failure.is_of(id));
        let why: Vec<String> = failures
            .map(|failure| {
                format!(
                    "{} on {}: {} {}",
                    failure.key, failure.node, failure.status, failure.reason
                )
            })
            .collect();
        let why = if why.is_empty() {
            String::new()
        } else {
            format!(" ({})", why.join("; "))
        };
        let mend = format!("see why its device or agent fails, then pcs stonith cleanup {id}");
        if !state.active {
            let detail = format!("{id} runs nowhere{why}");
            advice.push(Advice::problem(Topic::Resource, detail, mend).of(&resource.node));
        } else if state.failed || !why.is_empty() {
            let detail = format!("{id} has failed{why}");
            advice.push(Advice::warning(Topic::Resource, detail, mend).of(&resource.node));
        }
    }
    advice
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
