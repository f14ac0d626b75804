//! What the library keeps between calls, behind one lock: the handles and the log callback.
//!
//! The lock is held for a moment only, never while a device is talked to or a callback runs. A fork waits for it, so
//! that the child of a program with several threads finds it free.

use std::cell::UnsafeCell;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use crate::handle::Table;
use crate::logging::Callback;

/// Everything that lasts.
pub(crate) struct State {
    pub(crate) handles: Table,
    pub(crate) callback: Option<Callback>,
}

static STATE: Mutex<State> = Mutex::new(State {
    handles: Table::new(),
    callback: None,
});

/// Works with the state. `work` must not call back into the program.
pub(crate) fn with<T>(work: impl FnOnce(&mut State) -> T) -> T {
    #[cfg(not(miri))]
    register();
    let mut state = lock();
    #[cfg(feature = "thread-sanitizer")]
    let _seen = watched::Locked::new();
    work(&mut state)
}

/// Tells ThreadSanitizer of the lock. The standard library is not instrumented, so of a mutex that was waited for it would
/// see nothing.
#[cfg(feature = "thread-sanitizer")]
mod watched {
    use std::ffi::c_void;

    unsafe extern "C" {
        fn __tsan_acquire(address: *mut c_void);
        fn __tsan_release(address: *mut c_void);
    }

    fn lock() -> *mut c_void {
        (&raw const super::STATE).cast_mut().cast()
    }

    /// From just after the lock was taken until just before it is given back.
    pub(super) struct Locked;

    impl Locked {
        pub(super) fn new() -> Self {
            // SAFETY: the run-time takes any address, as a name for what is synchronised on.
            unsafe { __tsan_acquire(lock()) };
            Self
        }
    }

    impl Drop for Locked {
        fn drop(&mut self) {
            // SAFETY: as above.
            unsafe { __tsan_release(lock()) };
        }
    }
}

fn lock() -> MutexGuard<'static, State> {
    // A panic under the lock leaves the table as it was before or after one step; both are sound.
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg_attr(miri, expect(dead_code, reason = "Miri knows no fork"))]
fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the three functions are of the right type, take nothing, never unwind, and stay in memory, since the
        // library is linked so that it is never unloaded. When there is no memory for the registration, forks go on
        // without waiting, as they would in a library that does not register at all.
        unsafe {
            libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(after_fork));
        }
    });
}

/// The lock, kept by the thread that forks from just before until just after.
struct Held(UnsafeCell<Option<MutexGuard<'static, State>>>);

// SAFETY: the cell is only touched by `before_fork` after it has taken the lock, and by `after_fork` before it gives it
// back, both on the thread that forks. So whoever touches it holds the lock, and nobody else can at the same time.
unsafe impl Sync for Held {}

static HELD: Held = Held(UnsafeCell::new(None));

unsafe extern "C" fn before_fork() {
    let guard = lock();
    // SAFETY: this thread has the lock, see above.
    unsafe { *HELD.0.get() = Some(guard) };
}

unsafe extern "C" fn after_fork() {
    // SAFETY: in the parent and in the child this runs on the thread that took the lock in `before_fork`, and the lock
    // is given back only when the guard that is taken out here goes.
    let guard = unsafe { (*HELD.0.get()).take() };
    drop(guard);
}
