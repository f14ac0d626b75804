//! From a cluster file to the devices that would satisfy it. Opens nothing.

use std::net::IpAddr;

use fencekit::cluster::{Cluster, Entry};
use fencekit::{Error, Method, Result, Settings};

use crate::device::{Outlet, Spec};
use crate::http_outlet::Routes;

/// The most outlets that a simulated device has.
const MOST_OUTLETS: usize = 64;

/// What a simulated device speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Kasa's XOR over TCP.
    KasaXor,
    /// Kasa's KLAP, version 2.
    KasaKlap,
    /// Kasa's AES passthrough.
    KasaAes,
    /// Kasa's TPAP.
    KasaTpap,
    /// Tasmota's web API.
    Tasmota,
    /// ESPHome's REST API.
    EsphomeWeb,
    /// ESPHome's native API, encrypted where the entry has a key.
    EsphomeNative,
    /// An outlet with URLs.
    Http,
    /// IPMI 2.0.
    Ipmi,
}

impl Protocol {
    fn of(settings: &Settings) -> Self {
        let transport = settings.text("transport").unwrap_or("auto");
        let has_password = settings.secret("password").is_some();
        match (settings.method(), transport) {
            (Method::Kasa, "xor") => Self::KasaXor,
            (Method::Kasa, "klap") => Self::KasaKlap,
            (Method::Kasa, "aes") => Self::KasaAes,
            (Method::Kasa, "tpap") => Self::KasaTpap,
            (Method::Kasa, _) if has_password => Self::KasaKlap,
            (Method::Kasa, _) => Self::KasaXor,
            (Method::Esphome, "native") => Self::EsphomeNative,
            (Method::Esphome, "web") => Self::EsphomeWeb,
            (Method::Esphome, _) if settings.secret("encryption_key").is_some() => Self::EsphomeNative,
            (Method::Esphome, _) => Self::EsphomeWeb,
            (Method::Tasmota, _) => Self::Tasmota,
            (Method::Http, _) => Self::Http,
            (Method::Ipmi, _) => Self::Ipmi,
        }
    }

    /// The backend that speaks it.
    #[must_use]
    pub fn method(self) -> Method {
        match self {
            Self::KasaXor | Self::KasaKlap | Self::KasaAes | Self::KasaTpap => Method::Kasa,
            Self::Tasmota => Method::Tasmota,
            Self::EsphomeWeb | Self::EsphomeNative => Method::Esphome,
            Self::Http => Method::Http,
            Self::Ipmi => Method::Ipmi,
        }
    }

    /// The port that such a device listens on when nothing else is said.
    #[must_use]
    pub fn standard_port(self) -> u16 {
        match self {
            Self::KasaXor => 9999,
            Self::EsphomeNative => 6053,
            Self::Ipmi => 623,
            Self::KasaKlap
            | Self::KasaAes
            | Self::KasaTpap
            | Self::Tasmota
            | Self::EsphomeWeb
            | Self::Http => 80,
        }
    }
}

/// An entry of the file on a planned device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// The node.
    pub node: String,
    /// Which of the node's devices, from 0.
    pub index: usize,
    /// The entry's `plug`.
    pub plug: Option<String>,
    /// The outlet that it means, from 0.
    pub outlet: usize,
}

/// A device to be simulated: one for each entry, or one for several that name outlets of the same address.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What it speaks.
    pub protocol: Protocol,
    /// Host name or address to listen at.
    pub host: String,
    /// Port to listen at; 0 for any free one.
    pub port: u16,
    /// How it is made.
    pub spec: Spec,
    /// Whom it feeds; one at least.
    pub feeds: Vec<Feed>,
    /// The first entry's options, for what the protocol needs besides.
    pub(super) settings: Settings,
    /// What each feed's entry means by its URLs, where it has any and they can be answered.
    routes: Vec<Option<Routes>>,
}

