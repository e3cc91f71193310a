//! The supervisor's diary, through tracing: on its terminal, or, where it has none, in a file of the folder.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::tz::TimeZone;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::process::clock;

/// The size at which the file is set aside, in bytes: one earlier file is kept.
const LARGEST: u64 = 4 << 20;

/// What the diary is to say: `verbose` counts `-v`, and `directive` is `JOBEXEC_LOG`, which wins; an error says what is
/// wrong with it.
pub(super) fn filter(verbose: u8, directive: Option<&str>) -> Result<Targets, String> {
    let level = match verbose {
        0 => Level::INFO,
        1 => Level::DEBUG,
        _ => Level::TRACE,
    };
    match directive.filter(|text| !text.trim().is_empty()) {
        Some(text) => text.parse::<Targets>().map_err(|error| format!("JOBEXEC_LOG=`{text}`: {error}")),
        None => Ok(Targets::new().with_target("jobexec", level)),
    }
}

/// Begins to write the diary. `background` is true where standard error is the file itself.
pub(super) fn begin(log: &Path, background: bool, filter: Targets) {
    let terminal = !background && io::stderr().is_terminal();
    let pages = Pages { log: log.to_path_buf(), stderr: !background, file: if terminal { None } else { open(log) } };
    let layer = tracing_subscriber::fmt::layer().event_format(Line).with_writer(Diary(Mutex::new(pages)));
    // A second one in the same process is a test's; the first goes on.
    let _ = tracing_subscriber::registry().with(filter).with(layer).try_init();
}

fn open(log: &Path) -> Option<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(log).ok()
}

/// Whether standard error takes a line without making us wait.
fn is_writable() -> bool {
    let stderr = io::stderr();
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..))
}

/// Where the lines go.
struct Pages {
    log: PathBuf,
    /// Whether standard error is written to; until it fails.
    stderr: bool,
    file: Option<File>,
}

struct Diary(Mutex<Pages>);

impl Pages {
    /// Writes one line. What cannot be written is lost: the diary must not stop the night.
    fn line(&mut self, line: &[u8]) {
        if self.stderr {
            // A terminal that was stopped with Ctrl-S and a reader that does not read must not stop the night.
            let shown = is_writable() && {
                self.stderr = io::stderr().write_all(line).is_ok();
                self.stderr
            };
            if !shown {
                self.file = self.file.take().or_else(|| open(&self.log));
            }
        }
        let Some(file) = &mut self.file else { return };
        let _ = file.write_all(line);
        if file.metadata().is_ok_and(|found| found.len() > LARGEST) {
            let mut former = self.log.clone().into_os_string();
            former.push(".1");
            let _ = fs::rename(&self.log, former);
            self.file = open(&self.log);
        }
    }
}

impl<'a> MakeWriter<'a> for Diary {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter { diary: self, line: Vec::new() }
    }
}

/// Collects one line and writes it whole.
struct LineWriter<'a> {
    diary: &'a Diary,
    line: Vec<u8>,
}

impl Write for LineWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LineWriter<'_> {
    fn drop(&mut self) {
        self.diary.0.lock().unwrap_or_else(PoisonError::into_inner).line(&self.line);
    }
}

/// `[ 2021-03-01 10:53:57 ] LOL ended: exit code 1`, as `log` writes it; what is no mere information says so.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let now = clock::now().to_zoned(TimeZone::system());
        write!(to, "[ {} ] ", now.strftime("%Y-%m-%d %H:%M:%S"))?;
        match *event.metadata().level() {
            Level::ERROR => write!(to, "error: ")?,
            Level::WARN => write!(to, "warning: ")?,
            Level::DEBUG => write!(to, "debug: ")?,
            Level::TRACE => write!(to, "trace: ")?,
            Level::INFO => {}
        }
        context.field_format().format_fields(to.by_ref(), event)?;
        writeln!(to)
    }
}
