//! What the kernel says of routes, links and addresses.

use std::net::IpAddr;

use futures_util::{StreamExt, TryStreamExt};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia};
use rtnetlink::{Handle, RouteMessageBuilder};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use super::neighbour::{self, State};
use crate::verify::probe::Path;

/// A connection to the kernel, opened at the first question.
#[derive(Default)]
pub(super) struct Kernel {
    connection: OnceCell<(Handle, JoinHandle<()>)>,
}

impl Drop for Kernel {
    fn drop(&mut self) {
        if let Some((_, task)) = self.connection.get() {
            task.abort();
        }
    }
}

impl Kernel {
    pub(super) async fn handle(&self) -> Result<&Handle, String> {
        let open = || async {
            let (connection, handle, _) = rtnetlink::new_connection()
                .map_err(|error| format!("the kernel cannot be asked for routes: {error}"))?;
            Ok::<_, String>((handle, tokio::spawn(connection)))
        };
        let (handle, _) = self.connection.get_or_try_init(open).await?;
        Ok(handle)
    }

    /// How `to` is reached, when everything that this host needs for that is in order.
    pub(super) async fn path(&self, to: IpAddr) -> Result<Path, String> {
        let handle = self.handle().await?;
        let route = self.route(handle, to).await?;
        let link = link(handle, route.link).await?;
        if link.loopback {
            return Err(format!("{to} leads to this host's own loopback interface"));
        }
        if !link.up {
            return Err(format!(
                "{} is switched off (ip link set {} up)",
                link.name, link.name
            ));
        }
        if !link.carrier {
            return Err(format!(
                "{} has no carrier: is the cable or the switch gone?",
                link.name
            ));
        }
        let addresses = own_addresses(handle, &route, &link.name).await?;
        // On a directly connected network this host must have an address, or nobody there can answer it.
        let answerable = addresses
            .iter()
            .any(|own| own.is_ipv6() == to.is_ipv6() && route.source.is_none_or(|source| source == *own));
        if route.gateway.is_none() && !answerable {
            return Err(format!(
                "this host has no address on {}, so {to} could not answer it",
                link.name
            ));
        }
        let resolves = link.resolves && route.gateway.is_none() && !self.is_static(to, &link.name).await?;
        Ok(Path {
            link: link.name,
            gateway: route.gateway,
            source: route.source,
            addresses,
            resolves,
        })
    }

    async fn route(&self, handle: &Handle, to: IpAddr) -> Result<Route, String> {
        let bits = if to.is_ipv6() { 128 } else { 32 };
        let question = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(to, bits)
            .map_err(|error| format!("{to} cannot be asked for: {error}"))?
            .build();
        let mut answers = Box::pin(handle.route().get(question).execute());
        match answers.next().await {
            Some(Ok(message)) => Route::read(&message, to),
            Some(Err(error)) => Err(format!("no route to {to}: {}", words(error))),
            None => Err(format!("no route to {to}")),
        }
    }

    /// Whether the administrator has written the neighbour down: then nobody is asked.
    async fn is_static(&self, to: IpAddr, link: &str) -> Result<bool, String> {
        let entry = neighbour::entry(self, to, link).await?;
        Ok(entry.is_some_and(|entry| entry.state == State::Static))
    }
}

/// This host's addresses on the route's link that can receive.
async fn own_addresses(handle: &Handle, route: &Route, link: &str) -> Result<Vec<IpAddr>, String> {
    let addresses: Vec<AddressMessage> = handle
        .address()
        .get()
        .set_link_index_filter(route.link)
        .execute()
        .try_collect()
        .await
        .map_err(|error| format!("the addresses of {link} cannot be read: {}", words(error)))?;
    Ok(addresses
        .iter()
        .filter(|message| is_usable(message))
        .filter_map(own)
        .collect())
}

