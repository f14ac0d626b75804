//! The report of a verification, to be walked or as JSON.

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use fencekit_core::verify::{Evidence, Outcome, Probe, Report, Verdict};
use serde_json::json;

use crate::boundary::{Place, plain, quietly, release};
use crate::failure::Failure;
use crate::handle::{self, Opaque};
use crate::result::fencekit_result;
use crate::text;

/// What a verification saw, and what it made of it. Freed with `fencekit_report_free`.
///
/// Threads: a report never changes; any number of threads may read it at once, and whoever frees it must be the last.
#[allow(non_camel_case_types, reason = "the name in C")]
pub struct fencekit_report(());

impl Opaque for fencekit_report {
    type Value = Verified;
    const NAME: &'static str = "fencekit_report";
}

/// What the evidence amounts to.
#[allow(non_camel_case_types, reason = "the name in C")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum fencekit_verdict {
    /// It cannot be told. Treat the node as alive.
    Inconclusive = 0,
    /// A device says on, or the node answered.
    StillAlive = 1,
    /// The node is dead: every device says off, and every network was silent although an answer would have been heard.
    ConfirmedOff = 2,
}

impl From<Verdict> for fencekit_verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::ConfirmedOff => Self::ConfirmedOff,
            Verdict::StillAlive => Self::StillAlive,
            Verdict::Inconclusive => Self::Inconclusive,
        }
    }
}

/// Where a piece of evidence comes from.
#[allow(non_camel_case_types, reason = "the name in C")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum fencekit_probe {
    /// A fence device, asked for its outlet.
    Power = 1,
    /// The meter of a fence device.
    Meter = 2,
    /// Echo requests to an address of the node.
    Icmp = 3,
    /// TCP connections to a port of the node. Accepted or refused, both are life.
    Tcp = 4,
    /// Address resolution (ARP or NDP) of the node on a directly connected network.
    Neighbour = 5,
    /// The observer's own way to the network. Only a broken one becomes evidence.
    Path = 6,
    /// Somebody else on the network, who shows that the observer could have heard the node.
    Witness = 7,
}

impl From<Probe> for fencekit_probe {
    fn from(probe: Probe) -> Self {
        match probe {
            Probe::Power => Self::Power,
            Probe::Meter => Self::Meter,
            Probe::Icmp => Self::Icmp,
            Probe::Tcp => Self::Tcp,
            Probe::Neighbour => Self::Neighbour,
            Probe::Path => Self::Path,
            Probe::Witness => Self::Witness,
        }
    }
}

/// What a probe showed.
#[allow(non_camel_case_types, reason = "the name in C")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum fencekit_outcome {
    /// The probe itself failed. It shows nothing, neither off nor silent.
    Unknown = 0,
    /// Power: the device says off.
    Off = 1,
    /// Power: the device says on.
    On = 2,
    /// Meter: the draw is at most the threshold.
    Below = 3,
    /// Meter: the draw is above the threshold.
    Above = 4,
    /// Network: every probe was sent, and none was answered.
    Silent = 5,
    /// Network: at least one probe was answered.
    Answered = 6,
}

impl From<Outcome> for fencekit_outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Unknown => Self::Unknown,
            Outcome::Off => Self::Off,
            Outcome::On => Self::On,
            Outcome::Below => Self::Below,
            Outcome::Above => Self::Above,
            Outcome::Silent => Self::Silent,
            Outcome::Answered => Self::Answered,
        }
    }
}

/// One probe's contribution to a verdict. Its texts live as long as the report.
#[allow(non_camel_case_types, reason = "the name in C")]
#[repr(C)]
pub struct fencekit_evidence {
    /// Where it comes from.
    pub probe: fencekit_probe,
    /// What was seen.
    pub outcome: fencekit_outcome,
    /// The device's label, or the address that was probed.
    pub subject: *const c_char,
    /// The network's name; NULL for power and meter.
    pub network: *const c_char,
    /// The same in words, with the reason when it is unknown.
    pub detail: *const c_char,
    /// When that was known, in milliseconds since the verification began.
    pub at_ms: u64,
    /// How long the deciding probe took, in milliseconds; for silence, how long was listened.
    pub elapsed_ms: u64,
}

/// A report with its texts for C.
#[derive(Debug)]
pub(crate) struct Verified {
    node: CString,
    verdict: fencekit_verdict,
    elapsed_ms: u64,
    reasons: Vec<CString>,
    evidence: Vec<Piece>,
    json: CString,
}

