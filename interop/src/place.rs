//! Where things are: programs of others, the venv, the npm packages, our own program under its agents' names.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// Says that a test cannot run for want of `what`.
///
/// # Panics
/// With `FENCEKIT_INTEROP_REQUIRED=1`: then nothing may be missing.
pub fn missing(what: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    assert!(
        env::var_os("FENCEKIT_INTEROP_REQUIRED").is_none_or(|value| value != "1"),
        "{test}: {what} is missing; `cargo xtask setup` installs it",
    );
    let line = format!("skipped {test}: {what} is missing; `cargo xtask setup` installs it\n");
    // Past the test harness, which shows nothing of a test that passes.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(file) = env::var_os("FENCEKIT_INTEROP_SKIPPED") {
        let _ = OpenOptions::new()
            .create(true)
            .append(true)
            .open(file)
            .and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

/// A program of the machine, or of the packages that the set-up unpacked.
#[must_use]
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let unpacked = interop_dir().join("debs");
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/lib/pacemaker"].map(PathBuf::from))
        .chain(["usr/bin", "usr/sbin", "bin", "sbin", "usr/lib/pacemaker"].map(|dir| unpacked.join(dir)))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// The Python of the venv.
#[must_use]
pub fn python() -> Option<PathBuf> {
    venv_bin("python")
}

/// A program that a Python package installed into the venv, such as `kasa`.
#[must_use]
pub fn venv_bin(name: &str) -> Option<PathBuf> {
    existing(interop_dir().join("venv/bin").join(name))
}

/// The `esphome` program; it has a venv of its own.
#[must_use]
pub fn esphome_bin() -> Option<PathBuf> {
    existing(interop_dir().join("esphome/bin/esphome"))
}

/// A program of Ansible, which has a venv of its own.
#[must_use]
pub fn ansible_bin(name: &str) -> Option<PathBuf> {
    existing(interop_dir().join("ansible/bin").join(name))
}

/// A Debian release with pcs of this version (`0.10`, `0.12`), to be entered as a root directory.
#[must_use]
pub fn pcs_root(version: &str) -> Option<PathBuf> {
    let root = interop_dir().join(format!("pcs-{version}"));
    root.join("usr/sbin/pcs").is_file().then_some(root)
}

/// The directory with `node_modules`.
#[must_use]
pub fn npm_dir() -> Option<PathBuf> {
    let dir = interop_dir().join("npm");
    dir.join("node_modules").is_dir().then_some(dir)
}

/// The directory of an installed npm package.
#[must_use]
pub fn npm_package(name: &str) -> Option<PathBuf> {
    existing(npm_dir()?.join("node_modules").join(name))
}

/// Whether the tests run as root.
#[must_use]
pub fn root() -> Option<()> {
    rustix::process::geteuid().is_root().then_some(())
}

/// Whether private namespaces can be made here (root, and a kernel that lets it).
#[must_use]
pub fn namespaces() -> Option<()> {
    static WORKS: OnceLock<bool> = OnceLock::new();
    root()?;
    let unshare = tool("unshare")?;
    WORKS
        .get_or_init(|| {
            Command::new(unshare)
                .args(["-n", "-m", "-p", "-f", "-u", "-i", "--mount-proc", "true"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        })
        .then_some(())
}

/// The root of the source tree.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the workspace")
        .to_owned()
}

/// Where the set-up installs.
#[must_use]
pub fn interop_dir() -> PathBuf {
    env::var_os("FENCEKIT_INTEROP").map_or_else(|| workspace().join("target/interop"), PathBuf::from)
}

/// The built `fencekit` program; builds it first where nobody has said which to take.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn fencekit_bin() -> PathBuf {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(|| match env::var_os("FENCEKIT_BIN") {
        Some(file) => existing(PathBuf::from(&file))
            .unwrap_or_else(|| panic!("FENCEKIT_BIN={} does not exist", Path::new(&file).display())),
        None => build(),
    })
    .clone()
}

/// Our program under the name of an agent, as `fencekit install-agents` would link it.
///
/// # Panics
/// When the program does not build or cannot be linked.
#[must_use]
pub fn agent(name: &str) -> PathBuf {
    let dir = agents_dir();
    let link = dir.join(name);
    place_link(&fencekit_bin(), &link);
    link
}

/// The directory that holds the links of [`agent`].
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn agents_dir() -> PathBuf {
    // Beside the program, so that a debug and a release build do not share links.
    let dir = fencekit_bin().with_file_name("agents");
    fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("cannot make {}: {error}", dir.display()));
    dir
}

fn existing(path: PathBuf) -> Option<PathBuf> {
    path.exists().then_some(path)
}

/// The program lies beside the directory of this test, in the same profile.
fn build() -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    let profile = test
        .ancestors()
        .skip(1)
        .find(|dir| !dir.ends_with("deps") && !dir.ends_with("examples"))
        .expect("a target directory");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(workspace())
        .args([
            "build",
            "--quiet",
            "--package",
            "fencekit-cli",
            "--bin",
            "fencekit",
        ])
        .arg("--target-dir")
        .arg(profile.parent().expect("a target directory"))
        .stdin(Stdio::null());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    // What cargo told this test of its own package; some build scripts run again when it changes.
    let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"];
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if of_package.iter().any(|start| text.starts_with(start)) {
            cargo.env_remove(&name);
        }
    }
    let status = cargo.status().expect("cargo starts");
    assert!(status.success(), "the fencekit program does not build: {status}");
    existing(profile.join("fencekit")).expect("cargo built the fencekit program")
}

/// Tests run side by side, in several processes: the link appears whole or not at all.
fn place_link(program: &Path, link: &Path) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    if fs::read_link(link).is_ok_and(|target| target == program) {
        return;
    }
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let fresh = link.with_extension(format!("{}-{number}", process::id()));
    symlink(program, &fresh)
        .and_then(|()| fs::rename(&fresh, link))
        .unwrap_or_else(|error| panic!("cannot link {}: {error}", link.display()));
}
