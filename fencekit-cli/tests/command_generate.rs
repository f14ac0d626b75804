//! `fencekit generate` as a stranger meets it: wrong names, places that cannot be written, files that are there.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod command_common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use command_common::{closed_port, code, fencekit, file, run, stderr, stdout};

const CLUSTER: &str =
    "stonith_nodes:\n  a: {method: tasmota, ip: 10.0.0.1, password: s3cret, mgmt_ip: 10.1.0.1}\n";

#[test]
fn a_mistyped_kind_is_answered_with_those_there_are() {
    let out = run(&file(CLUSTER), &["generate", "pc"]);
    assert_eq!(code(&out), 2);
    let said = stderr(&out);
    assert!(
        said.contains("'pc'") && said.contains("pcs, crmsh, cib, ha-cluster"),
        "{said}"
    );
}

#[test]
fn a_written_file_is_its_owners_alone_also_where_an_open_one_was() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("configure-stonith.sh");
    fs::write(&script, "old").unwrap();
    let link = dir.path().join("link.sh");
    symlink(&script, &link).unwrap();
    for path in [&script, &link] {
        let out = run(
            &file(CLUSTER),
            &["generate", "pcs", "--output", path.to_str().unwrap()],
        );
        assert_eq!(code(&out), 0, "{}", stderr(&out));
        assert_eq!(stdout(&out), "");
        assert_eq!(fs::metadata(&script).unwrap().mode() & 0o777, 0o700);
        assert!(fs::read_to_string(&script).unwrap().contains("s3cret"));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        2,
        "something was left beside it"
    );
}

/// `> configure-stonith.sh` makes a file that others may read, unless somebody sees to it.
#[test]
fn a_file_that_stdout_goes_to_is_its_owners_alone_once_it_holds_passwords() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = file(CLUSTER);
    let of = |kind: &str, mode: u32| {
        let path = dir.path().join(kind);
        let to = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        to.set_permissions(fs::Permissions::from_mode(mode)).unwrap();
        let mut command = fencekit(&["generate", kind, "--config", cluster.path.to_str().unwrap()]);
        let out = command.stdout(to).output().unwrap();
        assert_eq!(code(&out), 0, "{}", stderr(&out));
        (
            fs::metadata(&path).unwrap().mode() & 0o777,
            fs::read_to_string(&path).unwrap(),
        )
    };
    let (mode, text) = of("pcs", 0o755);
    assert!(text.contains("s3cret"));
    assert_eq!(mode, 0o700);
    let (mode, text) = of("prometheus", 0o644);
    assert!(!text.contains("s3cret"));
    assert_eq!(mode, 0o644, "it holds no password");
}

#[test]
fn a_dash_is_stdout() {
    let dash = run(&file(CLUSTER), &["generate", "pcs", "--output", "-"]);
    assert_eq!(code(&dash), 0, "{}", stderr(&dash));
    assert!(stdout(&dash).starts_with("#!/bin/bash\n"));
}

#[test]
fn what_is_no_plain_file_stays_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let stdout_of = dir.path().join("stdout");
    symlink("/proc/self/fd/1", &stdout_of).unwrap();
    let null = dir.path().join("null");
    symlink("/dev/null", &null).unwrap();
    for path in [stdout_of.as_path(), null.as_path(), dir.path()] {
        let out = run(
            &file(CLUSTER),
            &["generate", "pcs", "--output", path.to_str().unwrap()],
        );
        assert_eq!(code(&out), 2, "{path:?}: {}", stdout(&out));
        assert!(
            stderr(&out).contains("is no plain file; name a file"),
            "{}",
            stderr(&out)
        );
    }
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    let nobody = format!(
        "stonith_nodes:\n  a: {{method: tasmota, ip: 127.0.0.1, port: {}}}\n",
        closed_port()
    );
    let probe = run(&file(&nobody), &["probe", "--textfile", null.to_str().unwrap()]);
    assert_eq!(code(&probe), 2, "{}", stderr(&probe));
    assert!(
        stderr(&probe).contains("textfile: /dev/null exists"),
        "{}",
        stderr(&probe)
    );
}

#[test]
fn a_place_that_cannot_be_written_is_named_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("no/such/directory/x.sh");
    let out = run(
        &file(CLUSTER),
        &["generate", "pcs", "--output", path.to_str().unwrap()],
    );
    assert_eq!(code(&out), 2);
    let said = stderr(&out);
    assert!(
        said.contains("x.sh cannot be written") && said.contains("directory that you may write"),
        "{said}"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
