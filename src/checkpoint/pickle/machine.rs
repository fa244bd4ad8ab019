//! A pickle's stack machine that builds plain data and runs no code.
//!
//! Classes and calls are kept as what they are named; nothing is imported. Values lie in one arena, so that
//! neither building nor dropping a deeply nested file recurses, and counts are bounded by the bytes that are
//! there. Follows `pickletools.py` of CPython (protocols 0 to 5).

use std::collections::BTreeMap;

/// Place of a value in [`Pickled`].
pub type Id = u32;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer; those beyond 64 bits are cut off to the nearest end.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes: how many.
    Bytes(usize),
    /// A list, or a set.
    List(Vec<Id>),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A dictionary in order.
    Dict(Vec<(Id, Id)>),
    /// A class or function by name.
    Global(String, String),
    /// A call that is not executed.
    Call {
        /// What would be called.
        callee: Id,
        /// Its arguments.
        args: Id,
        /// The state that was set afterwards.
        state: Option<Id>,
        /// Entries that were set afterwards.
        items: Vec<(Id, Id)>,
    },
    /// Something stored outside the pickle.
    Persistent(Id),
    /// Where the items of a collection begin.
    Mark,
}

/// Values that one pickle may hold: several times what the largest state dict has.
const MOST_VALUES: usize = 4 << 20;

/// A pickle's values.
#[derive(Debug, Default)]
pub struct Pickled {
    values: Vec<Value>,
    memo: BTreeMap<u64, Id>,
    stack: Vec<Id>,
}

