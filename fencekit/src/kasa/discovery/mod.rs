//! Finding plugs and strips on a network, by asking everybody.

mod knock;
mod packet;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::Instant;

pub(super) use knock::knock;
pub(super) use packet::Advert;

use super::connect::{HTTP_PORT, Transport, XOR_PORT};
use super::{iot, json, smart, xor};
use crate::deadline::Deadline;
use crate::discover::Found;
use crate::error::{Error, Result};
use crate::method::Method;

/// Where newer firmware answers.
const TDP_PORTS: (u16, u16) = (20002, 20004);
/// Pause before the questions are sent again: broadcasts over wireless get lost.
const AGAIN: Duration = Duration::from_millis(600);
/// More devices than any network of plugs has: where a hostile network's answers end.
const MOST: usize = 4096;

/// Whom to ask and how long to listen.
#[derive(Clone, Debug)]
pub struct Search {
    /// Addresses that are asked: broadcast addresses of networks, or single devices.
    pub targets: Vec<IpAddr>,
    /// UDP port of the older firmware.
    pub xor_port: u16,
    /// UDP ports of the newer firmware.
    pub tdp_ports: Vec<u16>,
    /// How long answers are waited for.
    pub wait: Duration,
}

impl Default for Search {
    /// The broadcast address of the network with the default route, the usual ports, three seconds.
    fn default() -> Self {
        Self {
            targets: vec![Ipv4Addr::BROADCAST.into()],
            xor_port: XOR_PORT,
            tdp_ports: vec![TDP_PORTS.0, TDP_PORTS.1],
            wait: Duration::from_secs(3),
        }
    }
}

/// Finds Kasa and Tapo plugs and strips. Nothing is logged in to or changed; bulbs, cameras and the like are left out.
///
/// # Errors
/// [`Error::Unreachable`] when no question could be sent at all.
pub async fn discover(search: &Search, deadline: Deadline) -> Result<Vec<Found>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
        .await
        .map_err(|cause| Error::io("opening a socket", cause))?;
    socket
        .set_broadcast(true)
        .map_err(|cause| Error::io("allowing broadcasts", cause))?;
    let until = deadline.capped(search.wait);
    let mut found = BTreeMap::new();
    let mut sent = ask_all(&socket, search).await;
    loop {
        let again = until.instant().min(Instant::now() + AGAIN);
        listen(&socket, again, &mut found).await;
        if until.expired() {
            break;
        }
        sent = sent.or(ask_all(&socket, search).await);
    }
    match sent {
        Err(cause) if found.is_empty() => Err(Error::io("asking the network", cause)),
        _ => Ok(found.into_values().collect()),
    }
}

/// Sends every question once; an error when none of them could be sent.
async fn ask_all(socket: &UdpSocket, search: &Search) -> std::io::Result<()> {
    let older = xor::codec::encrypt(iot::ask_sysinfo().to_string().as_bytes());
    let newer = packet::probe(knock::serial().map_err(std::io::Error::other)?);
    let mut outcome = Err(std::io::Error::other("there is nobody to ask"));
    for target in &search.targets {
        let older = std::iter::once((search.xor_port, &older));
        let newer = search.tdp_ports.iter().map(|port| (*port, &newer));
        for (port, question) in older.chain(newer) {
            match socket.send_to(question, (*target, port)).await {
                Ok(_) => outcome = Ok(()),
                Err(cause) if outcome.is_err() => outcome = Err(cause),
                Err(_) => {}
            }
        }
    }
    outcome
}

async fn listen(socket: &UdpSocket, until: Instant, found: &mut BTreeMap<IpAddr, Found>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(received) = tokio::time::timeout_at(until, socket.recv_from(&mut buffer)).await {
        // A closed port somewhere is an error here too; the next answer may be a good one.
        let Ok((read, from)) = received else { continue };
        let packet = buffer.get(..read).unwrap_or_default();
        let Some(device) = read_answer(packet, from) else {
            continue;
        };
        // The older firmware says more, and what answers there is spoken to there.
        if found.len() < MOST
            && (device.transport == Transport::Xor.name() || !found.contains_key(&from.ip()))
        {
            found.insert(from.ip(), device);
        }
    }
}

