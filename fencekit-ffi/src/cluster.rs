//! The cluster file, and what is done to whole nodes.

use std::ffi::{CString, c_char};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fencekit_core::cluster::Cluster;
use fencekit_core::operate::{Budget, Fenced, Rebooted, Subject, Switched};
use fencekit_core::verify::{HostProber, Plan, Report};
use fencekit_core::{Deadline, Error, PowerState};

use crate::boundary::{ErrorPlace, Place, Text, call, quietly, release};
use crate::device::{Device, fencekit_device};
use crate::failure::Failure;
use crate::handle::{self, Opaque};
use crate::report::{Verified, fencekit_report};
use crate::result::fencekit_result;
use crate::{runtime, text};

/// A cluster file: which devices cut which node's power, and how a fenced node is proven dead. Freed with
/// `fencekit_cluster_free`.
///
/// Threads: a cluster never changes; any number of threads may call it at once. It may be used on both sides of a fork.
#[allow(non_camel_case_types, reason = "the name in C")]
pub struct fencekit_cluster(());

impl Opaque for fencekit_cluster {
    type Value = Loaded;
    const NAME: &'static str = "fencekit_cluster";
}

/// A cluster with its texts for C.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) cluster: Cluster,
    /// Where it was read from, when that was a file.
    pub(crate) file: Option<PathBuf>,
    names: Vec<CString>,
    warnings: Vec<CString>,
}

/// Where the nodes of a cluster have its file, when nobody says otherwise.
const USUAL_FILE: &str = "/etc/fencekit/cluster.yml";

impl Loaded {
    /// Where the cluster's nodes have the file, as far as is known here.
    pub(crate) fn place(&self) -> PathBuf {
        self.file.clone().unwrap_or_else(|| PathBuf::from(USUAL_FILE))
    }

    fn new(cluster: Cluster, file: Option<&Path>) -> Self {
        let names = cluster.nodes.iter().map(|node| text::line(&node.name)).collect();
        let warnings = cluster
            .warnings
            .iter()
            .map(|warning| text::line(warning))
            .collect();
        Self {
            cluster,
            // What is generated is read elsewhere, where a path that counts from this process' directory leads nowhere.
            file: file.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned())),
            names,
            warnings,
        }
    }
}

/// Reads a cluster file, YAML or JSON, at most 4 MiB. Password files that it names are read when a device is needed.
///
/// Returns `FENCEKIT_RESULT_CONFIG` when it cannot be read and for everything that is wrong with it; the error names line
/// and column.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_cluster_load(
    path: Text,
    cluster: Place<*mut fencekit_cluster>,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let place = cluster.check("cluster")?;
        let path = Path::new(path.get("path")?);
        place.write(handle::new(Loaded::new(Cluster::load(path)?, Some(path))));
        Ok(())
    })
}

/// Reads the text of a cluster file. Relative paths in it count from the current directory.
///
/// Returns what `fencekit_cluster_load` returns.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_cluster_from_text(
    text: Text,
    cluster: Place<*mut fencekit_cluster>,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let place = cluster.check("cluster")?;
        let read = Cluster::from_text(text.get("text")?, "text")?;
        place.write(handle::new(Loaded::new(read, None)));
        Ok(())
    })
}

/// How many nodes there are; 0 when this is no cluster.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_cluster_node_count(cluster: *const fencekit_cluster) -> usize {
    quietly(0, || handle::get(cluster).map_or(0, |loaded| loaded.names.len()))
}

/// A node's name, counted from 0 in the file's order; NULL past the last one, or when this is no cluster. It lives as long
/// as the cluster.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_cluster_node(cluster: *const fencekit_cluster, index: usize) -> *const c_char {
    handle::text_of(cluster, |loaded| loaded.names.get(index).map(CString::as_c_str))
}

/// How many things in the file are valid but deserve a word, such as a password that everybody can read; 0 when this is
/// no cluster.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_cluster_warning_count(cluster: *const fencekit_cluster) -> usize {
    quietly(0, || {
        handle::get(cluster).map_or(0, |loaded| loaded.warnings.len())
    })
}

