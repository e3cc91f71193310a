//! What is fetched from a web server.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use ureq::Agent;

use super::error::TransferError;
use crate::domain::remote::Remote;

/// How long a server may take to be reached, and to begin its answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it may be silent within its answer.
const SILENCE: Duration = Duration::from_mins(1);

/// How much is read at a time.
const CHUNK: usize = 256 * 1024;

/// Fetches what a URL names into a new file; how many bytes that is.
pub(super) fn fetch(url: &str, to: &Path) -> Result<u64, TransferError> {
    let shown = Remote::Web(url.to_owned()).shown();
    let config = Agent::config_builder()
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .http_status_as_error(false);
    let agent: Agent = config.build().into();
    let answer = agent.get(url).header("user-agent", concat!("jobexec/", env!("CARGO_PKG_VERSION"))).call();
    let answer = answer.map_err(|source| TransferError::Fetch { url: shown.clone(), source: Box::new(source) })?;
    if answer.status().as_u16() != 200 {
        return Err(TransferError::Status { url: shown, status: answer.status().as_u16() });
    }
    let body = answer.into_body();
    let expected = body.content_length();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o666)
        .open(to)
        .map_err(TransferError::io("make the file", to))?;
    let chunks = chunks(body.into_reader());
    let mut bytes = 0;
    loop {
        match chunks.recv_timeout(SILENCE) {
            Ok(Ok(chunk)) => {
                file.write_all(&chunk).map_err(TransferError::io("write", to))?;
                bytes += chunk.len() as u64;
            }
            Ok(Err(source)) => return Err(TransferError::BrokeOff { url: shown, bytes, source: Some(source) }),
            Err(RecvTimeoutError::Timeout) => {
                return Err(TransferError::Silent { url: shown, seconds: SILENCE.as_secs() });
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if expected.is_some_and(|expected| expected != bytes) {
        return Err(TransferError::BrokeOff { url: shown, bytes, source: None });
    }
    Ok(bytes)
}

/// What comes, piece by piece, until the end: read beside, because a read may wait for ever.
fn chunks(mut from: impl Read + Send + 'static) -> Receiver<io::Result<Vec<u8>>> {
    let (send, receive) = sync_channel(2);
    thread::spawn(move || {
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = match from.read(&mut chunk) {
                Ok(0) => return,
                Ok(length) => {
                    chunk.truncate(length);
                    Ok(chunk)
                }
                Err(error) => Err(error),
            };
            let is_last = read.is_err();
            if send.send(read).is_err() || is_last {
                return;
            }
        }
    });
    receive
}
