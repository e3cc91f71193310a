//! log: what was done with the executor.

use std::io::Write;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

use crate::executor::{Journal, Line};
use crate::home::bell::Ear;
use crate::report;
use crate::report::page::Page;
use crate::report::words::moment;

use super::context::Context;
use super::failure::Failure;

/// How long to wait for the bell before looking anyway.
const SAFETY_NET: u16 = 5000;

/// How long to wait for the pid of a script that is just being started.
const SOON: u16 = 5;

/// `log`.
pub(super) fn log(context: &mut Context, number: Option<u32>, follow: bool) -> Result<u8, Failure> {
    let json = context.json;
    let Some(executor) = context.look()? else {
        if json {
            return super::list::nothing(context);
        }
        return Ok(0);
    };
    let ear = if follow { Some(Ear::open(executor.home())?) } else { None };
    let mut journal = Journal::default();
    let mut lines = journal.next(executor, number, follow)?;
    let mut first = true;
    loop {
        // A wake-up without news is no empty array.
        if std::mem::take(&mut first) || !lines.is_empty() {
            let mut out = Page::default();
            write(&lines, json, &mut out)?;
            out.print()?;
        }
        let Some(ear) = &ear else { return Ok(0) };
        let mut fds = [PollFd::new(ear.as_fd(), PollFlags::POLLIN)];
        let longest = if journal.is_pending() { SOON } else { SAFETY_NET };
        match poll(&mut fds, PollTimeout::from(longest)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(std::io::Error::from(errno).into()),
        }
        ear.heard()?;
        lines = journal.next(executor, None, true)?;
    }
}

fn write(lines: &[Line], json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    if json {
        let rows = lines.iter().map(report::json::line);
        report::json::write(&Value::Array(rows.collect()), out)?;
        return Ok(());
    }
    for line in lines {
        writeln!(out, "[ {} ] {}", moment(line.event.time), report::screen::visible(&line.text))?;
    }
    Ok(())
}
