//! Simulated Tasmota relays.
