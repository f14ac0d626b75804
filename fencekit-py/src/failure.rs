//! What went wrong, on its way to a Python exception.

use std::fmt;

use fencekit::{Error, Label};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

/// An error, and what it is about.
#[derive(Debug)]
pub(crate) struct Failure {
    about: Option<Box<Label>>,
    error: Error,
}

impl Failure {
    /// An error of this device.
    pub(crate) fn of(label: &Label, error: Error) -> Self {
        Self {
            about: Some(Box::new(label.clone())),
            error,
        }
    }

    /// The same of an error that stays with its owner. The cause below it is lost; its text is not.
    pub(crate) fn of_other(label: &Label, error: &Error) -> Self {
        Self::of(label, error.without_source())
    }

    /// The class in `fencekit._errors`.
    fn class(&self) -> &'static str {
        match &self.error {
            Error::Config { .. } => "ConfigError",
            Error::Unreachable { .. } => "DeviceUnreachable",
            Error::Timeout { .. } => "DeviceTimeout",
            Error::Authentication { .. } => "AuthenticationError",
            Error::Protocol { .. } => "ProtocolError",
            Error::Refused { .. } => "Refused",
            Error::WrongDevice { .. } => "WrongDevice",
            Error::NotConfirmed { .. } => "NotConfirmed",
            Error::Unsupported { .. } => "Unsupported",
            _ => "FenceError",
        }
    }

    fn details<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let details = PyDict::new(py);
        if let Some(label) = &self.about {
            details.set_item("device", format!("{} @ {}", label.method, label.address))?;
            details.set_item("plug", label.plug.as_deref())?;
        }
        if let Error::Config { option, .. } = &self.error {
            details.set_item("option", option)?;
        }
        details.set_item("exit_code", self.error.exit_code())?;
        Ok(details)
    }

    /// The exception.
    pub(crate) fn exception(&self, py: Python<'_>) -> PyErr {
        let build = || {
            let class = errors(py)?.getattr(self.class())?;
            class.call((self.to_string(),), Some(&self.details(py)?))
        };
        match build() {
            Ok(exception) => PyErr::from_value(exception),
            Err(error) => error,
        }
    }
}

fn errors(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    static ERRORS: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    ERRORS
        .get_or_try_init(py, || py.import("fencekit._errors").map(Bound::unbind))
        .map(|module| module.bind(py))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { about: None, error }
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        Python::attach(|py| failure.exception(py))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.about {
            Some(label) => write!(f, "{label}: {}", self.error),
            None => self.error.fmt(f),
        }
    }
}
