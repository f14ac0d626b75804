//! The log: a function of the program, called on the thread that called us.

use std::cell::Cell;
use std::ffi::{c_char, c_void};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::boundary::plain;
use crate::failure::Failure;
use crate::result::fencekit_result;
use crate::{state, text};

/// How much a line of the log matters. Each level includes those before it.
#[allow(non_camel_case_types, reason = "the name in C")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum fencekit_log_level {
    /// Nothing.
    Off = 0,
    /// Something failed.
    Error = 1,
    /// Something may go wrong, such as a password file that others can read.
    Warning = 2,
    /// What was done.
    Info = 3,
    /// Every step.
    Debug = 4,
    /// What goes over the wire, without secrets.
    Trace = 5,
}

/// A function that receives the log: the pointer that was set with it, the level (one of `fencekit_log_level`) and one
/// line of text that lives until it returns.
///
/// It runs on the thread that called fencekit, during that call, so a program that calls from several threads needs a
/// function that they can run at once. It must return: no exception and no longjmp may leave it. It may free handles and
/// read what they hold; a function that talks to devices returns `FENCEKIT_RESULT_REENTERED` to it.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type fencekit_log_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, level: u32, message: *const c_char)>;

/// What is called, and with what.
#[derive(Clone, Copy)]
pub(crate) struct Callback {
    function: unsafe extern "C" fn(*mut c_void, u32, *const c_char),
    userdata: Userdata,
}

#[derive(Clone, Copy)]
struct Userdata(*mut c_void);

// SAFETY: the pointer is only handed back to the program's own function, which takes it on any thread, as the header
// demands of it.
unsafe impl Send for Userdata {}

thread_local! {
    /// Whether this thread is in a call that talks to devices.
    static IN_CALL: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread is in the callback, of whatever call: a cluster file or a password that is read is told of, too.
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// Marks the thread as being in a call until it is dropped.
pub(crate) struct InCall(());

impl InCall {
    /// # Errors
    /// `Reentered` when it is in one already.
    pub(crate) fn enter() -> Result<Self, Failure> {
        if IN_CALLBACK.get() || IN_CALL.replace(true) {
            return Err(Failure::new(
                fencekit_result::Reentered,
                "called from the log callback; make this call once the other one has returned",
            ));
        }
        Ok(Self(()))
    }
}

impl Drop for InCall {
    fn drop(&mut self) {
        IN_CALL.set(false);
    }
}

struct ToProgram;

impl Log for ToProgram {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Not those of libraries: what they log is not ours to vouch for.
        metadata.target().starts_with("fencekit")
    }

    fn log(&self, record: &Record<'_>) {
        // This is the program's thread; only one that looks a host name up, or reads a password, is not, and it logs nothing.
        // What the callback itself causes is not told to it: that would never end.
        if !self.enabled(record.metadata()) || IN_CALLBACK.get() {
            return;
        }
        let Some(callback) = state::with(|state| state.callback) else {
            return;
        };
        let message = text::line(&record.args().to_string());
        let level = level_of(record.level()) as u32;
        IN_CALLBACK.set(true);
        // SAFETY: the program promised that its function takes these arguments, on any of its threads, and returns; the
        // message lives until it has.
        unsafe { (callback.function)(callback.userdata.0, level, message.as_ptr()) };
        IN_CALLBACK.set(false);
    }

    fn flush(&self) {}
}

fn level_of(level: Level) -> fencekit_log_level {
    match level {
        Level::Error => fencekit_log_level::Error,
        Level::Warn => fencekit_log_level::Warning,
        Level::Info => fencekit_log_level::Info,
        Level::Debug => fencekit_log_level::Debug,
        Level::Trace => fencekit_log_level::Trace,
    }
}

fn filter_of(level: u32) -> Option<LevelFilter> {
    let levels = [
        LevelFilter::Off,
        LevelFilter::Error,
        LevelFilter::Warn,
        LevelFilter::Info,
        LevelFilter::Debug,
        LevelFilter::Trace,
    ];
    levels.get(usize::try_from(level).ok()?).copied()
}

/// Sends the log of every call of this process, up to `level` (one of `fencekit_log_level`), to `callback` with
/// `userdata`. Another call replaces the callback; NULL ends the log. Without a callback there is no log: fencekit itself
/// writes nothing to stderr or the system's log.
///
/// Calls that other threads are in the middle of may call the former callback until they return.
///
/// Returns `FENCEKIT_RESULT_INVALID_ARGUMENT` for a level that there is not.
#[unsafe(no_mangle)]
pub extern "C" fn fencekit_log_set(
    callback: fencekit_log_callback,
    userdata: *mut c_void,
    level: u32,
) -> fencekit_result {
    plain(|| {
        let filter = filter_of(level).ok_or_else(|| {
            Failure::new(
                fencekit_result::InvalidArgument,
                format!("there is no log level {level}"),
            )
        })?;
        // It fails when it is set already, by the call before this one.
        let _ = log::set_logger(&ToProgram);
        let callback = callback.map(|function| Callback {
            function,
            userdata: Userdata(userdata),
        });
        let filter = callback.map_or(LevelFilter::Off, |_| filter);
        state::with(|state| state.callback = callback);
        log::set_max_level(filter);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_numbered_alike_both_ways() {
        for level in [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace] {
            assert_eq!(filter_of(level_of(level) as u32), Some(level.to_level_filter()));
        }
        assert_eq!(filter_of(fencekit_log_level::Off as u32), Some(LevelFilter::Off));
        assert_eq!(filter_of(6), None);
        assert_eq!(filter_of(u32::MAX), None);
    }

    #[test]
    fn a_call_within_a_call_is_refused() {
        let outer = InCall::enter().unwrap();
        let inner = InCall::enter().map(drop).unwrap_err();
        assert_eq!(inner.result, fencekit_result::Reentered);
        drop(outer);
        assert!(InCall::enter().is_ok());
    }
}
