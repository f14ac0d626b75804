//! Finding devices by asking one address after the other, where multicast does not reach. It opens connections to every
//! address of a range: to be done on request, on a network of one's own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;

use super::Found;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::method::Method;
use crate::options::Settings;
use crate::transport::{Endpoint, Steps};

/// Addresses of one range at most.
const MOST: u32 = 4096;

/// Addresses to ask: `10.20.20.203`, `10.20.20.0/24`, `10.20.20.200-10.20.20.220` or `10.20.20.200-220`.
///
/// ```
/// use fencekit::discover::sweep::Range;
///
/// let range: Range = "10.20.20.0/24".parse()?;
/// assert_eq!(range.len(), 254);
/// # Ok::<(), fencekit::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    first: u32,
    last: u32,
}

impl Range {
    /// How many addresses there are; at least 1, at most 4096.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(self) -> u32 {
        self.last - self.first + 1
    }

    /// The addresses in their order.
    pub fn addresses(self) -> impl Iterator<Item = Ipv4Addr> {
        (self.first..=self.last).map(Ipv4Addr::from_bits)
    }
}

impl FromStr for Range {
    type Err = Error;

    /// # Errors
    /// [`Error::Config`] for what is no range, or one of more than 4096 addresses.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |problem: &str| {
            Error::config(
                "range",
                format!("\"{text}\" {problem}"),
                "write IPv4 addresses as 10.20.20.0/24, 10.20.20.200-220 or 10.20.20.203",
            )
        };
        let (first, last) = bounds(text.trim()).ok_or_else(|| wrong("is no range of addresses"))?;
        if last < first {
            return Err(wrong("ends before it begins"));
        }
        if last - first >= MOST {
            return Err(wrong(&format!("has more than {MOST} addresses")));
        }
        Ok(Self { first, last })
    }
}

fn bounds(text: &str) -> Option<(u32, u32)> {
    let address = |text: &str| text.trim().parse::<Ipv4Addr>().ok().map(Ipv4Addr::to_bits);
    if let Some((network, length)) = text.split_once('/') {
        let length: u32 = length.parse().ok().filter(|length| *length <= 32)?;
        let hosts = u32::MAX.checked_shr(length).unwrap_or(0);
        let first = address(network)? & !hosts;
        // The first and the last of a network are nobody's.
        let ends = u32::from(length < 31);
        return Some((first + ends, (first | hosts) - ends));
    }
    let Some((first, last)) = text.split_once('-') else {
        let only = address(text)?;
        return Some((only, only));
    };
    let first = address(first)?;
    let last = match last.trim().parse::<u8>() {
        Ok(last) => first & !0xff | u32::from(last),
        Err(_) => address(last)?,
    };
    Some((first, last))
}

/// Whom to ask and how patiently.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The addresses.
    pub range: Range,
    /// Port of ESPHome's native API.
    pub native_port: u16,
    /// Port of the web servers of Tasmota and ESPHome.
    pub http_port: u16,
    /// How long one address may take to accept a connection, and again to answer.
    pub patience: Duration,
    /// How many addresses are asked at the same time.
    pub at_once: usize,
}

impl Sweep {
    /// A sweep over a range with the usual ports.
    #[must_use]
    pub fn of(range: Range) -> Self {
        Self {
            range,
            native_port: 6053,
            http_port: 80,
            patience: Duration::from_millis(800),
            at_once: 64,
        }
    }
}

/// Finds ESPHome and Tasmota devices in a range of addresses. Nothing is logged in to or changed. What does not answer
/// is passed over, and so is ESPHome's web server behind a login, which says nothing of itself.
///
/// When the deadline comes before the end of the range, what was found so far is given back, with a warning in the log.
///
/// # Errors
/// [`Error::Timeout`] when the deadline comes before the end of the range and nothing was found.
pub async fn discover(sweep: &Sweep, deadline: Deadline) -> Result<Vec<Found>> {
    let started = Instant::now();
    let mut found = Vec::new();
    let all = async {
        let answers = stream::iter(sweep.range.addresses())
            .map(|address| knock(address.into(), sweep, deadline))
            .buffer_unordered(sweep.at_once.max(1))
            .filter_map(std::future::ready);
        let mut answers = std::pin::pin!(answers);
        while let Some(one) = answers.next().await {
            found.push(one);
        }
        Ok(())
    };
    // Every address's own wait ends with the deadline, too: that the end was reached says nothing then.
    let is_whole = deadline.run("asking every address", all).await.is_ok() && !deadline.expired();
    if !is_whole && found.is_empty() {
        return Err(Error::Timeout {
            doing: "asking every address".to_owned(),
            waited: started.elapsed(),
            source: None,
        });
    }
    if !is_whole {
        log::warn!("the time was up before every address had answered: devices may be missing");
    }
    found.sort_by_key(|one| one.address);
    Ok(found)
}

