//! Options from a command line, as GNU getopt takes them: clusters, `--name=value`, `--name value`, unambiguous
//! beginnings of long names, options after other arguments.

use std::ffi::{OsStr, OsString};

use fencekit::options::{Kind, OptionSpec};
use fencekit::{Error, Result};
use lexopt::Arg;

use super::action::Action;
use super::given::Given;
use super::nearest::nearest;

/// Puts what `args` say into `given`; true when a secret stood among them.
///
/// # Errors
/// [`Error::Config`] for an option that is not known, or lacks its value.
pub(crate) fn parse(given: &mut Given, args: Vec<OsString>) -> Result<bool> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut secret_shown = false;
    let mut strays = 0;
    while let Some(arg) = parser.next().map_err(|cause| unusable(&cause))? {
        let (spec, shown) = match arg {
            Arg::Value(stray) => {
                let stray = stray.to_string_lossy();
                strays += 1;
                if Action::parse(&stray).is_ok() {
                    given.note(format!("ignoring the argument '{stray}'"));
                    given.note_stray_action(&stray);
                    continue;
                }
                // Not by its text: it may be the rest of a password with a space in it.
                given.note(format!(
                    "ignoring argument number {strays} of those that belong to no option; \
                     quote a value that has spaces in it"
                ));
                continue;
            }
            Arg::Long("nodename") => {
                let node = parser.value().map_err(|cause| unusable(&cause))?;
                given.put_node(&node.to_string_lossy());
                continue;
            }
            Arg::Long(name) => (long(given, name)?, format!("--{name}")),
            Arg::Short(letter) => (short(given, letter)?, format!("-{letter}")),
        };
        if !takes_value(&spec) {
            switch_on(given, &spec, &mut parser, &shown)?;
            continue;
        }
        let value = parser.value().map_err(|_| {
            Error::config(
                spec.name,
                format!("{shown} stands without its value"),
                format!("write --{}=VALUE", spec.long),
            )
        })?;
        given.put(&spec, is_of_old(&spec, &shown), text(&spec, &value)?);
        secret_shown |= spec.kind == Kind::Secret;
    }
    Ok(secret_shown)
}

/// Whether a value follows on a command line.
pub(crate) fn takes_value(spec: &OptionSpec) -> bool {
    spec.kind != Kind::Boolean
}

fn switch_on(given: &mut Given, spec: &OptionSpec, parser: &mut lexopt::Parser, shown: &str) -> Result<()> {
    // `--ssl=no` is no getopt, but says what it means.
    let attached = if shown.starts_with("--") {
        parser.optional_value()
    } else {
        None
    };
    let by_old_name = is_of_old(spec, shown);
    match attached {
        Some(value) => given.put(spec, by_old_name, text(spec, &value)?),
        None if spec.name == "verbose" => given.louder(),
        None => given.put(spec, by_old_name, "1"),
    }
    Ok(())
}

/// Whether the option was written by a name of old; its letter and the beginning of its name are of today.
fn is_of_old(spec: &OptionSpec, shown: &str) -> bool {
    shown
        .strip_prefix("--")
        .is_some_and(|name| name != spec.long && spec.was_called(name))
}

fn text<'v>(spec: &OptionSpec, value: &'v OsStr) -> Result<&'v str> {
    value.to_str().ok_or_else(|| not_utf8(spec.name))
}

/// The error for a value that is not text.
pub(crate) fn not_utf8(option: &str) -> Error {
    Error::config(option, "is not UTF-8 text", "write it in UTF-8")
}

fn short(given: &Given, letter: char) -> Result<OptionSpec> {
    let known = given.specs().iter().find(|spec| spec.short == Some(letter));
    known.copied().ok_or_else(|| {
        Error::config(
            format!("-{}", letter.escape_debug()),
            format!("is not an option of {}", given.agent().name),
            "-h lists them",
        )
    })
}

fn long(given: &Given, name: &str) -> Result<OptionSpec> {
    if let Some(spec) = given.specs().iter().find(|spec| spec.long == name) {
        return Ok(*spec);
    }
    if let Some(spec) = given.spec(name) {
        return Ok(spec);
    }
    let beginning: Vec<&OptionSpec> = given
        .specs()
        .iter()
        .filter(|spec| spec.long.starts_with(name) && !name.is_empty())
        .collect();
    match beginning.as_slice() {
        [spec] => Ok(**spec),
        [] => Err(unknown(given, name)),
        several => {
            let names: Vec<String> = several.iter().map(|spec| format!("--{}", spec.long)).collect();
            Err(Error::config(
                format!("--{name}"),
                "is the beginning of several options",
                format!("write one of: {}", names.join(", ")),
            ))
        }
    }
}

