//! Runs a call's asynchronous work on the thread that called.

use std::time::Duration;

use fencekit_core::Deadline;
use tokio::runtime::Builder;

use crate::failure::Failure;
use crate::logging::InCall;
use crate::result::fencekit_result;

/// How long a host name's lookup, which has a thread of its own, may take to end once the call is over. One that hangs is
/// left behind.
const LOOKUP_END: Duration = Duration::from_millis(50);

/// The moment at which a call of so many milliseconds ends.
pub(crate) fn deadline(timeout_ms: u32) -> Deadline {
    Deadline::after(Duration::from_millis(u64::from(timeout_ms)))
}

/// Runs `work` on this thread, until it ends. The event loop lives no longer than that: nothing is shared with another
/// call, another thread or a forked child.
///
/// # Errors
/// `Reentered` from the log callback, `System` when there is no file descriptor left, and those of `work`.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let _in_call = InCall::enter()?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| {
            Failure::new(
                fencekit_result::System,
                format!("the system gives no event loop: {cause}; check the limit of open files"),
            )
        })?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(LOOKUP_END);
    outcome
}
