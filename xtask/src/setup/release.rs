//! Packages of other Debian releases than this machine's, unpacked into directories with all that they depend on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::debian::{extract_into, fetch_into, planned, program};
use crate::context::Context;
use crate::exec::{Show, run};

/// What Debian signs its releases with, the coming ones included.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Packages of a release, and what they depend on.
pub(super) struct Wanted<'a> {
    /// The release's code name.
    pub(super) release: &'a str,
    /// The packages.
    pub(super) packages: &'a [&'a str],
    /// How the names begin of what is left out though they depend on it.
    pub(super) left_out: &'a [&'a str],
}

/// Where Debian's releases come from.
pub(super) struct Mirror(String);

impl Mirror {
    /// Where the machine itself has Debian's packages from.
    ///
    /// # Errors
    /// Why nothing can be fetched here.
    pub(super) fn of_machine() -> Result<Self, String> {
        if program("apt-get").is_none() || !Path::new(KEYRING).exists() {
            return Err(format!("no apt-get or no {KEYRING} here"));
        }
        mirror()
            .map(Self)
            .ok_or_else(|| "apt has no mirror of Debian here".to_owned())
    }
}

/// Unpacks them into a root directory. What apt keeps of it lies beside it until then.
///
/// # Errors
/// What did not go well.
pub(super) fn unpack(
    context: &Context,
    until: Instant,
    root: &Path,
    mirror: &Mirror,
    wanted: &Wanted<'_>,
) -> Result<(), String> {
    let apt = root.with_extension("apt");
    for old in [root, &apt] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(|error| format!("cannot remove {}: {error}", old.display()))?;
        }
    }
    let configuration = configure(&apt, &mirror.0, wanted.release)
        .map_err(|error| format!("cannot write into {}: {error}", apt.display()))?;
    let apt_get = || {
        let mut command = Command::new("apt-get");
        command.env("APT_CONFIG", &configuration);
        command
    };
    run(
        context,
        apt_get().args(["update", "--quiet=2"]),
        until,
        Show::OnFailure,
    )
    .success()?;
    let mut simulate = apt_get();
    simulate.args(["install", "--simulate"]).args(wanted.packages);
    let plan = run(context, &mut simulate, until, Show::OnFailure).success()?;
    let packages: Vec<&str> = planned(&plan)
        .into_iter()
        .filter(|package| !wanted.left_out.iter().any(|start| package.starts_with(start)))
        .collect();
    let cache = apt.join("fetched");
    fetch_into(context, apt_get(), &cache, &packages, until)?;
    extract_into(context, &cache, root, until)?;
    fs::remove_dir_all(&apt).map_err(|error| format!("cannot remove {}: {error}", apt.display()))
}

/// A configuration of apt that knows this release alone, and of no installed package. Returns its file.
fn configure(apt: &Path, mirror: &str, release: &str) -> std::io::Result<PathBuf> {
    fs::create_dir_all(apt.join("lists/partial"))?;
    fs::create_dir_all(apt.join("cache/archives/partial"))?;
    fs::write(apt.join("status"), "")?;
    fs::write(
        apt.join("sources.list"),
        format!("deb [signed-by={KEYRING}] {mirror} {release} main\n"),
    )?;
    let file = apt.join("apt.conf");
    let path = apt.display();
    fs::write(
        &file,
        format!(
            "Dir::State \"{path}\";\nDir::State::status \"{path}/status\";\nDir::Cache \"{path}/cache\";\n\
             Dir::Etc::sourcelist \"{path}/sources.list\";\nDir::Etc::sourceparts \"/dev/null\";\n\
             Dir::Etc::preferencesparts \"/dev/null\";\nAcquire::Languages \"none\";\n\
             Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
             APT::Install-Recommends \"false\";\nAPT::Sandbox::User \"root\";\n"
        ),
    )?;
    Ok(file)
}

fn mirror() -> Option<String> {
    let out = Command::new("apt-get")
        .args(["indextargets", "--no-release-info", "--format", "$(REPO_URI)"])
        .arg("Identifier: Packages")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    of_debian(&text).map(str::to_owned)
}

fn of_debian(uris: &str) -> Option<&str> {
    uris.lines()
        .find(|uri| uri.trim_end_matches('/').ends_with("/debian"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_debian_among_what_apt_knows() {
        let uris = "https://mirror.example/tool/\nhttps://mirror.example/debian-security/\nhttps://mirror.example/debian/\n";
        assert_eq!(of_debian(uris), Some("https://mirror.example/debian/"));
        assert_eq!(of_debian("https://mirror.example/ubuntu/\n"), None);
    }

    #[test]
    fn apt_knows_of_this_release_alone() {
        let dir = std::env::temp_dir().join(format!("fencekit-release-{}", std::process::id()));
        let file = configure(&dir, "https://mirror.example/debian/", "bullseye").unwrap();
        let configuration = fs::read_to_string(file).unwrap();
        let sources = fs::read_to_string(dir.join("sources.list")).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        assert!(
            configuration.lines().all(|line| line.ends_with("\";")),
            "{configuration}"
        );
        assert_eq!(
            sources,
            format!("deb [signed-by={KEYRING}] https://mirror.example/debian/ bullseye main\n")
        );
    }
}
