//! Where a device listens: the protocols and ports that its backend may use.

use std::net::IpAddr;

use crate::cluster::{Entry, Password};
use crate::error::{Error, Result};
use crate::method::Method;
use crate::options::Settings;

/// A port of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Door {
    Tcp(u16),
    Udp(u16),
}

/// Where XOR is spoken, where the other transports begin, and where TPAP over TLS may go on.
const KASA_XOR: u16 = 9999;
const KASA_HTTP: u16 = 80;
const KASA_TLS: [u16; 2] = [443, 4433];
/// A plug that was just powered up opens its port once it is asked here; it also says here how to log in.
const KASA_DISCOVERY: [u16; 2] = [20002, 20004];
const ESPHOME_NATIVE: u16 = 6053;
const IPMI: u16 = 623;

/// The hosts that a device of the file means, and their doors.
///
/// # Errors
/// [`Error::Config`] for an entry of the simulator's.
pub(super) fn doors(entry: &Entry) -> Result<Vec<(String, Vec<Door>)>> {
    entry.refuse_simulated()?;
    let settings = &entry.settings;
    if entry.method() == Method::Http {
        return http(settings);
    }
    let doors = match entry.method() {
        Method::Kasa => kasa(settings),
        Method::Tasmota => vec![Door::Tcp(port(settings, standard_http(settings)))],
        Method::Esphome => esphome(entry),
        Method::Ipmi | Method::Http => vec![Door::Udp(port(settings, IPMI))],
    };
    Ok(vec![(settings.required("ip")?.trim().to_owned(), doors)])
}

fn port(settings: &Settings, standard: u16) -> u16 {
    settings.integer("ipport").unwrap_or(standard)
}

fn standard_http(settings: &Settings) -> u16 {
    let tls = ["ssl", "ssl_secure", "ssl_insecure"];
    if tls.iter().any(|option| settings.boolean(option)) {
        443
    } else {
        80
    }
}

fn kasa(settings: &Settings) -> Vec<Door> {
    let transport = settings.text("transport").unwrap_or("auto");
    if transport == "xor" {
        return vec![Door::Tcp(port(settings, KASA_XOR))];
    }
    let mut doors = vec![Door::Tcp(port(settings, KASA_HTTP))];
    if transport == "auto" {
        doors.push(Door::Tcp(port(settings, KASA_XOR)));
    }
    if matches!(transport, "auto" | "tpap") {
        doors.extend(KASA_TLS.map(Door::Tcp));
    }
    doors.extend(KASA_DISCOVERY.map(Door::Udp));
    doors
}

fn esphome(entry: &Entry) -> Vec<Door> {
    let settings = &entry.settings;
    let (native, web) = (
        Door::Tcp(port(settings, ESPHOME_NATIVE)),
        Door::Tcp(port(settings, 80)),
    );
    let has_login = settings.has("username") || !matches!(entry.password, Password::None);
    match settings.text("transport") {
        Some("native") => vec![native],
        Some("web") => vec![web],
        _ if settings.secret("encryption_key").is_some() => vec![native],
        _ if has_login => vec![web],
        _ => vec![native, web],
    }
}

/// Every URL may name a host of its own; one that is a path is at `ip`.
fn http(settings: &Settings) -> Result<Vec<(String, Vec<Door>)>> {
    let mut all: Vec<(String, Vec<Door>)> = Vec::new();
    for option in ["power_on_url", "power_off_url", "status_url"] {
        let Some(url) = settings.text(option).map(str::trim) else {
            continue;
        };
        let (host, port) = match url.starts_with('/') && !url.starts_with("//") {
            true => {
                let host = settings.required("ip")?.trim().to_owned();
                (host, port(settings, standard_http(settings)))
            }
            false => authority(url).ok_or_else(|| {
                Error::config(
                    option,
                    "names no host that a rule could hold for",
                    "write it as http://10.20.20.202/off",
                )
            })?,
        };
        let door = Door::Tcp(port);
        match all.iter_mut().find(|(known, _)| *known == host) {
            Some((_, doors)) if doors.contains(&door) => {}
            Some((_, doors)) => doors.push(door),
            None => all.push((host, vec![door])),
        }
    }
    Ok(all)
}

