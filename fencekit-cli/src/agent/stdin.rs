//! Options as `key=value` lines on stdin, as Pacemaker sends them.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use fencekit::{Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::action::Action;
use super::getopt::not_utf8;
use super::given::Given;

/// More than any cluster sends.
const LONGEST: usize = 1 << 20;
/// Pacemaker writes at once and closes; a pipe that stays open and silent is a mistake.
const PATIENCE: Duration = Duration::from_secs(30);

/// One line, split.
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    name: &'a [u8],
    /// None of a line without `=`.
    value: Option<&'a [u8]>,
}

/// Reads stdin to its end. Nobody is hurried at a terminal.
///
/// # Errors
/// [`Error::Config`] when there is too much of it, or when it does not end.
pub(crate) fn read(at_terminal: bool) -> Result<Vec<u8>> {
    let until = (!at_terminal).then(|| Instant::now() + PATIENCE);
    read_from(&std::io::stdin(), until)
        .map_err(|problem| Error::config("stdin", problem, "send key=value lines, or give options; -h"))
}

/// Waits for each piece instead of blocking in a thread of its own, which would cost a tenth of a short run.
fn read_from(source: &impl AsFd, until: Option<Instant>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 8192];
    loop {
        if !readable(source, until).map_err(unreadable)? {
            return Err(format!("did not end within {} s", PATIENCE.as_secs()));
        }
        match rustix::io::read(source, &mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(length) => bytes.extend_from_slice(piece.get(..length).unwrap_or_default()),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(cause) => return Err(unreadable(cause)),
        }
        if bytes.len() > LONGEST {
            return Err(format!("is longer than {} KiB", LONGEST / 1024));
        }
    }
}

fn unreadable(cause: Errno) -> String {
    format!("cannot be read: {cause}")
}

/// Whether there is something to read, or an end, before the time is over.
fn readable(source: &impl AsFd, until: Option<Instant>) -> Result<bool, Errno> {
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let left = left
            .map(Timespec::try_from)
            .transpose()
            .map_err(|_| Errno::INVAL)?;
        match poll(&mut [PollFd::new(source, PollFlags::IN)], left.as_ref()) {
            Err(Errno::INTR) => {}
            outcome => return outcome.map(|ready| ready > 0),
        }
    }
}

/// Puts what the lines say into `given`.
///
/// # Errors
/// [`Error::Config`] when the value of a known option is not text.
pub(crate) fn parse(given: &mut Given, bytes: &[u8]) -> Result<()> {
    let lines = bytes.split(|byte| *byte == b'\n');
    for (number, line) in (1..).zip(lines) {
        let Some(line) = split(line) else {
            continue;
        };
        let name = String::from_utf8_lossy(line.name);
        let Some(spec) = given.spec(&name) else {
            match line.value {
                Some(value) if name == "nodename" => given.put_node(&String::from_utf8_lossy(value)),
                Some(_) => given.note_unknown(&name),
                None => note_bare(given, &name, number),
            }
            continue;
        };
        let value = std::str::from_utf8(line.value.unwrap_or_default()).map_err(|_| not_utf8(spec.name))?;
        given.put(&spec, spec.was_called(&name), value);
    }
    Ok(())
}

/// A line without `=` is shown where it looks like an action or an option alone: it may be what follows a line break in a
/// password.
fn note_bare(given: &mut Given, line: &str, number: usize) {
    if Action::parse(line).is_ok() {
        given.note(format!("ignoring the line '{line}'"));
        given.note_stray_action(line);
    } else if given.is_like_an_option(line) {
        given.note_unknown(line);
    } else {
        given.note(format!(
            "ignoring line {number} of stdin, which is no key=value; it is not shown, since it may be part of a password"
        ));
    }
}

/// `None` for blank lines and comments.
fn split(line: &[u8]) -> Option<Line<'_>> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return None;
    }
    let equals = line.iter().position(|byte| *byte == b'=');
    let (name, value) = match equals.and_then(|at| line.split_at_checked(at)) {
        Some((name, rest)) => (name, rest.get(1..).map(unquoted)),
        None => (line, None),
    };
    Some(Line {
        name: name.trim_ascii(),
        value,
    })
}

