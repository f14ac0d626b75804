//! Ports and readiness on loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

/// A TCP port of 127.0.0.1 that was free a moment ago, for a program that cannot bind port 0 and tell.
#[must_use]
pub fn free_tcp_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free TCP port on 127.0.0.1")
        .port()
}

/// A UDP port of 127.0.0.1 that was free a moment ago.
#[must_use]
pub fn free_udp_port() -> u16 {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|socket| socket.local_addr())
        .expect("a free UDP port on 127.0.0.1")
        .port()
}

/// Waits until something accepts connections there.
///
/// # Panics
/// When nothing does within the limit.
pub fn wait_for_tcp(address: SocketAddr, limit: Duration) {
    let until = Instant::now() + limit;
    while Instant::now() < until {
        if TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("nothing listened at {address} within {limit:?}");
}