async fn knock(address: IpAddr, sweep: &Sweep, deadline: Deadline) -> Option<Found> {
    let steps = Steps {
        connect: sweep.patience,
        exchange: sweep.patience,
    };
    let settings = Settings::new(Method::Esphome);
    let endpoint = |port| Endpoint::new(&settings, &address.to_string(), port).ok();
    #[cfg(feature = "tasmota")]
    if let Some(found) = tasmota::knock(&endpoint(sweep.http_port)?, address, steps, deadline).await {
        return Some(found);
    }
    #[cfg(feature = "esphome")]
    {
        let (native, web) = (endpoint(sweep.native_port)?, endpoint(sweep.http_port)?);
        let (port, transport, identity, note) = crate::esphome::knock(&native, &web, steps, deadline).await?;
        Some(Found {
            method: Method::Esphome,
            address: SocketAddr::new(address, port),
            transport: transport.to_owned(),
            identity,
            metered: None,
            note: note.to_owned(),
        })
    }
    #[cfg(not(feature = "esphome"))]
    None
}

#[cfg(feature = "tasmota")]
mod tasmota {
    use super::*;
    use crate::identity::Identity;
    use crate::transport::http::{Exchange, HttpClient, HttpOptions, Request, Scheme};

    /// A Tasmota device answers its commands with its status or, behind a password, with its own words for that.
    pub(super) async fn knock(
        endpoint: &Endpoint,
        address: IpAddr,
        steps: Steps,
        deadline: Deadline,
    ) -> Option<Found> {
        let options = HttpOptions {
            scheme: Scheme::Http,
            keep_alive: false,
            title_case: false,
        };
        let client = HttpClient::new(endpoint, options, steps, deadline).await.ok()?;
        // Without its own address as Referer a device with SetOption128 0 answers nothing.
        let request =
            Request::get("/cm?cmnd=Status%200").header("Referer", format!("http://{}/", endpoint.host));
        let reply = client.exchange(request, deadline).await.ok()?;
        let text = reply.text();
        let (identity, note) = if text.contains("\"WARNING\"") && text.contains("password") {
            (Identity::default(), "asks for its password")
        } else if reply.status == 200 && text.contains("\"StatusNET\"") {
            (ask(address, endpoint.port, deadline).await?, "")
        } else {
            return None;
        };
        Some(Found {
            method: Method::Tasmota,
            address: SocketAddr::new(address, endpoint.port),
            transport: String::new(),
            identity,
            metered: None,
            note: note.to_owned(),
        })
    }

    async fn ask(address: IpAddr, port: u16, deadline: Deadline) -> Option<Identity> {
        let mut settings = Settings::new(Method::Tasmota);
        settings.set("ip", &address.to_string()).ok()?;
        settings.set("ipport", &port.to_string()).ok()?;
        let device = Method::Tasmota.device(&settings).ok()?;
        let mut session = device.connect(deadline).await.ok()?;
        session.identity(deadline).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Result<Vec<String>> {
        let range: Range = text.parse()?;
        Ok(range.addresses().map(|address| address.to_string()).collect())
    }

    #[test]
    fn ranges_are_read_in_every_form() {
        assert_eq!(range("10.20.20.203").unwrap(), ["10.20.20.203"]);
        assert_eq!(range("10.0.0.5/30").unwrap(), ["10.0.0.5", "10.0.0.6"]);
        assert_eq!(range("10.0.0.4/31").unwrap(), ["10.0.0.4", "10.0.0.5"]);
        assert_eq!(range("10.0.0.4/32").unwrap(), ["10.0.0.4"]);
        assert_eq!(range("10.0.0.254 - 10.0.1.1").unwrap().len(), 4);
        assert_eq!(range("10.0.0.7-9").unwrap(), ["10.0.0.7", "10.0.0.8", "10.0.0.9"]);
        assert_eq!("10.20.20.0/24".parse::<Range>().unwrap().len(), 254);
    }

    #[test]
    fn what_is_no_range_or_too_large_is_refused() {
        for text in [
            "",
            "plug.lan",
            "10.0.0.0/33",
            "10.0.0.0/x",
            "::1",
            "10.0.0.9-7",
            "10.0.0.1-300",
            "0.0.0.0/0",
            "10.0.0.0/8",
        ] {
            let error = range(text).unwrap_err().to_string();
            assert!(error.starts_with("range: "), "{text}: {error}");
        }
    }
}
