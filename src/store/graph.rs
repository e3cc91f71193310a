//! Jobs in bulk: how the selected ones stand, what they wait for, and when they ran. One statement for each of these,
//! however many jobs there are.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, Row, params_from_iter};

use crate::domain::edge::Edge;
use crate::domain::lifecycle::State;
use crate::domain::name::JobId;
use crate::domain::selection::Selection;

use super::selection::{Clause, clause};
use super::{StoreError, time};

/// A job as a picture needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobNode {
    /// Its id.
    pub id: JobId,
    /// Its state.
    pub state: State,
    /// Whether somebody holds it back.
    pub held: bool,
    /// Its task; none for a command of its own.
    pub task: Option<String>,
    /// The place of its definition.
    pub definition: i64,
    /// The word for why it is in its state.
    pub code: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it first ran.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// A dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The job that is waited for.
    pub parent: JobId,
    /// The job that waits.
    pub child: JobId,
    /// What binds them.
    pub kind: Tie,
}

/// What binds one job to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// It waits for this of the other.
    Waits(Edge),
    /// It was made in the other's script.
    Spawned,
}

impl Tie {
    /// The word for it, where it is not the usual one.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Waits(Edge::Success) => None,
            Self::Waits(Edge::End) => Some("end"),
            Self::Waits(Edge::Failure) => Some("failure"),
            Self::Spawned => Some("spawned"),
        }
    }
}

/// When a run was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunSpan {
    /// Its job.
    pub job: JobId,
    /// Whether it is one of the job itself, not of a hook or the like.
    pub is_main: bool,
    /// The slot that it was claimed for.
    pub slot: Option<u32>,
    /// When it was claimed.
    pub claimed: Timestamp,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How long it took, where somebody has seen that.
    pub lasted: Option<Duration>,
}

/// The selected jobs, in the order of their ids.
pub fn jobs(connection: &Connection, selection: &Selection, now: Timestamp) -> Result<Vec<JobNode>, StoreError> {
    let clause = clause(connection, selection, now)?;
    let sql = format!("SELECT {NODE} FROM jobs WHERE {} ORDER BY id", clause.sql);
    read(connection, &sql, clause, node)
}

const NODE: &str = "id, state, held, task, definition, code, created, started, ended";

fn node(row: &Row<'_>) -> rusqlite::Result<JobNode> {
    let state: String = row.get(1)?;
    let moment = |at: usize| row.get::<_, Option<i64>>(at).map(|at| at.map(time));
    Ok(JobNode {
        id: JobId(row.get(0)?),
        state: State::parse(&state).unwrap_or(State::Created),
        held: row.get(2)?,
        task: row.get(3)?,
        definition: row.get(4)?,
        code: row.get(5)?,
        created: time(row.get(6)?),
        started: moment(7)?,
        ended: moment(8)?,
    })
}

/// What binds a job to others: of those that it comes from, and those that come of it, all the way up and down.
const LINEAGE: &str = "WITH RECURSIVE
     up (id) AS (VALUES (?1) UNION SELECT parent FROM up JOIN edges ON child = up.id
         UNION SELECT spawned_by FROM up JOIN jobs ON jobs.id = up.id WHERE spawned_by IS NOT NULL),
     down (id) AS (VALUES (?1) UNION SELECT child FROM down JOIN edges ON parent = down.id
         UNION SELECT jobs.id FROM down JOIN jobs ON spawned_by = down.id),
     kin (id) AS MATERIALIZED (SELECT id FROM up UNION SELECT id FROM down)";

