//! Where the last lines of a file begin, found from its end: the size of the file and the length of its
//! lines cost no memory, and what lies before those lines is not read. Knows bytes and newlines, no tasks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use thiserror::Error;

/// How much is read at once.
const BLOCK: u64 = 64 * 1024;

/// A file whose end could not be read.
#[derive(Debug, Error)]
#[error("cannot read the end of `{path}`")]
pub struct TailError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Finds the byte offset at which the last `lines` lines of a regular file begin.
///
/// A last line without a newline counts as a line; with fewer lines the answer is 0, with `lines` 0 it is
/// the file's size. Holes of sparse files are skipped. The position of `file` may move; `path` is for the
/// error alone.
pub fn last_lines_at(file: &File, path: &Path, lines: u64) -> Result<u64, TailError> {
    search(file, lines).map_err(|source| TailError { path: path.to_owned(), source })
}

fn search(file: &File, lines: u64) -> io::Result<u64> {
    let size = file.metadata()?.len();
    if lines == 0 {
        return Ok(size);
    }
    let mut buffer = vec![0; usize::try_from(BLOCK).unwrap_or(usize::MAX)];
    let mut left = lines;
    // A newline that is the last byte ends the last line, it begins no further one.
    let mut end = match last_byte(file, size)? {
        Some(b'\n') => size - 1,
        Some(_) | None => size,
    };
    while end > 0 {
        // Multiples of the block, so that every read but the first meets whole pages.
        let start = (end - 1) / BLOCK * BLOCK;
        let block = fill(file, &mut buffer, start, end)?;
        for (at, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            left -= 1;
            if left == 0 {
                return Ok(start + at as u64 + 1);
            }
        }
        end = if block.iter().all(|byte| *byte == 0) { before_hole(file, start) } else { start };
    }
    Ok(0)
}

fn last_byte(file: &File, size: u64) -> io::Result<Option<u8>> {
    let mut byte = [0];
    let Some(at) = size.checked_sub(1) else { return Ok(None) };
    let count = file.read_at(&mut byte, at)?;
    let [byte] = byte;
    Ok((count == 1).then_some(byte))
}

/// Reads the bytes from `start` to `end`, fewer where somebody has truncated the file meanwhile.
fn fill<'b>(file: &File, buffer: &'b mut [u8], start: u64, end: u64) -> io::Result<&'b [u8]> {
    let wanted = usize::try_from(end - start).unwrap_or(usize::MAX);
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..wanted).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, start + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(buffer.get(..filled).unwrap_or_default())
}

/// The start of the hole that ends at `end`, by blocks; `end` itself where there is none. The steps
/// double, because the system can be asked for the next data only forwards.
fn before_hole(file: &File, end: u64) -> u64 {
    let mut at = end;
    let mut step = BLOCK;
    while at > 0 {
        let probe = at.saturating_sub(step);
        if has_data(file, probe, at) {
            if step == BLOCK {
                break;
            }
            step = BLOCK;
        } else {
            at = probe;
            step = step.saturating_mul(2);
        }
    }
    at
}

/// Whether anything between the two offsets must be read; yes where the file system cannot tell.
fn has_data(file: &File, from: u64, to: u64) -> bool {
    let Ok(from) = i64::try_from(from) else { return true };
    match lseek(file, from, Whence::SeekData) {
        Ok(data) => u64::try_from(data).is_ok_and(|data| data < to),
        // ENXIO: there is no data from here to the end.
        Err(error) => error != Errno::ENXIO,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use proptest::prelude::*;

    use super::*;

    fn file_with(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[track_caller]
    fn check(content: &[u8], lines: u64, expected: &[u8]) {
        let at = last_lines_at(&file_with(content), Path::new("x"), lines).unwrap();
        assert_eq!(&content[usize::try_from(at).unwrap()..], expected);
    }

    #[test]
    fn the_last_lines_are_counted_from_the_end() {
        check(b"", 3, b"");
        check(b"a\nb\nc\n", 0, b"");
        check(b"a\nb\nc\n", 1, b"c\n");
        check(b"a\nb\nc\n", 2, b"b\nc\n");
        check(b"a\nb\nc\n", 3, b"a\nb\nc\n");
        check(b"a\nb\nc\n", u64::MAX, b"a\nb\nc\n");
        check(b"\n\n\n", 2, b"\n\n");
        check(b"\n", 1, b"\n");
    }

    #[test]
    fn a_last_line_without_newline_is_a_line() {
        check(b"a\nb\nc", 1, b"c");
        check(b"a\nb\nc", 2, b"b\nc");
        check(b"abc", 1, b"abc");
    }

    #[test]
    fn lines_may_be_longer_than_a_block() {
        let long = [vec![b'x'; 300_000], b"\n".to_vec()].concat();
        let content = [b"first\n".to_vec(), long.clone(), b"last\n".to_vec()].concat();
        check(&content, 1, b"last\n");
        check(&content, 2, &[long, b"last\n".to_vec()].concat());
        check(&content, 3, &content);
    }

    #[test]
    fn holes_of_many_gigabytes_are_skipped() {
        const TIB: u64 = 1 << 40;
        let mut file = file_with(b"one\ntwo\n");
        file.seek(SeekFrom::Start(6 * TIB)).unwrap();
        file.write_all(b"\nthree\nfour\n").unwrap();
        let path = Path::new("x");
        assert_eq!(last_lines_at(&file, path, 1).unwrap(), 6 * TIB + 7);
        assert_eq!(last_lines_at(&file, path, 2).unwrap(), 6 * TIB + 1);
        // The line of nothing but a hole begins after the head; terabytes could not be read in a test.
        assert_eq!(last_lines_at(&file, path, 3).unwrap(), 8);
        assert_eq!(last_lines_at(&file, path, 4).unwrap(), 4);
        assert_eq!(last_lines_at(&file, path, 9).unwrap(), 0);
    }

    #[test]
    fn a_file_that_is_one_hole_has_one_line() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(5 << 40).unwrap();
        assert_eq!(last_lines_at(&file, Path::new("x"), 10).unwrap(), 0);
    }

    #[test]
    fn an_error_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = last_lines_at(&File::open(folder.path()).unwrap(), folder.path(), 1).unwrap_err();
        assert!(error.to_string().contains(&folder.path().display().to_string()));
    }

    proptest! {
        #[test]
        fn it_agrees_with_splitting_the_whole(
            lengths in prop::collection::vec(0_usize..90_000, 0..8), open in any::<bool>(), lines in 0_usize..10,
        ) {
            let mut content = Vec::new();
            for length in &lengths {
                content.extend(vec![b'x'; *length]);
                content.push(b'\n');
            }
            if open {
                content.pop();
            }
            let parts: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
            let kept: usize = parts.iter().rev().take(lines).map(|part| part.len()).sum();
            let at = last_lines_at(&file_with(&content), Path::new("x"), lines as u64).unwrap();
            prop_assert_eq!(at, (content.len() - kept) as u64);
        }
    }
}
