//! Tasmota settings that are right for fencing, as console commands for each device of a cluster file.
//!
//! They mend everything that `tasmota::findings` would report: nothing switches the relay by itself, an OFF survives a
//! restart, the meter tells the truth, and the reply's words are the ones that fencekit reads.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::cluster::{self, Cluster, Entry};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::method::Method;

/// Longest password that the firmware keeps, in bytes. Longer ones are cut without a word.
const PASSWORD_LIMIT: usize = 32;
/// Older firmware runs at most 30 commands of one Backlog and drops the rest without a word.
const COMMANDS_PER_LINE: usize = 24;

/// The commands for one device.
#[derive(Clone, Debug)]
pub struct Firmware {
    /// Host name or address, with the port where it is not 80.
    pub address: String,
    /// The nodes that it feeds, each with its relay.
    pub nodes: Vec<(String, u8)>,
    /// Lines for the console, without secrets.
    pub commands: Vec<String>,
    /// The line that sets the web password, where the cluster file has one. It holds the secret: keep it apart.
    pub password: Option<crate::Secret>,
}

/// The commands for every Tasmota device of `cluster`, in the file's order of addresses. `ntp_server` is a time server
/// that the devices can reach: older firmware answers nothing for up to a minute while it looks for one in vain.
///
/// # Errors
/// [`Error::Config`] for a plug that is no relay number, two passwords for one device, or a password that cannot be read, is longer than the
/// firmware keeps, or holds what its console cannot carry.
pub fn tasmota(cluster: &Cluster, ntp_server: Option<IpAddr>) -> Result<Vec<Firmware>> {
    within(cluster, ntp_server, Deadline::far())
}

/// The same; `deadline` bounds the programs that print passwords.
pub(super) fn within(
    cluster: &Cluster,
    ntp_server: Option<IpAddr>,
    deadline: Deadline,
) -> Result<Vec<Firmware>> {
    let mut devices: BTreeMap<String, Firmware> = BTreeMap::new();
    // Of which node a device's password is.
    let mut password_of: BTreeMap<String, &str> = BTreeMap::new();
    for node in &cluster.nodes {
        for entry in node.entries().filter(|entry| entry.method() == Method::Tasmota) {
            let address = address(entry)?;
            let relay = relay(&node.name, entry)?;
            let device = devices.entry(address.clone()).or_insert_with(|| Firmware {
                address: address.clone(),
                nodes: Vec::new(),
                commands: Vec::new(),
                password: None,
            });
            device.nodes.push((node.name.clone(), relay));
            let password = entry.password.read_within(deadline);
            let Some(password) = password.map_err(|error| cluster::named(&node.name, error))? else {
                continue;
            };
            let password = web_password(&node.name, password.expose())?;
            let first = *password_of.entry(address).or_insert(&node.name);
            match &device.password {
                Some(known) if known.expose() != password.expose() => {
                    return Err(super::two_passwords(first, &node.name, &device.address));
                }
                _ => device.password = Some(password),
            }
        }
    }
    let mut devices: Vec<Firmware> = devices.into_values().collect();
    for device in &mut devices {
        device.commands = commands(&device.nodes, ntp_server);
    }
    Ok(devices)
}

fn address(entry: &Entry) -> Result<String> {
    let host = entry.settings.required("ip")?;
    Ok(match entry.settings.integer::<u16>("ipport") {
        Some(port) if port != 80 => format!("{host}:{port}"),
        _ => host.to_owned(),
    })
}

fn relay(node: &str, entry: &Entry) -> Result<u8> {
    match entry.settings.plug().named() {
        None => Ok(1),
        Some(plug) => plug.parse().ok().filter(|relay| *relay > 0).ok_or_else(|| {
            Error::config(
                format!("{node}: plug"),
                format!("\"{plug}\" is no relay"),
                "write the relay's number, from 1",
            )
        }),
    }
}

fn web_password(node: &str, password: &str) -> Result<crate::Secret> {
    let wrong = |problem: String, mend: &str| Err(Error::config(format!("{node}: password"), problem, mend));
    if password.len() > PASSWORD_LIMIT {
        let problem = format!("is longer than the {PASSWORD_LIMIT} bytes that Tasmota keeps");
        return wrong(problem, "choose a shorter one");
    }
    // A console line ends a command at a semicolon only within a Backlog, and WebPassword stands alone; blanks at the
    // ends are cut, and a lone 0 or 1 means none and the default.
    if password != password.trim() || matches!(password, "" | "0" | "1") || !password.is_ascii() {
        let problem = "cannot be set through Tasmota's console".to_owned();
        return wrong(
            problem,
            "choose one of plain ASCII, without blanks at its ends, and not just 0 or 1",
        );
    }
    Ok(crate::Secret::from(format!("WebPassword {password}")))
}

