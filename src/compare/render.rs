//! Comparisons and verdicts as tables, Markdown, JUnit XML, and annotations of GitHub Actions.

use std::fmt::Write as _;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::comparison::{CellChange, Comparison};
use super::curves::CurveChange;
use super::gate::{GateOutcome, GateVerdict};
use crate::report::{Cell, Column, Grid, Number, NumberTable, Row, Show};
use crate::stats::Interval;

fn points_with(value: f64, interval: Option<Interval>) -> String {
    Number { interval, ..Number::new(value, Show::Points) }.text()
}

fn p_value(p: f64) -> String {
    Show::PValue.text(p)
}

/// The table of cells.
#[must_use]
pub fn cells_table(comparison: &Comparison) -> NumberTable {
    let columns =
        ["n", "before", "after", "difference", "p", "p (Holm)", "detectable", "n needed", "gained", "lost"];
    let p = |p: f64| Cell::Number(Number::new(p, Show::PValue));
    let row = |c: &CellChange| Row {
        keys: [&c.variant, &c.probe, &c.metric].map(|k| k.clone().into()).to_vec(),
        origin: None,
        cells: vec![
            Cell::count(c.n),
            Cell::percent(c.before, None),
            Cell::percent(c.after, None),
            Cell::Number(Number { interval: c.interval, ..Number::new(c.difference, Show::Points) }),
            p(c.p),
            p(c.p_holm),
            Cell::percent(c.detectable, None),
            c.examples_needed.map_or(Cell::Nothing, |n| Cell::count(n as usize)),
            Cell::count(c.gained),
            Cell::count(c.lost),
        ],
    };
    let mut notes = vec![
        "Differences in points, with intervals from paired resamples; exact McNemar tests (paired resamples for \
         means over classes), Holm-adjusted over all rows. Detectable: the smallest difference that n examples show \
         with power 0.8; n needed: examples that would show the difference found."
            .to_owned(),
    ];
    notes.extend(comparison.unpaired.iter().map(|u| format!("Not compared: {u}.")));
    notes.extend(comparison.remarks.iter().map(|r| format!("Note: {r}.")));
    NumberTable {
        title: "Changes in percent".to_owned(),
        keys: vec!["variant", "probe", "metric"],
        columns: columns.map(Column::new).to_vec(),
        rows: comparison.cells.iter().map(row).collect(),
        notes,
    }
}

/// The table of curves.
#[must_use]
pub fn curves_table(comparison: &Comparison) -> NumberTable {
    let row = |c: &CurveChange| {
        let number = |value, show| Cell::Number(Number::new(value, show));
        Row {
            keys: vec![c.curve.clone().into(), c.quantity.to_owned().into()],
            origin: None,
            cells: vec![
                number(c.before, Show::Digits(4)),
                number(c.after, Show::Digits(4)),
                Cell::Number(Number { interval: c.interval, ..Number::new(c.difference, Show::Signed(4)) }),
                number(c.p, Show::PValue),
                Cell::probability(Some(c.p_above)),
            ],
        }
    };
    let note = "P(frontier above): share of the resamples in which every point of the first frontier is dominated \
                or equalled by the second's.";
    NumberTable {
        title: "Curves".to_owned(),
        keys: vec!["curve", "of"],
        columns: ["before", "after", "difference", "p", "P(frontier above)"].map(Column::new).to_vec(),
        rows: comparison.curves.iter().map(row).collect(),
        notes: vec![note.to_owned()],
    }
}

/// The table of verdicts: regressions, then the largest falls.
#[must_use]
pub fn verdicts_grid(verdicts: &[GateVerdict], rows: usize) -> Grid {
    let mut order: Vec<&GateVerdict> = verdicts.iter().collect();
    order.sort_by(|a, b| {
        let rank = |v: &GateVerdict| v.outcome != GateOutcome::Regression;
        rank(a).cmp(&rank(b)).then(a.difference.total_cmp(&b.difference))
    });
    let failed = order.iter().filter(|v| v.outcome == GateOutcome::Regression).count();
    let shown = order.iter().take(rows.max(failed)).map(|v| {
        vec![
            if v.outcome == GateOutcome::Regression { "REGRESSION" } else { "pass" }.to_owned(),
            v.name.clone(),
            v.metric.clone(),
            format!("{:.1}", v.before * 100.0),
            format!("{:.1}", v.after * 100.0),
            points_with(v.difference, v.interval),
            p_value(v.p_adjusted),
        ]
    });
    let headers =
        ["verdict", "gated metric", "metric", "baseline", "now", "difference", "p (adjusted, one-sided)"];
    Grid {
        title: "Gate".to_owned(),
        headers: headers.map(str::to_owned).to_vec(),
        rows: shown.collect(),
        notes: vec![format!("{} gated metrics, {failed} regressions. Values in percent.", verdicts.len())],
    }
}

