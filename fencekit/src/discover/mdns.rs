//! Finding devices by multicast DNS: ESPHome announces `_esphomelib._tcp` or, without the native API, `_http._tcp`;
//! Tasmota announces `_http._tcp` once `SetOption55 1` has been given.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::dns::{self, Data, Record};
use super::{Found, with_colons};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::method::Method;

/// Where everybody listens for questions.
const GROUP: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353));
/// Pause before the question is sent again: multicast over wireless gets lost.
const AGAIN: Duration = Duration::from_millis(700);
/// More devices than any network has: where a hostile network's answers end.
const MOST: usize = 4096;

const ESPHOME: &str = "_esphomelib._tcp.local";
const HTTP: &str = "_http._tcp.local";

/// Whom to ask, from where, and how long to listen.
#[derive(Clone, Debug)]
pub struct Search {
    /// Where the question goes: the multicast group, or single devices.
    pub targets: Vec<SocketAddr>,
    /// Our own addresses on the networks to be asked. Empty: the network with the default route.
    pub interfaces: Vec<Ipv4Addr>,
    /// How long answers are waited for.
    pub wait: Duration,
}

impl Default for Search {
    /// Everybody on the network with the default route, for three seconds.
    fn default() -> Self {
        Self {
            targets: vec![GROUP],
            interfaces: Vec::new(),
            wait: Duration::from_secs(3),
        }
    }
}

/// Finds ESPHome and Tasmota devices that announce themselves. Nothing is connected to or changed. What a device says
/// here is proven by nothing: the identity is checked again before anything is switched.
///
/// # Errors
/// [`Error::Unreachable`] when the question could not be sent on any network.
pub async fn discover(search: &Search, deadline: Deadline) -> Result<Vec<Found>> {
    let until = deadline.capped(search.wait);
    let default = [Ipv4Addr::UNSPECIFIED];
    let interfaces: &[Ipv4Addr] = if search.interfaces.is_empty() {
        &default
    } else {
        &search.interfaces
    };
    let searches = interfaces
        .iter()
        .map(|interface| on_one_network(*interface, &search.targets, until));
    let mut found = BTreeMap::new();
    let mut failure = None;
    for outcome in futures_util::future::join_all(searches).await {
        match outcome {
            Ok(devices) => found.extend(devices),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found.into_values().collect()),
    }
}

/// Devices by address and port, so that one that answers twice is found once.
type Devices = BTreeMap<SocketAddr, Found>;

async fn on_one_network(interface: Ipv4Addr, targets: &[SocketAddr], until: Deadline) -> Result<Devices> {
    // Not from port 5353: the answers then come to us alone (RFC 6762, section 6.7).
    let socket = UdpSocket::bind((interface, 0))
        .await
        .map_err(|cause| Error::io(&format!("opening a socket at {interface}"), cause))?;
    let question = dns::question(0, &[ESPHOME, HTTP]);
    let mut found = Devices::new();
    let mut sent = Err(Error::unreachable("there is nobody to ask"));
    loop {
        for target in targets {
            match socket.send_to(&question, target).await {
                Ok(_) => sent = Ok(()),
                Err(cause) if sent.is_err() => sent = Err(Error::io("asking the network", cause)),
                Err(_) => {}
            }
        }
        let again = until.instant().min(Instant::now() + AGAIN);
        listen(&socket, again, &mut found).await;
        if until.expired() {
            break;
        }
    }
    sent.map(|()| found)
}

async fn listen(socket: &UdpSocket, until: Instant, found: &mut Devices) {
    let mut buffer = vec![0; 9000];
    while let Ok(received) = tokio::time::timeout_at(until, socket.recv_from(&mut buffer)).await {
        // A closed port somewhere is an error here too; the next answer may be a good one.
        let Ok((read, from)) = received else { continue };
        let records = dns::records(buffer.get(..read).unwrap_or_default());
        for device in devices(&records, from.ip()) {
            if found.len() < MOST {
                found.insert(device.address, device);
            }
        }
    }
}

