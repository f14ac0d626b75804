//! The one error type.

use std::time::Duration;

/// Why an operation did not succeed. No variant is ever evidence of a power state.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The cause below an error, where there is one.
pub type Source = Option<Box<dyn std::error::Error + Send + Sync + 'static>>;

/// Everything that can go wrong between an option and a confirmed power state.
///
/// The text of each variant is one line that says what happened and, where the user can do something
/// about it, what. It never contains a secret. The device is not named: whoever holds the
/// [`Label`](crate::Label) puts it in front.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option or a line of a file is wrong; nothing was sent to any device.
    #[error("{option}: {problem}; {mend}")]
    Config {
        /// The option's name, as the user writes it.
        option: String,
        /// What is wrong with it, with the offending value unless that is a secret.
        problem: String,
        /// What to write instead.
        mend: String,
        /// The parser's error, where there is one.
        source: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
    },
    /// No connection: refused, no route, name not found, reset.
    #[error("unreachable: {detail}")]
    Unreachable {
        /// What was tried and how it failed.
        detail: String,
        /// The operating system's error.
        source: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
    },
    /// The deadline came first. The device may or may not have acted.
    #[error("timed out after {:.1} s while {doing}", waited.as_secs_f64())]
    Timeout {
        /// What was being waited for: "reading the reply".
        doing: String,
        /// How long this step waited.
        waited: Duration,
        /// The timer's error.
        source: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
    },
    /// The device refuses the credentials. Not tried again: some devices lock out.
    #[error("authentication failed: {detail}")]
    Authentication {
        /// What the device said, and which option to check.
        detail: String,
        /// The cause.
        source: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
    },
    /// The reply is not what the protocol allows: cut, garbled, of another product.
    #[error("unexpected reply: {detail}")]
    Protocol {
        /// What was expected and what came.
        detail: String,
        /// The parser's error.
        source: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
    },
    /// The device answered, well-formed, that it did not do what was asked.
    #[error("refused by the device: {detail}")]
    Refused {
        /// The device's own code or words.
        detail: String,
        /// The cause.
        source: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
    },
    /// Another device answers at this address. Nothing was switched.
    #[error(
        "wrong device: expected {expected}, but {found} answers; nothing was switched. Check the address, or expect_identity after a replacement"
    )]
    WrongDevice {
        /// The configured identity.
        expected: String,
        /// What the device reported.
        found: String,
        /// The cause.
        source: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
    },
    /// The command may have been accepted, but the state was not seen in time.
    #[error("not confirmed {wanted}: {detail}")]
    NotConfirmed {
        /// The wanted state: "off" or "on".
        wanted: String,
        /// The last observation.
        detail: String,
        /// The last error.
        source: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
    },
    /// This device or this build cannot do it.
    #[error("not supported: {detail}")]
    Unsupported {
        /// What is not supported, and what to use instead.
        detail: String,
        /// The cause.
        source: Option<Box<dyn std::error::Error + Send + Sync + 'static>>,
    },
}

impl Error {
    /// The same error once more, for another who is to be told of it: of the same kind, with the same words, without what
    /// caused it, which cannot be copied.
    #[must_use]
    pub fn without_source(&self) -> Self {
        let source = None;
        match self {
            Self::Config {
                option,
                problem,
                mend,
                ..
            } => Self::config(option, problem, mend),
            Self::Unreachable { detail, .. } => Self::unreachable(detail),
            Self::Timeout { doing, waited, .. } => Self::Timeout {
                doing: doing.clone(),
                waited: *waited,
                source,
            },
            Self::Authentication { detail, .. } => Self::authentication(detail),
            Self::Protocol { detail, .. } => Self::protocol(detail),
            Self::Refused { detail, .. } => Self::refused(detail),
            Self::WrongDevice { expected, found, .. } => Self::WrongDevice {
                expected: expected.clone(),
                found: found.clone(),
                source,
            },
            Self::NotConfirmed { wanted, detail, .. } => Self::NotConfirmed {
                wanted: wanted.clone(),
                detail: detail.clone(),
                source,
            },
            Self::Unsupported { detail, .. } => Self::unsupported(detail),
        }
    }

    /// A wrong option: its name, what is wrong and what to write instead.
    pub fn config(option: impl Into<String>, problem: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::Config {
            option: option.into(),
            problem: problem.into(),
            mend: mend.into(),
            source: None,
        }
    }

    /// [`Error::Unreachable`] without a cause.
    pub fn unreachable(detail: impl Into<String>) -> Self {
        Self::Unreachable {
            detail: detail.into(),
            source: None,
        }
    }

