//! How a call ended.

use std::ffi::CStr;

use fencekit_core::Error;
use fencekit_core::verify::Verdict;

/// How a call ended. Only `FENCEKIT_RESULT_OK` is a success. The numbers keep their meaning for ever; new ones come
/// into the gaps, so a program treats a number that it does not know as a failure.
#[allow(non_camel_case_types, reason = "the name in C")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum fencekit_result {
    /// Done, and confirmed where it switches something.
    Ok = 0,

    /// A pointer that must not be NULL was NULL.
    NullArgument = 100,
    /// The handle is not alive: freed already, of another type, or no handle at all.
    InvalidHandle = 110,
    /// A text is not UTF-8.
    InvalidUtf8 = 120,
    /// An argument has a value that it cannot have.
    InvalidArgument = 130,
    /// There is nothing at this index.
    OutOfRange = 140,
    /// Called from the log callback, which must not start another call that talks to devices.
    Reentered = 150,

    /// An option, or a line of the cluster file, is wrong. Nothing was sent to any device.
    Config = 200,
    /// This device, or this build, cannot do it.
    Unsupported = 210,

    /// No connection to the device.
    Unreachable = 300,
    /// The deadline came first. The device may or may not have acted.
    Timeout = 310,
    /// The device refuses the credentials.
    Authentication = 320,
    /// The device's reply cannot be understood.
    Protocol = 330,
    /// The device said that it did not do it.
    Refused = 340,
    /// Another device answers at this address. Nothing was switched.
    WrongDevice = 350,
    /// The state was not seen in time. The device may or may not have acted.
    NotConfirmed = 360,
    /// The device answered, but not whether its outlet is on or off.
    StateUnknown = 370,
    /// A reboot's off was confirmed, its on was not: the node is fenced, and still off.
    StillOff = 380,

    /// A verification saw the node alive.
    StillAlive = 400,
    /// A verification could not tell. Treat the node as alive. Or an examination could not.
    Inconclusive = 410,
    /// An examination found that the fencing is not to be relied on.
    Problems = 420,

    /// The system did not give what a call needs, such as a file descriptor.
    System = 500,

    /// A fault in fencekit itself, caught at the boundary. Whatever the call was to do may or may not be done.
    Panic = 900,
    /// A failure that this version has no number for.
    Internal = 910,
}

impl fencekit_result {
    pub(crate) const ALL: [Self; 24] = [
        Self::Ok,
        Self::NullArgument,
        Self::InvalidHandle,
        Self::InvalidUtf8,
        Self::InvalidArgument,
        Self::OutOfRange,
        Self::Reentered,
        Self::Config,
        Self::Unsupported,
        Self::Unreachable,
        Self::Timeout,
        Self::Authentication,
        Self::Protocol,
        Self::Refused,
        Self::WrongDevice,
        Self::NotConfirmed,
        Self::StateUnknown,
        Self::StillOff,
        Self::StillAlive,
        Self::Inconclusive,
        Self::Problems,
        Self::System,
        Self::Panic,
        Self::Internal,
    ];

    pub(crate) fn text(self) -> &'static CStr {
        match self {
            Self::Ok => c"ok",
            Self::NullArgument => c"a pointer that must not be NULL is NULL",
            Self::InvalidHandle => c"the handle is not alive, or of another type",
            Self::InvalidUtf8 => c"a text is not UTF-8",
            Self::InvalidArgument => c"an argument has a value that it cannot have",
            Self::OutOfRange => c"there is nothing at this index",
            Self::Reentered => c"called from the log callback",
            Self::Config => c"wrong option or cluster file",
            Self::Unsupported => c"not supported",
            Self::Unreachable => c"device unreachable",
            Self::Timeout => c"timed out",
            Self::Authentication => c"authentication failed",
            Self::Protocol => c"unexpected reply from the device",
            Self::Refused => c"refused by the device",
            Self::WrongDevice => c"wrong device",
            Self::NotConfirmed => c"not confirmed",
            Self::StateUnknown => c"the device does not tell the outlet's state",
            Self::StillOff => c"confirmed off, but not on again",
            Self::StillAlive => c"still alive",
            Self::Inconclusive => c"inconclusive",
            Self::Problems => c"the fencing is not to be relied on",
            Self::System => c"the system refused what the call needs",
            Self::Panic => c"a fault in fencekit",
            Self::Internal => c"failed",
        }
    }
}

impl From<&Error> for fencekit_result {
    fn from(error: &Error) -> Self {
        match error {
            Error::Config { .. } => Self::Config,
            Error::Unreachable { .. } => Self::Unreachable,
            Error::Timeout { .. } => Self::Timeout,
            Error::Authentication { .. } => Self::Authentication,
            Error::Protocol { .. } => Self::Protocol,
            Error::Refused { .. } => Self::Refused,
            Error::WrongDevice { .. } => Self::WrongDevice,
            Error::NotConfirmed { .. } => Self::NotConfirmed,
            Error::Unsupported { .. } => Self::Unsupported,
            _ => Self::Internal,
        }
    }
}

impl From<Verdict> for fencekit_result {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::ConfirmedOff => Self::Ok,
            Verdict::StillAlive => Self::StillAlive,
            Verdict::Inconclusive => Self::Inconclusive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_is_a_success_and_only_one_verdict_is() {
        let errors = [
            Error::config("ip", "missing", "give it"),
            Error::unreachable("x"),
            Error::authentication("x"),
            Error::protocol("x"),
            Error::refused("x"),
            Error::unsupported("x"),
        ];
        for error in &errors {
            assert_ne!(fencekit_result::from(error), fencekit_result::Ok, "{error}");
            assert_ne!(fencekit_result::from(error), fencekit_result::Internal, "{error}");
        }
        let ok = |verdict| fencekit_result::from(verdict) == fencekit_result::Ok;
        assert!(ok(Verdict::ConfirmedOff));
        assert!(!ok(Verdict::StillAlive) && !ok(Verdict::Inconclusive));
    }

    #[test]
    fn every_result_has_a_text_and_a_number_of_its_own() {
        for (index, one) in fencekit_result::ALL.iter().enumerate() {
            assert!(!one.text().is_empty());
            for other in fencekit_result::ALL.iter().skip(index + 1) {
                assert!((*one as u32) < (*other as u32));
                assert_ne!(one.text(), other.text());
            }
        }
    }
}
