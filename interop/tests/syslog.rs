//! What the agents tell the system's log: a datagram for each event, as syslogd expects it, and no secret in any.

// The functions that the tests share are tests too.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use fencekit_interop::{agent, private_namespaces, run};
use fencekit_sim::{Device, Running, Spec, http_outlet, kasa, tasmota};

/// The facility `daemon` with these severities, as RFC 3164 computes them.
const ERROR: &str = "<27>";
const WARNING: &str = "<28>";
const INFO: &str = "<30>";

const SECRET: &str = "c0rrect-h0rse-battery";
const WRONG: &str = "wr0ng-h0rse-staple";

/// A `/dev` of the test's own: a socket in that of the machine would be there for everybody.
const OWN_DEV: &str = r#"
mount -t tmpfs -o mode=0755 none "$1"
for device in null zero full random urandom; do
    : >"$1/$device"
    mount --bind "/dev/$device" "$1/$device"
done
mount --rbind "$1" /dev
"#;

/// The log's end of `/dev/log`.
struct Daemon(UnixDatagram);

impl Daemon {
    /// Only inside namespaces of the test's own.
    fn start() -> Self {
        let of_the_machine = fs::metadata("/dev").unwrap().dev();
        let place = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-euc", OWN_DEV, "dev"]).arg(place.path());
        let out = run(&mut command, "", Duration::from_secs(20));
        assert!(out.ok(), "{out}");
        assert_ne!(fs::metadata("/dev").unwrap().dev(), of_the_machine);
        // The mount below /dev is enough.
        let out = run(
            Command::new("umount").arg("-R").arg(place.path()),
            "",
            Duration::from_secs(20),
        );
        assert!(out.ok(), "{out}");
        let socket = UnixDatagram::bind("/dev/log").unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket)
    }

    /// What has come. An agent sends before it ends, so all of an agent that has ended is here.
    fn take(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut buffer = [0; 65_536];
        while let Ok(length) = self.0.recv(&mut buffer) {
            lines.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
        lines
    }
}

/// A run of an agent.
struct Ran {
    code: Option<i32>,
    stderr: String,
    /// Priority and text of each datagram; the tag was the agent's.
    logged: Vec<(String, String)>,
}

/// Runs an agent with these lines on stdin, or these arguments.
fn act(daemon: &Daemon, name: &str, arguments: &[String], lines: &str) -> Ran {
    let mut child = Command::new(agent(name))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let tag = format!("{name}[{}]: ", child.id());
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let logged = daemon.take().into_iter().map(|line| {
        for secret in [SECRET, WRONG] {
            assert!(
                !line.contains(secret) && !stderr.contains(secret),
                "{line}\n{stderr}"
            );
        }
        assert!(!line.contains(char::is_control), "{line:?}");
        let (priority, text) = line.split_at(line.find('>').unwrap() + 1);
        let text = text.strip_prefix(&tag);
        let text = text.unwrap_or_else(|| panic!("{line:?} should begin with {tag:?}"));
        (priority.to_owned(), text.to_owned())
    });
    Ran {
        code: output.status.code(),
        logged: logged.collect(),
        stderr,
    }
}

