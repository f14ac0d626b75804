//! The fence agents: options by getopt or on stdin, metadata, output and exit codes of fence-agents' contract.
//!
//! An agent ends with 0 for success and for the status ON, 2 for the status OFF, and 1 for everything else, a panic
//! included. Its result is on stdout; what went wrong is one line on stderr and in the system's log.

mod action;
mod check;
mod getopt;
mod given;
mod help;
pub(crate) mod install;
pub(crate) mod logging;
mod metadata;
mod nearest;
mod stdin;
mod switching;
mod syslog;
mod table;
mod timing;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use fencekit::{Error, Method, Result, Secret, Settings};

use action::Action;
use given::Given;
use switching::{Devices, Failure, Outcome};
use table::{AGENTS, Agent, Target};
use timing::Timing;

/// The exit code of every failure. Not 2: that says that the status is OFF.
const FAILED: u8 = 1;
const STATUS_OFF: u8 = 2;

/// Runs the agent `name` with its arguments, or with `key=value` lines from stdin when there are none.
pub(crate) fn run(name: &str, args: Vec<OsString>) -> ExitCode {
    // A panic would end with 101, which the contract does not know; the hook has printed it by then.
    std::panic::catch_unwind(AssertUnwindSafe(|| run_agent(name, args)))
        .unwrap_or_else(|_| ExitCode::from(FAILED))
}

fn run_agent(name: &str, args: Vec<OsString>) -> ExitCode {
    let Some(agent) = Agent::find(name) else {
        let names: Vec<_> = AGENTS.iter().map(|agent| agent.name).collect();
        logging::open(name, 0, false, None);
        log::error!("Failed: {name} is no agent; the agents are: {}", names.join(", "));
        return ExitCode::from(FAILED);
    };
    let mut given = Given::new(agent);
    let from = Source::of(&args);
    let parsed = take_options(&mut given, &from, args);
    logging::open(
        agent.name,
        given.verbosity(),
        given.boolean("quiet"),
        given.text("debug_file"),
    );
    logging::hide(given.secrets());
    for note in given.take_notes() {
        log::warn!("{note}");
    }
    let outcome = parsed
        .map_err(Failure::from)
        .and_then(|()| answer(agent, &given, &from));
    match outcome {
        // What was done counts, even when nobody can be told.
        Ok(Outcome::Done(line)) => {
            let _ = print(&line);
            ExitCode::SUCCESS
        }
        Ok(Outcome::StatusOff) => {
            let _ = print("Status: OFF");
            ExitCode::from(STATUS_OFF)
        }
        Ok(Outcome::Text(text)) => match print(&text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(cause) => {
                log::error!("Failed: stdout cannot be written: {cause}");
                ExitCode::from(FAILED)
            }
        },
        Err(failure) => {
            log::error!("Failed: {failure}");
            ExitCode::from(FAILED)
        }
    }
}

/// Where the options come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Arguments,
    Stdin,
}

impl Source {
    fn of(args: &[OsString]) -> Self {
        if args.is_empty() {
            Self::Stdin
        } else {
            Self::Arguments
        }
    }
}

fn take_options(given: &mut Given, from: &Source, args: Vec<OsString>) -> Result<()> {
    match from {
        Source::Arguments => {
            let secret_shown = getopt::parse(given, args)?;
            if secret_shown && std::io::stderr().is_terminal() {
                given.note(
                    "everybody on this host can read a password among the arguments; password_file hides it"
                        .into(),
                );
            }
            Ok(())
        }
        Source::Stdin => {
            let at_terminal = std::io::stdin().is_terminal();
            if at_terminal {
                let name = given.agent().name;
                let _ = writeln!(
                    std::io::stderr(),
                    "{name} reads key=value lines, up to Ctrl-D; {name} -h lists the options"
                );
            }
            stdin::parse(given, &stdin::read(at_terminal)?)
        }
    }
}

/// What the agent has to say to its options.
fn answer(agent: &'static Agent, given: &Given, from: &Source) -> Result<Outcome, Failure> {
    if given.boolean("help") {
        return Ok(Outcome::Text(help::text(agent).trim_end().to_owned()));
    }
    if given.boolean("version") {
        return Ok(Outcome::Text(env!("CARGO_PKG_VERSION").to_owned()));
    }
    given.check_action_is_meant()?;
    let action = Action::parse(given.action())?;
    if action == Action::Metadata {
        return metadata::document(agent)
            .map(|document| Outcome::Text(document.trim_end().to_owned()))
            .map_err(|cause| Error::unsupported(format!("writing the metadata: {cause}")).into());
    }
    given.check()?;
    if matches!(action, Action::Off | Action::Reboot | Action::Status) {
        given.check_safety_is_meant()?;
    }
    match agent.target {
        Target::Device(method) => act_on_device(given, method, action, from),
        Target::Node => act_on_node(given, action),
    }
}

