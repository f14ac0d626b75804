//! The outcome of a verification, for people, programs and logs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::engine::Ending;
use super::evidence::Evidence;
use super::verdict::{Rule, Verdict};

/// A node that answers everywhere has a reason for each probe: a line of them all helps nobody.
const REASONS_ON_A_LINE: usize = 3;

/// A verdict with everything that led to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The node's name.
    pub node: String,
    /// The verdict.
    pub verdict: Verdict,
    /// How long the verification took, in milliseconds.
    pub elapsed_ms: u64,
    /// The rule that decided.
    pub rule: Rule,
    /// What speaks for the verdict, or against a confirmation; most important first.
    pub reasons: Vec<String>,
    /// Everything that was seen.
    pub evidence: Vec<Evidence>,
}

impl Report {
    pub(crate) fn new(node: &str, ending: Ending) -> Self {
        Self {
            node: node.to_owned(),
            verdict: ending.decision.verdict,
            elapsed_ms: u64::try_from(ending.elapsed.as_millis()).unwrap_or(u64::MAX),
            rule: ending.decision.rule,
            reasons: ending.decision.reasons,
            evidence: ending.evidence,
        }
    }

    /// Whether the node is proven dead.
    #[must_use]
    pub fn is_confirmed_off(&self) -> bool {
        self.verdict == Verdict::ConfirmedOff
    }

    /// The exit code of `fencekit verify` and `fencekit fence`: 0 confirmed, 1 alive, 3 inconclusive.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::ConfirmedOff => 0,
            Verdict::StillAlive => 1,
            Verdict::Inconclusive => 3,
        }
    }

    /// The verdict and its first reasons on one line, for a log or an error message.
    #[must_use]
    pub fn line(&self) -> String {
        let first: Vec<_> = self
            .reasons
            .iter()
            .take(REASONS_ON_A_LINE)
            .map(String::as_str)
            .collect();
        let more = match self.reasons.len().saturating_sub(REASONS_ON_A_LINE) {
            0 => String::new(),
            count => format!("; and {count} more"),
        };
        format!("{}: {} ({}{more})", self.node, self.verdict, first.join("; "))
    }
}

/// The verdict, the reasons, and a table of the evidence.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = f64::from(u32::try_from(self.elapsed_ms).unwrap_or(u32::MAX)) / 1000.0;
        writeln!(f, "{}: {} after {seconds:.1} s", self.node, self.verdict)?;
        for reason in &self.reasons {
            writeln!(f, "  because {reason}")?;
        }
        let widest = self
            .evidence
            .iter()
            .map(|one| one.subject.len())
            .max()
            .unwrap_or(0);
        for one in &self.evidence {
            let network = one.network.as_deref().unwrap_or("-");
            writeln!(
                f,
                "  {:9} {:widest$}  {:10}  {:8}  {}",
                one.probe.to_string(),
                one.subject,
                network,
                one.outcome.to_string(),
                one.detail
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(reasons: usize) -> Report {
        Report {
            node: "storage-b".into(),
            verdict: Verdict::StillAlive,
            elapsed_ms: 510,
            rule: Rule::Answered,
            reasons: (1..=reasons).map(|number| format!("reason {number}")).collect(),
            evidence: Vec::new(),
        }
    }

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(report(1).line(), "storage-b: still-alive (reason 1)");
        assert_eq!(
            report(12).line(),
            "storage-b: still-alive (reason 1; reason 2; reason 3; and 9 more)"
        );
    }

    #[test]
    fn only_confirmed_off_is_a_success() {
        let code = |verdict| Report { verdict, ..report(1) }.exit_code();
        assert_eq!(code(Verdict::ConfirmedOff), 0);
        assert_eq!(code(Verdict::StillAlive), 1);
        assert_eq!(code(Verdict::Inconclusive), 3);
    }

    #[test]
    fn the_document_begins_as_documented() {
        let json = serde_json::to_string(&report(1)).unwrap();
        assert!(
            json.starts_with(r#"{"node":"storage-b","verdict":"still-alive","elapsed_ms":510,"#),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report(1));
    }
}
