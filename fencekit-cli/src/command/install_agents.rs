//! `fencekit install-agents`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::agent::install;

#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// Where the links go
    #[arg(long, value_name = "DIR", default_value = install::DEFAULT_DIR)]
    dir: PathBuf,
}

pub(super) fn run(options: &Options) -> ExitCode {
    install::run(&options.dir)
}
