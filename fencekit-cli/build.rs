//! Links the unwinder into the program, where the C compiler has it as an archive: an agent starts for every question of
//! the cluster, and loading the shared libgcc_s is a sixth of an empty program's start (docs/decisions/0054).

use std::env;
use std::path::Path;
use std::process::Command;

const UNWINDER: &str = "libgcc_eh.a";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    if built_for_this_gnu_system() && the_compiler_has_the_archive() {
        println!("cargo::rustc-link-lib=static:-bundle,+verbatim={UNWINDER}");
    }
}

/// Another system's compiler is not ours to ask; musl links everything into the program already.
fn built_for_this_gnu_system() -> bool {
    let is = |name, value: &str| env::var(name).is_ok_and(|found| found == value);
    is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && env::var("HOST").ok() == env::var("TARGET").ok()
}

/// `cc` is what rustc links with; it answers with the bare name when it does not have the file.
fn the_compiler_has_the_archive() -> bool {
    let compiler = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
    Command::new(compiler)
        .arg(format!("-print-file-name={UNWINDER}"))
        .output()
        .is_ok_and(|answer| {
            let path = String::from_utf8_lossy(&answer.stdout);
            answer.status.success() && Path::new(path.trim()).is_absolute()
        })
}
