//! tail: the last lines of one or several outputs, and what comes.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::name::TaskName;
use crate::executor::{Executor, ExecutorError, Output};
use crate::process::follow::{FollowSet, Piece, Start};
use crate::process::tail::last_lines_at;
use crate::report::tail::{TailOptions, TailWriter};

use super::arguments::TailArguments;
use super::context::{Context, names, told};
use super::failure::Failure;

/// How long a follower waits before it looks whether the reader is still there.
const SAFETY_NET: Duration = Duration::from_secs(5);

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// `tail`.
pub(super) fn tail(context: &mut Context, arguments: &TailArguments) -> Result<u8, Failure> {
    let names = names(&arguments.names)?;
    let number = match arguments.number.as_str() {
        "all" => u64::MAX,
        text => text.parse().map_err(|_| Failure::input(format!("`{text}` is neither a number of lines nor `all`")))?,
    };
    let Some(executor) = context.look()? else {
        let name = names.into_iter().next();
        return Err(name.map_or_else(
            || Failure::input("no task was named".to_owned()),
            |name| ExecutorError::NoSuchTask { name, nearest: None }.into(),
        ));
    };
    let definitions = Context::definitions(executor)?;
    let names = names.iter().map(|name| executor.resolve(&definitions, name)).collect::<Result<Vec<_>, _>>()?;
    let terminal = io::stdout().is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut writer = TailWriter::new(&names, TailOptions { terminal, colour });
    let mut out = io::stdout();
    if arguments.follow {
        return follow(executor, &names, number, &mut writer, &mut out);
    }
    for (source, name) in names.iter().enumerate() {
        for path in files(executor, name, arguments)? {
            copy(&path, number, source, &mut writer, &mut out)?;
            writer.end_line(source, &mut out)?;
        }
    }
    writer.finish(&mut out)?;
    out.flush()?;
    Ok(0)
}

/// The files that are meant, oldest first; none for a task that has put nothing out.
fn files(executor: &mut Executor, name: &TaskName, arguments: &TailArguments) -> Result<Vec<PathBuf>, Failure> {
    if arguments.archives {
        return Ok(executor.outputs(name)?);
    }
    if let Some(nth) = arguments.run {
        return match executor.nth_run(name, nth)?.output {
            Output::File(path) => Ok(vec![path]),
            Output::Removed => Err(Failure::failed(format!("the output of run {nth} of `{name}` has been removed"))),
            Output::None => Ok(Vec::new()),
        };
    }
    let path = executor.output_path(name);
    if path.exists() {
        return Ok(vec![path]);
    }
    told(&format!("{name} has no output yet."));
    Ok(Vec::new())
}

/// Copies the last lines of a file as it is now.
fn copy(path: &Path, number: u64, source: usize, writer: &mut TailWriter, out: &mut dyn Write) -> Result<(), Failure> {
    let mut file = File::open(path)?;
    let end = file.metadata()?.len();
    let from = if number == u64::MAX { 0 } else { last_lines_at(&file, path, number).map_err(ExecutorError::from)? };
    file.seek(SeekFrom::Start(from))?;
    let mut rest = file.take(end.saturating_sub(from));
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = rest.read(&mut chunk)?;
        match chunk.get(..read) {
            Some([]) | None => return Ok(()),
            Some(bytes) => writer.write(source, bytes, out)?,
        }
    }
}

fn follow(
    executor: &Executor,
    names: &[TaskName],
    number: u64,
    writer: &mut TailWriter,
    out: &mut dyn Write,
) -> Result<u8, Failure> {
    let failed = |error| Failure::from(io::Error::other(error));
    let mut set = FollowSet::new().map_err(failed)?;
    let start = if number == u64::MAX { Start::Beginning } else { Start::LastLines(number) };
    for name in names {
        set.add(&executor.output_path(name), start).map_err(failed)?;
    }
    let mut chunk = vec![0; CHUNK];
    loop {
        while let Some((source, piece)) = set.read(&mut chunk).map_err(failed)? {
            match piece {
                Piece::Bytes(bytes) => writer.write(source, bytes, out)?,
                Piece::Notice(notice) => {
                    writer.end_line(source, out)?;
                    out.flush()?;
                    let name = names.get(source).map(TaskName::as_str).unwrap_or_default();
                    told(&format!("# {name}: {notice}"));
                }
            }
        }
        out.flush()?;
        set.wait(SAFETY_NET).map_err(failed)?;
    }
}
