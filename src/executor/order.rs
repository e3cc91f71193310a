//! What a job is to be, as it is asked for, and what comes of that with its task: values, and where it runs.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;

use crate::domain::edge::Edge;
use crate::domain::inside::{self, InsideError};
use crate::domain::name::JobId;
use crate::domain::params::{self, Given, Param, ParamError, RenderError, Typed, Values};
use crate::domain::task::{Program, Task};

/// What one job is to be, or many that differ in a line alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Its parameters.
    pub params: BTreeMap<String, Given>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its data.
    pub data: Option<Value>,
    /// The jobs that it waits for, and for what.
    pub parents: Vec<(JobId, Edge)>,
    /// The higher goes first; unset, the task's.
    pub priority: Option<i64>,
    /// Its work directory, relative and inside the folder of the jobs; may hold placeholders. Unset, the task's.
    pub workdir: Option<String>,
    /// The name of the run that it belongs to.
    pub run_name: Option<String>,
    /// The moment before which it is not to run.
    pub not_before: Option<Timestamp>,
    /// Whether it waits for its release.
    pub held: bool,
    /// Whether its output is kept.
    pub keeps_output: bool,
    /// Where it is brought things from, or they are taken to, by the slot of the task.
    pub transfers: BTreeMap<String, String>,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            params: BTreeMap::new(),
            tags: BTreeMap::new(),
            data: None,
            parents: Vec::new(),
            priority: None,
            workdir: None,
            run_name: None,
            not_before: None,
            held: false,
            keeps_output: true,
            transfers: BTreeMap::new(),
        }
    }
}

/// Why a job cannot be made as it was asked for.
#[derive(Debug, Error)]
pub enum OrderError {
    /// The values that were given do not fit.
    #[error("{}", params::all(.0))]
    Values(Vec<ParamError>),
    /// They cannot stand where they belong.
    #[error(transparent)]
    Fill(#[from] RenderError),
    /// Its work directory may lie anywhere.
    #[error("its work directory: {0}")]
    Workdir(#[from] InsideError),
    /// The parameter of the line was given too.
    #[error("parameter `{}` is what each line gives, and is given besides", params::LINE)]
    LineTwice,
    /// A line for the shell has no arguments.
    #[error("its shell line does not say where the line of the file goes")]
    NoPlaceForLine,
}

impl OrderError {
    /// The ways out; `of_task` unless it is about a command of its own.
    pub fn hints(&self, of_task: bool) -> Vec<String> {
        match self {
            Self::Values(errors) => errors.iter().map(|error| error.hint_to_giver(of_task)).collect(),
            Self::Fill(error) => vec![error.hint()],
            Self::Workdir(error) => vec![error.hint().to_owned()],
            Self::LineTwice => vec![format!("leave `-p {}=…` out", params::LINE)],
            Self::NoPlaceForLine => vec!["write `{{line}}` into it, where a word may stand".to_owned()],
        }
    }
}

/// What comes of an order with its task.
#[derive(Debug)]
pub(super) struct Resolved {
    /// The values of its parameters.
    pub(super) params: Values,
    /// Numbers among them as they were typed.
    pub(super) typed: Typed,
    /// Those of them that are the task's defaults.
    pub(super) defaults: BTreeSet<String>,
    /// Where it runs, inside of the folder of the jobs; none for the task's own directory.
    pub(super) workdir: Option<String>,
}

impl Resolved {
    /// The values as they stand where their placeholders are.
    pub(super) fn words(&self) -> Values {
        params::in_words(&self.params, &self.typed)
    }
}

/// What the jobs of an order have in common: the task as they run it, and the parameters that it takes.
pub(super) struct Form<'a> {
    task: Cow<'a, Task>,
    taken: BTreeMap<String, Param>,
    order: &'a Order,
}

impl<'a> Form<'a> {
    /// `lined` is whether each job is made for a line: its parameter `line`, or its last argument.
    pub(super) fn new(definition: &'a Task, order: &'a Order, lined: bool) -> Result<Self, OrderError> {
        let mut task = Cow::Borrowed(definition);
        if lined {
            task = params::with_line(definition).ok_or(OrderError::NoPlaceForLine)?;
        }
        if let Some(workdir) = &order.workdir {
            task.to_mut().workdir = Some(workdir.clone());
        }
        let mut taken = params::taken(&task);
        if lined {
            if order.params.contains_key(params::LINE) {
                return Err(OrderError::LineTwice);
            }
            taken.entry(params::LINE.to_owned()).or_default();
        }
        Ok(Self { task, taken, order })
    }

