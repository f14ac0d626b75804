//! The device: its settings, and sessions with it.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::aes::LazyKeyPair;
use super::connect::{HTTP_PORT, Hint, Route, Transport, XOR_PORT};
use super::credentials::Account;
use super::session::KasaSession;
use crate::deadline::Deadline;
use crate::device::{FenceDevice, Label, Session};
use crate::error::Result;
use crate::method::Method;
use crate::options::{Plug, Settings};
use crate::transport::{DeviceLock, Endpoint, Steps};

/// A plug or strip.
#[derive(Debug)]
struct KasaDevice {
    label: Label,
    route: Route,
    plug: Plug,
    hint: Mutex<Option<Hint>>,
}

/// A device with these settings.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) when the address is missing or none.
pub(crate) fn device(settings: &Settings) -> Result<Box<dyn FenceDevice>> {
    let transport = match settings.text("transport") {
        Some("xor") => Some(Transport::Xor),
        Some("klap") => Some(Transport::Klap),
        Some("aes") => Some(Transport::Aes),
        Some("tpap") => Some(Transport::Tpap),
        _ => None,
    };
    let standard = if transport.is_none_or(|transport| transport == Transport::Xor) {
        XOR_PORT
    } else {
        HTTP_PORT
    };
    let endpoint = Endpoint::from_settings(settings, standard)?;
    let plug = settings.plug();
    Ok(Box::new(KasaDevice {
        label: Label {
            method: Method::Kasa,
            address: endpoint.shown(standard),
            plug: plug.named().map(str::to_owned),
        },
        route: Route {
            transport,
            endpoint,
            port_given: settings.text("ipport").is_some(),
            steps: Steps::from_settings(settings),
            account: Account::from_settings(settings),
            strict_signature: settings.boolean("strict_signature"),
            keys: LazyKeyPair::default(),
        },
        plug,
        hint: Mutex::new(None),
    }))
}

#[async_trait]
impl FenceDevice for KasaDevice {
    fn label(&self) -> &Label {
        &self.label
    }

    async fn connect(&self, deadline: Deadline) -> Result<Box<dyn Session>> {
        let lock = DeviceLock::of(&self.route.endpoint, &[XOR_PORT, HTTP_PORT], deadline).await?;
        let hint = *self.hint.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = self.route.open(hint, deadline).await?;
        *self.hint.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened.hint());
        Ok(Box::new(KasaSession::new(opened, self.plug.clone(), lock)))
    }
}