    /// [`Error::Authentication`] without a cause.
    pub fn authentication(detail: impl Into<String>) -> Self {
        Self::Authentication {
            detail: detail.into(),
            source: None,
        }
    }

    /// [`Error::Protocol`] without a cause.
    pub fn protocol(detail: impl Into<String>) -> Self {
        Self::Protocol {
            detail: detail.into(),
            source: None,
        }
    }

    /// [`Error::Refused`] without a cause.
    pub fn refused(detail: impl Into<String>) -> Self {
        Self::Refused {
            detail: detail.into(),
            source: None,
        }
    }

    /// [`Error::Unsupported`] without a cause.
    pub fn unsupported(detail: impl Into<String>) -> Self {
        Self::Unsupported {
            detail: detail.into(),
            source: None,
        }
    }

    /// The same error with `cause` below it.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>) -> Self {
        match &mut self {
            Self::Config { source, .. }
            | Self::Unreachable { source, .. }
            | Self::Timeout { source, .. }
            | Self::Authentication { source, .. }
            | Self::Protocol { source, .. }
            | Self::Refused { source, .. }
            | Self::WrongDevice { source, .. }
            | Self::NotConfirmed { source, .. }
            | Self::Unsupported { source, .. } => *source = Some(cause.into()),
        }
        self
    }

    /// An I/O error in the words of the step that met it.
    pub fn io(doing: &str, cause: std::io::Error) -> Self {
        match cause.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::protocol(format!(
                "{doing}: the device closed the connection in the middle of a reply"
            ))
            .caused_by(cause),
            _ => Self::Unreachable {
                detail: format!("{doing}: {}", lowercase(&cause)),
                source: Some(Box::new(cause)),
            },
        }
    }

    /// Whether the same thing may go well a moment later: no connection, a timeout, a garbled reply.
    ///
    /// Wrong credentials, a wrong device and wrong options stay wrong; a refusal is the device's word.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Protocol { .. }
        )
    }

    /// The exit code of the `fencekit` commands: 2 for wrong usage or configuration, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config { .. } => 2,
            _ => 1,
        }
    }

    /// The exit code of a fence agent: always 1. In the agents' contract 2 means "the status is OFF", which
    /// no error may ever say.
    #[must_use]
    pub fn agent_exit_code(&self) -> u8 {
        1
    }
}

/// "Connection refused (os error 111)" reads better in the middle of a sentence without capital and number.
fn lowercase(cause: &std::io::Error) -> String {
    let text = cause.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_lowercase().chain(chars).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_says_the_same_without_its_cause() {
        let cause = || Some(Box::<dyn std::error::Error + Send + Sync>::from("cause"));
        let errors = [
            Error::config("ip", "is missing", "give it"),
            Error::unreachable("no route").caused_by(std::io::Error::other("cause")),
            Error::Timeout {
                doing: "asking".to_owned(),
                waited: Duration::from_millis(1500),
                source: cause(),
            },
            Error::authentication("no"),
            Error::protocol("garbled"),
            Error::refused("no"),
            Error::WrongDevice {
                expected: "a".to_owned(),
                found: "b".to_owned(),
                source: cause(),
            },
            Error::NotConfirmed {
                wanted: "off".to_owned(),
                detail: "on".to_owned(),
                source: cause(),
            },
            Error::unsupported("no meter"),
        ];
        for error in errors {
            let copy = error.without_source();
            assert_eq!(std::mem::discriminant(&copy), std::mem::discriminant(&error));
            assert_eq!(copy.to_string(), error.to_string());
            assert!(std::error::Error::source(&copy).is_none());
        }
    }

    #[test]
    fn no_error_can_say_status_off() {
        let every = [
            Error::config("ip", "missing", "give the address"),
            Error::unreachable("x"),
            Error::authentication("x"),
            Error::protocol("x"),
            Error::refused("x"),
            Error::unsupported("x"),
        ];
        assert!(every.iter().all(|error| error.agent_exit_code() == 1));
    }

    #[test]
    fn a_cut_reply_is_told_from_a_refused_connection() {
        let cut = Error::io("reading", std::io::ErrorKind::UnexpectedEof.into());
        assert!(matches!(cut, Error::Protocol { .. }));
        let refused = Error::io("connecting", std::io::Error::from_raw_os_error(111));
        assert_eq!(refused.to_string(), "unreachable: connecting: connection refused");
    }

    #[test]
    fn causes_are_kept() {
        let error = Error::protocol("bad").caused_by("inner");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "inner");
    }
}
