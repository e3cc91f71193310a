//! What may be asked about: the fields of a job, and which of them a name means.

use super::Scope;
use super::error::Problem;
use super::lexer::keys;

/// A field of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// One that every job has.
    BuiltIn(BuiltIn),
    /// A parameter of this name.
    Param(String),
    /// The tag of this name.
    Tag(String),
    /// What these keys, one in the other, lead to in the job's data; at least one.
    Data(Vec<String>),
}

/// A field that every job has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltIn {
    /// Its id.
    Id,
    /// Its state.
    State,
    /// The task it was made from.
    Task,
    /// The name that the user gave to a set of jobs.
    RunName,
    /// The jobs that it waits for.
    Parent,
    /// The job that made it.
    SpawnedBy,
    /// The first of those it descends from.
    Root,
    /// Its directory.
    Workdir,
    /// How its last run ended.
    ExitCode,
    /// How many runs it has had.
    Attempt,
    /// Its place in the queue.
    Priority,
    /// Whether it is held.
    Held,
    /// When it was made.
    Created,
    /// When it was started.
    Started,
    /// When it ended.
    Ended,
    /// From its start to its end, or to now.
    Duration,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Numbers.
    Number,
    /// Texts.
    Text,
    /// States.
    State,
    /// Truth values.
    Bool,
    /// Moments.
    Time,
    /// Lengths of time.
    Duration,
    /// Whatever it was given: a number, a text, a truth value.
    Any,
}

impl BuiltIn {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Id,
        Self::State,
        Self::Task,
        Self::RunName,
        Self::Parent,
        Self::SpawnedBy,
        Self::Root,
        Self::Workdir,
        Self::ExitCode,
        Self::Attempt,
        Self::Priority,
        Self::Held,
        Self::Created,
        Self::Started,
        Self::Ended,
        Self::Duration,
    ];

    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::State => "state",
            Self::Task => "task",
            Self::RunName => "run_name",
            Self::Parent => "parent",
            Self::SpawnedBy => "spawned_by",
            Self::Root => "root",
            Self::Workdir => "workdir",
            Self::ExitCode => "exit_code",
            Self::Attempt => "attempt",
            Self::Priority => "priority",
            Self::Held => "held",
            Self::Created => "created",
            Self::Started => "started",
            Self::Ended => "ended",
            Self::Duration => "duration",
        }
    }

    /// What it holds.
    pub fn kind(self) -> Kind {
        match self {
            Self::Id
            | Self::Parent
            | Self::SpawnedBy
            | Self::Root
            | Self::ExitCode
            | Self::Attempt
            | Self::Priority => Kind::Number,
            Self::State => Kind::State,
            Self::Task | Self::RunName | Self::Workdir => Kind::Text,
            Self::Held => Kind::Bool,
            Self::Created | Self::Started | Self::Ended => Kind::Time,
            Self::Duration => Kind::Duration,
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}

impl Field {
    /// What it holds.
    pub fn kind(&self) -> Kind {
        match self {
            Self::BuiltIn(built_in) => built_in.kind(),
            Self::Tag(_) => Kind::Text,
            Self::Param(_) | Self::Data(_) => Kind::Any,
        }
    }

    /// The field that is meant by a word.
    ///
    /// `param.x` need not be known: there may be no job yet that has it.
    pub(super) fn resolve(word: &str, scope: &Scope<'_>) -> Result<Self, Problem> {
        if let Some((prefix, rest)) = word.split_once('.') {
            match prefix {
                "param" => return name(word, rest).map(Self::Param),
                "tag" => return name(word, rest).map(Self::Tag),
                "data" => {
                    let keys = keys(rest);
                    let whole = !keys.iter().any(String::is_empty);
                    return if whole { Ok(Self::Data(keys)) } else { Err(Problem::NoName(word.to_owned())) };
                }
                "job" => return BuiltIn::parse(rest).map(Self::BuiltIn).ok_or_else(|| unknown(rest, &[])),
                _ => {}
            }
        }
        let is_parameter = scope.parameters.iter().any(|known| known == word);
        match (BuiltIn::parse(word), is_parameter) {
            (Some(_), true) => Err(Problem::Ambiguous(word.to_owned())),
            (Some(built_in), false) => Ok(Self::BuiltIn(built_in)),
            (None, true) => Ok(Self::Param(word.to_owned())),
            (None, false) => Err(unknown(word, scope.parameters)),
        }
    }
}

/// A name behind its prefix: the dots in it are its own.
fn name(word: &str, rest: &str) -> Result<String, Problem> {
    let name = keys(rest).join(".");
    if name.is_empty() { Err(Problem::NoName(word.to_owned())) } else { Ok(name) }
}

fn unknown(name: &str, parameters: &[String]) -> Problem {
    Problem::Unknown { name: name.to_owned(), parameters: parameters.to_vec() }
}
