//! What the project depends on, held against `deny.toml`.

use std::fs;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use super::Outcome;
use crate::context::Context;
use crate::exec::{Show, run};
use crate::spdx;
use crate::tally::Tally;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Licences, banned crates and sources of everything in the lock file; that a build without TLS compiles no C; and that
/// what is under the GPL stays where it is.
pub(crate) fn check(context: &Context, until: Instant) -> Outcome {
    let mut tally = Tally::default();
    let mut notes = Vec::new();
    for wrong in [
        packages(context, until),
        no_c_compiler(context, until),
        copyleft(context, until),
    ] {
        match wrong {
            Ok(wrong) if wrong.is_empty() => tally += Tally::PASSED,
            Ok(wrong) => {
                tally += Tally::FAILED;
                notes.extend(wrong);
            }
            Err(error) => {
                tally += Tally::FAILED;
                notes.push(error);
            }
        }
    }
    (tally, notes)
}

fn packages(context: &Context, until: Instant) -> Result<Vec<String>, String> {
    let rules = Rules::read(context)?;
    let mut cargo = context.cargo("metadata");
    cargo.args(["--format-version", "1", "--all-features", "--quiet"]);
    let text = run(context, &mut cargo, until, Show::OnFailure).success()?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata.get("packages").and_then(Value::as_array);
    let foreign: Vec<Package<'_>> = packages
        .into_iter()
        .flatten()
        .filter_map(Package::foreign)
        .collect();
    if foreign.is_empty() {
        return Err("cargo metadata lists no dependency at all".to_owned());
    }
    Ok(foreign
        .iter()
        .filter_map(|package| rules.against(package))
        .collect())
}

/// Without TLS the program is Rust alone, so that it builds on a bare machine.
fn no_c_compiler(context: &Context, until: Instant) -> Result<Vec<String>, String> {
    let mut cargo = context.cargo("tree");
    cargo.args([
        "--package",
        "fencekit-cli",
        "--no-default-features",
        "--edges",
        "normal,build",
    ]);
    cargo.args(["--prefix", "none", "--format", "{p}", "--quiet"]);
    let text = run(context, &mut cargo, until, Show::OnFailure).success()?;
    if !text.contains("fencekit-cli") {
        return Err("cargo tree does not name the program".to_owned());
    }
    let compiles_c = text.lines().any(|line| line.starts_with("cc v"));
    let wrong = "without its default features the program needs a C compiler: `cargo tree -p fencekit-cli \
                 --no-default-features -e normal,build -i cc` says why";
    Ok(compiles_c.then(|| wrong.to_owned()).into_iter().collect())
}

/// Ansible's modules are under its own licence, the GPL, and nothing else of the project is.
const GPL_DIR: &str = "examples/ansible/ansible_collections/fencekit/stonith/";

/// Files of our own under a licence that the project as a whole is not under, and modules that do not say theirs.
fn copyleft(context: &Context, until: Instant) -> Result<Vec<String>, String> {
    let mut git = Command::new("git");
    git.current_dir(&context.workspace)
        .args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let listed = run(context, &mut git, until, Show::OnFailure).success()?;
    Ok(listed
        .lines()
        .filter_map(|file| {
            // Bytes that are no text say nothing of a licence.
            let text = fs::read_to_string(context.workspace.join(file)).ok()?;
            misplaced(file, &text)
        })
        .collect())
}

/// What is wrong with the licence of a file.
fn misplaced(file: &str, text: &str) -> Option<String> {
    let tag = |line: &&str| line.contains("SPDX-License-Identifier:");
    let license = text.lines().take(10).find(tag).unwrap_or_default();
    let gpl = "SPDX-License-Identifier: GPL-3.0-or-later";
    match (file.starts_with(GPL_DIR), license.contains("GPL-")) {
        (false, true) => Some(format!(
            "{file}: only what is below {GPL_DIR} may be under the GPL"
        )),
        (true, _) if file.ends_with(".py") && !license.contains(gpl) => {
            Some(format!("{file}: the line \"# {gpl}\" is missing"))
        }
        _ => None,
    }
}

/// A package that is not ours.
struct Package<'a> {
    name: &'a str,
    license: &'a str,
    source: &'a str,
}

impl<'a> Package<'a> {
    fn foreign(package: &'a Value) -> Option<Self> {
        let text = |key| package.get(key).and_then(Value::as_str);
        Some(Self {
            source: text("source")?,
            name: text("name")?,
            license: text("license").unwrap_or_default(),
        })
    }
}

