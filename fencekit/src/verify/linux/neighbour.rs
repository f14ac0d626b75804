//! Address resolution: whoever answers ARP or NDP lives, whatever its firewall drops.
//!
//! The kernel keeps what it learned for a while and may not ask again, so an entry from before is no evidence. It is
//! therefore deleted first (which needs `CAP_NET_ADMIN`), a datagram makes the kernel ask, and an entry counts only
//! when it was confirmed after that. Where it cannot be deleted, it must run out by itself; until then the probe is
//! undecided.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState,
};

use super::netlink::{Kernel, family, link_index, words};
use crate::verify::probe::{Heard, Path};

/// A datagram to the discard port makes the kernel resolve the address. Where the port is closed, the node answers
/// even this.
const DISCARD: u16 = 9;
/// The kernel counts in ticks of 1/100 s, on every architecture that matters here.
const TICK: Duration = Duration::from_millis(10);

/// What the kernel knows of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Asked, and no answer so far or none at all.
    Unanswered,
    /// There is an address, confirmed this long ago.
    Known { confirmed_ago: Duration },
    /// Written down by the administrator or a routing daemon; nobody is asked.
    Static,
}

/// An entry of the neighbour table.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) state: State,
    message: NeighbourMessage,
}

/// The sockets that make the kernel ask.
#[derive(Default)]
pub(super) struct Knocks(Mutex<HashMap<IpAddr, UdpSocket>>);

impl Knocks {
    /// Sends a datagram. True when the node answered an earlier one with "port unreachable".
    fn knock(&self, to: IpAddr) -> std::io::Result<bool> {
        let mut sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = sockets.get(&to) {
            // The error of an earlier datagram is reported once, by whatever comes next.
            let refused = |outcome: std::io::Result<usize>| {
                outcome.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
            };
            return Ok(refused(socket.recv(&mut [0; 1])) || refused(socket.send(&[])));
        }
        let any = match to {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(SocketAddr::new(to, DISCARD))?;
        let _ = socket.send(&[]);
        sockets.insert(to, socket);
        Ok(false)
    }
}

pub(super) async fn ask(
    kernel: &Kernel,
    knocks: &Knocks,
    to: IpAddr,
    path: &Path,
    asked_ago: Option<Duration>,
) -> Heard {
    let entry = match entry(kernel, to, &path.link).await {
        Ok(entry) => entry,
        Err(error) => return Heard::Failed(error),
    };
    if asked_ago.is_none() {
        if let Some(known) = entry.filter(|entry| matches!(entry.state, State::Known { .. })) {
            forget(kernel, known).await;
        }
        return match knocks.knock(to) {
            Ok(_) => Heard::Undecided("just asked".to_owned()),
            Err(error) => Heard::Failed(format!("no datagram can be sent to {to}: {error}")),
        };
    }
    let refused = knocks.knock(to).unwrap_or(false);
    if refused {
        return Heard::Answered("answered a datagram with \"port unreachable\"".to_owned());
    }
    judge(entry.map(|entry| entry.state), asked_ago.unwrap_or_default())
}

/// What an entry shows, when the kernel was first made to ask `asked_ago`.
fn judge(state: Option<State>, asked_ago: Duration) -> Heard {
    match state {
        Some(State::Unanswered) => Heard::Silent,
        // A tick of tolerance would make an answer from before count; without one an answer of the first 10 ms may
        // be missed, and the next question gets another.
        Some(State::Known { confirmed_ago }) if confirmed_ago < asked_ago => Heard::Answered(format!(
            "address resolution was answered {:.1} s ago",
            confirmed_ago.as_secs_f64()
        )),
        Some(State::Known { confirmed_ago }) => Heard::Undecided(format!(
            "the kernel still holds an address confirmed {:.0} s ago and does not ask again; run as root or with \
             CAP_NET_ADMIN, or try again in a minute",
            confirmed_ago.as_secs_f64()
        )),
        Some(State::Static) => Heard::Undecided("its address became static".to_owned()),
        None => Heard::Undecided("the kernel did not ask".to_owned()),
    }
}

/// Whether this host itself asks for the address, and nobody answers.
pub(super) async fn is_unanswered(kernel: &Kernel, to: IpAddr, path: &Path) -> bool {
    path.is_direct()
        && path.resolves
        && entry(kernel, to, &path.link)
            .await
            .is_ok_and(|entry| entry.is_none_or(|entry| entry.state == State::Unanswered))
}

/// The kernel's entry for `to` on a link, if there is one.
pub(super) async fn entry(kernel: &Kernel, to: IpAddr, link: &str) -> Result<Option<Entry>, String> {
    let handle = kernel.handle().await?;
    let index = link_index(handle, link).await?;
    let table: Vec<NeighbourMessage> = handle
        .neighbours()
        .get()
        .set_address_family(family(to))
        .execute()
        .try_collect()
        .await
        .map_err(|error| format!("the neighbour table cannot be read: {}", words(error)))?;
    let ours = table
        .into_iter()
        .find(|message| message.header.ifindex == index && destination(message) == Some(to));
    Ok(ours.and_then(|message| read(&message).map(|state| Entry { state, message })))
}

/// Makes the kernel forget an entry. Without the permission it stays, and its age tells.
async fn forget(kernel: &Kernel, entry: Entry) {
    let Ok(handle) = kernel.handle().await else { return };
    let mut message = NeighbourMessage::default();
    message.header = entry.message.header;
    message.attributes = entry
        .message
        .attributes
        .into_iter()
        .filter(|attribute| matches!(attribute, NeighbourAttribute::Destination(_)))
        .collect();
    if let Err(error) = handle.neighbours().del(message).execute().await {
        log::debug!("a neighbour's entry cannot be deleted: {}", words(error));
    }
}

fn destination(message: &NeighbourMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some(IpAddr::V4(*address)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some(IpAddr::V6(*address)),
        _ => None,
    })
}

