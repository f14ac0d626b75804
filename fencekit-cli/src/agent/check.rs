//! `fence_check`: verifies a fenced node, and switches nothing.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use fencekit::cluster::Cluster;
use fencekit::fleet::Supply;
use fencekit::options::{Kind, OptionSpec};
use fencekit::verify::{self, Feed, Heard, HostProber, Network, Plan, Prober, Timing};
use fencekit::{Deadline, Error, FenceDeviceExt, Method, Policy, Result, Settings};

use super::action::Action;
use super::given::Given;
use super::logging;
use super::switching::{Failure, Outcome};
use crate::verification::{self, State};

/// Half of what Pacemaker usually grants a monitor.
const MONITOR: Duration = Duration::from_secs(10);

/// The options, but for those that every agent has.
pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec::of(
        "fence_method",
        "fence-method",
        Kind::Choice(&["ipmi", "kasa", "tasmota", "esphome", "http"]),
        "Method of the device that fences the node",
    ),
    OptionSpec::text(
        "fence_ip",
        "fence-ip",
        "IP address or hostname of the device that fences the node",
    ),
    OptionSpec::of(
        "fence_port",
        "fence-port",
        Kind::Integer(1, 65535),
        "TCP/UDP port to use for connection with that device",
    ),
    OptionSpec::text("fence_user", "fence-user", "Login name at that device"),
    OptionSpec::of(
        "fence_pass",
        "fence-pass",
        Kind::Secret,
        "Login password or passphrase at that device",
    ),
    OptionSpec::text(
        "password_file",
        "password-file",
        "File that holds that password, readable by root alone",
    ),
    OptionSpec::text(
        "password_script",
        "password-script",
        "Script to run to retrieve that password",
    ),
    OptionSpec::text(
        "fence_plug",
        "fence-plug",
        "Outlet of that device that feeds the node",
    ),
    OptionSpec::text(
        "switch_name",
        "switch-name",
        "Name of the switch, for method esphome",
    ),
    OptionSpec::of(
        "encryption_key",
        "encryption-key",
        Kind::Secret,
        "Key of the native API, for method esphome",
    ),
    OptionSpec::text(
        "transport",
        "transport",
        "Transport, for methods kasa and esphome",
    ),
    OptionSpec::text("cipher", "cipher", "Cipher suite, for method ipmi"),
    OptionSpec::text("privlvl", "privlvl", "Privilege level, for method ipmi"),
    OptionSpec::of(
        "hexadecimal_kg",
        "hexadecimal-kg",
        Kind::Secret,
        "BMC key, for method ipmi",
    ),
    OptionSpec::text(
        "status_url",
        "status-url",
        "URL whose reply shows the outlet's state, for method http",
    ),
    OptionSpec::text(
        "status_on_regex",
        "status-on-regex",
        "Regular expression that matches that reply only while the outlet is on",
    ),
    OptionSpec::text(
        "status_off_regex",
        "status-off-regex",
        "Regular expression that matches that reply only while the outlet is off",
    ),
    OptionSpec::of(
        "ssl",
        "ssl",
        Kind::Boolean,
        "Use SSL connection with verifying certificate",
    )
    .letter('z'),
    OptionSpec::of(
        "ssl_secure",
        "ssl-secure",
        Kind::Boolean,
        "Use SSL connection with verifying certificate",
    ),
    OptionSpec::of(
        "ssl_insecure",
        "ssl-insecure",
        Kind::Boolean,
        "Use SSL connection without verifying certificate",
    ),
    OptionSpec::text(
        "target_mgmt_ip",
        "target-mgmt-ip",
        "Address of the node on the management network",
    ),
    OptionSpec::text(
        "target_storage_ip",
        "target-storage-ip",
        "Address of the node on the storage network",
    ),
    OptionSpec::text(
        "target_client_ips",
        "target-client-ips",
        "Addresses of the node on client networks, with commas between them",
    ),
    OptionSpec::text(
        "target_tcp_ports",
        "target-tcp-ports",
        "TCP ports that the node answers on while it is alive, with commas between them",
    ),
    OptionSpec::text(
        "witness_mgmt_ip",
        "witness-mgmt-ip",
        "Another host that answers on the management network, or several with commas between them",
    ),
    OptionSpec::text(
        "witness_storage_ip",
        "witness-storage-ip",
        "Another host that answers on the storage network, or several with commas between them",
    ),
    OptionSpec::text(
        "witness_client_ips",
        "witness-client-ips",
        "Other hosts that answer on the client networks, with commas between them",
    ),
    OptionSpec::of(
        "require_witness",
        "require-witness",
        Kind::Boolean,
        "A network without a witness proves nothing",
    ),
    OptionSpec::of(
        "verify_wait",
        "verify-wait",
        Kind::Seconds,
        "Watch the node for X seconds; any sign of life within them fails the fence",
    )
    .or("10"),
    OptionSpec::of(
        "off_max_watts",
        "off-max-watts",
        Kind::Number,
        "The device's meter must read at most X watts; needs a metered device",
    ),
    OptionSpec::text(
        "expect_identity",
        "expect-identity",
        "MAC, device id, BMC GUID or name that the device must report",
    ),
    OptionSpec::text(
        "config",
        "config",
        "Cluster file; the node is named by plug, and everything about it is taken from there",
    ),
    OptionSpec::text("plug", "plug", "The node that is verified")
        .letter('n')
        .formerly(&["port"]),
    OptionSpec::of(
        "login_timeout",
        "login-timeout",
        Kind::Seconds,
        "Wait X seconds for login",
    )
    .or("5"),
    OptionSpec::of(
        "shell_timeout",
        "shell-timeout",
        Kind::Seconds,
        "Wait X seconds for an answer of the device",
    )
    .or("3"),
];

