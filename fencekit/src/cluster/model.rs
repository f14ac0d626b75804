//! What a cluster file says.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::credentials;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::fleet::Supply;
use crate::method::Method;
use crate::options::Settings;
use crate::secret::Secret;

/// How long a password script may take.
const SCRIPT_PATIENCE: Duration = Duration::from_secs(10);

/// A cluster file: which device cuts which node's power, and how a fenced node is proven dead.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The nodes, in the file's order.
    pub nodes: Vec<Node>,
    /// `stonith_fence_verify` as the file has it; `None` when it is left out, which means yes where it can be done.
    pub fence_verify: Option<bool>,
    /// The section `verify`.
    pub verify: Verify,
    /// The section `stonith`.
    pub stonith: Stonith,
    /// `quorum_nodes`: nodes that must run no fence resource.
    pub quorum_nodes: Vec<String>,
    /// What is valid but deserves a word, a line each, with the place in the file.
    pub warnings: Vec<String>,
}

impl Cluster {
    /// The node called `name`.
    ///
    /// # Errors
    /// [`Error::Config`] when there is none; it lists those there are.
    pub fn node(&self, name: &str) -> Result<&Node> {
        self.nodes.iter().find(|node| node.name == name).ok_or_else(|| {
            let names: Vec<_> = self.nodes.iter().map(|node| node.name.as_str()).collect();
            let near = super::suggest::nearest(name, names.iter().copied())
                .map(|near| format!("did you mean {near}? "))
                .unwrap_or_default();
            Error::config(
                "node",
                format!("\"{name}\" is not in the cluster file"),
                format!("{near}its nodes are: {}", names.join(", ")),
            )
        })
    }
}

/// One node of the cluster.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, as Pacemaker has it.
    pub name: String,
    /// The devices that feed it; all of them must be off for it to be off.
    pub devices: Vec<Entry>,
    /// A device that by itself cuts all of its power, tried when those above failed: the plug in front of a node whose
    /// BMC dies with it.
    pub fallback: Option<Entry>,
    /// How long Pacemaker waits before it fences this node, so that it wins when two shoot at each other.
    pub delay: Option<Duration>,
    /// Where it answers while it is alive.
    pub addresses: Vec<Address>,
    /// TCP ports that it answers on while it is alive.
    pub tcp_ports: Vec<u16>,
    /// Some of its addresses are from host variables: whoever reads the cluster file alone does not know them.
    pub(crate) has_host_vars: bool,
}

impl Node {
    /// Every device of it, the fallback last.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.devices.iter().chain(&self.fallback)
    }

    /// The same, to be changed.
    pub fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.devices.iter_mut().chain(&mut self.fallback)
    }

    /// Every device of it, ready to be asked, the fallback last. Password files and variables are read now.
    ///
    /// # Errors
    /// [`Error::Config`] with the node's name in front, when a password cannot be had or an entry is for the
    /// simulator alone (`port: 0`); [`Error::Unsupported`] when this build lacks a backend.
    pub fn supplies(&self) -> Result<Vec<Supply>> {
        self.supplies_within(Deadline::far())
    }

    /// The same within a limit, which bounds the programs that passwords come from. It blocks.
    ///
    /// # Errors
    /// As [`supplies`](Self::supplies), and [`Error::Timeout`] when `deadline` comes first.
    pub fn supplies_within(&self, deadline: Deadline) -> Result<Vec<Supply>> {
        super::supplies(&[self], deadline)
            .pop()
            .unwrap_or_else(|| Ok(Vec::new()))
    }
}

/// A device of a node as the file has it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its options, without the password.
    pub settings: Settings,
    /// Where its password comes from.
    pub password: Password,
    /// `port: 0`: the simulator takes any free port; nobody else can use the entry.
    pub any_port: bool,
}

impl Entry {
    /// Whose device it is.
    #[must_use]
    pub fn method(&self) -> Method {
        self.settings.method()
    }

    /// All its options, the password among them.
    ///
    /// # Errors
    /// [`Error::Config`] when the password's file or variable cannot be read.
    pub fn settings(&self) -> Result<Settings> {
        self.settings_within(Deadline::far())
    }

    pub(crate) fn settings_within(&self, deadline: Deadline) -> Result<Settings> {
        let mut settings = self.settings.clone();
        if let Some(password) = self.password.read_within(deadline)? {
            settings.set("password", password.expose())?;
        }
        Ok(settings)
    }

    /// An entry of the simulator's is no device that others could be told of.
    pub(crate) fn refuse_simulated(&self) -> Result<()> {
        match self.any_port {
            true => Err(Error::config(
                "port",
                "0 is for fencekit sim alone",
                "write the port that the device listens on",
            )),
            false => Ok(()),
        }
    }

    /// The device and what it takes to believe it.
    ///
    /// # Errors
    /// As [`Node::supplies`]; `node` stands in front.
    pub fn supply(&self, node: &str) -> Result<Supply> {
        self.supply_within(node, Deadline::far())
    }

    pub(super) fn supply_within(&self, node: &str, deadline: Deadline) -> Result<Supply> {
        let build = || {
            self.refuse_simulated()?;
            let settings = self.settings_within(deadline)?;
            Supply::from_settings(&settings)
        };
        build().map_err(|error| named(node, error))
    }
}

/// The same error with the node's name before the option.
pub(crate) fn named(node: &str, error: Error) -> Error {
    match error {
        Error::Config {
            option,
            problem,
            mend,
            source,
        } => Error::Config {
            option: format!("{node}: {option}"),
            problem,
            mend,
            source,
        },
        other => other,
    }
}

