//! The outcome of a verification, for people, programs and logs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::engine::Ending;
use super::evidence::Evidence;
use super::verdict::{Rule, Verdict};

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

    /// The verdict and its reasons on one line, for a log or an error message.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}: {} ({})", self.node, self.verdict, self.reasons.join("; "))
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
