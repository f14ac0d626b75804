//! Results as plain Python values.

use fencekit::fence::Rebooted;
use fencekit::{Confirmation, Label, Outlet};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde_json::{Value, json};

use crate::failure::Failure;

/// The same value for Python.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Null => Ok(py.None().into_bound(py)),
        Value::Bool(yes) => yes.into_bound_py_any(py),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(whole), _) => whole.into_bound_py_any(py),
            (None, Some(whole)) => whole.into_bound_py_any(py),
            (None, None) => number.as_f64().into_bound_py_any(py),
        },
        Value::String(text) => text.into_bound_py_any(py),
        Value::Array(values) => {
            let list = PyList::empty(py);
            for value in values {
                list.append(to_python(py, value)?)?;
            }
            Ok(list.into_any())
        }
        Value::Object(members) => {
            let dict = PyDict::new(py);
            for (key, value) in members {
                dict.set_item(key, to_python(py, value)?)?;
            }
            Ok(dict.into_any())
        }
    }
}

pub(crate) fn confirmation(done: &Confirmation) -> Value {
    json!({
        "before": done.before.word(),
        "commands": done.commands,
        "looks": done.looks,
        "power": done.power,
        "identity": done.identity,
    })
}

/// The off, and the on after it or the exception that stands for its failure.
pub(crate) fn rebooted(label: &Label, done: Rebooted) -> Value {
    let (on, error) = match done.on {
        Ok(on) => (Some(confirmation(&on)), None),
        Err(error) => (None, Some(Failure::of(label, error).to_string())),
    };
    json!({"off": confirmation(&done.off), "on": on, "error": error})
}

pub(crate) fn outlet(outlet: &Outlet) -> Value {
    json!({
        "plug": outlet.plug,
        "alias": outlet.alias,
        "state": outlet.observation.word(),
        "detail": outlet.observation.reason(),
    })
}
