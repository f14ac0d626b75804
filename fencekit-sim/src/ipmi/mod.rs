//! A simulated BMC.
