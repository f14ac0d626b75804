//! `fence_check`: verifies a fenced node, and switches nothing.

mod options;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use fencekit::cluster::{Cluster, Password};
use fencekit::fleet::{self, Supply};
use fencekit::options::parse_host_address;
use fencekit::verify::{self, Feed, Heard, HostProber, Network, Plan, Prober, Timing};
use fencekit::{Deadline, Error, FenceDeviceExt, Method, Result, Settings};

use self::options::OF_DEVICE;
pub(super) use self::options::OPTIONS;
use super::action::Action;
use super::given::Given;
use super::logging;
use super::switching::{Failure, Outcome};
use crate::verification::{self, State};

/// Half of what Pacemaker usually grants a monitor.
const MONITOR: Duration = Duration::from_secs(10);

/// Whom to verify, and with what.
#[derive(Debug)]
pub(super) struct Check {
    plan: Plan,
    supplies: Vec<Supply>,
}

impl Check {
    /// Of the options. `None` when the node comes from a cluster file, and none is named: Pacemaker starts and
    /// monitors agents without saying for which node.
    ///
    /// # Errors
    /// [`Error::Config`] for options that are wrong, missing or contradict each other.
    pub(super) fn configure(given: &Given) -> Result<Option<Self>> {
        given.refuse_blanks()?;
        if given.text("config").is_some() {
            return Self::from_file(given);
        }
        Self::from_options(given).map(Some)
    }

    /// Whether the options can be used. Reads no password that a program would have to fetch.
    ///
    /// # Errors
    /// As [`configure`](Self::configure).
    pub(super) fn validate(given: &Given) -> Result<()> {
        given.refuse_blanks()?;
        if given.text("config").is_none() {
            let mut settings = device_settings(given)?;
            super::leave_script_out(&mut settings)?;
            return Self::with_settings(given, settings).map(drop);
        }
        let cluster = cluster_file(given)?;
        let Some(name) = node_name(&cluster, given.text("plug"), given.node())? else {
            return Ok(());
        };
        let node = cluster.node(name)?;
        // What a program's password belongs to was checked with the file.
        node.devices
            .iter()
            .chain(&node.fallback)
            .filter(|entry| !matches!(entry.password, Password::Script(_)))
            .try_for_each(|entry| entry.supply(name).map(drop))
    }

    fn from_file(given: &Given) -> Result<Option<Self>> {
        let cluster = cluster_file(given)?;
        let Some(name) = node_name(&cluster, given.text("plug"), given.node())? else {
            return Ok(None);
        };
        let node = cluster.node(name)?;
        let supplies = node.supplies()?;
        let mut plan = cluster.plan(node, &supplies, fencekit::operate::host().as_deref());
        if given.is_given("verify_wait") {
            plan.timing.wait = given.seconds("verify_wait");
        }
        plan.require_witness |= given.boolean("require_witness");
        Ok(Some(Self { plan, supplies }))
    }

    fn from_options(given: &Given) -> Result<Self> {
        Self::with_settings(given, device_settings(given)?)
    }

    fn with_settings(given: &Given, mut settings: Settings) -> Result<Self> {
        settings.load_password()?;
        logging::hide(settings.secret("password"));
        let supply = Supply::from_settings(&settings).map_err(renamed)?;
        let address = given.text("fence_ip").and_then(|text| text.trim().parse().ok());
        let plan = Plan {
            node: given
                .node()
                .or(given.text("plug"))
                .unwrap_or("the node")
                .to_owned(),
            devices: vec![Feed::of(&supply, address)],
            networks: networks(given)?,
            require_witness: given.boolean("require_witness"),
            timing: Timing {
                wait: given.seconds("verify_wait"),
                ..Timing::default()
            },
        };
        Ok(Self {
            plan,
            supplies: vec![supply],
        })
    }

    /// Does `action`.
    ///
    /// # Errors
    /// Whatever kept it from succeeding; for `off` and `reboot` every verdict but confirmed-off.
    pub(super) async fn act(&self, action: Action) -> Result<Outcome, Failure> {
        match action {
            Action::Off | Action::Reboot => self.verify().await,
            Action::Status => self.status().await,
            Action::Monitor => self.monitor().await,
            Action::On | Action::List | Action::ListStatus | Action::Metadata | Action::ValidateAll => {
                Ok(Outcome::Done(String::new()))
            }
        }
    }

