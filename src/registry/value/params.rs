//! The declarations of parameters.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};
use toml::de::DeValue;

use super::{Entry, Problem, Reader, in_order};
use crate::domain::params::template::is_name;
use crate::domain::params::{Given, Kind, Need, Param};

/// What may be said of a parameter.
const KEYS: [&str; 4] = ["required", "default", "type", "help"];

impl Reader<'_> {
    /// The parameters of a task.
    pub(in super::super) fn params(&mut self, entry: &Entry<'_, '_>) -> BTreeMap<String, Param> {
        let mut params = BTreeMap::new();
        let Some(table) = self.table_of(entry, "write it as `{ NAME = { default = 1 } }`") else { return params };
        for (key, value) in in_order(table) {
            let name = key.get_ref().clone().into_owned();
            if !is_name(&name) {
                let hint = "use letters, digits and `_`, not beginning with a digit".to_owned();
                self.sink.add(key.span(), Problem::ParamName { name: name.clone() }, Some(hint));
            }
            if let Some(param) = self.param(&Entry { key: format!("{}.{name}", entry.key), value }) {
                params.insert(name, param);
            }
        }
        params
    }

    fn param(&mut self, entry: &Entry<'_, '_>) -> Option<Param> {
        let parts = self.parts(entry, &KEYS, "write it as `{ type = \"int\", default = 1 }`")?;
        let part = |name: &str| parts.iter().find(|(key, _)| *key == name).map(|(_, entry)| entry);
        let kind = part("type").and_then(|entry| self.kind(entry));
        let help = part("help").and_then(|entry| self.text(entry));
        let required = part("required").and_then(|entry| self.flag(entry));
        let default = part("default").and_then(|entry| Some((entry, self.default(entry, kind)?)));
        let need = match (required, default) {
            (Some(true), Some((entry, _))) => {
                let place = format!("`{}`", entry.key.trim_end_matches(".default"));
                let problem = Problem::Clash { key: "default".to_owned(), other: "required", place };
                return self.refuse(entry.value.span(), problem, Some("leave one of them out"));
            }
            (_, Some((_, value))) => Need::Default(value),
            (Some(true), None) => Need::Required,
            (Some(false) | None, None) => Need::Optional,
        };
        Some(Param { need, kind, help })
    }

    /// A default value: of the parameter's type, or a text, number or boolean where it has none.
    fn default(&mut self, entry: &Entry<'_, '_>, kind: Option<Kind>) -> Option<Value> {
        let value = self.json(entry)?;
        if kind.is_none() && (value.is_array() || value.is_object()) {
            return self.wrong_type(
                entry,
                "a string, a number or a boolean",
                Some("say what it is: `type = \"json\"`"),
            );
        }
        match Given::Value(value).read(kind) {
            Ok(value) => Some(value),
            Err(error) => {
                let key = entry.key.clone();
                self.refuse(entry.value.span(), Problem::ParamValue { key, error }, None)
            }
        }
    }

    /// A value as JSON has it.
    pub(in super::super) fn json(&mut self, entry: &Entry<'_, '_>) -> Option<Value> {
        match entry.value.get_ref() {
            DeValue::String(text) => Some(Value::String(text.clone().into_owned())),
            DeValue::Boolean(flag) => Some(Value::Bool(*flag)),
            DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
                Ok(number) => Some(number.into()),
                Err(_) => self.wrong_type(entry, "a number of at most 64 bits", None),
            },
            DeValue::Float(digits) => match digits.as_str().parse().ok().and_then(Number::from_f64) {
                Some(number) => Some(Value::Number(number)),
                None => self.wrong_type(entry, "a finite number", None),
            },
            DeValue::Array(items) => {
                let item = |value| Entry { key: entry.key.clone(), value };
                items.iter().map(|value| self.json(&item(value))).collect::<Option<Vec<_>>>().map(Value::Array)
            }
            DeValue::Table(table) => {
                let mut map = Map::new();
                for (key, value) in in_order(table) {
                    let item = Entry { key: format!("{}.{}", entry.key, key.get_ref()), value };
                    map.insert(key.get_ref().clone().into_owned(), self.json(&item)?);
                }
                Some(Value::Object(map))
            }
            DeValue::Datetime(_) => self.wrong_type(entry, "something that JSON can say", Some("put it in quotes")),
        }
    }
}
