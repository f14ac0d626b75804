//! Many devices at once, bounded.