    /// Finds out what a job's values are, and makes sure that it can be run with them as far as they matter.
    pub(super) fn resolve(&self, line: Option<&str>) -> Result<Resolved, OrderError> {
        let mut given = Cow::Borrowed(&self.order.params);
        if let Some((line, param)) = line.zip(self.taken.get(params::LINE)) {
            given.to_mut().insert(params::LINE.to_owned(), params::line(line, param));
        }
        let values = params::resolve(&self.taken, &given).map_err(OrderError::Values)?;
        let typed = params::typed(&given, &values);
        let rendered = params::render(&self.task, &params::in_words(&values, &typed))?;
        let workdir = rendered.workdir.as_deref().map(inside::work_directory).transpose()?;
        let defaults = values.keys().filter(|name| !given.contains_key(*name)).cloned().collect();
        Ok(Resolved { params: values, typed, defaults, workdir })
    }
}

/// The same for a single job without a line.
pub(super) fn resolve(definition: &Task, order: &Order) -> Result<Resolved, OrderError> {
    Form::new(definition, order, false)?.resolve(None)
}

/// Finds out the same for a job that is run again with another definition of its task. The values that were given to it
/// stay what they are, also where the task no longer takes them; `workdir` is what was asked for with it.
pub(super) fn resolve_again(
    definition: &Task,
    given: Values,
    typed: Typed,
    workdir: Option<&str>,
) -> Result<Resolved, RenderError> {
    let lined = if given.contains_key(params::LINE) { params::with_line(definition) } else { None };
    let task = lined.unwrap_or(Cow::Borrowed(definition));
    let (mut values, mut defaults) = (given, BTreeSet::new());
    for (name, param) in params::taken(&task) {
        if let Some(default) = param.default().filter(|_| !values.contains_key(&name)) {
            values.insert(name.clone(), default.clone());
            defaults.insert(name);
        }
    }
    let nothing = Task::new(task.name.clone(), Program::Command(Vec::new()), task.wd.clone());
    let workdir = workdir.map(str::to_owned).or_else(|| task.workdir.clone());
    let workdir = params::render(&Task { workdir, ..nothing }, &params::in_words(&values, &typed))?.workdir.clone();
    Ok(Resolved { params: values, typed, defaults, workdir })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::name::TaskName;
    use crate::domain::params::{Kind, Need, Param};

    fn task(program: Program) -> Task {
        Task::new(TaskName::parse("t").unwrap(), program, "/".into())
    }

    fn command(words: &[&str]) -> Task {
        task(Program::Command(words.iter().map(|word| (*word).to_owned()).collect()))
    }

    fn order(params: &[(&str, &str)]) -> Order {
        let given = |(name, text): &(&str, &str)| ((*name).to_owned(), Given::Text((*text).to_owned()));
        Order { params: params.iter().map(given).collect(), ..Order::default() }
    }

    #[track_caller]
    fn runs(task: &Task, order: &Order, expected: &[&str]) {
        runs_with(task, order, None, expected);
    }

    #[track_caller]
    fn runs_with(task: &Task, order: &Order, line: Option<&str>, expected: &[&str]) {
        let resolved = with_line(task, order, line).unwrap();
        let run = params::of_job(task, &resolved.words()).unwrap();
        let Program::Command(words) = &run.program else { panic!("{run:?}") };
        assert_eq!(words.iter().chain(&run.args).collect::<Vec<_>>(), expected);
    }

    fn with_line(task: &Task, order: &Order, line: Option<&str>) -> Result<Resolved, OrderError> {
        Form::new(task, order, line.is_some())?.resolve(line)
    }

    #[test]
    fn what_is_run_has_the_values() {
        runs(&command(&["echo", "a{{x}}"]), &order(&[("x", "b c")]), &["echo", "ab c"]);
        runs(&command(&["echo", "{{{{x}}"]), &order(&[]), &["echo", "{{x}}"]);
        for typed in ["1.50", "1e-3", "1.5", "-0", "2E2", "true", "1_0"] {
            runs(&command(&["echo", "{{x}}"]), &order(&[("x", typed)]), &["echo", typed]);
        }
        let mut float = command(&["echo", "{{x}}"]);
        float.params.insert("x".to_owned(), Param { kind: Some(Kind::Float), ..Default::default() });
        for typed in ["-0", "3", "100000000000000000000", "1e-3"] {
            runs(&float, &order(&[("x", typed)]), &["echo", typed]);
        }
        assert_eq!(resolve(&command(&["{{x}}"]), &order(&[("x", "1.50")])).unwrap().params["x"], json!(1.5));
    }

    #[test]
    fn a_line_arrives_to_the_byte_unless_it_has_a_type() {
        let none = Order::default();
        for line in ["1.50", "true", " a  b", "", "{{x}}", "007"] {
            runs_with(&command(&["echo"]), &none, Some(line), &["echo", line]);
            runs_with(&command(&["echo", "{{line}}", "z"]), &none, Some(line), &["echo", line, "z"]);
        }
        let mut typed = command(&["echo"]);
        typed.params.insert("line".to_owned(), Param { kind: Some(Kind::Int), ..Default::default() });
        assert_eq!(with_line(&typed, &none, Some("7")).unwrap().params["line"], json!(7));
        runs_with(&typed, &none, Some("7"), &["echo"]);
        assert!(matches!(with_line(&typed, &none, Some("x")), Err(OrderError::Values(_))));
        let twice = with_line(&command(&["echo"]), &order(&[("line", "y")]), Some("x"));
        assert!(matches!(twice, Err(OrderError::LineTwice)));
        let shell = task(Program::Shell("wc -l".into()));
        assert!(matches!(with_line(&shell, &none, Some("x")), Err(OrderError::NoPlaceForLine)));
    }

    #[test]
    fn the_work_directory_is_the_orders_or_the_tasks_and_stays_inside() {
        let mut task = command(&["echo"]);
        task.workdir = Some("w/{{x}}".to_owned());
        assert_eq!(resolve(&task, &order(&[("x", "1")])).unwrap().workdir.as_deref(), Some("w/1"));
        assert!(matches!(resolve(&task, &order(&[("x", "../..")])), Err(OrderError::Fill(_))));
        let other = |workdir: &str| Order { workdir: Some(workdir.to_owned()), ..Order::default() };
        assert_eq!(resolve(&task, &other("./a//b")).unwrap().workdir.as_deref(), Some("a/b"));
        for wrong in ["/a", "..", "7", ""] {
            assert!(matches!(resolve(&task, &other(wrong)), Err(OrderError::Workdir(_))), "{wrong}");
        }
        runs(&task, &other("a"), &["echo"]);
        let lined = other("w/{{line}}");
        assert_eq!(with_line(&task, &lined, Some("b")).unwrap().workdir.as_deref(), Some("w/b"));
        runs_with(&task, &lined, Some("b"), &["echo", "b"]);
    }

    #[test]
    fn a_default_that_has_come_since_holds() {
        let mut task = command(&["echo", "{{x}}"]);
        assert!(params::of_job(&task, &Values::new()).is_err());
        task.params.insert("x".to_owned(), Param { need: Need::Default(json!(4)), ..Default::default() });
        let run = params::of_job(&task, &Values::new()).unwrap();
        assert_eq!(run.program, Program::Command(vec!["echo".into(), "4".into()]));
    }
}
