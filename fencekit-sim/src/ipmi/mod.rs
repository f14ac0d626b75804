//! Simulated BMCs over RMCP+.
//!
//! Nothing of the backend's codec is used here: what both sides got wrong alike would not be noticed.

mod bmc;
mod handshake;
mod keys;
mod spec;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;

pub use self::bmc::Bmc;
use self::bmc::Random;
pub use self::spec::{BmcSpec, Forgery, Quirk};
use crate::device::Device;
use crate::wire::Running;

const LONGEST_PACKET: usize = 1024;

/// Serves `device` as a BMC at `address`, with its first outlet as the chassis.
///
/// Of the [`Faults`](crate::Faults) of the wire, `slow`, `silent`, `drop_reply`, `cut_reply`, `garbage`, `html`,
/// `oversize` and `doubled` have a meaning over UDP; of those of the device all but `one_client`, which is
/// [`BmcSpec::session_limit`] here.
///
/// # Errors
/// Those of binding the socket.
pub async fn serve(device: Device, address: SocketAddr, spec: BmcSpec) -> io::Result<Running> {
    let socket = Arc::new(UdpSocket::bind(address).await?);
    let address = socket.local_addr()?;
    let task = tokio::spawn(run(socket, device.clone(), spec));
    Ok(Running::new(device, address, "rmcp+", vec![task]))
}

async fn run(socket: Arc<UdpSocket>, device: Device, spec: BmcSpec) {
    let mut random = Random::new(spec.seed);
    let mut bmc = Bmc::new(device.clone(), spec.clone());
    loop {
        // The buffer lives only between two waits, so that a thousand BMCs do not hold a thousand of them.
        if socket.readable().await.is_err() {
            return;
        }
        let mut buffer = [0; LONGEST_PACKET];
        let Ok((len, from)) = socket.try_recv_from(&mut buffer) else {
            continue;
        };
        if random.happens(spec.loss) {
            continue;
        }
        device.count_request();
        if device.faults().silent {
            continue;
        }
        let packet = buffer.get(..len).unwrap_or_default();
        for answer in bmc.handle(packet, from, Instant::now()) {
            if random.happens(spec.loss) {
                continue;
            }
            let copies = if random.happens(spec.duplicates) { 2 } else { 1 };
            for _ in 0..copies {
                let late = random
                    .happens(spec.reordering)
                    .then(|| Duration::from_millis(random.below(60)));
                send(&socket, &device, from, &answer, late);
            }
        }
    }
}

/// Sends an answer, or what the faults make of it.
fn send(socket: &Arc<UdpSocket>, device: &Device, to: SocketAddr, answer: &[u8], late: Option<Duration>) {
    let faults = device.faults();
    if faults.drop_reply {
        return;
    }
    let mut answer = answer.to_vec();
    if faults.cut_reply {
        answer.truncate(answer.len() / 2);
    }
    if faults.garbage {
        let _ = getrandom::fill(&mut answer);
    }
    if faults.html {
        answer = b"HTTP/1.1 200 OK\r\n\r\n<html><body>It works!</body></html>".to_vec();
    }
    if faults.oversize {
        answer.resize(60_000, 0);
    }
    let delay = faults.slow.unwrap_or_default() + late.unwrap_or_default();
    let copies = if faults.doubled { 2 } else { 1 };
    if delay.is_zero() {
        for _ in 0..copies {
            // A full socket loses the packet, as a network does.
            let _ = socket.try_send_to(&answer, to);
        }
        return;
    }
    let socket = Arc::clone(socket);
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        for _ in 0..copies {
            let _ = socket.try_send_to(&answer, to);
        }
    });
}
