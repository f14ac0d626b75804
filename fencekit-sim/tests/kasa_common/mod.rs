//! What the tests of the Kasa backend share.
#![allow(dead_code, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::time::Duration;

use fencekit::{Confirmation, Deadline, Error, FenceDevice, Method, Policy, Settings};
use fencekit_sim::{Device, Faults, Running};

/// A free port on loopback.
pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
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
pub(crate) fn is_safe(fault: &str, device: &Device, outlet: usize, outcome: &Result<Confirmation, Error>) {
    if outcome.is_ok() && !matches!(fault, "lie") {
        assert_eq!(device.relay(outlet), Some(false), "{fault}: {outcome:?}");
    }
    let harmless = [
        "slow",
        "trickle",
        "doubled",
        "one_client",
        "delay",
        "bounce",
        "meter_stuck",
        "lie",
        "redirect",
        "reject_auth",
    ];
    if harmless.contains(&fault) {
        assert!(outcome.is_ok(), "{fault}: {outcome:?}");
    } else {
        assert!(outcome.is_err(), "{fault}: {outcome:?}");
    }
}
