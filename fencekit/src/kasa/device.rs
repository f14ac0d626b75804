//! The device: how to reach it, and the way in.

use async_trait::async_trait;

use super::iot;
use super::link::{Link, XorLink};
use super::session::KasaSession;
use crate::deadline::Deadline;
use crate::device::{FenceDevice, Label, Session};
use crate::error::{Error, Result};
use crate::method::Method;
use crate::options::{Plug, Settings};
use crate::transport::{DeviceLock, Endpoint, Steps};

/// Where XOR is spoken.
const XOR_PORT: u16 = 9999;
/// Where the others are.
const HTTP_PORT: u16 = 80;

/// The value of the `transport` option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Auto,
    Xor,
    Klap,
    Aes,
    Tpap,
}

/// A plug or strip.
#[derive(Debug)]
struct KasaDevice {
    label: Label,
    endpoint: Endpoint,
    steps: Steps,
    plug: Plug,
}

/// A device with these settings.
///
/// # Errors
/// [`Error::Config`] when the address is missing or none.
pub(crate) fn device(settings: &Settings) -> Result<Box<dyn FenceDevice>> {
    let transport = match settings.text("transport") {
        Some("xor") => Transport::Xor,
        Some("klap") => Transport::Klap,
        Some("aes") => Transport::Aes,
        Some("tpap") => Transport::Tpap,
        _ => Transport::Auto,
    };
    if !matches!(transport, Transport::Auto | Transport::Xor) {
        return Err(Error::unsupported(
            "this build speaks only XOR; write transport=xor or leave it out",
        ));
    }
    let endpoint = Endpoint::from_settings(settings, XOR_PORT)?;
    let plug = settings.plug();
    Ok(Box::new(KasaDevice {
        label: Label {
            method: Method::Kasa,
            address: endpoint.shown(XOR_PORT),
            plug: plug.named().map(str::to_owned),
        },
        endpoint,
        steps: Steps::from_settings(settings),
        plug,
    }))
}

#[async_trait]
impl FenceDevice for KasaDevice {
    fn label(&self) -> &Label {
        &self.label
    }

    async fn connect(&self, deadline: Deadline) -> Result<Box<dyn Session>> {
        let lock = DeviceLock::of(&self.endpoint, &[XOR_PORT, HTTP_PORT], deadline).await?;
        let mut link: Box<dyn Link> = Box::new(XorLink::connect(&self.endpoint, self.steps, deadline).await?);
        let first = iot::report(&link.ask(&iot::ask_sysinfo(), deadline).await?)?;
        Ok(Box::new(KasaSession::new(
            link,
            self.plug.clone(),
            Some(first),
            lock,
        )))
    }
}
