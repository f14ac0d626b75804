//! Firmware configuration for ESPHome plugs that fence: a YAML file for each device, and their secrets apart.
//!
//! What matters to fencing and differs from ESPHome's defaults is written out: no restart when no client or network is
//! there, the relay's state kept over a restart and written at once, an encrypted API, no web server unless it is used.

mod secrets;

use self::secrets::Secrets;
use super::File;
use crate::cluster::{Cluster, Entry, Password};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::esphome::Transport;
use crate::method::Method;
use crate::options::Settings;

/// Longest name of a host that ESPHome takes.
const LONGEST_NAME: usize = 31;

/// Pins that an ESP8266 has free for relays, by their numbers: neither the serial line's nor the flash memory's.
const PINS: [u8; 7] = [12, 5, 4, 15, 14, 13, 16];

/// What was generated.
#[derive(Clone, Debug, Default)]
pub struct Firmware {
    /// One file for each device, then `secrets.yaml`.
    pub files: Vec<File>,
    /// What deserves a word, a line each.
    pub notes: Vec<String>,
}

/// Firmware for every ESPHome device of a cluster. `random` fills bytes for keys and passwords that the file lacks.
///
/// # Errors
/// [`Error::Config`] when two entries of one device contradict each other, when it has more switches than a board has
/// pins, or a password cannot be read.
pub fn firmware(cluster: &Cluster, random: &mut dyn FnMut(&mut [u8]) -> Result<()>) -> Result<Firmware> {
    firmware_within(cluster, Deadline::far(), random)
}

/// The same; `deadline` bounds the programs that print passwords.
pub(super) fn firmware_within(
    cluster: &Cluster,
    deadline: Deadline,
    random: &mut dyn FnMut(&mut [u8]) -> Result<()>,
) -> Result<Firmware> {
    let mut made = Firmware::default();
    let mut secrets = Secrets::new(random);
    for device in devices(cluster)? {
        let text = device.yaml(deadline, &mut secrets, &mut made.notes)?;
        made.files.push(File {
            name: format!("{}.yaml", device.name),
            text,
            secret: false,
        });
    }
    if made.files.is_empty() {
        return Err(Error::config(
            "method",
            "no node of the cluster file has an ESPHome device",
            "give a node method: esphome",
        ));
    }
    made.notes
        .push("secrets.yaml: write the network's name and password into it".to_owned());
    made.files.push(secrets.finish());
    Ok(made)
}

/// One device with all the entries of the file that it serves.
struct Device<'a> {
    name: String,
    address: String,
    nodes: Vec<&'a str>,
    entries: Vec<&'a Entry>,
}

/// The ESPHome devices in the file's order; entries of the same address are one device.
fn devices(cluster: &Cluster) -> Result<Vec<Device<'_>>> {
    let mut devices: Vec<Device<'_>> = Vec::new();
    for node in &cluster.nodes {
        for entry in node.entries().filter(|entry| entry.method() == Method::Esphome) {
            let address = entry.settings.required("ip")?;
            if let Some(known) = devices.iter_mut().find(|device| device.address == address) {
                known.nodes.push(&node.name);
                known.entries.push(entry);
                continue;
            }
            let name = free_name(&node.name, &devices);
            devices.push(Device {
                name,
                address: address.to_owned(),
                nodes: vec![&node.name],
                entries: vec![entry],
            });
        }
    }
    Ok(devices)
}

/// A host's name that no other device has: lower case, digits and dashes.
fn free_name(node: &str, devices: &[Device<'_>]) -> String {
    let plain: String = node
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => c,
            _ => '-',
        })
        .take(LONGEST_NAME - "-power-9999".len())
        .collect();
    let stem = format!("{}-power", plain.trim_matches('-'));
    let stem = stem.trim_start_matches('-');
    let taken = |name: &str| devices.iter().any(|device| device.name == name);
    if !taken(stem) {
        return stem.to_owned();
    }
    (2..=9999)
        .map(|number| format!("{stem}-{number}"))
        .find(|name| !taken(name))
        .unwrap_or_else(|| stem.to_owned())
}

