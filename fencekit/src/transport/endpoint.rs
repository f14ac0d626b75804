//! Where a device is, and how long one step of talking to it may take.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::options::Settings;

/// Limits of single steps within the whole deadline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps {
    /// For a connection to stand.
    pub(crate) connect: Duration,
    /// For one question and its whole answer.
    pub(crate) exchange: Duration,
}

impl Steps {
    pub(crate) fn from_settings(settings: &Settings) -> Self {
        let or_a_second = |time: Duration| {
            if time.is_zero() {
                Duration::from_secs(1)
            } else {
                time
            }
        };
        Self {
            connect: or_a_second(settings.seconds("login_timeout")),
            exchange: or_a_second(settings.seconds("shell_timeout")),
        }
    }
}

/// Host and port of a device, and which address family may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
    family: Family,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Any,
    V4,
    V6,
}

impl Endpoint {
    /// From `ip`, `ipport`, `inet4_only` and `inet6_only`.
    ///
    /// # Errors
    /// [`Error::Config`] when `ip` is missing or no host name, or both families are excluded.
    pub(crate) fn from_settings(settings: &Settings, standard_port: u16) -> Result<Self> {
        let host = settings.required("ip")?.trim();
        Self::new(
            settings,
            host,
            settings.integer("ipport").unwrap_or(standard_port),
        )
    }

    /// `host` and `port` from elsewhere, the family from the settings.
    pub(crate) fn new(settings: &Settings, host: &str, port: u16) -> Result<Self> {
        let family = match (settings.boolean("inet4_only"), settings.boolean("inet6_only")) {
            (true, true) => {
                return Err(Error::config(
                    "inet6_only",
                    "contradicts inet4_only",
                    "leave one of the two out",
                ));
            }
            (true, false) => Family::V4,
            (false, true) => Family::V6,
            (false, false) => Family::Any,
        };
        let host = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        // IPv6 addresses have two colons or more.
        if let Some((name, port)) = host.split_once(':')
            && port.parse::<u16>().is_ok()
            && !name.is_empty()
        {
            return Err(Error::config(
                "ip",
                format!("\"{host}\" carries a port"),
                format!("write ip={name} and ipport={port}"),
            ));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if host.is_empty() || !host.chars().all(fits) {
            return Err(Error::config(
                "ip",
                format!("\"{host}\" is no address or host name"),
                "write it without scheme, port or path, as 10.20.20.202 or plug-b.lan",
            ));
        }
        if is_odd_address(host) {
            return Err(Error::config(
                "ip",
                format!("\"{host}\" is no address: it would be taken for another one than it seems to be"),
                "write all four numbers, in decimal and without zeros before them, as 10.20.20.202",
            ));
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            family,
        })
    }

    /// The same host at another port.
    #[cfg(feature = "kasa")]
    #[must_use]
    pub(crate) fn at_port(&self, port: u16) -> Self {
        Self { port, ..self.clone() }
    }

    /// As it is shown in a [`Label`](crate::Label): the port only where it is not the standard one.
    pub(crate) fn shown(&self, standard_port: u16) -> String {
        match (self.port == standard_port, self.host.contains(':')) {
            (true, _) => self.host.clone(),
            (false, true) => format!("[{}]:{}", self.host, self.port),
            (false, false) => format!("{}:{}", self.host, self.port),
        }
    }

    /// Host as it stands in a URL.
    #[cfg(feature = "_http")]
    pub(crate) fn url_host(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }

    /// All addresses of the host that the family allows.
    ///
    /// # Errors
    /// [`Error::Unreachable`] when there is none.
    pub(crate) async fn resolve(&self, deadline: Deadline) -> Result<Vec<SocketAddr>> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return self.of_family(vec![SocketAddr::new(ip, self.port)]);
        }
        let lookup = async {
            let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
            found.map(Iterator::collect).map_err(|cause| Error::Unreachable {
                detail: format!("the name {} has no address", self.host),
                source: Some(Box::new(cause)),
            })
        };
        self.of_family(deadline.run("looking up the device's name", lookup).await?)
    }

    fn of_family(&self, mut addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>> {
        addresses.retain(|address| match self.family {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        });
        if addresses.is_empty() {
            let only = if self.family == Family::V4 {
                "inet4_only"
            } else {
                "inet6_only"
            };
            return Err(Error::unreachable(format!(
                "{} has no address that {only} allows",
                self.host
            )));
        }
        Ok(addresses)
    }

    /// A new TCP connection, without Nagle's delay.
    ///
    /// # Errors
    /// [`Error::Unreachable`] or [`Error::Timeout`], of the last address tried.
    pub(crate) async fn connect(&self, steps: Steps, deadline: Deadline) -> Result<TcpStream> {
        let deadline = deadline.capped(steps.connect);
        connect_to_any(&self.resolve(deadline).await?, deadline).await
    }
}

