//! Any plug or PDU with an on, off and status URL.
//!
//! The state is what the user's regular expressions see in the reply to `status_url`, and nothing else: there is no
//! guess at what a page of an unknown device means, and the absence of one state is not the other. A reply counts
//! only with a status of 200 to 299; redirects are never followed. One that a proxy changed (203), a part (206) or one
//! with an age, out of a cache, shows no state.
//!
//! Such a device reports no identity, so `expect_identity` cannot be honoured and is refused.

mod pattern;
mod session;
mod target;

use async_trait::async_trait;

use crate::deadline::Deadline;
use crate::device::{FenceDevice, Label, Session};
use crate::error::{Error, Result};
use crate::method::Method;
use crate::options::{Kind, OptionSpec, Plug, SSL, SSL_INSECURE, SSL_SECURE, Settings};
use crate::secret::Secret;
use crate::transport::auth::Login;
use crate::transport::http::Verb;
use crate::transport::{DeviceLock, Steps};
use pattern::Patterns;
use session::HttpSession;
use target::{Origin, Target};

const VERBS: Kind = Kind::Choice(&["GET", "POST", "PUT", "PATCH"]);

/// Options of this method, besides the common ones; its `ip` stands for the common one.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec::text(
        "ip",
        "ip",
        "IP address or hostname of fencing device; not needed when the URLs are whole",
    )
    .letter('a')
    .formerly(&["ipaddr"]),
    OptionSpec::text(
        "power_on_url",
        "power-on-url",
        "URL that switches the outlet on, whole or a path at ip",
    )
    .must(),
    OptionSpec::text(
        "power_off_url",
        "power-off-url",
        "URL that switches the outlet off, whole or a path at ip",
    )
    .must(),
    OptionSpec::text(
        "status_url",
        "status-url",
        "URL whose reply shows the outlet's state, whole or a path at ip",
    )
    .must(),
    OptionSpec::text(
        "status_on_regex",
        "status-on-regex",
        "Regular expression that matches the status reply only while the outlet is on",
    ),
    OptionSpec::text(
        "status_off_regex",
        "status-off-regex",
        "Regular expression that matches the status reply only while the outlet is off; without it no off is confirmed",
    ),
    OptionSpec::of(
        "power_on_method",
        "power-on-method",
        VERBS,
        "HTTP method of power_on_url",
    )
    .or("GET"),
    OptionSpec::of(
        "power_off_method",
        "power-off-method",
        VERBS,
        "HTTP method of power_off_url",
    )
    .or("GET"),
    OptionSpec::text(
        "power_on_body",
        "power-on-body",
        "Body that is sent to power_on_url, for POST, PUT and PATCH",
    ),
    OptionSpec::text(
        "power_off_body",
        "power-off-body",
        "Body that is sent to power_off_url, for POST, PUT and PATCH",
    ),
    SSL,
    SSL_SECURE,
    SSL_INSECURE,
];

pub(crate) fn device(settings: &Settings) -> Result<Box<dyn FenceDevice>> {
    refuse_what_cannot_be_honoured(settings)?;
    let base = Origin::from_settings(settings)?;
    let target = |option| Target::from_settings(settings, option, base.as_ref());
    let status = match target("status_url")? {
        Some(status) => status,
        None => {
            return Err(Error::config(
                "status_url",
                "is missing",
                "give the URL whose reply shows the state: an off that cannot be read back cannot be confirmed",
            ));
        }
    };
    let standard_port = status.origin.scheme.standard_port();
    Ok(Box::new(HttpOutlet {
        label: Label {
            method: Method::Http,
            address: status.origin.endpoint.shown(standard_port),
            plug: None,
        },
        on: Command::from_settings(
            settings,
            target("power_on_url")?,
            "power_on_method",
            "power_on_body",
        )?,
        off: Command::from_settings(
            settings,
            target("power_off_url")?,
            "power_off_method",
            "power_off_body",
        )?,
        status,
        patterns: Patterns::from_settings(settings)?,
        login: Login::from_settings(settings, None)?,
        steps: Steps::from_settings(settings),
    }))
}

fn refuse_what_cannot_be_honoured(settings: &Settings) -> Result<()> {
    if settings.has("expect_identity") {
        return Err(Error::config(
            "expect_identity",
            "cannot be checked: an HTTP outlet does not say who it is",
            "leave it out, and keep the address reserved for this device",
        ));
    }
    if settings.has("off_max_watts") {
        return Err(Error::config(
            "off_max_watts",
            "cannot be checked: fencekit reads no meter of an HTTP outlet",
            "leave it out",
        ));
    }
    match settings.plug() {
        Plug::Named(plug) if plug != "1" => Err(Error::config(
            "plug",
            format!("\"{plug}\" has no meaning for an HTTP outlet"),
            "leave it out: the URLs say which outlet is meant",
        )),
        _ => Ok(()),
    }
}

/// What switches the outlet.
#[derive(Clone, Debug)]
struct Command {
    target: Target,
    verb: Verb,
    /// May hold a token.
    body: Option<Secret>,
}

impl Command {
    /// `None` when the URL was left out: the device can then only be looked at.
    fn from_settings(
        settings: &Settings,
        target: Option<Target>,
        method: &'static str,
        body: &'static str,
    ) -> Result<Option<Self>> {
        let verb = match settings.text(method).map(str::trim) {
            Some("POST") => Verb::Post,
            Some("PUT") => Verb::Put,
            Some("PATCH") => Verb::Patch,
            _ => Verb::Get,
        };
        let body = match (verb, settings.secret(body)) {
            (Verb::Get, Some(_)) => {
                return Err(Error::config(
                    body,
                    format!("is given, but {method} is GET, which carries none"),
                    format!("set {method} to POST or PUT, or leave the body out"),
                ));
            }
            (Verb::Get, None) => None,
            // Also an empty body needs its length: firmware answers 411 without.
            (_, given) => Some(given.unwrap_or_default()),
        };
        Ok(target.map(|target| Self { target, verb, body }))
    }
}

#[derive(Debug)]
struct HttpOutlet {
    label: Label,
    on: Option<Command>,
    off: Option<Command>,
    status: Target,
    patterns: Patterns,
    login: Option<Login>,
    steps: Steps,
}

#[async_trait]
impl FenceDevice for HttpOutlet {
    fn label(&self) -> &Label {
        &self.label
    }

    fn reports_identity(&self) -> bool {
        false
    }

    async fn connect(&self, deadline: Deadline) -> Result<Box<dyn Session>> {
        let lock = DeviceLock::of(&self.status.origin.endpoint, &[80, 443], deadline).await?;
        Ok(Box::new(HttpSession::new(self, lock, deadline).await?))
    }
}
