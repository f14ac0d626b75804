//! The agent `fence_ipmi` against BMCs that others wrote, and what becomes of the password.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the functions of a test, too, may fail it"
)]

mod ipmi_common;

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fencekit::Observation;
use fencekit_interop::{Output, agent, required, run, tool};

use ipmi_common::{Bmc, PASSWORD, fakebmc, ipmi_sim};

const LIMIT: Duration = Duration::from_secs(40);

/// `fence_ipmi` with `key=value` lines on stdin, as Pacemaker starts it.
fn fence_ipmi(bmc: &Bmc, password: &str, action: &str, more: &str) -> Output {
    let options = format!(
        "action={action}\nip=127.0.0.1\nipport={}\nusername={}\npassword={password}\ncipher={}\n{more}",
        bmc.port, bmc.user, bmc.cipher
    );
    run(&mut Command::new(agent("fence_ipmi")), &options, LIMIT)
}

fn status_off_status_on(bmc: &Bmc, more: &str) {
    let ask = |action: &str| {
        let out = fence_ipmi(bmc, bmc.password, action, more);
        (out.code, out.to_string())
    };
    assert_eq!(ask("on").0, Some(0));
    let (code, said) = ask("status");
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = ask("off");
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = ask("status");
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = ask("on");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(ask("status").0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn against_the_openipmi_simulator() {
    let bmc = required!(ipmi_sim());
    assert_eq!(bmc.ready().await, Observation::On);
    status_off_status_on(&bmc, "");
    // As a cluster has it that moves over from fence_ipmilan by changing the agent's name.
    status_off_status_on(
        &bmc,
        "lanplus=1\nauth=md5\nprivlvl=operator\nipmitool_path=/usr/bin/ipmitool\nipmitool_timeout=2\nmethod=onoff\n",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn against_pyghmi() {
    let bmc = required!(fakebmc());
    assert_eq!(bmc.ready().await, Observation::Off);
    status_off_status_on(&bmc, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cipher_0_lets_a_wrong_password_in_elsewhere_and_is_refused_here() {
    let ipmitool = required!(tool("ipmitool"));
    let bmc = required!(ipmi_sim());
    let _ = bmc.ready().await;
    let mut command = Command::new(ipmitool);
    command
        .args([
            "-I",
            "lanplus",
            "-C",
            "0",
            "-H",
            "127.0.0.1",
            "-E",
            "-U",
            bmc.user,
        ])
        .args(["-p", &bmc.port.to_string(), "chassis", "power", "status"])
        .env("IPMI_PASSWORD", "not the password");
    let theirs = run(&mut command, "", LIMIT);
    assert!(theirs.ok(), "the simulator should let it in: {theirs}");

    // A later key replaces an earlier one.
    for action in ["status", "off"] {
        let ours = fence_ipmi(&bmc, "not the password", action, "cipher=0\n");
        assert_eq!(ours.code, Some(1), "{ours}");
        assert!(ours.stderr.contains("cipher"), "{ours}");
    }
    for action in ["status", "off"] {
        let ours = fence_ipmi(&bmc, "not the password", action, "");
        assert_eq!(ours.code, Some(1), "{ours}");
    }
    assert_eq!(bmc.ready().await, Observation::On);
}

/// Every command line that the machine shows, while the agent works, without the password in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_password_is_in_no_process_list_and_no_log() {
    let bmc = required!(ipmi_sim());
    let _ = bmc.ready().await;
    let over = Arc::new(AtomicBool::new(false));
    let watcher = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let (mut seen, mut leaks) = (0, Vec::new());
            while !over.load(Ordering::Relaxed) {
                for (line, environment) in processes() {
                    seen += usize::from(line.contains("fence_ipmi"));
                    if line.contains(PASSWORD) || environment.contains(PASSWORD) {
                        leaks.push(line);
                    }
                }
            }
            (seen, leaks)
        }
    });
    let debug = tempfile::NamedTempFile::new().unwrap();
    let mut said = String::new();
    for action in ["status", "off", "on", "monitor"] {
        let more = format!("verbose=1\ndebug_file={}\n", debug.path().display());
        said.push_str(&fence_ipmi(&bmc, bmc.password, action, &more).to_string());
        said.push_str(&fence_ipmi(&bmc, "wrong-0ne", action, &more).to_string());
    }
    over.store(true, Ordering::Relaxed);
    let (seen, leaks) = watcher.join().unwrap();
    assert!(seen > 0, "the agent was not even seen");
    assert!(leaks.is_empty(), "{leaks:?}");
    let log = fs::read_to_string(debug.path()).unwrap();
    for secret in [PASSWORD, "wrong-0ne"] {
        assert!(!said.contains(secret) && !log.contains(secret), "{said}\n{log}");
    }
}

/// Command line and environment of every process that can be looked at.
fn processes() -> Vec<(String, String)> {
    let of = |dir: &fs::DirEntry, file: &str| {
        fs::read(dir.path().join(file))
            .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
            .unwrap_or_default()
    };
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|dir| {
            dir.file_name()
                .to_string_lossy()
                .bytes()
                .all(|byte| byte.is_ascii_digit())
        })
        .map(|dir| (of(&dir, "cmdline"), of(&dir, "environ")))
        .collect()
}
