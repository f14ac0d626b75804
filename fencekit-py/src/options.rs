//! Keyword arguments as options of a device.

use std::time::Duration;

use fencekit::options::Kind;
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
        let spec = method.option(&key);
        let text = text(&key, &value, spec.is_none_or(|spec| spec.kind == Kind::Boolean))?;
        if spec.is_some_and(|spec| spec.name == key.as_str()) {
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

/// A value as an agent would read it. True is no outlet, and no number of watts: it is taken where the option asks for
/// it alone.
fn text(key: &str, value: &Bound<'_, PyAny>, is_boolean: bool) -> PyResult<String> {
    let wrong = |problem: String, mend: &str| PyErr::from(Failure::from(Error::config(key, problem, mend)));
    if let Ok(yes) = value.cast::<PyBool>() {
        if is_boolean {
            return Ok(if yes.is_true() { "1" } else { "0" }.to_owned());
        }
        return Err(wrong(
            format!("{value} is no value of this option"),
            "give text or a number",
        ));
    }
    if value.is_instance_of::<PyString>() {
        // Python's own error holds the whole text, which may be a password, for every traceback to show.
        return value.extract().map_err(|_| {
            wrong(
                "holds what is no text, as Python makes of bytes that are not UTF-8".to_owned(),
                "give the text itself",
            )
        });
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
    Err(wrong(
        format!("a value of type {kind} is not valid"),
        "give text, a number, True or False",
    ))
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