/// Settings of the whole device, then those of each relay that feeds a node.
fn commands(nodes: &[(String, u8)], ntp_server: Option<IpAddr>) -> Vec<String> {
    let mut all: Vec<String> = [
        "SetOption128 1", // the HTTP API answers without a Referer
        "WebServer 2",    // as administrator, so that /cm answers
        "SetOption21 1",  // the meter measures although the relay is off
        "SetOption26 1",  // POWER1 even with one relay
        "SetOption0 1",   // the relay's state is kept over a restart
        "PowerOnState 3", // and restored
        "SetOption47 0",  // at once
        "Interlock 0",    // no relay switches another
        "Rule0 0",        // no rule at all
        "Timers 0",
        "SetOption1 1",  // a long press of the button does not reset
        "SetOption65 1", // quick power cycles do not reset
        "SetOption73 1", // the button does not switch the relay
        "WifiConfig 5",  // waits for the network rather than restarting
        "SetOption3 0",  // no MQTT, and with it no retained command
        "StateText1 OFF",
        "StateText2 ON",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut relays: Vec<u8> = nodes.iter().map(|(_, relay)| *relay).collect();
    relays.sort_unstable();
    relays.dedup();
    for relay in relays {
        all.push(format!("PulseTime{relay} 0"));
        all.push(format!("PowerLock{relay} 0"));
    }
    all.extend(ntp_server.map(|server| format!("NtpServer1 {server}")));
    all.chunks(COMMANDS_PER_LINE)
        .map(|chunk| format!("Backlog0 {}", chunk.join("; ")))
        .collect()
}

/// The commands as a text for people, without secrets.
#[must_use]
pub fn tasmota_text(devices: &[Firmware], secrets_are_in: Option<&str>) -> String {
    let mut text = String::from(
        "# Tasmota settings for fencing. Paste each line into the device's console (Tools, Console).\n\
         # SetOption changes may restart the device: do it while its nodes may lose power.\n",
    );
    for device in devices {
        let feeds: Vec<_> = device
            .nodes
            .iter()
            .map(|(node, relay)| format!("{node} on relay {relay}"))
            .collect();
        text.push_str(&format!("\n# {}: feeds {}\n", device.address, feeds.join(", ")));
        for line in &device.commands {
            text.push_str(line);
            text.push('\n');
        }
        match (&device.password, secrets_are_in) {
            (None, _) => text.push_str("# It has no password: whoever is on its network can switch it.\n"),
            (Some(_), Some(file)) => text.push_str(&format!("# Its WebPassword is in {file}.\n")),
            (Some(_), None) => {
                text.push_str("# Its WebPassword is left out here: generate with --secrets FILE.\n");
            }
        }
    }
    text
}

/// The lines with the passwords, for a file that only root can read.
#[must_use]
pub fn tasmota_secrets(devices: &[Firmware]) -> crate::Secret {
    let lines: Vec<String> = devices
        .iter()
        .filter_map(|device| {
            Some(format!(
                "# {}\n{}\n",
                device.address,
                device.password.as_ref()?.expose()
            ))
        })
        .collect();
    crate::Secret::from(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
stonith_nodes:
  a: {method: tasmota, ip: 10.0.0.1, password: s3cret, plug: 1}
  b: {method: tasmota, ip: 10.0.0.1, password: s3cret, plug: 2}
  c: {method: tasmota, ip: 10.0.0.2, port: 8080}
  d: {method: kasa, ip: 10.0.0.3}
";

    fn devices(file: &str) -> Result<Vec<Firmware>> {
        tasmota(
            &Cluster::from_text(file, "test").unwrap(),
            "10.0.0.254".parse().ok(),
        )
    }

    #[test]
    fn two_nodes_on_one_device_share_its_settings() {
        let devices = devices(FILE).unwrap();
        assert_eq!(devices.len(), 2);
        assert_eq!(devices[0].nodes, [("a".to_owned(), 1), ("b".to_owned(), 2)]);
        let all = devices[0].commands.join("\n");
        for command in [
            "PulseTime1 0",
            "PowerLock2 0",
            "NtpServer1 10.0.0.254",
            "SetOption21 1",
            "PowerOnState 3",
        ] {
            assert_eq!(all.matches(command).count(), 1, "{command} in {all}");
        }
        assert!(!devices[1].commands.join("\n").contains("PulseTime2"));
    }

    #[test]
    fn a_fallback_is_a_device_too() {
        let devices = devices(
            "stonith_nodes: {a: {method: ipmi, ip: 10.0.0.9, user: u, password: p, fallback: {method: tasmota, ip: 10.0.0.1, plug: 2}}}",
        )
        .unwrap();
        assert_eq!(devices.len(), 1);
        assert_eq!(devices[0].nodes, [("a".to_owned(), 2)]);
    }

    #[test]
    fn two_passwords_for_one_device_are_refused_by_the_nodes_names() {
        let error = devices(
            "stonith_nodes:\n  a: {method: tasmota, ip: 10.0.0.1, password: s3cret, plug: 1}\n  b: {method: tasmota, ip: 10.0.0.1, plug: 2}\n  c: {method: tasmota, ip: 10.0.0.1, password: 0ther, plug: 3}\n",
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("a and c") && error.contains("10.0.0.1"), "{error}");
        assert!(!error.contains("s3cret") && !error.contains("0ther"), "{error}");
    }

    #[test]
    fn no_line_is_longer_than_old_firmware_runs() {
        for line in devices(FILE).unwrap().iter().flat_map(|device| &device.commands) {
            assert!(line.split(';').count() <= 30, "{line}");
        }
    }

    #[test]
    fn secrets_stand_apart() {
        let devices = devices(FILE).unwrap();
        let text = tasmota_text(&devices, None);
        assert!(!text.contains("s3cret") && !format!("{devices:?}").contains("s3cret"));
        assert_eq!(
            tasmota_secrets(&devices)
                .expose()
                .matches("WebPassword s3cret")
                .count(),
            1
        );
        assert!(text.contains("10.0.0.2:8080: feeds c on relay 1") && text.contains("no password"));
    }

    #[test]
    fn what_the_firmware_would_cut_or_misread_is_refused_by_name() {
        for password in ["a-password-of-more-than-thirty-two-bytes", "1", "caf\u{e9}"] {
            let file =
                format!("stonith_nodes: {{a: {{method: tasmota, ip: 10.0.0.1, password: \"{password}\"}}}}");
            let error = devices(&file).unwrap_err().to_string();
            assert!(
                error.starts_with("a: password: ") && !error.contains(&format!("\"{password}\"")),
                "{error}"
            );
        }
    }
}
