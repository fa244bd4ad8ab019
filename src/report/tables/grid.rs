//! A table as text cells, and its renderings.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use console::measure_text_width;

/// A table of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    /// What the table shows.
    pub title: String,
    /// Column headings.
    pub headers: Vec<String>,
    /// Rows, as long as the headings.
    pub rows: Vec<Vec<String>>,
    /// Remarks below the table.
    pub notes: Vec<String>,
}

/// Columns that prose has at least.
const PROSE: usize = 20;

impl Grid {
    fn table(&self, preset: &str) -> Table {
        let mut table = Table::new();
        table.load_preset(preset).set_header(self.headers.clone());
        for row in &self.rows {
            table.add_row(row.clone());
        }
        table
    }

    /// For a terminal of so many columns, if it is one: prose is wrapped, and columns that still do not fit are left out, the
    /// last one first.
    #[must_use]
    pub fn terminal(&self, width: Option<usize>) -> String {
        let shown = width.map_or(self.headers.len(), |width| self.fitting(width));
        let keep = |row: &Vec<String>| row[..shown.min(row.len())].to_vec();
        let fitted =
            Self { headers: keep(&self.headers), rows: self.rows.iter().map(keep).collect(), ..self.clone() };
        let mut table = fitted.table(presets::UTF8_FULL_CONDENSED);
        if let Some(width) = width.and_then(|w| u16::try_from(w).ok()) {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            let prose: Vec<bool> = (0..shown).map(|c| fitted.is_prose(c)).collect();
            for (column, prose) in table.column_iter_mut().zip(prose) {
                if !prose {
                    column.set_constraint(ColumnConstraint::ContentWidth);
                }
            }
        }
        let mut text = format!("{}\n{table}\n{}", self.title, self.notes.join("\n"));
        if shown < self.headers.len() {
            let left: Vec<String> = self.headers[shown..].iter().map(|h| h.replace('\n', " ")).collect();
            text = format!("{}\nNo room here for: {}.", text.trim_end(), left.join(", "));
        }
        text
    }

    /// The widest cell of a column.
    fn natural(&self, column: usize) -> usize {
        let cells = std::iter::once(&self.headers).chain(&self.rows).filter_map(|row| row.get(column));
        cells.flat_map(|cell| cell.lines()).map(measure_text_width).max().unwrap_or(0)
    }

    /// Whether a column is text that may be broken between words.
    fn is_prose(&self, column: usize) -> bool {
        let long = |row: &Vec<String>| row.get(column).is_some_and(|c| c.split(' ').count() > 4);
        column > 0 && self.natural(column) > PROSE && self.rows.iter().any(long)
    }

    /// How many columns fit.
    fn fitting(&self, width: usize) -> usize {
        let least = |c: usize| if self.is_prose(c) { PROSE } else { self.natural(c) };
        // A border and two spaces each, and one more border.
        let total = |n: usize| (0..n).map(|c| least(c) + 3).sum::<usize>() + 1;
        (1..=self.headers.len()).rev().find(|&n| total(n) <= width).unwrap_or(1)
    }

    /// GitHub-flavoured Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let notes: String = self.notes.iter().map(|n| format!("\n{n}\n")).collect();
        // A pipe or a line break within a cell would end it.
        let cell = |c: &String| c.replace('|', "\\|").replace(['\n', '\r'], " ");
        let plain = Self {
            headers: self.headers.iter().map(cell).collect(),
            rows: self.rows.iter().map(|r| r.iter().map(cell).collect()).collect(),
            ..self.clone()
        };
        format!("**{}**\n\n{}\n{notes}", self.title, plain.table(presets::ASCII_MARKDOWN))
    }

    /// Comma-separated values with a header line.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let records = std::iter::once(&self.headers).chain(&self.rows);
        for record in records {
            writer
                .write_record(record.iter().map(|c| no_formula(c)))
                .expect("records of one length into memory");
        }
        let bytes = writer.into_inner().expect("memory does not fail");
        String::from_utf8(bytes).expect("text in, text out")
    }
}

/// A cell that no spreadsheet takes for a formula: a quote before what begins like one and is no number.
fn no_formula(cell: &str) -> String {
    let numeric = |c: char| c.is_ascii_digit() || c == '.';
    let formula = match cell.as_bytes() {
        [b'=' | b'@', ..] => true,
        [b'+' | b'-', ..] => cell.chars().nth(1).is_some_and(|c| !numeric(c)),
        _ => false,
    };
    if formula { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Grid {
        Grid {
            title: "Scores, %".to_owned(),
            headers: vec!["variant".to_owned(), "a_b".to_owned()],
            rows: vec![vec!["x, \"y\"".to_owned(), "1.0".to_owned()]],
            notes: vec!["n < 5".to_owned()],
        }
    }

    #[test]
    fn renderings_escape_what_they_must() {
        assert_eq!(sample().csv(), "variant,a_b\n\"x, \"\"y\"\"\",1.0\n");
        assert!(sample().markdown().contains("| variant"));
        let foul = Grid { rows: vec![vec!["=1+1".to_owned(), "a|b\n<b>'".to_owned()]], ..sample() };
        assert!(foul.csv().contains("'=1+1") && foul.markdown().contains("a\\|b <b>"));
        let numbers = ["-", "-1.5", "+0.2 [+0.1, +0.3]"].map(no_formula);
        assert_eq!(numbers, ["-", "-1.5", "+0.2 [+0.1, +0.3]"]);
    }

    #[test]
    fn a_table_fits_the_terminal() {
        let summary = "one two three four five six seven eight nine ten eleven twelve";
        let wide = Grid {
            headers: ["name", "summary", "a", "b"].map(str::to_owned).to_vec(),
            rows: vec![["x", summary, "1.25 [1.00, 1.50]", "2.25 [2.00, 2.50]"].map(str::to_owned).to_vec()],
            ..sample()
        };
        for width in [40, 60, 80, 120] {
            let text = wide.terminal(Some(width));
            let table = text.lines().filter(|l| l.contains(['│', '┆', '┌', '└', '╞']));
            assert!(
                table.clone().count() > 3 && table.clone().all(|l| measure_text_width(l) <= width),
                "{text}"
            );
            assert!(width == 40 || text.contains("1.25 [1.00, 1.50]"), "{text}");
        }
        assert!(wide.terminal(Some(60)).contains("No room here for: b."));
        assert!(wide.terminal(None).contains(summary));
    }
}
