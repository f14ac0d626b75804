//! What a value may hold, and how it is written for a shell.

use std::fmt;

use crate::error::{Error, Result};

/// Checks that the cluster's configuration and the agents' stdin can carry a value. `name` says whose it is; the
/// value is not shown, since it may be a password.
///
/// # Errors
/// [`Error::Config`] that says what in it cannot be carried.
pub(super) fn check(name: &str, value: &str) -> Result<()> {
    let wrong = |problem: &str| {
        Err(Error::config(
            name,
            problem,
            "change it on the device, or put it in a file and use password_file",
        ))
    };
    if value.contains('\n') || value.contains('\r') {
        return wrong("contains a line break, which neither pcs nor the cluster's configuration can carry");
    }
    if value.contains('\0') {
        return wrong("contains NUL, which neither pcs nor the cluster's configuration can carry");
    }
    if value.chars().any(char::is_control) {
        return wrong("contains a control character, which the cluster's configuration cannot carry");
    }
    // XML knows no such characters, not even escaped.
    if value.contains(['\u{fffe}', '\u{ffff}']) {
        return wrong("contains U+FFFE or U+FFFF, which the cluster's configuration cannot carry");
    }
    // Agents strip the line, and one pair of quotes around the value.
    if value.ends_with(char::is_whitespace) {
        return wrong("ends in a blank, which fence agents strip");
    }
    if value.len() > 1 && value.starts_with('"') && value.ends_with('"') {
        return wrong("stands in double quotes, which fence agents strip");
    }
    Ok(())
}

/// Checks that pcs, crmsh and Pacemaker take a node's name for a name.
///
/// # Errors
/// [`Error::Config`] that says what in it they would take for something else.
pub(super) fn check_node(name: &str) -> Result<()> {
    check(&format!("node {name:?}"), name)?;
    let taken = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':' | '=' | '%');
    if name.is_empty() || name.starts_with('-') || name.contains(taken) {
        return Err(Error::config(
            "stonith_nodes",
            format!("{name:?} cannot be the target of a fence level: pcs would read it as something else"),
            "name the node without = % , ; : and blanks, and without - in front",
        ));
    }
    Ok(())
}

/// A text as one word of a POSIX shell, quoted where it must be. The only way in which values get into scripts.
///
/// ```
/// use fencekit::stonith::ShellWord;
///
/// assert_eq!(ShellWord::new("10.20.20.202")?.to_string(), "10.20.20.202");
/// assert_eq!(ShellWord::new("a b")?.to_string(), "'a b'");
/// assert!(ShellWord::new("a\0b").is_err());
/// # Ok::<(), fencekit::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ShellWord(String);

impl ShellWord {
    /// Quotes a text.
    ///
    /// # Errors
    /// [`Error::Config`] when it contains NUL, which no shell can carry.
    pub fn new(text: &str) -> Result<Self> {
        shlex::try_quote(text)
            .map(|quoted| Self(quoted.into_owned()))
            .map_err(|cause| {
                Error::config("value", "contains NUL", "take it out; no shell can carry it").caused_by(cause)
            })
    }
}

impl fmt::Display for ShellWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Shows nothing: the text may be a password.
impl fmt::Debug for ShellWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShellWord(...)")
    }
}
