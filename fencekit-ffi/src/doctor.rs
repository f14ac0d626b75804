//! The preflight of a cluster's fencing, as JSON.

use std::ffi::{CString, c_char};
use std::time::Duration;

use fencekit_core::doctor::{self, Diagnosis, Outcome, Scope};
use serde_json::json;

use crate::boundary::{ErrorPlace, Place, Text, call, quietly, release};
use crate::cluster::fencekit_cluster;
use crate::failure::Failure;
use crate::handle::{self, Opaque};
use crate::result::fencekit_result;
use crate::{runtime, text};

/// What an examination found. Freed with `fencekit_diagnosis_free`.
///
/// Threads: it never changes; any number of threads may read it at once, and whoever frees it must be the last.
#[allow(non_camel_case_types, reason = "the name in C")]
pub struct fencekit_diagnosis(());

impl Opaque for fencekit_diagnosis {
    type Value = Examined;
    const NAME: &'static str = "fencekit_diagnosis";
}

/// A diagnosis with its texts for C.
#[derive(Debug)]
pub(crate) struct Examined {
    count: usize,
    json: CString,
}

/// The longest that one device may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Examines the fencing of a node, or of all nodes when `node` is NULL: every device reached, logged in, identified, on
/// and metered, the wiring, the networks, this host. It takes at most `timeout_ms` milliseconds. Switches nothing.
///
/// Returns `FENCEKIT_RESULT_OK` when there is nothing to mend. `FENCEKIT_RESULT_PROBLEMS` when the fencing is not to be
/// relied on, and `FENCEKIT_RESULT_INCONCLUSIVE` when something could not be examined, come with a diagnosis too, which is
/// then to be freed like any other. `FENCEKIT_RESULT_TIMEOUT` when the time was too short for one, and
/// `FENCEKIT_RESULT_CONFIG` for a name that the cluster does not have.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_cluster_doctor(
    cluster: *const fencekit_cluster,
    node: Text,
    timeout_ms: u32,
    diagnosis: Place<*mut fencekit_diagnosis>,
    error: ErrorPlace,
) -> fencekit_result {
    call(&error, || {
        let loaded = handle::get(cluster)?;
        let place = diagnosis.check("diagnosis")?;
        let scope = Scope {
            nodes: node.optional("node")?.into_iter().map(str::to_owned).collect(),
            file: loaded.file.clone(),
            ..Scope::default()
        };
        let deadline = runtime::deadline(timeout_ms);
        // The networks are looked at as well, and what the host has been told.
        let patience = PATIENCE.min(deadline.remaining() / 2);
        let found = runtime::block_on(async {
            let work = doctor::examine(&loaded.cluster, &scope, patience);
            Ok(deadline.run("examining the cluster", work).await?)
        })?;
        place.write(handle::new(Examined {
            count: found.findings.len(),
            json: text::whole(&json!(found).to_string()),
        }));
        outcome(&found)
    })
}

/// How many findings there are, good ones among them; 0 when this is no diagnosis.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_diagnosis_count(diagnosis: *const fencekit_diagnosis) -> usize {
    quietly(0, || handle::get(diagnosis).map_or(0, |examined| examined.count))
}

/// The whole diagnosis as the JSON document that `fencekit doctor --json` prints; NULL when this is no diagnosis. It lives
/// as long as that.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_diagnosis_json(diagnosis: *const fencekit_diagnosis) -> *const c_char {
    handle::text_of(diagnosis, |examined| Some(&examined.json))
}

/// Frees a diagnosis. NULL is fine.
///
/// Returns `FENCEKIT_RESULT_INVALID_HANDLE`, and does nothing, when it is no live diagnosis.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_diagnosis_free(diagnosis: *mut fencekit_diagnosis) -> fencekit_result {
    release(diagnosis)
}

fn outcome(found: &Diagnosis) -> Result<(), Failure> {
    let result = match found.outcome {
        Outcome::Good => return Ok(()),
        Outcome::Problem => fencekit_result::Problems,
        Outcome::Inconclusive => fencekit_result::Inconclusive,
    };
    let worst = found.findings.iter().max_by_key(|advice| advice.severity);
    let words = worst.map_or_else(
        || "nothing was found".to_owned(),
        |advice| format!("{}; {}", advice.detail, advice.mend),
    );
    Err(Failure::new(result, words))
}
