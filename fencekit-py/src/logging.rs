//! The core's log in Python's `logging`, as the logger `fencekit`.
//!
//! Records of a call that blocks are kept until Python is held again; there a handler may raise, and a signal that
//! came meanwhile is not lost. Other records are handed over at once.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Log, Metadata, Record};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

const NAME: &str = "fencekit";

/// One line of the log.
#[derive(Debug)]
struct Line {
    level: Level,
    text: String,
    place: &'static str,
    line: u32,
    module: String,
    created: f64,
}

struct ToPython;

impl Log for ToPython {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries below may log what goes over the wire, credentials among it.
        let target = metadata.target();
        target == NAME || target.starts_with("fencekit::")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = Line {
            level: record.level(),
            text: record.args().to_string(),
            place: record.file_static().unwrap_or("(fencekit)"),
            line: record.line().unwrap_or(0),
            module: record.target().to_owned(),
            created: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0.0, |since| since.as_secs_f64()),
        };
        if let Some(line) = keep(line) {
            Python::try_attach(|py| {
                if let Err(error) = line.tell(py) {
                    error.write_unraisable(py, None);
                }
            });
        }
    }

    fn flush(&self) {}
}

thread_local! {
    /// The lines of the calls that this thread is in, the innermost last.
    static KEPT: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Keeps a line for the call that this thread is in; gives it back where there is none.
fn keep(line: Line) -> Option<Line> {
    KEPT.with_borrow_mut(|calls| match calls.last_mut() {
        Some(lines) => {
            lines.push(line);
            None
        }
        None => Some(line),
    })
}

/// Where the lines of one call are kept.
pub(crate) struct Outbox(());

impl Outbox {
    pub(crate) fn open() -> Self {
        KEPT.with_borrow_mut(|calls| calls.push(Vec::new()));
        Self(())
    }

    /// Hands the lines over.
    ///
    /// # Errors
    /// What a handler raised.
    pub(crate) fn deliver(&self, py: Python<'_>) -> PyResult<()> {
        let lines = KEPT.with_borrow_mut(|calls| calls.last_mut().map(std::mem::take));
        lines.into_iter().flatten().try_for_each(|line| line.tell(py))
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        KEPT.with_borrow_mut(Vec::pop);
    }
}

impl Line {
    fn tell(&self, py: Python<'_>) -> PyResult<()> {
        let logger = logger(py)?;
        let level = number(self.level);
        if !logger.call_method1("isEnabledFor", (level,))?.is_truthy()? {
            return Ok(());
        }
        let record = logger.call_method1(
            "makeRecord",
            (
                NAME,
                level,
                self.place,
                self.line,
                &self.text,
                py.None(),
                py.None(),
                &self.module,
            ),
        )?;
        record.setattr("created", self.created)?;
        record.setattr("msecs", self.created.fract() * 1000.0)?;
        logger.call_method1("handle", (record,)).map(drop)
    }
}

fn number(level: Level) -> u32 {
    match level {
        Level::Error => 40,
        Level::Warn => 30,
        Level::Info => 20,
        Level::Debug => 10,
        Level::Trace => 5,
    }
}

fn logger(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static LOGGER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    LOGGER
        .get_or_try_init(py, || {
            let logging = py.import("logging")?;
            logging.call_method1("getLogger", (NAME,)).map(Bound::unbind)
        })
        .map(|logger| logger.bind(py))
}

/// Receives the core's log from now on; warnings and errors alone until Python wants more.
pub(crate) fn install() {
    if log::set_logger(&ToPython).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}

/// Takes over the level of Python's logger. A program that has not imported `logging` has not set one, and is spared
/// the import.
pub(crate) fn follow_level(py: Python<'_>) -> PyResult<()> {
    static MODULES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let modules = MODULES
        .get_or_try_init(py, || {
            let modules = py.import("sys")?.getattr("modules")?;
            modules.cast_into().map(Bound::unbind).map_err(PyErr::from)
        })?
        .bind(py);
    if !modules.contains("logging")? {
        return Ok(());
    }
    let level: i64 = logger(py)?.call_method0("getEffectiveLevel")?.extract()?;
    log::set_max_level(match level {
        ..=5 => LevelFilter::Trace,
        6..=10 => LevelFilter::Debug,
        11..=20 => LevelFilter::Info,
        21..=30 => LevelFilter::Warn,
        31..=40 => LevelFilter::Error,
        _ => LevelFilter::Off,
    });
    Ok(())
}
