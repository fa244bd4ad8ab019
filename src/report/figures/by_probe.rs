//! One panel per probe, one line per method along alpha: the mean over seeds, named at its end.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::canvas::{FONT, GRID, INK, PALETTE, colour, method_number, text_width};
use super::{Figure, Sheet};
use crate::base::registry::Named;
use crate::report::ReportData;
use crate::report::methods::by_method;
use crate::store::ProbeRecord;
use crate::suite::ProbeRole;

/// Negative log-likelihood along alpha.
pub(super) struct Loss;

impl Named for Loss {
    fn name(&self) -> &'static str {
        "loss"
    }
    fn summary(&self) -> &'static str {
        "loss over alpha, a panel per probe, a line per method"
    }
    fn reference(&self) -> &'static str {
        "after arXiv:2601.10497, figure 2, and arXiv:1912.05671"
    }
}

const LOSS: &str = "loss";

impl Figure for Loss {
    fn draw(&self, data: &ReportData, sheet: Sheet) -> Result<Option<String>, String> {
        let loss = |variant: &str, probe: &ProbeRecord| {
            let key = (variant.to_owned(), probe.spec.id.clone());
            Some(data.scores.get(&key)?.metric(LOSS)?.estimate.value)
        };
        draw(data, &loss, ("loss, nats", 1.0), sheet)
    }

    fn caption(&self, _: &ReportData) -> String {
        "Mean negative log-likelihood of the label over alpha, the weight of the fine-tuned model: one line per method, the \
         mean over seeds. A barrier is a hump above the straight line between the ends."
            .to_owned()
    }
}

/// The main score of each probe along alpha.
pub(super) fn scores(data: &ReportData, sheet: Sheet) -> Result<Option<String>, String> {
    let score = |variant: &str, probe: &ProbeRecord| Some(data.main(variant, probe)?.estimate.value);
    draw(data, &score, ("score, %", 100.0), sheet)
}

/// The caption of [`scores`].
pub(super) const SCORES: &str = "Score of each probe over alpha, the weight of the fine-tuned model: one line per method, the \
                                 mean over seeds; the tables hold the intervals.";

type Value<'a> = dyn Fn(&str, &ProbeRecord) -> Option<f64> + 'a;

/// A method's values along alpha.
struct Line {
    name: String,
    /// Of the method, the same in all figures.
    number: usize,
    points: Vec<(f64, f64)>,
}

/// Pixels of a panel.
const PANEL: (u32, u32) = (760, 430);
/// Units down of a panel at least.
const SHORTEST: u32 = 270;

fn draw(
    data: &ReportData,
    value: &Value<'_>,
    axis: (&str, f64),
    sheet: Sheet,
) -> Result<Option<String>, String> {
    let shown = |p: &&ProbeRecord| p.spec.role != ProbeRole::Selection;
    let lines = |p: &ProbeRecord| lines(data, p, value);
    let panels: Vec<(String, Vec<Line>)> = data
        .manifest
        .probes
        .iter()
        .filter(shown)
        .map(|p| (format!("{} ({})", p.spec.id, p.spec.role.name()), lines(p)))
        .filter(|p| !p.1.is_empty())
        .collect();
    if panels.is_empty() {
        return Ok(None);
    }
    let columns = panels.len().min(if sheet.width(2 * PANEL.0) < 700 { 1 } else { 2 });
    let rows = panels.len().div_ceil(columns);
    let most = panels.iter().map(|p| p.1.len()).max().unwrap_or(0) as u32;
    let width = sheet.width(PANEL.0 * columns as u32);
    let height = (width / columns as u32 * PANEL.1 / PANEL.0).max(SHORTEST).max(most * 15 + 110);
    let mut svg = String::new();
    {
        let size = (width, height * rows as u32);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).map_err(|e| e.to_string())?;
        for (area, (title, lines)) in root.split_evenly((rows, columns)).iter().zip(&panels) {
            panel(area, title, lines, axis).map_err(|e| e.to_string())?;
        }
        root.present().map_err(|e| e.to_string())?;
    }
    Ok(Some(svg))
}