/// One of these, a line, counted from 0; NULL past the last one. It lives as long as the cluster.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_cluster_warning(cluster: *const fencekit_cluster, index: usize) -> *const c_char {
    handle::text_of(cluster, |loaded| {
        loaded.warnings.get(index).map(CString::as_c_str)
    })
}

/// How many devices feed a node; 0 for a name that the cluster does not have.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_cluster_device_count(cluster: *const fencekit_cluster, node: Text) -> usize {
    quietly(0, || {
        let count = || -> Result<usize, Failure> {
            let loaded = handle::get(cluster)?;
            Ok(loaded.cluster.node(node.get("node")?)?.devices.len())
        };
        count().unwrap_or(0)
    })
}

/// Makes a device of one of a node's entries, counted from 0 in the file's order. Its password is read now,
/// which may take ten seconds. The device stays when the cluster is freed.
///
/// Returns `FENCEKIT_RESULT_CONFIG` for a name that the cluster does not have and for a password that cannot be read, and
/// `FENCEKIT_RESULT_OUT_OF_RANGE` past the last device.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_cluster_device(
    cluster: *const fencekit_cluster,
    node: Text,
    index: usize,
    device: Place<*mut fencekit_device>,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let loaded = handle::get(cluster)?;
        let place = device.check("device")?;
        let node = loaded.cluster.node(node.get("node")?)?;
        let entry = node
            .devices
            .get(index)
            .ok_or_else(|| Failure::out_of_range(index, node.devices.len()))?;
        place.write(handle::new(Device::from(entry.supply(&node.name)?)));
        Ok(())
    })
}

/// Switches every device of a node off and returns success once each is confirmed, as `fencekit_device_off` does; or once its
/// fallback is, which is tried when they cannot all be confirmed within half of the time. A device that says on after that
/// contradicts it, and nothing is confirmed then. It takes at most `timeout_ms` milliseconds. This proves the outlets off; that the node is dead, `fencekit_cluster_fence` proves.
///
/// Returns what `fencekit_device_off` returns, for the first device that is not confirmed, and `FENCEKIT_RESULT_CONFIG` for
/// a name that the cluster does not have.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_cluster_off(
    cluster: *const fencekit_cluster,
    node: Text,
    timeout_ms: u32,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || switch(cluster, node, PowerState::Off, timeout_ms))
}

/// Switches every device of a node on, its fallback first, and returns success once each says on. It takes at most `timeout_ms` milliseconds.
///
/// Returns what `fencekit_cluster_off` returns.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_cluster_on(
    cluster: *const fencekit_cluster,
    node: Text,
    timeout_ms: u32,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || switch(cluster, node, PowerState::On, timeout_ms))
}

/// Switches a node off as `fencekit_cluster_off` does, leaves it off for five seconds, and switches on what was switched off.
/// Nothing is switched on unless the off was confirmed. It takes at most `timeout_ms` milliseconds.
///
/// Returns `FENCEKIT_RESULT_STILL_OFF` when every off was confirmed and an on was not, else what `fencekit_cluster_off`
/// returns.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_cluster_reboot(
    cluster: *const fencekit_cluster,
    node: Text,
    timeout_ms: u32,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let loaded = handle::get(cluster)?;
        let deadline = runtime::deadline(timeout_ms);
        let subject = Subject::within(&loaded.cluster, node.get("node")?, deadline)?;
        rebooted(&runtime::block_on(async {
            Ok(subject.reboot(deadline, &()).await)
        })?)
    })
}

