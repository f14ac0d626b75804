//! Keyword arguments as options of a device.

use std::time::Duration;

use fencekit::{Error, Method, Settings};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};

use crate::failure::Failure;

/// The options in `given`. `None` counts as left out. An option that comes by its name and by a name of old is taken
/// by its name.
pub(crate) fn settings(method: Method, given: &Bound<'_, PyDict>) -> PyResult<Settings> {
    let mut settings = Settings::new(method);
    let mut by_name = Vec::new();
    for (key, value) in given {
        if value.is_none() {
            continue;
        }
        let key: String = key.extract()?;
        let text = text(&key, &value)?;
        if method.option(&key).is_some_and(|spec| spec.name == key.as_str()) {
            by_name.push((key, text));
        } else {
            settings.set(&key, &text).map_err(Failure::from)?;
        }
    }
    for (key, text) in by_name {
        settings.set(&key, &text).map_err(Failure::from)?;
    }
    Ok(settings)
}

/// A value as an agent would read it.
fn text(key: &str, value: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(yes) = value.cast::<PyBool>() {
        return Ok(if yes.is_true() { "1" } else { "0" }.to_owned());
    }
    if value.is_instance_of::<PyString>() {
        return value.extract();
    }
    if value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>() {
        return Ok(value.str()?.to_string());
    }
    // A path, or what stands for one.
    if value.hasattr("__fspath__")? {
        let path = value.call_method0("__fspath__")?;
        if let Ok(text) = path.extract() {
            return Ok(text);
        }
    }
    // An address of the module ipaddress.
    if value.get_type().module()? == "ipaddress" {
        return Ok(value.str()?.to_string());
    }
    let kind = value.get_type().name()?;
    Err(Failure::from(Error::config(
        key,
        format!("a value of type {kind} is not valid"),
        "give text, a number, True or False",
    ))
    .into())
}

/// A time limit in seconds.
pub(crate) fn timeout(name: &str, seconds: Option<f64>) -> Result<Option<Duration>, Failure> {
    let Some(seconds) = seconds else {
        return Ok(None);
    };
    if seconds.is_finite() && seconds > 0.0 {
        // A number beyond what a duration holds is as good as no limit.
        return Ok(Some(
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX),
        ));
    }
    Err(Error::config(
        name,
        format!("{seconds} is not valid"),
        "give a number of seconds above 0, or None for the default",
    )
    .into())
}
