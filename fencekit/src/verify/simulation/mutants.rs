//! Each safety rule broken on purpose: the first property must fail for every one of them.

use super::run::{is_unsound, run};
use super::world::World;
use crate::verify::rules::Rules;

type Break = fn(&mut Rules);

/// Every rule of [`Rules`], and how to break it.
const RULES: &[(&str, Break)] = &[
    ("unknown_power_is_not_off", |rules| rules.unknown_power_is_not_off = false),
    ("every_device", |rules| rules.every_device = false),
    ("look_after_window", |rules| rules.look_after_window = false),
    ("meter_must_be_below", |rules| rules.meter_must_be_below = false),
    ("addresses_required", |rules| rules.addresses_required = false),
    ("every_network", |rules| rules.every_network = false),
    ("answer_is_life", |rules| rules.answer_is_life = false),
    ("neighbours_are_asked", |rules| rules.neighbours_are_asked = false),
    ("late_answers_count", |rules| rules.late_answers_count = false),
    ("whole_window", |rules| rules.whole_window = false),
    ("baseline_required", |rules| rules.baseline_required = false),
    ("failed_probe_is_unknown", |rules| rules.failed_probe_is_unknown = false),
    ("lost_probe_is_unknown", |rules| rules.lost_probe_is_unknown = false),
    ("silence_needs_path", |rules| rules.silence_needs_path = false),
    ("path_throughout", |rules| rules.path_throughout = false),
    ("silence_needs_witness", |rules| rules.silence_needs_witness = false),
    ("witness_throughout", |rules| rules.witness_throughout = false),
    ("witness_shares_path", |rules| rules.witness_shares_path = false),
    ("observer_awake", |rules| rules.observer_awake = false),
    ("require_witness", |rules| rules.require_witness = false),
];

const TRIED_AT_MOST: u64 = 200_000;

#[test]
fn every_rule_is_missed_when_it_is_broken() {
    let mut unnoticed = Vec::new();
    for (name, break_it) in RULES {
        let mut rules = Rules::STRICT;
        break_it(&mut rules);
        assert_ne!(rules, Rules::STRICT, "{name}");
        match (0..TRIED_AT_MOST).find(|seed| {
            let world = World::wild(*seed);
            is_unsound(&world, &run(&world, rules)) && !is_unsound(&world, &run(&world, Rules::STRICT))
        }) {
            Some(seed) => println!("{name}: caught by seed {seed}"),
            None => unnoticed.push(*name),
        }
    }
    assert!(unnoticed.is_empty(), "broken and not noticed: {unnoticed:?}");
}

#[test]
fn no_rule_is_left_out() {
    let listed = RULES.len();
    let fields = format!("{:?}", Rules::STRICT).matches(": true").count();
    assert_eq!(listed, fields);
}
