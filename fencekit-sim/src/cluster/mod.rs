//! Simulated devices for a whole cluster file, and a language to make them fail while they run.

mod control;
mod plan;

use std::io;
use std::net::{IpAddr, SocketAddr};

use fencekit::cluster::Cluster;
use fencekit::{Method, Settings};
use serde::Serialize;
use serde_json::Value;

pub use plan::{Feed, Planned, Protocol, onto_loopback, plan};

use crate::device::Device;
use crate::esphome::{self, WebFirmware};
use crate::http_outlet::{self, Firmware};
use crate::ipmi::{self, BmcSpec};
use crate::kasa::{self, Dialect, KlapVersion};
use crate::tasmota;
use crate::wire::Running;

/// A planned device that listens, until this is dropped.
#[derive(Debug)]
pub struct Simulated {
    method: Method,
    running: Running,
    feeds: Vec<Feed>,
}

impl Simulated {
    /// The device, to look at and to set faults on.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.running.device
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Whom it feeds.
    #[must_use]
    pub fn feeds(&self) -> &[Feed] {
        &self.feeds
    }

    /// What is to be told of it, for each entry that it plays.
    #[must_use]
    pub fn announcements(&self) -> Vec<Announcement> {
        let spec = self.running.device.spec();
        let address = self.running.address;
        let announce = |feed: &Feed| Announcement {
            node: feed.node.clone(),
            method: self.method.name(),
            transport: self.running.transport,
            address: address.ip(),
            port: address.port(),
            plug: feed.plug.clone(),
            outlet: feed.outlet + 1,
            outlets: spec.outlets.len(),
            name: spec.name.clone(),
            mac: spec.mac.clone(),
        };
        self.feeds.iter().map(announce).collect()
    }
}

/// Where an entry of the cluster file is played: a line of `fencekit sim`.
#[derive(Clone, Debug, Serialize)]
pub struct Announcement {
    /// The node.
    pub node: String,
    /// The entry's method.
    pub method: &'static str,
    /// What the device speaks, in the words of the `transport` option.
    pub transport: &'static str,
    /// Where it listens.
    pub address: IpAddr,
    /// Where it listens.
    pub port: u16,
    /// The entry's `plug`.
    pub plug: Option<String>,
    /// The outlet that feeds the node, from 1.
    pub outlet: usize,
    /// How many the device has.
    pub outlets: usize,
    /// The device's name.
    pub name: String,
    /// Its MAC address.
    pub mac: String,
}

/// Why a device does not listen.
#[derive(Debug, thiserror::Error)]
#[error("{node}: cannot listen at {place}: {cause}; {mend}")]
pub struct CannotListen {
    node: String,
    place: String,
    cause: String,
    mend: &'static str,
    #[source]
    source: io::Error,
}

impl CannotListen {
    fn new(planned: &Planned, source: io::Error) -> Self {
        let mend = match source.kind() {
            io::ErrorKind::AddrNotAvailable => {
                "give the address to an interface (ip addr add), or use --loopback"
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need root: write another port, or use --loopback"
            }
            io::ErrorKind::AddrInUse => "something listens there already: stop it, or write another port",
            _ => "check ip and port, or use --loopback",
        };
        Self {
            node: planned
                .feeds
                .first()
                .map(|feed| feed.node.clone())
                .unwrap_or_default(),
            place: format!("{} port {}", planned.host, planned.port),
            cause: source.to_string(),
            mend,
            source,
        }
    }
}

/// Starts a planned device. Must be called within a tokio runtime.
///
/// # Errors
/// [`CannotListen`] with what to do about it.
pub async fn serve(planned: Planned) -> Result<Simulated, CannotListen> {
    match start(&planned).await {
        Ok(running) => Ok(Simulated {
            method: planned.method(),
            running,
            feeds: planned.feeds,
        }),
        Err(cause) => Err(CannotListen::new(&planned, cause)),
    }
}

async fn start(planned: &Planned) -> io::Result<Running> {
    let device = Device::new(planned.spec.clone());
    let mut places = tokio::net::lookup_host((planned.host.as_str(), planned.port)).await?;
    let address = places.next().ok_or(io::ErrorKind::NotFound)?;
    match planned.protocol {
        Protocol::KasaXor => kasa::serve_xor(device, address).await,
        Protocol::KasaKlap => kasa::serve_klap(device, address, KlapVersion::V2, Dialect::Smart).await,
        Protocol::KasaAes => kasa::serve_aes(device, address).await,
        Protocol::KasaTpap => kasa::serve_tpap(device, address).await,
        Protocol::Http => {
            let firmware = Firmware {
                routes: planned.routes().map_err(io::Error::other)?,
                ..Firmware::default()
            };
            http_outlet::serve_with(device, address, firmware).await
        }
        Protocol::Tasmota => tasmota::serve(device, address).await,
        Protocol::EsphomeWeb => esphome::serve_web(device, address, WebFirmware::default()).await,
        Protocol::EsphomeNative => {
            esphome::serve_native(device, address, native_key(&planned.settings)).await
        }
        Protocol::Ipmi => ipmi::serve(device, address, bmc(&planned.settings)).await,
    }
}

