//! cargo-c, with which packagers build C libraries, as a newer Debian has it built.
//!
//! Building it takes longer than all tests of the C library. So its package is unpacked, with everything that it wants, its C
//! library too: it runs on this machine whatever release that has. What it builds is built by this machine's compiler.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use super::release::{self, Mirror};
use super::{Done, Need, stamp};
use crate::context::Context;

const PACKAGE: &str = "cargo-c";

/// The release of Debian that it is taken from: the first whose cargo-c reads this workspace.
const RELEASE: &str = "trixie";

/// What is not there.
pub(crate) fn need(context: &Context) -> Need {
    if stamp::holds(context, PACKAGE, RELEASE) && command(context).is_some() {
        return Need::Nothing;
    }
    let place = place(context).display().to_string();
    Need::Install(format!("{PACKAGE} of Debian's {RELEASE}, unpacked into {place}"))
}

/// Unpacks it.
pub(crate) fn install(context: &Context, until: Instant) -> Result<Done, String> {
    let mirror = match Mirror::of_machine() {
        Ok(mirror) => mirror,
        Err(note) => return Ok(Done::Partial(note)),
    };
    stamp::clear(context, PACKAGE);
    let wanted = release::Wanted {
        release: RELEASE,
        packages: &[PACKAGE],
        left_out: &[],
    };
    release::unpack(context, until, &place(context), &mirror, &wanted)?;
    if command(context).is_none() {
        return Err(format!("{} has no cargo-cinstall", place(context).display()));
    }
    stamp::set(context, PACKAGE, RELEASE)?;
    Ok(Done::Complete)
}

/// The start of a call of `cargo cinstall`; `None` where it is not there.
pub(crate) fn command(context: &Context) -> Option<Command> {
    let root = place(context);
    let program = root.join("usr/bin/cargo-cinstall");
    let libraries = root.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH));
    let loader = fs::read_dir(&libraries)
        .ok()?
        .flatten()
        .find(|file| file.file_name().to_string_lossy().starts_with("ld-linux"))?;
    if !program.is_file() {
        return None;
    }
    // Its own loader and libraries, for this program alone: the compiler that it starts has the machine's.
    let mut command = Command::new(loader.path());
    command.arg("--library-path").arg(libraries).arg(program);
    command.arg("cinstall").current_dir(&context.workspace);
    Some(command)
}

fn place(context: &Context) -> PathBuf {
    context.interop.join(PACKAGE)
}
