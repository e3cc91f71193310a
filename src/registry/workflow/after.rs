//! What jobs of a file wait for among each other: names of the file, and no circles.

use std::collections::HashMap;
use std::ops::Range;

use toml::de::DeValue;

use super::PlannedJob;
use crate::domain::edge::Edge;
use crate::domain::graph;
use crate::domain::group::Label;
use crate::domain::suggest::nearest;
use crate::registry::mistake::Problem;
use crate::registry::value::{Entry, Reader};

/// What the kinds of edges are called.
const KINDS: [&str; 3] = ["success", "end", "failure"];

/// What a job waits for: `"other"`, `"other:end"`.
pub(super) fn after(entry: &Entry<'_, '_>, reader: &mut Reader<'_>) -> Vec<(Label, Edge)> {
    let mut found: Vec<(Label, Edge)> = Vec::new();
    let Some(words) = reader.list(entry) else { return found };
    for (nth, word) in words.iter().enumerate() {
        let span = nth_of(entry, nth);
        let (local, kind) = word.split_once(':').unwrap_or((word, "success"));
        let Some(kind) = Edge::parse(kind) else {
            let problem =
                Problem::Word { key: entry.key.clone(), found: kind.to_owned(), known: "success, end and failure" };
            let hint = nearest(kind, KINDS).map(|near| format!("did you mean `{local}:{near}`?"));
            reader.sink.add(span, problem, hint);
            continue;
        };
        match Label::parse(local) {
            Err(error) => reader.sink.add(span, error.into(), None),
            Ok(local) if found.iter().any(|(other, _)| other.key() == local.key()) => {
                reader.sink.add(span, Problem::Twice { key: entry.key.clone(), word: local.to_string() }, None);
            }
            Ok(local) => found.push((local, kind)),
        }
    }
    found
}

/// Where an item of a list stands.
fn nth_of(entry: &Entry<'_, '_>, nth: usize) -> Range<usize> {
    match entry.value.get_ref() {
        DeValue::Array(items) => items.get(nth).map_or_else(|| entry.value.span(), toml::Spanned::span),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Table(_) => entry.value.span(),
    }
}

/// The jobs in an order in which each comes after those that it waits for.
pub(super) fn bound(jobs: Vec<PlannedJob>, reader: &mut Reader<'_>) -> Vec<PlannedJob> {
    let places: HashMap<String, usize> = jobs.iter().enumerate().map(|(at, job)| (job.local.key(), at)).collect();
    let mut parents = Vec::with_capacity(jobs.len());
    for job in &jobs {
        for (other, _) in job.after.iter().filter(|(other, _)| !places.contains_key(&other.key())) {
            let near = nearest(other.as_str(), jobs.iter().map(|job| job.local.as_str()));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            reader.sink.add(job.place("after"), Problem::UnknownJob { name: other.to_string() }, hint);
        }
        parents.push(job.after.iter().filter_map(|(other, _)| places.get(&other.key()).copied()).collect());
    }
    match graph::ordered(&parents) {
        Ok(order) => {
            let mut jobs: Vec<Option<PlannedJob>> = jobs.into_iter().map(Some).collect();
            order.into_iter().filter_map(|at| jobs.get_mut(at).and_then(Option::take)).collect()
        }
        Err(circle) => {
            let closed = circle.iter().chain(circle.first()).filter_map(|at| jobs.get(*at));
            let words: Vec<String> = closed.map(|job| format!("`{}`", job.local)).collect();
            if let Some(job) = circle.first().and_then(|at| jobs.get(*at)) {
                let problem = Problem::Circle { circle: words.join(" after ") };
                reader.sink.add(job.place("after"), problem, Some("take one of them out of `after`".to_owned()));
            }
            jobs
        }
    }
}