/// The devices that a cluster file describes, in its order.
///
/// # Errors
/// [`Error::Config`] when a password cannot be read, entries of one address contradict each other, or no status page
/// is known that suits an HTTP outlet's expressions.
pub fn plan(cluster: &Cluster) -> Result<Vec<Planned>> {
    let mut devices: Vec<Planned> = Vec::new();
    for node in &cluster.nodes {
        for (index, entry) in node.entries().enumerate() {
            let settings = entry.settings()?;
            let feed = Feed {
                node: node.name.clone(),
                index,
                plug: settings.text("plug").map(|plug| plug.trim().to_owned()),
                outlet: 0,
            };
            let number = devices.len();
            match devices.iter_mut().find(|device| device.is_of(entry, &settings)) {
                Some(device) => device.join(feed, &settings)?,
                None => devices.push(Planned::new(number, feed, entry, settings)),
            }
        }
    }
    for device in &mut devices {
        device.place_outlets();
        if device.protocol == Protocol::Http {
            device.routes()?;
        }
    }
    Ok(devices)
}

/// Host and port of an entry. An HTTP outlet without `ip` has them in its URLs.
fn place(entry: &Entry, settings: &Settings) -> (String, u16) {
    let (host, port) = match settings.text("ip") {
        Some(ip) => (ip.trim(), settings.integer("ipport")),
        None => authority(settings.text("status_url").unwrap_or_default()),
    };
    let port = match port {
        Some(port) => port,
        None if entry.any_port => 0,
        None => Protocol::of(settings).standard_port(),
    };
    (host.trim_matches(['[', ']']).to_ascii_lowercase(), port)
}

/// Host and port of a whole URL.
fn authority(url: &str) -> (&str, Option<u16>) {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
        _ => (authority, None),
    }
}

impl Planned {
    fn new(number: usize, feed: Feed, entry: &Entry, settings: Settings) -> Self {
        let mut spec = Spec::plug(&feed.node);
        let [_, .., high, low] = number.to_be_bytes();
        spec.mac = format!("50:C7:BF:00:{high:02X}:{low:02X}");
        spec.username = settings.text("username").map(str::to_owned);
        spec.password = settings
            .secret("password")
            .map(|password| password.expose().to_owned());
        match settings.text("expect_identity") {
            Some(identity) if is_mac(identity) => spec.mac = identity.to_ascii_uppercase().replace('-', ":"),
            Some(identity) => spec.name = identity.to_owned(),
            None => {}
        }
        let (host, port) = place(entry, &settings);
        Self {
            protocol: Protocol::of(&settings),
            host,
            port,
            spec,
            feeds: vec![feed],
            routes: vec![Routes::of_settings(&settings)],
            settings,
        }
    }

    /// Whether the entry names another outlet of this device.
    fn is_of(&self, entry: &Entry, settings: &Settings) -> bool {
        let (host, port) = place(entry, settings);
        let same_place = self.method() == settings.method() && self.host == host && self.port == port;
        // Any port is the same one only for outlets that could be of one device.
        let both_name_outlets = settings.has("plug") && self.settings.has("plug");
        same_place && (port != 0 || (both_name_outlets && self.protocol == Protocol::of(settings)))
    }

    /// The backend that speaks to it.
    #[must_use]
    pub fn method(&self) -> Method {
        self.protocol.method()
    }

    /// What each outlet of an HTTP device answers to.
    pub(super) fn routes(&self) -> Result<Vec<Routes>> {
        let mut routes: Vec<Routes> = (1..=self.spec.outlets.len()).map(Routes::of_outlet).collect();
        for (feed, own) in self.feeds.iter().zip(&self.routes) {
            let own = own.clone().ok_or_else(|| {
                Error::config(
                    format!("{}: status_on_regex", feed.node),
                    "suits no status page that the simulator knows",
                    "let it match a page as {\"state\": \"on\"}, and status_off_regex one as {\"state\": \"off\"}",
                )
            })?;
            if let Some(route) = routes.get_mut(feed.outlet) {
                *route = own;
            }
        }
        Ok(routes)
    }