/// Where a device's password comes from.
#[derive(Clone, Debug)]
pub enum Password {
    /// There is none.
    None,
    /// It stands in the file.
    Given(Secret),
    /// It stands alone in this file; a relative path counts from the cluster file's directory.
    File(PathBuf),
    /// It is in this variable of the environment.
    Environment(String),
    /// This program, or line for the shell, prints it.
    Script(String),
}

impl Password {
    /// The password itself. Reads a file or runs a program for up to ten seconds; it blocks.
    ///
    /// # Errors
    /// [`Error::Config`] when the file or variable cannot be read, or the script fails.
    pub fn read(&self) -> Result<Option<Secret>> {
        self.read_within(Deadline::far())
    }

    /// The same within a limit.
    ///
    /// # Errors
    /// As [`read`](Self::read), and [`Error::Timeout`] when `deadline` comes before the password.
    pub fn read_within(&self, deadline: Deadline) -> Result<Option<Secret>> {
        match self {
            Self::None => Ok(None),
            Self::Given(secret) => Ok(Some(secret.clone())),
            Self::File(path) => {
                let read = |patience| credentials::from_file_within(path, patience);
                read_in_time("password_file", deadline, read).map(Some)
            }
            Self::Environment(variable) => credentials::from_environment(variable).map(Some),
            Self::Script(command) => {
                let read = |patience| credentials::from_script(command, patience);
                read_in_time("password_script", deadline, read).map(Some)
            }
        }
    }
}

fn read_in_time(
    option: &str,
    deadline: Deadline,
    read: impl FnOnce(Duration) -> Result<Secret>,
) -> Result<Secret> {
    let patience = deadline.remaining().min(SCRIPT_PATIENCE);
    let out_of_time = |source| Error::Timeout {
        doing: format!("waiting for the {option}"),
        waited: patience,
        source,
    };
    if patience.is_zero() {
        return Err(out_of_time(None));
    }
    // That the caller's time was over says more than that the program was still running.
    read(patience).map_err(|error| match deadline.expired() {
        true => out_of_time(Some(Box::new(error))),
        false => error,
    })
}

/// A network on which nodes answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Network {
    /// That of `mgmt_ip`.
    Management,
    /// That of `storage_ip`.
    Storage,
    /// One of `client_ips`, with its name where it has one.
    Client(Option<String>),
}

impl Network {
    /// By the name that `verify.witnesses` and evidence use: `management`, `storage`, `client`, or the name in
    /// `client_ips`.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "management" => Self::Management,
            "storage" => Self::Storage,
            "client" => Self::Client(None),
            other => Self::Client(Some(other.to_owned())),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Management => "management",
            Self::Storage => "storage",
            Self::Client(None) => "client",
            Self::Client(Some(name)) => name,
        })
    }
}

/// An address of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// On which network.
    pub network: Network,
    /// The address.
    pub ip: IpAddr,
}

/// How a fenced node is proven dead.
#[derive(Clone, Debug, PartialEq)]
pub struct Verify {
    /// How long it is watched. Any sign of life within this time is a sign of life.
    pub wait: Duration,
    /// How long it is watched when meters saw its draw fall; `None`: as long as otherwise.
    pub metered_wait: Option<Duration>,
    /// Whether the silence of a network without a witness proves nothing.
    pub require_witness: bool,
    /// Hosts that answer on a network as long as that network works. A witness of [`Network::Client`] without a name
    /// counts for every client network.
    pub witnesses: BTreeMap<Network, Vec<IpAddr>>,
}

impl Default for Verify {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(10),
            metered_wait: None,
            require_witness: false,
            witnesses: BTreeMap::new(),
        }
    }
}

impl Verify {
    /// The witnesses of a network.
    pub fn witnesses_of(&self, network: &Network) -> impl Iterator<Item = IpAddr> {
        let general = match network {
            Network::Client(Some(_)) => self.witnesses.get(&Network::Client(None)),
            _ => None,
        };
        let own = self.witnesses.get(network);
        own.into_iter().chain(general).flatten().copied()
    }

    /// Those witnesses of a network that can speak for this address: an IPv6 network carries no IPv4 witness's answers,
    /// and the reverse.
    pub fn witnesses_for(&self, network: &Network, address: IpAddr) -> impl Iterator<Item = IpAddr> {
        self.witnesses_of(network)
            .filter(move |witness| same_family(*witness, address))
    }
}

/// Whether both are IPv4 addresses, or both IPv6.
pub(crate) fn same_family(one: IpAddr, other: IpAddr) -> bool {
    one.is_ipv4() == other.is_ipv4()
}

/// Where the generated cluster configuration keeps passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Secrets {
    /// In the cluster's configuration, which every node's administrator can read.
    #[default]
    Cib,
    /// In files that root alone can read and the agents open.
    File,
}

/// How the fence resources are set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stonith {
    /// How often each device is asked whether it answers.
    pub monitor_interval: Duration,
    /// How long an off may take, verification included.
    pub off_timeout: Duration,
    /// How long an on may take.
    pub on_timeout: Duration,
    /// Where passwords go.
    pub secrets: Secrets,
}

impl Default for Stonith {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            monitor_interval: minute,
            off_timeout: minute,
            on_timeout: minute,
            secrets: Secrets::Cib,
        }
    }
}
