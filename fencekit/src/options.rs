//! Device options by the fence agents' names: one table from which the agents take their options and metadata,
//! the cluster file its keys, and the bindings their keyword arguments.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

pub use self::common::{COMMON, LOGIN_TIMEOUT, SHELL_TIMEOUT, SSL, SSL_INSECURE, SSL_SECURE, TLS};
use crate::error::{Error, Result};
use crate::method::Method;
use crate::secret::Secret;

/// What an option's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Text that is never shown.
    Secret,
    /// `1 yes on true` or `0 no off false`.
    Boolean,
    /// Seconds, fractions allowed.
    Seconds,
    /// A whole number between the two, both included.
    Integer(i64, i64),
    /// A number of at least zero, fractions allowed.
    Number,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// One option of a device.
#[derive(Clone, Copy, Debug)]
pub struct OptionSpec {
    /// Its name in `key=value` lines, in metadata, in Python and in C.
    pub name: &'static str,
    /// Its letter on a command line.
    pub short: Option<char>,
    /// Its long name on a command line, without the dashes.
    pub long: &'static str,
    /// Names of old that still work, as `ipaddr` for `ip`.
    pub old_names: &'static [&'static str],
    /// What its value is.
    pub kind: Kind,
    /// The value when it is left out.
    pub default: Option<&'static str>,
    /// Whether the device cannot do without.
    pub required: bool,
    /// One line of help.
    pub help: &'static str,
}

impl OptionSpec {
    const fn new(name: &'static str, long: &'static str, kind: Kind, help: &'static str) -> Self {
        Self {
            name,
            short: None,
            long,
            old_names: &[],
            kind,
            default: None,
            required: false,
            help,
        }
    }

    /// A text option; the builder methods below add to it.
    #[must_use]
    pub const fn text(name: &'static str, long: &'static str, help: &'static str) -> Self {
        Self::new(name, long, Kind::Text, help)
    }

    /// An option of another kind.
    #[must_use]
    pub const fn of(name: &'static str, long: &'static str, kind: Kind, help: &'static str) -> Self {
        Self::new(name, long, kind, help)
    }

    /// With a letter.
    #[must_use]
    pub const fn letter(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    /// With names of old.
    #[must_use]
    pub const fn formerly(mut self, old_names: &'static [&'static str]) -> Self {
        self.old_names = old_names;
        self
    }

    /// With a default.
    #[must_use]
    pub const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// Required.
    #[must_use]
    pub const fn must(mut self) -> Self {
        self.required = true;
        self
    }

    /// Whether `name`, with `-` and `_` taken as the same, is this option's name or a name of old.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name.replace('-', "_") || self.was_called(name)
    }

    /// Whether `name`, with `-` and `_` taken as the same, is a name of old of this option. A value by such a name
    /// never replaces one by the name of today: Pacemaker adds `port=NODE` even where `plug` is set, in no order.
    #[must_use]
    pub fn was_called(&self, name: &str) -> bool {
        self.old_names.contains(&name.replace('-', "_").as_str())
    }

    /// Checks a value.
    ///
    /// # Errors
    /// [`Error::Config`] that names the option, the value (unless secret) and what to write instead.
    pub fn check(&self, value: &str) -> Result<()> {
        let wrong = |mend: String| Error::config(self.name, format!("\"{value}\" is not valid"), mend);
        match self.kind {
            Kind::Secret | Kind::Text if value.contains(['\0', '\n', '\r']) => Err(Error::config(
                self.name,
                "contains a line break or NUL",
                "write it on one line; neither stdin nor the cluster configuration can carry more",
            )),
            Kind::Secret | Kind::Text => Ok(()),
            Kind::Boolean => parse_boolean(value)
                .map(|_| ())
                .ok_or_else(|| wrong("write 1, yes, on or true; or 0, no, off or false".into())),
            Kind::Seconds => parse_seconds(value)
                .map(|_| ())
                .ok_or_else(|| wrong("write a number of seconds of at least 0, as 20 or 0.5".into())),
            Kind::Integer(from, to) => match value.trim().parse::<i64>() {
                Ok(number) if (from..=to).contains(&number) => Ok(()),
                _ => Err(wrong(format!("write a whole number from {from} to {to}"))),
            },
            Kind::Number => parse_number(value)
                .map(|_| ())
                .ok_or_else(|| wrong("write a number of at least 0, as 5 or 2.5".into())),
            Kind::Choice(words) if words.contains(&value.trim()) => Ok(()),
            Kind::Choice(words) => Err(wrong(format!("write one of: {}", words.join(", ")))),
        }
    }
}