    async fn verify(&self) -> Result<Outcome, Failure> {
        let report = verify::verify(&self.plan, &self.supplies, &HostProber::new()).await?;
        verification::log_report(&report);
        if report.is_confirmed_off() {
            return Ok(Outcome::Done("Success: Verified OFF".to_owned()));
        }
        Err(Error::NotConfirmed {
            wanted: "off".to_owned(),
            detail: report.line(),
            source: None,
        }
        .into())
    }

    async fn status(&self) -> Result<Outcome, Failure> {
        let report = verify::survey(&self.plan, &self.supplies, &HostProber::new()).await?;
        super::print(&verification::status_text(&self.plan, &report))
            .map_err(|cause| Error::unsupported("stdout cannot be written").caused_by(cause))?;
        match verification::state(&self.plan, &report) {
            State::On => Ok(Outcome::Done("Status: ON".to_owned())),
            State::Off => Ok(Outcome::StatusOff),
            State::Unknown => Err(Error::protocol("the state of the power cannot be told").into()),
        }
    }

    /// Whether all devices of a level answer; where none does, the first failure.
    async fn answers(&self) -> Result<(), Failure> {
        let deadline = Deadline::after(MONITOR);
        let all: Vec<&Supply> = self.supplies.iter().collect();
        let looks = fleet::each(&all, |_, supply| supply.device.status(&supply.policy, deadline)).await;
        let mut failed = BTreeMap::new();
        for (supply, look) in all.iter().zip(looks) {
            let failure = look
                .err()
                .map(|error| super::switching::failed(supply.device.as_ref(), error));
            let of_level = failed.entry(supply.level).or_insert(None);
            *of_level = of_level.take().or(failure);
        }
        if failed.values().any(Option::is_none) {
            return Ok(());
        }
        failed.into_values().flatten().next().map_or(Ok(()), Err)
    }

    /// Whether the verification could be done: each device of a level answers, and there is something to probe. The node
    /// itself may well be off.
    async fn monitor(&self) -> Result<Outcome, Failure> {
        self.answers().await?;
        if self.plan.networks.is_empty() {
            return Err(no_address().into());
        }
        let prober = HostProber::new();
        for network in &self.plan.networks {
            // Sent, and not waited for: whether it can be sent is what matters now.
            let heard = prober
                .ping(network.address, Deadline::after(Duration::ZERO))
                .await;
            if let Heard::Failed(why) = heard {
                log::warn!("{} {}: {why}", network.name, network.address);
            }
        }
        Ok(Outcome::Done(String::new()))
    }
}

/// The cluster file, which alone says everything about the node.
fn cluster_file(given: &Given) -> Result<Cluster> {
    let path = given.text("config").unwrap_or_default();
    let elsewhere = OPTIONS
        .iter()
        .filter(|spec| {
            ![
                "config",
                "plug",
                "verify_wait",
                "require_witness",
                "login_timeout",
                "shell_timeout",
            ]
            .contains(&spec.name)
        })
        .find(|spec| given.is_given(spec.name));
    if let Some(spec) = elsewhere {
        return Err(Error::config(
            spec.name,
            "contradicts config, which names the node's devices and addresses",
            "leave one of the two out",
        ));
    }
    let cluster = Cluster::load(Path::new(path))?;
    for warning in &cluster.warnings {
        log::warn!("{warning}");
    }
    Ok(cluster)
}

/// The options of the device that fences the node, without a password that has to be fetched.
fn device_settings(given: &Given) -> Result<Settings> {
    let Some(method) = given.text("fence_method") else {
        return Err(Error::config(
            "fence_method",
            "is missing",
            "name the method of the device that fences the node, or a cluster file by config",
        ));
    };
    let mut settings = Settings::new(method.trim().parse::<Method>()?);
    for (name, at_device) in OF_DEVICE {
        // Defaults are the device's own.
        if let Some(value) = given.text(name).filter(|_| given.is_given(name)) {
            settings
                .set(at_device, value)
                .map_err(|error| called(error, name))?;
        }
    }
    Ok(settings)
}

