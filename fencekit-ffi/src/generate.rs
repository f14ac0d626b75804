//! Configuration made of a cluster file.

use std::ffi::{CString, c_char};
use std::net::IpAddr;
use std::path::PathBuf;

use fencekit_core::Error;
use fencekit_core::generate::{self, Generated, Kind, Options, produce};
use zeroize::Zeroizing;

use crate::boundary::{Array, ErrorPlace, Place, Text, call, plain, quietly, release};
use crate::cluster::{Loaded, fencekit_cluster};
use crate::device::fencekit_option;
use crate::failure::Failure;
use crate::handle::{self, Opaque};
use crate::result::fencekit_result;
use crate::{runtime, text};

/// Configuration that was generated. Freed with `fencekit_generated_free`, which wipes its texts from memory.
///
/// Threads: it never changes; any number of threads may read it at once, and whoever frees it must be the last.
#[allow(non_camel_case_types, reason = "the name in C")]
pub struct fencekit_generated(());

impl Opaque for fencekit_generated {
    type Value = Made;
    const NAME: &'static str = "fencekit_generated";
}

/// Configuration with its texts for C.
pub(crate) struct Made {
    text: Zeroizing<CString>,
    holds_secrets: bool,
    notes: Vec<CString>,
    files: Vec<File>,
}

struct File {
    name: CString,
    text: Zeroizing<CString>,
    secret: bool,
}

impl From<generate::Generated> for Made {
    fn from(generated: generate::Generated) -> Self {
        let made = Self {
            text: Zeroizing::new(text::whole(&generated.text)),
            holds_secrets: generated.holds_secrets,
            notes: generated.notes.iter().map(|note| text::line(note)).collect(),
            files: generated.files.iter().map(File::from).collect(),
        };
        drop(Zeroizing::new(generated.text));
        for file in generated.files {
            drop(Zeroizing::new(file.text));
        }
        made
    }
}

impl From<&generate::File> for File {
    fn from(file: &generate::File) -> Self {
        Self {
            name: text::line(&file.name),
            text: Zeroizing::new(text::whole(&file.text)),
            secret: file.secret,
        }
    }
}

/// A generated file. Its texts live as long as the `fencekit_generated` that it comes from.
#[allow(non_camel_case_types, reason = "the name in C")]
#[repr(C)]
pub struct fencekit_file {
    /// Its path within a directory of your choice; relative, without `..`.
    pub name: *const c_char,
    /// What is in it.
    pub text: *const c_char,
    /// Whether it holds secrets: write it readable by its owner alone, and never show it.
    pub secret: bool,
}

/// Makes configuration of one kind (`pcs`, `crmsh`, `cib`, `ha-cluster`, `esphome`, `tasmota`, or another that
/// `fencekit generate --help` names). `file` is where the cluster's nodes have the cluster file, for texts that name it;
/// NULL for where this one was loaded from, or else `/etc/fencekit/cluster.yml`. Nothing is sent to any device. Programs that
/// print passwords may take ten seconds each; `fencekit_cluster_generate_with` has a limit for them.
///
/// Returns `FENCEKIT_RESULT_CONFIG` for a kind that there is not and for what it cannot carry.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_cluster_generate(
    cluster: *const fencekit_cluster,
    kind: Text,
    file: Text,
    generated: Place<*mut fencekit_generated>,
    error: ErrorPlace,
) -> fencekit_result {
    made_by(cluster, &kind, &generated, &error, |loaded, kind| {
        let file = file
            .optional("file")?
            .map_or_else(|| loaded.place(), PathBuf::from);
        Ok(produce(kind, &loaded.cluster, &file, &Options::default())?)
    })
}