impl Device<'_> {
    fn yaml(&self, deadline: Deadline, secrets: &mut Secrets<'_>, notes: &mut Vec<String>) -> Result<String> {
        let slug = self.name.replace('-', "_");
        let switches = self.switches()?;
        let mut text = self.head(&switches);
        text.push_str(&self.api(&slug, secrets, notes)?);
        let ota = secrets.fresh(&format!("{slug}_ota_password"))?;
        text.push_str(&format!(
            "\nota:\n  - platform: esphome\n    password: !secret {ota}\n"
        ));
        text.push_str(&self.web_server(deadline, &slug, secrets, notes)?);
        text.push_str(
            "\nwifi:\n  ssid: !secret wifi_ssid\n  password: !secret wifi_password\n\
             \x20 # Asleep, the device would answer late or not at all.\n  power_save_mode: none\n\
             \x20 # A restart may move the relay: never for want of a network.\n  reboot_timeout: 0s\n",
        );
        text.push_str(&format!("  use_address: {}\n", quoted(&self.address)));
        text.push_str(&switch_section(&switches));
        text.push_str(&self.sensors());
        Ok(text)
    }

    fn head(&self, switches: &[Switch]) -> String {
        let mut text = format!(
            "# {}: cuts the power of {}. Made by fencekit from the cluster file.\n\
             # Adapt the board and the pins to the hardware, then: esphome run {}.yaml\n\
             # A plug in service is never to be updated: its relay may move when it restarts.\n",
            self.name,
            self.nodes.join(", ").replace(['\n', '\r'], " "),
            self.name
        );
        text.push_str("substitutions:\n  board: esp01_1m\n");
        for (number, (_, pin)) in switches.iter().zip(PINS).enumerate() {
            text.push_str(&format!("  relay_{}_pin: GPIO{pin}\n", number + 1));
        }
        text.push_str(&format!(
            "\nesphome:\n  name: {}\n  friendly_name: {}\n",
            self.name,
            quoted(&self.name.replace('-', " "))
        ));
        let sub_devices = sub_devices(switches);
        if !sub_devices.is_empty() {
            text.push_str("  devices:\n");
        }
        for (device, id) in sub_devices {
            text.push_str(&format!("    - id: {id}\n      name: {}\n", quoted(device)));
        }
        text.push_str(
            "\nesp8266:\n  board: ${board}\n\
             \x20 # The relay's last state outlives a power cut, and its pin is left alone while the device starts.\n\
             \x20 restore_from_flash: true\n  early_pin_init: false\n\
             \npreferences:\n  # An off that is not yet written would be forgotten by a power cut.\n\
             \x20 flash_write_interval: 1s\n\
             \nlogger:\n  # The serial line belongs to the meter where there is one.\n  baud_rate: 0\n",
        );
        text
    }

    fn api(&self, slug: &str, secrets: &mut Secrets<'_>, notes: &mut Vec<String>) -> Result<String> {
        let name = format!("{slug}_api_key");
        match self.common("encryption_key", |settings| {
            settings
                .secret("encryption_key")
                .map(|key| key.expose().to_owned())
        })? {
            Some(key) => secrets.set(&name, &key),
            None => {
                secrets.fresh_key(&name)?;
                if !self.is_web() {
                    notes.push(format!(
                        "{}: the cluster file has no encryption_key; a new one is in secrets.yaml as {name}: write it there",
                        self.nodes.join(", ")
                    ));
                }
            }
        }
        Ok(format!(
            "\napi:\n  # Without a client the device would restart every 15 minutes.\n  reboot_timeout: 0s\n\
             \x20 encryption:\n    key: !secret {name}\n"
        ))
    }

    /// Only where the cluster file asks for REST.
    fn web_server(
        &self,
        deadline: Deadline,
        slug: &str,
        secrets: &mut Secrets<'_>,
        notes: &mut Vec<String>,
    ) -> Result<String> {
        if !self.is_web() {
            return Ok(String::new());
        }
        let username = self
            .common("username", |settings| {
                settings.text("username").map(str::to_owned)
            })?
            .unwrap_or_else(|| "admin".to_owned());
        let name = format!("{slug}_web_password");
        let mut given: Option<(&str, crate::Secret)> = None;
        for (node, entry) in self.nodes.iter().zip(&self.entries) {
            let settings = entry.settings_within(deadline);
            let settings = settings.map_err(|error| crate::cluster::named(node, error))?;
            let Some(password) = settings.secret("password") else {
                continue;
            };
            match &given {
                Some((first, known)) if known.expose() != password.expose() => {
                    return Err(super::two_passwords(first, node, &self.address));
                }
                Some(_) => {}
                None => given = Some((node, password)),
            }
        }
        match given {
            Some((_, password)) => secrets.set(&name, password.expose()),
            None => {
                secrets.fresh(&name)?;
                notes.push(format!(
                    "{}: the cluster file has no password; a new one is in secrets.yaml as {name}: write it there",
                    self.nodes.join(", ")
                ));
            }
        }
        Ok(format!(
            "\nweb_server:\n  port: 80\n  # Digest needs ESPHome 2026.7 or newer.\n  auth:\n    type: digest\n\
             \x20   username: {}\n    password: !secret {name}\n",
            quoted(&username)
        ))
    }

    /// Whether an entry is reached by REST, as the backend decides it.
    fn is_web(&self) -> bool {
        self.entries.iter().any(|entry| {
            let has_password = !matches!(entry.password, Password::None);
            Transport::of(&entry.settings, has_password) == Transport::Web
        })
    }

    /// What all entries of the device agree on.
    fn common(&self, option: &str, of: impl Fn(&Settings) -> Option<String>) -> Result<Option<String>> {
        let mut values: Vec<_> = self
            .entries
            .iter()
            .filter_map(|entry| of(&entry.settings))
            .collect();
        values.dedup();
        match values.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.clone())),
            _ => Err(Error::config(
                option,
                format!("differs between the entries of the device at {}", self.address),
                "give them the same one",
            )),
        }
    }

    fn switches(&self) -> Result<Vec<Switch>> {
        let mut switches: Vec<Switch> = Vec::new();
        for entry in &self.entries {
            let settings = &entry.settings;
            let name = settings
                .text("switch_name")
                .or_else(|| settings.text("plug"))
                .unwrap_or("Relay");
            if switches.iter().any(|switch| switch.name == name) {
                return Err(Error::config(
                    "switch_name",
                    format!("\"{name}\" at {} stands in two entries", self.address),
                    "give each entry a switch of its own",
                ));
            }
            switches.push(Switch {
                name: name.to_owned(),
            });
        }
        if switches.len() > PINS.len() {
            return Err(Error::config(
                "switch_name",
                format!(
                    "names {} switches of the device at {}, and a board has pins for {} relays",
                    switches.len(),
                    self.address,
                    PINS.len()
                ),
                "write the firmware of so large a device by hand",
            ));
        }
        Ok(switches)
    }

    fn sensors(&self) -> String {
        let mut text = "\nsensor:\n  # Uptime that shrinks tells that the device restarted.\n\
                        \x20 - platform: uptime\n    name: Uptime\n    update_interval: 5s\n"
            .to_owned();
        let metered = self
            .entries
            .iter()
            .any(|entry| entry.settings.number("off_max_watts").is_some());
        if metered {
            text.push_str(
                "  # The meter of Sonoff S31, Athom and the like; others need another platform.\n\
                 \x20 - platform: cse7766\n    power:\n      name: Power\n\
                 \nuart:\n  rx_pin: RX\n  baud_rate: 4800\n  parity: EVEN\n",
            );
        }
        text
    }
}

