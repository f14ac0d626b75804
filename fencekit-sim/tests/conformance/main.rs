//! The conformance suite: every backend with every fault, over real sockets on loopback.
//!
//! What must hold for each of them, whatever the fault:
//!
//! - "off" is a success only when the relay is really off and the device said so;
//! - only the outlet that was meant is ever told anything;
//! - it ends in time.
//!
//! The one exception is a device without a meter that lies about its relay: nothing on the wire can show that.
//!
//! The outcomes are printed as matrices and compared with `docs/conformance.md`. After a wanted change:
//! `FENCEKIT_BLESS=1 cargo test -p fencekit-sim --test conformance`.
#![allow(
    clippy::unwrap_used,
    reason = "a test may panic; clippy knows only the functions marked as tests"
)]

mod backends;

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backends::{ALL, Backend};
use fencekit::fence::Event;
use fencekit::{Confirmation, Deadline, Error, ExpectedIdentity, FenceDeviceExt, Policy};
use fencekit_sim::Faults;
use tokio::sync::Semaphore;

/// How many fences run at once.
const AT_ONCE: usize = 32;
/// How long a passing fault lasts.
const A_MOMENT: Duration = Duration::from_millis(400);

/// When a fault is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// From the first connection on.
    Always,
    /// From the moment at which the off is sent: everything was well before.
    FromCommand,
    /// For [`A_MOMENT`] from then on.
    Passing,
}

const EVERY_WHEN: [(When, &str); 3] = [
    (When::Always, "The fault is there from the start"),
    (When::FromCommand, "The fault sets in when the off is sent"),
    (
        When::Passing,
        "The fault sets in when the off is sent, and passes after 0.4 s",
    ),
];

/// What the faults come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// The fence succeeds all the same.
    Harmless,
    /// It fails while the fault is there, and succeeds once it has passed.
    Fails,
    /// It fails even after the fault has passed: what was seen may not be overlooked.
    FailsForGood,
    /// The device says off, and nothing it has can show that the relay is on.
    Believed,
}

/// The table of expectations.
fn effect(backend: &Backend, fault: &str, when: When) -> Effect {
    if let Some((_, effect)) = backend.differs.iter().find(|(name, _)| *name == fault) {
        return *effect;
    }
    match fault {
        "none" | "slow" | "trickle" | "doubled" | "one_client" | "delay" | "bounce" => Effect::Harmless,
        "redirect" | "server_error" if !backend.http => Effect::Harmless,
        "reject_auth" if !backend.login => Effect::Harmless,
        "wrong_identity" if backend.identity.is_none() => Effect::Harmless,
        "meter_stuck" if !backend.meter => Effect::Harmless,
        "lie" if !backend.meter => Effect::Believed,
        "reject_auth" | "wrong_identity" if backend.one_session && when != When::Always => Effect::Harmless,
        "reject_auth" | "wrong_identity" if when == When::Passing => Effect::FailsForGood,
        _ => Effect::Fails,
    }
}

fn faults(name: &str) -> Faults {
    let text = match name {
        "none" => String::new(),
        "slow" | "delay" => format!("{name}=0.2"),
        "bounce" => format!("{name}=60"),
        other => other.to_owned(),
    };
    text.parse().unwrap()
}

/// One cell.
struct Cell {
    backend: &'static Backend,
    fault: &'static str,
    when: When,
    outcome: Result<Confirmation, Error>,
    took: Duration,
    /// What was true of the outlet when the outcome came.
    relay: Option<bool>,
    reported: Option<bool>,
    /// Whether another outlet moved, or anything else was commanded.
    strayed: bool,
}

async fn run(backend: &'static Backend, fault: &'static str, when: When) -> Cell {
    let expected = effect(backend, fault, when);
    let succeeds = matches!(expected, Effect::Harmless | Effect::Believed)
        || (when == When::Passing && expected == Effect::Fails);
    // What goes well has all the time that a busy machine may need; what is silent is waited for briefly.
    let step = match fault {
        "silent" => "0.7",
        _ if succeeds => "10",
        _ => "3",
    };
    let running = backend.start().await;
    let device = backend.device(&running, step);
    let policy = Policy {
        expect_identity: backend
            .identity
            .map(|text| ExpectedIdentity::parse(text).unwrap()),
        off_max_watts: backend.meter.then_some(5.0),
        poll: Duration::from_millis(100),
        power_timeout: Duration::from_secs(if succeeds { 40 } else { 3 }),
        // On a busy machine a device that takes one client may need a while to see that the last one is gone.
        connect_attempts: if succeeds {
            20
        } else {
            Policy::default().connect_attempts
        },
        ..Policy::default()
    };
    let sim = running.device.clone();
    if when == When::Always {
        sim.set_faults(faults(fault));
    }
    let watch = |event: Event<'_>| {
        if when == When::Always || !matches!(event, Event::Sending(_, 1)) {
            return;
        }
        sim.set_faults(faults(fault));
        if when == When::Passing {
            let sim = sim.clone();
            tokio::spawn(async move {
                tokio::time::sleep(A_MOMENT).await;
                sim.set_faults(Faults::default());
            });
        }
    };
    let started = Instant::now();
    let outcome = device
        .off_confirmed(&policy, Deadline::after(Duration::from_secs(60)), &watch)
        .await;
    let sim = &running.device;
    let outlet = backend.fenced;
    let others_moved = backend.neighbours().any(|other| sim.relay(other) != Some(true));
    Cell {
        backend,
        fault,
        when,
        outcome,
        took: started.elapsed(),
        relay: sim.relay(outlet),
        reported: sim.reported(outlet),
        strayed: others_moved || sim.commands().iter().any(|(other, on)| *other != outlet || *on),
    }
}