/// Host and port of a whole URL without credentials; the backend has refused those with.
fn authority(url: &str) -> Option<(String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let standard = match scheme.to_ascii_lowercase().as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    // The colons of an IPv6 address stand in brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    let port = match port {
        "" => standard,
        digits => digits.parse().ok()?,
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// The address that a host is, if it is one rather than a name. A zone says by which interface, not who.
pub(super) fn address_of(host: &str) -> Option<IpAddr> {
    let host = host.trim().trim_start_matches('[').trim_end_matches(']');
    let host = host.split_once('%').map_or(host, |(address, _)| address);
    let address: IpAddr = host.parse().ok()?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::Door::{Tcp, Udp};
    use super::*;
    use crate::cluster::Cluster;

    fn doors_of(device: &str) -> Vec<(String, Vec<Door>)> {
        let cluster = Cluster::from_text(&format!("stonith_nodes: {{a: {{{device}}}}}"), "test").unwrap();
        doors(&cluster.nodes[0].devices[0]).unwrap()
    }

    #[test]
    fn each_method_and_transport_has_its_doors() {
        let key = "encryption_key: QRTIErOb/fcE9Ukd/5qA3RGYMn0Y+p06U58SCtOXvPc=";
        let kasa = vec![Tcp(80), Tcp(9999), Tcp(443), Tcp(4433), Udp(20002), Udp(20004)];
        let cases = [
            ("method: ipmi, user: u, password: p", vec![Udp(623)]),
            ("method: ipmi, user: u, password: p, port: 6230", vec![Udp(6230)]),
            ("method: kasa", kasa),
            ("method: kasa, transport: xor", vec![Tcp(9999)]),
            ("method: kasa, transport: xor, port: 99", vec![Tcp(99)]),
            (
                "method: kasa, transport: klap",
                vec![Tcp(80), Udp(20002), Udp(20004)],
            ),
            (
                "method: kasa, transport: aes, port: 81",
                vec![Tcp(81), Udp(20002), Udp(20004)],
            ),
            (
                "method: kasa, transport: tpap",
                vec![Tcp(80), Tcp(443), Tcp(4433), Udp(20002), Udp(20004)],
            ),
            ("method: tasmota", vec![Tcp(80)]),
            ("method: tasmota, port: 8080", vec![Tcp(8080)]),
            ("method: esphome, plug: R", vec![Tcp(6053), Tcp(80)]),
            ("method: esphome, plug: R, transport: web", vec![Tcp(80)]),
            ("method: esphome, plug: R, user: u, password: p", vec![Tcp(80)]),
            (&format!("method: esphome, plug: R, {key}"), vec![Tcp(6053)]),
        ];
        for (device, doors) in cases {
            let device = format!("{device}, ip: 10.0.0.9");
            assert_eq!(doors_of(&device), [("10.0.0.9".to_owned(), doors)], "{device}");
        }
    }

    #[test]
    fn an_http_outlet_is_where_its_urls_are() {
        let device = "method: http, ip: 10.0.0.9, power_on_url: /on, power_off_url: \"http://[fd00::9]:8080/off?x=1:2\", status_url: \"http://pdu.lan/s\", status_off_regex: off";
        assert_eq!(
            doors_of(device),
            [
                ("10.0.0.9".to_owned(), vec![Tcp(80)]),
                ("[fd00::9]".to_owned(), vec![Tcp(8080)]),
                ("pdu.lan".to_owned(), vec![Tcp(80)]),
            ]
        );
        assert_eq!(authority("https://pdu"), Some(("pdu".to_owned(), 443)));
        assert_eq!(authority("http://[::1]/x"), Some(("[::1]".to_owned(), 80)));
        for wrong in ["ftp://x/", "http:///x", "http://x:99999/", "x"] {
            assert_eq!(authority(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_address_is_told_from_a_name() {
        assert_eq!(address_of(" [fd00::9] "), "fd00::9".parse().ok());
        assert_eq!(address_of("fe80::9%eth0"), "fe80::9".parse().ok());
        assert_eq!(address_of("::ffff:10.0.0.9"), "10.0.0.9".parse().ok());
        assert_eq!(address_of("plug-b.lan"), None);
    }
}
