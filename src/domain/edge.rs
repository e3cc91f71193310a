//! Edges between jobs: what a child waits for in a parent.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::lifecycle::{Phase, State};

/// What a child waits for in a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Edge {
    /// That it finishes.
    #[default]
    Success,
    /// That it ends, however that may be.
    End,
    /// That it ends without having finished.
    Failure,
}

/// How far an edge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It has come.
    Met,
    /// It may still come.
    Waiting,
    /// It cannot come any more, unless the parent is run again.
    Broken,
}

impl Edge {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Success, Self::End, Self::Failure];

    /// The word in the database, on the command line and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::End => "end",
            Self::Failure => "failure",
        }
    }

    /// The kind of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// How far the edge is when its parent is in this state.
    pub fn progress(self, parent: State) -> Progress {
        let when = |met| if met { Progress::Met } else { Progress::Broken };
        match parent.phase() {
            Phase::Finished => when(self != Self::Failure),
            Phase::Failed | Phase::Cancelled => when(self != Self::Success),
            Phase::Blocked => Progress::Broken,
            Phase::Ahead | Phase::Running | Phase::Failing | Phase::Wiping => Progress::Waiting,
        }
    }

    /// The code of a child whose edge is broken: nobody needs what waits for a failure that did not come.
    pub fn code_when_broken(self, parent: State) -> &'static str {
        if self == Self::Failure && parent == State::JobFinished { "not_needed" } else { "parent_failed" }
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_met_by_what_it_waits_for_and_broken_by_any_other_end() {
        let table = [
            (State::JobFinished, [Progress::Met, Progress::Met, Progress::Broken]),
            (State::Failed, [Progress::Broken, Progress::Met, Progress::Met]),
            (State::Cancelled, [Progress::Broken, Progress::Met, Progress::Met]),
            (State::Blocked, [Progress::Broken; 3]),
            (State::RestartReady, [Progress::Waiting; 3]),
        ];
        for (state, expected) in table {
            assert_eq!(Edge::ALL.map(|edge| edge.progress(state)), expected, "{state}");
        }
    }
}
