//! A simulated HTTP outlet.
