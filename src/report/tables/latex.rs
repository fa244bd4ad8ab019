//! Tables for a paper: booktabs rules, intervals as subscripts, the best value of a column in bold.

use super::cell::{Cell, Number};
use super::numbers::{Column, NumberTable, Row};

/// Characters of a line in one column of a two-column page, and across the page, in `\\footnotesize`.
const COLUMN: usize = 52;
const PAGE: usize = 110;

impl NumberTable {
    /// A LaTeX `table`, or a `table*` where one column of a page is too narrow, with the label `tab:NAME`.
    #[must_use]
    pub fn latex(&self, name: &str) -> String {
        let best = self.best();
        let keys = self.keys.iter().map(|k| escape(k));
        let headers: Vec<String> = keys.chain(self.columns.iter().map(heading)).collect();
        let row = |(r, row): (usize, &Row)| -> Vec<String> {
            let keys = row.keys.iter().map(|k| escape(&k.shown));
            keys.chain(row.cells.iter().enumerate().map(|(c, cell)| shown(cell, best[c][r]))).collect()
        };
        let rows: Vec<Vec<String>> = self.rows.iter().enumerate().map(row).collect();
        let line = |cells: &[String]| format!("{} \\\\\n", cells.join(" & "));
        let columns = "l".repeat(self.keys.len()) + &"r".repeat(self.columns.len());
        let tabular = format!(
            "\\begin{{tabular}}{{{columns}}}\n\\toprule\n{}\\midrule\n{}\\bottomrule\n\\end{{tabular}}",
            line(&headers),
            rows.iter().map(|r| line(r)).collect::<String>()
        );
        let width = self.width();
        let table = if width > COLUMN { "table*" } else { "table" };
        let (packages, tabular) = if width > PAGE {
            ("booktabs and graphicx", format!("\\resizebox{{\\textwidth}}{{!}}{{%\n{tabular}}}"))
        } else {
            ("booktabs", tabular)
        };
        let notes = self.notes.iter().map(|n| format!(" {}", escape(n))).collect::<String>();
        format!(
            "% needs the packages {packages}\n\\begin{{{table}}}\n\\centering\n\\footnotesize\n\
             \\setlength{{\\tabcolsep}}{{3pt}}\n\\caption{{{}.{notes}}}\n\\label{{tab:{name}}}\n{tabular}\n\\end{{{table}}}\n",
            escape(&self.title),
        )
    }

    /// Characters of the widest line, subscripts counting for less.
    fn width(&self) -> usize {
        let key = |i: usize| {
            let widest = self.rows.iter().map(|r| r.keys[i].shown.chars().count()).max().unwrap_or(0);
            widest.max(self.keys[i].len())
        };
        let column = |i: usize| {
            let widest = self.rows.iter().map(|r| wide(&r.cells[i])).max().unwrap_or(0);
            widest.max(self.columns[i].short.unwrap_or(&self.columns[i].title).chars().count())
        };
        let keys: usize = (0..self.keys.len()).map(|i| key(i) + 1).sum();
        keys + (0..self.columns.len()).map(|i| column(i) + 1).sum::<usize>()
    }
}

/// About how many characters a cell takes.
fn wide(cell: &Cell) -> usize {
    let text = cell.text().chars().count();
    match cell.number() {
        Some(number) if number.interval.is_some() => {
            let own = number.show.text(number.value).chars().count();
            own + (text - own) * 7 / 10
        }
        _ => text,
    }
}

fn heading(column: &Column) -> String {
    escape(column.short.unwrap_or(&column.title))
}

fn shown(cell: &Cell, best: bool) -> String {
    let bold = |text: String| if best { format!("\\mathbf{{{text}}}") } else { text };
    match cell {
        Cell::Nothing => "--".to_owned(),
        Cell::Text(text) => escape(text),
        Cell::Number(number) => format!("${}$", math(number, &bold)),
        Cell::Two(a, b) => format!("${}$ (${}$)", math(a, &bold), math(b, &|text| text)),
    }
}

fn math(number: &Number, bold: &dyn Fn(String) -> String) -> String {
    let text = |v: f64| number.show.text(v).replace('±', "\\pm ").replace(" of ", "\\,/\\,");
    let interval = number.interval.map(|i| format!("_{{[{},\\,{}]}}", text(i.low), text(i.high)));
    let spread = number.spread.map(|s| format!("\\pm {}", text(s)));
    [bold(text(number.value)), interval.unwrap_or_default(), spread.unwrap_or_default()].concat()
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '\\' => out.push_str("\\textbackslash{}"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '±' => out.push_str("$\\pm$"),
            '\n' | '\r' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::report::tables::numbers::tests::sample;

    #[test]
    fn a_table_for_a_paper() {
        let text = sample().latex("scores");
        assert!(text.contains("\\caption{Scores in \\%. n \\textless{} 5}\n\\label{tab:scores}"), "{text}");
        assert!(text.contains("variant & Spec. & P(larger) & on\\_frontier & none \\\\\n"), "{text}");
        assert!(
            text.contains("b\\_1 & $\\mathbf{62.5}_{[25.0,\\,75.0]}$ & $0.50$ ($0.12$) & yes & -- \\\\\n"),
            "{text}"
        );
        assert!(text.contains("\\begin{table}\n") && !text.contains("resizebox"), "{text}");
        let mut wide = sample();
        wide.rows[0].keys[0].shown = "x".repeat(50);
        let text = wide.latex("scores");
        assert!(text.contains("\\begin{table*}") && !text.contains("resizebox"), "{text}");
        wide.rows[0].keys[0].shown = "x".repeat(120);
        assert!(wide.latex("scores").contains("\\resizebox{\\textwidth}"));
    }
}
