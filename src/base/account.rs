//! Accounts for every key of a foreign file: nothing that changes a number is read past.
//!
//! Whoever reads a JSON object takes its keys through [`Fields`]; [`Fields::finish`] then names what nobody
//! took. What is left over and cannot change a result stands in [`super::harmless`], with the reason; all else is
//! a mistake that names the key. Tensors are accounted for in the same way ([`left_over`]).

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Names that may be left over, and why.
pub struct Harmless {
    /// Names, or globs on them.
    pub names: &'static [&'static str],
    /// Why they change no result.
    pub reason: &'static str,
}

/// Whether a name may be left over.
#[must_use]
pub fn is_harmless(name: &str, lists: &[&[Harmless]]) -> bool {
    let known = |pattern: &&str| match glob::Pattern::new(pattern) {
        Ok(glob) if pattern.contains('*') => glob.matches(name),
        _ => *pattern == name,
    };
    lists.iter().flat_map(|l| l.iter()).any(|h| h.names.iter().any(known))
}

/// Up to five of the names that are neither used nor harmless, in words; `None` if there is none.
#[must_use]
pub fn left_over<'a>(names: impl Iterator<Item = &'a str>, lists: &[&[Harmless]]) -> Option<String> {
    let all: Vec<&str> = names.filter(|n| !is_harmless(n, lists)).collect();
    (!all.is_empty()).then(|| some_of(&all))
}

/// Up to five names in words.
#[must_use]
pub fn some_of(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(5).map(|n| format!("`{n}`")).collect();
    let more = names.len().saturating_sub(shown.len());
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{tail}", shown.join(", "))
}

/// Largest extent that is taken from a file: more than any real model has, small enough to multiply.
const LARGEST: u64 = 1 << 24;

/// The keys of a JSON object, taken one by one. A key whose value is null counts as missing.
pub struct Fields {
    at: String,
    map: Map<String, Value>,
    used: RefCell<BTreeSet<String>>,
}

impl Fields {
    /// The keys of `value`, which must be an object. `at` says where it is within the file; empty at the top.
    pub fn new(at: &str, value: &Value) -> Result<Self, String> {
        match value {
            Value::Object(map) => Ok(Self { at: at.to_owned(), map: map.clone(), used: RefCell::default() }),
            _ if at.is_empty() => Err("is not a JSON object".to_owned()),
            _ => Err(format!("`{at}` is not an object")),
        }
    }

    fn place(&self, key: &str) -> String {
        if self.at.is_empty() { key.to_owned() } else { format!("{}.{key}", self.at) }
    }

    /// The value of a key, if it is there.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.used.borrow_mut().insert(key.to_owned());
        self.map.get(key).filter(|v| !v.is_null())
    }

    /// Whether a key is there, without taking it.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|v| !v.is_null())
    }

    /// A key, if it is there.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, String> {
        let parse = |v: &Value| {
            serde_json::from_value(v.clone()).map_err(|e| format!("`{}` is {v}: {e}", self.place(key)))
        };
        self.value(key).map(parse).transpose()
    }

    /// A key, or its default.
    pub fn or<T: DeserializeOwned>(&self, key: &str, default: T) -> Result<T, String> {
        Ok(self.get(key)?.unwrap_or(default))
    }

    /// A key that must be there.
    pub fn need<T: DeserializeOwned>(&self, key: &str) -> Result<T, String> {
        self.get(key)?.ok_or_else(|| format!("`{}` is missing", self.place(key)))
    }

    /// An extent: a whole number from 1 to 2^24.
    pub fn size(&self, key: &str) -> Result<Option<usize>, String> {
        let check = |v: &Value| match v.as_u64() {
            Some(n) if (1..=LARGEST).contains(&n) => Ok(n as usize),
            _ => Err(format!("`{}` is {v}; a whole number from 1 to {LARGEST} is needed", self.place(key))),
        };
        self.value(key).map(check).transpose()
    }

    /// The object below a key, if it is there.
    pub fn section(&self, key: &str) -> Result<Option<Self>, String> {
        self.value(key).map(|v| Self::new(&self.place(key), v)).transpose()
    }

    /// Refuses a value that is none of those that are followed; a missing key is fine.
    pub fn only(&self, key: &str, allowed: &[Value]) -> Result<(), String> {
        match self.value(key) {
            Some(v) if !allowed.contains(v) => {
                let known: Vec<String> = allowed.iter().map(|a| format!("`{a}`")).collect();
                Err(format!(
                    "`{}` is `{v}`, which is not supported ({} is)",
                    self.place(key),
                    known.join(" or ")
                ))
            }
            _ => Ok(()),
        }
    }

    /// Ends the account: names what nobody took and what could change a result.
    pub fn finish(&self, lists: &[&[Harmless]]) -> Result<(), String> {
        let used = self.used.borrow();
        let rest = self.map.iter().filter(|(k, v)| !used.contains(*k) && !v.is_null());
        match left_over(rest.map(|(k, _)| k.as_str()), lists) {
            None => Ok(()),
            Some(names) => {
                let within = if self.at.is_empty() { String::new() } else { format!(" in `{}`", self.at) };
                Err(format!("has {names}{within}, which could change results and is not known here"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const LIST: &[Harmless] = &[Harmless { names: &["dropout", "*_cache"], reason: "training" }];

    #[test]
    fn what_nobody_took_is_named() {
        let fields = Fields::new(
            "text",
            &json!({"width": 8, "dropout": 0.1, "kv_cache": true, "twist": 1, "off": null}),
        );
        let fields = fields.unwrap();
        assert_eq!(fields.size("width").unwrap(), Some(8));
        let error = fields.finish(&[LIST]).unwrap_err();
        assert!(error.contains("`twist` in `text`") && !error.contains("dropout"), "{error}");
        fields.value("twist");
        assert!(fields.finish(&[LIST]).is_ok());
    }

    #[test]
    fn extents_are_bounded_and_values_are_checked() {
        for bad in [json!(0), json!(-1), json!(1u64 << 62), json!(u64::MAX), json!("8"), json!(1.5)] {
            let fields = Fields::new("", &json!({"width": bad})).unwrap();
            assert!(fields.size("width").unwrap_err().contains("`width`"));
        }
        let fields = Fields::new("", &json!({"pool": "max"})).unwrap();
        assert!(fields.only("pool", &[json!("tok"), json!("avg")]).unwrap_err().contains("`\"max\"`"));
        assert!(fields.only("other", &[json!(1)]).is_ok());
        assert!(Fields::new("", &json!([1])).is_err());
    }
}
