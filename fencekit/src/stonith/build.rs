//! From the cluster file to the model.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::model::{Attribute, Configuration, Level, LocationRule, Property, Resource};
use super::value;
use super::verification;
use crate::cluster::{Cluster, Entry, Node, Password, Secrets, named};
use crate::error::{Error, Result};
use crate::level::Level as FenceLevel;
use crate::options::{Kind, may_hold_a_token};
use crate::secret::Secret;

/// Where `secrets: file` has its files.
const SECRETS: &str = "/etc/fencekit";

impl Configuration {
    /// What the cluster is to be told. `file` is where the nodes have the cluster file: a verification that its own
    /// options cannot express reads it there.
    ///
    /// Passwords from variables of the environment are read now; files and scripts are left to the agents.
    ///
    /// # Errors
    /// [`Error::Config`] with the node's name for what the cluster cannot carry, for timeouts that do not fit
    /// together, for an entry that is for the simulator alone, for `stonith_fence_verify: true` and a node without
    /// addresses, and for a key that `secrets: file` cannot keep out of the cluster's configuration; for a
    /// verification that must read the cluster file, and would not find there the addresses of host variables or, as
    /// an agent, the variable of `password_env`.
    pub fn new(cluster: &Cluster, file: &Path) -> Result<Self> {
        check_timeouts(cluster)?;
        let mut configuration = Self {
            resources: Vec::new(),
            levels: Vec::new(),
            rules: Vec::new(),
            properties: Vec::new(),
            notes: Vec::new(),
            secret_files: Vec::new(),
        };
        for name in &cluster.quorum_nodes {
            value::check_node(name)?;
        }
        for node in &cluster.nodes {
            configuration.add_node(cluster, node, file)?;
        }
        configuration.refuse_doubled_names()?;
        configuration.note_what_old_pacemakers_change();
        let of_node = |node: &Node| {
            let levels = configuration
                .levels
                .iter()
                .filter(|level| level.node == node.name);
            levels.map(|level| level.resources.len()).sum()
        };
        let longest = cluster.nodes.iter().map(of_node).max();
        configuration.properties = properties(cluster, longest.unwrap_or(1));
        Ok(configuration)
    }

    fn add_node(&mut self, cluster: &Cluster, node: &Node, file: &Path) -> Result<()> {
        value::check_node(&node.name)?;
        self.add_level(cluster, node, FenceLevel::First, &node.devices, file)?;
        match &node.fallback {
            Some(fallback) => self.add_level(
                cluster,
                node,
                FenceLevel::Fallback,
                std::slice::from_ref(fallback),
                file,
            ),
            None => Ok(()),
        }
    }

    /// One level of a node: its devices, and the verification that they did their work.
    fn add_level(
        &mut self,
        cluster: &Cluster,
        node: &Node,
        level: FenceLevel,
        devices: &[Entry],
        file: &Path,
    ) -> Result<()> {
        let first = self.resources.len();
        for (index, entry) in devices.iter().enumerate() {
            let place = Place { level, index };
            let resource = self
                .primary(cluster, node, place, entry)
                .map_err(|error| named(&node.name, error))?;
            self.resources.push(resource);
        }
        match cluster.fence_verify {
            Some(false) => {}
            _ if node.addresses.is_empty() && level != FenceLevel::First => {}
            wanted if node.addresses.is_empty() => self.leave_out(node, wanted.is_some())?,
            _ => {
                let id = format!("fence-verify-{}{}", id_of(&node.name), Place { level, index: 0 });
                let verification = verification::resource(cluster, node, id, file)
                    .map_err(|error| named(&node.name, error))?;
                self.notes
                    .extend(verification.note.filter(|_| level == FenceLevel::First));
                self.resources.push(verification.resource);
            }
        }
        let own = self.resources.get(first..).unwrap_or_default();
        for resource in own {
            let mut avoided = vec![&node.name];
            for quorum in &cluster.quorum_nodes {
                if !avoided.contains(&quorum) {
                    avoided.push(quorum);
                }
            }
            self.rules.extend(avoided.into_iter().map(|node| LocationRule {
                resource: resource.id.clone(),
                node: node.clone(),
            }));
        }
        self.levels.push(Level {
            node: node.name.clone(),
            index: level.number(),
            resources: own.iter().map(|resource| resource.id.clone()).collect(),
        });
        Ok(())
    }

