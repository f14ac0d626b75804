//! One device of a node.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::model::{Entry, Password};
use super::reader::{Field, Reader, shortened};
use super::suggest;
use super::yaml::Position;
use crate::error::{Error, Result};
use crate::fence::Policy;
use crate::method::Method;
use crate::options::{Kind, Settings};
use crate::secret::Secret;
use crate::transport::endpoint::is_odd_address;

/// The file's own spellings; every other key is an option of the method, by its name or a name of old.
const SPELLINGS: &[(&str, &str)] = &[
    ("port", "ipport"),
    ("user", "username"),
    ("identity", "expect_identity"),
];
/// Keys that say where the password is. One of them at most.
const PASSWORDS: [&str; 6] = [
    "password",
    "passwd",
    "password_file",
    "password_env",
    "password_script",
    "passwd_script",
];

/// What reading a device takes besides its keys.
pub(super) struct Context<'a> {
    pub(super) reader: &'a Reader,
    /// The directory from which relative paths count.
    pub(super) base: &'a Path,
    pub(super) warnings: &'a mut Vec<String>,
}

/// Keys of a node that describe the node, not its device.
pub(super) const NODE: [&str; 7] = [
    "devices",
    "fallback",
    "delay",
    "mgmt_ip",
    "storage_ip",
    "client_ips",
    "tcp_ports",
];

/// A device with its places in the file.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) entry: Entry,
    pub(super) at: Position,
    pub(super) path: String,
}

/// The option that a key of the file means for a method; all passwords are one option.
fn option_of(method: Method, key: &str) -> Option<&'static str> {
    if PASSWORDS.contains(&key) {
        return Some("password");
    }
    let name = SPELLINGS
        .iter()
        .find(|(spelling, _)| *spelling == key)
        .map_or(key, |(_, name)| name);
    // ESPHome takes both names for one thing; the file's entry has one of them.
    if key == "switch_name" && method == Method::Esphome {
        return Some("plug");
    }
    method.option(name).map(|spec| spec.name)
}

/// The keys that may describe a device of this method.
pub(super) fn keys_of(method: Method) -> Vec<&'static str> {
    let spellings = SPELLINGS.iter().map(|(spelling, _)| *spelling);
    let names = method.options().map(|spec| spec.name);
    ["method", "password_env"]
        .into_iter()
        .chain(spellings)
        .chain(names)
        .collect()
}

/// Whether the key describes a device of some method.
pub(super) fn is_known(key: &str) -> bool {
    key == "method"
        || Method::ALL
            .into_iter()
            .any(|method| option_of(method, key).is_some())
}

