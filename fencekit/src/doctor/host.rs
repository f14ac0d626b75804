//! This host: who may read and write the files, the fence agents, the drills.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::Scope;
use super::advice::{Advice, Topic};
use crate::cluster::{Cluster, Node, Password, Secrets};
use crate::drills;
use crate::fleet::Supply;
use crate::level::Level;
use crate::stonith::Configuration;

/// A drill older than this says little of how the node is wired now.
const DRILL_AGE: Duration = Duration::from_secs(180 * 24 * 3600);
/// The agent that verifies.
const VERIFIER: &str = "fence_check";

pub(super) fn examine(
    cluster: &Cluster,
    nodes: &[&Node],
    scope: &Scope,
    fed: &[(&Node, Vec<Supply>)],
) -> Vec<Advice> {
    let mut advice = Vec::new();
    if let Some(file) = &scope.file {
        advice.extend(cluster_file(file));
    }
    advice.extend(secrets(cluster, nodes, scope));
    advice.extend(agents(cluster, scope));
    advice.extend(drilled(nodes, fed, &scope.drills));
    advice
}

/// Whether Pacemaker is meant to run on this host.
pub(super) fn is_member(cluster: &Cluster, host: Option<&str>) -> bool {
    let Some(host) = host else {
        return false;
    };
    let short = host.split('.').next();
    let known = cluster
        .nodes
        .iter()
        .map(|node| &node.name)
        .chain(&cluster.quorum_nodes);
    known
        .into_iter()
        .any(|name| name == host || Some(name.as_str()) == short)
}

/// Whoever can write the file can have commands run as root (password_script), and another device switched.
fn cluster_file(path: &Path) -> Option<Advice> {
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(cause) => {
            return Some(Advice::unknown(
                Topic::Permissions,
                format!("{}: its permissions cannot be read: {cause}", path.display()),
                "run as root",
            ));
        }
    };
    let shown = path.display();
    (about.is_file() && about.mode() & 0o002 != 0).then(|| {
        Advice::problem(
            Topic::Permissions,
            format!("{shown} can be written by everybody on this machine: they decide what is switched"),
            format!("chmod o-w {shown}"),
        )
    })
}

/// Files that hold passwords, and programs that print them.
fn secrets(cluster: &Cluster, nodes: &[&Node], scope: &Scope) -> Vec<Advice> {
    let mut advice = Vec::new();
    for node in nodes {
        let of_node = node.entries().filter_map(|entry| match &entry.password {
            Password::File(path) => secret_file(path),
            Password::Script(command) => script(command),
            Password::None | Password::Given(_) | Password::Environment(_) => None,
        });
        advice.extend(of_node.map(|one| one.of(&node.name)));
    }
    if cluster.stonith.secrets == Secrets::File && is_member(cluster, scope.host.as_deref()) {
        let file = scope.file.as_deref().unwrap_or(Path::new(""));
        let wanted = Configuration::new(cluster, file).map(|wanted| wanted.secret_files);
        advice.extend(wanted.unwrap_or_default().iter().filter_map(|path| missing(path)));
    }
    advice
}

fn secret_file(path: &Path) -> Option<Advice> {
    // One that cannot be read is told with the device that needs it.
    let about = fs::metadata(path).ok()?;
    let shown = path.display();
    let mode = about.mode();
    let mend = format!("chown root: {shown} && chmod 600 {shown}");
    if about.is_file() && mode & 0o022 != 0 {
        return Some(Advice::problem(
            Topic::Permissions,
            format!("{shown} holds a password and can be written by others than its owner"),
            mend,
        ));
    }
    (about.is_file() && mode & 0o044 != 0).then(|| {
        Advice::warning(
            Topic::Permissions,
            format!("{shown} holds a password and can be read by others than its owner"),
            mend,
        )
    })
}

fn script(command: &str) -> Option<Advice> {
    let program = Path::new(command.split_whitespace().next()?);
    let about = fs::metadata(program).ok()?;
    let shown = program.display();
    (about.is_file() && about.mode() & 0o002 != 0).then(|| {
        Advice::problem(
            Topic::Permissions,
            format!("{shown} is run as root for a password, and everybody on this machine can write it"),
            format!("chown root: {shown} && chmod 755 {shown}"),
        )
    })
}

/// The file that the agents on this node will read a password from.
fn missing(path: &Path) -> Option<Advice> {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(_) => secret_file(path),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Some(Advice::problem(
            Topic::Permissions,
            format!("{shown} is not there, and the fence agents of this host read a password from it"),
            "put the password alone on one line of it, on every node, and chmod 600 it",
        )),
        Err(cause) => Some(Advice::unknown(
            Topic::Permissions,
            format!("{shown} cannot be looked at: {cause}"),
            "run as root",
        )),
    }
}