#[derive(Debug)]
struct Piece {
    probe: fencekit_probe,
    outcome: fencekit_outcome,
    subject: CString,
    network: Option<CString>,
    detail: CString,
    at_ms: u64,
    elapsed_ms: u64,
}

impl Verified {
    /// A report, and the document that tells of it and perhaps of more.
    pub(crate) fn new(report: &Report, document: &impl serde::Serialize) -> Self {
        Self {
            node: text::line(&report.node),
            verdict: report.verdict.into(),
            elapsed_ms: report.elapsed_ms,
            reasons: report.reasons.iter().map(|reason| text::line(reason)).collect(),
            evidence: report.evidence.iter().map(Piece::from).collect(),
            json: text::whole(&json!(document).to_string()),
        }
    }
}

impl From<&Evidence> for Piece {
    fn from(evidence: &Evidence) -> Self {
        Self {
            probe: evidence.probe.into(),
            outcome: evidence.outcome.into(),
            subject: text::line(&evidence.subject),
            network: evidence.network.as_deref().map(text::line),
            detail: text::line(&evidence.detail),
            at_ms: evidence.at_ms,
            elapsed_ms: evidence.elapsed_ms,
        }
    }
}

/// The verdict; `FENCEKIT_VERDICT_INCONCLUSIVE` when this is no report.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_report_verdict(report: *const fencekit_report) -> fencekit_verdict {
    let otherwise = fencekit_verdict::Inconclusive;
    quietly(otherwise, || {
        handle::get(report).map_or(otherwise, |report| report.verdict)
    })
}

/// The node's name, NULL when this is no report. It lives as long as the report, as do the other texts.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_report_node(report: *const fencekit_report) -> *const c_char {
    handle::text_of(report, |report| Some(&report.node))
}

/// How long the verification took, in milliseconds; 0 when this is no report.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_report_elapsed_ms(report: *const fencekit_report) -> u64 {
    quietly(0, || handle::get(report).map_or(0, |report| report.elapsed_ms))
}

/// How many reasons there are; 0 when this is no report.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_report_reason_count(report: *const fencekit_report) -> usize {
    quietly(0, || handle::get(report).map_or(0, |report| report.reasons.len()))
}

/// What speaks for the verdict, or against a confirmation, a line each and the most important first, counted from 0; NULL
/// past the last one.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_report_reason(report: *const fencekit_report, index: usize) -> *const c_char {
    handle::text_of(report, |report| report.reasons.get(index).map(CString::as_c_str))
}

/// How many pieces of evidence there are; 0 when this is no report.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_report_evidence_count(report: *const fencekit_report) -> usize {
    quietly(0, || {
        handle::get(report).map_or(0, |report| report.evidence.len())
    })
}

/// One piece of evidence, counted from 0.
///
/// Returns `FENCEKIT_RESULT_OUT_OF_RANGE` past the last one.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_report_evidence(
    report: *const fencekit_report,
    index: usize,
    evidence: Place<fencekit_evidence>,
) -> fencekit_result {
    plain(|| {
        let report = handle::get(report)?;
        let place = evidence.check("evidence")?;
        let piece = report
            .evidence
            .get(index)
            .ok_or_else(|| Failure::out_of_range(index, report.evidence.len()))?;
        place.write(fencekit_evidence {
            probe: piece.probe,
            outcome: piece.outcome,
            subject: piece.subject.as_ptr(),
            network: piece.network.as_deref().map_or(ptr::null(), CStr::as_ptr),
            detail: piece.detail.as_ptr(),
            at_ms: piece.at_ms,
            elapsed_ms: piece.elapsed_ms,
        });
        Ok(())
    })
}

/// The whole report as the JSON document that `fencekit verify --json` or `fencekit fence --json` prints; NULL when this is
/// no report.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_report_json(report: *const fencekit_report) -> *const c_char {
    handle::text_of(report, |report| Some(&report.json))
}

/// Frees a report. NULL is fine.
///
/// Returns `FENCEKIT_RESULT_INVALID_HANDLE`, and does nothing, when it is no live report.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_report_free(report: *mut fencekit_report) -> fencekit_result {
    release(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_zero() {
        assert_eq!(fencekit_verdict::from(Verdict::Inconclusive) as u32, 0);
        assert_eq!(fencekit_outcome::from(Outcome::Unknown) as u32, 0);
        assert_eq!(
            fencekit_report_verdict(ptr::null()),
            fencekit_verdict::Inconclusive
        );
        assert_ne!(fencekit_verdict::from(Verdict::ConfirmedOff) as u32, 0);
    }
}
