//! TCP connections: a port that accepts or refuses shows life.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpSocket;

use super::neighbour;
use super::netlink::Kernel;
use super::rejection::Rejections;
use crate::deadline::Deadline;
use crate::verify::probe::{Heard, Path};

pub(super) async fn connect(
    kernel: &Kernel,
    rejections: &Rejections,
    to: SocketAddr,
    path: Option<&Path>,
    deadline: Deadline,
) -> Heard {
    let hears = rejections.listen(to.ip());
    let (socket, port) = match socket(to) {
        Ok(socket) => socket,
        Err(error) => return not_tried(&error),
    };
    let error = match tokio::time::timeout_at(deadline.instant(), socket.connect(to)).await {
        Err(_) => return Heard::Silent,
        Ok(Ok(_)) => return Heard::Answered("the port accepted a connection".to_owned()),
        Ok(Err(error)) => error,
    };
    match error.kind() {
        ErrorKind::ConnectionRefused => return Heard::Answered("the port refused the connection".to_owned()),
        // The kernel gave up sending: nobody answered.
        ErrorKind::TimedOut => return Heard::Silent,
        _ => {}
    }
    if let Some(rejection) = rejections.about(to, port) {
        return rejection.heard(kernel, to.ip(), "the connection").await;
    }
    match error.kind() {
        ErrorKind::HostUnreachable => unreachable(kernel, to.ip(), path, hears, &error).await,
        _ => not_tried(&error),
    }
}

/// A socket, and its local port, by which an error about its connection is known.
fn socket(to: SocketAddr) -> io::Result<(TcpSocket, u16)> {
    let (socket, any) = if to.is_ipv6() {
        (TcpSocket::new_v6()?, IpAddr::V6(Ipv6Addr::UNSPECIFIED))
    } else {
        (TcpSocket::new_v4()?, IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    };
    socket.bind(SocketAddr::new(any, 0))?;
    let port = socket.local_addr()?.port();
    Ok((socket, port))
}

fn not_tried(error: &io::Error) -> Heard {
    Heard::Failed(format!("the connection could not be tried: {error}"))
}

/// "No route to host", and who said so was not heard. This host itself says it when nobody answers its address
/// resolution: that is silence. Or a router or a firewall does, perhaps the node's own, and the node's would be life.
async fn unreachable(
    kernel: &Kernel,
    to: IpAddr,
    path: Option<&Path>,
    hears: bool,
    error: &io::Error,
) -> Heard {
    if let Some(path) = path
        && neighbour::is_unanswered(kernel, to, path).await
    {
        return Heard::Silent;
    }
    let mend = if hears {
        ""
    } else {
        "; run as root or with CAP_NET_RAW, so that it is heard which"
    };
    Heard::Failed(format!(
        "the connection was rejected on its way ({error}): by a firewall or a router, or by the node itself{mend}"
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn accepted_and_refused_are_life() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let deadline = Deadline::after(Duration::from_secs(2));
        let (kernel, rejections) = (Kernel::default(), Rejections::default());
        assert!(matches!(
            connect(&kernel, &rejections, to, None, deadline).await,
            Heard::Answered(_)
        ));
        drop(listener);
        let refused = connect(&kernel, &rejections, to, None, deadline).await;
        assert_eq!(refused, Heard::Answered("the port refused the connection".into()));
    }

    #[tokio::test]
    async fn a_full_queue_is_silent() {
        // A listener whose queue is full drops what comes: no answer, as from a dead host.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let to = listener.local_addr().unwrap();
        let mut kept = Vec::new();
        let mut silent = false;
        for _ in 0..20 {
            let deadline = Deadline::after(Duration::from_millis(300));
            let Ok(Ok(stream)) = tokio::time::timeout_at(deadline.instant(), TcpStream::connect(to)).await
            else {
                let heard = connect(
                    &Kernel::default(),
                    &Rejections::default(),
                    to,
                    None,
                    Deadline::after(Duration::from_millis(300)),
                )
                .await;
                silent = heard == Heard::Silent;
                break;
            };
            kept.push(stream);
        }
        assert!(silent);
    }
}
