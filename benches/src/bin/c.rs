//! What a call through the C library costs over the same call from Rust: the state of a simulated plug, asked both ways in
//! turns within one process and one run, and calls that talk to nobody. One line of JSON.
//!
//! The shared library is loaded as a C program loads it. The device is the same and answers alike, so the difference of
//! the medians is the boundary with its event loop; the target is 50 µs.
//!
//! `cargo run --release -p fencekit-benches --bin c [ROUNDS]`

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io::Write;
use std::process::Command;
use std::ptr;
use std::time::Instant;

use fencekit::{Error, Result};
use fencekit_benches::{median, must_be_on, plug, plug_device, tenths};
use fencekit_interop::workspace;
use fencekit_sim::Running;
use serde_json::json;

const TIMEOUT_MS: u32 = 5000;
const ON: u32 = 1;

fn main() -> Result<()> {
    let rounds = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .filter(|n| *n > 0)
        .unwrap_or(2000);
    let serving = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|cause| Error::unsupported("no runtime").caused_by(cause))?;
    let sim = serving.block_on(plug())?;
    let line = compare(&sim, rounds)?;
    let _ = writeln!(std::io::stdout(), "{line}");
    Ok(())
}

fn compare(sim: &Running, rounds: usize) -> Result<serde_json::Value> {
    let port = sim.address.port();
    let library = Library::load()?;
    let through_c = library.device(&format!(
        r#"{{"method": "kasa", "ip": "127.0.0.1", "ipport": {port}, "transport": "xor"}}"#
    ))?;
    let device = plug_device(port)?;
    // A Rust program has one event loop for all of its calls.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Error::unsupported("no runtime").caused_by(cause))?;
    let (mut by_rust, mut by_c, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds + 20 {
        let rust = timed(|| runtime.block_on(must_be_on(device.as_ref())))?;
        let c = timed(|| library.status(through_c))?;
        let nothing = timed(|| library.label(through_c))?;
        // The first rounds warm up.
        if round >= 20 {
            by_rust.push(rust);
            by_c.push(c);
            bare.push(nothing);
        }
    }
    let (rust, c) = (median(by_rust), median(by_c));
    Ok(json!({
        "bench": "C call over Rust, state of a Kasa plug on loopback",
        "rounds": rounds,
        "rust_us": tenths(rust),
        "c_us": tenths(c),
        "overhead_us": tenths(c - rust),
        "target_us": 50,
        "call_without_device_us": (median(bare) * 1000.0).round() / 1000.0,
    }))
}

/// Microseconds.
fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed().as_secs_f64() * 1e6)
}

type Status = unsafe extern "C" fn(*const c_void, u32, *mut u32, *mut *mut c_void) -> u32;
type FromJson = unsafe extern "C" fn(*const c_char, *mut *mut c_void, *mut *mut c_void) -> u32;
type Label = unsafe extern "C" fn(*const c_void) -> *const c_char;

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// Everything is resolved at once.
const RTLD_NOW: c_int = 2;

/// The functions of `libfencekit.so` that are measured.
struct Library {
    status: Status,
    from_json: FromJson,
    label: Label,
}

impl Library {
    /// Builds the library and loads it.
    fn load() -> Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .current_dir(workspace())
            .args(["build", "--release", "--quiet", "--package", "fencekit-ffi"])
            .status();
        if !built.is_ok_and(|status| status.success()) {
            return Err(Error::unsupported("the C library does not build"));
        }
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), Into::into);
        let path = target.join("release/libfencekit.so");
        let name = CString::new(path.to_string_lossy().into_owned()).unwrap_or_default();
        // SAFETY: the name is a text that ends with a NUL, and loading the library runs nothing but its registration of
        // what the Rust run-time needs.
        let library = unsafe { dlopen(name.as_ptr(), RTLD_NOW) };
        if library.is_null() {
            return Err(Error::unsupported(format!("{} cannot be loaded", path.display())));
        }
        let find = |name: &CStr| {
            // SAFETY: the library was loaded and is never unloaded; the name ends with a NUL.
            let found = unsafe { dlsym(library, name.as_ptr()) };
            if found.is_null() {
                return Err(Error::unsupported(format!("the library has no {name:?}")));
            }
            Ok(found)
        };
        // SAFETY: the types are those of the functions in fencekit.h, whose enumerations are 32 bits wide; a pointer to a
        // function is a plain pointer on every platform that has `dlsym`.
        unsafe {
            Ok(Self {
                status: std::mem::transmute::<*mut c_void, Status>(find(c"fencekit_device_status")?),
                from_json: std::mem::transmute::<*mut c_void, FromJson>(find(c"fencekit_device_from_json")?),
                label: std::mem::transmute::<*mut c_void, Label>(find(c"fencekit_device_label")?),
            })
        }
    }

    fn device(&self, json: &str) -> Result<*mut c_void> {
        let json = CString::new(json).unwrap_or_default();
        let mut device = ptr::null_mut();
        // SAFETY: the text ends with a NUL, the place is a variable of this function, and there is no place for an error.
        match unsafe { (self.from_json)(json.as_ptr(), &raw mut device, ptr::null_mut()) } {
            0 => Ok(device),
            result => Err(Error::protocol(format!(
                "fencekit_device_from_json gives {result}"
            ))),
        }
    }

    fn status(&self, device: *mut c_void) -> Result<()> {
        let mut power = 0;
        // SAFETY: as above.
        match unsafe { (self.status)(device, TIMEOUT_MS, &raw mut power, ptr::null_mut()) } {
            0 if power == ON => Ok(()),
            result => Err(Error::protocol(format!(
                "fencekit_device_status gives {result}, {power}"
            ))),
        }
    }

    fn label(&self, device: *mut c_void) -> Result<()> {
        // SAFETY: it takes any pointer.
        let label = unsafe { (self.label)(device) };
        if label.is_null() {
            return Err(Error::protocol("the device has no label"));
        }
        Ok(())
    }
}
