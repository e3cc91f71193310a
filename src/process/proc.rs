//! Small files of `/proc`, read in as few calls as can be and without the heap: each call may make the kernel write the
//! file anew, and a worker keeps what it has once allocated.

use std::fs::File;
use std::io::{self, Read};

/// Reads a file into a buffer, as much as there is room for.
pub(super) fn read<'a>(path: &str, into: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let mut file = File::open(path)?;
    let mut filled = 0;
    while let Some(room) = into.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read(room) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(into.get(..filled).unwrap_or_default())
}

/// The number behind a word at the beginning of a line.
pub(super) fn word_after<'a>(text: &'a [u8], name: &str) -> Option<&'a str> {
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name.as_bytes()))?;
    std::str::from_utf8(line).ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_far_as_there_is_room() {
        let mut buffer = [0; 4096];
        let text = read("/proc/self/status", &mut buffer).unwrap();
        let pid = word_after(text, "Pid:").unwrap();
        assert_eq!(pid, std::process::id().to_string());
        assert!(word_after(text, "Nonsense:").is_none());
        assert_eq!(read("/proc/self/status", &mut [0; 5]).unwrap(), b"Name:");
        assert_eq!(read("/proc/no-such", &mut buffer).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
