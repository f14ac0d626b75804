//! The whole pipeline on a virtual clock, against random worlds.
//!
//! Two properties:
//!
//! 1. *Sound*: a node that could still write is never confirmed off, unless every device lies and nothing that it
//!    sends can be counted on to reach an observer to whom all looks well.
//! 2. *Live*: a node that is dead, on a healthy network, is confirmed within the window plus two seconds.
//!
//! `FENCEKIT_SCHEDULES` sets how many worlds are tried, `FENCEKIT_FIRST_SEED` which is the first, and `FENCEKIT_SEED`
//! runs one alone and tells its story. `cargo xtask soak` does all of it.

mod mutants;
mod run;
mod world;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use run::{Run, is_unsound, run};
use world::World;

use super::rules::Rules;
use super::verdict::Verdict;

fn schedules() -> u64 {
    number("FENCEKIT_SCHEDULES").unwrap_or(10_000)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} must be a number")),
    )
}

fn tell(world: &World, run: &Run) -> String {
    let ending = &run.ending;
    let mut story = format!(
        "seed {}: {} after {:?}\n{world:?}\n",
        world.seed, ending.decision.verdict, ending.elapsed
    );
    for reason in &ending.decision.reasons {
        story.push_str(&format!("reason: {reason}\n"));
    }
    for evidence in &ending.evidence {
        story.push_str(&format!("evidence: {evidence}\n"));
    }
    story
}

/// Runs the check on `count` seeds, on all processors, until it panics on one.
fn for_every_seed<T: Send>(count: u64, check: impl Fn(u64) -> Option<T> + Sync) -> Vec<T> {
    let from = number("FENCEKIT_FIRST_SEED").unwrap_or(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let failed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (check, failed) = (&check, &failed);
        let workers: Vec<_> = (0..threads)
            .map(|first| {
                scope.spawn(move || {
                    let _tells = TellsOthers(failed);
                    (from + first..from + count)
                        .step_by(usize::try_from(threads).unwrap())
                        .take_while(|_| !failed.load(Ordering::Relaxed))
                        .filter_map(check)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    })
}

/// A million schedules are not run to their end when one has failed.
struct TellsOthers<'a>(&'a AtomicBool);

impl Drop for TellsOthers<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[derive(Debug, Default)]
struct Count {
    confirmed: u64,
    alive: u64,
    inconclusive: u64,
    /// Confirmed although the node could write: undetectable from what could be seen.
    undetectable: u64,
}

#[test]
fn confirmed_off_never_while_the_node_could_still_write() {
    if let Some(seed) = number("FENCEKIT_SEED") {
        let world = World::wild(seed);
        let run = run(&world, Rules::STRICT);
        panic!("{}unsound: {}", tell(&world, &run), is_unsound(&world, &run));
    }
    let outcomes = for_every_seed(schedules(), |seed| {
        let world = World::wild(seed);
        let run = run(&world, Rules::STRICT);
        assert!(!is_unsound(&world, &run), "{}", tell(&world, &run));
        let end = i64::try_from(run.ending.window_end.as_millis()).unwrap();
        let now = i64::try_from(run.ending.elapsed.as_millis()).unwrap();
        Some((run.ending.decision.verdict, world.could_write(end, now)))
    });
    let mut count = Count::default();
    for (verdict, could_write) in outcomes {
        match verdict {
            Verdict::ConfirmedOff if could_write => count.undetectable += 1,
            Verdict::ConfirmedOff => count.confirmed += 1,
            Verdict::StillAlive => count.alive += 1,
            Verdict::Inconclusive => count.inconclusive += 1,
        }
    }
    println!("{} schedules: {count:?}", schedules());
    // A generator that no longer makes all kinds of worlds would prove nothing.
    let least = schedules() / 200;
    assert!(count.confirmed > least && count.alive > least && count.inconclusive > least);
}

#[test]
fn a_dead_node_on_a_healthy_network_is_confirmed_in_time() {
    for_every_seed(schedules() / 2, |seed| {
        let world = World::healthy(seed);
        let run = run(&world, Rules::STRICT);
        let in_time = world.plan.timing.wait + Duration::from_secs(2);
        assert!(
            run.ending.decision.verdict == Verdict::ConfirmedOff && run.ending.elapsed <= in_time,
            "{}",
            tell(&world, &run)
        );
        None::<()>
    });
}

/// The short window's last look took so long that the whole of the longer window was over, in which this host's link had
/// been down unnoticed.
#[test]
fn a_link_that_is_down_while_the_last_look_of_the_short_window_is_waited_for_is_noticed() {
    let world = World::wild(974_709);
    let net = &world.nets[0];
    assert_eq!(
        (net.own_link_down, net.node_link_down.is_some()),
        (Some((3496, 8825)), true),
        "another world"
    );
    let run = run(&world, Rules::STRICT);
    assert!(!is_unsound(&world, &run), "{}", tell(&world, &run));
}

#[test]
fn a_seed_reproduces() {
    for seed in 0..50 {
        let world = World::wild(seed);
        let (first, second) = (run(&world, Rules::STRICT), run(&World::wild(seed), Rules::STRICT));
        assert_eq!(first.ending.evidence, second.ending.evidence);
        assert_eq!(first.ending.elapsed, second.ending.elapsed);
    }
}
