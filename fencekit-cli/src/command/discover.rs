//! `fencekit discover`: who on a network could be a fence device. Nothing is logged in to or changed.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use fencekit::discover::{self, sweep};
use fencekit::{Found, Result};
use serde_json::json;

use super::output::{self, Colour, Table};
use super::{Common, DONE, FAILED, progress};

#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// Networks as 10.20.20.0/24, broadcast addresses or single devices; the default is the network with the default
    /// route
    #[arg(value_name = "TARGET")]
    targets: Vec<discover::Target>,
    /// How long to wait for answers, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = super::seconds)]
    wait: Duration,
    /// Also knock at each address of a range, as 10.20.20.0/24 or 10.20.20.200-220: finds Tasmota and ESPHome
    /// devices that do not announce themselves, and BMCs that do not answer a broadcast
    #[arg(long, value_name = "RANGE")]
    range: Option<sweep::Range>,
}

pub(super) fn run(common: &Common, options: &Options) -> Result<u8> {
    let search = discover::Search {
        targets: options.targets.clone(),
        range: options.range,
        wait: options.wait,
    };
    let work = progress::waiting("waiting for devices to answer", discover::search(&search));
    let Some(found) = super::block_on(work)? else {
        log::error!("interrupted");
        return Ok(FAILED);
    };
    let found = found?;
    if common.json {
        output::document(&json!({"devices": found}));
    } else {
        print(&found);
    }
    Ok(DONE)
}

fn print(found: &[Found]) {
    if found.is_empty() {
        let _ = writeln!(
            std::io::stderr(),
            "nobody answered; is this host on the devices' network? name another, as fencekit discover 10.20.20.0/24"
        );
        return;
    }
    let mut table = Table::new(&[
        "METHOD",
        "ADDRESS",
        "TRANSPORT",
        "WHO",
        "MODEL",
        "FIRMWARE",
        "METER",
        "NOTE",
    ]);
    let plain = |text: String| (text, Colour::Plain);
    for device in found {
        let meter = match device.metered {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        table.row(vec![
            plain(device.method.name().to_owned()),
            plain(device.address.to_string()),
            plain(device.transport.clone()),
            plain(output::who(&device.identity)),
            plain(device.identity.model.clone().unwrap_or_default()),
            plain(device.identity.firmware.clone().unwrap_or_default()),
            plain(meter.to_owned()),
            (device.note.clone(), Colour::Notice),
        ]);
    }
    table.print();
    let addresses: BTreeSet<_> = found.iter().map(|device| device.address.ip()).collect();
    let _ = writeln!(
        std::io::stderr(),
        "{} found; --json has an entry for the cluster file for each",
        addresses.len()
    );
}
