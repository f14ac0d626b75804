//! One talk at a time with a device, on this host.
//!
//! Plugs and relays have tiny network stacks: two clients at once make them reset, mix up or lose requests. So
//! every session first takes a lock that all fencekit processes of the host share. It is a courtesy, not a safety
//! rule: a lock that does not come in time is gone without, with a warning, since a fence that waits for ever is
//! worse than one that has to be tried twice. What is confirmed never depends on it.
//!
//! The lock is an abstract Unix socket's name: it needs no directory, the kernel frees it however a process ends,
//! and it is separate for each network namespace, as the devices are.

use std::net::IpAddr;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::transport::Endpoint;

/// Longest wait for another process. A whole off with its confirmation takes a fraction of that.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(15);
/// The wait may use at most this part of the time that is left.
const PART_OF_DEADLINE: u32 = 4;

/// Held while a session lasts; freed when dropped.
#[derive(Debug)]
pub(crate) struct DeviceLock {
    #[cfg(target_os = "linux")]
    _held: Option<std::os::unix::net::UnixDatagram>,
}

impl DeviceLock {
    /// The lock of the device at `endpoint`, whichever of `standard_ports` it is reached at.
    ///
    /// # Errors
    /// Those of looking its name up. A lock that does not come is no error.
    pub(crate) async fn of(endpoint: &Endpoint, standard_ports: &[u16], deadline: Deadline) -> Result<Self> {
        let addresses = endpoint.resolve(deadline).await?;
        let address = addresses
            .first()
            .ok_or_else(|| Error::unreachable(format!("{} has no address", endpoint.host)))?;
        let port = Some(endpoint.port).filter(|port| !standard_ports.contains(port));
        Ok(Self::acquire(address.ip(), port, deadline).await)
    }

    /// Waits for the device at `address` to be free of other fencekit sessions. `port` tells devices behind one
    /// address apart; `None` for a device's standard ports, whichever of them are used.
    async fn acquire(address: IpAddr, port: Option<u16>, deadline: Deadline) -> Self {
        let name = match port {
            Some(port) => format!("fencekit/device/{address}:{port}"),
            None => format!("fencekit/device/{address}"),
        };
        let wait = LONGEST_WAIT.min(deadline.remaining() / PART_OF_DEADLINE);
        let held = held_within(&name, deadline.capped(wait)).await;
        #[cfg(target_os = "linux")]
        return Self { _held: held };
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (held, name);
            Self {}
        }
    }
}

#[cfg(target_os = "linux")]
async fn held_within(name: &str, limit: Deadline) -> Option<std::os::unix::net::UnixDatagram> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    let address = match SocketAddr::from_abstract_name(name) {
        Ok(address) => address,
        Err(cause) => {
            log::warn!("{name}: this device cannot be locked ({cause}); going on without");
            return None;
        }
    };
    loop {
        match UnixDatagram::bind_addr(&address) {
            Ok(held) => return Some(held),
            Err(cause) if cause.kind() == std::io::ErrorKind::AddrInUse => {
                if !limit.sleep(PAUSE).await {
                    log::warn!(
                        "{name}: another process still talks to this device; going on without waiting"
                    );
                    return None;
                }
            }
            Err(cause) => {
                log::warn!("{name}: this device cannot be locked ({cause}); going on without");
                return None;
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
async fn held_within(_name: &str, _limit: Deadline) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::time::Instant;

    use super::*;

    /// An address of the test network 192.0.2.0/24 and a port that no other test uses.
    const DEVICE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn long() -> Deadline {
        Deadline::after(Duration::from_secs(60))
    }

    #[tokio::test]
    async fn the_second_waits_for_the_first() {
        let port = Some(1);
        let first = DeviceLock::acquire(DEVICE, port, long()).await;
        assert!(first._held.is_some());
        let started = Instant::now();
        let second = tokio::spawn(async move { DeviceLock::acquire(DEVICE, port, long()).await });
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert!(!second.is_finished());
        drop(first);
        assert!(second.await.unwrap()._held.is_some());
        assert!(started.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_that_never_comes_is_gone_without() {
        let port = Some(2);
        let _first = DeviceLock::acquire(DEVICE, port, long()).await;
        let started = Instant::now();
        let second = DeviceLock::acquire(DEVICE, port, long()).await;
        assert!(second._held.is_none());
        assert!(started.elapsed() <= LONGEST_WAIT + PAUSE);

        let hurried = Deadline::after(Duration::from_secs(2));
        let _ = DeviceLock::acquire(DEVICE, port, hurried).await;
        assert!(
            hurried.remaining() >= Duration::from_secs(1),
            "most of the time is left"
        );
    }

    #[tokio::test]
    async fn devices_do_not_wait_for_each_other() {
        let _first = DeviceLock::acquire(DEVICE, Some(3), long()).await;
        assert!(DeviceLock::acquire(DEVICE, Some(4), long()).await._held.is_some());
        assert!(DeviceLock::acquire(DEVICE, None, long()).await._held.is_some());
    }
}