/// One relay.
struct Switch {
    name: String,
}

impl Switch {
    fn device(&self) -> Option<&str> {
        self.name.split_once('/').map(|(device, _)| device)
    }

    fn own_name(&self) -> &str {
        self.name.split_once('/').map_or(&self.name, |(_, name)| name)
    }
}

fn switch_section(switches: &[Switch]) -> String {
    let sub_devices = sub_devices(switches);
    let mut text = "\nswitch:\n".to_owned();
    for (number, switch) in switches.iter().enumerate() {
        text.push_str(&format!(
            "  - platform: gpio\n    name: {}\n    pin: ${{relay_{}_pin}}\n\
             \x20   # As it was; ALWAYS_ON would power a fenced node up again.\n    restore_mode: RESTORE_DEFAULT_ON\n",
            quoted(switch.own_name()),
            number + 1
        ));
        let device = switch.device();
        if let Some((_, id)) = sub_devices.iter().find(|(name, _)| Some(*name) == device) {
            text.push_str(&format!("    device_id: {id}\n"));
        }
    }
    text
}

/// The sub-devices of the switches, each once, with an id of its own: `Rack B` and `rack-b` are two.
fn sub_devices(switches: &[Switch]) -> Vec<(&str, String)> {
    let mut found: Vec<(&str, String)> = Vec::new();
    for device in switches.iter().filter_map(Switch::device) {
        if found.iter().any(|(known, _)| *known == device) {
            continue;
        }
        let mut id = id_of(device);
        while found.iter().any(|(_, taken)| *taken == id) {
            id.push_str("_2");
        }
        found.push((device, id));
    }
    found
}

