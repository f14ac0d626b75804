//! The verification's simulation over many more schedules than the tests take.

use std::time::{Duration, Instant};

use crate::context::Context;
use crate::exec::{Ended, Show, run};

/// How many schedules are run unless told otherwise.
const SCHEDULES: u64 = 1_000_000;
/// The properties; the third test of the simulation shows that a seed reproduces.
const SOUND: &str = "verify::simulation::confirmed_off_never_while_the_node_could_still_write";
const LIVE: &str = "verify::simulation::a_dead_node_on_a_healthy_network_is_confirmed_in_time";
/// The longest soak.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// What is to be run.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    schedules: u64,
    /// The first seed.
    seed: u64,
}

/// Soaks, with these arguments: `--schedules N`, `--seed N`. True when no schedule was unsound or late.
pub(crate) fn soak(context: &Context, args: &[&str]) -> bool {
    let wanted = match parse(args) {
        Ok(wanted) => wanted,
        Err(error) => {
            eprintln!("xtask: {error}\nusage: cargo xtask soak [--schedules N] [--seed N]");
            return false;
        }
    };
    match outcome(context, &wanted) {
        Ok(said) => {
            println!("{said}");
            true
        }
        Err(error) => {
            eprintln!("xtask: {error}");
            false
        }
    }
}

fn parse(args: &[&str]) -> Result<Wanted, String> {
    let mut wanted = Wanted {
        schedules: SCHEDULES,
        seed: 0,
    };
    let mut args = args.iter().copied();
    while let Some(arg) = args.next() {
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (arg, args.next()),
        };
        let number = || {
            let digits = value.unwrap_or_default().replace('_', "");
            digits.parse().map_err(|_| format!("{name} needs a whole number"))
        };
        match name {
            "--schedules" => wanted.schedules = number()?,
            "--seed" => wanted.seed = number()?,
            _ => return Err(format!("unknown option: {name}")),
        }
    }
    if wanted.schedules == 0 || wanted.seed.checked_add(wanted.schedules).is_none() {
        return Err("--schedules must be at least 1, and no seed may pass 2^64".to_owned());
    }
    Ok(wanted)
}

/// Runs the properties and says how fast it went.
fn outcome(context: &Context, wanted: &Wanted) -> Result<String, String> {
    let Wanted { schedules, seed } = *wanted;
    println!("building the simulation, optimised");
    test(context, &["--no-run"], wanted).success()?;
    if schedules == 1 {
        // One alone is run to be read: the test ends by telling its story.
        let told = test(context, &["--", "--exact", SOUND], wanted);
        return match told.text.contains("unsound: false") {
            true => Ok(format!("the schedule of seed {seed} is sound")),
            false => Err(format!("the schedule of seed {seed} is unsound, or did not run")),
        };
    }
    println!(
        "{schedules} schedules of a node, its devices, its networks and an observer that may all fail, from seed {seed} \
         on: confirmed-off never while the node could still write"
    );
    println!(
        "{} schedules of a dead node on a healthy network: confirmed within the window and two seconds",
        schedules / 2
    );
    let started = Instant::now();
    let ended = test(context, &["--", "--exact", "--nocapture", SOUND, LIVE], wanted);
    let seconds = started.elapsed().as_secs_f64();
    if let Some(failure) = ended.failure {
        return Err(format!(
            "{failure} after {seconds:.1} s; cargo xtask soak --schedules 1 --seed N tells the story of seed N alone"
        ));
    }
    if !ended.text.contains("2 passed") {
        return Err("the properties did not run: were their tests renamed?".to_owned());
    }
    let run = schedules + schedules / 2;
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = run as f64 / seconds;
    Ok(format!(
        "{run} schedules in {seconds:.1} s, {rate:.0} a second: none unsound, none late"
    ))
}

fn test(context: &Context, args: &[&str], wanted: &Wanted) -> Ended {
    let mut cargo = context.cargo("test");
    cargo
        .args(["--release", "--quiet", "--package", "fencekit", "--lib"])
        .args(args)
        .env("FENCEKIT_SCHEDULES", wanted.schedules.to_string())
        .env("FENCEKIT_FIRST_SEED", wanted.seed.to_string())
        .env_remove("FENCEKIT_SEED");
    if wanted.schedules == 1 {
        cargo.env("FENCEKIT_SEED", wanted.seed.to_string());
    }
    run(context, &mut cargo, Instant::now() + LIMIT, Show::Live)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_or_refused() {
        let wanted = |schedules, seed| Ok(Wanted { schedules, seed });
        assert_eq!(parse(&[]), wanted(1_000_000, 0));
        assert_eq!(parse(&["--schedules", "2_000", "--seed=7"]), wanted(2_000, 7));
        for wrong in [
            &["--schedules"][..],
            &["--schedules", "many"],
            &["--schedules", "0"],
            &["--seed", "18446744073709551615"],
            &["--sede", "1"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
