//! npm packages: simulated devices that others wrote.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use super::lists::NPM;
use super::{Done, Need, debian, stamp};
use crate::context::Context;
use crate::exec::{Show, run};

/// What is not installed.
pub(crate) fn need(context: &Context) -> Need {
    let dir = dir(context);
    if stamp::holds(context, "npm", &manifest()) && dir.join("node_modules").is_dir() {
        return Need::Nothing;
    }
    let names: Vec<String> = NPM
        .iter()
        .map(|(name, version)| format!("{name}@{version}"))
        .collect();
    Need::Install(format!("with npm into {}: {}", dir.display(), names.join(" ")))
}

/// Installs it all.
pub(crate) fn install(context: &Context, until: Instant) -> Result<Done, String> {
    if debian::program("npm").is_none() {
        return Ok(Done::Partial(
            "no npm here; on Debian the packages nodejs and npm bring it".to_owned(),
        ));
    }
    stamp::clear(context, "npm");
    let dir = dir(context);
    fs::create_dir_all(&dir)
        .and_then(|()| fs::write(dir.join("package.json"), manifest()))
        .map_err(|error| format!("cannot write {}: {error}", dir.display()))?;
    let mut npm = Command::new("npm");
    npm.current_dir(&dir).args([
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--loglevel=error",
    ]);
    run(context, &mut npm, until, Show::OnFailure).success()?;
    stamp::set(context, "npm", &manifest())?;
    Ok(Done::Complete)
}

fn dir(context: &Context) -> PathBuf {
    context.interop.join("npm")
}

fn manifest() -> String {
    let packages: serde_json::Map<String, serde_json::Value> = NPM
        .iter()
        .map(|(name, version)| ((*name).to_owned(), (*version).into()))
        .collect();
    serde_json::json!({"private": true, "dependencies": packages}).to_string()
}