/// A yes or no as fence agents write it: `1 yes on true` or `0 no off false`, in any case.
#[must_use]
pub fn parse_boolean(value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "1" | "yes" | "on" | "true" => Some(true),
        "0" | "no" | "off" | "false" => Some(false),
        _ => None,
    }
}

fn parse_number(value: &str) -> Option<f64> {
    value
        .trim()
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite() && *number >= 0.0)
}

/// A number of seconds of at least 0; a trailing `s` is allowed, as the cluster's own time values have it.
#[must_use]
pub fn parse_seconds(value: &str) -> Option<Duration> {
    let value = value.trim();
    parse_number(value.strip_suffix('s').unwrap_or(value))
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
}

/// An address at which a host can answer, for an option called `option`.
///
/// An IPv4 address written as an IPv6 one (`::ffff:10.20.20.1`) is refused: probes of it would leave by IPv6, where
/// nobody answers, and it would be told from the same address in its plain form.
///
/// # Errors
/// [`Error::Config`] for what is no address, or one that no host has.
pub fn parse_host_address(option: &str, text: &str) -> Result<IpAddr> {
    let text = text.trim();
    let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        shown.push_str("...");
    }
    let wrong = |problem: &str, mend: String| Error::config(option, format!("\"{shown}\" {problem}"), mend);
    if text.contains('/') {
        let bare = shown.split('/').next().unwrap_or_default();
        return Err(wrong(
            "is a network",
            format!("write the address alone, as {bare}"),
        ));
    }
    let address: IpAddr = text.parse().map_err(|_| {
        let mend = "write an address, as 10.20.20.1 or fd00::1; names are not looked up";
        wrong("is no IP address", mend.to_owned())
    })?;
    let mapped = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) => v6.to_ipv4_mapped(),
    };
    if let Some(v4) = mapped {
        return Err(wrong("is an IPv4 address written as IPv6", format!("write {v4}")));
    }
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || is_broadcast {
        let mend = "write the address at which the host answers";
        return Err(wrong("is no address of a host", mend.to_owned()));
    }
    Ok(address)
}

/// The `plug` of a device, and where it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Plug {
    /// None was given.
    #[default]
    None,
    /// The user named an outlet: it must exist.
    Named(String),
    /// Pacemaker put the node's name there, as it does for every device without a host map. On a device with one
    /// outlet it means nothing; on one with several it must be an outlet's name.
    NodeName(String),
}

impl Plug {
    /// The text, wherever it came from.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Named(text) | Self::NodeName(text) => Some(text),
        }
    }

    /// The outlet that the user named, if any.
    #[must_use]
    pub fn named(&self) -> Option<&str> {
        match self {
            Self::Named(text) => Some(text),
            Self::None | Self::NodeName(_) => None,
        }
    }
}

/// A method's options with checked values.
///
/// ```
/// use fencekit::{Method, Settings};
///
/// let mut settings = Settings::new(Method::Tasmota);
/// settings.set("ip", "127.0.0.1")?;
/// settings.set("plug", "2")?;
/// assert_eq!(settings.integer::<u32>("plug"), Some(2));
///
/// let error = settings.set("ipport", "http").unwrap_err();
/// assert_eq!(error.to_string(), "ipport: \"http\" is not valid; write a whole number from 1 to 65535");
/// # Ok::<(), fencekit::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    method: Method,
    values: BTreeMap<&'static str, Secret>,
    /// Which of them came by a name of old.
    by_old_name: BTreeSet<&'static str>,
    plug_is_node_name: bool,
}

impl Settings {
    /// No options yet.
    #[must_use]
    pub fn new(method: Method) -> Self {
        Self {
            method,
            values: BTreeMap::new(),
            by_old_name: BTreeSet::new(),
            plug_is_node_name: false,
        }
    }

