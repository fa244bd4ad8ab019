//! Python literals in data and templates: what `ast.literal_eval` reads.

use serde_json::{Map, Number, Value};

/// Reads a literal: texts, numbers, lists, tuples, dictionaries, True, False, None.
pub fn literal(text: &str) -> Result<Value, String> {
    let mut reader = Reader { rest: text.trim(), depth: 0 };
    let value = reader.value()?;
    reader.space();
    if reader.rest.is_empty() { Ok(value) } else { Err(reader.fail("something follows the value")) }
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

/// Deepest nesting that is read.
const DEEPEST: usize = 64;

impl Reader<'_> {
    fn fail(&self, what: &str) -> String {
        let near: String = self.rest.chars().take(20).collect();
        format!("{what} at `{near}`")
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, c: char) -> bool {
        self.space();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Result<Value, String> {
        self.space();
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(self.fail("nested too deeply"));
        }
        let value = match self.rest.chars().next() {
            Some('[') => self.list(']')?,
            Some('(') => self.list(')')?,
            Some('{') => self.map()?,
            Some('\'' | '"') => self.texts()?,
            Some(c) if c.is_ascii_digit() || "+-.".contains(c) => self.number()?,
            _ => self.word()?,
        };
        self.depth -= 1;
        Ok(value)
    }

    fn list(&mut self, end: char) -> Result<Value, String> {
        self.rest = &self.rest[1..];
        let mut all = Vec::new();
        while !self.eat(end) {
            all.push(self.value()?);
            if !self.eat(',') {
                if self.eat(end) {
                    // A single value in round brackets is that value.
                    return Ok(if end == ')' && all.len() == 1 { all.remove(0) } else { Value::Array(all) });
                }
                return Err(self.fail("a comma is missing"));
            }
        }
        Ok(Value::Array(all))
    }

    fn map(&mut self) -> Result<Value, String> {
        self.rest = &self.rest[1..];
        let mut all = Map::new();
        while !self.eat('}') {
            let Value::String(key) = self.value()? else { return Err(self.fail("a key is no text")) };
            if !self.eat(':') {
                return Err(self.fail("a colon is missing"));
            }
            all.insert(key, self.value()?);
            if !self.eat(',') {
                if self.eat('}') {
                    break;
                }
                return Err(self.fail("a comma is missing"));
            }
        }
        Ok(Value::Object(all))
    }

    /// Texts that stand side by side are one.
    fn texts(&mut self) -> Result<Value, String> {
        let mut all = String::new();
        loop {
            self.space();
            match self.rest.chars().next() {
                Some(quote @ ('\'' | '"')) => self.text(quote, &mut all)?,
                _ => return Ok(Value::String(all)),
            }
        }
    }

    fn text(&mut self, quote: char, out: &mut String) -> Result<(), String> {
        let mut chars = self.rest[1..].char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.rest = &self.rest[1 + i + 1..];
                    return Ok(());
                }
                '\\' => {
                    let Some((_, escaped)) = chars.next() else { break };
                    let mut code = |digits: usize| {
                        let hex: String = chars.by_ref().take(digits).map(|c| c.1).collect();
                        u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32)
                    };
                    let read = match escaped {
                        'n' => Some('\n'),
                        't' => Some('\t'),
                        'r' => Some('\r'),
                        '0' => Some('\0'),
                        'x' => code(2),
                        'u' => code(4),
                        'U' => code(8),
                        '\\' | '\'' | '"' => Some(escaped),
                        '\n' => continue,
                        other => {
                            out.push('\\');
                            Some(other)
                        }
                    };
                    out.push(read.ok_or_else(|| self.fail("an escape that is no character"))?);
                }
                c => out.push(c),
            }
        }
        Err(self.fail("a text without an end"))
    }

    fn number(&mut self) -> Result<Value, String> {
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "+-._".contains(c)));
        let (text, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let plain = text.replace('_', "");
        let whole = plain.parse::<i64>().ok().map(Number::from);
        let number = whole.or_else(|| plain.parse::<f64>().ok().and_then(Number::from_f64));
        let number = number.ok_or_else(|| self.fail("no number"))?;
        self.rest = rest;
        Ok(Value::Number(number))
    }

    fn word(&mut self) -> Result<Value, String> {
        for (word, value) in [("None", Value::Null), ("True", true.into()), ("False", false.into())] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err(self.fail("no literal"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn literals_are_read_as_python_reads_them() {
        let text = r#"[{'question': "What's up?", "options": ['a\'b', 'c\n', "\u00e9" ' tail'], 'n': -1.5e3, 't': (1,), 'x': None}]"#;
        let right = json!([{"question": "What's up?", "options": ["a'b", "c\n", "é tail"], "n": -1500.0, "t": [1], "x": null}]);
        assert_eq!(literal(text).unwrap(), right);
        assert_eq!(literal("('a')").unwrap(), json!("a"));
        assert_eq!(literal("[]").unwrap(), json!([]));
        for bad in ["[1 2]", "'open", "import os", "[1] 2", "{1: 2}", &"[".repeat(1000)] {
            assert!(literal(bad).is_err(), "{bad}");
        }
    }
}