/// The part of `deny.toml` that is checked here.
struct Rules {
    licenses: Vec<String>,
    /// Crates that may have another licence, each with what it may have.
    exceptions: Vec<(String, Vec<String>)>,
    banned: Vec<String>,
}

impl Rules {
    fn read(context: &Context) -> Result<Self, String> {
        let path = context.workspace.join("deny.toml");
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|error| format!("deny.toml: {error}"))?;
        let list = |section: &str, key: &str| {
            table
                .get(section)
                .and_then(|section| section.get(key)?.as_array())
                .ok_or_else(|| format!("deny.toml: no list {key} in [{section}]"))
        };
        let exceptions = table
            .get("licenses")
            .and_then(|licenses| licenses.get("exceptions")?.as_array())
            .into_iter()
            .flatten();
        Ok(Self {
            licenses: texts(list("licenses", "allow")?),
            exceptions: exceptions
                .filter_map(|exception| {
                    let name = exception.get("crate")?.as_str()?.to_owned();
                    Some((name, texts(exception.get("allow")?.as_array()?)))
                })
                .collect(),
            banned: list("bans", "deny")?
                .iter()
                .filter_map(|ban| Some(ban.get("crate")?.as_str()?.to_owned()))
                .collect(),
        })
    }

    /// What is wrong with a package.
    fn against(&self, package: &Package<'_>) -> Option<String> {
        let name = package.name;
        if self.banned.iter().any(|banned| banned == name) {
            return Some(format!("{name} is banned in deny.toml"));
        }
        if package.source != CRATES_IO {
            return Some(format!("{name} does not come from crates.io"));
        }
        let license = package.license;
        let excepted = self.exceptions.iter().filter(|(excepted, _)| excepted == name);
        let allowed = self
            .licenses
            .iter()
            .chain(excepted.flat_map(|(_, allowed)| allowed));
        match spdx::is_allowed(license, &|id| allowed.clone().any(|allowed| allowed == id)) {
            Ok(true) => None,
            Ok(false) => Some(format!("{name}: deny.toml does not allow its licence {license}")),
            Err(error) => Some(format!(
                "{name}: its licence \"{license}\" cannot be read: {error}"
            )),
        }
    }
}

fn texts(list: &[toml::Value]) -> Vec<String> {
    let texts = list.iter().filter_map(|text| text.as_str());
    texts.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_wrong_with_a_package() {
        let rules = Rules::parse(
            "[licenses]\nallow = [\"MIT\"]\nexceptions = [{ crate = \"tool\", allow = [\"MPL-2.0\"] }]\n[bans]\ndeny = [{ crate = \"bad\", reason = \"it is\" }]\n",
        )
        .unwrap();
        let package = |name, license, source| {
            rules.against(&Package {
                name,
                license,
                source,
            })
        };
        assert_eq!(package("good", "MIT OR GPL-3.0", CRATES_IO), None);
        assert_eq!(package("tool", "MPL-2.0", CRATES_IO), None);
        assert!(
            package("other", "MPL-2.0", CRATES_IO)
                .unwrap()
                .contains("MPL-2.0")
        );
        assert!(package("bad", "MIT", CRATES_IO).unwrap().contains("banned"));
        assert!(
            package("copyleft", "GPL-3.0", CRATES_IO)
                .unwrap()
                .contains("GPL-3.0")
        );
        assert!(
            package("unlicensed", "", CRATES_IO)
                .unwrap()
                .contains("cannot be read")
        );
        assert!(package("fork", "MIT", "git+https://example.org/x").is_some());
    }

    #[test]
    fn the_gpl_stays_in_its_place() {
        let gpl = "# SPDX-License-Identifier: GPL-3.0-or-later\n";
        let module = format!("{GPL_DIR}plugins/modules/x.py");
        assert_eq!(misplaced(&module, gpl), None);
        assert!(misplaced(&module, "import os\n").unwrap().contains("is missing"));
        assert_eq!(misplaced(&format!("{GPL_DIR}README.md"), "# A title\n"), None);
        assert!(misplaced("fencekit/src/x.rs", &gpl.replace('#', "//")).is_some());
        assert!(misplaced("examples/python/x.py", gpl).is_some());
        assert_eq!(
            misplaced("x.py", "# SPDX-License-Identifier: MIT OR Apache-2.0\n"),
            None
        );
    }

    #[test]
    fn rules_without_their_lists_are_an_error() {
        assert!(Rules::parse("[licenses]\nallow = []\n").is_err());
        assert!(Rules::parse("[licenses").is_err());
    }
}
