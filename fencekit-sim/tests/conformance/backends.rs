//! The columns of the matrix: one entry a backend and transport.

use std::net::{Ipv4Addr, SocketAddr};

use fencekit::{FenceDevice, Method, Settings};
use fencekit_sim::esphome::{WebFirmware, parse_key, serve_native, serve_web};
use fencekit_sim::ipmi::BmcSpec;
use fencekit_sim::kasa::{Dialect, KlapVersion, serve_aes, serve_klap, serve_tpap, serve_xor};
use fencekit_sim::tasmota::Tasmota;
use fencekit_sim::{Device, Running, Spec, http_outlet, ipmi};
use futures_util::future::BoxFuture;

use super::Effect;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const KEY: &str = "6Z4l0xkQ3m0l2mJm6q1oTq9wF6n1b2nYJw0J8j7m1lI=";
const USER: &str = "fencer";
const PASSWORD: &str = "Passw0rd!";

type Serving = BoxFuture<'static, std::io::Result<Running>>;

/// A backend with one transport, and what its protocol has.
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    method: Method,
    serve: fn(Device) -> Serving,
    options: &'static [(&'static str, &'static str)],
    /// How many outlets the device has, and which is fenced, from 0.
    outlets: usize,
    pub(crate) fenced: usize,
    pub(crate) http: bool,
    pub(crate) login: bool,
    /// What the device reports that `expect_identity` may name.
    pub(crate) identity: Option<&'static str>,
    pub(crate) meter: bool,
    /// Login and identity are those of a session, which also reads the state back: what changes later is not seen.
    pub(crate) one_session: bool,
    /// Faults that this protocol takes otherwise than the rest.
    pub(crate) differs: &'static [(&'static str, Effect)],
}

/// The usual: a strip of three outlets over HTTP, with login, identity and meter.
const USUAL: Backend = Backend {
    name: "",
    method: Method::Http,
    serve: |device| Box::pin(http_outlet::serve(device, ANY)),
    options: &[],
    outlets: 3,
    fenced: 1,
    http: true,
    login: true,
    identity: Some("50:C7:BF:00:00:01"),
    meter: true,
    one_session: false,
    differs: &[],
};

pub(crate) static ALL: [Backend; 9] = [
    Backend {
        name: "kasa xor",
        method: Method::Kasa,
        serve: |device| Box::pin(serve_xor(device, ANY)),
        options: &[("transport", "xor"), ("plug", "2")],
        http: false,
        login: false,
        ..USUAL
    },
    Backend {
        name: "kasa klap",
        method: Method::Kasa,
        serve: |device| Box::pin(serve_klap(device, ANY, KlapVersion::V2, Dialect::Smart)),
        options: &[
            ("transport", "klap"),
            ("plug", "2"),
            ("username", USER),
            ("password", PASSWORD),
        ],
        ..USUAL
    },
    Backend {
        name: "kasa aes",
        method: Method::Kasa,
        serve: |device| Box::pin(serve_aes(device, ANY)),
        options: &[
            ("transport", "aes"),
            ("plug", "2"),
            ("username", USER),
            ("password", PASSWORD),
        ],
        ..USUAL
    },
    Backend {
        name: "kasa tpap",
        method: Method::Kasa,
        serve: |device| Box::pin(serve_tpap(device, ANY)),
        options: &[
            ("transport", "tpap"),
            ("plug", "2"),
            ("username", USER),
            ("password", PASSWORD),
        ],
        ..USUAL
    },
    Backend {
        name: "tasmota",
        method: Method::Tasmota,
        serve: |device| {
            let tasmota = Tasmota::new(device);
            tasmota.change(|settings| {
                settings.options.insert(21, 1);
            });
            Box::pin(tasmota.serve(ANY))
        },
        options: &[("plug", "2"), ("username", USER), ("password", PASSWORD)],
        ..USUAL
    },
    Backend {
        name: "esphome web",
        method: Method::Esphome,
        serve: |device| Box::pin(serve_web(device, ANY, WebFirmware::default())),
        options: &[
            ("transport", "web"),
            ("plug", "Outlet 1"),
            ("username", USER),
            ("password", PASSWORD),
        ],
        identity: Some("unit under test"),
        // Its one sensor called Power belongs to the first.
        fenced: 0,
        ..USUAL
    },
    Backend {
        name: "esphome native",
        method: Method::Esphome,
        serve: |device| Box::pin(serve_native(device, ANY, parse_key(KEY))),
        options: &[
            ("transport", "native"),
            ("plug", "Outlet 2"),
            ("encryption_key", KEY),
        ],
        http: false,
        one_session: true,
        // Noise counts its messages: one that comes twice ends the session.
        differs: &[("doubled", Effect::Fails)],
        ..USUAL
    },
    Backend {
        name: "http",
        options: &[
            ("power_on_url", "/outlet/2/on"),
            ("power_off_url", "/outlet/2/off"),
            ("status_url", "/outlet/2"),
            ("status_on_regex", r#""state":"on""#),
            ("status_off_regex", r#""state":"off""#),
            ("username", USER),
            ("password", PASSWORD),
        ],
        identity: None,
        meter: false,
        // The address is wrong, and stays so.
        differs: &[("redirect", Effect::FailsForGood)],
        ..USUAL
    },
    Backend {
        name: "ipmi",
        method: Method::Ipmi,
        serve: |device| Box::pin(ipmi::serve(device, ANY, BmcSpec::default())),
        options: &[("username", USER), ("password", PASSWORD)],
        outlets: 1,
        fenced: 0,
        http: false,
        identity: Some("44454c4c-0010-4b30-8035-b7c04f4d3132"),
        one_session: true,
        // Datagrams know no reset.
        differs: &[("reset", Effect::Harmless)],
        ..USUAL
    },
];

impl Backend {
    pub(crate) fn neighbours(&self) -> impl Iterator<Item = usize> {
        let fenced = self.fenced;
        (0..self.outlets).filter(move |outlet| *outlet != fenced)
    }

    /// A simulated device that serves, all its outlets on.
    pub(crate) async fn start(&self) -> Running {
        let spec = Spec::plug("unit under test").credentials(USER, PASSWORD);
        let spec = if self.outlets > 1 {
            spec.outlets(self.outlets)
        } else {
            spec
        };
        (self.serve)(Device::new(spec)).await.unwrap()
    }

    /// The backend for it, each of whose steps may take `step` seconds.
    pub(crate) fn device(&self, running: &Running, step: &str) -> Box<dyn FenceDevice> {
        let mut settings = Settings::new(self.method);
        let port = running.address.port().to_string();
        let place = [
            ("ip", "127.0.0.1"),
            ("ipport", port.as_str()),
            ("login_timeout", step),
            ("shell_timeout", step),
        ];
        for (name, value) in place.iter().chain(self.options) {
            settings.set(name, value).unwrap();
        }
        self.method.device(&settings).unwrap()
    }
}