fn read(message: &NeighbourMessage) -> Option<State> {
    let external = message.header.flags.contains(NeighbourFlags::ExtLearned)
        || message.attributes.iter().any(|attribute| {
            matches!(attribute, NeighbourAttribute::ExtFlags(flags) if flags.contains(NeighbourExtFlags::Managed))
        });
    if external {
        return Some(State::Static);
    }
    let confirmed_ago = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::CacheInfo(info) => Some(TICK * info.confirmed),
        _ => None,
    });
    match message.header.state {
        NeighbourState::Incomplete | NeighbourState::Failed => Some(State::Unanswered),
        NeighbourState::Reachable | NeighbourState::Stale | NeighbourState::Delay | NeighbourState::Probe => {
            Some(State::Known {
                confirmed_ago: confirmed_ago.unwrap_or(Duration::MAX),
            })
        }
        NeighbourState::Permanent | NeighbourState::Noarp => Some(State::Static),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_entry_from_before_is_no_evidence() {
        let known = |confirmed_ago| Some(State::Known { confirmed_ago });
        assert!(matches!(judge(known(seconds(1)), seconds(3)), Heard::Answered(_)));
        assert!(matches!(
            judge(known(seconds(3)), seconds(3)),
            Heard::Undecided(_)
        ));
        assert!(matches!(
            judge(known(seconds(40)), seconds(3)),
            Heard::Undecided(_)
        ));
        assert!(matches!(
            judge(known(Duration::MAX), seconds(3)),
            Heard::Undecided(_)
        ));
        assert_eq!(judge(Some(State::Unanswered), seconds(3)), Heard::Silent);
        assert!(matches!(judge(None, seconds(3)), Heard::Undecided(_)));
    }

    #[test]
    fn states_are_read_as_the_kernel_means_them() {
        let mut message = NeighbourMessage::default();
        let mut state = |state| {
            message.header.state = state;
            read(&message)
        };
        assert_eq!(state(NeighbourState::Failed), Some(State::Unanswered));
        assert_eq!(state(NeighbourState::Incomplete), Some(State::Unanswered));
        assert_eq!(state(NeighbourState::Permanent), Some(State::Static));
        assert_eq!(state(NeighbourState::Noarp), Some(State::Static));
        // Without its age a known address must not pass for fresh.
        let unknown_age = State::Known {
            confirmed_ago: Duration::MAX,
        };
        assert_eq!(state(NeighbourState::Reachable), Some(unknown_age));
        assert_eq!(state(NeighbourState::None), None);
    }
}
