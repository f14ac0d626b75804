//! Shell scripts of the project.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::{Outcome, check};
use crate::context::Context;
use crate::exec::{Show, run};
use crate::tally::Tally;

/// Every script that git knows, found by its first line, so that none is forgotten.
pub(crate) fn shellcheck(context: &Context, until: Instant) -> Outcome {
    let scripts = match scripts(context, until) {
        Ok(scripts) => scripts,
        Err(error) => return (Tally::FAILED, vec![error]),
    };
    let mut tally = Tally::default();
    let mut notes = Vec::new();
    for script in scripts {
        let mut command = Command::new("shellcheck");
        command.current_dir(&context.workspace).arg(&script);
        context.with_unpacked(&mut command);
        let (one, failed) = check(run(context, &mut command, until, Show::OnFailure));
        tally += one;
        notes.extend(
            failed
                .into_iter()
                .map(|failure| format!("{}: {failure}", script.display())),
        );
    }
    (tally, notes)
}

fn scripts(context: &Context, until: Instant) -> Result<Vec<PathBuf>, String> {
    let mut git = Command::new("git");
    git.current_dir(&context.workspace)
        .args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let listed = run(context, &mut git, until, Show::OnFailure).success()?;
    Ok(listed
        .lines()
        .map(PathBuf::from)
        .filter(|path| is_shell(&context.workspace.join(path)))
        .collect())
}

fn is_shell(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap_or_default();
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    first.starts_with("#!")
        && ["sh", "bash", "dash"]
            .iter()
            .any(|shell| first.trim_end().ends_with(shell))
}
