//! What the tests of the Kasa backend share.
#![allow(dead_code, reason = "each test file uses its part")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use fencekit::{Confirmation, Deadline, Error, FenceDevice, Method, Policy, Settings};
use fencekit_sim::kasa::{self, Dialect, KlapVersion, Scheme, Unit};
use fencekit_sim::{Device, Faults, Running, Spec};

/// A free port on loopback.
pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// An address of loopback that no other test has, so that the ports of the protocol are free there.
pub(crate) fn own_address() -> IpAddr {
    let mut random = [0; 3];
    getrandom::fill(&mut random).unwrap();
    let [a, b, c] = random;
    Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254)).into()
}

/// How a Tapo plug says that it wants to be talked to.
pub(crate) fn scheme(encryption: &'static str, port: u16) -> Scheme {
    Scheme {
        family: "SMART.TAPOPLUG",
        encryption,
        port,
        login: 2,
    }
}

/// A device that serves, and answers discovery where its transport needs that.
pub(crate) struct Served {
    sim: Running,
    _discovery: Option<Running>,
}

impl Deref for Served {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.sim
    }
}

/// Over AES, with discovery that names the version of the login.
pub(crate) async fn serve_aes(unit: Unit) -> Served {
    let ip = own_address();
    let login = 1 + u8::from(unit.quirks.login_version_2);
    let sim = kasa::serve_aes(unit.clone(), SocketAddr::new(ip, 0))
        .await
        .unwrap();
    let scheme = Scheme {
        login,
        ..scheme("AES", sim.address.port())
    };
    let udp = SocketAddr::new(ip, 20002);
    let discovery = kasa::serve_discovery(unit, udp, scheme, Arc::default())
        .await
        .unwrap();
    Served {
        sim,
        _discovery: Some(discovery),
    }
}

/// The backend for a running device.
pub(crate) fn backend(sim: &Running, options: &[(&str, &str)]) -> Box<dyn FenceDevice> {
    let mut settings = Settings::new(Method::Kasa);
    settings.set("ip", &sim.address.ip().to_string()).unwrap();
    settings.set("ipport", &sim.address.port().to_string()).unwrap();
    for (name, value) in options {
        settings.set(name, value).unwrap();
    }
    Method::Kasa.device(&settings).unwrap()
}

/// The policy for some options, looking often.
pub(crate) fn policy(options: &[(&str, &str)]) -> Policy {
    let mut settings = Settings::new(Method::Kasa);
    settings.set("stonith_status_sleep", "0.05").unwrap();
    for (name, value) in options {
        settings.set(name, value).unwrap();
    }
    Policy::from_settings(&settings).unwrap()
}

/// The policy without any.
pub(crate) fn quick() -> Policy {
    policy(&[])
}

/// Longer than anything takes that goes well.
pub(crate) fn patient() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

/// A fault by name, mild enough where it has a measure.
pub(crate) fn fault(name: &str) -> Faults {
    let text = match name {
        "slow" | "delay" => format!("{name}=0.2"),
        "bounce" => format!("{name}=30"),
        _ => name.to_owned(),
    };
    text.parse().unwrap()
}

/// What must hold whatever is wrong with a device: success only when the relay is really off, unless the device lies
/// about its relay and no meter was asked.
pub(crate) fn is_safe(
    way: Way,
    fault: &str,
    device: &Device,
    outlet: usize,
    outcome: &Result<Confirmation, Error>,
) {
    if outcome.is_ok() && !matches!(fault, "lie") {
        assert_eq!(device.relay(outlet), Some(false), "{way:?} {fault}: {outcome:?}");
    }
    assert_eq!(
        outcome.is_ok(),
        is_harmless(way, fault),
        "{way:?} {fault}: {outcome:?}"
    );
}

/// Whether an off succeeds in spite of the fault, given time.
pub(crate) fn is_harmless(way: Way, fault: &str) -> bool {
    match fault {
        "slow" | "trickle" | "doubled" | "one_client" | "delay" | "bounce" | "meter_stuck" | "lie" => true,
        "redirect" | "server_error" | "reject_auth" => way == Way::Xor,
        _ => false,
    }
}

/// A transport with a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Xor,
    Klap(KlapVersion, Dialect),
    Aes,
    Tpap,
}

impl Way {
    pub(crate) const ALL: &[Self] = &[
        Self::Xor,
        Self::Klap(KlapVersion::V1, Dialect::Iot),
        Self::Klap(KlapVersion::V1, Dialect::Smart),
        Self::Klap(KlapVersion::V2, Dialect::Iot),
        Self::Klap(KlapVersion::V2, Dialect::Smart),
        Self::Aes,
        Self::Tpap,
    ];

    pub(crate) async fn serve(self, unit: impl Into<Unit>) -> Served {
        let sim = match self {
            Self::Xor => kasa::serve_xor(unit, loopback()).await,
            Self::Klap(version, dialect) => kasa::serve_klap(unit, loopback(), version, dialect).await,
            Self::Aes => return serve_aes(unit.into()).await,
            Self::Tpap => kasa::serve_tpap(unit, loopback()).await,
        };
        Served {
            sim: sim.unwrap(),
            _discovery: None,
        }
    }

    /// As the `transport` option has it.
    pub(crate) fn transport(self) -> &'static str {
        match self {
            Self::Xor => "xor",
            Self::Klap(..) => "klap",
            Self::Aes => "aes",
            Self::Tpap => "tpap",
        }
    }

    pub(crate) fn is_iot(self) -> bool {
        matches!(self, Self::Xor | Self::Klap(_, Dialect::Iot))
    }

    /// Whether there is a login.
    pub(crate) fn has_login(self) -> bool {
        self != Self::Xor
    }
}

pub(crate) const USER: &str = "Owner@Example.com";
pub(crate) const PASSWORD: &str = "Passw0rd!";
pub(crate) const LOGIN: [(&str, &str); 2] = [("username", USER), ("password", PASSWORD)];

/// A plug, or a strip of so many outlets, that belongs to somebody.
pub(crate) fn owned(outlets: usize) -> Device {
    let spec = Spec::plug("storage-b").credentials(USER, PASSWORD);
    Device::new(if outlets == 1 { spec } else { spec.outlets(outlets) })
}
