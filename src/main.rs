//! Arguments and environment in, exit code out. A worker's door comes before the parser: it must stay small.

use std::process::ExitCode;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: jobexec::store::memory::Allocator = jobexec::store::memory::Allocator::new();

fn main() -> ExitCode {
    let worker = || jobexec::worker::door(std::env::args_os());
    let stage = || jobexec::stage::door(std::env::args_os());
    let supervisor = || jobexec::supervisor::door(std::env::args_os());
    ExitCode::from(
        worker().or_else(stage).or_else(supervisor).unwrap_or_else(|| jobexec::cli::main(std::env::args_os())),
    )
}
