//! The state of many devices at once.

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::sync::Arc;
use std::time::Instant;

use fencekit_core::cluster::{Node, supplies};
use fencekit_core::fleet::{self, Look};
use fencekit_core::operate::look_document;
use fencekit_core::{Deadline, Error, FenceDeviceExt, Label, Supply};
use serde_json::{Value, json};

use crate::boundary::{Array, ErrorPlace, Place, Text, call, plain, quietly, release};
use crate::cluster::fencekit_cluster;
use crate::device::{Device, fencekit_device};
use crate::failure::Failure;
use crate::handle::{self, Opaque};
use crate::power::{self, fencekit_power};
use crate::result::fencekit_result;
use crate::{runtime, text};

/// What many devices said of their outlets. Freed with `fencekit_statuses_free`.
///
/// Threads: they never change; any number of threads may read them at once, and whoever frees them must be the last.
#[allow(non_camel_case_types, reason = "the name in C")]
pub struct fencekit_statuses(());

impl Opaque for fencekit_statuses {
    type Value = Statuses;
    const NAME: &'static str = "fencekit_statuses";
}

/// What one device said. Its texts live as long as the `fencekit_statuses` that it comes from.
#[allow(non_camel_case_types, reason = "the name in C")]
#[repr(C)]
pub struct fencekit_status {
    /// `FENCEKIT_RESULT_OK` when the state is known, else what `fencekit_device_status` would have returned.
    pub result: fencekit_result,
    /// The state; `FENCEKIT_POWER_UNKNOWN` unless the result is `FENCEKIT_RESULT_OK`.
    pub power: fencekit_power,
    /// The node that it feeds; NULL where devices were asked by themselves.
    pub node: *const c_char,
    /// The device's label; NULL where a node's devices could not be made.
    pub device: *const c_char,
    /// Why the state is unknown, one line; NULL when it is known.
    pub detail: *const c_char,
    /// What its meter reads, in watts, where the same reply said so; else NaN.
    pub watts: f64,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// Statuses with their texts for C.
#[derive(Debug)]
pub(crate) struct Statuses {
    entries: Vec<Entry>,
    json: CString,
}

#[derive(Debug)]
struct Entry {
    result: fencekit_result,
    power: fencekit_power,
    node: Option<CString>,
    device: Option<CString>,
    detail: Option<CString>,
    watts: f64,
    elapsed_ms: u64,
    document: Value,
}

/// Asks `count` devices for their state, side by side on this thread; outlets of one device take turns. All of it takes at
/// most `timeout_ms` milliseconds. The statuses come in the order of the devices.
///
/// Returns success once every device was asked, whatever each of them said: that is in its status.
/// `FENCEKIT_RESULT_INVALID_HANDLE` when one of the devices is no live device; nothing was asked then.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_devices_status(
    devices: Array<*const fencekit_device>,
    count: usize,
    timeout_ms: u32,
    statuses: Place<*mut fencekit_statuses>,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let place = statuses.check("statuses")?;
        let devices: Vec<Arc<Device>> = devices
            .get(count, "devices")?
            .iter()
            .map(|device| handle::get(*device))
            .collect::<Result<_, _>>()?;
        let supplies: Vec<&Supply> = devices.iter().map(|device| &device.supply).collect();
        let looks = looks(&supplies, runtime::deadline(timeout_ms))?;
        let entries = supplies
            .iter()
            .zip(&looks)
            .map(|(supply, look)| Entry::new(None, supply, look));
        place.write(handle::new(Statuses::of(entries.collect())));
        Ok(())
    })
}

/// Asks every device of a node for its state, or of all nodes when `node` is NULL, as `fencekit_devices_status` does. The
/// statuses come in the file's order. A node whose devices cannot be made, for want of a password file perhaps, has one
/// status that says so.
///
/// Returns `FENCEKIT_RESULT_CONFIG` for a name that the cluster does not have.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_cluster_status(
    cluster: *const fencekit_cluster,
    node: Text,
    timeout_ms: u32,
    statuses: Place<*mut fencekit_statuses>,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let loaded = handle::get(cluster)?;
        let place = statuses.check("statuses")?;
        let nodes: Vec<&Node> = match node.optional("node")? {
            Some(name) => vec![loaded.cluster.node(name)?],
            None => loaded.cluster.nodes.iter().collect(),
        };
        place.write(handle::new(of_nodes(&nodes, timeout_ms)?));
        Ok(())
    })
}

/// How many statuses there are; 0 when these are no statuses.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_statuses_count(statuses: *const fencekit_statuses) -> usize {
    quietly(0, || {
        handle::get(statuses).map_or(0, |statuses| statuses.entries.len())
    })
}

