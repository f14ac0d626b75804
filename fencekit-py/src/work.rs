//! An operation that was asked for and not begun.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use serde_json::Value;

use crate::failure::Failure;
use crate::{background, drive, logging, value};

/// What comes of an operation.
pub(crate) type Outcome = Result<Value, Failure>;

/// An operation, ready to be polled.
pub(crate) struct Job {
    pub(crate) future: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    /// What is to be said when somebody stops it: that a state is not known. None where nothing is switched.
    pub(crate) when_stopped: Option<String>,
}

/// An operation that can be done once, by `run` or by `start`.
#[pyclass(frozen, module = "fencekit._fencekit")]
pub(crate) struct Work {
    job: Mutex<Option<Job>>,
}

impl Work {
    /// One that switches nothing.
    pub(crate) fn asking(future: impl Future<Output = Outcome> + Send + 'static) -> Self {
        Self::of(future, None)
    }

    /// One that switches; `what` may be in either state when it is stopped.
    pub(crate) fn switching(
        what: impl std::fmt::Display,
        future: impl Future<Output = Outcome> + Send + 'static,
    ) -> Self {
        Self::of(
            future,
            Some(format!(
                "stopped while switching {what}: its state is not known now"
            )),
        )
    }

    fn of(future: impl Future<Output = Outcome> + Send + 'static, when_stopped: Option<String>) -> Self {
        Self {
            job: Mutex::new(Some(Job {
                future: Box::pin(future),
                when_stopped,
            })),
        }
    }

    fn take(&self) -> PyResult<Job> {
        let mut job = self.job.lock().unwrap_or_else(PoisonError::into_inner);
        job.take()
            .ok_or_else(|| PyRuntimeError::new_err("this work was done already"))
    }
}

#[pymethods]
impl Work {
    /// Does it on this thread and returns what came of it. Signals are answered meanwhile.
    fn run<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let job = self.take()?;
        logging::follow_level(py)?;
        let outcome = drive::to_end(py, job)?;
        match outcome {
            Ok(value) => value::to_python(py, &value),
            Err(failure) => Err(failure.exception(py)),
        }
    }

    /// Does it on the thread for asyncio, and then calls `done(value, exception)` there.
    fn start(&self, py: Python<'_>, done: Py<PyAny>) -> PyResult<Running> {
        let handle = background::handle(py)?;
        let job = self.take()?;
        logging::follow_level(py)?;
        Ok(Running::begin(&handle, job, done))
    }
}

/// An operation that is being done for asyncio.
#[pyclass(frozen, module = "fencekit._fencekit")]
pub(crate) struct Running {
    task: tokio::task::JoinHandle<()>,
    /// Whether there is an outcome, told or about to be.
    ended: Arc<AtomicBool>,
    when_stopped: Option<String>,
}

impl Running {
    fn begin(handle: &tokio::runtime::Handle, job: Job, done: Py<PyAny>) -> Self {
        let Job { future, when_stopped } = job;
        let ended = Arc::new(AtomicBool::new(false));
        let task = handle.spawn(background::to_end(future, Arc::clone(&ended), done));
        Self {
            task,
            ended,
            when_stopped,
        }
    }
}

#[pymethods]
impl Running {
    /// Stops it, unless it has ended. What was switched may be in either state then.
    fn stop(&self) {
        if self.ended.swap(true, Ordering::SeqCst) {
            return;
        }
        self.task.abort();
        if let Some(warning) = &self.when_stopped {
            log::warn!(target: "fencekit", "{warning}");
        }
    }
}
