//! The `fencekit` program. Started under the name of a fence agent, or as `fencekit agent NAME`, it is that agent.

mod agent;
mod command;
mod verification;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    let name = Path::new(&program)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut args: Vec<OsString> = args.collect();
    if name.starts_with("fence_") {
        return agent::run(&name, args);
    }
    if args.first().is_some_and(|first| first == "agent") && args.len() > 1 {
        let name = args.remove(1).to_string_lossy().into_owned();
        args.remove(0);
        return agent::run(&name, args);
    }
    command::run(args)
}