impl Cell {
    /// What must hold in every cell.
    fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let expected = effect(self.backend, self.fault, self.when);
        if self.outcome.is_ok() && self.relay != Some(false) && expected != Effect::Believed {
            wrong.push("FALSE OFF: a success while the relay is on".to_owned());
        }
        if self.outcome.is_ok() && self.reported != Some(false) {
            wrong.push("a success while the device does not say off".to_owned());
        }
        if self.strayed {
            wrong.push("another outlet or another state was commanded".to_owned());
        }
        if self.took > Duration::from_secs(60) {
            wrong.push(format!("took {:?}", self.took));
        }
        let succeeds = match expected {
            Effect::Harmless | Effect::Believed => true,
            Effect::Fails => self.when == When::Passing,
            Effect::FailsForGood => false,
        };
        if self.outcome.is_ok() != succeeds {
            wrong.push(format!("{expected:?} was expected"));
        }
        wrong
    }

    /// The outcome in a word or two.
    fn word(&self) -> &'static str {
        match &self.outcome {
            Ok(_) if self.relay == Some(false) => "off",
            Ok(_) => "**believed**",
            Err(Error::Config { .. }) => "config",
            Err(Error::Unreachable { .. }) => "unreachable",
            Err(Error::Timeout { .. }) => "timeout",
            Err(Error::Authentication { .. }) => "authentication",
            Err(Error::Protocol { .. }) => "protocol",
            Err(Error::Refused { .. }) => "refused",
            Err(Error::WrongDevice { .. }) => "wrong device",
            Err(Error::NotConfirmed { .. }) => "not confirmed",
            Err(Error::Unsupported { .. }) => "unsupported",
            Err(_) => "other",
        }
    }
}

const PREAMBLE: &str = "\
# What every backend does with every fault

Written by `fencekit-sim/tests/conformance`, which fails when the code does otherwise. Each cell is one `off` of one outlet of a
simulated device with one fault, over real sockets, with `expect_identity` and `off_max_watts` where the backend has them.

`off` is a success, and then the relay was really off. Every other word is the error that came instead. `**believed**` is a device
that says off while its relay is on, and has no meter to show it: the one thing that the wire cannot tell. Verification of the
node (`fence_check`) is there for that.

";

/// Rows are faults, columns backends.
fn matrices(cells: &[Cell]) -> String {
    let mut text = PREAMBLE.to_owned();
    for (when, title) in EVERY_WHEN {
        let _ = write!(text, "## {title}\n\n| fault |");
        for backend in &ALL {
            let _ = write!(text, " {} |", backend.name);
        }
        text.push_str("\n|---|");
        text.push_str(&"---|".repeat(ALL.len()));
        text.push('\n');
        for fault in every_fault() {
            let _ = write!(text, "| {fault} |");
            for backend in &ALL {
                let cell = cells.iter().find(|cell| {
                    cell.fault == fault && cell.when == when && std::ptr::eq(cell.backend, backend)
                });
                let _ = write!(text, " {} |", cell.map_or("?", Cell::word));
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

fn every_fault() -> impl Iterator<Item = &'static str> {
    std::iter::once("none").chain(Faults::NAMES.iter().copied())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_backend_with_every_fault() {
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    let mut runs = Vec::new();
    for (when, _) in EVERY_WHEN {
        for backend in &ALL {
            for fault in every_fault() {
                let gate = Arc::clone(&gate);
                runs.push(tokio::spawn(async move {
                    let _turn = gate.acquire().await.unwrap();
                    run(backend, fault, when).await
                }));
            }
        }
    }
    let mut cells = Vec::new();
    for run in runs {
        cells.push(run.await.unwrap());
    }
    let found = matrices(&cells);
    println!("{found}");
    if std::env::var_os("FENCEKIT_OUTCOMES").is_some() {
        for cell in &cells {
            println!(
                "{} {} {:?} {:?} {:?}",
                cell.backend.name, cell.fault, cell.when, cell.took, cell.outcome
            );
        }
    }
    let mut wrong = Vec::new();
    for cell in &cells {
        for problem in cell.check() {
            wrong.push(format!(
                "{} {} {:?}: {problem}: {:?}",
                cell.backend.name, cell.fault, cell.when, cell.outcome
            ));
        }
    }
    assert!(wrong.is_empty(), "{} cells:\n{}", wrong.len(), wrong.join("\n"));

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conformance.md");
    if std::env::var_os("FENCEKIT_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differences: Vec<_> = found
        .lines()
        .filter(|line| !kept.lines().any(|other| other == *line))
        .map(|line| format!("now:  {line}"))
        .chain(
            kept.lines()
                .filter(|line| !found.lines().any(|other| other == *line))
                .map(|line| format!("kept: {line}")),
        )
        .collect();
    assert!(
        found == kept,
        "docs/conformance.md says otherwise; if this is wanted, set FENCEKIT_BLESS=1 and run again\n{}",
        differences.join("\n")
    );
}