/// The last line for people and scripts.
#[must_use]
pub fn verdict_line(verdicts: &[GateVerdict]) -> String {
    let failed = verdicts.iter().filter(|v| v.outcome == GateOutcome::Regression).count();
    if failed > 0 {
        format!("verdict: regression ({failed} of {} gated metrics)", verdicts.len())
    } else {
        format!("verdict: pass ({} gated metrics)", verdicts.len())
    }
}

/// A Markdown page for a pull request.
#[must_use]
pub fn summary(suite: &str, verdicts: &[GateVerdict]) -> String {
    let mut text = format!("### specbench gate: {suite}\n\n**{}**\n\n", verdict_line(verdicts));
    text.push_str(&verdicts_grid(verdicts, 10).markdown());
    text
}

/// JUnit XML: one test case per gated metric.
#[must_use]
pub fn junit(suite: &str, verdicts: &[GateVerdict]) -> String {
    let mut tests = TestSuite::new(suite);
    for v in verdicts {
        let mut status = TestCaseStatus::success();
        if v.outcome == GateOutcome::Regression {
            status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(sentence(v));
        }
        let mut case = TestCase::new(v.name.clone(), status);
        case.set_classname(format!("specbench.{suite}"));
        tests.add_test_case(case);
    }
    let mut report = Report::new("specbench");
    report.add_test_suite(tests);
    report.to_string().expect("text into memory")
}

fn sentence(v: &GateVerdict) -> String {
    format!(
        "{} fell from {:.1} to {:.1}: {} points, p {} (adjusted, one-sided)",
        v.metric,
        v.before * 100.0,
        v.after * 100.0,
        points_with(v.difference, v.interval),
        p_value(v.p_adjusted)
    )
}

/// Workflow commands of GitHub Actions, one for each regression; they show as errors on the run's page.
#[must_use]
pub fn annotations(verdicts: &[GateVerdict]) -> String {
    let escape = |s: &str| s.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let mut text = String::new();
    for v in verdicts.iter().filter(|v| v.outcome == GateOutcome::Regression) {
        let title = escape(&v.name).replace(':', "%3A").replace(',', "%2C");
        let _ = writeln!(text, "::error title={title}::{}", escape(&sentence(v)));
    }
    text
}

impl Comparison {
    /// Ids of flipped examples as rows `variant, probe, example, flip`.
    #[must_use]
    pub fn flips_grid(&self) -> Grid {
        let mut rows = Vec::new();
        for c in &self.cells {
            for (ids, flip) in [(&c.gained_ids, "gained"), (&c.lost_ids, "lost")] {
                let row = |id: &String| [&c.variant, &c.probe, id, flip].map(ToString::to_string).to_vec();
                rows.extend(ids.iter().map(row));
            }
        }
        let headers = ["variant", "probe", "example", "flip"].map(str::to_owned).to_vec();
        Grid { title: "Flips".to_owned(), headers, rows, notes: vec![] }
    }

    /// Changes by class as rows `variant, probe, class, n, gained, lost`.
    #[must_use]
    pub fn classes_grid(&self) -> Grid {
        let mut rows = Vec::new();
        for c in &self.cells {
            rows.extend(c.classes.iter().map(|k| {
                let numbers = [k.n, k.gained, k.lost].map(|v| v.to_string());
                [vec![c.variant.clone(), c.probe.clone(), k.class.clone()], numbers.to_vec()].concat()
            }));
        }
        let headers = ["variant", "probe", "class", "n", "gained", "lost"].map(str::to_owned).to_vec();
        Grid { title: "Changes by class".to_owned(), headers, rows, notes: vec![] }
    }
}