/// The jobs that a job comes from and that come of it, itself too, in the order of their ids; and what binds them.
pub fn lineage(connection: &Connection, job: JobId) -> Result<(Vec<JobNode>, Vec<Link>), StoreError> {
    let clause = |sql: &str| Clause { sql: sql.to_owned(), values: vec![job.0.into()] };
    let jobs = format!("{LINEAGE} SELECT {NODE} FROM jobs WHERE id IN (SELECT id FROM kin) ORDER BY id");
    let jobs = read(connection, &jobs, clause(&jobs), node)?;
    // Who waits for the one that made it is bound once, by that: `~` comes after every word.
    let links = format!(
        "{LINEAGE},
         ties (parent, child, kind) AS (SELECT parent, child, kind FROM kin JOIN edges ON child = kin.id
             UNION ALL SELECT spawned_by, jobs.id, '~' FROM kin JOIN jobs ON jobs.id = kin.id)
         SELECT parent, child, min(kind) FROM ties WHERE parent IN (SELECT id FROM kin)
         GROUP BY child, parent ORDER BY child, parent"
    );
    let links = read(connection, &links, clause(&links), |row| {
        let kind: String = row.get(2)?;
        let kind = Edge::parse(&kind).map_or(Tie::Spawned, Tie::Waits);
        Ok(Link { parent: JobId(row.get(0)?), child: JobId(row.get(1)?), kind })
    })?;
    Ok((jobs, links))
}

/// What the selected jobs wait for: other selected ones, in the order of the children and then of the parents.
pub fn links(connection: &Connection, selection: &Selection, now: Timestamp) -> Result<Vec<Link>, StoreError> {
    let clause = clause(connection, selection, now)?;
    // Without the plus, SQLite would look up every pair of a child and a parent that are chosen.
    let sql = format!(
        "WITH chosen AS MATERIALIZED (SELECT id FROM jobs WHERE {})
         SELECT parent, child, kind FROM edges
         WHERE child IN (SELECT id FROM chosen) AND +parent IN (SELECT id FROM chosen) ORDER BY child, parent",
        clause.sql
    );
    read(connection, &sql, clause, |row| {
        let kind: String = row.get(2)?;
        let kind = Tie::Waits(Edge::parse(&kind).unwrap_or_default());
        Ok(Link { parent: JobId(row.get(0)?), child: JobId(row.get(1)?), kind })
    })
}

/// When the last parent of each selected job ended that has one, selected or not.
pub fn parents_done(
    connection: &Connection,
    selection: &Selection,
    now: Timestamp,
) -> Result<Vec<(JobId, Timestamp)>, StoreError> {
    let clause = clause(connection, selection, now)?;
    let sql = format!(
        "WITH chosen AS MATERIALIZED (SELECT id FROM jobs WHERE {})
         SELECT edges.child, max(parents.ended) FROM edges JOIN jobs AS parents ON parents.id = edges.parent
         WHERE edges.child IN (SELECT id FROM chosen) AND parents.ended IS NOT NULL GROUP BY edges.child",
        clause.sql
    );
    read(connection, &sql, clause, |row| Ok((JobId(row.get(0)?), time(row.get(1)?))))
}

/// The runs of the selected jobs, messages about them apart.
pub fn runs(connection: &Connection, selection: &Selection, now: Timestamp) -> Result<Vec<RunSpan>, StoreError> {
    let clause = clause(connection, selection, now)?;
    let sql = format!(
        "WITH chosen AS MATERIALIZED (SELECT id FROM jobs WHERE {})
         SELECT job, kind = 'main', slot, claimed, started, ended, lasted FROM runs
         WHERE job IN (SELECT id FROM chosen) AND kind <> 'notify'",
        clause.sql
    );
    read(connection, &sql, clause, |row| {
        let moment = |at: usize| row.get::<_, Option<i64>>(at).map(|at| at.map(time));
        Ok(RunSpan {
            job: JobId(row.get(0)?),
            is_main: row.get(1)?,
            slot: row.get(2)?,
            claimed: time(row.get(3)?),
            started: moment(4)?,
            ended: moment(5)?,
            lasted: row.get::<_, Option<u64>>(6)?.map(Duration::from_micros),
        })
    })
}

fn read<T>(
    connection: &Connection,
    sql: &str,
    clause: Clause,
    row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    let doing = "read the selected jobs";
    let mut statement = connection.prepare_cached(sql).map_err(StoreError::sql(doing))?;
    let rows = statement.query_map(params_from_iter(clause.values), row);
    rows.and_then(Iterator::collect).map_err(StoreError::sql(doing))
}