    /// Whose options these are.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// Sets an option by its name or a name of old. A later value replaces an earlier one, but one by a name of old
    /// never one by the name of today (see [`OptionSpec::was_called`]).
    ///
    /// # Errors
    /// [`Error::Config`] when the method has no such option, or the value does not fit it.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let spec = self.method.option(name).ok_or_else(|| self.unknown(name))?;
        spec.check(value)?;
        if spec.was_called(name) {
            let by_the_name_of_today = self.has(spec.name)
                && !self.by_old_name.contains(spec.name)
                && !(spec.name == "plug" && self.plug_is_node_name);
            if by_the_name_of_today {
                return Ok(());
            }
            self.by_old_name.insert(spec.name);
        } else {
            self.by_old_name.remove(spec.name);
        }
        // Blanks around a word or number are passed over when it is checked, so they may not hide it afterwards.
        let kept = match spec.kind {
            Kind::Text | Kind::Secret => value,
            _ => value.trim(),
        };
        self.values.insert(spec.name, Secret::from(kept));
        if spec.name == "plug" {
            self.plug_is_node_name = false;
        }
        Ok(())
    }

    /// Sets `plug` to a node's name that Pacemaker put there by itself.
    pub fn set_node_name_plug(&mut self, node: &str) {
        self.values.insert("plug", Secret::from(node));
        self.plug_is_node_name = true;
    }

    /// Takes an option away; true when it was set.
    pub fn unset(&mut self, name: &str) -> bool {
        self.method.option(name).is_some_and(|spec| {
            self.by_old_name.remove(spec.name);
            self.values.remove(spec.name).is_some()
        })
    }

    fn unknown(&self, name: &str) -> Error {
        let mut names: Vec<_> = self.method.options().map(|spec| spec.name).collect();
        names.sort_unstable();
        Error::config(
            name,
            format!("is not an option of method {}", self.method),
            format!("its options are: {}", names.join(", ")),
        )
    }

    /// The value as text, or the default; an empty value counts as none.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let given = self.values.get(name).map(|value| value.expose());
        given
            .or_else(|| self.method.option(name)?.default)
            .filter(|text| !text.is_empty())
    }

    /// Whether the option was given, by whatever value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A secret value.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.values.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// A yes or no; no when left out.
    #[must_use]
    pub fn boolean(&self, name: &str) -> bool {
        self.text(name).and_then(parse_boolean).unwrap_or(false)
    }

    /// A time, or the default; zero where there is neither.
    #[must_use]
    pub fn seconds(&self, name: &str) -> Duration {
        self.text(name).and_then(parse_seconds).unwrap_or_default()
    }

    /// A number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        self.text(name).and_then(parse_number)
    }

    /// A whole number that fits `T`.
    #[must_use]
    pub fn integer<T: TryFrom<i64>>(&self, name: &str) -> Option<T> {
        let number: i64 = self.text(name)?.trim().parse().ok()?;
        T::try_from(number).ok()
    }

    /// The outlet.
    #[must_use]
    pub fn plug(&self) -> Plug {
        match self.text("plug") {
            None => Plug::None,
            Some(text) if self.plug_is_node_name => Plug::NodeName(text.to_owned()),
            Some(text) => Plug::Named(text.trim().to_owned()),
        }
    }

    /// # Errors
    /// [`Error::Config`] when the option was left out.
    pub fn required(&self, name: &str) -> Result<&str> {
        self.text(name).ok_or_else(|| {
            let help = self.method.option(name).map_or("", |spec| spec.help);
            Error::config(name, "is missing", format!("give it: {help}"))
        })
    }
}

/// Whether the URL or body of an HTTP outlet may carry a token, which then is treated as a password is: kept out of argv, of
/// what is shown, and of files that others may read.
#[cfg(feature = "cluster")]
pub(crate) fn may_hold_a_token(option: &str, value: &str) -> bool {
    if option.ends_with("_body") {
        return true;
    }
    // The host is not looked at; an address without one is all path.
    let path = match value.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_host, path)| path),
        None => value,
    };
    option.ends_with("_url")
        && (value.contains(['?', '@']) || path.split('/').any(|part| part.len() >= LENGTH_OF_A_TOKEN))
}

