//! Base, novel and their harmonic mean, by method and data set.

use super::{Best, Cell, Column, Number, NumberTable, Row, Show, TableSpec};
use crate::base::registry::Named;
use crate::report::ReportData;
use crate::report::halves::{MethodHalves, halves};
use crate::report::points::Axis;

/// The table.
pub(super) struct BaseNovel;

impl Named for BaseNovel {
    fn name(&self) -> &'static str {
        "base-novel"
    }
    fn summary(&self) -> &'static str {
        "base, novel and H for each method and data set, with both averages of H"
    }
    fn reference(&self) -> &'static str {
        "CoCoOp, arXiv:2203.05557"
    }
}

impl TableSpec for BaseNovel {
    fn build(&self, data: &ReportData) -> Option<NumberTable> {
        let methods = halves(data);
        if methods.is_empty() {
            return None;
        }
        let level = data.manifest.suite.stats.confidence;
        let mut rows = Vec::new();
        for method in &methods {
            rows.extend(rows_of(method, level));
        }
        let notes = vec![
            format!(
                "In brackets: {}% intervals over seeds and examples; after ±: standard deviation over seeds.",
                level * 100.0
            ),
            "H of an average row is the harmonic mean of the averaged halves, as papers give it; the row below \
             has the mean of the data sets' H."
                .to_owned(),
        ];
        Some(NumberTable {
            title: "Base and novel classes in percent".to_owned(),
            keys: vec!["method", "data set"],
            columns: ["base", "novel", "H"].map(|c| Column::new(c).best(Best::Largest)).to_vec(),
            rows,
            notes,
        })
    }
}

fn rows_of(method: &MethodHalves, level: f64) -> Vec<Row> {
    let number = |axis: &Axis, spread| {
        let interval = axis.interval(level);
        Cell::Number(Number { interval, spread, ..Number::new(axis.value, Show::Percent) })
    };
    let cell = |axis: &Axis| number(axis, None);
    let row = |what: &str, cells: Vec<Cell>| Row {
        keys: vec![method.label.clone().into(), what.to_owned().into()],
        origin: None,
        cells,
    };
    let mut rows = Vec::new();
    // Between the ends only averages: eleven alphas by eleven sets are no table.
    if method.alpha.is_none() || method.pairs.len() == 1 {
        for pair in &method.pairs {
            let (base, novel) = pair.spread.unzip();
            let cells = vec![number(&pair.base, base), number(&pair.novel, novel), cell(&pair.h())];
            rows.push(row(&pair.dataset, cells));
        }
    }
    if method.pairs.len() > 1 {
        let [base, novel, h, mean_h] = method.average();
        let average = format!("average of {}", method.pairs.len());
        rows.push(row(&average, vec![cell(&base), cell(&novel), cell(&h)]));
        rows.push(row("mean of H", vec![Cell::Nothing, Cell::Nothing, cell(&mean_h)]));
    }
    rows
}
