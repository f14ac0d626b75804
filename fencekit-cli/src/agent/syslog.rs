//! Lines for the system's log, without a C library and without waiting.

use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Where every Linux system listens.
pub(crate) const SOCKET: &str = "/dev/log";
/// The facility `daemon`, as fence-agents has it.
const DAEMON: u8 = 3;

/// An open way to the system's log.
#[derive(Debug)]
pub(crate) struct Syslog {
    socket: UnixDatagram,
    tag: String,
}

impl Syslog {
    /// `None` where nobody listens, as in a container.
    pub(crate) fn open(path: &Path, program: &str) -> Option<Self> {
        let socket = UnixDatagram::unbound().ok()?;
        socket.connect(path).ok()?;
        // A log daemon that hangs on a dying disk must not hold up a fence.
        socket.set_nonblocking(true).ok()?;
        let tag = format!("{program}[{}]", std::process::id());
        Some(Self { socket, tag })
    }

    /// Sends one line; a line that cannot be sent is lost.
    pub(crate) fn send(&self, level: log::Level, line: &str) {
        let severity = match level {
            log::Level::Error => 3,
            log::Level::Warn => 4,
            log::Level::Info => 6,
            log::Level::Debug | log::Level::Trace => 7,
        };
        let priority = DAEMON * 8 + severity;
        let _ = self
            .socket
            .send(format!("<{priority}>{}: {line}", self.tag).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_carries_priority_program_and_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        Syslog::open(&path, "fence_kasa")
            .unwrap()
            .send(log::Level::Error, "Failed: x");
        let mut buffer = [0; 200];
        let length = daemon.recv(&mut buffer).unwrap();
        let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
        assert_eq!(line, format!("<27>fence_kasa[{}]: Failed: x", std::process::id()));
    }

    #[test]
    fn nobody_listening_and_a_full_queue_are_silent() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        assert!(Syslog::open(&path, "fence_kasa").is_none());
        let _never_reads = UnixDatagram::bind(&path).unwrap();
        let syslog = Syslog::open(&path, "fence_kasa").unwrap();
        for _ in 0..10_000 {
            syslog.send(log::Level::Warn, "filling the queue");
        }
    }
}
