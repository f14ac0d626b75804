//! What a device's settings mean for fencing, for `fencekit doctor`. The reading is pure.

mod iot;
mod smart;

use serde_json::Value;

use super::connect::Opened;
use super::connect::Transport;
use super::dialect::Dialect;
use super::link::{Link, Remarks};
use crate::deadline::Deadline;
use crate::device::{Finding, Severity};
use crate::error::{Error, Result};
use crate::identity::Identity;

/// More pages than any list of rules has.
const MOST_PAGES: usize = 16;

/// A question about an outlet's settings.
struct Question {
    topic: &'static str,
    /// What is asked for, in words.
    what: &'static str,
    /// The question, for a list from its n-th entry.
    ask: fn(child: Option<&str>, from: usize) -> Value,
    /// Reads the answer.
    read: fn(reply: &Value, child: Option<&str>) -> Result<Vec<Finding>>,
    /// How far a list has come with this answer; `None` for what is no list.
    page: fn(reply: &Value, child: Option<&str>) -> Option<Page>,
}

/// A part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Page {
    /// Entries in it.
    listed: usize,
    /// Entries of the whole list.
    sum: usize,
}

/// Asks for every setting that matters. One that the firmware does not have is passed over; one that it does not tell is
/// a finding, since a schedule may hide there.
///
/// # Errors
/// Those of the link; a refusal is none.
pub(super) async fn ask(way: &mut Opened, child: Option<&str>, deadline: Deadline) -> Result<Vec<Finding>> {
    let mut findings = about_transport(way.transport, way.dialect, &way.report.identity);
    let (questions, lacks): (_, fn(&Error) -> bool) = match way.dialect {
        Dialect::Iot => (iot::questions(), crate::kasa::iot::is_unknown_command),
        Dialect::Smart => (smart::questions(), crate::kasa::smart::is_unknown_method),
    };
    for question in questions {
        match put(&question, way.link.as_mut(), child, deadline).await {
            Ok(found) => findings.extend(found),
            Err(error) if lacks(&error) => {}
            Err(error @ Error::Refused { .. }) => findings.push(untold(&question, &error.to_string())),
            Err(error) => return Err(error),
        }
    }
    findings.extend(about_remarks(way.link.remarks()));
    Ok(findings)
}

/// Asks a question, a list to its end.
async fn put(
    question: &Question,
    link: &mut dyn Link,
    child: Option<&str>,
    deadline: Deadline,
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let (mut read, mut announced) = (0, 0);
    for _ in 0..MOST_PAGES {
        let reply = link.ask(&(question.ask)(child, read), deadline).await?;
        findings.extend((question.read)(&reply, child)?);
        let Some(page) = (question.page)(&reply, child) else {
            return Ok(findings);
        };
        read += page.listed;
        announced = page.sum;
        if read >= announced {
            return Ok(findings);
        }
        if page.listed == 0 {
            break;
        }
    }
    let gap = format!("it announces {announced} and lists {read}");
    findings.push(untold(question, &gap));
    Ok(findings)
}

fn untold(question: &Question, why: &str) -> Finding {
    Finding {
        severity: Severity::Unknown,
        topic: question.topic,
        detail: format!("the plug does not tell all about {}: {why}", question.what),
        mend: "run this again, and look it up in the Tapo or Kasa app".to_owned(),
    }
}

fn about_transport(transport: Transport, dialect: Dialect, identity: &Identity) -> Vec<Finding> {
    let unknown = || "unknown".to_owned();
    let mut findings = vec![info(
        "firmware",
        format!(
            "{}, firmware {}, speaks the {} dialect over {}",
            identity.model.clone().unwrap_or_else(unknown),
            identity.firmware.clone().unwrap_or_else(unknown),
            dialect.name(),
            transport.name()
        ),
    )];
    if transport == Transport::Tpap {
        findings.push(info(
            "setting",
            "third-party compatibility is off: fencekit can talk to the plug all the same, most other programs cannot",
        ));
    }
    findings
}

fn about_remarks(remarks: Remarks) -> Vec<Finding> {
    let mut findings = Vec::new();
    if remarks.unsigned > 0 {
        findings.push(warning(
            "setting",
            "the plug's replies carry a wrong signature: an oddity of its firmware, or somebody in between",
            "report the model and firmware to the fencekit project; strict_signature=1 makes it a failure",
        ));
    }
    if remarks.makers_account {
        findings.push(warning(
            "setting",
            "the plug takes the account that all of the maker's plugs come with: anybody on its network can switch it",
            "set it up in the Tapo or Kasa app, and give fencekit that account",
        ));
    }
    findings
}

fn info(topic: &'static str, detail: impl Into<String>) -> Finding {
    Finding {
        severity: Severity::Info,
        topic,
        detail: detail.into(),
        mend: String::new(),
    }
}

/// A setting that the plug does not tell is never taken for its harmless value.
fn unknown(topic: &'static str, detail: impl Into<String>, mend: &str) -> Finding {
    Finding {
        severity: Severity::Unknown,
        ..warning(topic, detail, mend)
    }
}

fn warning(topic: &'static str, detail: impl Into<String>, mend: &str) -> Finding {
    Finding {
        severity: Severity::Warning,
        topic,
        detail: detail.into(),
        mend: mend.to_owned(),
    }
}

fn problem(topic: &'static str, detail: impl Into<String>, mend: &str) -> Finding {
    Finding {
        severity: Severity::Problem,
        ..warning(topic, detail, mend)
    }
}

/// What an active schedule, countdown or the like does to the outlet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    TurnsOn,
    TurnsOff,
    Either,
}

impl Effect {
    fn finding(self, topic: &'static str, what: &str) -> Finding {
        let consequence = match self {
            Self::TurnsOn => "turns the outlet on: it would power a fenced node up again",
            Self::TurnsOff => "turns the outlet off: it would cut the power of a node that works",
            Self::Either => {
                "switches the outlet: it would undo a fence, or cut the power of a node that works"
            }
        };
        warning(
            topic,
            format!("{what} {consequence}"),
            "delete it in the Tapo or Kasa app",
        )
    }
}
