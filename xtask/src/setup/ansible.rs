//! Ansible in a venv of its own, and the venvs of its sanity tests.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::lists::{ANSIBLE, ANSIBLE_PYTHON};
use super::python::{Python, install_venv_of, need_venv_of, newest_up_to};
use super::{Done, Need, stamp};
use crate::context::Context;
use crate::exec::{Show, run};

const VENV: &str = "ansible";
const SANITY: &str = "ansible-test";

/// ansible-test fetches get-pip.py from a host of its own, which a machine behind a mirror of PyPI does not reach;
/// a file of this name in its cache is taken instead. It calls it with names of its own for what not to install.
const GET_PIP: (&str, &str) = (
    "get_pip_24_2.py",
    r#""""In the place of get-pip.py: the pip that Python brings installs the one that ansible-test wants."""
import subprocess
import sys

options = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "ensurepip"])
subprocess.check_call([sys.executable, "-m", "pip", "install", *options])
"#,
);

/// The collection, as a path in the source tree.
pub(crate) const COLLECTION: &str = "examples/ansible/ansible_collections/fencekit/stonith";

fn python() -> Option<&'static Python> {
    newest_up_to(ANSIBLE_PYTHON)
}

/// What Ansible's venv lacks.
pub(crate) fn need(context: &Context) -> Need {
    need_venv_of(context, python(), VENV, ANSIBLE)
}

/// Makes Ansible's venv.
pub(crate) fn install(context: &Context, until: Instant) -> Result<Done, String> {
    // Its sanity tests' venvs belong to it.
    stamp::clear(context, SANITY);
    install_venv_of(context, until, python(), VENV, ANSIBLE)
}

/// Whether the sanity tests' venvs are missing.
pub(crate) fn need_sanity(context: &Context) -> Need {
    if stamp::holds(context, SANITY, &list()) {
        return Need::Nothing;
    }
    Need::Install(format!(
        "what ansible-test asks for, with pip into {}",
        home(context).display()
    ))
}

/// Makes the sanity tests' venvs, so that the tests themselves need no network.
pub(crate) fn install_sanity(context: &Context, until: Instant) -> Result<Done, String> {
    if !program(context, "ansible-test").exists() {
        return Ok(Done::Partial("it needs Ansible's venv".to_owned()));
    }
    stamp::clear(context, SANITY);
    let cache = home(context).join(".ansible/test/cache");
    let (name, text) = GET_PIP;
    fs::create_dir_all(&cache)
        .and_then(|()| fs::write(cache.join(name), text))
        .map_err(|error| format!("{}: {error}", cache.display()))?;
    let collection = copy(context, until)?;
    let mut prime = command(context, "ansible-test");
    prime
        .args(["sanity", "--prime-venvs", "--python", &version()])
        .current_dir(collection);
    run(context, &mut prime, until, Show::OnFailure).success()?;
    if !home(context).join(".ansible/test/venv").exists() {
        return Err("ansible-test found nothing to test".to_owned());
    }
    stamp::set(context, SANITY, &list())?;
    Ok(Done::Complete)
}

/// The Python of the venv, as ansible-test writes it.
pub(crate) fn version() -> String {
    python().map_or_else(String::new, |python| format!("3.{}", python.minor))
}

/// A program of Ansible's venv.
pub(crate) fn program(context: &Context, name: &str) -> PathBuf {
    context.interop.join(VENV).join("bin").join(name)
}

/// A command of Ansible's venv, which finds the others there, and keeps its files out of the user's home.
pub(crate) fn command(context: &Context, name: &str) -> Command {
    let mut command = Command::new(program(context, name));
    let bin = context.interop.join(VENV).join("bin");
    let old = env::var_os("PATH").unwrap_or_default();
    if let Ok(path) = env::join_paths(std::iter::once(bin).chain(env::split_paths(&old))) {
        command.env("PATH", path);
    }
    for (name, _) in env::vars_os() {
        // Nobody's own configuration decides what a test says.
        if name.to_string_lossy().starts_with("ANSIBLE_") {
            command.env_remove(&name);
        }
    }
    command
        .env("HOME", home(context))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_COLOR", "1")
        // Ansible refuses a locale that is not UTF-8.
        .env("LC_ALL", "C.UTF-8");
    command
}

/// Copies the example, since ansible-test writes into the collection that it tests. Returns the copy of the collection.
pub(crate) fn copy(context: &Context, until: Instant) -> Result<PathBuf, String> {
    let place = context.interop.join("ansible-copy");
    if place.exists() {
        fs::remove_dir_all(&place).map_err(|error| format!("cannot remove {}: {error}", place.display()))?;
    }
    let mut git = Command::new("git");
    git.current_dir(&context.workspace)
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .arg("examples/ansible");
    let listed = run(context, &mut git, until, Show::OnFailure).success()?;
    for file in listed.lines() {
        copy_file(&context.workspace.join(file), &place.join(file))?;
    }
    // The tools test what git knows, and to the repository around the copy that is nothing.
    let mut init = Command::new("git");
    init.args(["init", "--quiet"]).arg(&place);
    run(context, &mut init, until, Show::OnFailure).success()?;
    let collection = place.join(COLLECTION);
    if !collection.join("galaxy.yml").exists() {
        return Err(format!("{COLLECTION} is not in the source tree"));
    }
    Ok(collection)
}

fn copy_file(from: &Path, to: &Path) -> Result<(), String> {
    // git lists what was deleted and not yet committed, too.
    if !from.exists() {
        return Ok(());
    }
    to.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::copy(from, to).map(drop))
        .map_err(|error| format!("cannot copy {}: {error}", from.display()))
}

fn home(context: &Context) -> PathBuf {
    context.interop.join("ansible-home")
}

fn list() -> String {
    format!("{}\n{}\n{}\n", version(), ANSIBLE.join("\n"), GET_PIP.1)
}
