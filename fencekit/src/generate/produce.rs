//! One door to everything that is generated.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use serde::Serialize;
use serde::ser::SerializeStruct;

use super::Kind;
use crate::cluster::Cluster;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::stonith::{self, Configuration};

/// What only some kinds ask for. The default is right for all of them.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// A time server that the devices reach ([`Kind::Tasmota`], [`Kind::Nftables`]).
    pub ntp_server: Option<IpAddr>,
    /// The node that the text is for; `None` for all of them together ([`Kind::Nftables`]).
    pub node: Option<String>,
    /// The addresses of devices that the cluster file names rather than addresses ([`Kind::Nftables`]). The
    /// generator itself asks nobody.
    pub resolved: BTreeMap<String, Vec<IpAddr>>,
    /// The name of the file that the passwords will be in, for the text to mention ([`Kind::Tasmota`]).
    pub secrets_file: Option<String>,
    /// Until when programs may run that print passwords ([`Kind::Esphome`], [`Kind::Tasmota`]). `None`: each has its
    /// ten seconds.
    pub deadline: Option<Deadline>,
}

#[cfg(any(feature = "esphome", feature = "tasmota"))]
impl Options {
    fn deadline(&self) -> Deadline {
        self.deadline.unwrap_or_else(Deadline::far)
    }
}

/// What was generated. Serialises without the texts of secret [`files`](Self::files).
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Generated {
    /// What it is.
    pub kind: Kind,
    /// The whole text; where it [is a directory](Kind::is_directory), every file that is not secret, each under its
    /// name.
    pub text: String,
    /// What the user must know or do, a sentence each; in the text as well, where that has comments.
    pub notes: Vec<String>,
    /// Whether [`text`](Self::text) holds passwords: then it is for its owner's eyes alone.
    pub holds_secrets: bool,
    /// The files of a [directory](Kind::is_directory), and those with the passwords that were kept out of the text.
    pub files: Vec<File>,
}

/// Shows the text only where it holds no passwords.
impl fmt::Debug for Generated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.holds_secrets { "..." } else { &self.text };
        f.debug_struct("Generated")
            .field("kind", &self.kind)
            .field("text", &text)
            .field("notes", &self.notes)
            .field("holds_secrets", &self.holds_secrets)
            .field("files", &self.files)
            .finish()
    }
}

/// A generated file. `Debug` and serde show the text of one that is not secret alone.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Its path within the directory that the user chooses; relative, without `..`.
    pub name: String,
    /// What is in it.
    pub text: String,
    /// Whether it holds secrets: to be readable by its owner alone, and never shown.
    pub secret: bool,
}

impl File {
    fn shown(&self) -> Option<&str> {
        (!self.secret).then_some(self.text.as_str())
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("name", &self.name)
            .field("text", &self.shown().unwrap_or("..."))
            .field("secret", &self.secret)
            .finish()
    }
}

impl Serialize for File {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut file = serializer.serialize_struct("File", 3)?;
        file.serialize_field("name", &self.name)?;
        file.serialize_field("text", &self.shown())?;
        file.serialize_field("secret", &self.secret)?;
        file.end()
    }
}

/// Makes configuration of one kind. `file` is where the cluster's nodes have the cluster file, for the texts that
/// name it; it is not read. Nothing is sent to any device.
///
/// Password files, variables and scripts are read where the configuration has to hold the password itself.
///
/// ```
/// use fencekit::cluster::Cluster;
/// use fencekit::generate::{Kind, Options, produce};
///
/// let cluster = Cluster::from_text(
///     "stonith_nodes:\n  storage-b: {method: kasa, ip: 10.20.20.202, mgmt_ip: 10.20.20.2}\n",
///     "cluster.yml",
/// )?;
/// let file = "/etc/fencekit/cluster.yml".as_ref();
/// let made = produce("crmsh".parse()?, &cluster, file, &Options::default())?;
/// assert!(made.text.contains("primitive fence-storage-b stonith:fence_kasa"));
/// assert!(!made.holds_secrets);
/// # Ok::<(), fencekit::Error>(())
/// ```
///
/// # Errors
/// [`Error::Config`] for what this kind cannot carry and for timeouts that do not fit together, with the option's
/// name; when a password that it needs cannot be read; and when there is nothing to generate.
/// [`Error::Unsupported`] when this build lacks the backend that the kind is for, or the system gives no random
/// numbers for keys. [`Error::Timeout`] when the options' deadline comes before a password.
pub fn produce(kind: Kind, cluster: &Cluster, file: &Path, options: &Options) -> Result<Generated> {
    match kind {
        Kind::Pcs => configuration(kind, cluster, file, stonith::pcs),
        Kind::Crmsh => configuration(kind, cluster, file, stonith::crmsh),
        Kind::Cib => configuration(kind, cluster, file, stonith::cib),
        Kind::HaCluster => {
            let mut made = configuration(kind, cluster, file, |wanted| Ok(stonith::ha_cluster(wanted)))?;
            made.notes.push(stonith::ROLE_SETS_EVERYTHING.to_owned());
            Ok(made)
        }
        Kind::Ansible => super::ansible::ansible(cluster, file),
        Kind::Nftables => super::nftables::nftables(cluster, options),
        Kind::Prometheus => Ok(super::prometheus::prometheus(cluster)),
        Kind::Esphome => esphome(cluster, options),
        Kind::Tasmota => tasmota(cluster, options),
    }
}