/// Which of the two names is meant: the one that the file knows, since `port` may be an outlet of the fence device.
///
/// # Errors
/// [`Error::Config`] when they are two nodes of the file: the verdict would be about the wrong one.
fn node_name<'n>(cluster: &Cluster, plug: Option<&'n str>, node: Option<&'n str>) -> Result<Option<&'n str>> {
    let known = |name: &&str| cluster.nodes.iter().any(|node| node.name == *name);
    match (plug.filter(known), node.filter(known)) {
        (Some(plug), Some(node)) if plug != node => Err(Error::config(
            "plug",
            format!("names {plug}, and the cluster asks about {node} (nodename); nothing was verified"),
            format!("leave plug out, or write plug={node}"),
        )),
        (Some(known), _) | (None, Some(known)) => Ok(Some(known)),
        (None, None) => Ok(plug.or(node)),
    }
}

fn no_address() -> Error {
    Error::config(
        "target_mgmt_ip",
        "is missing, as are target_storage_ip and target_client_ips",
        "give at least one address on which the node answers while it is alive",
    )
}

fn networks(given: &Given) -> Result<Vec<Network>> {
    let ports = numbers(given, "target_tcp_ports")?;
    let mut networks = Vec::new();
    for (name, target, witness) in [
        ("management", "target_mgmt_ip", "witness_mgmt_ip"),
        ("storage", "target_storage_ip", "witness_storage_ip"),
        ("client", "target_client_ips", "witness_client_ips"),
    ] {
        let witnesses = addresses(given, witness)?;
        let targets = addresses(given, target)?;
        let several = targets.len() > 1;
        // A network of the other family carries no answers of theirs. Witnesses that no target can use are a mistake, and
        // stay, so that the silence does not count.
        let has_both = targets.iter().any(IpAddr::is_ipv4) && targets.iter().any(IpAddr::is_ipv6);
        for (number, address) in (1..).zip(targets) {
            let name = if several {
                format!("{name}-{number}")
            } else {
                name.to_owned()
            };
            networks.push(Network {
                tcp_ports: ports.clone(),
                witnesses: witnesses
                    .iter()
                    .filter(|witness| !has_both || witness.is_ipv4() == address.is_ipv4())
                    .copied()
                    .collect(),
                shared_witnesses: several,
                ..Network::new(name, address)
            });
        }
    }
    Ok(networks)
}

fn addresses(given: &Given, option: &str) -> Result<Vec<IpAddr>> {
    listed(given, option, |item| parse_host_address(option, item))
}

fn numbers(given: &Given, option: &str) -> Result<Vec<u16>> {
    listed(given, option, |item| match item.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(Error::config(
            option,
            format!("\"{}\" is not valid", item.escape_debug()),
            "write port numbers from 1 to 65535 with commas between them",
        )),
    })
}

/// Items with commas or spaces between them. A blank between two commas is what a template left out: what it stood for
/// would go unwatched without anybody noticing.
fn listed<T>(given: &Given, option: &str, read: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    let Some(text) = given.text(option) else {
        return Ok(Vec::new());
    };
    if text.split(',').any(|item| item.trim().is_empty()) {
        return Err(Error::config(
            option,
            "has a blank between its commas",
            "write a value there, or take the comma away",
        ));
    }
    let items = text.split([',', ' ']).map(str::trim);
    items.filter(|item| !item.is_empty()).map(read).collect()
}

/// The same error about the option as it is called here.
fn called(error: Error, name: &str) -> Error {
    match error {
        Error::Config {
            problem,
            mend,
            source,
            ..
        } => Error::Config {
            option: name.to_owned(),
            problem,
            mend,
            source,
        },
        other => other,
    }
}