/// Tells whether a node is dead: watches its devices and every address of it for the file's `verify.wait` (ten seconds
/// when left out) and at most ten seconds more, or until the first sign of life. Switches nothing.
///
/// Returns `FENCEKIT_RESULT_OK` when the node is proven dead and for nothing else. `FENCEKIT_RESULT_STILL_ALIVE` and
/// `FENCEKIT_RESULT_INCONCLUSIVE` come with a report too, which is then to be freed like any other: for these two results
/// alone `report` is written without a success. `FENCEKIT_RESULT_INVALID_ARGUMENT` when `timeout_ms` is shorter than the
/// window, `FENCEKIT_RESULT_TIMEOUT` when it ends before there is a verdict, and `FENCEKIT_RESULT_CONFIG` for a name that
/// the cluster does not have.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_cluster_verify(
    cluster: *const fencekit_cluster,
    node: Text,
    timeout_ms: u32,
    report: Place<*mut fencekit_report>,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let loaded = handle::get(cluster)?;
        let place = report.check("report")?;
        let deadline = runtime::deadline(timeout_ms);
        let subject = Subject::within(&loaded.cluster, node.get("node")?, deadline)?;
        budget(&subject.plan, timeout_ms, deadline)?;
        let report = runtime::block_on(async {
            let prober = HostProber::new();
            Ok(deadline
                .run("verifying the node", subject.verify(&prober))
                .await?)
        })?;
        let outcome = verdict(&report, None);
        place.write(handle::new(Verified::new(&report, &report)));
        outcome
    })
}

/// Fences a node: switches every device of it off, each confirmed, and then watches it to a verdict as
/// `fencekit_cluster_verify` does. Its fallback is tried when the others are not confirmed off within half of the time, or
/// the node is seen alive all the same; `level` in the report's JSON tells which level did it. The verdict is sought even when an off was not confirmed, and it alone decides.
/// `timeout_ms` is for both together: the window of the verification, ten seconds unless the file says otherwise, is kept
/// free for it.
///
/// Returns what `fencekit_cluster_verify` returns, with a report in the same cases. Before
/// `FENCEKIT_RESULT_INVALID_ARGUMENT` nothing was switched; after any other failure the node may be on or off.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_cluster_fence(
    cluster: *const fencekit_cluster,
    node: Text,
    timeout_ms: u32,
    report: Place<*mut fencekit_report>,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let loaded = handle::get(cluster)?;
        let place = report.check("report")?;
        let deadline = runtime::deadline(timeout_ms);
        let mut subject = Subject::within(&loaded.cluster, node.get("node")?, deadline)?;
        let for_off = budget(&subject.plan, timeout_ms, deadline)?.off;
        let fenced = runtime::block_on(async {
            let prober = HostProber::new();
            let work = subject.fence(for_off, &prober, &());
            Ok(deadline.run("fencing the node", work).await?)
        })?;
        let outcome = verdict(&fenced.report, Some(&fenced));
        place.write(handle::new(Verified::new(&fenced.report, &fenced)));
        outcome
    })
}

/// Frees a cluster. NULL is fine.
///
/// Returns `FENCEKIT_RESULT_INVALID_HANDLE`, and does nothing, when it is no live cluster.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_cluster_free(cluster: *mut fencekit_cluster) -> fencekit_result {
    release(cluster)
}

fn switch(
    cluster: *const fencekit_cluster,
    node: Text,
    wanted: PowerState,
    timeout_ms: u32,
) -> Result<(), Failure> {
    let loaded = handle::get(cluster)?;
    let deadline = runtime::deadline(timeout_ms);
    let subject = Subject::within(&loaded.cluster, node.get("node")?, deadline)?;
    let switched = runtime::block_on(async { Ok(subject.switch(wanted, deadline, &()).await) })?;
    confirmed(&switched)
}

/// Success when every device is confirmed, else the first failure.
fn confirmed(switched: &Switched) -> Result<(), Failure> {
    match switched.failure() {
        Some((label, error)) => Err(Failure::of(label, error)),
        None if switched.is_confirmed() => Ok(()),
        None => Err(Failure::new(
            fencekit_result::Config,
            "the node has no device; write one into the cluster file",
        )),
    }
}

fn rebooted(rebooted: &Rebooted) -> Result<(), Failure> {
    confirmed(&rebooted.off)?;
    let on = rebooted.on.as_ref().map_or_else(
        || {
            Err(Failure::new(
                fencekit_result::StillOff,
                "the node was not switched on again",
            ))
        },
        confirmed,
    );
    on.map_err(|failure| failure.with_result(fencekit_result::StillOff))
}

