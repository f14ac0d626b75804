//! Devices: made of options, asked, switched.

use std::ffi::{CString, c_char};

use fencekit_core::options::Kind;
use fencekit_core::{Confirmation, Deadline, Error, FenceDeviceExt, Method, Settings, Supply};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::boundary::{Array, ErrorPlace, Place, Text, call, release};
use crate::failure::Failure;
use crate::handle::{self, Opaque};
use crate::identity::{Reported, fencekit_identity};
use crate::outlets::{Listed, fencekit_outlets};
use crate::power::{self, fencekit_confirmation, fencekit_power, fencekit_power_reading};
use crate::result::fencekit_result;
use crate::{runtime, text};

/// A fence device: how to reach one outlet, and what it takes to believe it. It holds no connection. Freed with
/// `fencekit_device_free`.
///
/// Threads: a device never changes; any number of threads may call it at once. Their conversations with the device
/// itself take turns, since plugs serve one client at a time. It may be used on both sides of a fork.
#[allow(non_camel_case_types, reason = "the name in C")]
pub struct fencekit_device(());

impl Opaque for fencekit_device {
    type Value = Device;
    const NAME: &'static str = "fencekit_device";
}

/// A device with its name for C.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) supply: Supply,
    label: CString,
}

impl From<Supply> for Device {
    fn from(supply: Supply) -> Self {
        Self {
            label: text::line(&supply.device.label().to_string()),
            supply,
        }
    }
}

/// One option of a device: a name that the fence agents have for it, such as `ip`, and its value as a text.
#[allow(non_camel_case_types, reason = "the name in C")]
#[repr(C)]
pub struct fencekit_option {
    /// The name.
    pub name: Text,
    /// The value.
    pub value: Text,
}

impl fencekit_option {
    /// Both texts.
    ///
    /// # Errors
    /// `NullArgument` and `InvalidUtf8`, with the option's name once that is known.
    pub(crate) fn get(&self) -> Result<(&str, &str), Failure> {
        let name = self.name.get("an option's name")?;
        Ok((name, self.value.get(&format!("the value of the option {name}"))?))
    }
}

/// Makes a device of a method (`ipmi`, `kasa`, `tasmota`, `esphome` or `http`) and `count` options, which may be NULL for
/// none. The options are those of the method's fence agent, timing and `expect_identity`, `off_max_watts` and
/// `confirm_reads` among them; of one that is given twice the last counts. A `password_file` or `password_script` is read
/// now, which may take ten seconds. Nothing is sent to the device.
///
/// Returns `FENCEKIT_RESULT_CONFIG` when an option is unknown, wrong or missing, and `FENCEKIT_RESULT_UNSUPPORTED` when
/// this build lacks the method.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_device_new(
    method: Text,
    options: Array<fencekit_option>,
    count: usize,
    device: Place<*mut fencekit_device>,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let place = device.check("device")?;
        let mut settings = Settings::new(method.get("method")?.parse()?);
        for option in options.get(count, "options")? {
            let (name, value) = option.get()?;
            settings.set(name, value)?;
        }
        place.write(handle::new(device_of(settings)?));
        Ok(())
    })
}

/// Makes a device of a JSON object: `{"method": "kasa", "ip": "10.20.20.202", "off_max_watts": 5}`. Besides `method` its
/// keys are the options of `fencekit_device_new`; values are texts and numbers, and true or false where the option is a
/// yes or no.
///
/// Returns `FENCEKIT_RESULT_CONFIG` for a text that is no such object too.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_device_from_json(
    json: Text,
    device: Place<*mut fencekit_device>,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let place = device.check("device")?;
        let settings = settings_of(json.get("json")?)?;
        place.write(handle::new(device_of(settings)?));
        Ok(())
    })
}

/// How the device is called in messages: method, address and outlet, never a secret. It lives as long as the device;
/// NULL when this is none.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_device_label(device: *const fencekit_device) -> *const c_char {
    handle::text_of(device, |device| Some(&device.label))
}

/// Asks the device for the state of its outlet, and for its identity where one is expected. With success the state is
/// `FENCEKIT_POWER_ON` or `FENCEKIT_POWER_OFF`; it takes at most `timeout_ms` milliseconds.
///
/// Returns `FENCEKIT_RESULT_STATE_UNKNOWN` when the device answers without telling, and any result from
/// `FENCEKIT_RESULT_UNREACHABLE` to `FENCEKIT_RESULT_WRONG_DEVICE`. None of them is evidence of a state.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_device_status(
    device: *const fencekit_device,
    timeout_ms: u32,
    power: Place<fencekit_power>,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let device = handle::get(device)?;
        let place = power.check("power")?;
        let seen = device.ask(timeout_ms, async |supply, deadline| {
            supply.device.status(&supply.policy, deadline).await
        })?;
        place.write(power::known(&seen.observation)?);
        Ok(())
    })
}

