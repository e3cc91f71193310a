//! A script whose first action tells its pid through a pipe that the benchmark waits at: the moment is known without
//! asking for it again and again. The same script for every supervisor.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;

use crate::ending::is_readable;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// The pipe, and what has come through it.
pub struct Reports {
    path: PathBuf,
    pipe: File,
    rest: Vec<u8>,
    pids: VecDeque<(i32, Instant)>,
}

impl Reports {
    /// A pipe with a name in this folder.
    pub fn new(folder: &Path) -> Self {
        let path = folder.join("reports");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        // Open for both, so that it does not end while no script is writing.
        let pipe = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        Self { path, pipe, rest: Vec::new(), pids: VecDeque::new() }
    }

    /// Writes the script into a folder.
    pub fn script(&self, folder: &Path) -> PathBuf {
        let path = folder.join("script");
        fs::write(&path, script(self)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// The next report: who, and when it came.
    pub fn next(&mut self) -> (i32, Instant) {
        while self.pids.is_empty() {
            assert!(is_readable(self.pipe.as_fd(), PATIENCE), "no script has reported");
            let mut bytes = [0; 4096];
            let count = self.pipe.read(&mut bytes).unwrap();
            let now = Instant::now();
            self.rest.extend(&bytes[..count]);
            while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                self.pids.push_back((String::from_utf8(line).unwrap().trim().parse().unwrap(), now));
            }
        }
        self.pids.pop_front().unwrap()
    }

    /// So many reports: who, and when the last of them came.
    pub fn take(&mut self, number: usize) -> (Vec<i32>, Instant) {
        let mut last = Instant::now();
        let pids = (0..number).map(|_| {
            let (pid, when) = self.next();
            last = when;
            pid
        });
        (pids.collect(), last)
    }
}

/// The script: it reports, then it sleeps under the same pid.
pub fn script(reports: &Reports) -> String {
    format!("#!/bin/sh\necho $$ >{}\nexec /bin/sleep 100000\n", reports.path.display())
}