/// The links by which Pacemaker finds the agents.
fn agents(cluster: &Cluster, scope: &Scope) -> Vec<Advice> {
    let entries = cluster.nodes.iter().flat_map(|node| node.entries());
    let mut needed: BTreeSet<&str> = entries.map(|entry| entry.method().agent()).collect();
    let verified = cluster.nodes.iter().any(|node| !node.addresses.is_empty());
    if verified && cluster.fence_verify != Some(false) {
        needed.insert(VERIFIER);
    }
    let mut absent = Vec::new();
    let mut advice = Vec::new();
    let mut sound = 0;
    for name in &needed {
        match linked(&scope.agents.join(name), scope.program.as_deref()) {
            Linked::Here => sound += 1,
            Linked::Absent => absent.push(*name),
            Linked::Wrong(one) => advice.push(*one),
        }
    }
    let place = scope.agents.display();
    if absent.is_empty() {
        if sound == needed.len() {
            advice.push(Advice::info(
                Topic::Agents,
                format!("{sound} fence agents are installed in {place}"),
            ));
        }
        return advice;
    }
    let detail = format!("{} not installed in {place}", are(&absent));
    advice.push(if is_member(cluster, scope.host.as_deref()) {
        Advice::problem(
            Topic::Agents,
            format!("{detail}: Pacemaker cannot fence from this node"),
            "fencekit install-agents",
        )
    } else {
        Advice::info(
            Topic::Agents,
            format!("{detail}; this host is not in the cluster file, so none is needed here"),
        )
    });
    advice
}

fn are(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}

enum Linked {
    Here,
    Absent,
    Wrong(Box<Advice>),
}

fn linked(path: &Path, program: Option<&Path>) -> Linked {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Linked::Absent,
        Err(cause) => {
            return Linked::Wrong(Box::new(Advice::unknown(
                Topic::Agents,
                format!("{shown} cannot be looked at: {cause}"),
                "run as root",
            )));
        }
        Ok(_) => {}
    }
    let Ok(leads_to) = fs::canonicalize(path) else {
        return Linked::Wrong(Box::new(Advice::problem(
            Topic::Agents,
            format!("{shown} is a link into nothing"),
            "fencekit install-agents",
        )));
    };
    if leads_to.file_name().is_none_or(|name| name != "fencekit") {
        return Linked::Wrong(Box::new(Advice::problem(
            Topic::Agents,
            format!("{shown} is {}, not fencekit's agent", leads_to.display()),
            "move it away, then fencekit install-agents",
        )));
    }
    let program = program.and_then(|program| fs::canonicalize(program).ok());
    match program {
        Some(program) if program != leads_to => Linked::Wrong(Box::new(Advice::warning(
            Topic::Agents,
            format!(
                "{shown} leads to {}, not to this program, {}",
                leads_to.display(),
                program.display()
            ),
            "fencekit install-agents, run from the copy that is to be used",
        ))),
        _ => Linked::Here,
    }
}

fn drilled(nodes: &[&Node], fed: &[(&Node, Vec<Supply>)], path: &Path) -> Vec<Advice> {
    let drills = match drills::load(path) {
        Ok(drills) => drills,
        Err(cause) => {
            return vec![Advice::unknown(
                Topic::Drill,
                format!("{} cannot be read: {cause}", path.display()),
                "mend the file or its permissions",
            )];
        }
    };
    nodes
        .iter()
        .map(|node| {
            let own = fed.iter().find(|(known, _)| known.name == node.name);
            let supplies = own.map(|(_, supplies)| supplies.as_slice());
            drill(node, supplies, drills.get(&node.name)).of(&node.name)
        })
        .collect()
}

fn drill(node: &Node, supplies: Option<&[Supply]>, drill: Option<&drills::Drill>) -> Advice {
    let name = &node.name;
    let mend = format!(
        "fencekit drill {name}, when nothing depends on {name}: it cuts its power and brings it back"
    );
    let Some(drill) = drill else {
        return Advice::warning(
            Topic::Drill,
            format!("no drill has proven from here that these outlets feed {name}"),
            mend,
        );
    };
    let days = drill.age().as_secs() / (24 * 3600);
    let when = drill.time.split('T').next().unwrap_or_default();
    if let Some(devices) = supplies.and_then(|supplies| rewired(supplies, drill)) {
        return Advice::warning(
            Topic::Drill,
            format!("the drill of {when} was with {devices}, not with what the cluster file has now"),
            mend,
        );
    }
    if !drill.is_proof() {
        let failure = drill.failure.as_deref().unwrap_or("it did not fall silent");
        return Advice::problem(
            Topic::Drill,
            format!("the drill of {when} disproved that these outlets alone feed {name}: {failure}"),
            "find the outlet that feeds it, correct the wiring or the cluster file, then drill again",
        );
    }
    if drill.age() > DRILL_AGE {
        return Advice::warning(Topic::Drill, format!("the last drill is {days} days old"), mend);
    }
    match drill.back_after_ms {
        None => Advice::warning(
            Topic::Drill,
            format!("in the drill of {when} {name} fell silent, but did not come back by itself"),
            "set its BIOS to start when power returns, then drill again",
        ),
        Some(_) => Advice::info(
            Topic::Drill,
            format!("the wiring was proven {days} days ago, on {when}"),
        ),
    }
}

/// The devices of the drill, when they are not those of the file. They come from whoever made them ready, since making
/// them once more would run the programs for their passwords once more.
fn rewired(supplies: &[Supply], drill: &drills::Drill) -> Option<String> {
    let mut now: Vec<String> = supplies
        .iter()
        .filter(|supply| supply.level == Level::First)
        .map(|supply| supply.device.label().to_string())
        .collect();
    let mut then: Vec<String> = drill.outlets.iter().map(|outlet| outlet.device.clone()).collect();
    now.sort();
    then.sort();
    (now != then).then(|| then.join(", "))
}
