//! Runs an operation to its end on the calling thread.
//!
//! A runtime lives for one call and has no threads of its own: nothing is left behind that a fork could break, and
//! calls on several threads know nothing of each other. Python is let go meanwhile, and asked for signals in between.

use std::time::Duration;

use fencekit::Error;
use pyo3::exceptions::{PyException, PyKeyboardInterrupt};
use pyo3::prelude::*;

use crate::logging::Outbox;
use crate::work::{Job, Outcome};

/// How long a signal may wait for its answer.
const TICK: Duration = Duration::from_millis(40);

/// What came of the job.
///
/// # Errors
/// What a signal's handler raised, `KeyboardInterrupt` as a rule. The job is dropped then, wherever it was.
pub(crate) fn to_end(py: Python<'_>, job: Job) -> PyResult<Outcome> {
    let Job {
        mut future,
        when_stopped,
    } = job;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(cause) => {
            return Ok(Err(Error::unsupported("this system gives no event loop")
                .caused_by(cause)
                .into()));
        }
    };
    let outbox = Outbox::open();
    let ended = loop {
        let outcome = py.detach(|| {
            // Python's handlers run outside of the runtime: they may call fencekit themselves.
            runtime.block_on(async { tokio::time::timeout(TICK, &mut future).await.ok() })
        });
        if let Some(outcome) = outcome {
            break Ok(outcome);
        }
        if let Err(stopped) = outbox.deliver(py).and_then(|()| py.check_signals()) {
            break Err(stopped);
        }
    };
    let delivered = outbox.deliver(py);
    drop(outbox);
    // Sockets are closed first; a name lookup that hangs is left behind, not waited for.
    drop(future);
    runtime.shutdown_background();
    match (ended, delivered) {
        (Ok(outcome), Ok(())) => Ok(outcome),
        // What was done counts, whatever became of a log record; only who wants to stop everything comes first.
        (Ok(outcome), Err(error)) if error.is_instance_of::<PyException>(py) => {
            error.write_unraisable(py, None);
            Ok(outcome)
        }
        (Ok(_), Err(stopped)) => Err(stopped),
        (Err(stopped), _) => Err(say_so(py, stopped, when_stopped.as_deref())),
    }
}

/// Lets the log, and a `KeyboardInterrupt` that says nothing yet, say that a state is not known.
fn say_so(py: Python<'_>, stopped: PyErr, warning: Option<&str>) -> PyErr {
    let Some(warning) = warning else {
        return stopped;
    };
    log::warn!(target: "fencekit", "{warning}");
    let value = stopped.value(py);
    let silent = || value.getattr("args")?.is_truthy().map(|said| !said);
    if stopped.is_instance_of::<PyKeyboardInterrupt>(py) && silent().unwrap_or(false) {
        // It is worth a try; the interrupt itself must arrive in any case.
        let _ = value.setattr("args", (warning,));
    }
    stopped
}
