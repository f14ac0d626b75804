//! What builds the Python package and checks its types, and the wheels that its tests install.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use super::lists::{PACKAGE, PYTEST};
use super::python::{install_venv, need_venv};
use super::{Done, Need, stamp};
use crate::context::Context;
use crate::exec::{Show, run};

const VENV: &str = "package";
const WHEELHOUSE: &str = "wheelhouse";

/// A program of the environment that builds.
pub(crate) fn tool(context: &Context, name: &str) -> PathBuf {
    context.interop.join(VENV).join("bin").join(name)
}

/// Where the tests' own packages lie, for every Python.
pub(crate) fn wheelhouse(context: &Context) -> PathBuf {
    context.interop.join(WHEELHOUSE)
}

/// What is missing.
pub(crate) fn need(context: &Context) -> Need {
    match need_venv(context, VENV, PACKAGE) {
        Need::Nothing if stamp::holds(context, WHEELHOUSE, &PYTEST.join("\n")) => Need::Nothing,
        _ => Need::Install(format!(
            "with pip into {}: {}; the wheels of {} beside it",
            context.interop.join(VENV).display(),
            PACKAGE.join(", "),
            PYTEST.join(", ")
        )),
    }
}

/// Makes the environment, and fetches the wheels that every Python may need.
pub(crate) fn install(context: &Context, until: Instant) -> Result<Done, String> {
    if let Need::Install(_) = need_venv(context, VENV, PACKAGE)
        && let Done::Partial(note) = install_venv(context, until, VENV, PACKAGE)?
    {
        return Ok(Done::Partial(note));
    }
    let house = wheelhouse(context);
    stamp::clear(context, WHEELHOUSE);
    let _ = fs::remove_dir_all(&house);
    let mut pip = Command::new(tool(context, "python"));
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ])
    .args(["--only-binary", ":all:", "--python-version", "3.9", "--dest"])
    .arg(&house)
    .args(PYTEST);
    run(context, &mut pip, until, Show::OnFailure).success()?;
    stamp::set(context, WHEELHOUSE, &PYTEST.join("\n"))?;
    Ok(Done::Complete)
}
