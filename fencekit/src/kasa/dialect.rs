//! The two dialects behind one set of questions.

use super::json::code_of;
use super::link::Link;
use super::outlets::Report;
use super::{iot, smart};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::power::{PowerReading, PowerState};

/// What a device speaks over whichever transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Modules and commands: older Kasa.
    Iot,
    /// Methods: Tapo and newer Kasa.
    Smart,
}

impl Dialect {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Iot => Self::Smart,
            Self::Smart => Self::Iot,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Iot => "IOT",
            Self::Smart => "SMART",
        }
    }

    /// Asks who the device is and how its outlets stand.
    ///
    /// # Errors
    /// [`NotSpoken`] below [`Error::Protocol`] when the answer is none of this dialect; whatever the link or the
    /// device says otherwise.
    pub(super) async fn report(self, link: &mut dyn Link, deadline: Deadline) -> Result<Report> {
        match self {
            Self::Iot => {
                let reply = link.ask(&iot::ask_sysinfo(), deadline).await?;
                if !iot::is_reply(&reply) {
                    return Err(not_spoken(self));
                }
                iot::report(&reply)
            }
            Self::Smart => {
                let reply = link.ask(&smart::ask_info(), deadline).await?;
                if !smart::is_reply(&reply) {
                    return Err(not_spoken(self));
                }
                let info = smart::Info::read(&reply)?;
                if !info.may_be_strip() {
                    return info.plug();
                }
                Ok(info.strip(smart_children(link, deadline).await?))
            }
        }
    }

    /// Tells an outlet to take a state.
    ///
    /// # Errors
    /// [`Error::Refused`] when the device says no; anything else means that it may have obeyed.
    pub(super) async fn switch(
        self,
        link: &mut dyn Link,
        child: Option<&str>,
        state: PowerState,
        deadline: Deadline,
    ) -> Result<()> {
        match self {
            Self::Iot => iot::relay_accepted(&link.ask(&iot::set_relay(child, state), deadline).await?),
            Self::Smart => {
                smart::state_accepted(&link.ask(&smart::set_state(child, state), deadline).await?, child)
            }
        }
    }

    /// Reads an outlet's meter.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when there is none.
    pub(super) async fn power(
        self,
        link: &mut dyn Link,
        child: Option<&str>,
        deadline: Deadline,
    ) -> Result<PowerReading> {
        match self {
            Self::Iot => iot::meter(&link.ask(&iot::ask_meter(child), deadline).await?),
            Self::Smart => smart_power(link, child, deadline).await,
        }
    }
}

async fn smart_children(link: &mut dyn Link, deadline: Deadline) -> Result<smart::Children> {
    let mut children = smart::Children::default();
    while {
        let page = link.ask(&smart::ask_children(children.len()), deadline).await?;
        children.take_page(&page)?
    } {}
    Ok(children)
}

/// Newer firmware first: its answer has everything in it.
async fn smart_power(link: &mut dyn Link, child: Option<&str>, deadline: Deadline) -> Result<PowerReading> {
    let reply = link
        .ask(&smart::of_child(child, "get_emeter_data", None), deadline)
        .await?;
    match smart::meter(&reply, child) {
        Err(Error::Refused { .. }) => {}
        other => return other,
    }
    let reply = link
        .ask(&smart::of_child(child, "get_current_power", None), deadline)
        .await?;
    smart::current_power(&reply, child).map_err(|error| match (&error, code_of(&error)) {
        (Error::Refused { .. }, Some(code)) => Error::unsupported(format!(
            "the plug has no power meter, or hides it until its clock is set (error {code})"
        ))
        .caused_by(error),
        _ => error,
    })
}

/// The device answered, but in another dialect.
#[derive(Debug, thiserror::Error)]
#[error("the device does not speak this dialect")]
struct NotSpoken;

fn not_spoken(dialect: Dialect) -> Error {
    Error::protocol(format!("the answer is not one of the {} dialect", dialect.name())).caused_by(NotSpoken)
}

/// Whether the device answered in another dialect.
pub(super) fn is_not_spoken(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<NotSpoken>())
}
