//! Notes of what was installed, so that the second run is quick and a changed list installs anew.

use std::fs;
use std::path::PathBuf;

use crate::context::Context;

/// Whether `part` was installed from exactly this list.
pub(crate) fn holds(context: &Context, part: &str, list: &str) -> bool {
    fs::read_to_string(path(context, part)).is_ok_and(|text| text == list)
}

/// Notes that `part` has been installed from this list.
pub(crate) fn set(context: &Context, part: &str, list: &str) -> Result<(), String> {
    let path = path(context, part);
    fs::write(&path, list).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Forgets `part`, before it is changed: an installation that is cut off must not count.
pub(crate) fn clear(context: &Context, part: &str) {
    let _ = fs::remove_file(path(context, part));
}

fn path(context: &Context, part: &str) -> PathBuf {
    context.interop.join(format!("{part}.installed"))
}
