//! `cargo xtask install-c`: the C library as a C program's build looks for it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::context::Context;
use crate::exec::{Show, run};
use crate::header;

/// What to build and where it goes.
pub(crate) struct Options {
    /// Where everything is found in the end.
    prefix: PathBuf,
    /// Where the libraries are found; within the prefix when it is relative.
    libdir: PathBuf,
    /// A directory that stands for the root while a package is made.
    destdir: Option<PathBuf>,
    /// Without optimisation, for the tests.
    debug: bool,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(args: &[&str]) -> Result<Self, String> {
        let (mut prefix, mut libdir, mut destdir, mut debug) = (None, None, None, false);
        let mut args = args.iter().copied();
        while let Some(arg) = args.next() {
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (arg, None),
            };
            let mut value = || {
                value
                    .or_else(|| args.next())
                    .filter(|value| !value.is_empty())
                    .map(PathBuf::from)
                    .ok_or_else(|| format!("{name} needs a directory"))
            };
            match name {
                "--prefix" => prefix = Some(value()?),
                "--libdir" => libdir = Some(value()?),
                "--destdir" => destdir = Some(value()?),
                "--debug" => debug = true,
                other => return Err(format!("install-c has no option {other}")),
            }
        }
        Ok(Self {
            prefix: prefix.ok_or("install-c needs --prefix DIR")?,
            libdir: libdir.unwrap_or_else(|| PathBuf::from("lib")),
            destdir,
            debug,
        })
    }

    /// An unoptimised build, for the tests.
    pub(crate) fn for_tests(prefix: PathBuf) -> Self {
        Self {
            prefix,
            libdir: PathBuf::from("lib"),
            destdir: None,
            debug: true,
        }
    }
}

/// Builds and installs.
///
/// # Errors
/// What did not go well.
pub(crate) fn install(context: &Context, options: &Options, until: Instant) -> Result<(), String> {
    let prefix = absolute(&options.prefix)?;
    let places = Places::new(&prefix, &options.libdir, options.destdir.as_deref());
    let private = build(context, options.debug, until)?;
    let built = context
        .target
        .join(if options.debug { "debug" } else { "release" });
    let version = Version::of_workspace();
    copy(
        &header::path(&context.workspace),
        &places.real(&places.include).join("fencekit.h"),
        0o644,
    )?;
    let lib = places.real(&places.lib);
    let file = format!("libfencekit.so.{}", version.whole);
    copy(&built.join("libfencekit.so"), &lib.join(&file), 0o755)?;
    let soname = format!("libfencekit.so.{}", version.major);
    link(&file, &lib.join(&soname))?;
    link(&soname, &lib.join("libfencekit.so"))?;
    copy(&built.join("libfencekit.a"), &lib.join("libfencekit.a"), 0o644)?;
    for (name, template) in TEMPLATES {
        let text = places.fill(template, &version, &private);
        write(&lib.join(name), text.as_bytes(), 0o644)?;
    }
    println!("fencekit {} is installed in {}.", version.whole, prefix.display());
    Ok(())
}

/// With as much time as a build without anything at hand takes.
pub(crate) fn run_task(context: &Context, options: &Options) -> bool {
    let until = Instant::now() + Duration::from_secs(30 * 60);
    install(context, options, until)
        .map_err(|error| eprintln!("xtask: {error}"))
        .is_ok()
}

const TEMPLATES: [(&str, &str); 3] = [
    (
        "pkgconfig/fencekit.pc",
        include_str!("../../fencekit-ffi/install/fencekit.pc.in"),
    ),
    (
        "cmake/fencekit/fencekit-config.cmake",
        include_str!("../../fencekit-ffi/install/fencekit-config.cmake.in"),
    ),
    (
        "cmake/fencekit/fencekit-config-version.cmake",
        include_str!("../../fencekit-ffi/install/fencekit-config-version.cmake.in"),
    ),
];

/// Where things are found, and where they are written meanwhile.
struct Places {
    prefix: PathBuf,
    include: PathBuf,
    lib: PathBuf,
    destdir: Option<PathBuf>,
}

impl Places {
    fn new(prefix: &Path, libdir: &Path, destdir: Option<&Path>) -> Self {
        Self {
            prefix: prefix.to_owned(),
            include: prefix.join("include"),
            // An absolute one replaces the prefix.
            lib: prefix.join(libdir),
            destdir: destdir.map(Path::to_owned),
        }
    }

