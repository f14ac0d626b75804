//! What a session is opened with, from the options.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::crypto::KEY_LEN;
use super::suite::Suite;
use crate::error::{Error, Result};
use crate::options::{Kind, OptionSpec, Settings};
use crate::transport::Steps;

/// Options of this method, besides the common ones. The names are those of `fence_ipmilan`.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec::text(
        "cipher",
        "cipher",
        "Cipher suite: auto (17, then 3 when the BMC refuses 17) or a number",
    )
    .letter('C')
    .or("auto"),
    OptionSpec::of(
        "privlvl",
        "privlvl",
        Kind::Choice(&["callback", "user", "operator", "administrator"]),
        "Privilege level on IPMI device",
    )
    .letter('L')
    .or("operator"),
    OptionSpec::of(
        "hexadecimal_kg",
        "hexadecimal-kg",
        Kind::Secret,
        "Hexadecimal-encoded Kg key for IPMIv2 authentication",
    ),
    OptionSpec::text(
        "quirks",
        "quirks",
        "Comma-separated names of BMC faults to live with: opensesspriv authcap intelplus i82571spt icts idzero nochecksumcheck",
    ),
    OptionSpec::text(
        "allow",
        "allow",
        "Comma-separated names of weaknesses to accept: weak-suites (2 and 16), null-user, null-password",
    ),
    OptionSpec::of(
        "port_as_ip",
        "port-as-ip",
        Kind::Boolean,
        "Make \"port/plug\" to be an alias to IP address",
    ),
    OptionSpec::of(
        "lanplus",
        "lanplus",
        Kind::Boolean,
        "Accepted and ignored: every session is IPMI 2.0",
    )
    .letter('P'),
    OptionSpec::text("auth", "auth", "Accepted and ignored: IPMI 1.5 is not spoken").letter('A'),
    OptionSpec::text(
        "target",
        "target",
        "Not supported: requests are never bridged to another address",
    ),
    OptionSpec::text(
        "ipmitool_path",
        "ipmitool-path",
        "Accepted and ignored: ipmitool is not used",
    ),
    OptionSpec::text(
        "ipmitool_timeout",
        "ipmitool-timeout",
        "Accepted and ignored: ipmitool is not used",
    ),
    OptionSpec::of(
        "use_sudo",
        "use-sudo",
        Kind::Boolean,
        "Accepted and ignored: no other program is started",
    )
    .formerly(&["sudo"]),
    OptionSpec::text(
        "sudo_path",
        "sudo-path",
        "Accepted and ignored: no other program is started",
    ),
];

/// Options that configure ipmitool, which is not used.
const IGNORED: [&str; 5] = [
    "auth",
    "ipmitool_path",
    "ipmitool_timeout",
    "use_sudo",
    "sudo_path",
];

const USER_LEN: usize = 16;

/// A privilege level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privilege {
    /// May read.
    User = 2,
    /// May switch.
    Operator = 3,
    /// May do anything.
    Administrator = 4,
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        })
    }
}

/// Deviations of BMCs from the specification, each by the name under which ipmitool and FreeIPMI know it. None is
/// ever guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// RAKP 3's role lacks the name-only bit, and RAKP 4 is hashed with the integrity algorithm (which in our suites is
    /// the authentication algorithm anyway).
    pub intelplus: bool,
    /// Hashes omit the name-only bit; the privilege level is not to be set.
    pub i82571spt: bool,
    /// The integrity pad is counted without its length and the next header.
    pub icts: bool,
    /// The BMC answers with session id 0.
    pub idzero: bool,
    /// The BMC's checksums are wrong.
    pub nochecksumcheck: bool,
}

/// Everything that a session needs to know about its BMC. `Debug` shows no secret.
#[derive(Clone)]
pub struct Config {
    pub(crate) user: String,
    user_key: Zeroizing<[u8; KEY_LEN]>,
    kg: Option<Zeroizing<[u8; KEY_LEN]>>,
    /// The suite to try first.
    pub(crate) suite: Suite,
    /// The one to try when the BMC explicitly refuses the first.
    pub(crate) fallback: Option<Suite>,
    pub(crate) privilege: Privilege,
    pub(crate) quirks: Quirks,
    /// How long the BMC may be silent while the session is set up.
    pub(crate) login: Duration,
    /// How long it may be silent on a command.
    pub(crate) exchange: Duration,
}

