//! Where a file may be written anew.

use std::fs;
use std::path::{Path, PathBuf};

use fencekit::{Error, Result};

/// A file that a new one may take the place of, links followed. `/dev/stdout` and the like are none: whoever renames
/// a file over them as root takes them from every other program.
///
/// # Errors
/// [`Error::Config`] that names the option, when there is something else.
pub(super) fn plain_file(option: &'static str, path: &Path) -> Result<PathBuf> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::symlink_metadata(&path) {
        Ok(there) if !there.is_file() => Err(Error::config(
            option,
            format!("{} exists and is no plain file", path.display()),
            "name a file",
        )),
        _ => Ok(path),
    }
}