/// The same error about an option of the device as it is called here.
fn renamed(error: Error) -> Error {
    let Error::Config { option, .. } = &error else {
        return error;
    };
    match OF_DEVICE.iter().find(|(_, at_device)| at_device == option) {
        Some((name, _)) => called(error, name),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use fencekit::stonith::Configuration;

    use super::super::table::Agent;
    use super::*;

    const EVERY_METHOD: &str = "
stonith_nodes:
  a: {method: ipmi, ip: 10.0.0.1, port: 624, user: admin, password: pw-a-0001, mgmt_ip: 10.1.0.1, storage_ip: 10.2.0.1}
  b: {method: kasa, ip: 10.0.0.2, plug: '2', off_max_watts: 5, mgmt_ip: 10.1.0.2, tcp_ports: [22, 3260]}
  c: {method: tasmota, ip: 10.0.0.3, password: pw-c-0001, mgmt_ip: 10.1.0.3, client_ips: [10.3.0.3, 10.4.0.3]}
  d: {method: esphome, ip: 10.0.0.4, switch_name: Relay, mgmt_ip: 10.1.0.4, client_ips: [10.3.0.4]}
  e:
    method: http
    ip: 10.0.0.5
    power_on_url: /on
    power_off_url: /off
    status_url: /state
    status_on_regex: 'ON'
    status_off_regex: 'OFF'
    mgmt_ip: 10.1.0.5
verify: {wait: 10, witnesses: {management: [10.1.0.254], client: [10.3.0.254]}}
";

    /// The generator and this agent are written apart: what one writes, the other must take.
    #[test]
    fn every_option_that_the_generator_writes_is_one_of_ours() {
        let agent = Agent::find("fence_check").unwrap();
        let mut checked = 0;
        for (name, text) in [
            ("cluster.yml", include_str!("../../cluster-example/cluster.yml")),
            ("every method", EVERY_METHOD),
        ] {
            let cluster = Cluster::from_text(text, name).unwrap();
            let configuration = Configuration::new(&cluster, Path::new("/etc/fencekit/cluster.yml")).unwrap();
            for resource in configuration
                .resources
                .iter()
                .filter(|one| one.agent == agent.name)
            {
                let mut given = Given::new(agent);
                for attribute in &resource.attributes {
                    if attribute.name.starts_with("pcmk_") {
                        continue;
                    }
                    let spec = given
                        .spec(attribute.name)
                        .unwrap_or_else(|| panic!("{name}: {}: {}", resource.id, attribute.name));
                    given.put(&spec, false, attribute.value.expose());
                    checked += 1;
                }
                given.check().unwrap();
                if given.text("config").is_none() {
                    let check = Check::configure(&given).unwrap().unwrap();
                    assert!(!check.plan.networks.is_empty(), "{name}: {}", resource.id);
                }
            }
        }
        assert!(checked > 20, "{checked}");
    }

    #[test]
    fn several_client_addresses_are_networks_of_their_own() {
        let mut given = Given::new(Agent::find("fence_check").unwrap());
        for (name, value) in [
            ("target_mgmt_ip", "10.20.20.2"),
            ("target_client_ips", "10.30.30.2, 10.40.40.2"),
            ("witness_client_ips", "10.30.30.254"),
        ] {
            let spec = given.spec(name).unwrap();
            given.put(&spec, false, value);
        }
        let networks = networks(&given).unwrap();
        let names: Vec<_> = networks.iter().map(|network| network.name.as_str()).collect();
        assert_eq!(names, ["management", "client-1", "client-2"]);
        let shared: Vec<_> = networks.iter().map(|network| network.shared_witnesses).collect();
        assert_eq!(shared, [false, true, true]);
    }

    #[test]
    fn a_witness_is_asked_for_addresses_of_its_own_family_alone() {
        let mut given = Given::new(Agent::find("fence_check").unwrap());
        for (name, value) in [
            ("target_mgmt_ip", "fd20::2"),
            ("witness_mgmt_ip", "10.20.20.254"),
            ("target_storage_ip", "10.10.10.2,fd00::2"),
            ("witness_storage_ip", "fd00::254,10.10.10.254"),
        ] {
            let spec = given.spec(name).unwrap();
            given.put(&spec, false, value);
        }
        let asked: Vec<_> = networks(&given)
            .unwrap()
            .into_iter()
            .map(|network| network.witnesses)
            .collect();
        let one = |ip: &str| vec![ip.parse::<IpAddr>().unwrap()];
        // The witness of the first network is of no use to anybody: it cannot be heard, and nothing is proven.
        assert_eq!(
            asked,
            [one("10.20.20.254"), one("10.10.10.254"), one("fd00::254")]
        );
    }
}
