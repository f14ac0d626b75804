//! Installs what the tests need, into places of its own, after saying so. Quick when nothing is missing.

mod debian;
mod esphome;
mod firmware;
pub(crate) mod lists;
mod npm;
mod python;
mod stamp;

use std::fs;
use std::time::Instant;

use crate::context::Context;
use crate::tally::Tally;

/// What one part of the set-up has to do.
pub(crate) enum Need {
    /// Nothing: it is all there.
    Nothing,
    /// This, in words for the user.
    Install(String),
}

/// How one part went.
pub(crate) enum Done {
    /// It is all there.
    Complete,
    /// Some of it cannot be had here; tests that want it are skipped. In words for the user.
    Partial(String),
}

/// One part of the set-up.
struct Part {
    name: &'static str,
    need: fn(&Context) -> Need,
    install: fn(&Context, Instant) -> Result<Done, String>,
}

/// In this order: npm and the venv may need a Debian package, the ESPHome device needs its compiler.
const PARTS: &[Part] = &[
    Part {
        name: "debian",
        need: debian::need,
        install: debian::install,
    },
    Part {
        name: "python",
        need: python::need,
        install: python::install,
    },
    Part {
        name: "npm",
        need: npm::need,
        install: npm::install,
    },
    Part {
        name: "esphome",
        need: esphome::need,
        install: esphome::install,
    },
    Part {
        name: "esphome-firmware",
        need: firmware::need,
        install: firmware::install,
    },
];

/// Says what is missing, installs it, and counts the parts.
pub(crate) fn run(context: &Context, until: Instant) -> (Tally, Vec<String>) {
    if let Err(error) = fs::create_dir_all(&context.interop) {
        return (
            Tally::FAILED,
            vec![format!("cannot make {}: {error}", context.interop.display())],
        );
    }
    announce(context);
    let mut tally = Tally::default();
    let mut notes = Vec::new();
    for part in PARTS {
        // Asked again: an earlier part may have brought what this one needs.
        let outcome = match (part.need)(context) {
            Need::Nothing => Ok(Done::Complete),
            Need::Install(_) => (part.install)(context, until),
        };
        match outcome {
            Ok(Done::Complete) => tally += Tally::PASSED,
            Ok(Done::Partial(note)) => {
                tally += Tally::SKIPPED;
                notes.push(format!("{}: {note}", part.name));
            }
            Err(error) => {
                tally += Tally::FAILED;
                notes.push(format!("{}: {error}", part.name));
            }
        }
    }
    (tally, notes)
}

fn announce(context: &Context) {
    let needs: Vec<(&str, String)> = PARTS
        .iter()
        .filter_map(|part| match (part.need)(context) {
            Need::Nothing => None,
            Need::Install(what) => Some((part.name, what)),
        })
        .collect();
    if needs.is_empty() {
        println!("Everything that the tests need is installed.");
        return;
    }
    println!("This will be installed:");
    for (part, what) in needs {
        println!("  {part}: {what}");
    }
}