struct Bytes<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(n).filter(|&e| e <= self.all.len()).ok_or("ends too early")?;
        let bytes = &self.all[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    fn number(&mut self, width: usize) -> Result<u64, String> {
        Ok(self.take(width)?.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)))
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = &self.all[self.at..];
        let end = rest.iter().position(|&b| b == b'\n').ok_or("ends too early")?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map_err(|_| "holds a line that is not text".to_owned())
    }

    fn text(&mut self, width: usize) -> Result<String, String> {
        let n = self.number(width)? as usize;
        let bytes = self.take(n)?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

impl Pickled {
    /// Reads one pickle; returns its value, all values, and how many bytes it took.
    pub fn read(bytes: &[u8]) -> Result<(Id, Self, usize), String> {
        let mut this = Self::default();
        let mut input = Bytes { all: bytes, at: 0 };
        loop {
            let code = input.take(1)?[0];
            if code == b'.' {
                let top = this.pop()?;
                return Ok((top, this, input.at));
            }
            this.step(code, &mut input)?;
            if this.values.len() > MOST_VALUES || this.stack.len() > MOST_VALUES {
                return Err(format!("holds more than {MOST_VALUES} values"));
            }
        }
    }

    /// A value.
    #[must_use]
    pub fn get(&self, id: Id) -> &Value {
        &self.values[id as usize]
    }

    /// All values.
    pub fn all(&self) -> impl Iterator<Item = &Value> {
        self.values.iter()
    }

    /// Text, if it is that.
    #[must_use]
    pub fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An integer from 0, if it is that.
    #[must_use]
    pub fn index(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Value::Int(n) => usize::try_from(*n).ok(),
            _ => None,
        }
    }

    /// Items of a tuple or a list.
    #[must_use]
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(items) | Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// Entries of a dictionary.
    #[must_use]
    pub fn entries(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id) {
            Value::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// `module.name` of what a call would call.
    #[must_use]
    pub fn callee(&self, callee: Id) -> String {
        match self.get(callee) {
            Value::Global(module, name) => format!("{module}.{name}"),
            _ => "something computed".to_owned(),
        }
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len() as Id);
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<Id, String> {
        self.stack.pop().ok_or_else(|| "takes more values than it has".to_owned())
    }

    /// What lies above the last mark, in order; the mark goes.
    fn above_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.stack.iter().rposition(|&id| self.values[id as usize] == Value::Mark);
        let mark = mark.ok_or("has no mark where one is needed")?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn pairs(items: &[Id]) -> Vec<(Id, Id)> {
        items.as_chunks::<2>().0.iter().map(|p| (p[0], p[1])).collect()
    }

    fn top(&mut self) -> Result<&mut Value, String> {
        let id = *self.stack.last().ok_or("takes more values than it has")?;
        Ok(&mut self.values[id as usize])
    }

    fn extend(&mut self, more: Vec<Id>) -> Result<(), String> {
        if let Value::List(items) = self.top()? {
            items.extend(more);
        }
        Ok(())
    }

    fn insert(&mut self, more: Vec<(Id, Id)>) -> Result<(), String> {
        if let Value::Dict(entries) | Value::Call { items: entries, .. } = self.top()? {
            entries.extend(more);
        }
        Ok(())
    }

    fn call(&mut self, callee: Id, args: Id) {
        let (module, name) = match self.get(callee) {
            Value::Global(module, name) => (module.as_str(), name.as_str()),
            _ => ("", ""),
        };
        // The two calls that make plain data.
        let value = match (module, name) {
            ("collections", "OrderedDict" | "defaultdict" | "Counter")
            | ("builtins" | "__builtin__", "dict") => Value::Dict(Vec::new()),
            ("builtins" | "__builtin__", "set" | "list" | "frozenset") => Value::List(Vec::new()),
            _ => Value::Call { callee, args, state: None, items: Vec::new() },
        };
        self.push(value);
    }

    fn remember(&mut self, key: u64) -> Result<(), String> {
        let id = *self.stack.last().ok_or("remembers a value that it has not")?;
        self.memo.insert(key, id);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<(), String> {
        let id = *self.memo.get(&key).ok_or("recalls a value that it has not")?;
        self.stack.push(id);
        Ok(())
    }

    fn step(&mut self, code: u8, input: &mut Bytes<'_>) -> Result<(), String> {
        match code {
            0x80 => drop(input.take(1)?),
            0x95 => drop(input.take(8)?),
            b'(' => self.push(Value::Mark),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.above_mark()?),
            b'2' => {
                let id = *self.stack.last().ok_or("takes more values than it has")?;
                self.stack.push(id);
            }
            b'q' | b'r' | 0x94 | b'p' | b'h' | b'j' | b'g' => self.memory(code, input)?,
            b'R' | 0x81 | 0x92 | b'b' | b'c' | 0x93 | b'Q' | b'P' | b'i' | b'o' => {
                self.object(code, input)?;
            }
            b']'
            | b'l'
            | b')'
            | b't'
            | 0x85..=0x87
            | b'}'
            | b'd'
            | 0x8f
            | 0x91
            | b'a'
            | b'e'
            | 0x90
            | b's'
            | b'u' => self.collection(code)?,
            _ => {
                let value = scalar(code, input)?;
                self.push(value);
            }
        }
        Ok(())
    }

    fn memory(&mut self, code: u8, input: &mut Bytes<'_>) -> Result<(), String> {
        let line =
            |input: &mut Bytes<'_>| input.line()?.trim().parse().map_err(|_| "has a bad index".to_owned());
        match code {
            b'q' => self.remember(input.number(1)?),
            b'r' => self.remember(input.number(4)?),
            b'p' => self.remember(line(input)?),
            b'h' => self.recall(input.number(1)?),
            b'j' => self.recall(input.number(4)?),
            b'g' => self.recall(line(input)?),
            _ => self.remember(self.memo.len() as u64),
        }
    }

    fn object(&mut self, code: u8, input: &mut Bytes<'_>) -> Result<(), String> {
        match code {
            b'R' | 0x81 => {
                let (args, callee) = (self.pop()?, self.pop()?);
                self.call(callee, args);
            }
            0x92 => {
                let (_keywords, args, callee) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(callee, args);
            }
            b'b' => {
                let given = self.pop()?;
                if let Value::Call { state, .. } = self.top()? {
                    *state = Some(given);
                }
            }
            b'c' => {
                let (module, name) = (input.line()?.to_owned(), input.line()?.to_owned());
                self.push(Value::Global(module, name));
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let text =
                    |id| self.text(id).map(str::to_owned).ok_or("names a class by something else than text");
                let global = Value::Global(text(module)?, text(name)?);
                self.push(global);
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id));
            }
            b'P' => {
                let text = input.line()?.to_owned();
                self.push(Value::Text(text));
                let id = self.pop()?;
                self.push(Value::Persistent(id));
            }
            b'i' => {
                let (module, name) = (input.line()?.to_owned(), input.line()?.to_owned());
                let items = self.above_mark()?;
                self.push(Value::Global(module, name));
                self.push(Value::Tuple(items));
                let (args, callee) = (self.pop()?, self.pop()?);
                self.call(callee, args);
            }
            _ => {
                let mut items = self.above_mark()?;
                if items.is_empty() {
                    return Err("makes an object of nothing".to_owned());
                }
                let callee = items.remove(0);
                self.push(Value::Tuple(items));
                let args = self.pop()?;
                self.call(callee, args);
            }
        }
        Ok(())
    }

    fn collection(&mut self, code: u8) -> Result<(), String> {
        match code {
            b']' | 0x8f => self.push(Value::List(Vec::new())),
            b')' => self.push(Value::Tuple(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            b'l' | 0x91 => {
                let items = self.above_mark()?;
                self.push(Value::List(items));
            }
            b't' => {
                let items = self.above_mark()?;
                self.push(Value::Tuple(items));
            }
            0x85..=0x87 => {
                let n = usize::from(code - 0x84);
                let start = self.stack.len().checked_sub(n).ok_or("takes more values than it has")?;
                let items = self.stack.split_off(start);
                self.push(Value::Tuple(items));
            }
            b'd' => {
                let items = self.above_mark()?;
                self.push(Value::Dict(Self::pairs(&items)));
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.above_mark()?;
                self.extend(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(vec![(key, value)])?;
            }
            _ => {
                let items = self.above_mark()?;
                self.insert(Self::pairs(&items))?;
            }
        }
        Ok(())
    }
}

/// The value of an opcode that carries it.
fn scalar(code: u8, input: &mut Bytes<'_>) -> Result<Value, String> {
    let long = |bytes: &[u8]| -> i64 {
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut wide = if negative { [0xFF; 8] } else { [0; 8] };
        if bytes.len() > 8 {
            return if negative { i64::MIN } else { i64::MAX };
        }
        wide[..bytes.len()].copy_from_slice(bytes);
        i64::from_le_bytes(wide)
    };
    Ok(match code {
        b'N' => Value::None,
        0x88 => Value::Bool(true),
        0x89 => Value::Bool(false),
        b'J' => Value::Int(i64::from(input.number(4)? as u32 as i32)),
        b'K' => Value::Int(input.number(1)? as i64),
        b'M' => Value::Int(input.number(2)? as i64),
        0x8a => {
            let n = input.number(1)? as usize;
            Value::Int(long(input.take(n)?))
        }
        0x8b => {
            let n = input.number(4)? as usize;
            Value::Int(long(input.take(n)?))
        }
        b'G' => Value::Float(f64::from_bits(input.number(8)?.swap_bytes())),
        b'I' => match input.line()? {
            "00" => Value::Bool(false),
            "01" => Value::Bool(true),
            text => Value::Int(text.trim().parse().map_err(|_| "has a bad number")?),
        },
        b'L' => Value::Int(input.line()?.trim_end_matches('L').parse().map_err(|_| "has a bad number")?),
        b'F' => Value::Float(input.line()?.trim().parse().map_err(|_| "has a bad number")?),
        b'V' | b'S' => Value::Text(input.line()?.trim_matches(['\'', '"']).to_owned()),
        b'X' | b'T' => Value::Text(input.text(4)?),
        0x8c | b'U' => Value::Text(input.text(1)?),
        0x8d => Value::Text(input.text(8)?),
        b'B' | b'C' | 0x8e | 0x96 => {
            let width = match code {
                b'B' => 4,
                b'C' => 1,
                _ => 8,
            };
            let n = input.number(width)? as usize;
            Value::Bytes(input.take(n)?.len())
        }
        other => return Err(format!("has the opcode {other:#04x}, which is not known here")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_with_a_call() {
        // pickle.dumps({"a": collections.OrderedDict(), "b": (1, 2.5, None)}, protocol=2), by hand.
        let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00accollections\nOrderedDict\n)RX\x01\x00\x00\x00bK\x01G\x40\x04\x00\x00\x00\x00\x00\x00N\x87u.";
        let (root, all, used) = Pickled::read(bytes).unwrap();
        assert_eq!(used, bytes.len());
        let entries = all.entries(root).unwrap();
        assert_eq!((all.text(entries[0].0), all.entries(entries[0].1).map(<[_]>::len)), (Some("a"), Some(0)));
        let tuple = all.items(entries[1].1).unwrap();
        assert_eq!(
            (all.get(tuple[0]), all.get(tuple[1]), all.get(tuple[2])),
            (&Value::Int(1), &Value::Float(2.5), &Value::None)
        );
    }

    #[test]
    fn bombs_are_refused_or_cost_nothing() {
        assert!(Pickled::read(b"").is_err());
        assert!(Pickled::read(b"R.").is_err());
        // A text of 4 GB that is not there.
        assert!(Pickled::read(b"X\xff\xff\xff\xffabc.").unwrap_err().contains("too early"));
        // A million nested tuples are built and dropped without recursion.
        let deep = [vec![b'N'], vec![0x85; 1_000_000], vec![b'.']].concat();
        assert!(Pickled::read(&deep).is_ok());
        let many = [vec![b'N'; MOST_VALUES + 2], vec![b'.']].concat();
        assert!(Pickled::read(&many).unwrap_err().contains("more than"));
    }
}
