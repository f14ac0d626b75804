//! Simulated Tasmota relays: the web API at `/cm?cmnd=...`, as firmware 14 answers it.

mod console;
mod settings;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::device::Device;
use crate::http::{self, Request, Response};
use crate::wire::{self, Running, Wire};

pub use settings::Settings;

/// Serves a Tasmota with its settings as they come from the factory, and with the device's credentials.
///
/// # Errors
/// Those of binding the socket.
pub async fn serve(device: Device, address: SocketAddr) -> io::Result<Running> {
    Tasmota::new(device).serve(address).await
}

/// A Tasmota: the device, and the settings of its firmware. Clones share both.
#[derive(Clone, Debug)]
pub struct Tasmota {
    device: Device,
    settings: Arc<Mutex<Settings>>,
}

impl Tasmota {
    /// With the settings as they come from the factory.
    #[must_use]
    pub fn new(device: Device) -> Self {
        Self {
            device,
            settings: Arc::default(),
        }
    }

    /// The settings as they are now.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.settings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes settings, as their owner does on the device's console.
    pub fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Serves until the result is dropped.
    ///
    /// # Errors
    /// Those of binding the socket.
    pub async fn serve(self, address: SocketAddr) -> io::Result<Running> {
        let device = self.device.clone();
        wire::listen(device, address, "http", move |wire| {
            let tasmota = self.clone();
            async move { tasmota.connection(wire).await }
        })
        .await
    }

    /// One request a connection, as the firmware's web server has it.
    async fn connection(&self, mut wire: Wire) -> io::Result<()> {
        let Some(request) = http::read(&mut wire).await? else {
            return Ok(());
        };
        wire.admit().await?;
        let answer = self
            .answer(&request)
            .map(|answer| answer.header("Connection", "close"));
        match answer {
            Some(answer) => wire.reply(&answer.to_chunked_bytes(512), true).await?,
            None => log::debug!("no answer: SetOption128 is off"),
        }
        wire.finish().await;
        Ok(())
    }

    fn answer(&self, request: &Request) -> Option<Response> {
        let settings = self.settings();
        if request.path() != "/cm" || settings.web_server < 2 {
            let page =
                "<!DOCTYPE html><html><head><title>Tasmota - Main Menu</title></head><body></body></html>";
            return Some(Response::new(200, "text/html", page));
        }
        let host = request.header("host").unwrap_or_default();
        let from_itself = request.header("referer").is_some_and(|referer| {
            !host.is_empty() && referer.contains(host.split(':').next().unwrap_or(host))
        });
        if settings.option(128) == 0 && !from_itself {
            return None;
        }
        if !self.admits(request, &settings) {
            let body = json!({"WARNING": "Need user=<username>&password=<password>"});
            return Some(Response::new(
                settings.refusal_status,
                "application/json",
                body.to_string(),
            ));
        }
        let Some(command) = request.query("cmnd") else {
            return Some(Response::json(&json!({"WARNING": "Enter command cmnd="})));
        };
        let body = self.scraped(self.execute(command.trim()), &settings);
        Some(Response::new(200, "application/json", body))
    }

    /// The user is always `admin`, unless the simulated device was given another.
    fn admits(&self, request: &Request, settings: &Settings) -> bool {
        let spec = self.device.spec();
        if self.device.faults().reject_auth {
            return false;
        }
        let Some(password) = spec.password.filter(|password| !password.is_empty()) else {
            return true;
        };
        let username = spec.username.unwrap_or_else(|| "admin".to_owned());
        let by_header = request
            .header("authorization")
            .and_then(|value| STANDARD.decode(value.strip_prefix("Basic ")?).ok())
            .is_some_and(|pair| pair == format!("{username}:{password}").into_bytes());
        let by_query = request.query("user").as_deref() == Some(&username)
            && request.query("password").as_deref() == Some(&password);
        (settings.header_auth && by_header) || by_query
    }

    /// The body as it is assembled from the log: other lines of the log may be in it.
    fn scraped(&self, reply: String, settings: &Settings) -> String {
        if settings.log_noise.is_empty() {
            return reply;
        }
        match reply.strip_prefix('{') {
            Some("}") => format!("{{{}}}", settings.log_noise),
            Some(rest) => format!("{{{},{rest}", settings.log_noise),
            None => reply,
        }
    }
}
