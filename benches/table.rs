//! The figures as a table: each beside what it is compared with, what it is to be, and whether it is.
//!
//! Budgets of time were made on a machine where `/bin/true` takes 0.7 ms. Where it takes longer they are longer too, and
//! the table says so: *met here* is met by that measure alone.

// Each benchmark uses its part of it.
#![allow(dead_code, unreachable_pub)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::measure::Times;

/// What `/bin/true` took on the machine that the budgets were made on, in milliseconds.
pub const TRUE_OF_THE_BUDGETS: f64 = 0.7;

/// How often `/bin/true` is run before each row.
const SAMPLES: usize = 15;

/// What a value is to be.
#[derive(Clone, Copy)]
pub enum Budget {
    None,
    /// A time, which depends on the machine.
    Within(f64),
    AtMost(f64),
    AtLeast(f64),
}

/// One run of `/bin/true`.
pub fn nothing() -> Duration {
    let start = Instant::now();
    let mut command = Command::new("/bin/true");
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.status().unwrap().success());
    start.elapsed()
}

/// What is measured, how much it is of what, the value, the same of something bare, and the same of others.
pub struct Row {
    pub what: String,
    pub unit: &'static str,
    pub value: f64,
    pub bare: Option<f64>,
    pub budget: Budget,
    pub peers: Vec<String>,
}

impl Row {
    pub fn new(what: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self { what: what.into(), unit, value, bare: None, budget: Budget::None, peers: Vec::new() }
    }

    pub fn beside(self, bare: f64) -> Self {
        Self { bare: Some(bare), ..self }
    }

    pub fn within(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// What others have, where they are installed.
    pub fn peers<T>(mut self, peers: &[Option<T>], text: impl Fn(&T) -> String) -> Self {
        let text = |peer: &Option<T>| peer.as_ref().map_or_else(|| "not installed".to_owned(), &text);
        self.peers.extend(peers.iter().map(text));
        self
    }

    /// The cells, on a machine that is so many times slower than that of the budgets.
    fn cells(&self, slower: f64) -> Vec<String> {
        let Self { what, unit, value, bare, budget, peers } = self;
        let ratio = bare.map_or_else(|| "–".to_owned(), |bare| with_bare(*value, bare, unit));
        let met = |met| if met { "met" } else { "**not met**" };
        let (target, verdict) = match *budget {
            Budget::None => ("–".to_owned(), "–"),
            Budget::AtMost(most) => (format!("≤ {most} {unit}"), met(*value <= most)),
            Budget::AtLeast(least) => (format!("≥ {least} {unit}"), met(*value >= least)),
            Budget::Within(most) => {
                let here = most * slower;
                let verdict = if *value > most && *value <= here { "met here" } else { met(*value <= most) };
                (format!("≤ {most} {unit} (here {})", precise(here)), verdict)
            }
        };
        let value = format!("{} {unit}", precise(*value)).trim().to_owned();
        [what.clone(), value, ratio, target.trim().to_owned(), verdict.to_owned()]
            .into_iter()
            .chain(peers.iter().cloned())
            .collect()
    }
}

fn with_bare(value: f64, bare: f64, unit: &str) -> String {
    format!("{:.1} × bare ({} {unit})", value / bare, precise(bare))
}

/// Rows, and the machine as it was meanwhile.
pub struct Table {
    peers: &'static [&'static str],
    rows: Vec<Row>,
    nothing: Times,
}

impl Table {
    /// With columns for these others.
    pub fn new(peers: &'static [&'static str]) -> Self {
        let mut table = Self { peers, rows: Vec::new(), nothing: Times::default() };
        table.feel();
        table
    }

    /// Looks how fast the machine is at present.
    fn feel(&mut self) {
        (0..SAMPLES).for_each(|_| self.nothing.push(nothing()));
    }

    /// How many times slower than that of the budgets the machine was.
    fn slower(&self) -> f64 {
        (self.nothing.median() / TRUE_OF_THE_BUDGETS).max(1.0)
    }

    pub fn push(&mut self, row: Row) {
        println!("{}", row.cells(self.slower()).join(", "));
        self.rows.push(row);
        self.feel();
    }

    /// As Markdown, so that it can be pasted as it is.
    pub fn print(&self) {
        let (median, slower) = (self.nothing.median(), self.slower());
        println!(
            "\n`/bin/true` took {median:.2} ms (median of all that were run in between): {slower:.1} × that of the budgets\n"
        );
        let names = ["what", "jobexec", "ratio", "budget", ""].into_iter().chain(self.peers.iter().copied());
        let names: Vec<&str> = names.collect();
        println!("| {} |\n| {} |", names.join(" | "), vec!["---"; names.len()].join(" | "));
        for row in &self.rows {
            let mut cells = row.cells(slower);
            cells.resize(names.len(), "–".to_owned());
            println!("| {} |", cells.join(" | "));
        }
    }
}

/// With as many digits as say something.
pub fn precise(number: f64) -> String {
    let digits = match number {
        number if number.fract() == 0.0 || number >= 100.0 => 0,
        number if number >= 10.0 => 1,
        number if number >= 0.1 => 2,
        _ => 4,
    };
    format!("{number:.digits$}")
}
