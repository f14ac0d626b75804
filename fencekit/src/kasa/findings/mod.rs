//! What a device's settings mean for fencing, for `fencekit doctor`. The reading is pure.

mod iot;
mod smart;

use super::connect::Opened;
use super::connect::Transport;
use super::dialect::Dialect;
use super::link::Remarks;
use crate::deadline::Deadline;
use crate::device::{Finding, Severity};
use crate::error::{Error, Result};
use crate::identity::Identity;

/// Asks for every setting that matters. One that the firmware does not have is passed over.
///
/// # Errors
/// Those of the link; a refusal is none.
pub(super) async fn ask(way: &mut Opened, child: Option<&str>, deadline: Deadline) -> Result<Vec<Finding>> {
    let mut findings = about_transport(way.transport, way.dialect, &way.report.identity);
    let questions = match way.dialect {
        Dialect::Iot => iot::questions(child),
        Dialect::Smart => smart::questions(child),
    };
    for (question, read) in questions {
        let reply = way.link.ask(&question, deadline).await?;
        match read(&reply, child) {
            Ok(found) => findings.extend(found),
            Err(Error::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    findings.extend(about_remarks(way.link.remarks()));
    Ok(findings)
}

/// Reads the answer to a question about an outlet.
type Read = fn(&serde_json::Value, Option<&str>) -> Result<Vec<Finding>>;

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
