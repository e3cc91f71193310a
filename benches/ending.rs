//! What becomes of a benchmark that is asked to end (SIGINT, SIGTERM) before it is done: it unwinds from where it is,
//! so that everything that it has started is stopped by being dropped. Knows nothing of what is measured.

// Each benchmark uses its part of it.
#![allow(dead_code, unreachable_pub)]

use std::io::PipeReader;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::signal::unix::{SignalKind, signal};

/// What a shell says of a command that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// Ends when the benchmark is to end: nothing is ever written to it.
static ASKED: OnceLock<PipeReader> = OnceLock::new();

/// What is unwound with, and is no failure.
struct Asked;

/// Runs a benchmark. While it runs, the signals are not blocked: what it starts would inherit that.
pub fn run(benchmark: impl FnOnce()) -> ExitCode {
    let (asked, asks) = std::io::pipe().unwrap();
    assert!(ASKED.set(asked).is_ok(), "one benchmark a process");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).unwrap();
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    drop(entered);
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        eprintln!("stopping what runs");
        drop(asks);
    });
    match catch_unwind(AssertUnwindSafe(benchmark)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(panic) if panic.is::<Asked>() => ExitCode::from(INTERRUPTED),
        Err(panic) => resume_unwind(panic),
    }
}

/// Waits so long.
pub fn rest(duration: Duration) {
    wait(None, duration);
}

/// Goes on, unless the benchmark is to end.
pub fn check() {
    wait(None, Duration::ZERO);
}

/// Waits for something to read; whether that came in time.
pub fn is_readable(fd: BorrowedFd<'_>, patience: Duration) -> bool {
    wait(Some(fd), patience)
}

/// Waits for something to read, if that is wanted, for so long at most, and not beyond the end of the benchmark.
fn wait(fd: Option<BorrowedFd<'_>>, patience: Duration) -> bool {
    let asked = ASKED.get().unwrap();
    let start = Instant::now();
    let mut fds: Vec<PollFd> =
        std::iter::once(asked.as_fd()).chain(fd).map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    loop {
        // Rounded up: what is waited for has lasted so long, and no wait is broken off just before.
        let left = patience.saturating_sub(start.elapsed()).as_micros().div_ceil(1000);
        match poll(&mut fds, PollTimeout::try_from(left).unwrap()) {
            Err(Errno::EINTR) => {}
            result => {
                let count = result.unwrap();
                if fds[0].any() == Some(true) {
                    resume_unwind(Box::new(Asked));
                }
                return count > 0;
            }
        }
    }
}
