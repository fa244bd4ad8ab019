//! A table of numbers: what identifies each row, and its quantities; for readers, for LaTeX and for programs.

use super::Grid;
use super::cell::{Cell, Number};
use crate::report::ReportData;
use crate::report::origin::Origin;

/// A table of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberTable {
    /// What the table shows.
    pub title: String,
    /// Headings of what identifies a row.
    pub keys: Vec<&'static str>,
    /// The quantities.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Remarks below the table.
    pub notes: Vec<String>,
}

/// Which values of a column are the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Best {
    /// None is better than another.
    None,
    /// The largest.
    Largest,
    /// The smallest.
    Smallest,
}

/// A quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its heading, and its name in files.
    pub title: String,
    /// What the second number of its cells is, in files.
    pub second: Option<String>,
    /// A short heading for a column of print.
    pub short: Option<&'static str>,
    /// Which values are set in bold.
    pub best: Best,
}

impl Column {
    /// A quantity without a best value.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), second: None, short: None, best: Best::None }
    }

    /// The same with a short heading.
    #[must_use]
    pub const fn short(mut self, short: &'static str) -> Self {
        self.short = Some(short);
        self
    }

    /// The same with its best value marked.
    #[must_use]
    pub const fn best(mut self, best: Best) -> Self {
        self.best = best;
        self
    }
}

/// What identifies a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// For readers.
    pub shown: String,
    /// In files.
    pub stored: String,
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self { shown: text.clone(), stored: text }
    }
}

impl Key {
    /// A variant: its label for readers.
    #[must_use]
    pub fn of_variant(data: &ReportData, variant: &str) -> Self {
        Self { shown: data.label(variant), stored: variant.to_owned() }
    }
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// One for each key heading.
    pub keys: Vec<Key>,
    /// What made it, in tables of variants and curves.
    pub origin: Option<Origin>,
    /// One for each column.
    pub cells: Vec<Cell>,
}

impl NumberTable {
    /// The table as text.
    #[must_use]
    pub fn grid(&self) -> Grid {
        let keys = self.keys.iter().map(|k| (*k).to_owned());
        let row = |row: &Row| {
            let keys = row.keys.iter().map(|k| k.shown.clone());
            keys.chain(row.cells.iter().map(Cell::text)).collect()
        };
        Grid {
            title: self.title.clone(),
            headers: keys.chain(self.columns.iter().map(|c| c.title.clone())).collect(),
            rows: self.rows.iter().map(row).collect(),
            notes: self.notes.clone(),
        }
    }

    /// One line a number: the keys, `method` and `seed` of variants and curves, then `quantity`, `value` (fractions, not percent), `ci_low`,
    /// `ci_high`, `sd`, `unit`, and `text` where a cell has words.
    #[must_use]
    pub fn tidy(&self) -> Grid {
        let mut headers: Vec<&str> = self.keys.clone();
        if self.rows.iter().any(|r| r.origin.is_some()) {
            headers.extend(["method", "seed"]);
        }
        headers.extend(["quantity", "value", "ci_low", "ci_high", "sd", "unit", "text"]);
        let mut rows = Vec::new();
        for row in &self.rows {
            let mut start: Vec<String> = row.keys.iter().map(|k| k.stored.clone()).collect();
            if let Some(origin) = &row.origin {
                start.extend([origin.method.clone(), origin.seed.map(|s| s.to_string()).unwrap_or_default()]);
            }
            for (column, cell) in self.columns.iter().zip(&row.cells) {
                let second = column.second.as_ref().unwrap_or(&column.title);
                let lines = match cell {
                    Cell::Nothing => Vec::new(),
                    Cell::Text(text) => vec![words(&column.title, text)],
                    Cell::Number(number) => vec![numbers(&column.title, number)],
                    Cell::Two(a, b) => vec![numbers(&column.title, a), numbers(second, b)],
                };
                rows.extend(lines.into_iter().map(|line| [start.clone(), line.to_vec()].concat()));
            }
        }
        let headers = headers.into_iter().map(str::to_owned).collect();
        Grid { title: self.title.clone(), headers, rows, notes: Vec::new() }
    }

    /// The cells of each column that hold its best value as it is shown.
    pub(super) fn best(&self) -> Vec<Vec<bool>> {
        let shown = |number: &Number| number.show.text(number.value);
        let of = |(i, column): (usize, &Column)| {
            let numbers: Vec<Option<&Number>> = self.rows.iter().map(|r| r.cells[i].number()).collect();
            let all = numbers.iter().flatten().copied().filter(|n| n.value.is_finite());
            let best = match column.best {
                Best::None => None,
                Best::Largest => all.max_by(|a, b| a.value.total_cmp(&b.value)),
                Best::Smallest => all.min_by(|a, b| a.value.total_cmp(&b.value)),
            };
            // One alone is not the best of anything.
            let best = best.filter(|_| numbers.iter().flatten().count() > 1).map(shown);
            numbers.iter().map(|n| best.is_some() && n.map(shown) == best).collect()
        };
        self.columns.iter().enumerate().map(of).collect()
    }
}

fn numbers(quantity: &str, number: &Number) -> [String; 7] {
    let some = |v: Option<f64>| v.map(|v| v.to_string()).unwrap_or_default();
    [
        quantity.to_owned(),
        number.value.to_string(),
        some(number.interval.map(|i| i.low)),
        some(number.interval.map(|i| i.high)),
        some(number.spread),
        number.show.unit().to_owned(),
        String::new(),
    ]
}

fn words(quantity: &str, text: &str) -> [String; 7] {
    let mut line: [String; 7] = Default::default();
    line[0] = quantity.to_owned();
    line[6] = text.to_owned();
    line
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::report::tables::cell::Show;
    use crate::stats::Interval;

    pub fn sample() -> NumberTable {
        let interval = Some(Interval { low: 0.25, high: 0.75 });
        let row = |name: &str, value: f64, method: &str| Row {
            keys: vec![name.to_owned().into()],
            origin: Some(Origin { method: method.to_owned(), seed: Some(3), ..Origin::default() }),
            cells: vec![
                Cell::percent(value, interval),
                Cell::Two(Number::new(0.5, Show::Digits(2)), Number::new(0.125, Show::Digits(2))),
                Cell::Text("yes".to_owned()),
                Cell::Nothing,
            ],
        };
        NumberTable {
            title: "Scores in %".to_owned(),
            keys: vec!["variant"],
            columns: vec![
                Column::new("speciality").short("Spec.").best(Best::Largest),
                Column { second: Some("P(above)".to_owned()), ..Column::new("P(larger)") },
                Column::new("on_frontier"),
                Column::new("none"),
            ],
            rows: vec![row("a", 0.5, ""), row("b_1", 0.625, "full")],
            notes: vec!["n < 5".to_owned()],
        }
    }

    #[test]
    fn one_line_a_number() {
        let text = sample().tidy().csv();
        let right = "variant,method,seed,quantity,value,ci_low,ci_high,sd,unit,text\n\
                     a,,3,speciality,0.5,0.25,0.75,,fraction,\n\
                     a,,3,P(larger),0.5,,,,number,\n\
                     a,,3,P(above),0.125,,,,number,\n\
                     a,,3,on_frontier,,,,,,yes\n\
                     b_1,full,3,speciality,0.625,0.25,0.75,,fraction,\n";
        assert!(text.starts_with(right), "{text}");
        assert_eq!(sample().grid().rows[1], ["b_1", "62.5 [25.0, 75.0]", "0.50 (0.12)", "yes", "-"]);
        assert_eq!(sample().best()[0], [false, true]);
        assert_eq!(sample().best()[1], [false, false]);
    }
}
