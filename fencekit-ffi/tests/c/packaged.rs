//! What `cargo cinstall` installs for a distribution's package, beside what `cargo xtask install-c` does.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use fencekit_interop::{required, run, tool, workspace};

use super::build::{Library, prefix};
use super::{LIMIT, dynamic_section, exported};

/// Where the step asked for the libraries.
const LIBDIR: &str = "usr/lib/multiarch";

/// The directory that stands for the root of the packaged files; `None` where there is no cargo-c.
fn root() -> Option<PathBuf> {
    let root = std::env::var_os("FENCEKIT_C_PACKAGED").filter(|place| !place.is_empty())?;
    Some(PathBuf::from(root))
}

/// Everything below a directory but the directories.
fn files(below: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![below.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => left.push(entry.path()),
                false => found.push(entry.path().strip_prefix(below).unwrap().display().to_string()),
            }
        }
    }
    found.sort();
    found
}

/// The fields of a pkg-config file; its variables are of its place.
fn fields(file: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(file).unwrap();
    let fields = text.lines().filter_map(|line| line.split_once(": "));
    fields
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

#[test]
fn a_package_has_the_files_and_names_of_the_installation() {
    let root = required!(root());
    let version = env!("CARGO_PKG_VERSION");
    let mut wanted = [
        "usr/include/fencekit.h".to_owned(),
        format!("{LIBDIR}/libfencekit.a"),
        format!("{LIBDIR}/libfencekit.so"),
        format!("{LIBDIR}/libfencekit.so.0"),
        format!("{LIBDIR}/libfencekit.so.{version}"),
        format!("{LIBDIR}/pkgconfig/fencekit.pc"),
    ];
    wanted.sort();
    assert_eq!(files(&root), wanted);
    assert_eq!(
        fs::read(root.join("usr/include/fencekit.h")).unwrap(),
        fs::read(Library::installed().include.join("fencekit.h")).unwrap()
    );
    let library = root.join(LIBDIR).join("libfencekit.so.0").canonicalize().unwrap();
    assert!(library.ends_with(format!("libfencekit.so.{version}")));
    assert_eq!(
        fs::metadata(&library).unwrap().permissions().mode() & 0o777,
        0o755
    );
}

#[test]
fn a_packaged_library_has_the_name_and_the_functions_of_the_installed_one() {
    let root = required!(root());
    let packaged = root.join(LIBDIR).join("libfencekit.so");
    let section = required!(dynamic_section(&packaged));
    assert!(section.contains("[libfencekit.so.0]"), "{section}");
    assert!(section.contains("NODELETE"), "{section}");
    assert!(
        !section.contains("RUNPATH") && !section.contains("RPATH"),
        "{section}"
    );
    let installed = Library::installed().lib.join("libfencekit.so");
    assert_eq!(exported(&packaged), exported(&installed));
}

#[test]
fn a_program_builds_over_the_packaged_pkg_config_file_and_runs() {
    let root = required!(root());
    let pkg_config = required!(tool("pkg-config"));
    let theirs = root.join(LIBDIR).join("pkgconfig/fencekit.pc");
    let mut ours = fields(&prefix().join("lib/pkgconfig/fencekit.pc"));
    ours.remove("URL");
    assert_eq!(fields(&theirs), ours);

    let mut ask = Command::new(pkg_config);
    ask.args(["--cflags", "--libs", "fencekit"])
        .env("PKG_CONFIG_LIBDIR", theirs.parent().unwrap())
        .env("PKG_CONFIG_SYSROOT_DIR", &root);
    let flags = run(&mut ask, "", LIMIT);
    assert!(flags.ok(), "{flags}");
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("generate");
    let mut gcc = Command::new(tool("gcc").unwrap());
    gcc.arg("-o")
        .arg(&program)
        .arg(workspace().join("fencekit-ffi/tests/c/packaged.c"))
        .args(flags.stdout.split_ascii_whitespace());
    let built = run(&mut gcc, "", LIMIT);
    assert!(built.ok(), "{built}");
    let mut command = Command::new(&program);
    command.env("LD_LIBRARY_PATH", root.join(LIBDIR));
    let out = run(&mut command, "", LIMIT);
    assert!(out.ok(), "{out}");
    assert_eq!(out.stdout, format!("{0} {0}\n", env!("CARGO_PKG_VERSION")));
}
