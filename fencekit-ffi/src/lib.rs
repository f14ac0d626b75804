//! The C library of fencekit.
//!
//! `include/fencekit.h` is made of this crate's items and their comments by `cargo xtask header`; `docs/c-api.md` has the
//! conventions. The functions for C are safe Rust: what comes in from C is read and written in `boundary` alone, handles
//! are numbers in a table (`handle`), and no panic leaves a function.

pub mod boundary;
pub mod cluster;
pub mod device;
pub mod doctor;
pub mod failure;
pub mod generate;
mod handle;
pub mod identity;
pub mod logging;
pub mod outlets;
pub mod power;
pub mod report;
pub mod result;
mod runtime;
mod state;
pub mod statuses;
mod text;
pub mod version;
