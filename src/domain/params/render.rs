//! A task with the values of its parameters in the place of the placeholders.

use std::borrow::Cow;

use thiserror::Error;

use super::super::inside::{self, InsideError};
use super::super::task::{Program, Task};
use super::template::{Piece, TemplateError, is_template, pieces};
use super::{Values, plain_text, shell};

/// Why a task cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{place}`: {problem}")]
pub struct RenderError {
    /// The field: `args`, `env.LANG`.
    pub place: String,
    /// What is wrong there.
    pub problem: RenderProblem,
}

/// What can be wrong with a field that is to be filled in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RenderProblem {
    /// The template itself.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A parameter that has no value.
    #[error("parameter `{0}` has no value")]
    NoValue(String),
    /// A value leads out of the folder of the jobs.
    #[error(transparent)]
    Inside(#[from] InsideError),
    /// A value is no text that a process can be given.
    #[error("the value of parameter `{0}` contains a NUL character")]
    Nul(String),
}

impl RenderError {
    /// The way out, as an imperative.
    pub fn hint(&self) -> String {
        match &self.problem {
            RenderProblem::Template(error) => error.hint(),
            RenderProblem::NoValue(name) => format!("give it a default, `params.{name}.default = …`"),
            RenderProblem::Inside(error) => error.hint().to_owned(),
            RenderProblem::Nul(_) => "leave the NUL out".to_owned(),
        }
    }
}

/// A text with the name of its field.
type Place<'a> = (Cow<'static, str>, &'a str);

fn at<'a>(name: &'static str, text: &'a str) -> Place<'a> {
    (Cow::Borrowed(name), text)
}

/// Every text of a task that may hold placeholders, with the name of its field.
pub(super) fn templates(task: &Task) -> impl Iterator<Item = Place<'_>> {
    let (words, line): (&[String], Option<&String>) = match &task.program {
        Program::Script(_) => (&[], None),
        Program::Command(words) => (words, None),
        Program::Shell(line) => (&[], Some(line)),
    };
    let env = task.env.iter().map(|(key, text)| (Cow::Owned(format!("env.{key}")), text.as_str()));
    let remotes = task.transfers.iter().filter_map(|(name, transfer)| {
        let remote = transfer.remote.as_deref()?;
        Some((Cow::Owned(format!("transfers.{name}.remote")), remote))
    });
    words
        .iter()
        .map(|text| at("command", text))
        .chain(line.map(|text| at("shell", text)))
        .chain(task.args.iter().map(|text| at("args", text)))
        .chain(task.workdir.iter().map(|text| at("workdir", text)))
        .chain(env)
        .chain(remotes)
}

/// The task as it is run: every placeholder has become its value, each as a part of the word or value that it stands in.
/// In a line for the shell values are quoted, so that none can end its word there.
///
/// What comes out is no template any more: `{{{{` has become `{{`.
pub fn render<'a>(task: &'a Task, values: &Values) -> Result<Cow<'a, Task>, RenderError> {
    if !templates(task).any(|(_, text)| is_template(text)) {
        return Ok(Cow::Borrowed(task));
    }
    let mut task = task.clone();
    match &mut task.program {
        Program::Script(_) => {}
        Program::Command(words) => fill_all("command", words, values)?,
        Program::Shell(line) => {
            let filled = || shell::line(&pieces(line)?, |name| value(name, values));
            *line = filled().map_err(|problem| RenderError { place: "shell".to_owned(), problem })?;
        }
    }
    fill_all("args", &mut task.args, values)?;
    for (key, text) in &mut task.env {
        fill(|| format!("env.{key}"), text, values)?;
    }
    for (name, transfer) in &mut task.transfers {
        if let Some(remote) = &mut transfer.remote {
            fill(|| format!("transfers.{name}.remote"), remote, values)?;
        }
    }
    if let Some(workdir) = &mut task.workdir {
        let place = || "workdir".to_owned();
        fill(place, workdir, values)?;
        *workdir =
            inside::work_directory(workdir).map_err(|error| RenderError { place: place(), problem: error.into() })?;
    }
    Ok(Cow::Owned(task))
}

fn fill_all(place: &str, words: &mut [String], values: &Values) -> Result<(), RenderError> {
    words.iter_mut().try_for_each(|word| fill(|| place.to_owned(), word, values))
}

/// Fills in a text that is one word, or one value.
fn fill(place: impl Fn() -> String, text: &mut String, values: &Values) -> Result<(), RenderError> {
    if !is_template(text) {
        return Ok(());
    }
    let filled = || -> Result<String, RenderProblem> {
        let mut filled = String::new();
        for piece in pieces(text)? {
            match piece {
                Piece::Text(text) => filled += &text,
                Piece::Value { name, .. } => filled += &value(name, values)?,
            }
        }
        Ok(filled)
    };
    *text = filled().map_err(|problem| RenderError { place: place(), problem })?;
    Ok(())
}

fn value(name: &str, values: &Values) -> Result<String, RenderProblem> {
    let text = values.get(name).map(plain_text).ok_or_else(|| RenderProblem::NoValue(name.to_owned()))?;
    if text.contains('\0') { Err(RenderProblem::Nul(name.to_owned())) } else { Ok(text) }
}
