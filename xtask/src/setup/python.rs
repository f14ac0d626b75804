//! Virtual environments made with the newest Python of the machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use super::lists::PYTHON;
use super::{Done, Need, stamp};
use crate::context::Context;
use crate::exec::{Show, run};

/// The packages' own minimum, and the newest version that they are known to install on.
const MINOR_VERSIONS: std::ops::RangeInclusive<u32> = 11..=14;
/// The oldest that our own package is for.
const OLDEST: u32 = 9;

/// What the shared venv lacks.
pub(crate) fn need(context: &Context) -> Need {
    need_venv(context, "venv", PYTHON)
}

/// Makes the shared venv.
pub(crate) fn install(context: &Context, until: Instant) -> Result<Done, String> {
    install_venv(context, until, "venv", PYTHON)
}

/// What the venv of this name lacks.
pub(crate) fn need_venv(context: &Context, name: &str, packages: &[&str]) -> Need {
    need_venv_of(context, newest(), name, packages)
}

/// What the venv of this name and this Python lacks.
pub(crate) fn need_venv_of(
    context: &Context,
    python: Option<&Python>,
    name: &str,
    packages: &[&str],
) -> Need {
    let whole = context.interop.join(name).join("bin/python").exists();
    if whole && python.is_some_and(|python| stamp::holds(context, name, &list(python, packages))) {
        return Need::Nothing;
    }
    Need::Install(format!(
        "with pip into {}: {}",
        context.interop.join(name).display(),
        packages.join(", ")
    ))
}

/// Makes the venv of this name from nothing.
pub(crate) fn install_venv(
    context: &Context,
    until: Instant,
    name: &str,
    packages: &[&str],
) -> Result<Done, String> {
    install_venv_of(context, until, newest(), name, packages)
}

/// Makes the venv of this name from nothing, with this Python.
pub(crate) fn install_venv_of(
    context: &Context,
    until: Instant,
    python: Option<&Python>,
    name: &str,
    packages: &[&str],
) -> Result<Done, String> {
    let Some(python) = python else {
        let note =
            "no Python 3.11 or newer with venv and ensurepip; on Debian the package python3-venv brings it";
        return Ok(Done::Partial(note.to_owned()));
    };
    let list = list(python, packages);
    let dir = context.interop.join(name);
    stamp::clear(context, name);
    if dir.exists() {
        fs::remove_dir_all(&dir).map_err(|error| format!("cannot remove {}: {error}", dir.display()))?;
    }
    let mut venv = Command::new(&python.path);
    venv.args(["-m", "venv"]).arg(&dir);
    run(context, &mut venv, until, Show::OnFailure).success()?;
    let mut pip = Command::new(dir.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ])
    .args(packages);
    run(context, &mut pip, until, Show::OnFailure).success()?;
    stamp::set(context, name, &list)?;
    Ok(Done::Complete)
}

/// A Python that can make a venv with pip.
pub(crate) struct Python {
    pub(crate) path: PathBuf,
    /// The minor version of Python 3.
    pub(crate) minor: u32,
}

/// The newest on the machine: on PATH, or one of pyenv's, which are on PATH only when chosen.
pub(crate) fn newest() -> Option<&'static Python> {
    newest_up_to(*MINOR_VERSIONS.end())
}

/// The newest on the machine that is no newer than 3.`minor`.
pub(crate) fn newest_up_to(minor: u32) -> Option<&'static Python> {
    all()
        .iter()
        .filter(|python| MINOR_VERSIONS.contains(&python.minor) && python.minor <= minor)
        .max_by_key(|python| python.minor)
}

/// The oldest and the newest on the machine that our own package is for: two, one or none.
pub(crate) fn oldest_and_newest() -> Vec<&'static Python> {
    let oldest = all().iter().min_by_key(|python| python.minor);
    let newest = all().iter().max_by_key(|python| python.minor);
    let mut both: Vec<&Python> = oldest.into_iter().chain(newest).collect();
    both.dedup_by_key(|python| python.minor);
    both
}

/// Every Python of the machine that can make a venv.
fn all() -> &'static [Python] {
    static FOUND: OnceLock<Vec<Python>> = OnceLock::new();
    // A look that found none is repeated: the set-up may have installed one since.
    if FOUND.get().is_none() {
        let found: Vec<Python> = candidates().into_iter().filter_map(probe).collect();
        if found.is_empty() {
            return &[];
        }
        let _ = FOUND.set(found);
    }
    FOUND.get().map_or(&[], Vec::as_slice)
}

fn candidates() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let names: Vec<String> = (OLDEST..=*MINOR_VERSIONS.end())
        .map(|minor| format!("python3.{minor}"))
        .chain(["python3".to_owned()])
        .collect();
    let mut found: Vec<PathBuf> = env::split_paths(&path)
        .chain([PathBuf::from("/usr/bin")])
        .flat_map(|dir| names.iter().map(move |name| dir.join(name)))
        .collect();
    let pyenv = env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv")));
    if let Some(versions) = pyenv.and_then(|pyenv| fs::read_dir(pyenv.join("versions")).ok()) {
        found.extend(
            versions
                .flatten()
                .map(|version| version.path().join("bin/python3")),
        );
    }
    // A shim of pyenv runs whichever version is chosen in the directory, slowly; the versions themselves are listed.
    found.retain(|path| path.exists() && !path.starts_with(pyenv_root().join("shims")));
    found.sort();
    found.dedup();
    found
}

fn pyenv_root() -> PathBuf {
    let home = env::var_os("HOME").unwrap_or_default();
    env::var_os("PYENV_ROOT").map_or_else(|| Path::new(&home).join(".pyenv"), PathBuf::from)
}

/// Asks a Python for its version; one that cannot make a venv, or does not run at all, has none.
fn probe(path: PathBuf) -> Option<Python> {
    let script = "import sys, ensurepip, ssl, venv; print(sys.version_info[0] == 3 and sys.version_info[1])";
    let output = Command::new(&path)
        .args(["-c", script])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let minor = String::from_utf8_lossy(&output.stdout).trim().parse().ok()?;
    let known = (OLDEST..=*MINOR_VERSIONS.end()).contains(&minor);
    (output.status.success() && known).then_some(Python { path, minor })
}

fn list(python: &Python, packages: &[&str]) -> String {
    format!("{}\n{}\n", python.path.display(), packages.join("\n"))
}
