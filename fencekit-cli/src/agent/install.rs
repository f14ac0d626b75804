//! `fencekit install-agents`: one link for each agent, where Pacemaker looks for them.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::table::AGENTS;

/// Where Pacemaker looks.
pub(crate) const DEFAULT_DIR: &str = "/usr/sbin";

/// One agent's link.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) agent: &'static str,
    pub(crate) path: PathBuf,
    /// What became of it, or why it could not be made.
    pub(crate) outcome: Result<Linked, String>,
}

/// What became of one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linked {
    /// It was made.
    New,
    /// It pointed to another copy of this program and points here now.
    Renewed,
    /// It was there.
    Kept,
}

/// Makes the links to `program` in `dir`. Overwrites nothing that is not a link to a `fencekit`; the other links are
/// made all the same.
pub(crate) fn all(dir: &Path, program: &Path) -> Vec<Link> {
    AGENTS
        .iter()
        .map(|agent| {
            let path = dir.join(agent.name);
            let outcome = link(&path, program);
            Link {
                agent: agent.name,
                path,
                outcome,
            }
        })
        .collect()
}

fn link(path: &Path, program: &Path) -> Result<Linked, String> {
    match symlink(program, path) {
        Ok(()) => return Ok(Linked::New),
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
        Err(cause) => return Err(explain(&cause)),
    }
    let target = fs::read_link(path)
        .map_err(|_| "exists and is no link of fencekit's; move it away, or give another --dir".to_owned())?;
    if target == program {
        return Ok(Linked::Kept);
    }
    if target.file_name() != program.file_name() {
        return Err(format!(
            "exists and is a link to {}; move it away, or give another --dir",
            target.display()
        ));
    }
    replace(path, program).map_err(|cause| explain(&cause))?;
    Ok(Linked::Renewed)
}

/// In one step, so that there is no moment without the agent.
fn replace(path: &Path, program: &Path) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let beside: PathBuf = path.with_file_name(name);
    symlink(program, &beside)?;
    fs::rename(&beside, path).inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}

fn explain(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => format!("{cause}; run as root, or give --dir"),
        io::ErrorKind::NotFound => format!("{cause}; make the directory first, or give another --dir"),
        _ => cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_made_kept_and_renewed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fence_kasa");
        let (here, there) = (Path::new("/opt/a/fencekit"), Path::new("/opt/b/fencekit"));
        assert_eq!(link(&path, here), Ok(Linked::New));
        assert_eq!(link(&path, here), Ok(Linked::Kept));
        assert_eq!(link(&path, there), Ok(Linked::Renewed));
        assert_eq!(fs::read_link(&path).unwrap(), there);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_belongs_to_others_stays() {
        let directory = tempfile::tempdir().unwrap();
        let here = Path::new("/opt/a/fencekit");
        let file = directory.path().join("fence_http");
        fs::write(&file, "#!/usr/bin/python3\n").unwrap();
        assert!(link(&file, here).unwrap_err().contains("no link of fencekit's"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "#!/usr/bin/python3\n");
        let other = directory.path().join("fence_ipmi");
        symlink("/usr/sbin/fence_ipmilan", &other).unwrap();
        assert!(link(&other, here).unwrap_err().contains("fence_ipmilan"));
        assert_eq!(
            fs::read_link(&other).unwrap(),
            Path::new("/usr/sbin/fence_ipmilan")
        );
    }
}