/// Configuration of the cluster itself.
fn configuration(
    kind: Kind,
    cluster: &Cluster,
    file: &Path,
    render: impl Fn(&Configuration) -> Result<String>,
) -> Result<Generated> {
    let wanted = Configuration::new(cluster, file)?;
    Ok(Generated {
        kind,
        text: render(&wanted)?,
        holds_secrets: wanted.holds_secrets(),
        notes: wanted.notes,
        files: Vec::new(),
    })
}

/// What a directory shows on paper: every file that is not secret.
pub(super) fn directory(kind: Kind, files: Vec<File>, notes: Vec<String>) -> Generated {
    let text = files
        .iter()
        .filter_map(|file| Some(format!("# {}\n{}\n", file.name, file.shown()?)))
        .collect();
    Generated {
        kind,
        text,
        notes,
        holds_secrets: false,
        files,
    }
}

#[cfg(feature = "esphome")]
fn esphome(cluster: &Cluster, options: &Options) -> Result<Generated> {
    let made = super::esphome::firmware_within(cluster, options.deadline(), &mut |bytes| {
        getrandom::fill(bytes)
            .map_err(|cause| Error::unsupported("this system gives no random numbers").caused_by(cause))
    })?;
    Ok(directory(Kind::Esphome, made.files, made.notes))
}

#[cfg(not(feature = "esphome"))]
fn esphome(_: &Cluster, _: &Options) -> Result<Generated> {
    Err(lacks("esphome"))
}

/// Settings for devices' firmware.
#[cfg(feature = "tasmota")]
fn tasmota(cluster: &Cluster, options: &Options) -> Result<Generated> {
    let devices = super::tasmota::within(cluster, options.ntp_server, options.deadline())?;
    let mut notes = Vec::new();
    if devices.is_empty() {
        notes.push("the cluster file has no node with method tasmota".to_owned());
    }
    if options.ntp_server.is_none() && !devices.is_empty() {
        notes.push("without --ntp-server a device that reaches no time server may answer late".to_owned());
    }
    Ok(Generated {
        kind: Kind::Tasmota,
        text: super::tasmota_text(&devices, options.secrets_file.as_deref()),
        notes,
        holds_secrets: false,
        files: vec![File {
            name: "tasmota-secrets.txt".to_owned(),
            text: super::tasmota_secrets(&devices).expose().to_owned(),
            secret: true,
        }],
    })
}

#[cfg(not(feature = "tasmota"))]
fn tasmota(_: &Cluster, _: &Options) -> Result<Generated> {
    Err(lacks("tasmota"))
}

#[cfg(not(all(feature = "esphome", feature = "tasmota")))]
fn lacks(backend: &str) -> Error {
    Error::unsupported(format!(
        "this build has no {backend} backend; build with --features {backend}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
stonith_nodes:
  a: {method: tasmota, ip: 10.0.0.1, password: s3cret, mgmt_ip: 10.1.0.1}
  b: {method: esphome, ip: 10.0.0.2, switch_name: Relay, encryption_key: QRTIErOb/fcE9Ukd/5qA3RGYMn0Y+p06U58SCtOXvPc=}
";

    fn made(kind: Kind) -> Generated {
        let cluster = Cluster::from_text(FILE, "test").unwrap();
        let options = Options {
            secrets_file: Some("apart.txt".to_owned()),
            ..Options::default()
        };
        produce(kind, &cluster, Path::new("/etc/fencekit/cluster.yml"), &options).unwrap()
    }

    #[test]
    fn every_kind_has_a_name_that_reads_back_and_is_produced() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse::<Kind>().unwrap(), kind);
            let made = made(kind);
            assert_eq!(made.kind, kind);
            assert!(!made.text.is_empty(), "{kind}");
        }
        assert_eq!(
            "PCS".parse::<Kind>().unwrap_err().to_string().split(';').next(),
            Some("kind: \"PCS\" is not known")
        );
    }

    #[test]
    fn a_text_says_whether_it_holds_the_password() {
        for kind in Kind::ALL {
            let made = made(kind);
            assert_eq!(made.text.contains("s3cret"), made.holds_secrets, "{kind}");
            assert!(!format!("{made:?}").contains("s3cret"), "{kind}");
        }
    }

    #[test]
    fn secrets_kept_apart_are_in_files_that_nothing_shows() {
        for kind in [Kind::Esphome, Kind::Tasmota] {
            let made = made(kind);
            assert!(!made.holds_secrets);
            let secret: Vec<_> = made.files.iter().filter(|file| file.secret).collect();
            assert_eq!(secret.len(), 1, "{kind}");
            let word = if kind == Kind::Tasmota {
                "s3cret"
            } else {
                "QRTIErOb"
            };
            assert!(secret[0].text.contains(word), "{kind}");
            let json = serde_json::to_string(&made).unwrap();
            assert!(
                !json.contains(word) && !format!("{made:?}").contains(word),
                "{json}"
            );
            assert!(json.contains(&format!("\"kind\":\"{kind}\"")), "{json}");
        }
    }
}
