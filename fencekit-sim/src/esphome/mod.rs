//! Simulated ESPHome switches.