fn act_on_node(given: &Given, action: Action) -> Result<Outcome, Failure> {
    if matches!(action, Action::List | Action::ListStatus) {
        // It has no outlets. It reads no file and asks nobody: after a list that fails, Pacemaker would go by the
        // status, and made from options that is the same whichever node is meant.
        return Ok(Outcome::Text("N/A".to_owned()));
    }
    if action == Action::On {
        // It reads no password and no file: a level whose node was fenced powers on whatever became of them.
        return Ok(Outcome::Done("Success: nothing to verify".to_owned()));
    }
    if action == Action::ValidateAll {
        check::Check::validate(given)?;
        return Ok(Outcome::Done(String::new()));
    }
    let check = check::Check::configure(given)?;
    let Some(check) = check else {
        // Without a node there is nothing to ask; the cluster file itself was read.
        return match action {
            Action::Monitor => Ok(Outcome::Done(String::new())),
            _ => Err(Error::config("plug", "is missing", "name the node to be verified").into()),
        };
    };
    let delay = given.seconds("delay");
    if action.is_fencing() && !delay.is_zero() {
        log::info!("waiting {} s before verifying (delay)", delay.as_secs_f64());
        std::thread::sleep(delay);
    }
    run_to_end(check.act(action))
}

fn act_on_device(given: &Given, method: Method, action: Action, from: &Source) -> Result<Outcome, Failure> {
    let timing = Timing::of(action, given, std::env::var_os("PCMK_service").as_deref())?;
    let mut settings = given.settings(method)?;
    if action == Action::ValidateAll {
        leave_script_out(&mut settings)?;
        load_password(&mut settings, from)?;
        Devices::configure(given, method, timing, settings)?;
        return Ok(Outcome::Done(String::new()));
    }
    // Once before the password is fetched: wrong options are told at once.
    Devices::configure(given, method, timing, with_password_to_come(&settings)?)?;
    load_password(&mut settings, from)?;
    logging::hide(settings.secret("password"));
    let devices = Devices::configure(given, method, timing, settings)?;
    let delay = given.seconds("delay");
    if action.is_fencing() && !delay.is_zero() {
        log::info!("waiting {} s before fencing (delay)", delay.as_secs_f64());
        std::thread::sleep(delay);
    }
    run_to_end(devices.act(action))
}

/// Stands for a password that was not fetched yet, where a device cannot be built without one; nobody is sent it.
const TO_COME: &str = "to come";

/// The options as they will be once the password is fetched, as far as they can be checked before.
fn with_password_to_come(settings: &Settings) -> Result<Settings> {
    let mut settings = settings.clone();
    let is_to_come = |name| settings.text(name).is_some();
    if is_to_come("password_script") || is_to_come("password_file") {
        settings.set("password", TO_COME)?;
    }
    Ok(settings)
}

/// For validate-all: a program that fetches a password is not run, since it may need the network.
fn leave_script_out(settings: &mut Settings) -> Result<()> {
    if settings.text("password_script").is_none() {
        return Ok(());
    }
    settings.unset("password_script");
    settings.unset("password_file");
    settings.set("password", TO_COME)
}

/// Fetches the password; `password_file=-` is stdin, where that is free.
fn load_password(settings: &mut Settings, from: &Source) -> Result<()> {
    if settings.text("password_script").is_none() && settings.text("password_file") == Some("-") {
        if *from == Source::Stdin {
            return Err(Error::config(
                "password_file",
                "\"-\" is stdin, where the options come from already",
                "write password=, or name a file",
            ));
        }
        settings.unset("password_file");
        let bytes = stdin::read(std::io::stdin().is_terminal())?;
        let text = Secret::from(String::from_utf8(bytes).map_err(|_| getopt::not_utf8("password_file"))?);
        return settings.set("password", text.expose().trim_end_matches(['\n', '\r']));
    }
    settings.load_password()
}

/// Runs on this thread alone: an agent lives for a second and needs no others.
fn run_to_end(action: impl Future<Output = Result<Outcome, Failure>>) -> Result<Outcome, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Error::unsupported("this system gives no event loop").caused_by(cause))?;
    let outcome = runtime.block_on(action);
    // A name lookup that hangs is left behind, not waited for.
    runtime.shutdown_background();
    outcome
}

/// Writes to stdout, and a line break after it.
fn print(text: &str) -> std::io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}
