//! Options that are wrong, missing, contradictory or hostile: exit 1 with one clear line, quickly, and never a secret.

mod common;

use std::process::Stdio;
use std::time::Duration;

use common::{AGENTS, FORMS, call, command};

/// Far more than an agent needs to refuse its options.
const QUICK: Duration = Duration::from_secs(5);

#[test]
fn an_address_is_required_in_every_form() {
    for agent in AGENTS {
        for form in FORMS {
            let ran = call(agent).run(form, "status");
            // fence_http can do without an address, but not without URLs.
            let missing = if *agent == "fence_http" {
                "status_url"
            } else {
                "ip"
            };
            ran.fails(&format!("Failed: {missing}: is missing"));
            assert!(ran.took < QUICK, "{agent} {form:?}: {ran:?}");
        }
    }
}

#[test]
fn wrong_values_name_option_value_and_mend() {
    for (name, value, says) in [
        (
            "ipport",
            "http",
            "ipport: \"http\" is not valid; write a whole number from 1 to 65535",
        ),
        ("ipport", "0", "ipport"),
        ("ipport", "65536", "ipport"),
        (
            "login_timeout",
            "soon",
            "login_timeout: \"soon\" is not valid; write a number of seconds",
        ),
        ("power_timeout", "-1", "power_timeout"),
        ("power_wait", "NaN", "power_wait"),
        ("shell_timeout", "inf", "shell_timeout"),
        ("delay", "1h", "delay"),
        ("retry_on", "0", "retry_on"),
        ("off_max_watts", "five", "off_max_watts"),
        ("confirm_reads", "0", "confirm_reads"),
        ("expect_identity", "", "expect_identity: is empty"),
        (
            "method",
            "toggle",
            "method: \"toggle\" is not valid; write one of: onoff, cycle",
        ),
        ("missing_as_off", "maybe", "missing_as_off"),
        ("disable_timeout", "perhaps", "disable_timeout"),
        ("verbose", "loud", "verbose"),
        ("plug", ",", "plug"),
        ("ip", "http://127.0.0.1/", "ip: "),
        (
            "password_file",
            "/nonexistent/secret",
            "password_file: /nonexistent/secret cannot be read",
        ),
        ("password_file", "-", "password_file"),
        ("password_script", "exit 3", "password_script"),
    ] {
        let base = call("fence_kasa").with("ip", "127.0.0.1").with("ipport", "9");
        let ran = base.with(name, value).act("off");
        ran.fails(says);
        assert!(ran.took < QUICK, "{name}={value}: {ran:?}");
    }
}

#[test]
fn contradictions_are_told() {
    let base = call("fence_kasa").with("ip", "127.0.0.1").with("ipport", "9");
    let both_families = base.clone().with("inet4_only", "1").with("inet6_only", "1");
    both_families.act("status").fails("contradicts");
    let cycled = base.clone().with("method", "cycle");
    let two_plugs = cycled.clone().with("plug", "1,2");
    two_plugs
        .act("reboot")
        .fails("method: cycle would cut the power of several plugs one after the other");
    cycled
        .with("off_max_watts", "5")
        .act("reboot")
        .fails("cannot honour off_max_watts");
}

#[test]
fn a_mistyped_action_is_never_the_default() {
    for action in ["of", "", "reboot now", "0"] {
        for form in FORMS {
            call("fence_kasa")
                .with("ip", "127.0.0.1")
                .run(form, action)
                .fails("action: ");
        }
    }
}

#[test]
fn what_was_meant_as_the_action_is_not_passed_over() {
    let kasa = call("fence_kasa");
    for lines in ["acton=status", "ACTION=status", "option=status"] {
        kasa.feed(format!("{lines}\nip=127.0.0.1\nipport=9\n").as_bytes())
            .fails("the default would be to reboot");
    }
    let address = ["-a", "127.0.0.1", "-u", "9"];
    kasa.with_arguments(&[&address[..], &["status"]].concat())
        .fails("action: is missing: 'status' is not read as one");
    let given_too = kasa.with_arguments(&[&address[..], &["status", "-o", "validate-all"]].concat());
    given_too.is(0, "");
    assert_eq!(given_too.err, "WARNING: ignoring the argument 'status'\n");
}

/// A template's empty variable, or a slip, must not switch a device that was never recognised.
#[test]
fn an_identity_that_is_blank_or_mistyped_switches_nothing() {
    let kasa = call("fence_kasa").with("ip", "127.0.0.1").with("ipport", "9");
    for action in ["off", "reboot", "status"] {
        kasa.clone()
            .with("expect_identity", " ")
            .act(action)
            .fails("expect_identity: is empty");
        kasa.clone()
            .with("expect_identiy", "50:c7:bf:00:00:01")
            .act(action)
            .fails("expect_identity: was probably meant by the unknown option 'expect_identiy'");
    }
}

#[test]
fn mistyped_options_name_the_nearest() {
    let kasa = call("fence_kasa");
    kasa.with_arguments(&["--pulg=1"]).fails("did you mean --plug?");
    kasa.with_arguments(&["-X"])
        .fails("-X: is not an option of fence_kasa");
    kasa.with_arguments(&["-o"]).fails("stands without its value");
    let ran = kasa
        .with("pasword", "sesame")
        .with("ip", "127.0.0.1")
        .with("ipport", "9")
        .act("validate-all");
    ran.is(0, "");
    assert_eq!(
        ran.err,
        "WARNING: ignoring unknown option 'pasword'; did you mean password?\n"
    );
}