/// What one answer tells of devices that can be fenced with.
fn devices(records: &[Record], from: IpAddr) -> Vec<Found> {
    records
        .iter()
        .filter_map(|record| match &record.data {
            Data::Pointer(instance) => of_instance(&record.name, instance, records, from),
            _ => None,
        })
        .collect()
}

fn of_instance(service: &str, instance: &str, records: &[Record], from: IpAddr) -> Option<Found> {
    let (host, port) = about(records, instance).find_map(|data| match data {
        Data::Service { host, port } => Some((host.as_str(), *port)),
        _ => None,
    })?;
    let texts: Vec<_> = about(records, instance)
        .filter_map(|data| match data {
            Data::Text(pairs) => Some(pairs.iter()),
            _ => None,
        })
        .flatten()
        .collect();
    let text = |key: &str| {
        let found = texts.iter().find(|(k, _)| k == key);
        found
            .map(|(_, value)| printable(value))
            .filter(|value| !value.is_empty())
    };
    // An answer comes from the device itself, or from a repeater between two networks.
    let announced: Vec<_> = about(records, host)
        .filter_map(|data| match data {
            Data::Address(ip) => Some(*ip),
            _ => None,
        })
        .collect();
    let ip = if announced.contains(&from) {
        from
    } else {
        announced.iter().find(|ip| ip.is_ipv4()).copied().unwrap_or(from)
    };
    let name = printable(&dns::first_label(instance));
    let identity = Identity {
        mac: text("mac").map(|mac| with_colons(&mac)),
        device_id: Some(name.clone()),
        guid: None,
        name: text("friendly_name").or(Some(name)),
        model: text("board"),
        firmware: text("version"),
    };
    let kind = if service.eq_ignore_ascii_case(ESPHOME) {
        let note = if text("api_encryption").is_some() {
            super::NEEDS_KEY
        } else {
            super::NOT_ENCRYPTED
        };
        (Method::Esphome, "native", note)
    } else if service.eq_ignore_ascii_case(HTTP) && text("devicetype").as_deref() == Some("tasmota") {
        (Method::Tasmota, "", "")
    } else if service.eq_ignore_ascii_case(HTTP) && text("config_hash").is_some() {
        (Method::Esphome, "web", super::NO_NATIVE_API)
    } else {
        return None;
    };
    let (method, transport, note) = kind;
    Some(Found {
        method,
        address: SocketAddr::new(ip, port),
        transport: transport.to_owned(),
        identity,
        metered: None,
        note: note.to_owned(),
    })
}

fn about<'r>(records: &'r [Record], name: &'r str) -> impl Iterator<Item = &'r Data> {
    records
        .iter()
        .filter(move |record| record.name.eq_ignore_ascii_case(name))
        .map(|record| &record.data)
}

