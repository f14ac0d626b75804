//! Advice for a blocked failover: what blocks, why, what to look at, and what to do. Nothing is switched.
//!
//! A node that is not proven dead keeps its resources from starting elsewhere, and rightly so. [`explain`] verifies the
//! node, asks Pacemaker on this host what it waits for, and says in plain words how the operator gets on.

mod advise;
mod pacemaker;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::operate::Subject;
use crate::verify::{Prober, Report, Verdict};

/// Something that keeps the node from being proven dead, or the cluster from acting on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// What blocks.
    pub what: String,
    /// What that means, or where it comes from.
    pub why: String,
    /// What to look at.
    pub look: String,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What to do, and when.
    pub text: String,
    /// The command for it, where there is one.
    pub command: Option<String>,
    /// What the command claims or risks; empty where it risks nothing.
    pub warning: String,
}

/// How a node's failover stands, and how to get on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The node.
    pub node: String,
    /// The verdict of the verification that was made for this.
    pub verdict: Verdict,
    /// The same in a sentence, with what it means for the failover.
    pub summary: String,
    /// What blocks, most important first.
    pub blocks: Vec<Block>,
    /// What Pacemaker on this host says of the node and its fencing, a line each.
    pub pacemaker: Vec<String>,
    /// What to do, in this order.
    pub steps: Vec<Step>,
    /// The verification.
    pub report: Report,
}

impl Explanation {
    /// The exit code of `fencekit explain`, which is that of `fencekit verify`: 0 the node is proven dead, 1 it is
    /// alive, 3 inconclusive.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.report.exit_code()
    }
}

/// Verifies a node and says what blocks its failover. It takes as long as a verification does.
///
/// # Errors
/// As [`Subject::verify`]. What Pacemaker cannot be asked is said in [`Explanation::pacemaker`].
pub async fn explain(subject: &Subject<'_>, prober: &dyn Prober) -> Result<Explanation> {
    let node = &subject.node.name;
    let (report, view) = futures_util::join!(subject.verify(prober), pacemaker::view(node));
    Ok(advise::explanation(&subject.plan, report?, &view))
}

/// The explanation as a page of text.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.summary)?;
        if !self.blocks.is_empty() {
            writeln!(f, "\nWhat blocks")?;
        }
        for (number, block) in (1..).zip(&self.blocks) {
            writeln!(f, "  {number}. {}", block.what)?;
            writeln!(f, "     Why:  {}", block.why)?;
            writeln!(f, "     Look: {}", block.look)?;
        }
        writeln!(f, "\nWhat Pacemaker says")?;
        for line in &self.pacemaker {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "\nWhat to do")?;
        for (number, step) in (1..).zip(&self.steps) {
            writeln!(f, "  {number}. {}", step.text)?;
            // Before the command: whoever is in a hurry copies that and reads no further.
            if !step.warning.is_empty() {
                writeln!(f, "     WARNING: {}", step.warning)?;
            }
            if let Some(command) = &step.command {
                writeln!(f, "       {command}")?;
            }
        }
        Ok(())
    }
}
