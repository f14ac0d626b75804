//! XOR over TCP, from the device's side.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::net::UdpSocket;

use super::{Unit, iot};
use crate::wire::{Running, Wire, listen};

/// Longest request that a device takes, in bytes.
const REQUEST_LIMIT: u32 = 16 * 1024;

/// Serves a plug or strip of the older Kasa firmware, and answers discovery at the same number over UDP.
///
/// # Errors
/// Those of binding the sockets.
pub async fn serve(unit: impl Into<Unit>, address: SocketAddr) -> io::Result<Running> {
    let unit = unit.into();
    // A free number for TCP may be somebody else's for UDP; where any number does, another one is tried.
    let mut tries = if address.port() == 0 { 16 } else { 1 };
    loop {
        tries -= 1;
        let of_wire = unit.clone();
        let running = listen(unit.device.clone(), address, "xor", move |wire| {
            conversation(wire, of_wire.clone())
        })
        .await?;
        match UdpSocket::bind(running.address).await {
            Err(taken) if taken.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
            socket => return Ok(running.with_task(tokio::spawn(answer_searches(socket?, unit)))),
        }
    }
}

/// The same messages over UDP, without their length.
async fn answer_searches(socket: UdpSocket, unit: Unit) {
    let mut buffer = [0; 2048];
    while let Ok((read, from)) = socket.recv_from(&mut buffer).await {
        let packet = buffer.get(..read).unwrap_or_default();
        if let Ok(request) = serde_json::from_slice(&decode(packet))
            && !unit.device.faults().silent
        {
            let reply = iot::answer(&unit, &request).to_string();
            let _ = socket.send_to(&encode(reply.as_bytes()), from).await;
        }
    }
}

async fn conversation(mut wire: Wire, unit: Unit) -> io::Result<()> {
    loop {
        let mut head = [0; 4];
        wire.read_exact(&mut head).await?;
        let length = u32::from_be_bytes(head);
        if length > REQUEST_LIMIT {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut body = vec![0; length as usize];
        wire.read_exact(&mut body).await?;
        wire.admit().await?;
        let request: Value = serde_json::from_slice(&decode(&body))?;
        let reply = iot::answer(&unit, &request).to_string();
        let mut frame = u32::try_from(reply.len())
            .unwrap_or_default()
            .to_be_bytes()
            .to_vec();
        frame.extend(encode(reply.as_bytes()));
        wire.reply(&frame, false).await?;
    }
}

/// Each byte is combined with the encrypted one before it; the first with 171.
pub(super) fn encode(plain: &[u8]) -> Vec<u8> {
    let mut cipher = Vec::with_capacity(plain.len());
    for byte in plain {
        let before = cipher.last().copied().unwrap_or(171);
        cipher.push(byte ^ before);
    }
    cipher
}

pub(super) fn decode(cipher: &[u8]) -> Vec<u8> {
    let before = std::iter::once(&171).chain(cipher);
    cipher
        .iter()
        .zip(before)
        .map(|(byte, before)| byte ^ before)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_query_is_read() {
        let cipher = [
            0xd0, 0xf2, 0x81, 0xf8, 0x8b, 0xff, 0x9a, 0xf7, 0xd5, 0xef, 0x94, 0xb6, 0xd1, 0xb4, 0xc0, 0x9f,
            0xec, 0x95, 0xe6, 0x8f, 0xe1, 0x87, 0xe8, 0xca, 0xf0, 0x8b, 0xf6, 0x8b, 0xf6,
        ];
        assert_eq!(decode(&cipher), br#"{"system":{"get_sysinfo":{}}}"#);
        assert_eq!(encode(br#"{"system":{"get_sysinfo":{}}}"#), cipher);
    }
}
