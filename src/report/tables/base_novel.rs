//! Base, novel and their harmonic mean, by method and data set.

use super::{Grid, TableSpec, percent};
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
    fn build(&self, data: &ReportData) -> Option<Grid> {
        let methods = halves(data);
        if methods.is_empty() {
            return None;
        }
        let level = data.manifest.suite.stats.confidence;
        let mut rows = Vec::new();
        for method in &methods {
            rows.extend(rows_of(method, level));
        }
        let headers = ["method", "data set", "base", "novel", "H"].map(str::to_owned).to_vec();
        let notes = vec![
            format!(
                "In brackets: {}% intervals over seeds and examples; after ±: standard deviation over seeds.",
                level * 100.0
            ),
            "H of an average row is the harmonic mean of the averaged halves, as papers give it; the row below \
             has the mean of the data sets' H."
                .to_owned(),
        ];
        Some(Grid { title: "Base and novel classes in percent".to_owned(), headers, rows, notes })
    }
}

fn rows_of(method: &MethodHalves, level: f64) -> Vec<Vec<String>> {
    let cell = |axis: &Axis| percent(axis.value, axis.interval(level));
    let mut rows = Vec::new();
    // Between the ends only averages: eleven alphas by eleven sets are no table.
    if method.alpha.is_none() || method.pairs.len() == 1 {
        for pair in &method.pairs {
            let spread = |s: f64| format!(" ± {:.1}", s * 100.0);
            let (base, novel) = pair.spread.map_or_else(Default::default, |(b, n)| (spread(b), spread(n)));
            rows.push(vec![
                method.label.clone(),
                pair.dataset.clone(),
                cell(&pair.base) + &base,
                cell(&pair.novel) + &novel,
                cell(&pair.h()),
            ]);
        }
    }
    if method.pairs.len() > 1 {
        let [base, novel, h, mean_h] = method.average();
        let label = |what: &str| vec![method.label.clone(), what.to_owned()];
        let average = format!("average of {}", method.pairs.len());
        rows.push([label(&average), vec![cell(&base), cell(&novel), cell(&h)]].concat());
        let dash = || "-".to_owned();
        rows.push([label("mean of H"), vec![dash(), dash(), cell(&mean_h)]].concat());
    }
    rows
}