fn read_answer(packet: &[u8], from: SocketAddr) -> Option<Found> {
    match Advert::read(packet) {
        Some(advert) => of_advert(advert, from),
        None => of_sysinfo(packet, from),
    }
}

fn of_advert(advert: Advert, from: SocketAddr) -> Option<Found> {
    let kind = advert
        .device_type
        .as_deref()
        .unwrap_or("PLUG")
        .to_ascii_uppercase();
    if !["PLUG", "SWITCH", "STRIP"]
        .iter()
        .any(|outlet| kind.contains(outlet))
    {
        return None;
    }
    let transport = advert.transport?;
    let mut notes = Vec::new();
    if advert.factory_default {
        notes.push("not set up yet");
    }
    if transport == Transport::Tpap {
        notes.push("third-party compatibility is off");
    }
    Some(Found {
        method: Method::Kasa,
        address: SocketAddr::new(from.ip(), advert.port.unwrap_or(HTTP_PORT)),
        transport: transport.name().to_owned(),
        metered: smart::metered(advert.identity.model.as_deref()),
        identity: advert.identity,
        note: notes.join("; "),
    })
}

fn of_sysinfo(packet: &[u8], from: SocketAddr) -> Option<Found> {
    let reply = json::parse(&xor::codec::decrypt(packet)).ok()?;
    let report = iot::report(&reply).ok()?;
    let note = if report.is_strip {
        format!("a strip with {} outlets", report.outlets.len())
    } else {
        String::new()
    };
    Some(Found {
        method: Method::Kasa,
        address: from,
        transport: Transport::Xor.name().to_owned(),
        identity: report.identity,
        metered: report.metered,
        note,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn from() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 7], 20002))
    }

    fn advertised(result: Value) -> Option<Found> {
        let body = json!({"error_code": 0, "result": result}).to_string();
        read_answer(&[&[0; 16][..], body.as_bytes()].concat(), from())
    }

    #[test]
    fn what_is_no_outlet_is_left_out() {
        let of = |kind: &str| {
            advertised(
                json!({"device_type": kind, "mgt_encrypt_schm": {"encrypt_type": "KLAP", "http_port": 80}}),
            )
        };
        for plug in ["SMART.TAPOPLUG", "IOT.SMARTPLUGSWITCH", "SMART.KASASWITCH"] {
            assert_eq!(of(plug).unwrap().address.to_string(), "192.0.2.7:80");
        }
        for other in [
            "SMART.TAPOBULB",
            "SMART.IPCAMERA",
            "SMART.TAPOHUB",
            "SMART.TAPOROBOVAC",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn tpap_says_why() {
        let found = advertised(json!({
            "device_type": "SMART.TAPOPLUG", "device_model": "P110", "factory_default": true,
            "mgt_encrypt_schm": {"encrypt_type": "TPAP", "http_port": 80},
        }))
        .unwrap();
        assert_eq!((found.transport.as_str(), found.metered), ("tpap", Some(true)));
        assert_eq!(found.note, "not set up yet; third-party compatibility is off");
    }

    #[test]
    fn an_answer_of_older_firmware_is_read() {
        let reply = json!({"system": {"get_sysinfo": {"relay_state": 1, "alias": "b", "feature": "TIM:ENE", "model": "HS110"}}});
        let found = read_answer(&xor::codec::encrypt(reply.to_string().as_bytes()), from()).unwrap();
        assert_eq!((found.transport.as_str(), found.metered), ("xor", Some(true)));
        assert_eq!(found.identity.name.as_deref(), Some("b"));
        let bulb = json!({"system": {"get_sysinfo": {"light_state": {}, "model": "LB100"}}});
        assert_eq!(
            read_answer(&xor::codec::encrypt(bulb.to_string().as_bytes()), from()),
            None
        );
        assert_eq!(read_answer(b"noise", from()), None);
    }
}
