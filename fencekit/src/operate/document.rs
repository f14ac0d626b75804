//! The results as documents: what `--json` prints, and what the C and Python libraries give.

use std::time::Duration;

use serde::ser::{Serialize, SerializeSeq, Serializer};
use serde_json::{Value, json};

use super::{Fenced, Rebooted, Switch, Switched};
use crate::device::Label;
use crate::fleet::Look;
use crate::level::Level;
use crate::power::PowerState;

impl Serialize for Switch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        switch(self, None).serialize(serializer)
    }
}

/// A list of devices, each with what was wanted of it.
impl Serialize for Switched {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.devices.len()))?;
        for device in &self.devices {
            list.serialize_element(&switch(device, Some(self.wanted)))?;
        }
        list.end()
    }
}

/// The report of the verification, with the devices under `off`, and under `level` the number of the level that did it.
impl Serialize for Fenced {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = json!(self.report);
        if let Some(fields) = document.as_object_mut() {
            fields.insert("off".to_owned(), json!(self.off));
            fields.insert("level".to_owned(), json!(self.level.map(Level::number)));
        }
        document.serialize(serializer)
    }
}

/// The devices of all steps, in order.
impl Serialize for Rebooted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let devices: Vec<Value> = self
            .steps()
            .flat_map(|step| {
                step.devices
                    .iter()
                    .map(|device| switch(device, Some(step.wanted)))
            })
            .collect();
        devices.serialize(serializer)
    }
}

fn switch(device: &Switch, wanted: Option<PowerState>) -> Value {
    let done = device.outcome.as_ref().ok();
    let mut document = label(&device.label, device.level);
    let more = json!({
        "wanted": wanted.map(|state| state.to_string()),
        "confirmed": done.is_some(),
        "before": done.map(|done| done.before.word()),
        "commands": done.map(|done| done.commands),
        "looks": done.map(|done| done.looks),
        "watts": done.and_then(|done| done.power).map(|power| power.watts),
        "identity": done.and_then(|done| done.identity.as_ref()),
        "elapsed_ms": milliseconds(device.elapsed),
        "error": device.outcome.as_ref().err().map(ToString::to_string),
    });
    merge(&mut document, more);
    document
}

/// How a device is called, for programs.
fn label(label: &Label, level: Level) -> Value {
    json!({
        "device": label.to_string(),
        "method": label.method.name(),
        "address": label.address,
        "plug": label.plug,
        "level": level.number(),
    })
}

/// What a look at a device showed, for programs: `device`, `method`, `address`, `plug`, `level` (1, or 2 for a fallback),
/// `power` (`on`, `off` or `unknown`), `detail` (why it is unknown), `watts`, `identity` and `elapsed_ms`.
#[must_use]
pub fn look(of: &Label, level: Level, look: &Look) -> Value {
    let observation = look.observation();
    let seen = look.outcome.as_ref().ok();
    let mut document = label(of, level);
    let more = json!({
        "power": observation.word(),
        "detail": observation.reason(),
        "watts": seen.and_then(|seen| seen.power).map(|power| power.watts),
        "identity": seen.and_then(|seen| seen.identity.as_ref()),
        "elapsed_ms": milliseconds(look.elapsed),
    });
    merge(&mut document, more);
    document
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn merge(document: &mut Value, more: Value) {
    if let (Some(fields), Value::Object(more)) = (document.as_object_mut(), more) {
        fields.extend(more);
    }
}