/// Means over the seeds of each method, at the alphas that all of them have.
fn lines(data: &ReportData, probe: &ProbeRecord, value: &Value<'_>) -> Vec<Line> {
    let of = |(name, curves): (String, Vec<&crate::plan::Curve>)| {
        let first = curves.first()?;
        let at = |alpha: f64| {
            let each = curves.iter().map(|c| {
                let point = c.points.iter().find(|p| p.alpha == alpha)?;
                value(&point.variant, probe)
            });
            let all: Vec<f64> = each.collect::<Option<_>>()?;
            Some((alpha, all.iter().sum::<f64>() / all.len() as f64))
        };
        let points: Vec<(f64, f64)> = first.points.iter().filter_map(|p| at(p.alpha)).collect();
        let number = method_number(data, &name);
        (points.len() > 1).then_some(Line { name, number, points })
    };
    by_method(&data.manifest.curves).into_iter().filter_map(of).collect()
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    lines: &[Line],
    (axis, scale): (&str, f64),
) -> Result<(), Box<dyn std::error::Error>> {
    let values = lines.iter().flat_map(|l| &l.points).map(|p| p.1);
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let margin = ((high - low) * 0.05).max(1e-6);
    let names = lines.iter().map(|l| text_width(&l.name, 13)).max().unwrap_or(0);
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 18).into_font().color(&INK))
        .margin(14)
        .margin_right(names as u32 + 30)
        .x_label_area_size(52)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..1.0, low - margin..high + margin)?;
    let digits = usize::from((high - low) * scale < 10.0) + usize::from((high - low) * scale < 1.0);
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK.stroke_width(1))
        .x_labels(if area.dim_in_pixel().0 < 500 { 6 } else { 11 })
        .y_label_formatter(&|v| format!("{:.digits$}", v * scale))
        .label_style((FONT, 15).into_font().color(&INK))
        .axis_desc_style((FONT, 17).into_font().color(&INK))
        .x_desc("alpha")
        .y_desc(axis)
        .draw()?;
    for line in lines {
        let (points, style) = (line.points.iter().copied(), colour(line.number).stroke_width(2));
        // Where colours repeat, dashes tell them apart.
        match line.number / PALETTE.len() {
            0 => chart.draw_series(LineSeries::new(points, style))?,
            1 => chart.draw_series(DashedLineSeries::new(points, 8, 4, style))?,
            _ => chart.draw_series(DashedLineSeries::new(points, 2, 4, style))?,
        };
    }
    let (left, top) = chart.plotting_area().get_base_pixel();
    let (width, height) = chart.plotting_area().dim_in_pixel();
    let (area_left, area_top) = area.get_base_pixel();
    let right = left - area_left + width as i32;
    let mut ends: Vec<(i32, &Line)> =
        lines.iter().filter_map(|l| Some((chart.backend_coord(l.points.last()?).1 - area_top, l))).collect();
    ends.sort_by_key(|e| e.0);
    let places = apart(&ends.iter().map(|e| e.0).collect::<Vec<_>>(), top - area_top, height as i32);
    for ((from, line), to) in ends.into_iter().zip(places) {
        let lead = vec![(right + 2, from), (right + 14, to)];
        area.draw(&PathElement::new(lead, colour(line.number).mix(0.5).stroke_width(1)))?;
        let style = (FONT, 13).into_font().color(&colour(line.number));
        area.draw(&Text::new(line.name.clone(), (right + 18, to - 7), style))?;
    }
    Ok(())
}

/// Pixels between names.
const STEP: i32 = 15;

/// Heights of names, ascending like `wanted`, that keep their distance and stay within the plot where they can.
fn apart(wanted: &[i32], top: i32, height: i32) -> Vec<i32> {
    let mut places: Vec<i32> = Vec::with_capacity(wanted.len());
    for &w in wanted {
        places.push(places.last().map_or(w, |last| w.max(last + STEP)));
    }
    // What was pushed below the plot moves up again.
    let mut limit = top + height;
    for place in places.iter_mut().rev() {
        *place = (*place).min(limit);
        limit = *place - STEP;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_distance_and_their_order() {
        assert_eq!(apart(&[10, 12, 100], 0, 300), [10, 25, 100]);
        assert_eq!(apart(&[295, 298, 299], 0, 300), [270, 285, 300]);
        assert!(apart(&[], 0, 100).is_empty());
    }
}
