//! Debian packages: installed as root, else unpacked into a directory of their own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::lists::{DEBIAN, Debian, ShownBy};
use super::{Done, Need, python, stamp};
use crate::context::Context;
use crate::exec::{Show, run};

/// What is not on the machine.
pub(crate) fn need(context: &Context) -> Need {
    let missing = missing(context);
    if missing.is_empty() {
        return Need::Nothing;
    }
    let names = missing.join(" ");
    Need::Install(if context.root {
        // Debian starts the services of what it installs; that of pcs listens on port 2224.
        let services = if missing.contains(&"pcs") {
            "; pcs brings the service pcsd (afterwards: systemctl disable --now pcsd)"
        } else {
            ""
        };
        format!("with apt-get: {names}{services}")
    } else {
        format!(
            "unpacked into {} (as you are not root): {names}",
            unpacked(context).display()
        )
    })
}

/// Installs what is missing.
pub(crate) fn install(context: &Context, until: Instant) -> Result<Done, String> {
    if program("apt-get").is_none() {
        return Ok(Done::Partial(format!(
            "no apt-get here; install by hand: {}",
            missing(context).join(" ")
        )));
    }
    if context.root {
        install_as_root(context, until)?;
    } else {
        unpack(context, until)?;
    }
    unpack_alone(context, until)?;
    let left = missing(context);
    match (left.is_empty(), context.root) {
        (true, _) => Ok(Done::Complete),
        (false, true) => Err(format!(
            "installed, but what shows it is not there: {}",
            left.join(" ")
        )),
        (false, false) => Ok(Done::Partial(format!(
            "can only be used as root: {}",
            left.join(" ")
        ))),
    }
}

fn install_as_root(context: &Context, until: Instant) -> Result<(), String> {
    // One source of many that does not answer must not matter; what is then missing, the next command says.
    if let Err(error) = apt_get(context, until, &["update", "--quiet=2"]) {
        println!("apt-get update: {error}");
    }
    let mut args = vec!["install", "--yes", "--quiet=2", "--no-install-recommends"];
    let names = missing_packages(context).filter(|debian| !debian.only_unpacked);
    args.extend(names.map(|debian| debian.package));
    apt_get(context, until, &args)
}

/// Single packages whose programs need nothing else.
fn unpack_alone(context: &Context, until: Instant) -> Result<(), String> {
    let wanted: Vec<&str> = missing_packages(context)
        .filter(|debian| debian.only_unpacked)
        .map(|debian| debian.package)
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let cache = context.interop.join("debs-alone");
    fetch_into(context, Command::new("apt-get"), &cache, &wanted, until)?;
    extract_into(context, &cache, &unpacked(context), until)
}

fn apt_get(context: &Context, until: Instant, args: &[&str]) -> Result<(), String> {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(args);
    run(context, &mut command, until, Show::OnFailure)
        .success()
        .map(drop)
}

/// Without root: the packages and what they depend on are fetched and unpacked.
fn unpack(context: &Context, until: Instant) -> Result<(), String> {
    let wanted: Vec<&str> = missing_packages(context)
        .filter(|debian| !debian.root && !debian.only_unpacked)
        .map(|debian| debian.package)
        .collect();
    let list = wanted.join("\n");
    if wanted.is_empty() || stamp::holds(context, "debs", &list) {
        return Ok(());
    }
    stamp::clear(context, "debs");
    let cache = context.interop.join("debs-fetched");
    let mut simulate = Command::new("apt-get");
    simulate
        .args(["install", "--simulate", "--no-install-recommends"])
        .args(&wanted);
    let plan = run(context, &mut simulate, until, Show::OnFailure).success()?;
    fetch_into(context, Command::new("apt-get"), &cache, &planned(&plan), until)?;
    extract_into(context, &cache, &unpacked(context), until)?;
    stamp::set(context, "debs", &list)
}

/// Fetches packages as files into a directory, with an `apt-get` that may have a configuration of its own.
pub(super) fn fetch_into(
    context: &Context,
    mut apt_get: Command,
    cache: &Path,
    packages: &[&str],
    until: Instant,
) -> Result<(), String> {
    fs::create_dir_all(cache).map_err(|error| format!("cannot make {}: {error}", cache.display()))?;
    apt_get.current_dir(cache).arg("download").args(packages);
    run(context, &mut apt_get, until, Show::OnFailure)
        .success()
        .map(drop)
}

/// Unpacks every package that was fetched.
pub(super) fn extract_into(
    context: &Context,
    cache: &Path,
    root: &Path,
    until: Instant,
) -> Result<(), String> {
    let each = "for file in \"$1\"/*.deb; do dpkg --extract \"$file\" \"$2\"; done";
    let mut sh = Command::new("sh");
    sh.args(["-euc", each, "unpack"]).arg(cache).arg(root);
    run(context, &mut sh, until, Show::OnFailure).success().map(drop)
}

/// The packages that apt-get would install, from what it says when it simulates.
pub(super) fn planned(plan: &str) -> Vec<&str> {
    plan.lines()
        .filter_map(|line| line.strip_prefix("Inst "))
        .filter_map(|line| line.split_ascii_whitespace().next())
        .collect()
}

fn missing(context: &Context) -> Vec<&'static str> {
    missing_packages(context).map(|debian| debian.package).collect()
}

fn missing_packages(context: &Context) -> impl Iterator<Item = &'static Debian> {
    DEBIAN
        .iter()
        .filter(|debian| !is_there(context, &debian.shown_by))
}

fn is_there(context: &Context, shown_by: &ShownBy) -> bool {
    match shown_by {
        ShownBy::Program(name) => {
            let unpacked = unpacked(context);
            program(name).is_some()
                || ["usr/bin", "usr/sbin", "bin", "sbin"]
                    .iter()
                    .any(|dir| unpacked.join(dir).join(name).is_file())
        }
        ShownBy::File(path) => Path::new(path).exists(),
        ShownBy::Library(name) => {
            Path::new(&format!("/usr/lib/{}-linux-gnu/{name}", env::consts::ARCH)).exists()
                || Path::new("/usr/lib").join(name).exists()
        }
        ShownBy::Venv => python::newest().is_some(),
    }
}

/// A program of the machine; daemons' directories are not on every user's PATH.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

fn unpacked(context: &Context) -> PathBuf {
    context.interop.join("debs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_plan_of_apt_get() {
        let plan = "NOTE: This is only a simulation!\nInst libfoo1 (1.2 Debian:12 [amd64])\n\
                    Inst foo [1.1] (1.2 Debian:12 [amd64]) []\nConf libfoo1 (1.2 Debian:12 [amd64])\n";
        assert_eq!(planned(plan), ["libfoo1", "foo"]);
    }

    #[test]
    fn no_package_is_listed_twice() {
        let mut names: Vec<_> = DEBIAN.iter().map(|debian| debian.package).collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before);
    }
}
