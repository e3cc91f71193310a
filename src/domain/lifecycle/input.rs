//! What can happen to a job.

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// It was looked at: after its creation, its release, or a change of what it waits for.
    Settled,
    /// Every input that it needs is in place.
    StagedIn,
    /// Every output that it has to deliver is stored.
    StagedOut,
    /// A transfer that it needs has failed for good.
    TransferFailed,
    /// A run was claimed for it.
    Claimed,
    /// Its run ended with exit code 0.
    Succeeded,
    /// Its run ended in any other way.
    Failed,
    /// Its time limit ended its run.
    TimedOut,
    /// Its run, of whatever kind, ended after somebody had asked for that.
    Stopped,
    /// Its claimed run, of whatever kind, turned out never to have been started.
    NeverStarted,
    /// Its hook ended with exit code 0 and decided nothing.
    HookDone,
    /// Its hook decided that it runs again.
    HookSaidAgain,
    /// Its hook decided that it has failed.
    HookSaidFailed,
    /// Its hook failed, timed out or was lost.
    HookFailed,
    /// Somebody cancelled it.
    Cancelled,
    /// Somebody runs it again.
    Rerun,
    /// Somebody runs it again from its beginning.
    RerunClean,
    /// A parent of it is run again.
    ParentAgain,
    /// Somebody has its files wiped.
    Reset,
    /// Its files are wiped.
    Wiped,
}

impl Input {
    /// Every input.
    pub const ALL: [Self; 20] = [
        Self::Settled,
        Self::StagedIn,
        Self::StagedOut,
        Self::TransferFailed,
        Self::Claimed,
        Self::Succeeded,
        Self::Failed,
        Self::TimedOut,
        Self::Stopped,
        Self::NeverStarted,
        Self::HookDone,
        Self::HookSaidAgain,
        Self::HookSaidFailed,
        Self::HookFailed,
        Self::Cancelled,
        Self::Rerun,
        Self::RerunClean,
        Self::ParentAgain,
        Self::Reset,
        Self::Wiped,
    ];

    /// The input in words, as the lifecycle's table shows it.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Settled => "looked at",
            Self::StagedIn => "inputs staged",
            Self::StagedOut => "outputs staged",
            Self::TransferFailed => "transfer failed",
            Self::Claimed => "run claimed",
            Self::Succeeded => "exit 0",
            Self::Failed => "any other end",
            Self::TimedOut => "time limit",
            Self::Stopped => "stopped on request",
            Self::NeverStarted => "never started",
            Self::HookDone => "hook ended",
            Self::HookSaidAgain => "hook says RESTART_READY",
            Self::HookSaidFailed => "hook says FAILED",
            Self::HookFailed => "hook failed",
            Self::Cancelled => "cancelled",
            Self::Rerun => "rerun",
            Self::RerunClean => "rerun --clean",
            Self::ParentAgain => "a parent runs again",
            Self::Reset => "reset",
            Self::Wiped => "files wiped",
        }
    }
}