/// Without one pair of surrounding quotes.
fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::super::table::Agent;
    use super::*;

    fn parsed(text: &[u8]) -> Result<Given> {
        let mut given = Given::new(Agent::find("fence_kasa").unwrap());
        parse(&mut given, text)?;
        Ok(given)
    }

    fn line<'a>(name: &'a str, value: &'a str) -> Option<Line<'a>> {
        Some(Line {
            name: name.as_bytes(),
            value: Some(value.as_bytes()),
        })
    }

    #[test]
    fn stdin_is_read_to_its_end_and_not_longer() {
        let soon = || Some(Instant::now() + Duration::from_millis(50));
        let (reader, mut writer) = std::io::pipe().unwrap();
        let written = std::thread::spawn(move || {
            for piece in ["action=", "status\n"] {
                writer.write_all(piece.as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        assert_eq!(read_from(&reader, None), Ok(b"action=status\n".to_vec()));
        written.join().unwrap();

        let (reader, _stays_open) = std::io::pipe().unwrap();
        assert_eq!(
            read_from(&reader, soon()),
            Err("did not end within 30 s".to_owned())
        );

        let (reader, writer) = std::io::pipe().unwrap();
        let flood = std::thread::spawn(move || {
            let mut writer = writer;
            while writer.write_all(&[b'x'; 4096]).is_ok() {}
        });
        assert_eq!(
            read_from(&reader, None),
            Err("is longer than 1024 KiB".to_owned())
        );
        drop(reader);
        flood.join().unwrap();

        let closed = std::fs::File::open("/").unwrap();
        assert!(
            read_from(&closed, soon())
                .unwrap_err()
                .starts_with("cannot be read: ")
        );
    }

    #[test]
    fn lines_are_split_as_fence_agents_does() {
        assert_eq!(split(b""), None);
        assert_eq!(split(b"   \t"), None);
        assert_eq!(split(b"  # ip=1"), None);
        assert_eq!(split(b"  ip=127.0.0.1 \r"), line("ip", "127.0.0.1"));
        assert_eq!(split(b"password=a=b=c"), line("password", "a=b=c"));
        assert_eq!(split(b"password=\" a \""), line("password", " a "));
        assert_eq!(split(b"password=\"\"a\"\""), line("password", "\"a\""));
        assert_eq!(split(b"password=\"a"), line("password", "\"a"));
        assert_eq!(split(b"password=\""), line("password", "\""));
        let verbose = Line {
            name: b"verbose",
            value: None,
        };
        assert_eq!(split(b"verbose"), Some(verbose));
        assert_eq!(split(b"=x"), line("", "x"));
    }

    #[test]
    fn a_line_without_a_value_is_shown_only_where_it_is_no_password() {
        let mut given = parsed(b"ip=a\npassword=one\ntw0-h0rses\nverbos\n").unwrap();
        let notes = given.take_notes();
        assert!(
            notes[0].starts_with("ignoring line 3 of stdin, ") && !notes[0].contains("tw0"),
            "{notes:?}"
        );
        assert_eq!(
            notes[1..],
            ["ignoring unknown option 'verbos'; did you mean verbose?"]
        );
        given.check_action_is_meant().unwrap();
    }

    #[test]
    fn a_bare_action_is_not_taken_for_the_default() {
        let given = parsed(b"ip=a\nstatus\n").unwrap();
        let error = given.check_action_is_meant().unwrap_err().to_string();
        assert!(error.contains("'status' is not read as one"), "{error}");
        assert!(
            parsed(b"status\naction=status\n")
                .unwrap()
                .check_action_is_meant()
                .is_ok()
        );
        assert!(
            parsed(b"expect_identiy\n")
                .unwrap()
                .check_safety_is_meant()
                .is_err()
        );
    }

    #[test]
    fn what_fenced_really_sends() {
        let given = parsed(
            b"nodename=storage-b\naction=off\nip=10.20.20.202\nport=storage-b\npcmk_host_list=storage-b\n",
        );
        let mut given = given.unwrap();
        given.check().unwrap();
        assert_eq!((given.action(), given.text("ip")), ("off", Some("10.20.20.202")));
        assert!(given.take_notes().is_empty());
    }

    #[test]
    fn the_last_duplicate_wins_and_old_names_work() {
        let given = parsed(b"ip=a\nip=b\nlogin-timeout=3\nlogin_timeout=4\nlogin=u\npasswd=p\n").unwrap();
        assert_eq!(
            (given.text("ip"), given.text("login_timeout")),
            (Some("b"), Some("4"))
        );
        assert_eq!(
            (given.text("username"), given.text("password")),
            (Some("u"), Some("p"))
        );
    }

    #[test]
    fn bytes_that_are_no_text_spoil_known_options_only() {
        assert!(parsed(b"\xff\xfe=\xff\naction=status\n").is_ok());
        let error = parsed(b"password=sesame\xff\n").unwrap_err().to_string();
        assert!(
            error.starts_with("password: ") && !error.contains("sesame"),
            "{error}"
        );
        assert!(parsed(b"ip=a\0b\n").unwrap().check().is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(given) = parsed(&bytes) {
                let _ = (given.check(), given.plugs(), given.verbosity());
            }
        }

        #[test]
        fn any_value_of_one_line_arrives_whole(value in "[^\"\n\r\0]{0,40}") {
            let text = format!("password=\"{value}\"\n");
            let given = parsed(text.as_bytes()).unwrap();
            prop_assert_eq!(given.text("password").unwrap_or(""), value);
        }

        #[test]
        fn order_never_lets_an_old_name_win(plug in "[1-9]", lines in Just(vec!["plug", "port", "nodename"]).prop_shuffle()) {
            let text: String = lines
                .iter()
                .map(|name| format!("{name}={}\n", if *name == "plug" { plug.as_str() } else { "node-a" }))
                .collect();
            let given = parsed(text.as_bytes()).unwrap();
            prop_assert_eq!(given.text("plug"), Some(plug.as_str()));
        }
    }
}