/// What webhooks have in their paths is longer; names of outlets and of their commands are mostly shorter.
#[cfg(feature = "cluster")]
const LENGTH_OF_A_TOKEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "cluster")]
    #[test]
    fn what_may_be_a_token() {
        for (option, value) in [
            ("on_url", "http://10.0.0.1/relay?key=1"),
            ("on_url", "http://u:p@10.0.0.1/relay"),
            (
                "off_url",
                "http://10.0.0.1/trigger/off/with/key/c2VjcmV0LXRva2VuCg",
            ),
            ("status_url", "https://hub/api/webhook/0123456789abcdef/state"),
            ("on_url", "/webhook/0123456789abcdef"),
            ("on_body", "on"),
        ] {
            assert!(may_hold_a_token(option, value), "{option} {value}");
        }
        for (option, value) in [
            ("on_url", "http://a-host-with-a-long-name.example.org/relay/0/off"),
            ("status_url", "http://10.0.0.1/cm/status"),
            ("plug", "0123456789abcdef?"),
        ] {
            assert!(!may_hold_a_token(option, value), "{option} {value}");
        }
    }

    #[test]
    fn every_default_fits_its_option() {
        for method in Method::ALL {
            for spec in method.options() {
                assert!(
                    spec.default.is_none_or(|value| spec.check(value).is_ok()),
                    "{method} {}",
                    spec.name
                );
            }
        }
    }

    #[test]
    fn no_two_options_of_a_method_share_a_name_or_letter() {
        for method in Method::ALL {
            let mut seen = std::collections::HashSet::new();
            for spec in method.options() {
                for name in spec.old_names.iter().chain([&spec.name]) {
                    assert!(seen.insert((*name).to_owned()), "{method}: {name}");
                }
                assert!(
                    spec.short.is_none_or(|c| seen.insert(format!("-{c}"))),
                    "{method}: {:?}",
                    spec.short
                );
            }
        }
    }

    #[test]
    fn a_wrong_password_is_not_repeated_in_the_error() {
        let mut settings = Settings::new(Method::Kasa);
        let error = settings.set("password", "hun\nter2").unwrap_err().to_string();
        assert!(error.starts_with("password: ") && !error.contains("ter2"));
    }

    #[test]
    fn old_names_and_dashes_work() {
        let mut settings = Settings::new(Method::Kasa);
        settings.set("ipaddr", "127.0.0.1").unwrap();
        settings.set("login-timeout", "2.5").unwrap();
        assert_eq!(settings.text("ip"), Some("127.0.0.1"));
        assert_eq!(settings.seconds("login_timeout"), Duration::from_millis(2500));
        assert_eq!(settings.seconds("power_timeout"), Duration::from_secs(20));
    }

    #[test]
    fn a_name_of_old_never_replaces_the_name_of_today() {
        let plug = |given: &[(&str, &str)]| {
            let mut settings = Settings::new(Method::Kasa);
            for (name, value) in given {
                settings.set(name, value).unwrap();
            }
            settings.text("plug").map(str::to_owned)
        };
        for (given, outlet) in [
            (&[("plug", "2"), ("port", "7")][..], "2"),
            (&[("port", "7"), ("plug", "2")], "2"),
            (&[("port", "7"), ("plug", "2"), ("port", "8")], "2"),
            (&[("plug", "2"), ("plug", "3")], "3"),
            (&[("port", "7"), ("port", "8")], "8"),
        ] {
            assert_eq!(plug(given).as_deref(), Some(outlet), "{given:?}");
        }
        let mut settings = Settings::new(Method::Kasa);
        settings.set("plug", "2").unwrap();
        assert!(settings.unset("plug"));
        settings.set("port", "7").unwrap();
        assert_eq!(settings.text("plug"), Some("7"));
    }

    #[test]
    fn blanks_around_a_value_do_not_turn_it_into_another() {
        let mut settings = Settings::new(Method::Kasa);
        for (name, given, kept) in [
            ("transport", " tpap ", "tpap"),
            ("ipport", "\t9999 ", "9999"),
            ("strict_signature", " yes", "yes"),
            ("off_max_watts", " 2.5 ", "2.5"),
            ("login_timeout", " 7s ", "7s"),
            ("password", " two words ", " two words "),
            ("username", " admin", " admin"),
        ] {
            settings.set(name, given).unwrap();
            let stored = settings.values.get(name).map(|value| value.expose().to_owned());
            assert_eq!(stored.as_deref(), Some(kept), "{name}");
        }
    }

    #[test]
    fn a_node_name_from_pacemaker_is_no_outlet_until_somebody_names_one() {
        let mut settings = Settings::new(Method::Kasa);
        settings.set_node_name_plug("storage-b");
        assert_eq!(settings.plug(), Plug::NodeName("storage-b".into()));
        settings.set("plug", "2").unwrap();
        assert_eq!(settings.plug(), Plug::Named("2".into()));
    }

    #[test]
    fn an_unknown_option_lists_the_known_ones() {
        let error = Settings::new(Method::Kasa)
            .set("addr", "x")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("addr: is not an option of method kasa") && error.contains("ip, "),
            "{error}"
        );
    }
}
