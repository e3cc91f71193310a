//! The door behind which one message is posted: a run of its own, so that a server that does not answer keeps nobody.
//!
//! The URL comes in the environment, since arguments can be read by everybody on the machine, and no error shows it.

use std::time::Duration;

use ureq::Agent;

/// How long a server may take for all of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Posts the message of the environment; the exit code. What there is to say about it goes to standard output.
#[expect(clippy::print_stdout, reason = "the output of a run of its own")]
pub(super) fn post() -> u8 {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let (url, message) = (variable("JOBEXEC_NOTIFY_URL"), variable("JOBEXEC_NOTIFY_JSON"));
    let config = Agent::config_builder().timeout_global(Some(PATIENCE)).max_redirects(0).http_status_as_error(false);
    let agent: Agent = config.build().into();
    let sent = agent
        .post(&url)
        .header("content-type", "application/json")
        .header("user-agent", concat!("jobexec/", env!("CARGO_PKG_VERSION")))
        .send(message.as_bytes());
    match sent {
        Ok(answer) if answer.status().is_success() => 0,
        Ok(answer) => {
            println!("the server answered {}", answer.status());
            1
        }
        Err(error) => {
            println!("cannot post: {error}");
            1
        }
    }
}
