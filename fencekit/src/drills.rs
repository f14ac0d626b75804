//! What drills have proven or disproven: which outlets feed which node, when, and how long it took.
//!
//! `fencekit drill` keeps one record for each node, as one JSON object by node; the newest replaces the one before.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use serde::{Deserialize, Serialize};

/// Where records are kept unless told otherwise.
pub const PATH: &str = "/var/lib/fencekit/drills.json";

/// One device of a node that was drilled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outlet {
    /// The device's label, with its outlet.
    pub device: String,
    /// What it drew before, in watts, where it has a meter.
    pub watts_on: Option<f64>,
    /// What it drew while it was off.
    pub watts_off: Option<f64>,
}

/// A drill that proved its node's wiring, or found that it is another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drill {
    /// When, in UTC.
    pub time: String,
    /// The same in seconds since 1970, for its age.
    pub epoch: u64,
    /// From where.
    pub host: Option<String>,
    /// The outlets that were cut, all together.
    pub outlets: Vec<Outlet>,
    /// What showed that the node lives on while they are off: they do not feed it, or not alone. `None` when it was
    /// proven dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// From the confirmed off to the last answer, in milliseconds; `None` when it went on answering.
    pub silent_after_ms: Option<u64>,
    /// From the confirmed on to the first answer, in milliseconds; `None` when it did not come back in time, and when
    /// it had never gone.
    pub back_after_ms: Option<u64>,
}

impl Drill {
    /// Whether it proved that its outlets feed the node.
    #[must_use]
    pub fn is_proof(&self) -> bool {
        self.failure.is_none() && self.silent_after_ms.is_some()
    }

    /// How long ago it was.
    #[must_use]
    pub fn age(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(Duration::from_secs(self.epoch))
    }
}

/// Every node's drill. A file that is not there holds none.
///
/// # Errors
/// When the file cannot be read, or is not what `fencekit drill` writes.
pub fn load(path: &Path) -> io::Result<BTreeMap<String, Drill>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(cause) => Err(cause),
    }
}
