//! TCP connections: a port that accepts or refuses shows life.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::neighbour::{self, State};
use super::netlink::Kernel;
use crate::deadline::Deadline;
use crate::verify::probe::{Heard, Path};

pub(super) async fn connect(
    kernel: &Kernel,
    to: SocketAddr,
    path: Option<&Path>,
    deadline: Deadline,
) -> Heard {
    let attempt = tokio::time::timeout_at(deadline.instant(), TcpStream::connect(to)).await;
    let error = match attempt {
        Err(_) => return Heard::Silent,
        Ok(Ok(_)) => return Heard::Answered("the port accepted a connection".to_owned()),
        Ok(Err(error)) => error,
    };
    match error.kind() {
        ErrorKind::ConnectionRefused => Heard::Answered("the port refused the connection".to_owned()),
        // The kernel gave up sending: nobody answered.
        ErrorKind::TimedOut => Heard::Silent,
        ErrorKind::HostUnreachable => unreachable(kernel, to, path, &error).await,
        _ => Heard::Failed(format!("the connection could not be tried: {error}")),
    }
}

/// "No route to host" has two senders. This host itself says it when nobody answers address resolution: that is
/// silence. Or a firewall does, perhaps the node's own: that may be life, so it is not taken for silence.
async fn unreachable(kernel: &Kernel, to: SocketAddr, path: Option<&Path>, error: &io::Error) -> Heard {
    if let Some(path) = path.filter(|path| path.is_direct() && path.resolves)
        && let Ok(entry) = neighbour::entry(kernel, to.ip(), &path.link).await
        && entry.is_none_or(|entry| entry.state == State::Unanswered)
    {
        return Heard::Silent;
    }
    Heard::Failed(format!(
        "the connection was rejected on its way ({error}): by a firewall or a router, or by the node itself"
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn accepted_and_refused_are_life() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let deadline = Deadline::after(Duration::from_secs(2));
        let kernel = Kernel::default();
        assert!(matches!(
            connect(&kernel, to, None, deadline).await,
            Heard::Answered(_)
        ));
        drop(listener);
        let refused = connect(&kernel, to, None, deadline).await;
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
