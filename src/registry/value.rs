//! One value of the file read as what its field wants. Each function returns nothing after it has reported
//! the mistake; what fields mean together is not known here.

// The values are the TOML library's own enum; what a field does not take is one case, whatever it is.
#![allow(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Problem, Sink};
use crate::domain::amount::{AmountError, parse_duration, parse_size};
use crate::domain::restart::Thousandths;
use crate::domain::signal::Signal;

mod choice;
mod notify;
mod params;
mod parts;
mod queue;
mod resources;
mod template;
mod transfers;

/// A key with its value as they stand in the text.
pub(super) type Pair<'a, 'i> = (&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>);

/// One value that is to be read.
pub(super) struct Entry<'a, 'i> {
    /// The key as messages name it: `stop.grace`.
    pub(super) key: String,
    pub(super) value: &'a Spanned<DeValue<'i>>,
}

/// The entries of a table in the order of the text.
pub(super) fn in_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<Pair<'a, 'i>> {
    let mut pairs: Vec<_> = table.iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    pairs
}

/// Reads values and reports what is wrong with them.
pub(super) struct Reader<'a> {
    pub(super) sink: Sink<'a>,
}

impl Reader<'_> {
    pub(super) fn wrong_type<T>(
        &mut self,
        entry: &Entry<'_, '_>,
        expected: &'static str,
        hint: Option<&str>,
    ) -> Option<T> {
        let found = type_name(entry.value.get_ref());
        let problem = Problem::WrongType { key: entry.key.clone(), expected, found };
        self.refuse(entry.value.span(), problem, hint)
    }

    fn refuse<T>(&mut self, span: Range<usize>, problem: Problem, hint: Option<&str>) -> Option<T> {
        self.sink.add(span, problem, hint.map(str::to_owned));
        None
    }

    /// A text, perhaps empty, without NUL: it may reach a process.
    fn any_text(&mut self, entry: &Entry<'_, '_>, expected: &'static str, hint: Option<&str>) -> Option<String> {
        let DeValue::String(text) = entry.value.get_ref() else { return self.wrong_type(entry, expected, hint) };
        if text.contains('\0') {
            return self.refuse(entry.value.span(), Problem::Nul { key: entry.key.clone() }, None);
        }
        Some(text.clone().into_owned())
    }

    fn not_empty(&mut self, entry: &Entry<'_, '_>, text: String) -> Option<String> {
        if text.trim().is_empty() {
            return self.refuse(entry.value.span(), Problem::Empty { key: entry.key.clone() }, None);
        }
        Some(text)
    }

    /// A text that says something.
    pub(super) fn text(&mut self, entry: &Entry<'_, '_>) -> Option<String> {
        let text = self.any_text(entry, "a string", None)?;
        self.not_empty(entry, text)
    }

    /// A path. `~` is refused: whose home it is depends on who reads it, and the name may be meant literally.
    pub(super) fn path(&mut self, entry: &Entry<'_, '_>) -> Option<String> {
        let text = self.text(entry)?;
        if text == "~" || text.starts_with("~/") {
            let problem = Problem::Tilde { key: entry.key.clone() };
            return self.refuse(entry.value.span(), problem, Some("write the path in full, beginning with `/`"));
        }
        Some(text)
    }

    /// A list of texts, perhaps empty.
    pub(super) fn list(&mut self, entry: &Entry<'_, '_>) -> Option<Vec<String>> {
        let DeValue::Array(items) = entry.value.get_ref() else {
            return self.wrong_type(entry, "an array of strings", Some("write it as `[\"one\", \"two\"]`"));
        };
        let mut words = Vec::with_capacity(items.len());
        let mut good = true;
        for value in items {
            let item = Entry { key: entry.key.clone(), value };
            match self.any_text(&item, "a string", Some("put it in quotes")) {
                Some(word) => words.push(word),
                None => good = false,
            }
        }
        good.then_some(words)
    }

    /// A list of texts whose first names a program.
    pub(super) fn words(&mut self, entry: &Entry<'_, '_>) -> Option<Vec<String>> {
        let words = self.list(entry)?;
        if words.first().is_none_or(|first| first.trim().is_empty()) {
            return self.refuse(entry.value.span(), Problem::Empty { key: entry.key.clone() }, None);
        }
        Some(words)
    }

    /// A program, or a program and its arguments.
    pub(super) fn word_or_words(&mut self, entry: &Entry<'_, '_>) -> Option<Vec<String>> {
        if matches!(entry.value.get_ref(), DeValue::String(_)) {
            return self.text(entry).map(|word| vec![word]);
        }
        self.words(entry)
    }

    pub(super) fn flag(&mut self, entry: &Entry<'_, '_>) -> Option<bool> {
        let DeValue::Boolean(flag) = entry.value.get_ref() else {
            return self.wrong_type(entry, "`true` or `false`", None);
        };
        Some(*flag)
    }

    /// A text, or a date and time as TOML has them, which is kept as it was written.
    pub(super) fn moment(&mut self, entry: &Entry<'_, '_>) -> Option<String> {
        if matches!(entry.value.get_ref(), DeValue::Datetime(_)) {
            return self.sink.text().get(entry.value.span()).map(str::to_owned);
        }
        self.text(entry)
    }

    /// A whole number in a range.
    fn number(&mut self, entry: &Entry<'_, '_>, range: RangeInclusive<u64>) -> Option<u64> {
        let DeValue::Integer(digits) = entry.value.get_ref() else { return self.wrong_type(entry, "an integer", None) };
        let number = u64::from_str_radix(digits.as_str(), digits.radix()).ok().filter(|number| range.contains(number));
        if number.is_none() {
            return self.out_of_range(entry, digits.to_string(), range, None);
        }
        number
    }

    fn out_of_range<T, N: Into<u64>>(
        &mut self,
        entry: &Entry<'_, '_>,
        found: String,
        range: RangeInclusive<N>,
        hint: Option<&str>,
    ) -> Option<T> {
        let (least, most) = range.into_inner();
        let problem = Problem::Number { key: entry.key.clone(), found, least: least.into(), most: most.into() };
        self.refuse(entry.value.span(), problem, hint)
    }

    pub(super) fn count(&mut self, entry: &Entry<'_, '_>) -> Option<u32> {
        self.count_in(entry, 0..=u32::MAX)
    }

    pub(super) fn count_in(&mut self, entry: &Entry<'_, '_>, range: RangeInclusive<u32>) -> Option<u32> {
        let (least, most) = range.into_inner();
        self.number(entry, least.into()..=most.into()).and_then(|number| u32::try_from(number).ok())
    }

    /// A number in a range, perhaps with a fraction.
    pub(super) fn decimal(&mut self, entry: &Entry<'_, '_>, range: RangeInclusive<u32>) -> Option<Thousandths> {
        let written = match entry.value.get_ref() {
            DeValue::Integer(digits) => match u32::from_str_radix(digits.as_str(), digits.radix()) {
                Ok(number) => number.to_string(),
                Err(_) => digits.to_string(),
            },
            DeValue::Float(digits) => digits.as_str().to_owned(),
            _ => return self.wrong_type(entry, "a number", None),
        };
        match thousandths(&written, &range) {
            Some(number) => Some(number),
            None => self.out_of_range(entry, written, range, None),
        }
    }

    /// A part of something: a number from 0 to 1, or a text that may have a percent sign.
    pub(super) fn share(&mut self, entry: &Entry<'_, '_>) -> Option<Thousandths> {
        if !matches!(entry.value.get_ref(), DeValue::String(_)) {
            return self.decimal(entry, 0..=1);
        }
        let text = self.text(entry)?;
        let share = Thousandths::parse_percent(&text).filter(|share| *share <= Thousandths::ONE);
        match share.or_else(|| thousandths(&text, &(0..=1))) {
            Some(share) => Some(share),
            None => self.out_of_range(entry, format!("`{text}`"), 0..=1_u32, Some("write it as `0.1` or `\"10%\"`")),
        }
    }

    pub(super) fn size(&mut self, entry: &Entry<'_, '_>) -> Option<u64> {
        match entry.value.get_ref() {
            DeValue::Integer(_) => self.number(entry, 0..=u64::MAX),
            DeValue::String(_) => {
                let text = self.text(entry)?;
                parse_size(&text).map_err(|error| self.amount(entry, error)).ok()
            }
            _ => self.wrong_type(entry, "a size or a number of bytes", None),
        }
    }

    /// A duration as text, or a number of seconds.
    pub(super) fn duration(&mut self, entry: &Entry<'_, '_>) -> Option<Duration> {
        let wrong = |text: &str| AmountError::Duration(text.to_owned());
        let read = match entry.value.get_ref() {
            DeValue::Integer(digits) => u64::from_str_radix(digits.as_str(), digits.radix())
                .map(Duration::from_secs)
                .map_err(|_| wrong(digits.as_str())),
            DeValue::Float(digits) => digits
                .as_str()
                .parse()
                .ok()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .ok_or_else(|| wrong(digits.as_str())),
            DeValue::String(_) => parse_duration(&self.text(entry)?),
            _ => return self.wrong_type(entry, "a duration or a number of seconds", None),
        };
        read.map_err(|error| self.amount(entry, error)).ok()
    }

    /// A duration where zero would forbid everything; `without` says what leaving it out means instead.
    pub(super) fn positive(&mut self, entry: &Entry<'_, '_>, without: &str) -> Option<Duration> {
        let duration = self.duration(entry)?;
        if duration.is_zero() {
            let problem = Problem::Zero { key: entry.key.clone() };
            return self.refuse(entry.value.span(), problem, Some(without));
        }
        Some(duration)
    }

    fn amount(&mut self, entry: &Entry<'_, '_>, error: AmountError) {
        self.sink.add(entry.value.span(), Problem::Amount { key: entry.key.clone(), error }, None);
    }

    /// A signal by name or number.
    pub(super) fn signal(&mut self, entry: &Entry<'_, '_>) -> Option<Signal> {
        let text = match entry.value.get_ref() {
            DeValue::Integer(digits) => digits.to_string(),
            DeValue::String(_) => self.text(entry)?,
            _ => return self.wrong_type(entry, "a signal's name or number", None),
        };
        let wrong = |error| Problem::Signal { key: entry.key.clone(), error };
        Signal::parse(&text).map_err(|error| self.sink.add(entry.value.span(), wrong(error), None)).ok()
    }

    /// A table of texts; numbers and booleans become their text.
    pub(super) fn labels(&mut self, entry: &Entry<'_, '_>) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        let DeValue::Table(table) = entry.value.get_ref() else {
            let _: Option<()> = self.wrong_type(entry, "a table", Some("write it as `{ NAME = \"value\" }`"));
            return labels;
        };
        for (key, value) in in_order(table) {
            let item = Entry { key: format!("{}.{}", entry.key, key.get_ref()), value };
            if key.get_ref().is_empty() {
                self.sink.add(key.span(), Problem::Empty { key: format!("{} name", entry.key) }, None);
            } else if key.get_ref().contains('\0') {
                self.sink.add(key.span(), Problem::Nul { key: entry.key.clone() }, None);
            }
            if let Some(text) = self.scalar(&item) {
                labels.insert(key.get_ref().clone().into_owned(), text);
            }
        }
        labels
    }

    /// Variables of an environment.
    pub(super) fn variables(&mut self, entry: &Entry<'_, '_>) -> BTreeMap<String, String> {
        if let DeValue::Table(table) = entry.value.get_ref() {
            for key in table.keys() {
                let name = key.get_ref().clone().into_owned();
                if name == "EXECUTOR_ID" || name.starts_with("JOBEXEC_") {
                    self.sink.add(key.span(), Problem::Reserved { name }, Some("choose another name".to_owned()));
                } else if name.contains('=') {
                    self.sink.add(key.span(), Problem::Variable { name }, None);
                }
            }
        }
        self.labels(entry)
    }

    fn scalar(&mut self, entry: &Entry<'_, '_>) -> Option<String> {
        match entry.value.get_ref() {
            DeValue::String(_) => self.any_text(entry, "a string", None),
            DeValue::Integer(digits) => match i128::from_str_radix(digits.as_str(), digits.radix()) {
                Ok(number) => Some(number.to_string()),
                Err(_) => self.wrong_type(entry, "a shorter number or a string", Some("put it in quotes")),
            },
            DeValue::Float(digits) => Some(digits.as_str().to_owned()),
            DeValue::Boolean(flag) => Some(flag.to_string()),
            _ => self.wrong_type(entry, "a string, a number or a boolean", Some("put it in quotes")),
        }
    }
}

/// A number in a range. It is judged as it is written: rounding makes nothing good.
fn thousandths(written: &str, range: &RangeInclusive<u32>) -> Option<Thousandths> {
    let number: f64 = written.trim().parse().ok()?;
    let fits = (f64::from(*range.start())..=f64::from(*range.end())).contains(&number);
    if fits { Thousandths::parse(written) } else { None }
}

/// What a value is, as a person calls it.
fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
