//! Simulated Kasa and Tapo plugs and strips.