fn unknown(given: &Given, name: &str) -> Error {
    let shown: String = name.chars().take(40).collect();
    let mend = match nearest(name, given.specs().iter().map(|spec| spec.long)) {
        Some(known) => format!("did you mean --{known}? -h lists all"),
        None => "-h lists them".to_owned(),
    };
    Error::config(
        format!("--{shown}"),
        format!("is not an option of {}", given.agent().name),
        mend,
    )
}

/// What lexopt itself refuses. Its own text may repeat a value, which may be a secret.
fn unusable(cause: &lexopt::Error) -> Error {
    match cause {
        lexopt::Error::MissingValue { option } => Error::config(
            option.clone().unwrap_or_default(),
            "stands without its value",
            "write the value after it",
        ),
        lexopt::Error::UnexpectedValue { option, .. } => {
            Error::config(option.clone(), "takes no value", "leave the value out")
        }
        _ => Error::config("arguments", "cannot be read", "-h lists the options"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Agent;
    use super::*;

    fn parsed(args: &[&str]) -> Result<Given> {
        let mut given = Given::new(Agent::find("fence_kasa").unwrap());
        parse(&mut given, args.iter().map(OsString::from).collect())?;
        Ok(given)
    }

    #[test]
    fn every_spelling_of_an_option_is_the_same() {
        for args in [
            &["-a", "127.0.0.1"][..],
            &["-a127.0.0.1"],
            &["--ip=127.0.0.1"],
            &["--ip", "127.0.0.1"],
            &["--ipaddr", "127.0.0.1"],
        ] {
            assert_eq!(parsed(args).unwrap().text("ip"), Some("127.0.0.1"), "{args:?}");
        }
        for args in [
            &["--login-timeout=7"][..],
            &["--login_timeout=7"],
            &["--login-t", "7"],
        ] {
            assert_eq!(parsed(args).unwrap().text("login_timeout"), Some("7"), "{args:?}");
        }
    }

    #[test]
    fn clusters_and_flags() {
        let given = parsed(&["-vvvqo", "status", "--missing-as-off", "stray"]).unwrap();
        assert_eq!(
            (given.verbosity(), given.boolean("quiet"), given.action()),
            (3, true, "status")
        );
        assert!(given.boolean("missing_as_off"));
        let mut given = given;
        let notes = given.take_notes();
        assert!(
            notes.len() == 1 && notes[0].contains("argument number 1"),
            "{notes:?}"
        );
        assert!(
            !parsed(&["--missing-as-off=no"])
                .unwrap()
                .boolean("missing_as_off")
        );
    }

    #[test]
    fn an_argument_that_belongs_to_no_option_is_not_repeated() {
        let mut given = parsed(&["-p", "open", "sesame", "-o", "status", "again"]).unwrap();
        let notes = given.take_notes();
        assert_eq!(notes.len(), 2);
        assert!(notes[0].contains("argument number 1 ") && notes[1].contains("argument number 2 "));
        assert!(!notes.concat().contains("sesame"), "{notes:?}");
    }

    /// As on stdin: Pacemaker's `port` never replaces the user's `plug`.
    #[test]
    fn a_name_of_old_never_replaces_the_name_of_today() {
        for args in [
            &["-n", "2", "--port", "7"][..],
            &["--port", "7", "-n", "2"],
            &["--plug=2", "--port=7"],
            &["--port=7", "--plug=2"],
        ] {
            assert_eq!(parsed(args).unwrap().text("plug"), Some("2"), "{args:?}");
        }
        assert_eq!(parsed(&["--port", "7"]).unwrap().text("plug"), Some("7"));
        assert_eq!(
            parsed(&["--port", "7", "--port", "8"]).unwrap().text("plug"),
            Some("8")
        );
        assert_eq!(
            parsed(&["-n", "7", "--plug", "8"]).unwrap().text("plug"),
            Some("8")
        );
    }

    #[test]
    fn a_value_may_begin_with_a_dash() {
        assert_eq!(
            parsed(&["-p", "-secret-"]).unwrap().text("password"),
            Some("-secret-")
        );
    }

    #[test]
    fn mistakes_name_the_option_and_a_mend() {
        for (args, says) in [
            (&["--pulg=1"][..], "did you mean --plug?"),
            (&["--power"], "--power-timeout, --power-wait"),
            (&["-Z"], "-Z: is not an option of fence_kasa"),
            (&["--ip"], "ip: --ip stands without its value"),
            (&["-a"], "ip: -a stands without its value"),
            (&["-q=sesame"], "takes no value"),
        ] {
            let error = parsed(args).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("sesame"), "{error}");
        }
    }
}
