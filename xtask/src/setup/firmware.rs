//! Real ESPHome devices, compiled for this host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::lists::ESPHOME;
use super::{Done, Need, debian, stamp};
use crate::context::Context;
use crate::exec::{Show, run};

/// The devices, each with its own `api:`.
const DEVICES: [&str; 2] = ["encrypted", "plain"];

/// What is not compiled.
pub(crate) fn need(context: &Context) -> Need {
    let dir = dir(context);
    let whole = DEVICES.iter().all(|device| dir.join(device).exists());
    if whole && stamp::holds(context, "esphome-firmware", &list(context)) {
        return Need::Nothing;
    }
    Need::Install(format!(
        "compiled in about a minute into {}: real ESPHome firmware for this host",
        dir.display()
    ))
}

/// Compiles them.
pub(crate) fn install(context: &Context, until: Instant) -> Result<Done, String> {
    let esphome = context.interop.join("esphome/bin/esphome");
    if !esphome.exists() {
        return Ok(Done::Partial(
            "no esphome here to make the firmware with".to_owned(),
        ));
    }
    if debian::program("g++").is_none() || !Path::new("/usr/include/sodium.h").exists() {
        return Ok(Done::Partial(
            "no C++ compiler or no libsodium here; on Debian the packages g++ and libsodium-dev bring them"
                .to_owned(),
        ));
    }
    stamp::clear(context, "esphome-firmware");
    for device in DEVICES {
        let mut build = Command::new("bash");
        build
            .arg(source(context).join("build.sh"))
            .arg(&esphome)
            .arg(format!("{device}.yaml"))
            .arg(dir(context).join(device));
        run(context, &mut build, until, Show::OnFailure).success()?;
    }
    stamp::set(context, "esphome-firmware", &list(context))?;
    Ok(Done::Complete)
}

fn dir(context: &Context) -> PathBuf {
    context.interop.join("esphome-firmware")
}

fn source(context: &Context) -> PathBuf {
    context.workspace.join("interop/esphome")
}

/// Everything that the firmware is made of: the version of ESPHome and our own files.
fn list(context: &Context) -> String {
    let files = [
        "build.sh",
        "device.yaml",
        "encrypted.yaml",
        "plain.yaml",
        "loopback.c",
        "noise/noise.c",
        "noise/protocol.h",
    ];
    let mut list = ESPHOME.join("\n");
    for file in files {
        list.push_str(&fs::read_to_string(source(context).join(file)).unwrap_or_default());
    }
    list
}
