//! Project tasks: `cargo xtask test`, `setup`, `bench`. See CONTRIBUTING.md.

// A program for people: it prints.
#![allow(clippy::print_stdout)]
#![forbid(unsafe_code)]

mod context;
mod exec;
mod header;
mod install_c;
mod proc_tree;
mod report;
mod setup;
mod spdx;
mod steps;
mod tally;

use std::process::ExitCode;

use context::Context;

const HELP: &str = "\
Tasks of the fencekit project.

Usage: cargo xtask TASK [OPTIONS]

Tasks:
  test       set up, then build, check and test everything; prints a table and, last, the totals
  setup      install what the tests need, and nothing else
  fuzz       fuzz the parsers: [TARGET] [--seconds N], each target for a minute when left out
  header     write include/fencekit.h anew from the code of the C library
  install-c  build the C library and install it: --prefix DIR [--libdir DIR] [--destdir DIR] [--debug]
  cluster    a Pacemaker cluster of three nodes to play with, as root; with arguments one of its tasks: list,
             test [SCENARIO...]
  soak       run the verification's simulation at length: [--schedules N] [--seed N], a million schedules when left
             out; --schedules 1 tells the story of one seed
  bench      run the benchmarks, peers beside them: [NAME [ARGUMENTS]], all when left out

Options of test:
  --only STEP   run this step alone (may be repeated); the set-up is left out unless named
                without it, what only builds runs beside the tests, on the processor time that they leave
  --list        list the steps

Environment:
  CI=true   a skipped test is a failure
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.split_first() {
        Some((&("help" | "--help" | "-h"), _)) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        None => usage("a task is missing"),
        Some((_, rest)) if rest.iter().any(|arg| *arg == "--help" || *arg == "-h") => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Some((&"test", rest)) => test(rest),
        Some((&"setup", [])) => task(|context| steps::run(context, &["setup", "packages"])),
        // What `test` starts itself.
        Some((&"lane", [lane, rows])) => task(|context| steps::lane(context, lane, rows)),
        Some((&"fuzz", rest)) => task(|context| steps::fuzz(context, rest)),
        Some((&"header", [])) => task(header::write),
        Some((&"install-c", rest)) => match install_c::Options::parse(rest) {
            Ok(options) => task(|context| install_c::run_task(context, &options)),
            Err(error) => usage(&error),
        },
        Some((&"cluster", rest)) => task(|context| steps::cluster(context, rest)),
        Some((&"soak", rest)) => task(|context| steps::soak(context, rest)),
        Some((&"bench", rest)) => task(|context| steps::bench(context, rest)),
        Some((name, _)) => usage(&format!("no such task, or options that it does not take: {name}")),
    }
}

fn test(args: &[&str]) -> ExitCode {
    let mut only = Vec::new();
    let mut args = args.iter().copied();
    while let Some(arg) = args.next() {
        match (arg, arg.strip_prefix("--only=")) {
            ("--list", _) => {
                print!("{}", steps::list());
                return ExitCode::SUCCESS;
            }
            ("--only", _) => match args.next() {
                Some(step) => only.push(step),
                None => return usage("--only needs the name of a step"),
            },
            (_, Some(step)) => only.push(step),
            (other, None) => return usage(&format!("unknown option: {other}")),
        }
    }
    if let Some(unknown) = only.iter().find(|name| !steps::exists(name)) {
        return usage(&format!(
            "no step is called {unknown}; `cargo xtask test --list` lists them"
        ));
    }
    task(|context| steps::run(context, &only))
}

fn task(run: impl FnOnce(&mut Context) -> bool) -> ExitCode {
    match Context::new() {
        Ok(mut context) => {
            if run(&mut context) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage(error: &str) -> ExitCode {
    eprintln!("xtask: {error}\n\n{HELP}");
    ExitCode::from(2)
}
