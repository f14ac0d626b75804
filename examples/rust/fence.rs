//! Switches one plug off and says so only once the plug, freshly asked, confirmed it.
//!
//! `cargo run -p fencekit --example fence -- tasmota 127.0.0.1:8080`

// An example speaks to people.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use fencekit::{Deadline, Error, FenceDeviceExt, Method, Policy, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let method: Method = args.next().unwrap_or_default().parse()?;
    let address = args.next().unwrap_or_default();
    let (ip, port) = address.rsplit_once(':').unwrap_or((&address, "80"));

    let mut settings = Settings::new(method);
    settings.set("ip", ip)?;
    settings.set("ipport", port)?;
    let device = method.device(&settings)?;
    let policy = Policy::from_settings(&settings)?;
    let confirmed = device
        .off_confirmed(&policy, Deadline::after(Duration::from_secs(20)), &())
        .await?;
    println!(
        "{} is off: {} command(s), {} look(s)",
        device.label(),
        confirmed.commands,
        confirmed.looks
    );
    Ok(())
}
