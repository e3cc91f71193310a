//! Pictures of what jobs wait for: a tree in text, and the source of a drawing for Graphviz.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};

use owo_colors::OwoColorize;
use unicode_width::UnicodeWidthStr;

use crate::domain::edge::Edge;
use crate::domain::lifecycle::{Phase, State};
use crate::domain::name::JobId;
use crate::store::graph::{Link, Tie};

use super::jobs::style;
use super::screen::visible;
use super::table::cut;

/// How deep a tree is drawn before it goes on at the margin: a chain of a thousand jobs is no staircase.
const DEEPEST: usize = 24;

/// How many columns each level takes.
const INDENT: usize = 3;

/// What is left for a job's line where the terminal is narrow.
const ROOM: usize = 40;

/// A job in a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: JobId,
    /// Its state.
    pub state: State,
    /// Whether somebody holds it back.
    pub held: bool,
    /// What it is: its task, or its command.
    pub what: String,
}

impl Node {
    fn state_text(&self) -> String {
        if self.held { format!("{} (held)", self.state) } else { self.state.to_string() }
    }
}

/// Whether a job has been drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drawn {
    Not,
    /// It is to be drawn at the margin, further down.
    Later,
    Done,
}

/// One line that is still to be drawn.
struct Due {
    at: usize,
    kind: Tie,
    depth: usize,
    /// Whether it is the last child of its parent.
    last: bool,
}

/// Writes a tree: those that wait for none of the others at the margin, and below each what waits for it. A job with
/// several parents is drawn below the first and named below the others.
pub fn tree(nodes: &[Node], links: &[Link], width: Option<u16>, out: &mut dyn Write) -> io::Result<()> {
    let (children, has_parent) = children(nodes, links);
    let width = width.map(usize::from);
    let deepest = width.map_or(DEEPEST, |width| (width.saturating_sub(ROOM) / INDENT).clamp(2, DEEPEST));
    let roots = has_parent.iter().enumerate().filter(|(_, has)| !**has).map(|(at, _)| at);
    let mut margin: VecDeque<usize> = roots.collect();
    let mut drawn = vec![Drawn::Not; nodes.len()];
    // For each level whether a sibling follows further down.
    let mut open: Vec<bool> = Vec::new();
    let mut rest = 0..nodes.len();
    // What no root leads to is drawn as well: a picture leaves nothing out.
    while let Some(root) = margin.pop_front().or_else(|| rest.find(|at| drawn.get(*at) == Some(&Drawn::Not))) {
        let mut due = vec![Due { at: root, kind: Tie::Waits(Edge::Success), depth: 0, last: true }];
        while let Some(Due { at, kind, depth, last }) = due.pop() {
            let Some(node) = nodes.get(at) else { continue };
            open.truncate(depth.saturating_sub(1));
            let mut lead: String = open.iter().map(|open| if *open { "│  " } else { "   " }).collect();
            if depth > 0 {
                lead += if last { "└─ " } else { "├─ " };
                open.push(!last);
            }
            if let Some(word) = kind.word() {
                lead += &format!(":{word} ");
            }
            let was = drawn.get(at).copied().unwrap_or(Drawn::Done);
            let below = children.get(at).map(Vec::as_slice).unwrap_or_default();
            let now = match was {
                Drawn::Not if depth >= deepest && !below.is_empty() => Drawn::Later,
                Drawn::Later if depth > 0 => Drawn::Later,
                Drawn::Not | Drawn::Later | Drawn::Done => Drawn::Done,
            };
            if let Some(drawn) = drawn.get_mut(at) {
                *drawn = now;
            }
            match (was, now) {
                (Drawn::Done, _) => write_line(out, &format!("{lead}{} (see above)", node.id), width)?,
                (_, Drawn::Later) => {
                    write_line(out, &format!("{lead}{} (goes on below)", node.id), width)?;
                    if was == Drawn::Not {
                        margin.push_back(at);
                    }
                }
                (Drawn::Not | Drawn::Later, Drawn::Not | Drawn::Done) => {
                    write_node(out, &lead, node, width)?;
                    let many = below.len();
                    let line = |(nth, (at, kind)): (usize, &(usize, Tie))| Due {
                        at: *at,
                        kind: *kind,
                        depth: depth + 1,
                        last: nth + 1 == many,
                    };
                    due.extend(below.iter().enumerate().map(line).rev());
                }
            }
        }
    }
    Ok(())
}