/// Switches the outlet off and returns success once that is confirmed: the expected device answered, it accepted the
/// command, and freshly asked it says off, as does its meter where `off_max_watts` is set. It takes at most `timeout_ms`
/// milliseconds.
///
/// There is no off without a confirmation. `fencekit_device_off_confirmed` does the very same and says how.
///
/// After any other result nothing is known of the outlet, except that nothing was switched after
/// `FENCEKIT_RESULT_WRONG_DEVICE`, `FENCEKIT_RESULT_AUTHENTICATION` and every result below 300.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_device_off(
    device: *const fencekit_device,
    timeout_ms: u32,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let device = handle::get(device)?;
        device.off(timeout_ms).map(drop)
    })
}

/// As `fencekit_device_off`, and writes how the off was confirmed.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_device_off_confirmed(
    device: *const fencekit_device,
    timeout_ms: u32,
    confirmation: Place<fencekit_confirmation>,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let device = handle::get(device)?;
        let place = confirmation.check("confirmation")?;
        place.write((&device.off(timeout_ms)?).into());
        Ok(())
    })
}

/// Switches the outlet on and returns success once the device, freshly asked, says on. It takes at most `timeout_ms`
/// milliseconds.
///
/// Returns what `fencekit_device_off` returns.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_device_on(
    device: *const fencekit_device,
    timeout_ms: u32,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let device = handle::get(device)?;
        device
            .ask(timeout_ms, async |supply, deadline| {
                supply.device.on_confirmed(&supply.policy, deadline, &()).await
            })
            .map(drop)
    })
}

/// Switches the outlet off as `fencekit_device_off` does, leaves it off for five seconds, and switches it on. It takes at
/// most `timeout_ms` milliseconds.
///
/// Returns `FENCEKIT_RESULT_STILL_OFF` when the off was confirmed and the on was not: whoever fences has what it needs.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_device_reboot(
    device: *const fencekit_device,
    timeout_ms: u32,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let device = handle::get(device)?;
        let rebooted = device.ask(timeout_ms, async |supply, deadline| {
            supply.device.reboot(&supply.policy, deadline, &()).await
        })?;
        match rebooted.on {
            Ok(_) => Ok(()),
            Err(error) => Err(device.failure(&error).with_result(fencekit_result::StillOff)),
        }
    })
}

/// Lists the outlets of the device, whichever is configured. It takes at most `timeout_ms` milliseconds.
///
/// Returns what `fencekit_device_status` returns.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_device_outlets(
    device: *const fencekit_device,
    timeout_ms: u32,
    outlets: Place<*mut fencekit_outlets>,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let device = handle::get(device)?;
        let place = outlets.check("outlets")?;
        let listed = device.ask(timeout_ms, async |supply, deadline| {
            supply.device.outlets(&supply.policy, deadline).await
        })?;
        place.write(handle::new(listed.iter().map(Listed::from).collect()));
        Ok(())
    })
}

/// Reads the outlet's meter. It takes at most `timeout_ms` milliseconds.
///
/// Returns `FENCEKIT_RESULT_UNSUPPORTED` where there is no meter, and what `fencekit_device_status` returns.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_device_power_reading(
    device: *const fencekit_device,
    timeout_ms: u32,
    reading: Place<fencekit_power_reading>,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let device = handle::get(device)?;
        let place = reading.check("reading")?;
        let read = device.ask(timeout_ms, async |supply, deadline| {
            supply.device.power_reading(&supply.policy, deadline).await
        })?;
        place.write(read.into());
        Ok(())
    })
}

/// Asks the device who it is. It takes at most `timeout_ms` milliseconds.
///
/// Returns `FENCEKIT_RESULT_UNSUPPORTED` where the protocol has no answer, and what `fencekit_device_status` returns.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_device_identity(
    device: *const fencekit_device,
    timeout_ms: u32,
    identity: Place<*mut fencekit_identity>,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let device = handle::get(device)?;
        let place = identity.check("identity")?;
        let reported = device.ask(timeout_ms, async |supply, deadline| {
            supply.device.identity(&supply.policy, deadline).await
        })?;
        place.write(handle::new(Reported::from(&reported)));
        Ok(())
    })
}

/// Frees a device. NULL is fine. A call that another thread is in the middle of goes on to its end.
///
/// Returns `FENCEKIT_RESULT_INVALID_HANDLE`, and does nothing, when it is no live device.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_device_free(device: *mut fencekit_device) -> fencekit_result {
    release(device)
}

impl Device {
    fn off(&self, timeout_ms: u32) -> Result<Confirmation, Failure> {
        self.ask(timeout_ms, async |supply, deadline| {
            supply.device.off_confirmed(&supply.policy, deadline, &()).await
        })
    }

