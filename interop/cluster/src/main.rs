//! A Pacemaker cluster of three nodes on one machine, whose simulated fence devices really end its nodes.
//!
//! `fencekit-cluster test` proves that it fails over, or is rightly blocked; `fencekit-cluster up` is for playing.
//! See `interop/cluster/README.md`.

// A program that tests: it prints, and what is wrong ends it.
#![allow(clippy::print_stdout)]
#![forbid(unsafe_code)]

mod lab;
mod node;
mod play;
mod rack;
mod scenarios;
mod space;
mod status;
mod storage;
mod suite;

use std::path::Path;
use std::process::ExitCode;

/// What went wrong is told to people, in a sentence.
pub(crate) type Checked<T = ()> = Result<T, String>;

const HELP: &str = "\
A Pacemaker cluster of three nodes on one machine, whose simulated fence devices really end its nodes.

Usage: fencekit-cluster TASK

Tasks:
  test [SCENARIO...]   run these scenarios, or all; prints a table and, last, the totals
  list                 the scenarios
  up [FILE]            bring the cluster up, with this cluster file, to play with it
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["test", names @ ..] => suite::run(names),
        ["list"] => {
            print!("{}", suite::list());
            Ok(())
        }
        ["up", rest @ ..] if rest.len() <= 1 => space::enter("up", rest),
        // What the tasks start in namespaces of their own.
        ["inside", "test", cluster, names @ ..] => suite::inside(cluster, names),
        ["inside", "up", rest @ ..] => play::run(rest.first().copied()),
        // The service of the cluster.
        ["write", node, file] => {
            storage::write(node, Path::new(file)).map_err(|error| format!("{file}: {error}"))
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("fencekit-cluster: {problem}");
            ExitCode::FAILURE
        }
    }
}
