//! A simulated HTTP outlet: on, off and status URLs of anybody's making.
//!
//! Outlet N answers `/outlet/N/on`, `/outlet/N/off` and, with `{"outlet":N,"state":"on"}`, `/outlet/N`; a command may
//! come by any HTTP method. With [`Routes`] of one's own it answers other addresses with other pages.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use regex_lite::Regex;
use serde_json::json;

use crate::device::Device;
use crate::esphome::Scheme;
use crate::esphome::login::Door;
use crate::http::{self, Request, Response};
use crate::wire::{self, Running, Wire};

/// What one outlet answers to. Paths are with their query, as they go over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    /// Switches it on.
    pub on: String,
    /// Switches it off.
    pub off: String,
    /// Shows its state.
    pub status: String,
    /// The status page while it is on.
    pub on_page: String,
    /// The status page while it is off.
    pub off_page: String,
}

/// Status pages of devices in the wild, on and off: the first pair that suits a user's expressions is shown.
const PAGES: [(&str, &str); 8] = [
    (r#"{"state":"on"}"#, r#"{"state":"off"}"#),
    (r#"{"state": "ON"}"#, r#"{"state": "OFF"}"#),
    (r#"{"power":"on"}"#, r#"{"power":"off"}"#),
    (r#"{"ison":true}"#, r#"{"ison":false}"#),
    (r#"{"output":true}"#, r#"{"output":false}"#),
    (r#"{"relay":1}"#, r#"{"relay":0}"#),
    ("ON", "OFF"),
    ("1", "0"),
];

impl Routes {
    /// Those of outlet `number`, from 1.
    #[must_use]
    pub fn of_outlet(number: usize) -> Self {
        let page = |state: &str| json!({"outlet": number, "state": state}).to_string();
        Self {
            on: format!("/outlet/{number}/on"),
            off: format!("/outlet/{number}/off"),
            status: format!("/outlet/{number}"),
            on_page: page("on"),
            off_page: page("off"),
        }
    }

    /// Those that a user of `fence_http` with these options means: their URLs, and pages that their expressions tell
    /// apart. `None` when a URL is missing, or no page is known that the expressions suit.
    #[must_use]
    pub fn of_settings(settings: &fencekit::Settings) -> Option<Self> {
        let route = |option| settings.text(option).map(path_of);
        let regex = |option| settings.text(option).map(Regex::new).transpose().ok();
        let (sees_on, sees_off) = (regex("status_on_regex")?, regex("status_off_regex")?);
        let matches = |regex: &Option<Regex>, page: &str| regex.as_ref().map(|regex| regex.is_match(page));
        let suits = |on: &str, off: &str| {
            matches(&sees_on, on).unwrap_or(true)
                && !matches(&sees_on, off).unwrap_or(false)
                && matches(&sees_off, off).unwrap_or(true)
                && !matches(&sees_off, on).unwrap_or(false)
        };
        let (on_page, off_page) = PAGES.iter().find(|(on, off)| suits(on, off))?;
        Some(Self {
            on: route("power_on_url")?,
            off: route("power_off_url")?,
            status: route("status_url")?,
            on_page: (*on_page).to_owned(),
            off_page: (*off_page).to_owned(),
        })
    }
}

/// Path and query of a URL.
fn path_of(url: &str) -> String {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|start| rest.get(start..)).unwrap_or("/"),
        None => url,
    };
    path.split('#').next().unwrap_or_default().to_owned()
}

/// What differs from one device to another.
#[derive(Clone, Debug, Default)]
pub struct Firmware {
    /// What the outlets answer to, in order; the usual addresses for those left out.
    pub routes: Vec<Routes>,
    /// How clients log in, when the device has credentials.
    pub login: Scheme,
    /// A command for the state that the outlet is in already is answered with 409.
    pub conflict: bool,
}

/// Serves a device's outlets at their usual addresses.
///
/// # Errors
/// Those of binding the socket.
pub async fn serve(device: Device, address: SocketAddr) -> io::Result<Running> {
    serve_with(device, address, Firmware::default()).await
}

/// Serves a device's outlets as `firmware` says.
///
/// # Errors
/// Those of binding the socket.
pub async fn serve_with(device: Device, address: SocketAddr, firmware: Firmware) -> io::Result<Running> {
    let mut routes = firmware.routes;
    routes.extend((routes.len()..device.count()).map(|outlet| Routes::of_outlet(outlet + 1)));
    let server = Arc::new(Server {
        routes,
        conflict: firmware.conflict,
        door: Door::new(firmware.login, 1000),
    });
    wire::listen(device, address, "http", move |wire| {
        let server = Arc::clone(&server);
        async move { server.serve(wire).await }
    })
    .await
}

struct Server {
    routes: Vec<Routes>,
    conflict: bool,
    door: Door,
}

impl Server {
    async fn serve(&self, mut wire: Wire) -> io::Result<()> {
        while let Some(request) = http::read(&mut wire).await? {
            wire.admit().await?;
            let reply = self.answer(&request, &wire.device);
            wire.reply(&reply.to_bytes(), true).await?;
            if !request.keep_alive {
                wire.finish().await;
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Request, device: &Device) -> Response {
        if let Some(refused) = self
            .door
            .refuses(request, &device.spec(), device.faults().reject_auth)
        {
            return refused;
        }
        if ["POST", "PUT", "PATCH"].contains(&request.method.as_str())
            && request.header("content-length").is_none()
        {
            return Response::new(411, "text/plain", "Length Required");
        }
        for (outlet, routes) in self.routes.iter().enumerate() {
            match request.target.as_str() {
                target if target == routes.status => return status(routes, outlet, device),
                target if target == routes.on => return self.command(outlet, true, device),
                target if target == routes.off => return self.command(outlet, false, device),
                _ => {}
            }
        }
        Response::new(404, "text/plain", "no such address")
    }

    fn command(&self, outlet: usize, on: bool, device: &Device) -> Response {
        if self.conflict && device.reported(outlet) == Some(on) {
            return Response::new(
                409,
                "application/json",
                json!({"error": "already in that state"}).to_string(),
            );
        }
        if device.command(outlet, on) {
            Response::json(&json!({"result": "ok"}))
        } else {
            Response::json(&json!({"error": "not possible"}))
        }
    }
}

fn status(routes: &Routes, outlet: usize, device: &Device) -> Response {
    let page = match device.reported(outlet) {
        _ if device.faults().no_state => "{}",
        Some(true) => &routes.on_page,
        Some(false) => &routes.off_page,
        None => "{}",
    };
    Response::new(200, "application/json", page)
}

#[cfg(test)]
mod tests {
    use fencekit::{Method, Settings};

    use super::*;

    fn routes(on: &str, off: &str) -> Option<Routes> {
        let mut settings = Settings::new(Method::Http);
        for (name, value) in [
            ("power_on_url", "http://plug-b/relay?turn=on"),
            ("power_off_url", "https://plug-b:8443/relay?turn=off#x"),
            ("status_url", "/relay"),
            ("status_on_regex", on),
            ("status_off_regex", off),
        ] {
            settings.set(name, value).unwrap();
        }
        Routes::of_settings(&settings)
    }

    #[test]
    fn a_users_addresses_and_expressions_are_served() {
        let shelly = routes(r#""ison": *true"#, r#""ison": *false"#).unwrap();
        assert_eq!(
            (shelly.on.as_str(), shelly.off.as_str()),
            ("/relay?turn=on", "/relay?turn=off")
        );
        assert_eq!(shelly.off_page, r#"{"ison":false}"#);
        assert_eq!(routes("^1$", "^0$").unwrap().on_page, "1");
        assert_eq!(routes("", "OFF").unwrap().off_page, r#"{"state": "OFF"}"#);
        assert_eq!(routes("never seen", "off"), None);
    }
}
