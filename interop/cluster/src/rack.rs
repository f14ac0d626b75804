//! What stands around the nodes: three networks, the fence devices, and the wires from outlets to power supplies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use fencekit::Method;
use fencekit::cluster::{Cluster, Entry};
use fencekit_interop::{Output, run};
use fencekit_sim::cluster::{Fleet, plan, serve};
use fencekit_sim::{Device, Faults};
use tokio::runtime::Runtime;

use crate::Checked;
use crate::node::Node;

/// Nodes, in the order of their addresses: the last byte is 1, 2, 3.
pub(crate) const NODES: [&str; 3] = ["storage-a", "storage-b", "quorum"];
/// Networks with the first three bytes of their addresses. The devices are on the first, a witness is on each.
pub(crate) const NETWORKS: [(&str, &str); 3] = [
    ("management", "10.20.20"),
    ("storage", "10.10.10"),
    ("client", "10.30.30"),
];
const LIMIT: Duration = Duration::from_secs(30);

/// Runs a shell script in the rack's own namespaces.
pub(crate) fn shell(script: &str) -> Checked {
    let out = run(Command::new("sh").args(["-ec", script]), "", LIMIT);
    succeeded(&out, script)
}

pub(crate) fn succeeded(out: &Output, what: &str) -> Checked {
    match out.ok() {
        true => Ok(()),
        false => Err(format!("{what}: {out}")),
    }
}

/// A device and the outlet that feeds a node.
#[derive(Clone)]
struct Feed {
    device: Device,
    outlet: usize,
    is_bmc: bool,
}

struct State {
    nodes: BTreeMap<&'static str, Node>,
    /// As the cluster file says.
    wires: BTreeMap<String, Vec<Feed>>,
    /// Nodes whose outlets feed something else, while somebody else's outlet feeds them.
    miswired: BTreeSet<String>,
    /// Whether each storage node hangs on the outlets of the other one.
    crossed: bool,
    /// Nodes whose power supply is broken: whatever the outlets do, they and their BMCs are dead.
    broken: BTreeSet<String>,
    /// Cables that are out: node and network.
    unplugged: BTreeSet<(String, &'static str)>,
    problems: Vec<String>,
}

/// The rack. Relays that move end and start nodes at once, on a thread of their own.
pub(crate) struct Rack {
    state: Arc<Mutex<State>>,
    moved: Sender<()>,
    fleet: Fleet,
    _runtime: Runtime,
}

impl Rack {
    /// Makes the networks, starts the devices of the cluster file and then every node.
    pub(crate) fn new(cluster: &Cluster, folder: &Path) -> Checked<Self> {
        networks()?;
        let (moved, of_relays) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| format!("tokio: {error}"))?;
        let fleet = runtime.block_on(devices(cluster, &moved))?;
        let mut wires: BTreeMap<String, Vec<Feed>> = BTreeMap::new();
        for name in NODES {
            for (simulated, feed) in fleet.of_node(name) {
                let method = cluster.node(name).map_err(|error| error.to_string())?;
                let method = method.entries().nth(feed.index).map(Entry::method);
                wires.entry(name.to_owned()).or_default().push(Feed {
                    device: simulated.device().clone(),
                    outlet: feed.outlet,
                    is_bmc: method == Some(Method::Ipmi),
                });
            }
        }
        let nodes = NODES.into_iter().map(|name| (name, Node::new(name, folder)));
        let state = Arc::new(Mutex::new(State {
            nodes: nodes.collect(),
            wires,
            miswired: BTreeSet::new(),
            crossed: false,
            broken: BTreeSet::new(),
            unplugged: BTreeSet::new(),
            problems: Vec::new(),
        }));
        let rack = Self {
            state,
            moved,
            fleet,
            _runtime: runtime,
        };
        rack.state().settle();
        let state = Arc::clone(&rack.state);
        thread::spawn(move || {
            while of_relays.recv().is_ok() {
                locked(&state).settle();
            }
        });
        rack.problems()?;
        Ok(rack)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// What went wrong with the nodes' power since it was last asked.
    pub(crate) fn problems(&self) -> Checked {
        let problems = std::mem::take(&mut self.state().problems);
        match problems.is_empty() {
            true => Ok(()),
            false => Err(problems.join("\n")),
        }
    }