impl Config {
    /// From the options `username`, `password`, `cipher`, `privlvl`, `hexadecimal_kg`, `quirks`, `allow` and the timeouts.
    /// Says in the log which options of `fence_ipmilan` have no meaning here.
    ///
    /// # Errors
    /// [`Error::Config`] for whatever contradicts the protocol, is not built, or is weak and was not allowed by name.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        if settings.text("target").is_some() {
            return Err(Error::config(
                "target",
                "is not supported: requests are never bridged, and without it another chassis would be switched",
                "give the target's own BMC as ip, or keep fence_ipmilan for this node",
            ));
        }
        for name in IGNORED.into_iter().filter(|name| settings.has(name)) {
            log::warn!("option {name} is ignored: it configures ipmitool, which is not used");
        }
        let allowed = Allowed::from_settings(settings)?;
        let (suite, fallback) = suites(settings.text("cipher").unwrap_or("auto"), &allowed)?;
        let steps = Steps::from_settings(settings);
        Ok(Self {
            user: user(settings, &allowed)?,
            user_key: password(settings, &allowed)?,
            kg: kg(settings)?,
            suite,
            fallback,
            privilege: privilege(settings)?,
            quirks: quirks(settings.text("quirks").unwrap_or_default())?,
            login: steps.connect,
            exchange: steps.exchange,
        })
    }

    pub(crate) fn user_key(&self) -> &[u8] {
        &*self.user_key
    }

    /// The key of the session key: Kg, or the user's where the BMC has none.
    pub(crate) fn kg(&self) -> &[u8] {
        self.kg.as_ref().map_or(self.user_key(), |kg| &**kg)
    }

    /// Which option to check when the BMC cannot prove that it knows the session key.
    pub(crate) fn kg_advice(&self) -> &'static str {
        if self.kg.is_some() {
            "check hexadecimal_kg"
        } else {
            "does the BMC have a Kg key? then give hexadecimal_kg"
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("user", &self.user)
            .field("kg", &self.kg.is_some())
            .field("suite", &self.suite)
            .field("fallback", &self.fallback)
            .field("privilege", &self.privilege)
            .field("quirks", &self.quirks)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Allowed {
    weak_suites: bool,
    null_user: bool,
    null_password: bool,
}

impl Allowed {
    fn from_settings(settings: &Settings) -> Result<Self> {
        let mut allowed = Self::default();
        for word in words(settings.text("allow").unwrap_or_default()) {
            match word {
                "weak-suites" => allowed.weak_suites = true,
                "null-user" => allowed.null_user = true,
                "null-password" => allowed.null_password = true,
                "ipmi-1.5" => {
                    return Err(Error::config(
                        "allow",
                        "\"ipmi-1.5\" is not built: IPMI 1.5 neither encrypts nor keeps its answers from being forged",
                        "leave it out to speak IPMI 2.0, or keep fence_ipmilan for this node",
                    ));
                }
                other => {
                    return Err(Error::config(
                        "allow",
                        format!("\"{other}\" is not known"),
                        "write one or more of: weak-suites, null-user, null-password",
                    ));
                }
            }
        }
        Ok(allowed)
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' '])
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

fn suites(text: &str, allowed: &Allowed) -> Result<(Suite, Option<Suite>)> {
    const MEND: &str = "write auto, 17 or 3";
    if text.trim() == "auto" {
        return Ok((Suite::S17, Some(Suite::S3)));
    }
    let refused = |why: &str| Error::config("cipher", format!("\"{}\" {why}", text.trim()), MEND);
    let Ok(number) = text.trim().parse::<u8>() else {
        return Err(refused("is no cipher suite"));
    };
    match (number, Suite::from_number(number)) {
        (2 | 16, _) if !allowed.weak_suites => Err(Error::config(
            "cipher",
            format!("{number} does not encrypt"),
            format!("{MEND}, or add allow=weak-suites"),
        )),
        (_, Some(suite)) => Ok((suite, None)),
        (0, None) => Err(refused(
            "is refused: it asks for no password and anybody can forge its answers",
        )),
        (1 | 15, None) => Err(refused(
            "is refused: without integrity anybody can forge its answers",
        )),
        (6..=14, None) => Err(refused("is refused: it rests on MD5")),
        (4 | 5, None) => Err(refused("is refused: it rests on RC4")),
        (18 | 19, None) => Err(refused("is refused: it rests on RC4")),
        _ => Err(refused("is no cipher suite that is known")),
    }
}

fn user(settings: &Settings, allowed: &Allowed) -> Result<String> {
    let user = settings.text("username").unwrap_or_default();
    if user.is_empty() && !allowed.null_user {
        return Err(Error::config(
            "username",
            "is missing",
            "give the BMC user's name, or add allow=null-user for the nameless one",
        ));
    }
    if user.len() > USER_LEN {
        return Err(Error::config(
            "username",
            format!("\"{user}\" has {} bytes", user.len()),
            format!("IPMI user names have at most {USER_LEN}"),
        ));
    }
    Ok(user.to_owned())
}

fn password(settings: &Settings, allowed: &Allowed) -> Result<Zeroizing<[u8; KEY_LEN]>> {
    let password = settings.secret("password").unwrap_or_default();
    if password.is_empty() && !allowed.null_password {
        return Err(Error::config(
            "password",
            "is missing",
            "give it as password, password_file or password_script, or add allow=null-password for a user without one",
        ));
    }
    padded(password.expose().as_bytes()).ok_or_else(|| {
        Error::config(
            "password",
            "is too long",
            format!("IPMI 2.0 passwords have at most {KEY_LEN} bytes; set a shorter one on the BMC"),
        )
    })
}

fn kg(settings: &Settings) -> Result<Option<Zeroizing<[u8; KEY_LEN]>>> {
    let Some(text) = settings.secret("hexadecimal_kg") else {
        return Ok(None);
    };
    let text = text.expose().trim();
    let text = text.strip_prefix("0x").unwrap_or(text);
    hex(text)
        .and_then(|bytes| padded(&bytes))
        .map(Some)
        .ok_or_else(|| {
            Error::config(
                "hexadecimal_kg",
                "is no key",
                format!(
                    "write it as an even number of hexadecimal digits, at most {}",
                    2 * KEY_LEN
                ),
            )
        })
}

/// `bytes` with zeros behind them; `None` when there are too many.
fn padded(bytes: &[u8]) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    key.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(key)
}