/// As `fencekit_cluster_generate`, with `count` options, which may be NULL for none, and within `timeout_ms` milliseconds,
/// which bound the programs that print passwords (`esphome`, `tasmota`) and the look-up of names.
/// The options are `file`; `node`, the node that the text is for (`nftables`); `ntp_server`, the address of a time server
/// that the devices reach (`nftables`, `tasmota`); `secrets_file`, the name that the text has for the file with the passwords
/// (`tasmota`); and `resolve`, with `1` to look up, once and now, the addresses of devices that the cluster file names
/// (`nftables`). Nothing is sent to any device.
///
/// Returns `FENCEKIT_RESULT_CONFIG` for an option that there is not too, and `FENCEKIT_RESULT_TIMEOUT`.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_cluster_generate_with(
    cluster: *const fencekit_cluster,
    kind: Text,
    options: Array<fencekit_option>,
    count: usize,
    timeout_ms: u32,
    generated: Place<*mut fencekit_generated>,
    error: ErrorPlace,
) -> fencekit_result {
    made_by(cluster, &kind, &generated, &error, |loaded, kind| {
        let deadline = runtime::deadline(timeout_ms);
        let mut wanted = Options::default();
        wanted.deadline = Some(deadline);
        let mut file = loaded.place();
        let mut resolve = false;
        for option in options.get(count, "options")? {
            let (name, value) = option.get()?;
            match name {
                "file" => file = PathBuf::from(value),
                "node" => wanted.node = Some(value.to_owned()),
                "ntp_server" => wanted.ntp_server = Some(address(value)?),
                "secrets_file" => wanted.secrets_file = Some(value.to_owned()),
                "resolve" => resolve = truth(value)?,
                other => {
                    return Err(Error::config(
                        other,
                        "is no option of what is generated",
                        "write one of: file, node, ntp_server, resolve, secrets_file",
                    )
                    .into());
                }
            }
        }
        runtime::block_on(async {
            if resolve {
                wanted.resolved = generate::resolve(&loaded.cluster, deadline).await?;
            }
            Ok(produce(kind, &loaded.cluster, &file, &wanted)?)
        })
    })
}

/// Checks the arguments that both calls have before anything is made, and hands over what `make` made.
fn made_by(
    cluster: *const fencekit_cluster,
    kind: &Text,
    generated: &Place<*mut fencekit_generated>,
    error: &ErrorPlace,
    make: impl FnOnce(&Loaded, Kind) -> Result<Generated, Failure>,
) -> fencekit_result {
    call(error, || {
        let loaded = handle::get(cluster)?;
        let place = generated.check("generated")?;
        let made = make(&loaded, kind.get("kind")?.parse()?)?;
        place.write(handle::new(Made::from(made)));
        Ok(())
    })
}

fn address(text: &str) -> Result<IpAddr, Error> {
    text.parse().map_err(|_| {
        Error::config(
            "ntp_server",
            format!("\"{text}\" is no address"),
            "write an IP address",
        )
    })
}

fn truth(text: &str) -> Result<bool, Error> {
    match text {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(Error::config(
            "resolve",
            format!("\"{text}\" is not valid"),
            "write 1 or 0",
        )),
    }
}

/// The whole text, or every file of it that is not secret; NULL when this is no generated configuration. It lives as long
/// as that.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_generated_text(generated: *const fencekit_generated) -> *const c_char {
    handle::text_of(generated, |made| Some(&made.text))
}

/// Whether the text holds passwords: then it is for its owner's eyes alone. True when this is no generated configuration.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_generated_holds_secrets(generated: *const fencekit_generated) -> bool {
    quietly(true, || {
        handle::get(generated).map_or(true, |made| made.holds_secrets)
    })
}

/// How many notes there are on what the user must know or do; 0 when this is no generated configuration.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_generated_note_count(generated: *const fencekit_generated) -> usize {
    quietly(0, || handle::get(generated).map_or(0, |made| made.notes.len()))
}

/// One note, a line, counted from 0; NULL past the last one. It lives as long as the generated configuration.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_generated_note(
    generated: *const fencekit_generated,
    index: usize,
) -> *const c_char {
    handle::text_of(generated, |made| made.notes.get(index).map(CString::as_c_str))
}

/// How many files there are; 0 where the text is everything, or when this is no generated configuration.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_generated_file_count(generated: *const fencekit_generated) -> usize {
    quietly(0, || handle::get(generated).map_or(0, |made| made.files.len()))
}

/// One file, counted from 0.
///
/// Returns `FENCEKIT_RESULT_OUT_OF_RANGE` past the last one.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_generated_file(
    generated: *const fencekit_generated,
    index: usize,
    file: Place<fencekit_file>,
) -> fencekit_result {
    plain(|| {
        let made = handle::get(generated)?;
        let place = file.check("file")?;
        let one = made
            .files
            .get(index)
            .ok_or_else(|| Failure::out_of_range(index, made.files.len()))?;
        place.write(fencekit_file {
            name: one.name.as_ptr(),
            text: one.text.as_ptr(),
            secret: one.secret,
        });
        Ok(())
    })
}

/// Frees generated configuration. NULL is fine.
///
/// Returns `FENCEKIT_RESULT_INVALID_HANDLE`, and does nothing, when it is no live one.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_generated_free(generated: *mut fencekit_generated) -> fencekit_result {
    release(generated)
}