/// One status, counted from 0.
///
/// Returns `FENCEKIT_RESULT_OUT_OF_RANGE` past the last one.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_statuses_get(
    statuses: *const fencekit_statuses,
    index: usize,
    status: Place<fencekit_status>,
) -> fencekit_result {
    plain(|| {
        let statuses = handle::get(statuses)?;
        let place = status.check("status")?;
        let entry = statuses
            .entries
            .get(index)
            .ok_or_else(|| Failure::out_of_range(index, statuses.entries.len()))?;
        let text = |text: &Option<CString>| text.as_deref().map_or(ptr::null(), CStr::as_ptr);
        place.write(fencekit_status {
            result: entry.result,
            power: entry.power,
            node: text(&entry.node),
            device: text(&entry.device),
            detail: text(&entry.detail),
            watts: entry.watts,
            elapsed_ms: entry.elapsed_ms,
        });
        Ok(())
    })
}

/// All statuses as a JSON list of objects; NULL when these are no statuses. It lives as long as they do.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_statuses_json(statuses: *const fencekit_statuses) -> *const c_char {
    handle::text_of(statuses, |statuses| Some(&statuses.json))
}

/// Frees statuses. NULL is fine.
///
/// Returns `FENCEKIT_RESULT_INVALID_HANDLE`, and does nothing, when they are no live statuses.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_statuses_free(statuses: *mut fencekit_statuses) -> fencekit_result {
    release(statuses)
}

fn of_nodes(nodes: &[&Node], timeout_ms: u32) -> Result<Statuses, Failure> {
    let deadline = runtime::deadline(timeout_ms);
    let supplies = supplies(nodes, deadline);
    let made: Vec<(&Node, Result<Vec<Supply>, Error>)> = nodes.iter().copied().zip(supplies).collect();
    let all: Vec<&Supply> = made
        .iter()
        .flat_map(|(_, supplies)| supplies.iter().flatten())
        .collect();
    let looks = looks(&all, deadline)?;
    let mut looks = looks.iter();
    let mut entries = Vec::new();
    for (node, supplies) in &made {
        match supplies {
            Ok(supplies) => {
                let seen = supplies.iter().zip(looks.by_ref());
                entries.extend(seen.map(|(supply, look)| Entry::new(Some(&node.name), supply, look)));
            }
            Err(error) => entries.push(Entry::unasked(&node.name, error)),
        }
    }
    Ok(Statuses::of(entries))
}

/// Looks at every device within one deadline.
fn looks(supplies: &[&Supply], deadline: Deadline) -> Result<Vec<Look>, Failure> {
    runtime::block_on(async {
        let all = fleet::each(supplies, |_, supply| async move {
            let started = Instant::now();
            let asking = supply.device.status(&supply.policy, deadline);
            Look {
                outcome: deadline.run("talking to the device", asking).await,
                elapsed: started.elapsed(),
            }
        });
        Ok(all.await)
    })
}

impl Statuses {
    fn of(entries: Vec<Entry>) -> Self {
        let documents: Vec<&Value> = entries.iter().map(|entry| &entry.document).collect();
        Self {
            json: text::whole(&json!(documents).to_string()),
            entries,
        }
    }
}

impl Entry {
    fn new(node: Option<&str>, supply: &Supply, look: &Look) -> Self {
        let label: &Label = supply.device.label();
        let known = match &look.outcome {
            Ok(seen) => power::known(&seen.observation),
            Err(error) => Err(Failure::from(error)),
        };
        let mut document = look_document(label, supply.level, look);
        if let Some(fields) = document.as_object_mut() {
            fields.insert("node".to_owned(), json!(node));
        }
        let seen = look.outcome.as_ref().ok();
        let failure = known.as_ref().err();
        Self {
            result: failure.map_or(fencekit_result::Ok, |failure| failure.result),
            detail: failure.map(|failure| failure.message.clone()),
            power: known.unwrap_or(fencekit_power::Unknown),
            node: node.map(text::line),
            device: Some(text::line(&label.to_string())),
            watts: seen
                .and_then(|seen| seen.power)
                .map_or(f64::NAN, |power| power.watts),
            elapsed_ms: u64::try_from(look.elapsed.as_millis()).unwrap_or(u64::MAX),
            document,
        }
    }

    /// A node whose devices cannot be made.
    fn unasked(node: &str, error: &Error) -> Self {
        let failure = Failure::from(error);
        Self {
            document: json!({"node": node, "device": null, "power": "unknown", "detail": error.to_string()}),
            result: failure.result,
            detail: Some(failure.message),
            power: fencekit_power::Unknown,
            node: Some(text::line(node)),
            device: None,
            watts: f64::NAN,
            elapsed_ms: 0,
        }
    }
}
