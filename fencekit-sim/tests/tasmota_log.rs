//! A password that goes by query, as old firmware wants it, does not get into a log.
#![allow(
    clippy::unwrap_used,
    reason = "a test may panic; clippy knows only the functions marked as tests"
)]

use std::sync::{Mutex, PoisonError};

use fencekit::{Deadline, FenceDeviceExt, Method, Policy, Settings};
use fencekit_sim::tasmota::Tasmota;
use fencekit_sim::{Device, Spec};

/// Keeps every record of every crate, at the finest level.
struct Keep(Mutex<Vec<String>>);

impl log::Log for Keep {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}", record.target(), record.args());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn flush(&self) {}
}

static KEEP: Keep = Keep(Mutex::new(Vec::new()));

#[tokio::test]
async fn no_log_holds_the_password() {
    log::set_logger(&KEEP).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let mut spec = Spec::plug("plug-b");
    spec.password = Some("s3cret".into());
    let tasmota = Tasmota::new(Device::new(spec));
    tasmota.change(|settings| settings.header_auth = false);
    let running = tasmota.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut settings = Settings::new(Method::Tasmota);
    for (name, value) in [("ip", "127.0.0.1"), ("password", "s3cret")] {
        settings.set(name, value).unwrap();
    }
    settings
        .set("ipport", &running.address.port().to_string())
        .unwrap();
    let device = Method::Tasmota.device(&settings).unwrap();
    let deadline = || Deadline::after(std::time::Duration::from_secs(30));
    device
        .off_confirmed(&Policy::default(), deadline(), &())
        .await
        .unwrap();
    // And one that fails, with retries in the log.
    running.device.set_faults("garbage".parse().unwrap());
    assert!(device.status(&Policy::default(), deadline()).await.is_err());
    let lines = KEEP.0.lock().unwrap().clone();
    assert!(
        lines.iter().any(|line| line.contains("trying again")),
        "nothing was logged: {lines:#?}"
    );
    for line in &lines {
        assert!(!line.contains("s3cret") && !line.contains("czNjcmV0"), "{line}");
    }
    println!("{} lines of log", lines.len());
}
