//! What the fuzzer calls.

use crate::power::Observation;

use super::reply::{Complaint, StateTexts, Status, parse};

/// One reply, as a whole status and as the words for the states.
pub fn reply(text: &str, relay: u8) {
    let Ok(object) = parse(text) else {
        return;
    };
    let _ = (Complaint::of(&object), StateTexts::from_replies(&object, &object));
    let texts = StateTexts {
        off: "OFF".to_owned(),
        on: "ON".to_owned(),
    };
    let status = Status::new(object);
    let _ = (
        status.relays(),
        status.identity(),
        status.uptime(),
        status.power_reading(relay),
    );
    let _ = (
        status.friendly_name(relay),
        status.mac(),
        status.has_meter(),
        status.has_relays(),
    );
    if status.observe(relay, &texts) == Observation::Off {
        // Escapes may spell the word too.
        assert!(text.contains("OFF") || text.contains('\\'), "off out of nothing");
    }
}
