//! `fencekit generate`: configuration for others, from the cluster file.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use fencekit::cluster::Cluster;
use fencekit::generate;
use fencekit::stonith::{self, Configuration};
use fencekit::{Error, Result, Secret};
use serde_json::json;

use super::{Common, DONE, output};

/// Prints configuration made of the cluster file. What deserves a word goes to stderr and into the text.
#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// What to print
    #[arg(value_enum)]
    kind: Kind,
    /// Write FILE, readable by its owner alone, instead of stdout; for esphome a directory, made when it is missing
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the passwords of the firmware settings to FILE, readable by its owner alone (tasmota)
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// A time server that the devices reach (tasmota)
    #[arg(long, value_name = "ADDRESS")]
    ntp_server: Option<IpAddr>,
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
    /// Console commands that make Tasmota devices right for fencing
    Tasmota,
    /// ESPHome firmware configuration, a file for each device and one with their secrets
    Esphome,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Pcs => "pcs",
            Self::Crmsh => "crmsh",
            Self::Cib => "cib",
            Self::HaCluster => "ha-cluster",
            Self::Tasmota => "tasmota",
            Self::Esphome => "esphome",
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
    /// Whether the text holds passwords.
    secret: bool,
    /// The passwords that were kept apart.
    apart: Option<Secret>,
}

pub(super) fn run(common: &Common, options: &Options) -> Result<u8> {
    let cluster = common.cluster()?;
    let generated = match options.kind {
        Kind::Esphome => return esphome(common, options, &cluster),
        Kind::Pcs => of_cluster(common, &cluster, stonith::pcs)?,
        Kind::Crmsh => of_cluster(common, &cluster, |wanted| Ok(stonith::crmsh(wanted)))?,
        Kind::Cib => of_cluster(common, &cluster, stonith::cib)?,
        Kind::HaCluster => of_cluster(common, &cluster, |wanted| Ok(stonith::ha_cluster(wanted)))?,
        Kind::Tasmota => of_firmware(options, &cluster)?,
    };
    match (&options.secrets, &generated.apart) {
        (Some(path), Some(secrets)) => write_private(path, secrets.expose(), 0o600)?,
        (Some(_), None) => {
            return Err(Error::config(
                "secrets",
                format!("{} keeps no passwords apart", options.kind.name()),
                "leave the option out",
            ));
        }
        (None, _) => {}
    }
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
        return print(common, options.kind, &generated.text, &generated.notes);
    }
    Ok(DONE)
}

/// Configuration of the cluster itself.
fn of_cluster(
    common: &Common,
    cluster: &Cluster,
    render: impl Fn(&Configuration) -> Result<String>,
) -> Result<Generated> {
    let file = std::path::absolute(&common.config).unwrap_or_else(|_| common.config.clone());
    let wanted = Configuration::new(cluster, &file)?;
    Ok(Generated {
        text: render(&wanted)?,
        secret: wanted.holds_secrets(),
        apart: None,
        notes: wanted.notes,
    })
}

/// Settings for devices' firmware.
fn of_firmware(options: &Options, cluster: &Cluster) -> Result<Generated> {
    let devices = generate::tasmota(cluster, options.ntp_server)?;
    let mut notes = Vec::new();
    if devices.is_empty() {
        notes.push("the cluster file has no node with method tasmota".to_owned());
    }
    if options.ntp_server.is_none() && !devices.is_empty() {
        notes.push("without --ntp-server a device that reaches no time server may answer late".to_owned());
    }
    let secrets = options.secrets.as_ref().map(|path| path.display().to_string());
    Ok(Generated {
        text: generate::tasmota_text(&devices, secrets.as_deref()),
        notes,
        secret: false,
        apart: Some(generate::tasmota_secrets(&devices)),
    })
}

/// ESPHome's files: into the directory given, or without their secrets to stdout.
fn esphome(common: &Common, options: &Options, cluster: &Cluster) -> Result<u8> {
    let made = generate::esphome::firmware(cluster, &mut |bytes| {
        getrandom::fill(bytes)
            .map_err(|cause| Error::unsupported("this system gives no random numbers").caused_by(cause))
    })?;
    for note in &made.notes {
        log::warn!("{note}");
    }
    let Some(directory) = &options.output else {
        log::warn!("secrets.yaml is left out here: --output DIR writes every file");
        let shown = made.files.iter().filter(|file| !file.secret);
        let text: String = shown
            .map(|file| format!("# {}\n{}\n", file.name, file.text))
            .collect();
        return print(common, options.kind, &text, &made.notes);
    };
    fs::create_dir_all(directory).map_err(|cause| unwritable(directory, cause))?;
    let mut secrets = made.files.iter().filter(|file| file.secret);
    if let Some(kept) = secrets.find(|file| directory.join(&file.name).exists()) {
        return Err(Error::config(
            "output",
            format!(
                "{} exists, and the devices may run with its keys",
                directory.join(&kept.name).display()
            ),
            "name another directory, or move the file away",
        ));
    }
    for file in &made.files {
        write_private(&directory.join(&file.name), &file.text, 0o600)?;
    }
    if common.json {
        let names: Vec<_> = made.files.iter().map(|file| directory.join(&file.name)).collect();
        output::document(&json!({"kind": "esphome", "files": names, "notes": made.notes}));
    }
    Ok(DONE)
}

fn print(common: &Common, kind: Kind, text: &str, notes: &[String]) -> Result<u8> {
    if common.json {
        output::document(&json!({"kind": kind.name(), "text": text, "notes": notes}));
        return Ok(DONE);
    }
    let mut stdout = std::io::stdout();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written
        .map(|()| DONE)
        .map_err(|cause| Error::io("writing to stdout", cause))
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
        unwritable(path, cause)
    })
}

fn unwritable(path: &Path, cause: std::io::Error) -> Error {
    Error::config(
        "output",
        format!("{} cannot be written: {cause}", path.display()),
        "name a place in a directory that you may write",
    )
    .caused_by(cause)
}

/// Whether stdout is a file that others may read.
fn others_can_read_stdout() -> bool {
    let metadata = fs::metadata("/proc/self/fd/1");
    metadata.is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o044 != 0)
}