    fn join(&mut self, feed: Feed, settings: &Settings) -> Result<()> {
        let text = |settings: &Settings, name: &str| settings.text(name).map(str::to_owned);
        for option in ["username", "password", "encryption_key", "transport"] {
            if text(&self.settings, option) != text(settings, option) {
                let first = self.feeds.first().map_or("", |feed| feed.node.as_str());
                return Err(Error::config(
                    format!("{}: {option}", feed.node),
                    format!("differs from that of {first}, which is on the same device"),
                    "write the same for all outlets of a device, or give one of them its own ip or port",
                ));
            }
        }
        self.feeds.push(feed);
        self.routes.push(Routes::of_settings(settings));
        Ok(())
    }

    /// Gives each feed its outlet: a number is that outlet, a name is the alias of the next free one.
    fn place_outlets(&mut self) {
        let numbers: Vec<Option<usize>> = self
            .feeds
            .iter()
            .map(|feed| outlet_number(self.protocol, feed.plug.as_deref()))
            .collect();
        let count = numbers.iter().flatten().copied().max().unwrap_or(1);
        let count = count.max(self.feeds.len()).min(MOST_OUTLETS);
        let single = count == 1;
        self.spec.outlets = (1..=count)
            .map(|number| match (self.protocol, single) {
                (Protocol::EsphomeWeb | Protocol::EsphomeNative, true) => Outlet::on("Relay"),
                (_, true) => Outlet::on(&self.spec.name),
                (_, false) => Outlet::on(&format!("Outlet {number}")),
            })
            .collect();
        let taken: Vec<usize> = numbers.iter().flatten().map(|number| number - 1).collect();
        let mut free = (0..count).filter(|outlet| !taken.contains(outlet));
        for (feed, number) in self.feeds.iter_mut().zip(&numbers) {
            feed.outlet = match number {
                Some(number) => number - 1,
                None => free.next().unwrap_or_default(),
            };
            let named = feed.plug.as_ref().filter(|_| number.is_none());
            if let (Some(alias), Some(outlet)) = (named, self.spec.outlets.get_mut(feed.outlet)) {
                alias.clone_into(&mut outlet.alias);
            }
        }
    }
}

/// The outlet that a plug is the number of, from 1.
fn outlet_number(protocol: Protocol, plug: Option<&str>) -> Option<usize> {
    // A switch of ESPHome has a name, and a BMC has one chassis, whatever stands there.
    if matches!(protocol, Protocol::EsphomeWeb | Protocol::EsphomeNative) {
        return None;
    }
    if protocol == Protocol::Ipmi {
        return Some(1);
    }
    let number = plug?.parse().ok()?;
    (1..=MOST_OUTLETS).contains(&number).then_some(number)
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<_> = text.split([':', '-']).collect();
    let is_byte = |part: &&str| part.len() == 2 && part.chars().all(|c| c.is_ascii_hexdigit());
    parts.len() == 6 && parts.iter().all(is_byte)
}

