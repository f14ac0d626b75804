//! `fencekit generate`: configuration for others, from the cluster file.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use fencekit::generate::{self, File, Generated, Kind};
use fencekit::{Deadline, Error, Result};
use serde_json::json;

use super::plain_file::plain_file;
use super::{Common, DONE, FAILED, output};

/// A file that its owner alone may read.
const PRIVATE: u32 = 0o600;
/// The same for a program.
const PRIVATE_PROGRAM: u32 = 0o700;

/// Prints configuration made of the cluster file. What deserves a word goes to stderr and into the text.
#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// What to print
    #[arg(value_parser = kinds())]
    kind: Kind,
    /// Write FILE, readable by its owner alone, instead of stdout (-); for ansible and esphome a directory, made when it is missing
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the passwords of the firmware settings to FILE, readable by its owner alone (tasmota)
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// A time server that the devices reach (tasmota, nftables)
    #[arg(long, value_name = "ADDRESS")]
    ntp_server: Option<IpAddr>,
    /// For this node alone (nftables)
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Look up the addresses of devices that the cluster file names, once and now (nftables)
    #[arg(long)]
    resolve: bool,
}

fn kinds() -> impl TypedValueParser<Value = Kind> {
    let names = Kind::ALL.map(|kind| PossibleValue::new(kind.name()).help(kind.summary()));
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Kind>())
}

pub(super) fn run(common: &Common, options: &Options) -> Result<u8> {
    let cluster = common.cluster()?;
    let file = std::path::absolute(&common.config).unwrap_or_else(|_| common.config.clone());
    let mut wanted = generate::Options::default();
    wanted.ntp_server = options.ntp_server;
    wanted.secrets_file = options.secrets.as_ref().map(|path| path.display().to_string());
    wanted.node.clone_from(&options.node);
    if options.resolve {
        let Some(resolved) = super::block_on(generate::resolve(&cluster, Deadline::far()))? else {
            return Ok(FAILED);
        };
        wanted.resolved = resolved?;
    }
    let made = generate::produce(options.kind, &cluster, &file, &wanted)?;
    for note in &made.notes {
        log::warn!("{note}");
    }
    if let Some(path) = &options.secrets {
        write_secrets(path, &made)?;
    }
    match options.output.as_ref().filter(|path| *path != Path::new("-")) {
        Some(directory) if made.kind.is_directory() => write_directory(common, directory, &made),
        Some(path) => write_file(common, path, &made),
        None => print(common, options, &made),
    }
}

/// The passwords that a text leaves out, into a file of their own.
fn write_secrets(path: &Path, made: &Generated) -> Result<()> {
    let apart = made.files.iter().find(|file| file.secret);
    match apart.filter(|_| !made.kind.is_directory()) {
        Some(secrets) => write_private(path, &secrets.text, PRIVATE),
        None => Err(Error::config(
            "secrets",
            format!("{} keeps no passwords apart", made.kind),
            "leave the option out",
        )),
    }
}

/// Every file of a directory. What others may have written or live by stays as it is.
fn write_directory(common: &Common, directory: &Path, made: &Generated) -> Result<u8> {
    for file in &made.files {
        refuse_to_overwrite(&directory.join(&file.name), file, made.kind)?;
    }
    for file in &made.files {
        let path = directory.join(&file.name);
        let parent = path.parent().unwrap_or(directory);
        fs::create_dir_all(parent).map_err(|cause| unwritable(parent, cause))?;
        write_private(&path, &file.text, PRIVATE)?;
    }
    if common.json {
        let names: Vec<_> = made.files.iter().map(|file| directory.join(&file.name)).collect();
        output::document(&json!({"kind": made.kind, "files": names, "notes": made.notes}));
    }
    Ok(DONE)
}

/// Fresh keys would lock the devices out that run with the old ones; and variables may be edited by hand.
fn refuse_to_overwrite(path: &Path, file: &File, kind: Kind) -> Result<()> {
    let reason = match kind {
        Kind::Esphome if file.secret => "the devices may run with its keys",
        Kind::Ansible => "says something else",
        _ => return Ok(()),
    };
    let is_same = fs::read(path).is_ok_and(|there| there == file.text.as_bytes());
    if is_same || !path.exists() {
        return Ok(());
    }
    Err(Error::config(
        "output",
        format!("{} exists, and {reason}", path.display()),
        "name another directory, or move the file away",
    ))
}

fn write_file(common: &Common, path: &Path, made: &Generated) -> Result<u8> {
    let mode = if made.kind.is_program() {
        PRIVATE_PROGRAM
    } else {
        PRIVATE
    };
    write_private(path, &made.text, mode)?;
    if common.json {
        output::document(&json!({
            "kind": made.kind,
            "text": null,
            "file": path,
            "notes": made.notes,
            "holds_secrets": made.holds_secrets,
        }));
    }
    Ok(DONE)
}

fn print(common: &Common, options: &Options, made: &Generated) -> Result<u8> {
    for file in made.files.iter().filter(|file| file.secret) {
        if made.kind.is_directory() {
            log::warn!("{} is left out here: --output DIR writes every file", file.name);
        } else if options.secrets.is_none() && !file.text.is_empty() {
            log::warn!("the passwords are left out here: --secrets FILE writes them");
        }
    }
    if made.holds_secrets && others_can_read_stdout() {
        match keep_stdout_private() {
            Ok(()) => log::warn!(
                "the output holds passwords, so the file it goes to can be read by its owner alone now; --output FILE does the same"
            ),
            Err(cause) => {
                return Err(Error::config(
                    "--output",
                    format!(
                        "is not given, the text holds passwords, and others can read the file that stdout goes to ({cause})"
                    ),
                    "use --output FILE, or umask 077 before, or secrets: file in the cluster file",
                ));
            }
        }
    }
    if common.json {
        output::document(&json!(made));
        return Ok(DONE);
    }
    let mut stdout = std::io::stdout();
    let written = stdout
        .write_all(made.text.as_bytes())
        .and_then(|()| stdout.flush());
    written
        .map(|()| DONE)
        .map_err(|cause| Error::io("writing to stdout", cause))
}

/// Writes a file whole or not at all, and never readable by others, not even for a moment.
fn write_private(path: &Path, text: &str, mode: u32) -> Result<()> {
    let path = &plain_file("output", path)?;
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
/// Takes the file that stdout goes to from everybody but its owner, before anything is in it.
fn keep_stdout_private() -> std::io::Result<()> {
    let file = fs::File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    let mode = file.metadata()?.mode() & 0o700;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

fn others_can_read_stdout() -> bool {
    let metadata = fs::metadata("/proc/self/fd/1");
    metadata.is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o044 != 0)
}
