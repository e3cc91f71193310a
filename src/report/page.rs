//! What goes to standard output, gathered and written at once: ten thousand rows are not ten thousand system calls.

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};

/// Text for standard output.
#[derive(Debug, Default)]
pub struct Page(Vec<u8>);

impl Page {
    /// Writes it, without colours where they are not wanted.
    pub fn print(self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match AutoStream::choice(&out) {
            ColorChoice::Never => out.write_all(&anstream::adapter::strip_bytes(&self.0).into_vec())?,
            ColorChoice::Auto | ColorChoice::AlwaysAnsi | ColorChoice::Always => out.write_all(&self.0)?,
        }
        out.flush()
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
