//! The Python package's wheels: one for every Python with the stable ABI, and one for free-threaded Python.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

use super::binaries;
use crate::context::Context;
use crate::exec::{Show, run};
use crate::setup::package::tool;

pub(super) const PACKAGE: &str = "fencekit-py";

/// The wheel for Python 3.9 and later, built once for all steps, and the program that its tests play devices with.
pub(super) fn build(context: &Context, until: Instant) -> Result<PathBuf, String> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(wheel) = BUILT.get() {
        return Ok(wheel.clone());
    }
    binaries::programs(context, until)?;
    let place = context.interop.join("wheels");
    let wheel = made_by(
        context,
        until,
        &mut maturin(context, &place),
        &place,
        "-cp39-abi3-",
    )?;
    Ok(BUILT.get_or_init(|| wheel).clone())
}

/// A wheel for free-threaded Python. No machine of ours has one: maturin is told what it would have said of itself.
pub(super) fn free_threaded(context: &Context, until: Instant) -> Result<PathBuf, String> {
    let place = context.interop.join("wheels-free-threaded");
    let interpreter = context.interop.join("python-3.14t.txt");
    let of_itself = format!(
        "implementation=CPython\nversion=3.14\nshared=false\nabi3=false\nbuild_flags=Py_GIL_DISABLED\npointer_width=64\n\
         ext_suffix=.cpython-314t-{}-linux-gnu.so\n",
        env::consts::ARCH
    );
    fs::write(&interpreter, of_itself)
        .map_err(|error| format!("cannot write {}: {error}", interpreter.display()))?;
    let mut maturin = maturin(context, &place);
    maturin
        .args(["--no-default-features", "--features", "tls"])
        .env("PYO3_CONFIG_FILE", &interpreter);
    made_by(context, until, &mut maturin, &place, "-cp314-cp314t-")
}

fn maturin(context: &Context, place: &Path) -> Command {
    let mut maturin = Command::new(tool(context, "maturin"));
    maturin
        .args(["build", "--quiet", "--locked", "--profile", "dev"])
        .arg("--manifest-path")
        .arg(context.workspace.join(PACKAGE).join("Cargo.toml"))
        .arg("--out")
        .arg(place)
        .current_dir(&context.workspace);
    maturin
}

/// The one wheel that comes of it, whose name must say for what it is.
fn made_by(
    context: &Context,
    until: Instant,
    maturin: &mut Command,
    place: &Path,
    kind: &str,
) -> Result<PathBuf, String> {
    let _ = fs::remove_dir_all(place);
    run(context, maturin, until, Show::OnFailure).success()?;
    let built: Vec<PathBuf> = fs::read_dir(place)
        .map_err(|error| format!("{}: {error}", place.display()))?
        .flatten()
        .map(|file| file.path())
        .collect();
    match built.as_slice() {
        [wheel] if wheel.to_string_lossy().contains(kind) => Ok(wheel.clone()),
        other => Err(format!("not one wheel named {kind}, but {other:?}")),
    }
}
