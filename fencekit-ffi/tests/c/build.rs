//! The libraries that the step `c` has put in place, and compilers for the programs against them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use fencekit_interop::{run, tool};

use super::LIMIT;

/// A header and libraries.
pub(crate) struct Library {
    pub(crate) include: PathBuf,
    pub(crate) lib: PathBuf,
    defines: &'static [&'static str],
}

impl Library {
    /// What `cargo xtask install-c` has installed.
    pub(crate) fn installed() -> Self {
        Self {
            include: prefix().join("include"),
            lib: prefix().join("lib"),
            defines: &[],
        }
    }

    /// The same with the function that panics.
    pub(crate) fn with_panic() -> Self {
        Self {
            lib: place("FENCEKIT_C_PANIC"),
            defines: &["-DFENCEKIT_PANIC_TEST"],
            ..Self::installed()
        }
    }

    /// One that a sanitizer watches; `None` where there is no compiler for it.
    pub(crate) fn sanitized(variable: &str) -> Option<Self> {
        let lib = env::var_os(variable).filter(|place| !place.is_empty())?;
        Some(Self {
            lib: PathBuf::from(lib),
            ..Self::with_panic()
        })
    }
}

/// The prefix of the installation.
pub(crate) fn prefix() -> PathBuf {
    place("FENCEKIT_C_PREFIX")
}

fn place(variable: &str) -> PathBuf {
    PathBuf::from(
        env::var_os(variable).unwrap_or_else(|| panic!("{variable}: run `cargo xtask test --only c`")),
    )
}

/// Compiles `tests/c/NAME.c` with every warning an error.
pub(crate) fn compile(library: &Library, name: &str, to: &Path, more: &[&str]) -> PathBuf {
    compile_with(
        "gcc",
        "-std=c11",
        library,
        &format!("{name}.c"),
        &to.join(name),
        more,
    )
}

/// The same for C++.
pub(crate) fn compile_cpp(library: &Library, name: &str, to: &Path) -> PathBuf {
    compile_with(
        "g++",
        "-std=c++11",
        library,
        &format!("{name}.cpp"),
        &to.join(name),
        &[],
    )
}

fn compile_with(
    compiler: &str,
    standard: &str,
    library: &Library,
    source: &str,
    to: &Path,
    more: &[&str],
) -> PathBuf {
    let compiler =
        tool(compiler).unwrap_or_else(|| panic!("{compiler} is missing; `cargo xtask setup` installs it"));
    let mut rpath = std::ffi::OsString::from("-Wl,-rpath,");
    rpath.push(&library.lib);
    let mut command = Command::new(compiler);
    command
        .args([standard, "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pedantic"])
        .args(library.defines)
        .arg("-I")
        .arg(&library.include)
        .args(more)
        .arg("-o")
        .arg(to)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c").join(source))
        .arg("-L")
        .arg(&library.lib)
        .args(["-lfencekit", "-lpthread"])
        .arg(rpath);
    let out = run(&mut command, "", LIMIT);
    assert!(out.ok(), "{out}");
    to.to_owned()
}