/// Moves every device to a loopback address of its own and to any free port, for demonstrations and tests that need
/// no rights and leave no address of a real network behind.
pub fn onto_loopback(devices: &mut [Planned]) {
    for (number, device) in devices.iter_mut().enumerate() {
        let [.., high, low] = (number + 1).to_be_bytes();
        device.host = IpAddr::from([127, 1, high, low]).to_string();
        device.port = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(nodes: &str) -> Vec<Planned> {
        let cluster = Cluster::from_text(&format!("stonith_nodes:\n{nodes}"), "test").unwrap();
        plan(&cluster).unwrap()
    }

    fn aliases(device: &Planned) -> Vec<&str> {
        device
            .spec
            .outlets
            .iter()
            .map(|outlet| outlet.alias.as_str())
            .collect()
    }

    #[test]
    fn protocols_and_ports_are_those_of_the_interface() {
        let key = "QRTIErOb/fcE9Ukd/5qA3RGYMn0Y+p06U58SCtOXvPc=";
        let devices = planned(&format!(
            "  a: {{method: ipmi, ip: 127.0.0.1, user: u, password: p}}
  b: {{method: kasa, ip: 127.0.0.2}}
  c: {{method: kasa, ip: 127.0.0.3, user: u, password: p}}
  d: {{method: kasa, ip: 127.0.0.4, transport: aes, user: u, password: p}}
  e: {{method: tasmota, ip: 127.0.0.5}}
  f: {{method: esphome, ip: 127.0.0.6, switch_name: Relay, user: u, password: p}}
  g: {{method: esphome, ip: 127.0.0.7, switch_name: Relay, encryption_key: {key}}}
  h: {{method: kasa, ip: 127.0.0.8, port: 0}}
"
        ));
        let kinds: Vec<_> = devices
            .iter()
            .map(|device| (device.protocol, device.port))
            .collect();
        assert_eq!(
            kinds,
            [
                (Protocol::Ipmi, 623),
                (Protocol::KasaXor, 9999),
                (Protocol::KasaKlap, 80),
                (Protocol::KasaAes, 80),
                (Protocol::Tasmota, 80),
                (Protocol::EsphomeWeb, 80),
                (Protocol::EsphomeNative, 6053),
                (Protocol::KasaXor, 0),
            ]
        );
        let macs: std::collections::HashSet<_> = devices.iter().map(|device| &device.spec.mac).collect();
        assert_eq!(macs.len(), devices.len());
    }

    #[test]
    fn plugs_of_one_address_are_one_strip() {
        let devices = planned(
            "  a: {method: kasa, ip: 127.0.0.1, plug: 3}
  b: {method: kasa, ip: 127.0.0.1, plug: Rack B}
  c: {method: kasa, ip: 127.0.0.1, port: 9998, plug: 1}
  d: {method: esphome, ip: 127.0.0.1, switch_name: First}
  e: {method: esphome, ip: 127.0.0.1, switch_name: Second}
",
        );
        let outlets: Vec<_> = devices
            .iter()
            .map(|device| device.feeds.iter().map(|feed| feed.outlet).collect::<Vec<_>>())
            .collect();
        assert_eq!(outlets, [vec![2, 0], vec![0], vec![0, 1]]);
        assert_eq!(aliases(&devices[0]), ["Rack B", "Outlet 2", "Outlet 3"]);
        assert_eq!(aliases(&devices[2]), ["First", "Second"]);
    }

    #[test]
    fn any_port_is_one_device_for_each_unless_outlets_are_named() {
        let apart = planned(
            "  a: {method: kasa, ip: 127.0.0.1, port: 0}\n  b: {method: kasa, ip: 127.0.0.1, port: 0}\n",
        );
        assert_eq!(apart.len(), 2);
        let strip = planned(
            "  a: {method: kasa, ip: 127.0.0.1, port: 0, plug: 1}\n  b: {method: kasa, ip: 127.0.0.1, port: 0, plug: 2}\n",
        );
        assert_eq!((strip.len(), strip[0].spec.outlets.len()), (1, 2));
    }

    #[test]
    fn a_device_is_who_the_file_expects() {
        let devices = planned(
            "  a: {method: kasa, ip: 127.0.0.1, identity: aa-bb-cc-dd-ee-0f}\n  b: {method: kasa, ip: 127.0.0.2, identity: Plug B}\n",
        );
        assert_eq!(devices[0].spec.mac, "AA:BB:CC:DD:EE:0F");
        assert_eq!(
            (devices[1].spec.name.as_str(), aliases(&devices[1])),
            ("Plug B", vec!["Plug B"])
        );
    }

    #[test]
    fn outlets_of_one_device_have_one_password() {
        let cluster = Cluster::from_text(
            "stonith_nodes:
  a: {method: kasa, ip: 127.0.0.1, plug: 1, user: u, password: secret1}
  b: {method: kasa, ip: 127.0.0.1, plug: 2, user: u, password: secret2}
",
            "test",
        );
        let error = plan(&cluster.unwrap()).unwrap_err().to_string();
        assert!(
            error.starts_with("b: password: differs from that of a"),
            "{error}"
        );
        assert!(!error.contains("secret"), "{error}");
    }
}