/// The times of a verification, and of an off before it.
fn budget(plan: &Plan, timeout_ms: u32, whole: Deadline) -> Result<Budget, Failure> {
    let limit = Duration::from_millis(u64::from(timeout_ms));
    Budget::of(plan, "timeout_ms", limit, whole).map_err(|error| match error {
        Error::Config { .. } => Failure::new(fencekit_result::InvalidArgument, error.to_string()),
        error => Failure::from(error),
    })
}

/// Success when the node is proven dead, else why not.
fn verdict(report: &Report, fenced: Option<&Fenced>) -> Result<(), Failure> {
    log::info!("verdict on {}", report.line());
    if report.is_confirmed_off() {
        return Ok(());
    }
    let off = fenced
        .and_then(|fenced| fenced.off.failure())
        .map(|(label, error)| format!("; the off was not confirmed: {label}: {error}"))
        .unwrap_or_default();
    let result = match fencekit_result::from(report.verdict) {
        // The two ways to tell a success must agree.
        fencekit_result::Ok => fencekit_result::Inconclusive,
        other => other,
    };
    Err(Failure::new(result, format!("{}{off}", report.line())))
}

#[cfg(test)]
mod tests {
    use fencekit_core::verify::{Rule, Timing, Verdict};

    use super::*;

    fn plan(wait: u64) -> Plan {
        Plan {
            node: "storage-b".into(),
            devices: Vec::new(),
            networks: Vec::new(),
            require_witness: false,
            timing: Timing {
                wait: Duration::from_secs(wait),
                ..Timing::default()
            },
        }
    }

    #[test]
    fn the_window_is_kept_free_for_the_verification() {
        let of = |wait, timeout_ms| budget(&plan(wait), timeout_ms, runtime::deadline(timeout_ms));
        let times = of(10, 60_000).unwrap();
        let kept = times.whole.remaining().saturating_sub(times.off.remaining());
        assert!(kept >= Duration::from_millis(10_500), "{kept:?}");
        let short = of(10, 10_000).unwrap_err();
        assert_eq!(short.result, fencekit_result::InvalidArgument);
        let text = short.message.to_str().unwrap();
        assert!(
            text.starts_with("timeout_ms: ") && text.contains("10500 ms"),
            "{text}"
        );
        assert!(of(0, 1_000).is_err(), "a window is never shorter than a second");
    }

    #[test]
    fn a_file_keeps_its_place_wherever_the_process_goes() {
        let text = "stonith_nodes:\n  a: {method: kasa, ip: 127.0.0.1}\n";
        let loaded = |file| Loaded::new(Cluster::from_text(text, "text").unwrap(), file);
        let place = loaded(Some(Path::new("cluster.yml"))).place();
        assert!(place.is_absolute() && place.ends_with("cluster.yml"), "{place:?}");
        assert_eq!(loaded(None).place(), Path::new(USUAL_FILE));
    }

    #[test]
    fn only_confirmed_off_is_a_success() {
        let report = |verdict| Report {
            node: "storage-b".into(),
            verdict,
            elapsed_ms: 1,
            rule: Rule::Answered,
            reasons: vec!["it answered".into()],
            evidence: Vec::new(),
        };
        assert!(verdict(&report(Verdict::ConfirmedOff), None).is_ok());
        let alive = verdict(&report(Verdict::StillAlive), None).unwrap_err();
        assert_eq!(alive.result, fencekit_result::StillAlive);
        let unknown = verdict(&report(Verdict::Inconclusive), None).unwrap_err();
        assert_eq!(unknown.result, fencekit_result::Inconclusive);
    }

    #[test]
    fn a_node_without_devices_is_never_off() {
        let none = Switched {
            wanted: PowerState::Off,
            devices: Vec::new(),
        };
        assert!(confirmed(&none).is_err());
        let still_off = rebooted(&Rebooted { off: none, on: None }).unwrap_err();
        assert_eq!(still_off.result, fencekit_result::Config);
    }
}
