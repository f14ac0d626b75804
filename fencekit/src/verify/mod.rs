//! The verification pipeline: evidence that a node is dead, and the verdict.
