//! The resource that proves a fenced node dead: `fence_check`.

use std::net::IpAddr;
use std::path::Path;

use super::build::Attributes;
use super::model::Resource;
use crate::cluster::{Cluster, Entry, Network, Node, Password, Secrets};
use crate::error::{Error, Result};
use crate::method::Method;
use crate::options::{Kind, may_hold_a_token};

/// The device's options that `fence_check` has, by the names that it has for them.
const OPTIONS: [(&str, &str); 11] = [
    ("ip", "fence_ip"),
    ("ipport", "fence_port"),
    ("username", "fence_user"),
    ("plug", "fence_plug"),
    ("encryption_key", "encryption_key"),
    ("status_url", "status_url"),
    ("status_on_regex", "status_on_regex"),
    ("status_off_regex", "status_off_regex"),
    ("expect_identity", "expect_identity"),
    ("off_max_watts", "off_max_watts"),
    ("password", "fence_pass"),
];
/// Options of an HTTP outlet that only matter for switching.
const SWITCHING: [&str; 6] = [
    "power_on_url",
    "power_off_url",
    "power_on_method",
    "power_off_method",
    "power_on_body",
    "power_off_body",
];

pub(super) struct Verification {
    pub(super) resource: Resource,
    pub(super) note: Option<String>,
}

/// The verification of a node that has addresses. Each of its levels has the same one: what may count for a death does
/// not depend on who cut the power.
pub(super) fn resource(cluster: &Cluster, node: &Node, id: String, file: &Path) -> Result<Verification> {
    let mut attributes = Attributes::default();
    let mut note = None;
    match alone(cluster, node) {
        Some(entry) => own_options(cluster, node, entry, &mut attributes)?,
        None => {
            refuse_what_the_file_lacks(node)?;
            let path = file.to_str().ok_or_else(|| {
                Error::config(
                    "config",
                    format!("{} is no UTF-8 text", file.display()),
                    "rename it",
                )
            })?;
            attributes.plain("config", path)?;
            attributes.plain("plug", &node.name)?;
            note = Some(format!(
                "{}: its verification reads {path}, which must be the same on every node and readable by root alone",
                node.name
            ));
        }
    }
    let stonith = &cluster.stonith;
    attributes.of_pacemaker(&node.name, stonith.off_timeout, stonith.on_timeout)?;
    Ok(Verification {
        resource: Resource {
            id,
            agent: "fence_check",
            node: node.name.clone(),
            attributes: attributes.0,
            monitor_interval: stonith.monitor_interval,
        },
        note,
    })
}

/// What the verification would not find in the cluster file that it reads, on a node and started by Pacemaker.
fn refuse_what_the_file_lacks(node: &Node) -> Result<()> {
    if node.has_host_vars {
        return Err(Error::config(
            "host_vars",
            "hold addresses of it that its verification, which reads the cluster file alone, would never watch",
            "write its mgmt_ip, storage_ip and client_ips into the cluster file",
        ));
    }
    let mut entries = node.entries();
    if entries.any(|entry| matches!(entry.password, Password::Environment(_))) {
        return Err(Error::config(
            "password_env",
            "is read by its verification, which Pacemaker starts without that variable",
            "write password_file, password_script or password",
        ));
    }
    Ok(())
}

/// The node's device, when `fence_check`'s own options can say all there is to say: it takes one device, one
/// management and one storage address, and no secret may stand in it with `secrets: file`. Otherwise it reads the
/// cluster file.
fn alone<'a>(cluster: &Cluster, node: &'a Node) -> Option<&'a Entry> {
    let (None, [entry]) = (&node.fallback, node.devices.as_slice()) else {
        return None;
    };
    let verify = &cluster.verify;
    let at_most_one = |network: Network| {
        addresses(node, &network).count() <= 1
            && verify.witnesses.get(&network).is_none_or(|all| all.len() <= 1)
    };
    let named_witness = verify
        .witnesses
        .keys()
        .any(|network| matches!(network, Network::Client(Some(_))));
    let options_fit = entry.method().options().all(|spec| {
        !entry.settings.has(spec.name)
            || OPTIONS.iter().any(|(option, _)| *option == spec.name)
            || (entry.method() == Method::Http && SWITCHING.contains(&spec.name))
    });
    let secrets_fit = match &entry.password {
        Password::None => true,
        Password::Given(_) | Password::Environment(_) => cluster.stonith.secrets == Secrets::Cib,
        Password::File(_) | Password::Script(_) => false,
    };
    let fits = options_fit
        && secrets_fit
        && at_most_one(Network::Management)
        && at_most_one(Network::Storage)
        && !named_witness
        && verify.metered_wait.is_none()
        && !verify.require_witness;
    fits.then_some(entry)
}

fn own_options(cluster: &Cluster, node: &Node, entry: &Entry, attributes: &mut Attributes) -> Result<()> {
    entry.refuse_simulated()?;
    let settings = entry.settings()?;
    attributes.plain("fence_method", entry.method().name())?;
    for (option, name) in OPTIONS {
        let Some(value) = settings.secret(option) else {
            continue;
        };
        let secret = entry
            .method()
            .option(option)
            .is_some_and(|spec| spec.kind == Kind::Secret);
        let name = match (entry.method(), option) {
            (Method::Esphome, "plug") => "switch_name",
            _ => name,
        };
        let hidden = secret || may_hold_a_token(name, value.expose());
        attributes.push(name, value, hidden)?;
    }
    let verify = &cluster.verify;
    let witnesses = |network: Network| verify.witnesses.get(&network).into_iter().flatten().copied();
    let clients = node.addresses.iter();
    let clients = clients.filter(|address| matches!(address.network, Network::Client(_)));
    let lists = [
        ("target_mgmt_ip", list(addresses(node, &Network::Management))),
        ("target_storage_ip", list(addresses(node, &Network::Storage))),
        ("target_client_ips", list(clients.map(|address| address.ip))),
        ("target_tcp_ports", list(node.tcp_ports.iter())),
        ("witness_mgmt_ip", list(witnesses(Network::Management))),
        ("witness_storage_ip", list(witnesses(Network::Storage))),
        ("witness_client_ips", list(witnesses(Network::Client(None)))),
    ];
    for (name, value) in lists {
        if !value.is_empty() {
            attributes.plain(name, &value)?;
        }
    }
    attributes.plain("verify_wait", &verify.wait.as_secs_f64().to_string())
}

fn addresses<'a>(node: &'a Node, network: &'a Network) -> impl Iterator<Item = IpAddr> + 'a {
    let own = node.addresses.iter();
    own.filter(move |address| address.network == *network)
        .map(|address| address.ip)
}

fn list(items: impl Iterator<Item = impl ToString>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(",")
}
