//! The cluster file: which device cuts which node's power.
//!
//! YAML or JSON. The block `stonith_nodes` of the original Ansible variables is valid as it stands; keys of others
//! around it are passed over. Every error names file, line, column, key, value and what to write instead, and never
//! a password.
//!
//! ```
//! use fencekit::cluster::Cluster;
//!
//! let cluster = Cluster::from_text(
//!     "stonith_nodes:\n  storage-b:\n    method: kasa\n    ip: 10.20.20.202\n    mgmt_ip: 10.20.20.2\n",
//!     "cluster.yml",
//! )?;
//! assert_eq!(cluster.node("storage-b")?.devices.len(), 1);
//!
//! let error = Cluster::from_text("stonith_nodes:\n  b: {mehtod: kasa, ip: 10.20.20.202}\n", "cluster.yml");
//! assert_eq!(
//!     error.unwrap_err().to_string(),
//!     "cluster.yml, line 2, column 7: stonith_nodes.b.mehtod: is not known; did you mean method?",
//! );
//! # Ok::<(), fencekit::Error>(())
//! ```

mod entry;
mod model;
#[cfg(feature = "verify")]
mod plan;
mod read;
mod reader;
mod suggest;
mod supplies;
mod yaml;

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

pub(crate) use model::named;
pub use model::{Address, Cluster, Entry, Network, Node, Password, Secrets, Stonith, Verify};
pub use supplies::supplies;

use crate::error::{Error, Result};
use crate::options::{Kind, may_hold_a_token};

/// Longest file, in bytes. A thousand nodes with two devices each take a tenth of it.
const LIMIT: u64 = 4 * 1024 * 1024;

impl Cluster {
    /// Reads a text. `source` is its name in errors. Relative paths in it count from the current directory.
    ///
    /// # Errors
    /// [`Error::Config`] for everything that is wrong with it.
    pub fn from_text(text: &str, source: &str) -> Result<Self> {
        read::draft(text, source, Path::new("."))?.finish()
    }

    /// Reads a file. Password files and variables that it names are not read yet.
    ///
    /// # Errors
    /// [`Error::Config`] when it cannot be read, is longer than 4 MiB or no UTF-8, and for everything that is wrong
    /// with its text.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(path.as_ref(), None)
    }

    /// The same, with `mgmt_ip`, `storage_ip` and `client_ips` of each node also from `directory/NODE.yml` (or
    /// `.yaml`, or `.json`) where there is such a file.
    ///
    /// # Errors
    /// As [`load`](Self::load), for the host variables too, and when the two disagree.
    pub fn load_with_host_vars(path: impl AsRef<Path>, directory: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(path.as_ref(), Some(directory.as_ref()))
    }

    fn load_with(path: &Path, host_vars: Option<&Path>) -> Result<Self> {
        let (text, readable_by_others) = read_file(path)?;
        let source = path.display().to_string();
        let mut draft = read::draft(&text, &source, &read::base_of(path))?;
        if let Some(directory) = host_vars {
            add_host_vars(&mut draft, directory)?;
        }
        let mut cluster = draft.finish()?;
        if readable_by_others && cluster.holds_secrets() {
            cluster.warnings.push(format!(
                "{source}: holds a password and can be read by everybody on this machine; chmod 640 it, or use password_file"
            ));
        }
        Ok(cluster)
    }

    /// Whether a password or key stands in the file itself.
    pub(crate) fn holds_secrets(&self) -> bool {
        self.nodes.iter().flat_map(Node::entries).any(|entry| {
            matches!(entry.password, Password::Given(_))
                || entry.method().options().any(|spec| {
                    let is_token = |value| may_hold_a_token(spec.name, value);
                    match spec.kind {
                        Kind::Secret => entry.settings.secret(spec.name).is_some(),
                        _ => entry.settings.text(spec.name).is_some_and(is_token),
                    }
                })
        })
    }
}

fn add_host_vars(draft: &mut read::Draft, directory: &Path) -> Result<()> {
    if !directory.is_dir() {
        return Err(Error::config(
            "host_vars",
            format!("{} is no directory", directory.display()),
            "give the directory that holds NODE.yml for each node",
        ));
    }
    let names: Vec<_> = draft.cluster.nodes.iter().map(|node| node.name.clone()).collect();
    for name in names {
        // A node's name may hold a slash or dots; it must not lead out of the directory.
        if name.contains('/') || name.starts_with('.') {
            continue;
        }
        let candidates = ["yml", "yaml", "json"].map(|ending| directory.join(format!("{name}.{ending}")));
        let found: Option<&PathBuf> = candidates.iter().find(|path| path.is_file());
        match found {
            Some(path) => {
                let (text, _) = read_file(path)?;
                draft.add_host_vars(&name, &text, &path.display().to_string())?;
            }
            None => draft.cluster.warnings.push(format!(
                "{}: there are no host variables of {name}",
                directory.display()
            )),
        }
    }
    Ok(())
}

/// The text, and whether everybody on the machine can read it.
fn read_file(path: &Path) -> Result<(Zeroizing<String>, bool)> {
    let shown = path.display();
    let wrong = |problem: String, mend: &str| Error::config(shown.to_string(), problem, mend);
    let unreadable = |cause: std::io::Error| {
        let mend = match cause.kind() {
            ErrorKind::NotFound => "write one, or name another with -c or FENCEKIT_CONFIG",
            ErrorKind::PermissionDenied => "run as root, or as a user who may read it",
            ErrorKind::InvalidData => "save it as UTF-8",
            _ => "check the path",
        };
        let what = match cause.kind() {
            ErrorKind::NotFound => "there is no such file".to_owned(),
            ErrorKind::InvalidData => "is no UTF-8 text".to_owned(),
            _ => format!("cannot be read: {cause}"),
        };
        wrong(what, mend).caused_by(cause)
    };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(wrong("is a directory".to_owned(), "name the file in it"));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(LIMIT + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > LIMIT {
        return Err(wrong(
            "is longer than 4 MiB".to_owned(),
            "name a cluster file; a thousand nodes take a tenth of that",
        ));
    }
    Ok((text, is_readable_by_others(&metadata)))
}

#[cfg(unix)]
fn is_readable_by_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn is_readable_by_others(_: &std::fs::Metadata) -> bool {
    false
}