/// The children of each, in the order of the nodes, and which of them have a parent.
fn children(nodes: &[Node], links: &[Link]) -> (Vec<Vec<(usize, Tie)>>, Vec<bool>) {
    let places: HashMap<JobId, usize> = nodes.iter().enumerate().map(|(at, node)| (node.id, at)).collect();
    let mut children = vec![Vec::new(); nodes.len()];
    let mut has_parent = vec![false; nodes.len()];
    for link in links {
        let (Some(parent), Some(child)) = (places.get(&link.parent), places.get(&link.child)) else { continue };
        if let (Some(list), Some(has)) = (children.get_mut(*parent), has_parent.get_mut(*child)) {
            list.push((*child, link.kind));
            *has = true;
        }
    }
    for list in &mut children {
        list.sort_unstable_by_key(|(at, _): &(usize, Tie)| *at);
    }
    (children, has_parent)
}

fn write_line(out: &mut dyn Write, text: &str, width: Option<usize>) -> io::Result<()> {
    match width {
        Some(width) => writeln!(out, "{}", cut(text, width)),
        None => writeln!(out, "{text}"),
    }
}

/// A job's line, its state in colour, cut to the width.
fn write_node(out: &mut dyn Write, lead: &str, node: &Node, width: Option<usize>) -> io::Result<()> {
    let (head, state) = (format!("{lead}{} ", node.id), node.state_text());
    let what = visible(&node.what);
    let left = width.map_or(usize::MAX, |width| width.saturating_sub(head.width()));
    let shown = cut(&state, left);
    let left = left.saturating_sub(shown.width() + 1);
    let what = if left > 0 && !what.is_empty() { format!(" {}", cut(&what, left)) } else { String::new() };
    writeln!(out, "{head}{}{what}", shown.style(style(node.state)))
}

/// Writes the source of a drawing for Graphviz.
pub fn dot(nodes: &[Node], links: &[Link], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "digraph jobs {{")?;
    writeln!(out, "  rankdir=LR;")?;
    writeln!(out, "  node [shape=box, style=\"rounded,filled\", fillcolor=white];")?;
    for node in nodes {
        let label = format!("{} {}\\n{}", node.id, in_quotes(&node.what), node.state_text());
        writeln!(out, "  {} [label=\"{label}\", fillcolor={}];", node.id, colour(node.state))?;
    }
    for link in links {
        let looks = match link.kind {
            Tie::Waits(Edge::Success) => "",
            Tie::Waits(Edge::End) => " [label=\"end\", style=dashed]",
            Tie::Waits(Edge::Failure) => " [label=\"failure\", style=dotted, color=red]",
            Tie::Spawned => " [label=\"spawned\", style=dashed, color=gray]",
        };
        writeln!(out, "  {} -> {}{looks};", link.parent, link.child)?;
    }
    writeln!(out, "}}")
}

/// A text as it stands between the quotes of a label, where a backslash begins something.
fn in_quotes(text: &str) -> String {
    visible(text).replace('\\', "\\\\").replace('"', "\\\"")
}

fn colour(state: State) -> &'static str {
    match state.phase() {
        Phase::Finished => "palegreen",
        Phase::Running => "lightskyblue",
        Phase::Failed | Phase::Failing => "lightcoral",
        Phase::Blocked => "khaki",
        Phase::Cancelled | Phase::Wiping => "lightgray",
        Phase::Ahead => "white",
    }
}

#[cfg(test)]
mod tests;