/// Reads one device. What it does not say itself comes from `defaults`, as far as its method has that option; the
/// indices of the defaults that it could have used are noted in `used`.
pub(super) fn read(
    context: &mut Context<'_>,
    own: &[Field<'_>],
    defaults: &[Field<'_>],
    used: &mut [bool],
    at: Position,
    path: &str,
) -> Result<Placed> {
    let reader = context.reader;
    let method = method(reader, own, defaults, at, path)?;
    let mut fields: BTreeMap<&'static str, &Field<'_>> = BTreeMap::new();
    for field in own.iter().filter(|field| field.key != "method") {
        let option = option_of(method, field.key).ok_or_else(|| unknown(reader, field, method))?;
        if let Some(first) = fields.insert(option, field) {
            return Err(reader.repeated(field, first));
        }
    }
    let mut from_defaults: BTreeMap<&'static str, &Field<'_>> = BTreeMap::new();
    for (index, field) in defaults.iter().enumerate() {
        let Some(option) = option_of(method, field.key) else {
            continue;
        };
        if let Some(used) = used.get_mut(index) {
            *used = true;
        }
        if let Some(first) = from_defaults.insert(option, field) {
            return Err(reader.repeated(field, first));
        }
    }
    for (option, field) in from_defaults {
        fields.entry(option).or_insert(field);
    }

    let mut draft = Draft {
        reader,
        settings: Settings::new(method),
        password: Password::None,
        any_port: false,
        base: context.base,
    };
    for (option, field) in &fields {
        draft.take(option, field, context.warnings)?;
    }
    let placed = Placed {
        entry: Entry {
            settings: draft.settings,
            password: draft.password,
            any_port: draft.any_port,
        },
        at,
        path: path.to_owned(),
    };
    let needs_ip = method.option("ip").is_some_and(|spec| spec.required);
    if needs_ip && !placed.entry.settings.has("ip") {
        return Err(reader.wrong(
            at,
            &format!("{path}.ip"),
            "is missing",
            "write the device's address, as ip: 10.20.20.202",
        ));
    }
    try_out(reader, &placed, &fields)?;
    Ok(placed)
}

fn method(
    reader: &Reader,
    own: &[Field<'_>],
    defaults: &[Field<'_>],
    at: Position,
    path: &str,
) -> Result<Method> {
    let names = Method::ALL.map(Method::name);
    let Some(field) = own.iter().chain(defaults).find(|field| field.key == "method") else {
        return Err(reader.wrong(
            at,
            &format!("{path}.method"),
            "is missing",
            format!("write one of: {}", names.join(", ")),
        ));
    };
    let text = reader.text(field)?;
    text.trim().parse().map_err(|_| {
        let near = suggest::nearest(text, names.into_iter())
            .map(|near| format!("did you mean {near}? "))
            .unwrap_or_default();
        reader.not_valid(field, text, format!("{near}write one of: {}", names.join(", ")))
    })
}

fn unknown(reader: &Reader, field: &Field<'_>, method: Method) -> Error {
    let others: Vec<_> = Method::ALL
        .into_iter()
        .filter(|other| option_of(*other, field.key).is_some())
        .map(Method::name)
        .collect();
    if others.is_empty() {
        if NODE.contains(&field.key) {
            return reader.wrong(
                field.at,
                &field.path,
                "describes the node, not one of its devices",
                "write it beside devices, not below",
            );
        }
        return reader.unknown(field, &keys_of(method));
    }
    reader.wrong(
        field.at,
        &field.path,
        format!("is no key of method {method}"),
        format!(
            "take it away, or check the method: {} has it",
            others.join(" or ")
        ),
    )
}

struct Draft<'a> {
    reader: &'a Reader,
    settings: Settings,
    password: Password,
    any_port: bool,
    base: &'a Path,
}

impl Draft<'_> {
    fn take(&mut self, option: &str, field: &Field<'_>, warnings: &mut Vec<String>) -> Result<()> {
        let reader = self.reader;
        let text = reader.text(field)?;
        match option {
            "password" => return self.take_password(field, text, warnings),
            "ipport" if text.trim() == "0" => {
                self.any_port = true;
                return Ok(());
            }
            "ip" => check_host(reader, field, text)?,
            _ => {}
        }
        let kind = self
            .settings
            .method()
            .option(option)
            .map_or(Kind::Text, |spec| spec.kind);
        let is_left_out = text.is_empty() && matches!(kind, Kind::Text | Kind::Secret);
        // A blank identity is an error: whoever wrote the key believes to be protected by it.
        if is_left_out && option != "expect_identity" {
            return Ok(());
        }
        let value = match kind {
            Kind::Text | Kind::Secret => text,
            _ => text.trim(),
        };
        self.settings
            .set(option, value)
            .map_err(|error| reader.moved(error, field.value_at(), &field.path))
    }

    fn take_password(&mut self, field: &Field<'_>, text: &str, warnings: &mut Vec<String>) -> Result<()> {
        let reader = self.reader;
        if text.is_empty() {
            return Ok(());
        }
        self.password = match field.key {
            "password_file" => Password::File(self.base.join(PathBuf::from(text))),
            "password_script" | "passwd_script" => Password::Script(text.to_owned()),
            "password_env" if is_variable(text) => Password::Environment(text.to_owned()),
            "password_env" => {
                // The value is not shown: it may be the password itself.
                return Err(reader.wrong(
                    field.value_at(),
                    &field.path,
                    "is no name of a variable",
                    "write a name as FENCE_PASSWORD; the password itself goes under password",
                ));
            }
            _ => {
                self.settings
                    .clone()
                    .set("password", text)
                    .map_err(|error| reader.moved(error, field.value_at(), &field.path))?;
                if text.to_ascii_uppercase().contains("CHANGEME") {
                    let place = reader.place(field.value_at(), &field.path);
                    warnings.push(format!(
                        "{place}: is still the example's CHANGEME; write the real one"
                    ));
                }
                Password::Given(Secret::from(text))
            }
        };
        Ok(())
    }
}

fn is_variable(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What looks like an address must be one; anything else may be a host's name.
fn check_host(reader: &Reader, field: &Field<'_>, text: &str) -> Result<()> {
    let host = text.trim().trim_start_matches('[').trim_end_matches(']');
    let fits = if host.contains(':') {
        let address = host.split_once('%').map_or(host, |(address, _)| address);
        address.parse::<Ipv6Addr>().is_ok()
    } else {
        !is_odd_address(host)
    };
    if host.is_empty() || fits {
        return Ok(());
    }
    let mend = match host.rsplit_once(':') {
        Some((address, port)) if address.parse::<Ipv4Addr>().is_ok() => {
            format!("write ip: {address} and port: {}", shortened(port))
        }
        _ => "write it as 10.20.20.202, fd00::202 or plug-b.lan".to_owned(),
    };
    Err(reader.wrong(
        field.value_at(),
        &field.path,
        format!("\"{}\" is no address", shortened(text)),
        mend,
    ))
}

/// Builds the device, which sends nothing, so that its backend checks the options while their place is known.
fn try_out(reader: &Reader, placed: &Placed, fields: &BTreeMap<&'static str, &Field<'_>>) -> Result<()> {
    let entry = &placed.entry;
    let mut settings = entry.settings.clone();
    match &entry.password {
        Password::None => {}
        Password::Given(secret) => settings.set("password", secret.expose())?,
        Password::File(_) | Password::Environment(_) | Password::Script(_) => {
            settings.set("password", "read later")?;
        }
    }
    let tried = Policy::from_settings(&settings).and_then(|_| entry.method().device(&settings));
    let Err(Error::Config { option, .. }) = &tried else {
        return Ok(());
    };
    let (at, path) = match fields.get(option.as_str()) {
        Some(field) => (field.value_at(), field.path.clone()),
        None => (placed.at, format!("{}.{option}", placed.path)),
    };
    tried.map(|_| ()).map_err(|error| reader.moved(error, at, &path))
}
