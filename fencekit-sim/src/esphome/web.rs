//! ESPHome's REST API (`web_server:`), in the three generations of entity names.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::login::{Door, Scheme};
use super::object_id;
use crate::device::Device;
use crate::http::{self, Request, Response};
use crate::wire::{Running, Wire, listen};

/// The relay moves this long after the reply, as on real firmware, where the reply comes first.
const AFTER_REPLY: Duration = Duration::from_millis(8);

/// How the firmware names its entities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// Before 2026.1: only object ids in addresses, `"id":"switch-relay"` in replies.
    ObjectId,
    /// 2026.1 to 2026.7: names and object ids in addresses, `name_id` beside the old `id` in replies.
    Both,
    /// 2026.8 and later: only names, `"id":"switch/Relay"`.
    #[default]
    Name,
}

/// What differs from one firmware to another.
#[derive(Clone, Debug)]
pub struct WebFirmware {
    /// Generation of entity names.
    pub names: Names,
    /// How clients log in, when the device has credentials.
    pub login: Scheme,
    /// How often one nonce may be used before the device calls it stale.
    pub nonce_uses: u32,
    /// The switches' states are assumed, not measured.
    pub assumed_state: bool,
}

impl Default for WebFirmware {
    fn default() -> Self {
        Self {
            names: Names::default(),
            login: Scheme::default(),
            nonce_uses: 1000,
            assumed_state: false,
        }
    }
}

/// Serves a device's outlets as switches called by their aliases, and its meter as the sensor `Power`. An alias with a
/// slash, as `Rack B/Relay`, is a switch of a sub-device.
///
/// # Errors
/// Those of binding the socket.
pub async fn serve_web(device: Device, address: SocketAddr, firmware: WebFirmware) -> io::Result<Running> {
    let web = Arc::new(Web {
        door: Door::new(firmware.login, firmware.nonce_uses),
        firmware,
    });
    listen(device, address, "web", move |wire| {
        let web = Arc::clone(&web);
        async move { web.serve(wire).await }
    })
    .await
}

struct Web {
    firmware: WebFirmware,
    door: Door,
}

/// What comes of a request.
enum Outcome {
    Reply(Response),
    /// The reply, and the command that is obeyed after it.
    Command(Response, usize, bool),
    /// The beginning of a stream that the device then keeps open.
    Stream(Vec<u8>),
    /// The connection ends without a word, as for a domain that the firmware does not know.
    Close,
}