/// Device options by their names here and at the device.
const OF_DEVICE: &[(&str, &str)] = &[
    ("fence_ip", "ip"),
    ("fence_port", "ipport"),
    ("fence_user", "username"),
    ("fence_pass", "password"),
    ("password_file", "password_file"),
    ("password_script", "password_script"),
    ("fence_plug", "plug"),
    ("switch_name", "switch_name"),
    ("encryption_key", "encryption_key"),
    ("transport", "transport"),
    ("cipher", "cipher"),
    ("privlvl", "privlvl"),
    ("hexadecimal_kg", "hexadecimal_kg"),
    ("status_url", "status_url"),
    ("status_on_regex", "status_on_regex"),
    ("status_off_regex", "status_off_regex"),
    ("ssl", "ssl"),
    ("ssl_secure", "ssl_secure"),
    ("ssl_insecure", "ssl_insecure"),
    ("off_max_watts", "off_max_watts"),
    ("expect_identity", "expect_identity"),
    ("login_timeout", "login_timeout"),
    ("shell_timeout", "shell_timeout"),
];

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
        if given.text("config").is_some() {
            return Self::from_file(given);
        }
        Self::from_options(given).map(Some)
    }

    fn from_file(given: &Given) -> Result<Option<Self>> {
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
        let known = |name: &&str| cluster.nodes.iter().any(|node| node.name == *name);
        let named = [given.text("plug"), given.node()];
        let Some(name) = named
            .into_iter()
            .flatten()
            .find(known)
            .or(named.into_iter().flatten().next())
        else {
            return Ok(None);
        };
        let node = cluster.node(name)?;
        let supplies = node.supplies()?;
        let mut plan = cluster.plan(node, &supplies, verification::host().as_deref());
        if given.is_given("verify_wait") {
            plan.timing.wait = given.seconds("verify_wait");
        }
        plan.require_witness |= given.boolean("require_witness");
        Ok(Some(Self { plan, supplies }))
    }

    fn from_options(given: &Given) -> Result<Self> {
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
        settings.load_password()?;
        logging::hide(settings.secret("password"));
        let device = settings.method().device(&settings).map_err(renamed)?;
        let policy = Policy::from_settings(&settings)?;
        let address = given.text("fence_ip").and_then(|text| text.trim().parse().ok());
        let feed = Feed {
            off_max_watts: policy.off_max_watts,
            ..Feed::of(device.label(), address)
        };
        let plan = Plan {
            node: given
                .node()
                .or(given.text("plug"))
                .unwrap_or("the node")
                .to_owned(),
            devices: vec![feed],
            networks: networks(given)?,
            require_witness: given.boolean("require_witness"),
            timing: Timing {
                wait: given.seconds("verify_wait"),
                ..Timing::default()
            },
        };
        Ok(Self {
            plan,
            supplies: vec![Supply { device, policy }],
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
            Action::On => Ok(Outcome::Done("Success: nothing to verify".to_owned())),
            Action::List | Action::ListStatus | Action::Metadata | Action::ValidateAll => {
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
        match verification::state(&report) {
            State::On => Ok(Outcome::Done("Status: ON".to_owned())),
            State::Off => Ok(Outcome::StatusOff),
            State::Unknown => Err(Error::protocol("the state of the power cannot be told").into()),
        }
    }

    /// Whether the verification could be done: each device answers, and there is something to probe. The node itself
    /// may well be off.
    async fn monitor(&self) -> Result<Outcome, Failure> {
        let deadline = Deadline::after(MONITOR);
        for supply in &self.supplies {
            supply
                .device
                .status(&supply.policy, deadline)
                .await
                .map_err(|error| super::switching::failed(supply.device.as_ref(), error))?;
        }
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
        for (number, address) in (1..).zip(targets) {
            let name = if several {
                format!("{name}-{number}")
            } else {
                name.to_owned()
            };
            networks.push(Network {
                tcp_ports: ports.clone(),
                witnesses: witnesses.clone(),
                shared_witnesses: several,
                ..Network::new(name, address)
            });
        }
    }
    Ok(networks)
}

fn addresses(given: &Given, option: &str) -> Result<Vec<IpAddr>> {
    listed(
        given,
        option,
        "write IP addresses with commas between them; a name cannot be probed while DNS is down",
    )
}

fn numbers(given: &Given, option: &str) -> Result<Vec<u16>> {
    listed(
        given,
        option,
        "write port numbers from 1 to 65535 with commas between them",
    )
}

fn listed<T: std::str::FromStr>(given: &Given, option: &str, mend: &str) -> Result<Vec<T>> {
    let text = given.text(option).unwrap_or_default();
    text.split([',', ' '])
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(|item| {
            item.parse()
                .map_err(|_| Error::config(option, format!("\"{}\" is not valid", item.escape_debug()), mend))
        })
        .collect()
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
}
