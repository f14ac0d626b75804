//! TP-Link's discovery (UDP 20002 and 20004) from the device's side.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rsa::pkcs8::DecodePublicKey;
use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::sync::Notify;

use super::{Unit, device_id};
use crate::wire::Running;

/// How a device says that it wants to be talked to.
#[derive(Clone, Debug)]
pub struct Scheme {
    /// `IOT.SMARTPLUGSWITCH`, `SMART.TAPOPLUG` and so on.
    pub family: &'static str,
    /// `KLAP`, `AES` or `TPAP`.
    pub encryption: &'static str,
    /// Where.
    pub port: u16,
    /// The version of the login.
    pub login: u8,
}

/// Answers discovery at a UDP address. Packets with a wrong checksum or without a public key get no answer. `woken` is
/// told when the first right one comes.
///
/// # Errors
/// Those of binding the socket.
pub async fn serve(
    unit: impl Into<Unit>,
    address: SocketAddr,
    scheme: Scheme,
    woken: Arc<Notify>,
) -> io::Result<Running> {
    let unit = unit.into();
    let socket = UdpSocket::bind(address).await?;
    let address = socket.local_addr()?;
    let device = unit.device.clone();
    let task = tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((read, from)) = socket.recv_from(&mut buffer).await {
            let packet = buffer.get(..read).unwrap_or_default();
            if is_question(packet) && !unit.device.faults().silent {
                woken.notify_one();
                let _ = socket.send_to(&answer(&unit, &scheme, packet), from).await;
            }
        }
    });
    Ok(Running::new(device, address, "discovery", vec![task]))
}

fn is_question(packet: &[u8]) -> bool {
    let Some((head, body)) = packet.split_first_chunk::<16>() else {
        return false;
    };
    let [version, _, _, message, high, low, flags, _, _, _, _, _, crc @ ..] = *head;
    let mut seeded = packet.to_vec();
    for (to, from) in seeded.iter_mut().skip(12).zip(0x5A6B_7C8D_u32.to_be_bytes()) {
        *to = from;
    }
    let body_json: Value = serde_json::from_slice(body).unwrap_or_default();
    let pem = body_json
        .pointer("/params/rsa_key")
        .and_then(Value::as_str)
        .unwrap_or_default();
    version == 2
        && message == 1
        && flags == 17
        && usize::from(u16::from_be_bytes([high, low])) == body.len()
        && checksum(&seeded) == u32::from_be_bytes(crc)
        && rsa::PublicKey::from_public_key_pem(pem).is_ok()
}

/// CRC-32 over a table made on the spot.
fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        let mut entry = (crc ^ u32::from(*byte)) & 0xFF;
        for _ in 0..8 {
            entry = if entry % 2 == 1 {
                (entry / 2) ^ 0xEDB8_8320
            } else {
                entry / 2
            };
        }
        crc = entry ^ (crc >> 8);
    }
    !crc
}

fn answer(unit: &Unit, scheme: &Scheme, question: &[u8]) -> Vec<u8> {
    let model = unit.device.spec().model;
    let model = if model.is_empty() { "P110(EU)" } else { &model };
    let body = json!({
        "result": {
            "device_id": device_id(&unit.device),
            "owner": "0123456789ABCDEF0123456789ABCDEF",
            "device_type": scheme.family,
            "device_model": model,
            "ip": "127.0.0.1",
            "mac": unit.device.reported_mac().replace(':', "-"),
            "is_support_iot_cloud": true,
            "obd_src": "tplink",
            "factory_default": unit.device.spec().password.is_none(),
            "mgt_encrypt_schm": {
                "is_support_https": false,
                "encrypt_type": scheme.encryption,
                "http_port": scheme.port,
                "lv": scheme.login,
            },
        },
        "error_code": 0,
    });
    let body = body.to_string().into_bytes();
    let mut packet = question.get(..16).unwrap_or_default().to_vec();
    packet.extend(body);
    packet
}