/// The key of an entry's native API; an entry without one gets a device in plaintext.
fn native_key(settings: &Settings) -> Option<esphome::NativeKey> {
    esphome::parse_key(settings.secret("encryption_key")?.expose())
}

/// A BMC with the key and, where it is a GUID, the identity that the entry expects.
fn bmc(settings: &Settings) -> BmcSpec {
    let mut spec = BmcSpec {
        kg: settings
            .secret("hexadecimal_kg")
            .and_then(|kg| from_hex(kg.expose())),
        ..BmcSpec::default()
    };
    let expected = settings.text("expect_identity").and_then(from_hex);
    if let Some(guid) = expected.and_then(|bytes| bytes.try_into().ok()) {
        spec.guid = guid;
    }
    spec
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text
        .chars()
        .filter(|c| !matches!(c, ':' | '-'))
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<Vec<u8>>>()?;
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect()
}

/// A whole URL with another host and port; `None` for a path alone.
fn moved(url: &str, address: SocketAddr) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let path = rest.find(['/', '?', '#']).and_then(|start| rest.get(start..));
    Some(format!("{scheme}://{address}{}", path.unwrap_or("/")))
}

/// All simulated devices of a cluster file.
#[derive(Debug, Default)]
pub struct Fleet {
    devices: Vec<Simulated>,
}

impl Fleet {
    /// One more device.
    pub fn add(&mut self, device: Simulated) {
        self.devices.push(device);
    }

    /// All of them, in the order of the file.
    #[must_use]
    pub fn devices(&self) -> &[Simulated] {
        &self.devices
    }

    /// The devices of a node with the outlets that feed it, in the order of its entries.
    #[must_use]
    pub fn of_node(&self, node: &str) -> Vec<(&Simulated, &Feed)> {
        let mut found: Vec<_> = self
            .devices
            .iter()
            .flat_map(|device| device.feeds.iter().map(move |feed| (device, feed)))
            .filter(|(_, feed)| feed.node == node)
            .collect();
        found.sort_by_key(|(_, feed)| feed.index);
        found
    }

    /// The same cluster file with every device's address and port as they are now.
    ///
    /// # Errors
    /// [`fencekit::Error::Config`], which no address of a socket causes.
    pub fn rewritten(&self, cluster: &Cluster) -> fencekit::Result<Cluster> {
        let mut cluster = cluster.clone();
        for node in &mut cluster.nodes {
            for (simulated, feed) in self.of_node(&node.name) {
                let Some(entry) = node.entries_mut().nth(feed.index) else {
                    continue;
                };
                let address = simulated.address();
                entry.settings.set("ip", &address.ip().to_string())?;
                entry.settings.set("ipport", &address.port().to_string())?;
                for option in ["power_on_url", "power_off_url", "status_url"] {
                    let moved = entry.settings.text(option).and_then(|url| moved(url, address));
                    if let Some(moved) = moved {
                        entry.settings.set(option, &moved)?;
                    }
                }
                entry.any_port = false;
            }
        }
        Ok(cluster)
    }

    /// Obeys a line of the control language and answers with one line of JSON.
    ///
    /// - `storage-b lie,slow=2`: these faults and no others, on the node's devices; `storage-b none` ends them
    /// - `storage-b state`: outlets, faults, and what the device was asked
    /// - `storage-b off`, `storage-b on`: the button, or whatever else moves the relay
    /// - `storage-b restart`: the device's uptime starts anew
    /// - `list`: every node's devices
    ///
    /// `storage-b/2` means the node's second device alone. The same as JSON:
    /// `{"node":"storage-b","device":2,"faults":["lie"]}`, `{"node":"storage-b","button":"off"}`,
    /// `{"node":"storage-b","query":"state"}`, `{"node":"storage-b","restart":true}`, `{"query":"list"}`.
    #[must_use]
    pub fn obey(&self, line: &str) -> Value {
        control::obey(self, line)
    }
}
