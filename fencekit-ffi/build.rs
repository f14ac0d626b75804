//! The shared library's own name, which programs that link it ask for, and that it stays once it is loaded.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let major = std::env::var("CARGO_PKG_VERSION_MAJOR").unwrap_or_default();
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libfencekit.so.{major}");
        // Handlers of fork(), and the destructors of threads that called us, must find the code still there.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
