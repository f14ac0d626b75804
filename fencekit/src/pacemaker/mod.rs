//! What Pacemaker on this host has been told, and what it says of itself. Read only.
//!
//! [`ask`](ask::ask) runs Pacemaker's own tools; the rest reads their output and is pure.

pub(crate) mod ask;
pub(crate) mod cib;
pub(crate) mod monitor;
mod xml;

pub(crate) use xml::is_true;