fn hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok()))
        .collect();
    let digits = Zeroizing::new(digits?);
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(high << 4 | low),
        _ => None,
    });
    pairs.collect::<Option<Vec<u8>>>().map(Zeroizing::new)
}

fn privilege(settings: &Settings) -> Result<Privilege> {
    match settings.text("privlvl").map(str::trim) {
        None | Some("operator") => Ok(Privilege::Operator),
        Some("user") => Ok(Privilege::User),
        Some("administrator") => Ok(Privilege::Administrator),
        Some(other) => Err(Error::config(
            "privlvl",
            format!("\"{other}\" may neither read nor switch"),
            "write operator, or administrator where the BMC wants it",
        )),
    }
}

fn quirks(text: &str) -> Result<Quirks> {
    let mut quirks = Quirks::default();
    for word in words(text) {
        match word {
            // What these two ask for is done anyway: the real privilege level stands in Open Session, and the
            // capabilities are not asked for.
            "opensesspriv" | "authcap" => {}
            "intelplus" => quirks.intelplus = true,
            "i82571spt" => quirks.i82571spt = true,
            "icts" => quirks.icts = true,
            "idzero" => quirks.idzero = true,
            "nochecksumcheck" => quirks.nochecksumcheck = true,
            other => {
                return Err(Error::config(
                    "quirks",
                    format!("\"{other}\" is not known"),
                    "write one or more of: opensesspriv, authcap, intelplus, i82571spt, icts, idzero, nochecksumcheck",
                ));
            }
        }
    }
    Ok(quirks)
}