fn id_of(device: &str) -> String {
    let plain: String = device
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .collect();
    format!("device_{plain}")
}

/// A string that YAML reads back as it is: JSON's form is one of YAML's. `$` would begin a substitution.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text.replace('$', "$$")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "6Z4l0xkQ3m0l2mJm6q1oTq9wF6n1b2nYJw0J8j7m1lI=";

    fn made(nodes: &str) -> Result<Firmware> {
        let cluster = Cluster::from_text(&format!("stonith_nodes:\n{nodes}"), "test.yml").unwrap();
        firmware(&cluster, &mut |bytes| {
            bytes.fill(7);
            Ok(())
        })
    }

    fn text<'f>(firmware: &'f Firmware, name: &str) -> &'f str {
        &firmware.files.iter().find(|file| file.name == name).unwrap().text
    }

    #[test]
    fn what_matters_to_fencing_is_written_out_and_secrets_are_apart() {
        let firmware = made(&format!(
            "  storage-b: {{method: esphome, ip: 10.20.20.203, switch_name: Relay, encryption_key: \"{KEY}\"}}\n"
        ))
        .unwrap();
        let yaml = text(&firmware, "storage-b-power.yaml");
        for line in [
            "restore_mode: RESTORE_DEFAULT_ON",
            "restore_from_flash: true",
            "early_pin_init: false",
            "flash_write_interval: 1s",
            "power_save_mode: none",
            "key: !secret storage_b_power_api_key",
            "name: \"Relay\"",
            "- platform: uptime",
        ] {
            assert!(yaml.contains(line), "{line}\n{yaml}");
        }
        assert_eq!(yaml.matches("reboot_timeout: 0s").count(), 2);
        assert!(!yaml.contains(KEY) && !yaml.contains("web_server") && !yaml.contains("cse7766"));
        assert!(text(&firmware, "secrets.yaml").contains(KEY));
        assert!(!format!("{firmware:?}").contains(KEY));
        assert!(firmware.files.last().unwrap().secret);
    }

    #[test]
    fn rest_a_meter_and_a_missing_key_are_seen_in_the_file() {
        let firmware = made(
            "  b: {method: esphome, ip: 10.0.0.3, switch_name: Relay, transport: web, user: op, password: p, off_max_watts: 5}\n",
        )
        .unwrap();
        let yaml = text(&firmware, "b-power.yaml");
        assert!(
            yaml.contains("type: digest") && yaml.contains("username: \"op\"") && yaml.contains("cse7766")
        );
        let firmware = made("  b: {method: esphome, ip: 10.0.0.3, switch_name: Relay}\n").unwrap();
        assert!(
            firmware
                .notes
                .iter()
                .any(|note| note.contains("no encryption_key"))
        );
        assert!(text(&firmware, "secrets.yaml").contains("BwcHBwcH"));
    }

    #[test]
    fn entries_of_one_address_are_one_device() {
        let firmware = made(
            "  a: {method: esphome, ip: 10.0.0.3, switch_name: Left}\n  b: {method: esphome, ip: 10.0.0.3, switch_name: Rack B/Relay}\n",
        )
        .unwrap();
        assert_eq!(firmware.files.len(), 2);
        let yaml = text(&firmware, "a-power.yaml");
        assert!(
            yaml.contains("name: \"Left\"") && yaml.contains("device_id: device_rack_b"),
            "{yaml}"
        );
    }

    #[test]
    fn a_fallback_is_a_device_too() {
        let firmware = made(
            "  a: {method: ipmi, ip: 10.0.0.9, user: u, password: p, fallback: {method: esphome, ip: 10.0.0.3, plug: Relay}}\n",
        )
        .unwrap();
        assert!(text(&firmware, "a-power.yaml").contains("name: \"Relay\""));
    }

    #[test]
    fn sub_devices_stand_once_and_with_ids_of_their_own() {
        let firmware = made(
            "  a: {method: esphome, ip: 10.0.0.3, switch_name: Rack B/One}\n  b: {method: esphome, ip: 10.0.0.3, switch_name: rack-b/One}\n  c: {method: esphome, ip: 10.0.0.3, switch_name: Rack B/Two}\n",
        )
        .unwrap();
        let yaml = text(&firmware, "a-power.yaml");
        for (part, times) in [
            ("    - id: device_rack_b\n      name: \"Rack B\"", 1),
            ("    - id: device_rack_b_2\n      name: \"rack-b\"", 1),
            ("    device_id: device_rack_b\n", 2),
            ("    device_id: device_rack_b_2\n", 1),
        ] {
            assert_eq!(yaml.matches(part).count(), times, "{part}\n{yaml}");
        }
    }

    #[test]
    fn every_relay_has_a_pin_of_its_own_as_long_as_there_are_some() {
        let nodes = |count: usize| -> String {
            (0..count)
                .map(|n| format!("  n{n}: {{method: esphome, ip: 10.0.0.3, switch_name: R{n}}}\n"))
                .collect()
        };
        let firmware = made(&nodes(PINS.len())).unwrap();
        let yaml = text(&firmware, "n0-power.yaml");
        for (number, pin) in PINS.iter().enumerate() {
            assert!(
                yaml.contains(&format!("  relay_{}_pin: GPIO{pin}\n", number + 1)),
                "{yaml}"
            );
            assert_eq!(yaml.matches(&format!("GPIO{pin}\n")).count(), 1, "{yaml}");
        }
        let error = made(&nodes(PINS.len() + 1)).unwrap_err().to_string();
        assert!(
            error.starts_with("switch_name: ") && error.contains("10.0.0.3"),
            "{error}"
        );
    }

    #[test]
    fn the_web_server_is_there_exactly_when_the_backend_uses_it() {
        for (options, is_web) in [
            ("transport: native, user: op", false),
            ("user: op", true),
            ("user: op, password: p", true),
            ("user: op, transport: web", true),
            (&format!("user: op, encryption_key: \"{KEY}\""), false),
            ("transport: auto", false),
        ] {
            let firmware = made(&format!(
                "  b: {{method: esphome, ip: 10.0.0.3, switch_name: Relay, {options}}}\n"
            ))
            .unwrap();
            assert_eq!(
                text(&firmware, "b-power.yaml").contains("web_server:"),
                is_web,
                "{options}"
            );
        }
    }

    #[test]
    fn two_web_passwords_for_one_device_are_refused_by_the_nodes_names() {
        let error = made(
            "  a: {method: esphome, ip: 10.0.0.3, switch_name: One, user: op, password: s3cret}\n  b: {method: esphome, ip: 10.0.0.3, switch_name: Two, user: op, password: 0ther}\n",
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("a and b") && error.contains("10.0.0.3"), "{error}");
        assert!(!error.contains("s3cret") && !error.contains("0ther"), "{error}");
    }

    #[test]
    fn names_are_hosts_and_text_is_quoted() {
        let long = "Very_Long.Name-Of-A-Node-That-Never-Ends-At-All";
        let name = free_name(long, &[]);
        assert!(
            name.len() <= LONGEST_NAME && name.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
            "{name}"
        );
        assert_eq!(quoted("a\"b: ${x}\\"), r#""a\"b: $${x}\\""#);
    }

    #[test]
    fn a_cluster_without_esphome_has_no_firmware() {
        assert!(made("  a: {method: kasa, ip: 10.0.0.3}\n").is_err());
    }
}