/// Whether a resolver may take this for an address that is not what it looks like: to glibc `10.20.20.010` is
/// 10.20.20.8, `10.20.202` is 10.20.0.202, and `0x0a.20.20.8` and `169090600` are addresses too. No host's name ends
/// in a number.
pub(crate) fn is_odd_address(host: &str) -> bool {
    if host.contains(':') || host.parse::<Ipv4Addr>().is_ok() {
        return false;
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    last.chars().all(|c| c.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X")
}

/// Each address in turn, with an even share of the time that is left: one that swallows everything, as an IPv6 address
/// without a route often does, must leave time for the next.
pub(super) async fn connect_to_any(addresses: &[SocketAddr], deadline: Deadline) -> Result<TcpStream> {
    let mut last = Error::unreachable("no address was tried");
    for (tried, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = deadline.capped(deadline.remaining() / left);
        let doing = format!("connecting to {address}");
        let attempt = async {
            TcpStream::connect(address)
                .await
                .map_err(|cause| Error::io(&doing, cause))
        };
        match share.run(&doing, attempt).await {
            Ok(stream) => {
                stream
                    .set_nodelay(true)
                    .map_err(|cause| Error::io(&doing, cause))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Method;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::new(Method::Kasa);
        for (name, value) in pairs {
            settings.set(name, value).unwrap();
        }
        settings
    }

    #[test]
    fn urls_in_place_of_addresses_are_refused() {
        for host in ["http://10.0.0.1", "10.0.0.1/status", "a b", "user@host"] {
            let error = Endpoint::from_settings(&settings(&[("ip", host)]), 80).unwrap_err();
            assert!(error.to_string().contains("is no address"), "{error}");
        }
    }

    #[test]
    fn a_port_behind_the_address_is_told_its_place() {
        let error = Endpoint::from_settings(&settings(&[("ip", "10.0.0.1:9999")]), 80).unwrap_err();
        assert!(
            error.to_string().ends_with("write ip=10.0.0.1 and ipport=9999"),
            "{error}"
        );
        for host in ["::1", "[::1]", "fe80::1%eth0"] {
            assert!(
                Endpoint::from_settings(&settings(&[("ip", host)]), 80).is_ok(),
                "{host}"
            );
        }
    }

    #[test]
    fn what_a_resolver_would_take_for_another_address_is_refused() {
        for host in [
            "10.20.20.010",
            "10.20.202",
            "0x0a.20.20.8",
            "169090600",
            "0x0A141408",
            "10.20.20.0X8",
            "10.20.20.8.",
            "10.20.20.256",
        ] {
            let error = Endpoint::from_settings(&settings(&[("ip", host)]), 80).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("ip: \"{host}\" is no address")),
                "{error}"
            );
        }
        for host in [
            "10.20.20.8",
            "plug-1",
            "plug.lan",
            "plug.lan.",
            "node2.example",
            "node2",
            "10.example",
            "0xplug.lan",
        ] {
            assert!(
                Endpoint::from_settings(&settings(&[("ip", host)]), 80).is_ok(),
                "{host}"
            );
        }
    }

    #[test]
    fn contradicting_families_are_refused() {
        let both = settings(&[("ip", "::1"), ("inet4_only", "1"), ("inet6_only", "1")]);
        assert!(Endpoint::from_settings(&both, 80).is_err());
    }

    #[tokio::test]
    async fn a_family_without_address_is_unreachable() {
        let only_v6 = settings(&[("ip", "127.0.0.1"), ("inet6_only", "1")]);
        let endpoint = Endpoint::from_settings(&only_v6, 80).unwrap();
        let error = endpoint
            .resolve(Deadline::after(Duration::from_secs(1)))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("inet6_only"));
    }

    /// A listener that never accepts, with its queue full: the kernel passes over further SYNs, as a black hole does.
    async fn black_hole() -> (tokio::net::TcpListener, Vec<TcpStream>) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        for _ in 0..16 {
            let connect = TcpStream::connect(address);
            match tokio::time::timeout(Duration::from_millis(200), connect).await {
                Ok(stream) => queued.push(stream.unwrap()),
                Err(_) => return (listener, queued),
            }
        }
        panic!("the queue never fills");
    }

    #[tokio::test]
    async fn an_address_that_swallows_everything_leaves_time_for_the_next() {
        let (hole, _queued) = black_hole().await;
        let works = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [hole.local_addr().unwrap(), works.local_addr().unwrap()];
        let deadline = Deadline::after(Duration::from_secs(2));
        let stream = connect_to_any(&addresses, deadline).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
        // Alone, it may take all of the time, and no more.
        let started = std::time::Instant::now();
        let error = connect_to_any(&addresses[..1], Deadline::after(Duration::from_millis(300))).await;
        assert!(matches!(error, Err(Error::Timeout { .. })));
        assert!(started.elapsed() >= Duration::from_millis(300));
    }

    #[test]
    fn brackets_and_ports_are_shown_where_needed() {
        let endpoint = Endpoint::from_settings(&settings(&[("ip", "[::1]"), ("ipport", "81")]), 80).unwrap();
        assert_eq!(endpoint.shown(80), "[::1]:81");
        assert_eq!(endpoint.shown(81), "::1");
        assert_eq!(endpoint.url_host(), "[::1]");
    }
}