impl Ran {
    /// The code, and these lines in the log: no fewer, no more, and each holds these words.
    #[track_caller]
    fn is(&self, code: i32, expected: &[(&str, &str)]) {
        let same = self.logged.len() == expected.len()
            && self
                .logged
                .iter()
                .zip(expected)
                .all(|((priority, text), (wanted, words))| priority == wanted && text.contains(words));
        assert!(
            self.code == Some(code) && same,
            "{:?} and {:#?} should be {code} and {expected:#?}\n{}",
            self.code,
            self.logged,
            self.stderr
        );
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// The options that every call has.
fn lines(device: &Running, action: &str, more: &str) -> String {
    let port = device.address.port();
    format!("action={action}\nip=127.0.0.1\nipport={port}\n{more}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_one_line_of_the_daemon_facility() {
    private_namespaces!();
    let daemon = Daemon::start();
    let plug = kasa::serve_xor(Device::new(Spec::plug("storage-b")), loopback())
        .await
        .unwrap();
    let kasa = |action: &str, more: &str| act(&daemon, "fence_kasa", &[], &lines(&plug, action, more));

    kasa("monitor", "").is(0, &[]);
    kasa("off", "").is(0, &[(INFO, "confirmed off")]);
    kasa("status", "").is(2, &[]);
    kasa("reboot", "").is(0, &[(INFO, "confirmed off"), (INFO, "confirmed on")]);
    kasa("off", "plug=7\n").is(1, &[(ERROR, "Failed: ")]);
    kasa("status", "delai=3\n").is(0, &[(WARNING, "delai")]);
    kasa("status", "debug_file=/nowhere/at/all\n").is(0, &[(WARNING, "debug_file cannot be opened")]);

    // What is for stderr alone stays there, and what is too quiet for stderr is logged all the same.
    let told = kasa("off", "verbose=1\n");
    told.is(0, &[(INFO, "confirmed off")]);
    assert!(
        told.stderr.contains("DEBUG: ") && told.stderr.contains("INFO: "),
        "{}",
        told.stderr
    );
    let quiet = kasa("off", "quiet=1\nplug=7\n");
    quiet.is(1, &[(ERROR, "Failed: ")]);
    assert_eq!(quiet.stderr, "");
}

/// Each password is among the options, and the action fails by it or in spite of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_password_is_in_the_log_when_an_action_fails() {
    private_namespaces!();
    let daemon = Daemon::start();
    let spec = Spec::plug("storage-a").credentials("admin", SECRET);
    let device = tasmota::serve(Device::new(spec), loopback()).await.unwrap();
    let tasmota =
        |action: &str, more: &str| act(&daemon, "fence_tasmota", &[], &lines(&device, action, more));
    let (right, wrong) = (format!("password={SECRET}\n"), format!("password={WRONG}\n"));

    tasmota("off", &right).is(0, &[(INFO, "confirmed off")]);
    tasmota("off", &wrong).is(1, &[(ERROR, "Failed: ")]);
    tasmota("on", &format!("{right}plug=7\n")).is(1, &[(ERROR, "Failed: ")]);
    // What follows a mistyped name may be a password.
    tasmota("status", &format!("{right}pasword={WRONG}\n")).is(2, &[(WARNING, "pasword")]);
    // So may a line without a name, as of a password with a line break in it.
    tasmota("status", &format!("{right}{WRONG}\n")).is(2, &[(WARNING, "ignoring line 5 of stdin")]);
    let port = device.address.port().to_string();
    let arguments = [
        "--action=off",
        "--ip=127.0.0.1",
        "--ipport",
        &port,
        "--password",
        WRONG,
    ];
    let arguments = arguments.map(str::to_owned);
    act(&daemon, "fence_tasmota", &arguments, "").is(1, &[(ERROR, "Failed: ")]);

    drop(device);
    let gone = format!("action=off\nip=127.0.0.1\nipport={port}\n{right}login_timeout=1\npower_timeout=1\n");
    act(&daemon, "fence_tasmota", &[], &gone).is(1, &[(ERROR, "Failed: ")]);
}

/// A device chooses part of the words: it cannot end a line, feign another, or give a password away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_cannot_forge_a_line_or_tell_a_password() {
    private_namespaces!();
    let daemon = Daemon::start();
    let alias = format!("x\n<24>sshd[1]: {SECRET} \x1b[31m");
    let plug = kasa::serve_xor(Device::new(Spec::plug(&alias)), loopback())
        .await
        .unwrap();
    let more = format!("username=owner@example.org\npassword={SECRET}\nplug=storage-b\ntransport=xor\n");
    let ran = act(&daemon, "fence_kasa", &[], &lines(&plug, "off", &more));
    ran.is(1, &[(ERROR, r"x\n<24>sshd[1]: *** \u{1b}[31m")]);

    // A token in an address is a password too.
    let outlet = http_outlet::serve(Device::new(Spec::plug("o")), loopback())
        .await
        .unwrap();
    let urls = format!(
        "power_on_url=/none/on?token={SECRET}\npower_off_url=/none/off?token={SECRET}\nstatus_url=/none?token={SECRET}\n\
         status_on_regex=ON\nstatus_off_regex=OFF\n"
    );
    let ran = act(&daemon, "fence_http", &[], &lines(&outlet, "off", &urls));
    ran.is(1, &[(ERROR, "Failed: ")]);
}