    fn real(&self, place: &Path) -> PathBuf {
        match &self.destdir {
            Some(destdir) => destdir.join(place.strip_prefix("/").unwrap_or(place)),
            None => place.to_owned(),
        }
    }

    fn fill(&self, template: &str, version: &Version, private: &str) -> String {
        template
            .replace("@PREFIX@", &self.prefix.display().to_string())
            .replace("@INCLUDEDIR@", &self.include.display().to_string())
            .replace("@LIBDIR@", &self.lib.display().to_string())
            .replace("@VERSION@", version.whole)
            .replace("@MAJOR@", version.major)
            .replace("@MINOR@", version.minor)
            .replace("@PRIVATE@", private)
    }
}

struct Version {
    whole: &'static str,
    major: &'static str,
    minor: &'static str,
}

impl Version {
    fn of_workspace() -> Self {
        Self {
            whole: env!("CARGO_PKG_VERSION"),
            major: env!("CARGO_PKG_VERSION_MAJOR"),
            minor: env!("CARGO_PKG_VERSION_MINOR"),
        }
    }
}

/// Builds both libraries; what a program needs besides the static one.
fn build(context: &Context, debug: bool, until: Instant) -> Result<String, String> {
    let mut cargo = context.cargo("rustc");
    cargo.args(["--package", "fencekit-ffi", "--lib"]);
    if !debug {
        cargo.arg("--release");
    }
    cargo.args(["--", "--print", "native-static-libs"]);
    let said = run(context, &mut cargo, until, Show::OnFailure).success()?;
    native_libraries(&said)
        .ok_or_else(|| "the compiler does not say which libraries a program needs".to_owned())
}

fn native_libraries(said: &str) -> Option<String> {
    let line = said
        .lines()
        .find_map(|line| line.split_once("native-static-libs:"))?
        .1;
    let mut libraries: Vec<&str> = Vec::new();
    for library in line.split_ascii_whitespace() {
        if libraries.last() != Some(&library) {
            libraries.push(library);
        }
    }
    Some(libraries.join(" "))
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<(), String> {
    let bytes = fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?;
    write(to, &bytes, mode)
}

/// Written beside and moved, so that a program that has the old file open keeps it.
fn write(to: &Path, bytes: &[u8], mode: u32) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", to.display());
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    let fresh = beside(to);
    fs::write(&fresh, bytes).map_err(failed)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(mode)).map_err(failed)?;
    fs::rename(&fresh, to).map_err(failed)
}

fn link(target: &str, link: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", link.display());
    let fresh = beside(link);
    let _ = fs::remove_file(&fresh);
    symlink(target, &fresh).map_err(failed)?;
    fs::rename(&fresh, link).map_err(failed)
}

fn beside(path: &Path) -> PathBuf {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    PathBuf::from(fresh)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_options_both_ways() {
        let options = Options::parse(&["--prefix", "/usr", "--libdir=lib/x86_64-linux-gnu"]).unwrap();
        assert_eq!(options.prefix, Path::new("/usr"));
        assert_eq!(options.libdir, Path::new("lib/x86_64-linux-gnu"));
        assert!(Options::parse(&[]).is_err());
        assert!(Options::parse(&["--prefix"]).is_err());
        assert!(Options::parse(&["--prefix="]).is_err());
        assert!(Options::parse(&["--prefix", "/usr", "--strange"]).is_err());
    }

    #[test]
    fn no_template_keeps_a_gap() {
        let places = Places::new(
            Path::new("/usr"),
            Path::new("lib64"),
            Some(Path::new("/tmp/stage")),
        );
        for (name, template) in TEMPLATES {
            let text = places.fill(template, &Version::of_workspace(), "-lm");
            assert!(!text.contains('@'), "{name}: {text}");
            assert!(!text.contains("/tmp/stage"), "{name}: {text}");
        }
        assert_eq!(places.real(&places.lib), Path::new("/tmp/stage/usr/lib64"));
        let elsewhere = Places::new(Path::new("/usr"), Path::new("/opt/lib"), None);
        assert_eq!(elsewhere.real(&elsewhere.lib), Path::new("/opt/lib"));
    }

    #[test]
    fn finds_the_libraries_that_the_compiler_names() {
        let said = "   Compiling x\nnote: native-static-libs: -lgcc_s -lutil -lc -lc\n";
        assert_eq!(native_libraries(said).unwrap(), "-lgcc_s -lutil -lc");
        assert_eq!(native_libraries("nothing"), None);
    }
}
