//! What the tests of the IPMI backend share: a simulated BMC and a client for it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses its part, and a test may end in a panic"
)]

use std::time::Duration;

use fencekit::{Deadline, FenceDevice, Method, Policy, Settings};
use fencekit_sim::ipmi::{BmcSpec, serve};
use fencekit_sim::{Device, Running, Spec};

pub(crate) const PASSWORD: &str = "correct-horse-batt";

pub(crate) async fn bmc(spec: BmcSpec) -> Running {
    let device = Device::new(Spec::plug("storage-a").credentials("fencer", PASSWORD));
    serve(device, "127.0.0.1:0".parse().unwrap(), spec).await.unwrap()
}

pub(crate) fn client(running: &Running, options: &[(&str, &str)]) -> Box<dyn FenceDevice> {
    Method::Ipmi.device(&settings(running, options)).unwrap()
}

pub(crate) fn settings(running: &Running, options: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::new(Method::Ipmi);
    let port = running.address.port().to_string();
    let usual = [
        ("ip", "127.0.0.1"),
        ("ipport", port.as_str()),
        ("username", "fencer"),
        ("password", PASSWORD),
        ("login_timeout", "2"),
        ("shell_timeout", "2"),
    ];
    for (name, value) in usual.iter().chain(options) {
        settings.set(name, value).unwrap();
    }
    settings
}

/// Without pauses between looks that would only slow the tests down.
pub(crate) fn policy() -> Policy {
    Policy {
        connect_attempts: 1,
        poll: Duration::from_millis(500),
        ..Policy::default()
    }
}

pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}
