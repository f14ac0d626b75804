//! The thread on which everything for asyncio is done.
//!
//! One thread serves any number of calls. A fork does not take it along: a child that waited for it would wait for ever,
//! so it is told instead.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use fencekit::Error;
use futures_util::FutureExt;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::failure::Failure;
use crate::value;
use crate::work::Outcome;

/// The process whose thread it is; 0 before the first call.
static OWNER: AtomicU32 = AtomicU32::new(0);
static BACKGROUND: OnceLock<Result<Background, String>> = OnceLock::new();

struct Background {
    handle: Handle,
    stop: Arc<Notify>,
    /// Taken when the interpreter goes away.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The thread's runtime; the first call starts it.
pub(crate) fn handle(py: Python<'_>) -> PyResult<Handle> {
    let this = std::process::id();
    let owner = OWNER.compare_exchange(0, this, Ordering::SeqCst, Ordering::SeqCst);
    if let Err(other) = owner
        && other != this
    {
        return Err(PyRuntimeError::new_err(
            "fencekit.aio was in use before this process was forked, and its thread did not come along; start \
             processes with spawn or forkserver, or use the calls that block",
        ));
    }
    let background = BACKGROUND.get_or_init(start).as_ref();
    let background = background
        .map_err(|cause| PyRuntimeError::new_err(format!("fencekit.aio cannot start its thread: {cause}")))?;
    if background.lock().is_none() {
        return Err(PyRuntimeError::new_err("the interpreter is shutting down"));
    }
    if owner.is_ok() {
        let stop = wrap_pyfunction!(stop, py)?;
        py.import("atexit")?.call_method1("register", (stop,))?;
    }
    Ok(background.handle.clone())
}

fn start() -> Result<Background, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| cause.to_string())?;
    let handle = runtime.handle().clone();
    let stop = Arc::new(Notify::new());
    let told = Arc::clone(&stop);
    let thread = std::thread::Builder::new()
        .name("fencekit-aio".to_owned())
        .spawn(move || {
            runtime.block_on(told.notified());
            // A name lookup that hangs is left behind, not waited for.
            runtime.shutdown_background();
        })
        .map_err(|cause| cause.to_string())?;
    Ok(Background {
        handle,
        stop,
        thread: Mutex::new(Some(thread)),
    })
}

impl Background {
    fn lock(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the thread while the interpreter is whole: one that comes to a Python half taken down would bring the process
/// down with it.
#[pyfunction]
fn stop(py: Python<'_>) {
    // A forked child has no such thread.
    if OWNER.load(Ordering::SeqCst) != std::process::id() {
        return;
    }
    let Some(Ok(background)) = BACKGROUND.get() else {
        return;
    };
    let thread = background.lock().take();
    background.stop.notify_one();
    if let Some(thread) = thread {
        let _ = py.detach(|| thread.join());
    }
}

/// Ends the future and tells Python. A defect of ours is told too: who waits must not wait for ever.
pub(crate) async fn to_end(future: impl Future<Output = Outcome>, ended: Arc<AtomicBool>, done: Py<PyAny>) {
    let outcome = AssertUnwindSafe(future).catch_unwind().await.unwrap_or_else(|_| {
        Err(Failure::from(Error::unsupported(
            "a defect in fencekit; see stderr",
        )))
    });
    if ended.swap(true, Ordering::SeqCst) {
        return; // It was stopped in this moment, and nobody waits.
    }
    // There is nobody to tell once the interpreter is going away, or its event loop is closed.
    Python::try_attach(|py| {
        let (value, exception) = match outcome {
            Ok(value) => match value::to_python(py, &value) {
                Ok(value) => (value.unbind(), None),
                Err(error) => (py.None(), Some(error)),
            },
            Err(failure) => (py.None(), Some(failure.exception(py))),
        };
        if let Err(error) = done.call1(py, (value, exception)) {
            error.write_unraisable(py, None);
        }
        drop(done);
    });
}
