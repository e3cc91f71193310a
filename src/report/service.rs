//! service status: a card for people, an object for programs.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use owo_colors::{OwoColorize, Style};
use serde_json::{Value, json};

use crate::service::{Service, Status, UnitState};

use super::screen::visible;

/// What is told of a service.
#[derive(Debug)]
pub struct ServiceCard<'a> {
    /// The service.
    pub service: &'a Service,
    /// The executor's folder.
    pub folder: &'a Path,
    /// What is known about it.
    pub status: &'a Status,
    /// Whether a supervisor of the folder is there, as a service or otherwise.
    pub supervised: bool,
    /// How the search path of the unit differs from that of this shell.
    pub search: SearchDifference,
}

/// How the search path of a unit differs from that of a shell.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SearchDifference {
    /// Directories of the shell that the unit does not have.
    pub only_here: Vec<PathBuf>,
    /// Directories of the unit that the shell does not have.
    pub only_in_unit: Vec<PathBuf>,
}

impl SearchDifference {
    /// Compares two search paths.
    pub fn between(unit: &str, here: &str) -> Self {
        let missing = |of: &str, from: &str| {
            let known: Vec<PathBuf> = std::env::split_paths(from).collect();
            let mut missing: Vec<PathBuf> = Vec::new();
            for path in std::env::split_paths(of) {
                if !known.contains(&path) && !missing.contains(&path) {
                    missing.push(path);
                }
            }
            missing
        };
        Self { only_here: missing(here, unit), only_in_unit: missing(unit, here) }
    }

    /// In words.
    fn text(&self) -> String {
        let list = |paths: &[PathBuf]| paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(" ");
        match (self.only_here.as_slice(), self.only_in_unit.as_slice()) {
            ([], []) => "the directories of this shell".to_owned(),
            (here, []) => format!("lacks, against this shell, {}", list(here)),
            ([], unit) => format!("has, beyond this shell, {}", list(unit)),
            (here, unit) => format!("lacks, against this shell, {}; has beyond it {}", list(here), list(unit)),
        }
    }
}

impl ServiceCard<'_> {
    fn state(&self) -> Option<&UnitState> {
        self.status.state.as_ref().and_then(|state| state.as_ref().ok())
    }

    /// Writes it for people.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let (mark, word, style) = match (&self.status.written, self.state()) {
            (None, _) => ("○", "not installed".to_owned(), Style::new()),
            (Some(_), None) => ("○", "unknown".to_owned(), Style::new().yellow()),
            (Some(_), Some(state)) => {
                let style = match state.active.as_str() {
                    "active" => Style::new().green(),
                    "failed" => Style::new().red(),
                    _ => Style::new().yellow(),
                };
                let mark = if state.active == "active" { "●" } else { "○" };
                let pid = state.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
                (mark, format!("{} ({}{pid})", state.active, state.sub), style)
            }
        };
        writeln!(out, "{} {} {}", mark.style(style), self.service.name().bold(), visible(&word).style(style))?;
        for (field, value) in self.fields() {
            writeln!(out, "  {:<12} {}", field.dimmed(), visible(&value))?;
        }
        Ok(())
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![("folder", self.folder.display().to_string())];
        if let Some(written) = &self.status.written {
            fields.push(("unit", self.service.path().display().to_string()));
            let missing = if written.program.exists() { "" } else { " (is not there)" };
            fields.push(("program", format!("{}{missing}", written.program.display())));
            if let Some(state) = self.state() {
                let moment = if self.status.lingers { "at boot" } else { "at login" };
                fields.push((moment, state.enabled.clone()));
            }
            let search = match &written.search {
                Some(_) => self.search.text(),
                None => "systemd's own".to_owned(),
            };
            fields.push(("PATH", search));
        }
        fields.push(("lingering", if self.status.lingers { "on" } else { "off" }.to_owned()));
        let supervisor = match (self.supervised, self.state().map(|state| state.pid.is_some())) {
            (true, Some(true)) => "this service",
            (true, Some(false)) => "another one, this service stands by",
            (true, None) => "there is one",
            (false, _) => "none",
        };
        fields.push(("supervisor", supervisor.to_owned()));
        fields
    }

    /// Writes it for programs.
    pub fn json(&self) -> Value {
        let written = self.status.written.as_ref();
        let state = self.state();
        let search = written.and_then(|written| written.search.as_ref());
        json!({
            "name": self.service.name(),
            "folder": self.folder,
            "installed": written.is_some(),
            "unit": written.map(|_| self.service.path()),
            "program": written.map(|written| &written.program),
            "enabled": state.map(|state| &state.enabled),
            "active": state.map(|state| &state.active),
            "sub": state.map(|state| &state.sub),
            "pid": state.and_then(|state| state.pid),
            "supervised": self.supervised,
            "lingering": self.status.lingers,
            "path_only_here": search.map(|_| &self.search.only_here),
            "path_only_in_unit": search.map(|_| &self.search.only_in_unit),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_paths_are_compared_by_their_directories() {
        let text = |unit, here| SearchDifference::between(unit, here).text();
        assert_eq!(text("/a:/b", "/b:/a:/a"), "the directories of this shell");
        assert_eq!(text("/a", "/a:/b:/c:/b"), "lacks, against this shell, /b /c");
        assert_eq!(text("/a:/b", "/a"), "has, beyond this shell, /b");
        assert_eq!(text("/a:/b", "/a:/c"), "lacks, against this shell, /c; has beyond it /b");
    }
}