    /// The devices, for their control language.
    pub(crate) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// A node's device, counted from 0 in the order of the cluster file.
    pub(crate) fn device(&self, node: &str, index: usize) -> Checked<Device> {
        let found = self.fleet.of_node(node).into_iter().nth(index);
        found
            .map(|(simulated, _)| simulated.device().clone())
            .ok_or_else(|| format!("{node} has no device {index}"))
    }

    /// Sets the faults of a node's device, in the words of `fencekit sim`.
    pub(crate) fn fault(&self, node: &str, index: usize, faults: &str) -> Checked {
        let faults: Faults = faults.parse().map_err(|error| format!("{error}"))?;
        self.device(node, index)?.set_faults(faults);
        Ok(())
    }

    /// How often a node was started.
    pub(crate) fn boots(&self, node: &str) -> u32 {
        self.state().nodes.get(node).map_or(0, |node| node.boots)
    }

    /// Whether a node's processes run.
    pub(crate) fn runs(&self, node: &str) -> bool {
        self.state().nodes.get(node).is_some_and(Node::runs)
    }

    /// What the nodes' first processes have said.
    pub(crate) fn said(&self) -> String {
        let state = self.state();
        state
            .nodes
            .values()
            .map(Node::said)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// A command inside a node that runs.
    pub(crate) fn inside(&self, node: &str, program: &str) -> Checked<Command> {
        let state = self.state();
        let node = state.nodes.get(node).ok_or_else(|| format!("no node {node}"))?;
        node.inside(program)
    }

    /// Ends a node as if its kernel had crashed for good: its power stays on.
    pub(crate) fn crash(&self, node: &str) {
        let mut state = self.state();
        state.links(node, false);
        if let Some(node) = state.nodes.get_mut(node) {
            node.kill();
        }
    }

    /// Breaks or mends a node's power supply.
    pub(crate) fn break_supply(&self, node: &str, broken: bool) {
        let mut state = self.state();
        match broken {
            true => state.broken.insert(node.to_owned()),
            false => state.broken.remove(node),
        };
        state.settle();
    }

    /// Pulls or plugs the cables of a node.
    pub(crate) fn cables(&self, node: &str, networks: &[&'static str], plugged: bool) {
        let mut state = self.state();
        for network in networks {
            let cable = (node.to_owned(), *network);
            match plugged {
                true => state.unplugged.remove(&cable),
                false => state.unplugged.insert(cable),
            };
        }
        let runs = state.nodes.get(node).is_some_and(Node::runs);
        state.links(node, runs);
    }

    /// Moves a node's supplies to outlets that nobody knows of, or back to its own.
    pub(crate) fn miswire(&self, node: &str, wrong: bool) {
        let mut state = self.state();
        match wrong {
            true => state.miswired.insert(node.to_owned()),
            false => state.miswired.remove(node),
        };
        state.settle();
    }

    /// Swaps the supplies of the two storage nodes, or puts them back. For clusters without BMCs, which stay in their nodes.
    pub(crate) fn cross(&self, crossed: bool) {
        let mut state = self.state();
        state.crossed = crossed;
        state.settle();
    }

    /// Switches every outlet on that is off.
    pub(crate) fn outlets_on(&self) {
        for simulated in self.fleet.devices() {
            let device = simulated.device();
            for outlet in (0..device.count()).filter(|outlet| device.relay(*outlet) == Some(false)) {
                device.set(outlet, true, true);
            }
        }
    }

    /// Everything as it was at first: no faults, cables in, supplies whole, every outlet on.
    pub(crate) fn reset(&self) -> Checked {
        for simulated in self.fleet.devices() {
            simulated.device().set_faults(Faults::default());
            for outlet in 0..simulated.device().count() {
                simulated.device().set(outlet, true, true);
            }
        }
        {
            let mut state = self.state();
            state.broken.clear();
            state.miswired.clear();
            state.crossed = false;
            state.unplugged.clear();
            state.settle();
            for name in NODES {
                // One that ended by itself while its power was on.
                state.power(name, true);
                state.links(name, true);
            }
        }
        let _ = self.moved.send(());
        self.problems()
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// Gives every node the power that its wires carry, when that has changed.
    fn settle(&mut self) {
        for name in NODES {
            let powered = self.powered(name);
            if self.nodes.get(name).is_some_and(|node| node.powered != powered) {
                self.power(name, powered);
            }
        }
    }

    /// A node needs one of its plugs, where it has plugs, and its chassis on, where it has a BMC. The BMC lives on
    /// what the plugs give.
    fn powered(&self, name: &str) -> bool {
        if self.miswired.contains(name) {
            return true;
        }
        let outlets_of = match name {
            "storage-a" if self.crossed => "storage-b",
            "storage-b" if self.crossed => "storage-a",
            own => own,
        };
        let feeds = self.wires.get(outlets_of).map(Vec::as_slice).unwrap_or_default();
        let on = |feed: &&Feed| feed.device.relay(feed.outlet) == Some(true);
        let (bmcs, plugs): (Vec<_>, Vec<_>) = feeds.iter().partition(|feed| feed.is_bmc);
        let mains = !self.broken.contains(name) && (plugs.is_empty() || plugs.iter().any(on));
        for bmc in &bmcs {
            let mut faults = bmc.device.faults();
            if faults.silent == mains {
                faults.silent = !mains;
                bmc.device.set_faults(faults);
            }
        }
        mains && (bmcs.is_empty() || bmcs.iter().any(on))
    }

    fn power(&mut self, name: &str, on: bool) {
        let Some(node) = self.nodes.get_mut(name) else {
            return;
        };
        node.powered = on;
        match on {
            false => {
                node.kill();
                self.links(name, false);
            }
            true if node.runs() => {}
            true => {
                self.links(name, true);
                let booted = self.nodes.get_mut(name).map(Node::boot);
                self.problems.extend(booted.and_then(Result::err));
            }
        }
    }

    /// A node without power has dark links; the namespace would answer pings all the same.
    fn links(&mut self, name: &str, up: bool) {
        let mut script = String::new();
        for (network, _) in NETWORKS {
            let up = up && !self.unplugged.contains(&(name.to_owned(), network));
            let state = if up { "up" } else { "down" };
            script.push_str(&format!("ip link set {} {state}\n", port(name, network)));
        }
        self.problems.extend(shell(&script).err());
    }
}

/// The switch's end of a node's cable.
fn port(node: &str, network: &str) -> String {
    let number = NODES.iter().position(|name| *name == node).unwrap_or_default() + 1;
    format!("{network}{number}")
}

/// A bridge for each network, with a witness's address on it, and a cable from every node to every bridge.
fn networks() -> Checked {
    let mut script = String::from(
        "mount -t tmpfs -o mode=0755 none /run\nip link set lo up\n\
         sysctl -qw net.ipv4.ip_forward=0 net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.rp_filter=1\n",
    );
    for node in NODES {
        script.push_str(&format!("ip netns add {node}\nip -n {node} link set lo up\n"));
    }
    for (network, prefix) in NETWORKS {
        script.push_str(&format!(
            "ip link add {network} type bridge\nip link set {network} up\nip addr add {prefix}.254/24 dev {network}\n"
        ));
        for (number, node) in (1..).zip(NODES) {
            let port = port(node, network);
            script.push_str(&format!(
                "ip link add {port} type veth peer name {network} netns {node}\nip link set {port} master {network}\n\
                 ip -n {node} addr add {prefix}.{number}/24 dev {network}\nip -n {node} link set {network} up\n"
            ));
        }
    }
    shell(&script)
}

/// The simulated devices, each at its own address of the management network.
async fn devices(cluster: &Cluster, moved: &Sender<()>) -> Checked<Fleet> {
    let mut fleet = Fleet::default();
    for planned in plan(cluster).map_err(|error| error.to_string())? {
        shell(&format!("ip addr add {}/24 dev management", planned.host))?;
        let simulated = serve(planned).await.map_err(|error| error.to_string())?;
        let moved = moved.clone();
        simulated.device().on_change(Box::new(move |_, _| {
            let _ = moved.send(());
        }));
        fleet.add(simulated);
    }
    Ok(fleet)
}

/// Where a node keeps what outlives a restart.
pub(crate) fn disk(folder: &Path, node: &str) -> PathBuf {
    folder.join("nodes").join(node)
}

/// The text of a node's log of Pacemaker, from a byte on.
pub(crate) fn log_from(folder: &Path, node: &str, from: u64) -> String {
    let path = disk(folder, node).join("log/pacemaker/pacemaker.log");
    let bytes = fs::read(path).unwrap_or_default();
    let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
    String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned()
}