/// An error of the kernel in plain words.
pub(super) fn words(error: rtnetlink::Error) -> String {
    match error {
        rtnetlink::Error::NetlinkError(message) => {
            let text = message.to_io().to_string();
            text.split(" (os error").next().unwrap_or(&text).to_lowercase()
        }
        other => other.to_string(),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Route {
    link: u32,
    gateway: Option<IpAddr>,
    source: Option<IpAddr>,
}

impl Route {
    fn read(message: &RouteMessage, to: IpAddr) -> Result<Self, String> {
        match message.header.kind {
            RouteType::Unicast => {}
            RouteType::Local => return Err(format!("{to} is this host's own address")),
            other => return Err(format!("the route to {to} leads nowhere ({other:?})")),
        }
        let mut link = None;
        let (mut gateway, mut source) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Oif(index) => link = Some(*index),
                RouteAttribute::Gateway(address) => gateway = ip(address),
                RouteAttribute::Via(RouteVia::Inet(address)) => gateway = Some(IpAddr::V4(*address)),
                RouteAttribute::Via(RouteVia::Inet6(address)) => gateway = Some(IpAddr::V6(*address)),
                RouteAttribute::PrefSource(address) => source = ip(address),
                _ => {}
            }
        }
        let link = link.ok_or_else(|| format!("the route to {to} names no link"))?;
        Ok(Self {
            link,
            gateway,
            source,
        })
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

struct Link {
    name: String,
    up: bool,
    carrier: bool,
    loopback: bool,
    /// Addresses are resolved on it by ARP or NDP.
    resolves: bool,
}

async fn link(handle: &Handle, index: u32) -> Result<Link, String> {
    let mut answers = Box::pin(handle.link().get().match_index(index).execute());
    match answers.next().await {
        Some(Ok(message)) => Ok(read_link(&message)),
        Some(Err(error)) => Err(format!("link {index} cannot be read: {}", words(error))),
        None => Err(format!("link {index} is gone")),
    }
}

fn read_link(message: &LinkMessage) -> Link {
    let flags = message.header.flags;
    let name = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    });
    Link {
        name: name.unwrap_or_else(|| format!("link {}", message.header.index)),
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp) && flags.contains(LinkFlags::Running),
        loopback: flags.contains(LinkFlags::Loopback),
        resolves: !flags.intersects(LinkFlags::Noarp | LinkFlags::Pointopoint | LinkFlags::Loopback),
    }
}

/// The index of a link by its name.
pub(super) async fn link_index(handle: &Handle, name: &str) -> Result<u32, String> {
    let mut answers = Box::pin(handle.link().get().match_name(name.to_owned()).execute());
    match answers.next().await {
        Some(Ok(message)) => Ok(message.header.index),
        Some(Err(error)) => Err(format!("{name} cannot be read: {}", words(error))),
        None => Err(format!("{name} is gone")),
    }
}

pub(super) fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

/// A duplicate address, or one still being checked for duplicates, receives nothing.
fn is_usable(message: &AddressMessage) -> bool {
    let in_header = message
        .header
        .flags
        .intersects(AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed);
    let in_attribute = message.attributes.iter().any(|attribute| match attribute {
        AddressAttribute::Flags(flags) => flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed),
        _ => false,
    });
    !in_header && !in_attribute
}

/// An address of this host. On a point-to-point link `Address` is the other side's.
fn own(message: &AddressMessage) -> Option<IpAddr> {
    let find = |local: bool| {
        message
            .attributes
            .iter()
            .find_map(move |attribute| match attribute {
                AddressAttribute::Local(address) if local => Some(*address),
                AddressAttribute::Address(address) if !local => Some(*address),
                _ => None,
            })
    };
    find(true).or_else(|| find(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_own_address_is_no_path() {
        let told = Kernel::default().path(IpAddr::from([127, 0, 0, 1])).await;
        assert!(told.unwrap_err().contains("own address"));
    }

    #[test]
    fn a_route_without_a_link_is_none() {
        let to = IpAddr::from([10, 0, 0, 1]);
        let mut message = RouteMessage::default();
        message.header.kind = RouteType::Unicast;
        assert!(Route::read(&message, to).is_err());
        message.attributes.push(RouteAttribute::Oif(3));
        let gateway = IpAddr::from([10, 0, 0, 254]);
        message.attributes.push(RouteAttribute::Gateway(gateway.into()));
        let route = Route::read(&message, to).unwrap();
        assert_eq!(
            (route.link, route.gateway, route.source),
            (3, Some(gateway), None)
        );
        message.header.kind = RouteType::BlackHole;
        assert!(Route::read(&message, to).unwrap_err().contains("leads nowhere"));
    }
}