    fn leave_out(&mut self, node: &Node, asked_for: bool) -> Result<()> {
        if asked_for {
            return Err(Error::config(
                format!("{}: stonith_fence_verify", node.name),
                "is true, but the node has no address to verify",
                "write its mgmt_ip, storage_ip or client_ips, give --host-vars DIR, or take stonith_fence_verify away",
            ));
        }
        self.notes.push(format!(
            "{}: has no mgmt_ip, storage_ip or client_ips, so its verification is left out; its devices' word alone says that it is off",
            node.name
        ));
        Ok(())
    }

    fn primary(&mut self, cluster: &Cluster, node: &Node, place: Place, entry: &Entry) -> Result<Resource> {
        entry.refuse_simulated()?;
        let mut attributes = Attributes::default();
        for spec in entry.method().options() {
            if let Some(value) = entry.settings.secret(spec.name) {
                let secret = spec.kind == Kind::Secret;
                if secret && cluster.stonith.secrets == Secrets::File {
                    return Err(Error::config(
                        spec.name,
                        "has no file that the agent could read it from, and secrets: file keeps it out of the cluster's configuration",
                        "write secrets: cib under stonith",
                    ));
                }
                let hidden = secret || may_hold_a_token(spec.name, value.expose());
                attributes.push(spec.name, value, hidden)?;
            }
        }
        self.add_password(cluster, node, place, entry, &mut attributes)?;
        let stonith = &cluster.stonith;
        let (off, on) = (stonith.off_timeout, stonith.on_timeout);
        let waits = entry.settings.seconds("power_wait");
        if waits >= off {
            return Err(Error::config(
                "power_wait",
                format!(
                    "{} is not shorter than stonith.off_timeout, {}",
                    text(waits),
                    text(off)
                ),
                "write a shorter power_wait or a longer off_timeout",
            ));
        }
        attributes.of_pacemaker(&node.name, off, on)?;
        if let Some(delay) = node.delay.filter(|_| place.index == 0) {
            attributes.plain("pcmk_delay_base", &whole_seconds(delay))?;
        }
        Ok(Resource {
            id: format!("fence-{}{place}", id_of(&node.name)),
            agent: entry.method().agent(),
            node: node.name.clone(),
            attributes: attributes.0,
            monitor_interval: stonith.monitor_interval,
        })
    }

    fn add_password(
        &mut self,
        cluster: &Cluster,
        node: &Node,
        place: Place,
        entry: &Entry,
        attributes: &mut Attributes,
    ) -> Result<()> {
        let file = match (&entry.password, cluster.stonith.secrets) {
            (Password::None, _) => return Ok(()),
            (Password::Script(script), _) => return attributes.plain("password_script", script),
            (Password::File(path), _) => absolute(path)?,
            (Password::Given(_) | Password::Environment(_), Secrets::Cib) => {
                return match entry.password.read()? {
                    Some(password) => attributes.push("password", password, true),
                    None => Ok(()),
                };
            }
            (Password::Given(_) | Password::Environment(_), Secrets::File) => {
                Path::new(SECRETS).join(format!("{}{place}.secret", id_of(&node.name)))
            }
        };
        let path = file.to_str().ok_or_else(|| {
            Error::config(
                "password_file",
                format!("{} is no UTF-8 text", file.display()),
                "rename it",
            )
        })?;
        attributes.plain("password_file", path)?;
        self.notes.push(format!(
            "{}: its password is read from {path}, which must be on every node and readable by root alone",
            node.name
        ));
        self.secret_files.push(file);
        Ok(())
    }

    /// Pacemaker 2.0.5 writes octal digits for such a character, and the device then gets those; 2.1.5 and 3.0.0 were
    /// seen to keep it.
    fn note_what_old_pacemakers_change(&mut self) {
        let of = |resource: &Resource| {
            let beyond = resource
                .attributes
                .iter()
                .filter(|one| !one.value.expose().is_ascii());
            let names: Vec<_> = beyond.map(|one| one.name).collect();
            (!names.is_empty()).then(|| {
                format!(
                    "{}: {} is not all ASCII, which Pacemaker 2.0 changes and 2.1.5 and later keep",
                    resource.id,
                    names.join(" and ")
                )
            })
        };
        let notes: Vec<_> = self.resources.iter().filter_map(of).collect();
        self.notes.extend(notes);
    }