/// What a device says of itself, fit for a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::super::dns::tests::answer;
    use super::*;

    const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 20, 20, 203));

    fn found(service: &str, instance: &str, texts: &[&str], port: u16) -> Vec<Found> {
        devices(&dns::records(&answer(service, instance, texts, port)), FROM)
    }

    #[test]
    fn an_esphome_device_tells_who_it_is() {
        let texts = [
            "friendly_name=Storage B power",
            "version=2026.10.0",
            "mac=983569abf679",
            "platform=ESP8266",
            "board=esp01_1m",
            "network=wifi",
            "api_encryption=Noise_NNpsk0_25519_ChaChaPoly_SHA256",
        ];
        let devices = found(ESPHOME, "storage-b-power", &texts, 6053);
        let [device] = devices.as_slice() else {
            panic!("{devices:?}")
        };
        assert_eq!(
            (device.method, device.transport.as_str()),
            (Method::Esphome, "native")
        );
        assert_eq!(device.address, SocketAddr::new(FROM, 6053));
        assert_eq!(device.identity.mac.as_deref(), Some("98:35:69:ab:f6:79"));
        assert_eq!(device.identity.name.as_deref(), Some("Storage B power"));
        assert_eq!(device.identity.device_id.as_deref(), Some("storage-b-power"));
        assert_eq!(device.identity.firmware.as_deref(), Some("2026.10.0"));
        assert_eq!(device.note, super::super::NEEDS_KEY);
        assert!(
            found(ESPHOME, "x", &[], 6053)[0]
                .note
                .contains("without encryption")
        );
        // Through a repeater, the device is where it says it is.
        let records = dns::records(&answer(ESPHOME, "x", &[], 6053));
        let repeated = super::devices(&records, IpAddr::V4(Ipv4Addr::new(10, 30, 30, 1)));
        assert_eq!(repeated[0].address, SocketAddr::new(FROM, 6053));
    }

    #[test]
    fn tasmota_and_esphome_without_the_native_api_are_told_from_other_web_servers() {
        let tasmota = found(HTTP, "tasmota-ABCDEF-1234", &["devicetype=tasmota"], 80);
        assert_eq!(tasmota[0].method, Method::Tasmota);
        let web = found(
            HTTP,
            "plug",
            &["version=2026.10.0", "mac=983569abf679", "config_hash=12ab"],
            80,
        );
        assert_eq!(
            (web[0].method, web[0].transport.as_str()),
            (Method::Esphome, "web")
        );
        for texts in [&[][..], &["path=/"], &["version=1.2"], &["devicetype=printer"]] {
            assert!(found(HTTP, "printer", texts, 80).is_empty(), "{texts:?}");
        }
        assert!(found("_ipp._tcp.local", "printer", &["devicetype=tasmota"], 631).is_empty());
    }

    #[test]
    fn what_a_device_says_cannot_play_with_the_terminal() {
        let evil = found(
            ESPHOME,
            "a\u{1b}[2Jb",
            &["friendly_name=\u{7}x\r\n", "mac=zz"],
            6053,
        );
        assert_eq!(evil[0].identity.device_id.as_deref(), Some("a[2Jb"));
        assert_eq!(evil[0].identity.name.as_deref(), Some("x"));
        assert_eq!(evil[0].identity.mac.as_deref(), Some("zz"));
    }

    /// Answers every question once, with the same packet.
    async fn responder(packet: Vec<u8>) -> (SocketAddr, tokio::task::JoinHandle<Vec<u8>>) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut buffer = [0; 1500];
            let (read, from) = socket.recv_from(&mut buffer).await.unwrap();
            socket.send_to(&packet, from).await.unwrap();
            socket.send_to(b"garbage", from).await.unwrap();
            socket.send_to(&packet, from).await.unwrap();
            buffer[..read].to_vec()
        });
        (address, task)
    }

    #[tokio::test]
    async fn a_device_that_answers_twice_is_found_once() {
        let (address, task) = responder(answer(ESPHOME, "plug", &["mac=983569abf679"], 6053)).await;
        let search = Search {
            targets: vec![address],
            interfaces: vec![Ipv4Addr::LOCALHOST],
            wait: Duration::from_millis(300),
        };
        let devices = discover(&search, Deadline::after(Duration::from_secs(5)))
            .await
            .unwrap();
        assert_eq!(devices.len(), 1);
        assert_eq!(task.await.unwrap(), dns::question(0, &[ESPHOME, HTTP]));
    }

    #[tokio::test]
    async fn a_network_that_cannot_be_asked_is_an_error_and_an_empty_one_is_not() {
        let search = Search {
            targets: Vec::new(),
            interfaces: vec![Ipv4Addr::LOCALHOST],
            wait: Duration::from_millis(10),
        };
        let deadline = Deadline::after(Duration::from_secs(5));
        assert!(matches!(
            discover(&search, deadline).await,
            Err(Error::Unreachable { .. })
        ));
        let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let search = Search {
            targets: vec![silent.local_addr().unwrap()],
            ..search
        };
        assert!(discover(&search, deadline).await.unwrap().is_empty());
    }
}