    /// Does something with the device within the time.
    fn ask<T>(
        &self,
        timeout_ms: u32,
        work: impl AsyncFnOnce(&Supply, Deadline) -> fencekit_core::Result<T>,
    ) -> Result<T, Failure> {
        let deadline = runtime::deadline(timeout_ms);
        runtime::block_on(async {
            deadline
                .run("talking to the device", work(&self.supply, deadline))
                .await
                .map_err(|error| self.failure(&error))
        })
    }

    fn failure(&self, error: &Error) -> Failure {
        Failure::of(self.supply.device.label(), error)
    }
}

fn device_of(mut settings: Settings) -> Result<Device, Failure> {
    settings.load_password()?;
    Ok(Device::from(Supply::from_settings(&settings)?))
}

/// The options in a JSON object.
fn settings_of(json: &str) -> Result<Settings, Failure> {
    let wrong = |problem: String| Error::config("json", problem, "write {\"method\": \"kasa\", \"ip\": ...}");
    let value: Value = serde_json::from_str(json).map_err(|cause| wrong(position(&cause)))?;
    let Value::Object(fields) = value else {
        return Err(wrong("is no object".to_owned()).into());
    };
    let method = match fields.get("method") {
        Some(Value::String(method)) => method.parse::<Method>()?,
        _ => {
            return Err(Error::config(
                "method",
                "is missing",
                "write its name as a text, such as \"kasa\"",
            )
            .into());
        }
    };
    let mut settings = Settings::new(method);
    for (name, value) in fields.iter().filter(|(name, _)| *name != "method") {
        let spec = method.option(name);
        let is_boolean = spec.is_none_or(|spec| spec.kind == Kind::Boolean);
        settings.set(name, &text_of(name, value, is_boolean)?)?;
    }
    Ok(settings)
}

/// An option's value. A secret among them is wiped once it is set. `true` is no outlet, and no number of watts: it is
/// taken where the option asks for it alone.
fn text_of(name: &str, value: &Value, is_boolean: bool) -> Result<Zeroizing<String>, Error> {
    Ok(Zeroizing::new(match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(yes) if is_boolean => String::from(if *yes { "1" } else { "0" }),
        Value::Bool(yes) => {
            return Err(Error::config(
                name,
                format!("{yes} is no value of this option"),
                "write a text or a number",
            ));
        }
        Value::Null | Value::Array(_) | Value::Object(_) => {
            return Err(Error::config(
                name,
                "is neither text, number, true nor false",
                "write one of these, or leave the option out",
            ));
        }
    }))
}

/// Where and how a text is no JSON, without a word of the text, which may hold a password.
fn position(cause: &serde_json::Error) -> String {
    format!("is no JSON: line {}, column {}", cause.line(), cause.column())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(json: &str) -> String {
        settings_of(json)
            .map(drop)
            .unwrap_err()
            .message
            .into_string()
            .unwrap()
    }

    #[test]
    fn options_come_from_texts_numbers_and_truth() {
        let settings = settings_of(
            r#"{"ip": "127.0.0.1", "method": "kasa", "ipport": 9999, "ssl": false, "off_max_watts": 5.5}"#,
        );
        // ssl is no option of kasa.
        assert!(settings.is_err());
        let settings =
            settings_of(r#"{"ip": "127.0.0.1", "method": "http", "ipport": 80, "ssl": true}"#).unwrap();
        assert_eq!(settings.text("ip"), Some("127.0.0.1"));
        assert_eq!(settings.integer::<u16>("ipport"), Some(80));
        assert!(settings.boolean("ssl"));
    }

    #[test]
    fn truth_is_no_outlet_and_no_number() {
        for wrong in [r#""plug": true"#, r#""port": false"#, r#""off_max_watts": true"#] {
            let refused = message(&format!(r#"{{"method": "kasa", "ip": "127.0.0.1", {wrong}}}"#));
            assert!(refused.contains("is no value of this option"), "{refused}");
        }
    }

    #[test]
    fn a_name_of_old_never_replaces_the_name_of_today() {
        let settings = settings_of(r#"{"method": "kasa", "plug": "2", "port": "7"}"#).unwrap();
        assert_eq!(settings.text("plug"), Some("2"));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_password_repeated() {
        assert!(message("[1]").contains("is no object"));
        assert!(message(r#"{"ip": "x"}"#).starts_with("method: is missing"));
        assert!(message(r#"{"method": "nonesuch"}"#).contains("nonesuch"));
        assert!(message(r#"{"method": "kasa", "plug": [1]}"#).starts_with("plug: is neither"));
        let cut = message(r#"{"method": "kasa", "password": "hunter2"#);
        assert!(cut.contains("line 1") && !cut.contains("hunter2"), "{cut}");
        let unknown = message(r#"{"method": "kasa", "pasword": "hunter2"}"#);
        assert!(
            unknown.starts_with("pasword:") && !unknown.contains("hunter2"),
            "{unknown}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 256 }, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_is_too_strange(text in "\\PC*") {
            let _ = settings_of(&text);
        }
    }
}
