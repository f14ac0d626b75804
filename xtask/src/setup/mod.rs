//! Installs what the tests need, into places of its own, after saying so. Quick when nothing is missing.

pub(crate) mod ansible;
pub(crate) mod cargo_c;
mod debian;
mod esphome;
mod firmware;
pub(crate) mod lists;
mod npm;
pub(crate) mod package;
mod pcs;
pub(crate) mod python;
mod release;
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

/// The parts that go before everything else: what builds.
const MACHINE: [&str; 2] = ["debian", "cargo-c"];

/// In this order: npm and the venv may need a Debian package, the ESPHome device needs its compiler.
const PARTS: &[Part] = &[
    Part {
        name: "debian",
        need: debian::need,
        install: debian::install,
    },
    Part {
        name: "cargo-c",
        need: cargo_c::need,
        install: cargo_c::install,
    },
    Part {
        name: "pcs",
        need: pcs::need,
        install: pcs::install,
    },
    Part {
        name: "python",
        need: python::need,
        install: python::install,
    },
    Part {
        name: "package",
        need: package::need,
        install: package::install,
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
    Part {
        name: "ansible",
        need: ansible::need,
        install: ansible::install,
    },
    Part {
        name: "ansible-test",
        need: ansible::need_sanity,
        install: ansible::install_sanity,
    },
];

/// Says what is missing, and installs what the machine is to have: compilers among it.
pub(crate) fn of_machine(context: &Context, until: Instant) -> (Tally, Vec<String>) {
    announce(context);
    install(context, until, |part| MACHINE.contains(&part.name))
}

/// Installs the rest.
pub(crate) fn of_packages(context: &Context, until: Instant) -> (Tally, Vec<String>) {
    install(context, until, |part| !MACHINE.contains(&part.name))
}

/// Counts the parts.
fn install(context: &Context, until: Instant, wanted: impl Fn(&Part) -> bool) -> (Tally, Vec<String>) {
    if let Err(error) = fs::create_dir_all(&context.interop) {
        return (
            Tally::FAILED,
            vec![format!("cannot make {}: {error}", context.interop.display())],
        );
    }
    let mut tally = Tally::default();
    let mut notes = Vec::new();
    for part in PARTS.iter().filter(|part| wanted(part)) {
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