impl Web {
    async fn serve(&self, mut wire: Wire) -> io::Result<()> {
        while let Some(request) = http::read(&mut wire).await? {
            wire.admit().await?;
            match self.answer(&request, &wire.device) {
                Outcome::Reply(response) => wire.reply(&response.to_bytes(), true).await?,
                Outcome::Command(response, outlet, on) => {
                    let device = wire.device.clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(AFTER_REPLY).await;
                        device.command(outlet, on);
                    });
                    wire.reply(&response.to_bytes(), true).await?;
                }
                Outcome::Stream(beginning) => {
                    wire.reply(&beginning, true).await?;
                    let mut ignored = [0; 64];
                    while wire.read(&mut ignored).await? > 0 {}
                    return Ok(());
                }
                Outcome::Close => {
                    wire.finish().await;
                    return Ok(());
                }
            }
            if !request.keep_alive {
                wire.finish().await;
                return Ok(());
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Request, device: &Device) -> Outcome {
        let spec = device.spec();
        if let Some(demand) = self.door.refuses(request, &spec, device.faults().reject_auth) {
            return Outcome::Reply(demand);
        }
        if request.method == "POST" && request.header("Content-Length").is_none() {
            return plain(411, "Client must specify Content-Length");
        }
        if request.method == "POST" && request.header("Origin").is_some() {
            return plain(500, "");
        }
        if request.path() == "/events" {
            return Outcome::Stream(events(device));
        }
        let parts: Vec<String> = request.path().split('/').skip(1).map(decode).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["switch", name @ ..]) => self.switch(&name.join("/"), request, device),
            ("GET", ["sensor", name @ ..]) => self.sensor(&name.join("/"), device),
            ("POST", ["switch", name @ .., action]) => self.act(&name.join("/"), action, device),
            ("GET" | "POST", _) => Outcome::Close,
            _ => plain(405, "Specified method is invalid for this resource"),
        }
    }

    fn switch(&self, name: &str, request: &Request, device: &Device) -> Outcome {
        let Some(outlet) = self.find(name, device) else {
            return plain(404, "");
        };
        let spec = device.spec();
        let Some(shown) = spec.outlets.get(outlet) else {
            return plain(404, "");
        };
        let mut reply = self.ids("switch", &shown.alias);
        if !device.faults().no_state {
            reply.insert("value".into(), json!(shown.reported));
            reply.insert("state".into(), json!(if shown.reported { "ON" } else { "OFF" }));
        }
        if request.query("detail").as_deref() == Some("all") {
            reply.insert("domain".into(), json!("switch"));
            reply.insert("name".into(), json!(shown.alias));
            reply.insert("assumed_state".into(), json!(self.firmware.assumed_state));
        }
        Outcome::Reply(Response::json(&Value::Object(reply)))
    }

    /// `Power` shows the first outlet, `<switch> Power` each of them.
    fn sensor(&self, name: &str, device: &Device) -> Outcome {
        let spec = device.spec();
        let each = spec
            .outlets
            .iter()
            .map(|outlet| format!("{} Power", outlet.alias));
        let sensors = std::iter::once("Power".to_owned()).chain(each);
        let found = sensors
            .enumerate()
            .find(|(_, sensor)| self.answers_to(sensor, name));
        let Some((at, sensor)) = found else {
            return plain(404, "");
        };
        let Some(watts) = device.watts(at.saturating_sub(1)) else {
            return plain(404, "");
        };
        let mut reply = self.ids("sensor", &sensor);
        reply.insert("value".into(), json!(watts));
        reply.insert("state".into(), json!(format!("{watts} W")));
        Outcome::Reply(Response::json(&Value::Object(reply)))
    }

    fn act(&self, name: &str, action: &str, device: &Device) -> Outcome {
        let on = match action {
            "turn_on" => true,
            "turn_off" => false,
            _ => return plain(404, ""),
        };
        match self.find(name, device) {
            Some(outlet) if !device.faults().refuse => {
                Outcome::Command(Response::new(200, "text/html", ""), outlet, on)
            }
            _ => plain(404, ""),
        }
    }

    fn find(&self, asked: &str, device: &Device) -> Option<usize> {
        device
            .spec()
            .outlets
            .iter()
            .position(|outlet| self.answers_to(&outlet.alias, asked))
    }

    fn answers_to(&self, name: &str, asked: &str) -> bool {
        let by_name = self.firmware.names != Names::ObjectId && name == asked;
        by_name || (self.firmware.names != Names::Name && object_id(name) == asked)
    }

    fn ids(&self, domain: &str, name: &str) -> Map<String, Value> {
        let entity = name.rsplit('/').next().unwrap_or(name);
        let old = format!("{domain}-{}", object_id(entity));
        let new = format!("{domain}/{name}");
        let mut reply = Map::new();
        match self.firmware.names {
            Names::ObjectId => {
                reply.insert("id".into(), json!(old));
            }
            Names::Both => {
                reply.insert("name_id".into(), json!(new));
                reply.insert("id".into(), json!(old));
            }
            Names::Name => {
                reply.insert("id".into(), json!(new));
            }
        }
        reply
    }
}

fn plain(status: u16, body: &str) -> Outcome {
    Outcome::Reply(Response::new(status, "text/html", body))
}

/// The beginning of the event stream, in chunks of which the last never comes.
fn events(device: &Device) -> Vec<u8> {
    let ping =
        json!({"title": device.reported_name(), "comment": "", "ota": false, "log": true, "lang": "en"});
    let event = format!("retry: 30000\r\nid: 1\r\nevent: ping\r\ndata: {ping}\r\n\r\n");
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{event}\r\n",
        event.len()
    )
    .into_bytes()
}

fn decode(part: &str) -> String {
    percent_encoding::percent_decode_str(part)
        .decode_utf8_lossy()
        .into_owned()
}
