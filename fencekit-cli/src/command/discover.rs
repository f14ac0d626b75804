//! `fencekit discover`: who on a network could be a fence device. Nothing is logged in to or changed.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use fencekit::discover::{mdns, sweep};
use fencekit::{Deadline, Error, Found, Result, kasa};
use serde_json::{Value, json};

use super::output::{self, Colour, Table};
use super::{Common, DONE, FAILED};

/// More time than the search itself may take, for what it does around the waiting.
const SLACK: Duration = Duration::from_secs(5);

#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// Networks as 10.20.20.0/24, broadcast addresses or single devices; the default is the network with the default
    /// route
    #[arg(value_name = "TARGET", value_parser = target)]
    targets: Vec<IpAddr>,
    /// How long to wait for answers, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = super::seconds)]
    wait: Duration,
    /// Also knock at each address of a range, as 10.20.20.0/24 or 10.20.20.200-220: finds Tasmota and ESPHome
    /// devices that do not announce themselves
    #[arg(long, value_name = "RANGE")]
    range: Option<sweep::Range>,
}

/// At most this long for a sweep of the largest range.
const SWEEP: Duration = Duration::from_secs(180);

pub(super) fn run(common: &Common, options: &Options) -> Result<u8> {
    let Some(found) = super::block_on(search(options))? else {
        log::error!("interrupted");
        return Ok(FAILED);
    };
    let mut found = found?;
    found.sort_by_key(|device| (device.address, device.method));
    found.dedup_by_key(|device| (device.address, device.method));
    if common.json {
        let devices: Vec<_> = found.iter().map(as_json).collect();
        output::document(&json!({"devices": devices}));
    } else {
        print(&found);
    }
    Ok(DONE)
}

/// Every way of searching at once. One that fails is told and spoils nothing; all of them failing is an error.
async fn search(options: &Options) -> Result<Vec<Found>> {
    let deadline = Deadline::after(options.wait + SLACK);
    let mut plugs = kasa::Search {
        wait: options.wait,
        ..kasa::Search::default()
    };
    let everywhere = options.targets.is_empty();
    if !everywhere {
        plugs.targets.clone_from(&options.targets);
    }
    let announced = async {
        // Whoever names targets wants no other network asked.
        let search = mdns::Search {
            wait: options.wait,
            ..mdns::Search::default()
        };
        match everywhere {
            true => mdns::discover(&search, deadline).await,
            false => Ok(Vec::new()),
        }
    };
    let swept = async {
        match options.range {
            Some(range) => sweep::discover(&sweep::Sweep::of(range), Deadline::after(SWEEP)).await,
            None => Ok(Vec::new()),
        }
    };
    let (plugs, announced, swept) = tokio::join!(kasa::discover(&plugs, deadline), announced, swept);
    merge([("Kasa", plugs), ("mDNS", announced), ("range", swept)])
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

/// An address, or a network's broadcast address.
fn target(text: &str) -> std::result::Result<IpAddr, String> {
    let wrong =
        || format!("\"{text}\" is no address or network; write 10.20.20.0/24, 10.20.20.255 or 10.20.20.202");
    let Some((network, bits)) = text.split_once('/') else {
        return text.parse().map_err(|_| wrong());
    };
    let network: Ipv4Addr = network.parse().map_err(|_| wrong())?;
    let bits: u32 = bits.parse().map_err(|_| wrong())?;
    let hosts = match bits {
        0..=31 => u32::MAX >> bits,
        32 => 0,
        _ => return Err(wrong()),
    };
    Ok(Ipv4Addr::from_bits(network.to_bits() | hosts).into())
}

/// What to write into the cluster file for a device, as far as it is known.
fn entry(found: &Found) -> Value {
    let identity = found.identity.mac.as_ref().or(found.identity.guid.as_ref());
    let mut entry = json!({"method": found.method.name(), "ip": found.address.ip().to_string()});
    if let (Some(members), Some(identity)) = (entry.as_object_mut(), identity) {
        members.insert("identity".into(), json!(identity));
    }
    entry
}

fn as_json(found: &Found) -> Value {
    json!({
        "method": found.method.name(),
        "address": found.address.ip().to_string(),
        "port": found.address.port(),
        "transport": found.transport,
        "identity": output::identity(Some(&found.identity)),
        "metered": found.metered,
        "note": found.note,
        "entry": entry(found),
    })
}

fn print(found: &[Found]) {
    if found.is_empty() {
        let _ = writeln!(
            std::io::stderr(),
            "nobody answered; is this host on the devices' network? name another, as fencekit discover 10.20.20.0/24"
        );
        return;
    }
    let mut table = Table::new(&["METHOD", "ADDRESS", "TRANSPORT", "WHO", "MODEL", "METER", "NOTE"]);
    let plain = |text: String| (text, Colour::Plain);
    for device in found {
        let meter = match device.metered {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        table.row(vec![
            plain(device.method.name().to_owned()),
            plain(device.address.to_string()),
            plain(device.transport.clone()),
            plain(output::who(&device.identity)),
            plain(device.identity.model.clone().unwrap_or_default()),
            plain(meter.to_owned()),
            (device.note.clone(), Colour::Notice),
        ]);
    }
    table.print();
    let addresses: BTreeSet<_> = found.iter().map(|device| device.address.ip()).collect();
    let _ = writeln!(
        std::io::stderr(),
        "{} found; --json has an entry for the cluster file for each",
        addresses.len()
    );
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
            assert_eq!(target(text).unwrap().to_string(), address);
        }
        for text in ["", "x", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0/24", "fd00::/64"] {
            assert!(target(text).is_err(), "{text}");
        }
    }
}
