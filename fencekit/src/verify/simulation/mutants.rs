//! Each safety rule broken on purpose: the first property must fail for every one of them.
//!
//! `docs/broken-rules.md` holds the seed that catches each; after a change of the engine or the worlds
//! `FENCEKIT_BLESS=1 cargo test -p fencekit broken` looks for new ones.

use std::fmt::Write as _;

use super::run::{Run, is_unsound, run};
use super::world::World;
use crate::verify::rules::Rules;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/broken-rules.md");
/// How many seeds are tried for a rule.
const TRIED_AT_MOST: u64 = 200_000;

type Break = fn(&mut Rules);

macro_rules! each_broken {
    ($($rule:ident)*) => {
        &[$((stringify!($rule), |rules| { rules.$rule = false; })),*]
    };
}

/// Every rule of [`Rules`], and how to break it.
const RULES: &[(&str, Break)] = each_broken! {
    unknown_power_is_not_off
    every_device
    first_level_contradicts
    bmc_contradicts
    first_meter_contradicts
    look_after_window
    meter_must_be_below
    addresses_required
    every_network
    answer_is_life
    neighbours_are_asked
    late_answers_count
    whole_window
    baseline_required
    failed_probe_is_unknown
    lost_probe_is_unknown
    unreached_needs_witness
    silence_needs_path
    own_address_present
    path_throughout
    silence_needs_witness
    witness_throughout
    witness_shares_path
    observer_awake
    require_witness
};

/// The run with this rule broken, when it called a node dead that the whole rules did not.
fn caught(seed: u64, break_it: Break) -> Option<(World, Run)> {
    let mut rules = Rules::STRICT;
    break_it(&mut rules);
    let world = World::wild(seed);
    let broken = run(&world, rules);
    let caught = is_unsound(&world, &broken) && !is_unsound(&world, &run(&world, Rules::STRICT));
    caught.then_some((world, broken))
}

fn line(name: &str, seed: u64, world: &World, broken: &Run) -> String {
    let whole = run(world, Rules::STRICT).ending.decision;
    let rule = serde_json::to_value(whole.rule).unwrap();
    format!(
        "| `{name}` | {seed} | {} after {:.1} s | {}: {} |",
        broken.ending.decision.verdict,
        broken.ending.elapsed.as_secs_f64(),
        whole.verdict,
        rule.as_str().unwrap(),
    )
}

#[test]
fn every_broken_rule_is_caught_by_its_seed() {
    if std::env::var_os("FENCEKIT_BLESS").is_some() {
        bless();
    }
    let kept = std::fs::read_to_string(PATH).unwrap_or_default();
    for (name, break_it) in RULES {
        let row = kept
            .lines()
            .find(|row| row.starts_with(&format!("| `{name}` |")))
            .unwrap_or_else(|| {
                panic!("{name}: no seed in docs/broken-rules.md; look for one with FENCEKIT_BLESS=1")
            });
        let seed: u64 = row.split('|').nth(2).unwrap().trim().parse().unwrap();
        let (world, broken) = caught(seed, *break_it)
            .unwrap_or_else(|| panic!("{name}: seed {seed} does not catch it any more; FENCEKIT_BLESS=1"));
        assert_eq!(row, line(name, seed, &world, &broken));
    }
}

fn bless() {
    let mut table = String::from(
        "# Broken rules and what catches them\n\n\
         Made by a test: each safety rule of the verdict is broken alone, and the simulation is run until it calls a\n\
         node dead that could still write. `FENCEKIT_SEED=N cargo test -p fencekit confirmed_off_never` tells the\n\
         story of a seed.\n\n\
         | broken rule | seed | verdict then | verdict with all rules |\n| --- | --- | --- | --- |\n",
    );
    let mut unnoticed = Vec::new();
    for (name, break_it) in RULES {
        match (0..TRIED_AT_MOST).find_map(|seed| Some((seed, caught(seed, *break_it)?))) {
            Some((seed, (world, broken))) => {
                writeln!(table, "{}", line(name, seed, &world, &broken)).unwrap();
            }
            None => unnoticed.push(*name),
        }
    }
    std::fs::write(PATH, table).unwrap();
    assert!(unnoticed.is_empty(), "broken and not noticed: {unnoticed:?}");
}

#[test]
fn no_rule_is_left_out() {
    let fields = format!("{:?}", Rules::STRICT).matches(": true").count();
    assert_eq!(RULES.len(), fields);
}
