//! What the Python package costs: the time of `import fencekit`, and what a call costs over the same call from Rust, the
//! state of a simulated plug asked both ways in one run. One line of JSON.
//!
//! The device is the same and answers alike, so the difference of the medians is Python with the boundary and its event
//! loop; the target is 100 µs, and 20 ms for the import.
//!
//! `cargo run --release -p fencekit-benches --bin python [ROUNDS]`

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fencekit::{Error, Result};
use fencekit_benches::{median, must_be_on, plug, plug_device, tenths};
use fencekit_interop::{run, workspace};
use serde_json::json;

/// Processes started for the import, of which the median counts.
const IMPORTS: usize = 15;
/// Nothing here takes longer, unless something is wrong.
const LIMIT: Duration = Duration::from_secs(120);

fn main() -> Result<()> {
    let rounds = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .filter(|n| *n > 0)
        .unwrap_or(2000);
    let package = package()?;
    let serving = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|cause| Error::unsupported("no runtime").caused_by(cause))?;
    let sim = serving.block_on(plug())?;
    let port = sim.address.port();
    let rust = rust_us(port, rounds)?;
    let python = python_us(&package, port, rounds)?;
    let line = json!({
        "bench": "Python call over Rust, state of a Kasa plug on loopback",
        "rounds": rounds,
        "rust_us": tenths(rust),
        "python_us": tenths(python),
        "overhead_us": tenths(python - rust),
        "target_us": 100,
        "import_ms": tenths(import_ms(&package)?),
        "import_target_ms": 20,
    });
    let _ = writeln!(std::io::stdout(), "{line}");
    Ok(())
}

/// The package as a wheel would install it: its Python, and the extension built for release.
fn package() -> Result<PathBuf> {
    let failed = |cause| Error::io("laying out the package", cause);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .current_dir(workspace())
        .args(["build", "--release", "--quiet", "--package", "fencekit-py"])
        .status();
    if !built.is_ok_and(|status| status.success()) {
        return Err(Error::unsupported("the extension does not build"));
    }
    let program = std::env::current_exe().map_err(failed)?;
    let release = program
        .parent()
        .ok_or_else(|| Error::unsupported("the benchmark has no directory"))?;
    let place = release.join("python-package");
    let _ = fs::remove_dir_all(&place);
    let inside = place.join("fencekit");
    fs::create_dir_all(&inside).map_err(failed)?;
    for file in fs::read_dir(workspace().join("fencekit-py/python/fencekit")).map_err(failed)? {
        let file = file.map_err(failed)?;
        if file.path().extension().is_some_and(|ending| ending == "py") {
            fs::copy(file.path(), inside.join(file.file_name())).map_err(failed)?;
        }
    }
    fs::copy(release.join("lib_fencekit.so"), inside.join("_fencekit.abi3.so")).map_err(failed)?;
    Ok(place)
}

fn python(package: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("python3");
    command.args(arguments).env("PYTHONPATH", package);
    let output = run(&mut command, "", LIMIT);
    if output.ok() {
        Ok(output.stdout)
    } else {
        Err(Error::protocol(format!("python3 {arguments:?}: {output}")))
    }
}

/// The median of several processes, each of which measures its own import once the files are in the cache.
fn import_ms(package: &Path) -> Result<f64> {
    let script =
        "import time; t = time.perf_counter(); import fencekit; print(1000 * (time.perf_counter() - t))";
    let mut times = Vec::with_capacity(IMPORTS);
    for round in 0..=IMPORTS {
        let time = number(&python(package, &["-c", script])?)?;
        // The first one writes the bytecode.
        if round > 0 {
            times.push(time);
        }
    }
    Ok(median(times))
}

fn python_us(package: &Path, port: u16, rounds: usize) -> Result<f64> {
    let script = workspace().join("benches/peers/fencekit_status.py");
    let arguments = [
        script.to_string_lossy().into_owned(),
        port.to_string(),
        rounds.to_string(),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    number(&python(package, &arguments)?)
}

fn number(text: &str) -> Result<f64> {
    text.trim()
        .parse()
        .map_err(|_| Error::protocol(format!("no number, but {text:?}")))
}

fn rust_us(port: u16, rounds: usize) -> Result<f64> {
    let device = plug_device(port)?;
    // A Rust program has one event loop for all of its calls.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Error::unsupported("no runtime").caused_by(cause))?;
    let mut times = Vec::with_capacity(rounds);
    for round in 0..rounds + 20 {
        let started = Instant::now();
        runtime.block_on(must_be_on(device.as_ref()))?;
        if round >= 20 {
            times.push(started.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok(median(times))
}
