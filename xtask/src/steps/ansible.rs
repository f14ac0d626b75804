//! The Ansible collection: its unit tests, its linters, and the playbook against simulated devices.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::{Outcome, both, check, counted, side_by_side, wheel};
use crate::context::Context;
use crate::exec::{Show, run};
use crate::setup::ansible::{command, copy, program, version};
use crate::tally::Tally;

pub(crate) fn test(context: &Context, until: Instant) -> Outcome {
    if !program(context, "ansible-playbook").exists() {
        let note = "Ansible is missing; `cargo xtask setup` installs it";
        return (Tally::SKIPPED, vec![note.to_owned()]);
    }
    let (collection, wheel) = match copy(context, until).and_then(|collection| {
        let wheel = wheel::build(context, until)?;
        Ok((collection, wheel))
    }) {
        Ok(both) => both,
        Err(error) => return (Tally::FAILED, vec![error]),
    };
    let collection = collection.as_path();
    // The copy lies as deep as the original.
    let example = collection.ancestors().nth(3).unwrap_or(collection);
    let looks = [
        (
            lint(context, example),
            "Profile 'production' was required, and it passed",
        ),
        (syntax(context, example), "playbook: "),
        (
            archive(context, collection),
            "Created collection for fencekit.stonith",
        ),
        (
            sanity(context, collection),
            "Running sanity test \"validate-modules\"",
        ),
    ];
    side_by_side(vec![
        Box::new(|| playbook(context, until, example, &wheel)),
        Box::new(|| {
            let unit = pytest(context, until, collection, "tests/unit", &[]);
            looks.into_iter().fold(unit, |all, (command, looked)| {
                both(all, checked(context, until, command, looked))
            })
        }),
    ])
}

/// The playbook on this machine, below one directory, with simulated devices, the program and the wheel as they are now.
fn playbook(context: &Context, until: Instant, example: &Path, wheel: &Path) -> Outcome {
    let program = context.target.join("debug/fencekit");
    let variables = [("FENCEKIT_BIN", program.as_path()), ("FENCEKIT_WHEEL", wheel)];
    pytest(context, until, example, "tests", &variables)
}

/// The tests in a directory below `place`, with warnings as errors.
fn pytest(
    context: &Context,
    until: Instant,
    place: &Path,
    tests: &str,
    variables: &[(&str, &Path)],
) -> Outcome {
    let mut pytest = command(context, "python");
    pytest
        .args(["-m", "pytest", "--quiet", "-W", "error"])
        .args(["-p", "no:cacheprovider", tests])
        .envs(variables.iter().copied())
        .current_dir(place);
    let ended = run(context, &mut pytest, until, Show::OnFailure);
    let tally = Tally::of_closing_line(&ended.text);
    counted(&ended, tally)
}

fn lint(context: &Context, example: &Path) -> Command {
    let mut lint = command(context, "ansible-lint");
    lint.args(["--profile", "production", "--strict", "--offline", "--nocolor"])
        .current_dir(example);
    lint
}

fn syntax(context: &Context, example: &Path) -> Command {
    let mut playbook = command(context, "ansible-playbook");
    playbook
        .args(["--syntax-check", "fencekit.stonith.stonith"])
        .current_dir(example);
    playbook
}

/// What `ansible-galaxy collection install` takes.
fn archive(context: &Context, collection: &Path) -> Command {
    let mut galaxy = command(context, "ansible-galaxy");
    galaxy
        .args(["collection", "build", "--force", "--output-path"])
        .arg(context.interop.join("ansible-archive"))
        .current_dir(collection);
    galaxy
}

/// Every sanity test that this ansible-test has and that applies; what they need, the set-up has fetched.
fn sanity(context: &Context, collection: &Path) -> Command {
    let mut sanity = command(context, "ansible-test");
    sanity
        .args(["sanity", "--color", "no", "--python", &version()])
        .current_dir(collection);
    sanity
}

/// These tools end well, too, when they find nothing to look at: `looked` is what they say when they did.
fn checked(context: &Context, until: Instant, mut command: Command, looked: &str) -> Outcome {
    let mut ended = run(context, &mut command, until, Show::OnFailure);
    if ended.failure.is_none() && (!ended.text.contains(looked) || ended.text.contains("targets skipped")) {
        ended.failure = Some(format!(
            "{} looked at nothing: {}",
            command.get_program().display(),
            ended.text.trim()
        ));
    }
    check(ended)
}