#[test]
fn validate_all_needs_no_network_and_no_script() {
    for agent in ["fence_kasa", "fence_tasmota", "fence_esphome", "fence_ipmi"] {
        for form in FORMS {
            let ran = call(agent)
                .with("ip", "192.0.2.1")
                .with("username", "fencer")
                .with("plug", "1")
                .with("password_script", "sleep 60")
                .run(form, "validate-all");
            ran.is(0, "");
            assert!(ran.took < QUICK, "{agent}: {ran:?}");
        }
    }
}

#[test]
fn hostile_stdin_is_refused_or_ignored_in_little_time() {
    let kasa = call("fence_kasa");
    let long_line = [b"ip=".as_slice(), &vec![b'a'; 2 << 20], b"\n"].concat();
    kasa.feed(&long_line).fails("stdin: is longer than 1024 KiB");
    let unknown_line = [vec![b'x'; 1 << 19], b"=1\naction=status\n".to_vec()].concat();
    let ran = kasa.feed(&unknown_line);
    ran.fails("ip: is missing");
    assert!(ran.err.len() < 1000, "{ran:?}");
    kasa.feed(b"ip=127.0.0.1\0\nipport=9\naction=off\n")
        .fails("ip: contains a line break or NUL");
    kasa.feed(b"ip=127.0.0.1\npassword=\xff\xfe\naction=off\n")
        .fails("password: is not UTF-8 text");
    kasa.feed(b"\xff\xfe\x00=\xff\naction=metadata\n")
        .assert_metadata();
    kasa.feed(b"action=metadata\nipport=x\nverbose=loud\n")
        .assert_metadata();
    kasa.feed(b"").fails("ip: is missing");
}

trait Metadata {
    fn assert_metadata(&self);
}

impl Metadata for common::Ran {
    fn assert_metadata(&self) {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert!(self.out.starts_with("<?xml"), "{self:?}");
    }
}

#[test]
fn endless_stdin_is_cut_off() {
    let endless = std::fs::File::open("/dev/zero").unwrap();
    let child = command("fence_kasa")
        .stdin(endless)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = common::wait(child);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("stdin: is longer than"));
}

#[test]
fn a_secret_is_in_no_output_however_wrong_things_go() {
    let directory = tempfile::tempdir().unwrap();
    let debug_file = directory.path().join("debug");
    for agent in AGENTS {
        for form in FORMS {
            for action in ["off", "nonsense"] {
                let ran = call(agent)
                    .with("ip", "127.0.0.1")
                    .with("ipport", "9")
                    .with("username", "admin")
                    .with("password", "open-sesame-1")
                    .with("login_timeout", "1")
                    .with("shell_timeout", "1")
                    .with("verbose_level", "3")
                    .with("debug_file", debug_file.to_str().unwrap())
                    .run(form, action);
                assert_eq!(ran.code, Some(1), "{ran:?}");
                assert!(
                    !ran.err.contains("sesame") && !ran.out.contains("sesame"),
                    "{ran:?}"
                );
            }
        }
    }
    let debug = std::fs::read_to_string(&debug_file).unwrap();
    assert!(
        debug.contains("ERROR: Failed: ") && !debug.contains("sesame"),
        "{debug}"
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(debug_file).unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}

#[test]
fn a_debug_file_that_cannot_be_written_keeps_nobody_from_being_fenced() {
    let ran = call("fence_kasa")
        .with("ip", "127.0.0.1")
        .with("debug_file", "/nonexistent/debug")
        .act("validate-all");
    ran.is(0, "");
    assert!(
        ran.err.contains("WARNING: debug_file cannot be opened"),
        "{ran:?}"
    );
}

#[test]
fn quiet_silences_errors_and_keeps_the_exit_code() {
    for form in FORMS {
        let ran = call("fence_kasa").with("quiet", "1").run(form, "status");
        ran.is(1, "");
        assert_eq!(ran.err, "", "{form:?}");
    }
}

#[test]
fn version_is_a_number_and_help_names_every_option() {
    for agent in AGENTS {
        let version = call(agent).with_arguments(&["-V"]);
        version.is(0, concat!(env!("CARGO_PKG_VERSION"), "\n"));
        let by_stdin = call(agent).feed(b"version=1\n");
        by_stdin.is(0, concat!(env!("CARGO_PKG_VERSION"), "\n"));
        let help = call(agent).with_arguments(&["--help"]);
        assert_eq!((help.code, help.err.as_str()), (Some(0), ""), "{help:?}");
        for option in [
            "--ip=[ip]",
            "-o, --action=[action]",
            "--power-timeout=[seconds]",
            "--expect-identity",
        ] {
            assert!(help.out.contains(option), "{agent}: {option}");
        }
    }
}

#[test]
fn an_unknown_agent_lists_the_known_ones() {
    call("fence_toaster")
        .with_arguments(&["-o", "metadata"])
        .fails("fence_kasa, fence_tasmota");
}

#[test]
fn the_program_is_an_agent_by_argument_too() {
    let output = command("fencekit")
        .args(["agent", "fence_kasa", "-V"])
        .output()
        .unwrap();
    assert_eq!(output.stdout, concat!(env!("CARGO_PKG_VERSION"), "\n").as_bytes());
}

#[test]
fn a_stdin_that_stays_open_does_not_matter_with_arguments() {
    let mut child = command("fence_kasa")
        .args(["-o", "metadata"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let held_open = child.stdin.take();
    assert_eq!(common::wait(child).status.code(), Some(0));
    drop(held_open);
}

#[test]
fn a_text_that_cannot_be_written_is_a_failure() {
    for argument in ["-h", "-V", "--action=metadata"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let child = command("fence_kasa")
            .arg(argument)
            .stdout(full)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = common::wait(child);
        assert_eq!(output.status.code(), Some(1), "{argument}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("stdout cannot be written"));
    }
}
