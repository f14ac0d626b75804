//! Every way of searching at once, for the command line and the bindings.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::time::Duration;

use serde::ser::{Serialize, Serializer};
use serde_json::{Value, json};

use super::{Found, mdns, sweep};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::{ipmi, kasa};

/// More time than the search itself may take, for what it does around the waiting.
const SLACK: Duration = Duration::from_secs(5);
/// At most this long for a sweep of the largest range.
const SWEEP: Duration = Duration::from_secs(180);

/// Where to search and how long to listen.
#[derive(Clone, Debug)]
pub struct Search {
    /// Whom to ask; everybody on the network with the default route when empty. Whoever names targets wants no other
    /// network asked.
    pub targets: Vec<Target>,
    /// Also knock at each of these addresses.
    pub range: Option<sweep::Range>,
    /// How long answers are waited for.
    pub wait: Duration,
}

impl Default for Search {
    /// Everybody on the network with the default route, for three seconds.
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            range: None,
            wait: Duration::from_secs(3),
        }
    }
}

/// An address to ask: `10.20.20.202`, or the broadcast address of a network, which `10.20.20.0/24` means too.
///
/// ```
/// use fencekit::discover::Target;
///
/// let network: Target = "10.20.20.0/24".parse()?;
/// assert_eq!(network.address().to_string(), "10.20.20.255");
/// # Ok::<(), fencekit::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target(IpAddr);

impl Target {
    /// The address that is asked.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.0
    }
}

impl FromStr for Target {
    type Err = Error;

    /// # Errors
    /// [`Error::Config`] for what is neither an address nor a network.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::config(
                "target",
                format!("\"{text}\" is no address or network"),
                "write 10.20.20.0/24, 10.20.20.255 or 10.20.20.202",
            )
        };
        let Some((network, bits)) = text.split_once('/') else {
            return text.parse().map(Self).map_err(|_| wrong());
        };
        let network: Ipv4Addr = network.parse().map_err(|_| wrong())?;
        let bits: u32 = bits.parse().map_err(|_| wrong())?;
        let hosts = match bits {
            0..=31 => u32::MAX >> bits,
            32 => 0,
            _ => return Err(wrong()),
        };
        Ok(Self(Ipv4Addr::from_bits(network.to_bits() | hosts).into()))
    }
}

/// Finds devices in every way that there is: each of them once, in the order of their addresses. Nothing is logged in
/// to or changed. A way that fails is a warning in the log and spoils nothing.
///
/// # Errors
/// The last way's error when nothing was found and a way failed.
pub async fn search(search: &Search) -> Result<Vec<Found>> {
    let deadline = Deadline::after(search.wait.saturating_add(SLACK));
    let mut plugs = kasa::Search {
        wait: search.wait,
        ..kasa::Search::default()
    };
    let everywhere = search.targets.is_empty();
    let mut bmcs = ipmi::discovery::Search {
        wait: search.wait,
        ..ipmi::discovery::Search::default()
    };
    if !everywhere {
        plugs.targets = search.targets.iter().map(|target| target.address()).collect();
        bmcs.targets = plugs.targets.clone();
    }
    if let Some(range) = search.range {
        bmcs.targets.extend(range.addresses().map(IpAddr::V4));
    }
    let announced = async {
        let search = mdns::Search {
            wait: search.wait,
            ..mdns::Search::default()
        };
        match everywhere {
            true => mdns::discover(&search, deadline).await,
            false => Ok(Vec::new()),
        }
    };
    let swept = async {
        match search.range {
            Some(range) => sweep::discover(&sweep::Sweep::of(range), Deadline::after(SWEEP)).await,
            None => Ok(Vec::new()),
        }
    };
    let (plugs, bmcs, announced, swept) = tokio::join!(
        kasa::discover(&plugs, deadline),
        ipmi::discovery::discover(&bmcs, deadline),
        announced,
        swept
    );
    let mut found = merge([
        ("Kasa", plugs),
        ("BMC", bmcs),
        ("mDNS", announced),
        ("range", swept),
    ])?;
    found.sort_by_key(|device| (device.address, device.method));
    found.dedup_by_key(|device| (device.address, device.method));
    Ok(found)
}

fn merge<const WAYS: usize>(ways: [(&str, Result<Vec<Found>>); WAYS]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut failures: Vec<(&str, Error)> = Vec::new();
    for (way, outcome) in ways {
        match outcome {
            Ok(devices) => found.extend(devices),
            Err(error) => failures.push((way, error)),
        }
    }
    for (way, error) in &failures {
        log::warn!("{way}: {error}");
    }
    match failures.pop() {
        Some((_, error)) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

/// With `entry`: what to write into the cluster file for the device, as far as it is known.
impl Serialize for Found {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        json!({
            "method": self.method.name(),
            "address": self.address.ip().to_string(),
            "port": self.address.port(),
            "transport": self.transport,
            "identity": self.identity,
            "metered": self.metered,
            "note": self.note,
            "entry": entry(self),
        })
        .serialize(serializer)
    }
}

fn entry(found: &Found) -> Value {
    let identity = found.identity.mac.as_ref().or(found.identity.guid.as_ref());
    let mut entry = json!({"method": found.method.name(), "ip": found.address.ip().to_string()});
    if let (Some(members), Some(identity)) = (entry.as_object_mut(), identity) {
        members.insert("identity".into(), json!(identity));
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_asked_at_their_broadcast_address() {
        for (text, address) in [
            ("10.20.20.0/24", "10.20.20.255"),
            ("10.20.20.77/24", "10.20.20.255"),
            ("10.0.0.0/30", "10.0.0.3"),
            ("10.20.20.202/32", "10.20.20.202"),
            ("0.0.0.0/0", "255.255.255.255"),
            ("10.20.20.202", "10.20.20.202"),
            ("fd00::1", "fd00::1"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.address().to_string(), address);
        }
        for text in ["", "x", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0/24", "fd00::/64"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
