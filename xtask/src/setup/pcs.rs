//! Other versions of pcs than this machine's, each with the Pacemaker of its time: Debian releases unpacked into
//! directories, for tests that enter them.

use std::env;
use std::path::PathBuf;
use std::time::Instant;

use super::lists::{PCS, PCS_LEFT_OUT, PCS_PACKAGES};
use super::release::{self, Mirror};
use super::{Done, Need, stamp};
use crate::context::Context;

/// What is not unpacked.
pub(crate) fn need(context: &Context) -> Need {
    let missing: Vec<String> = missing(context)
        .map(|(version, release)| format!("{version} of {release}"))
        .collect();
    if missing.is_empty() {
        return Need::Nothing;
    }
    Need::Install(format!(
        "about 40 MB each of Debian packages, unpacked into {}-*, nothing of them installed: pcs {}",
        dir(context, "pcs").display(),
        missing.join(", pcs ")
    ))
}

/// Unpacks them.
pub(crate) fn install(context: &Context, until: Instant) -> Result<Done, String> {
    if !context.root {
        return Ok(Done::Partial("can only be entered as root".to_owned()));
    }
    let mirror = match Mirror::of_machine() {
        Ok(mirror) => mirror,
        Err(note) => return Ok(Done::Partial(note)),
    };
    for (version, release) in missing(context) {
        let name = name(version);
        stamp::clear(context, &name);
        let wanted = release::Wanted {
            release,
            packages: PCS_PACKAGES,
            left_out: PCS_LEFT_OUT,
        };
        release::unpack(context, until, &dir(context, &name), &mirror, &wanted)
            .map_err(|error| format!("pcs {version}: {error}"))?;
        stamp::set(context, &name, &list(release))?;
    }
    Ok(Done::Complete)
}

fn missing(context: &Context) -> impl Iterator<Item = (&'static str, &'static str)> {
    PCS.iter().copied().filter(|(version, release)| {
        let name = name(version);
        !dir(context, &name).is_dir() || !stamp::holds(context, &name, &list(release))
    })
}

fn name(version: &str) -> String {
    format!("pcs-{version}")
}

fn dir(context: &Context, name: &str) -> PathBuf {
    context.interop.join(name)
}

fn list(release: &str) -> String {
    format!(
        "{release} {}\n{}\nwithout\n{}\n",
        env::consts::ARCH,
        PCS_PACKAGES.join("\n"),
        PCS_LEFT_OUT.join("\n")
    )
}
