//! `fencekit generate`: configuration for others, from the cluster file.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use fencekit::cluster::Cluster;
use fencekit::stonith::{self, Configuration};
use fencekit::{Error, Result};
use serde_json::json;

use super::{Common, DONE, output};

/// Prints configuration made of the cluster file. What deserves a word goes to stderr and into the text.
#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// What to print
    #[arg(value_enum)]
    kind: Kind,
    /// Write FILE, readable by its owner alone, instead of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A script that brings fencing into a cluster with pcs (configure-stonith.sh)
    Pcs,
    /// A configuration for crm configure load update
    Crmsh,
    /// The cluster's own XML
    Cib,
    /// Variables of the linux-system-roles role ha_cluster
    HaCluster,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Pcs => "pcs",
            Self::Crmsh => "crmsh",
            Self::Cib => "cib",
            Self::HaCluster => "ha-cluster",
        }
    }

    /// The mode of a file of this kind. None is for others to read.
    fn mode(self) -> u32 {
        match self {
            Self::Pcs => 0o700,
            _ => 0o600,
        }
    }
}

/// A text and what there is to say about it.
struct Generated {
    text: String,
    notes: Vec<String>,
    secret: bool,
}

pub(super) fn run(common: &Common, options: &Options) -> Result<u8> {
    let cluster = common.cluster()?;
    let generated = generate(options.kind, &cluster, &common.config)?;
    for note in &generated.notes {
        log::warn!("{note}");
    }
    if let Some(path) = &options.output {
        write_private(path, &generated.text, options.kind.mode())?;
    } else if generated.secret && others_can_read_stdout() {
        log::warn!(
            "the output holds passwords and others can read the file it goes to: use --output FILE, or umask 077 before, or secrets: file"
        );
    }
    if common.json {
        let text = options.output.is_none().then_some(&generated.text);
        output::document(&json!({
            "kind": options.kind.name(),
            "text": text,
            "file": options.output,
            "notes": generated.notes,
            "holds_secrets": generated.secret,
        }));
    } else if options.output.is_none() {
        let written = std::io::stdout().write_all(generated.text.as_bytes());
        written
            .and_then(|()| std::io::stdout().flush())
            .map_err(|cause| Error::io("writing to stdout", cause))?;
    }
    Ok(DONE)
}

fn generate(kind: Kind, cluster: &Cluster, file: &Path) -> Result<Generated> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let wanted = Configuration::new(cluster, &file)?;
    let text = match kind {
        Kind::Pcs => stonith::pcs(&wanted)?,
        Kind::Crmsh => stonith::crmsh(&wanted),
        Kind::Cib => stonith::cib(&wanted)?,
        Kind::HaCluster => stonith::ha_cluster(&wanted),
    };
    Ok(Generated {
        text,
        secret: wanted.holds_secrets(),
        notes: wanted.notes,
    })
}

/// Writes a file whole or not at all, and never readable by others, not even for a moment.
fn write_private(path: &Path, text: &str, mode: u32) -> Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".{}.new", std::process::id()));
    let fresh = PathBuf::from(fresh);
    let write = || {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&fresh)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&fresh, path))
    };
    write().map_err(|cause| {
        let _ = fs::remove_file(&fresh);
        Error::config(
            "output",
            format!("{} cannot be written: {cause}", path.display()),
            "name a file in a directory that you may write",
        )
        .caused_by(cause)
    })
}

/// Whether stdout is a file that others may read.
fn others_can_read_stdout() -> bool {
    let metadata = fs::metadata("/proc/self/fd/1");
    metadata.is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o044 != 0)
}