    /// Two names of nodes may become the same name of a resource.
    fn refuse_doubled_names(&self) -> Result<()> {
        let mut seen = HashMap::new();
        for resource in &self.resources {
            if let Some(other) = seen.insert(&resource.id, &resource.node) {
                return Err(Error::config(
                    format!("{} and {other}", resource.node),
                    format!("would both have a fence resource called {}", resource.id),
                    "rename one of the nodes",
                ));
            }
        }
        Ok(())
    }
}

/// Which device of a node; as text, the end of its resource's name.
#[derive(Clone, Copy)]
struct Place {
    level: FenceLevel,
    index: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.level == FenceLevel::Fallback {
            f.write_str("-fallback")?;
        }
        match self.index {
            0 => Ok(()),
            index => write!(f, "-{}", index + 1),
        }
    }
}

/// Options of a resource that are checked as they come.
#[derive(Default)]
pub(super) struct Attributes(pub(super) Vec<Attribute>);

impl Attributes {
    pub(super) fn push(&mut self, name: &'static str, value: Secret, secret: bool) -> Result<()> {
        value::check(name, value.expose())?;
        self.0.push(Attribute { name, value, secret });
        Ok(())
    }

    pub(super) fn plain(&mut self, name: &'static str, value: &str) -> Result<()> {
        self.push(name, Secret::from(value), false)
    }

    /// Which node it is for, and how long Pacemaker waits for it. Without these it waits `stonith-timeout`.
    pub(super) fn of_pacemaker(&mut self, node: &str, off: Duration, on: Duration) -> Result<()> {
        self.plain("pcmk_host_list", node)?;
        self.plain("pcmk_off_timeout", &whole_seconds(off))?;
        self.plain("pcmk_on_timeout", &whole_seconds(on))?;
        self.plain("pcmk_reboot_timeout", &whole_seconds(off + on))
    }
}

/// What the quickest verification takes besides its window: the rest before it, and the last looks after it.
const AROUND_THE_WINDOW: Duration = Duration::from_secs(1);
/// What a slow one takes besides its window.
const ROOM_FOR_THE_VERDICT: Duration = Duration::from_secs(16);

/// What comes first must end first, or the cluster gives up on a fencing that would have succeeded.
fn check_timeouts(cluster: &Cluster) -> Result<()> {
    let (wait, off) = (cluster.verify.wait, cluster.stonith.off_timeout);
    if cluster.fence_verify != Some(false) && wait.saturating_add(AROUND_THE_WINDOW) >= off {
        let enough = wait.saturating_add(ROOM_FOR_THE_VERDICT);
        return Err(Error::config(
            "stonith.off_timeout",
            format!(
                "{} is not longer than verify.wait, {}, and the {} that a verification takes besides: every one would be killed \
                 before its verdict",
                text(off),
                text(wait),
                text(AROUND_THE_WINDOW)
            ),
            format!("write at least {}", whole_seconds(enough)),
        ));
    }
    Ok(())
}

/// `stonith-timeout` bounds whatever has no timeout of its own, and must leave room for a whole level, off and on.
fn properties(cluster: &Cluster, longest: usize) -> Vec<Property> {
    let devices = u32::try_from(longest).unwrap_or(u32::MAX);
    let one = cluster.stonith.off_timeout + cluster.stonith.on_timeout;
    let whole = one.checked_mul(devices).unwrap_or(Duration::MAX);
    vec![
        Property {
            name: "stonith-timeout",
            value: whole_seconds(whole),
        },
        Property {
            name: "stonith-enabled",
            value: "true".to_owned(),
        },
    ]
}

/// Rounded up: a timeout may be longer than asked for, never shorter.
pub(super) fn whole_seconds(time: Duration) -> String {
    let more = u64::from(time.subsec_nanos() > 0);
    format!("{}s", time.as_secs().saturating_add(more))
}

fn text(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// A name that XML takes for an id.
pub(super) fn id_of(node: &str) -> String {
    node.chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => c,
            _ => '_',
        })
        .collect()
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|cause| {
        Error::config(
            "password_file",
            "has no absolute path",
            "write it with / in front",
        )
        .caused_by(cause)
    })
}
