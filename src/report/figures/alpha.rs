//! Each probe's score over alpha, one panel per curve.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::axis::{FractionAxis, Scale};
use super::canvas::{FONT, GRID, INK, colour, text_width};
use super::{Figure, Sheet, by_probe};
use crate::base::registry::Named;
use crate::plan::Curve;
use crate::report::{MANY_CURVES, ReportData};
use crate::store::ProbeRecord;
use crate::suite::ProbeRole;

/// The figure.
pub(super) struct Alpha;

impl Named for Alpha {
    fn name(&self) -> &'static str {
        "alpha"
    }
    fn summary(&self) -> &'static str {
        "each probe over alpha: a panel per curve with bands, of many curves a panel per probe"
    }
    fn reference(&self) -> &'static str {
        "after arXiv:2109.01903, figure 5"
    }
}

const PANEL: (u32, u32) = (760, 470);
/// Units down of a panel at least.
const SHORTEST: u32 = 270;

impl Figure for Alpha {
    fn draw(&self, data: &ReportData, sheet: Sheet) -> Result<Option<String>, String> {
        if data.manifest.curves.len() > MANY_CURVES {
            return by_probe::scores(data, sheet);
        }
        let curves = &data.manifest.curves;
        if curves.is_empty() {
            return Ok(None);
        }
        let mut svg = String::new();
        {
            let width = sheet.width(PANEL.0);
            let height = (width * PANEL.1 / PANEL.0).max(SHORTEST);
            let size = (width, height * curves.len() as u32);
            let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            root.fill(&WHITE).map_err(|e| e.to_string())?;
            for (area, curve) in root.split_evenly((curves.len(), 1)).iter().zip(curves) {
                panel(area, data, curve).map_err(|e| e.to_string())?;
            }
            root.present().map_err(|e| e.to_string())?;
        }
        Ok(Some(svg))
    }

    fn caption(&self, data: &ReportData) -> String {
        if data.manifest.curves.len() > MANY_CURVES {
            return by_probe::SCORES.to_owned();
        }
        let level = data.manifest.suite.stats.confidence * 100.0;
        format!(
            "Score of each probe over alpha, the weight of the fine-tuned model. Solid: speciality; \
             dashed: generality; dotted: selection. Bands are pointwise {level}% intervals. The \
             vertical line is the alpha chosen on the selection probes."
        )
    }
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    data: &ReportData,
    curve: &Curve,
) -> Result<(), Box<dyn std::error::Error>> {
    let lines = lines_of(data, curve);
    let values = lines.iter().flat_map(|l| &l.points).flat_map(|p| [p.2, p.3]);
    let y = FractionAxis::around(Scale::Linear, values);
    let bounds = y.bounds();
    let names = lines.iter().map(|l| text_width(&l.name, 14)).max().unwrap_or(0);
    let title = format!("{} to {} ({})", curve.from, curve.to, curve.merge);
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 18).into_font().color(&INK))
        .margin(14)
        .margin_right(names as u32 + 20)
        .x_label_area_size(52)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..1.0, y)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK.stroke_width(1))
        .x_labels(if area.dim_in_pixel().0 < 500 { 6 } else { 11 })
        .label_style((FONT, 15).into_font().color(&INK))
        .axis_desc_style((FONT, 17).into_font().color(&INK))
        .x_desc("alpha")
        .y_desc("score, %")
        .draw()?;
    if let Some(chosen) = data.chosen_alpha(&curve.id) {
        let line = vec![(chosen, bounds.0), (chosen, bounds.1)];
        chart.draw_series(std::iter::once(PathElement::new(line, INK.mix(0.6).stroke_width(1))))?;
    }
    for line in &lines {
        let upper = line.points.iter().map(|p| (p.0, p.3));
        let lower = line.points.iter().rev().map(|p| (p.0, p.2));
        let band: Vec<(f64, f64)> = upper.chain(lower).collect();
        chart.draw_series(std::iter::once(Polygon::new(band, line.colour.mix(0.10).filled())))?;
    }
    for line in &lines {
        let path = line.points.iter().map(|p| (p.0, p.1));
        let style = line.colour.stroke_width(2);
        match line.role {
            ProbeRole::Speciality => chart.draw_series(LineSeries::new(path, style))?,
            ProbeRole::Generality => chart.draw_series(DashedLineSeries::new(path, 7, 4, style))?,
            ProbeRole::Selection => chart.draw_series(DashedLineSeries::new(path, 2, 4, style))?,
        };
    }
    // Names at the right end of the lines, moved apart where they would overlap.
    let (left, _) = chart.plotting_area().get_base_pixel();
    let (base_left, base_top) = area.get_base_pixel();
    let right = left + chart.plotting_area().dim_in_pixel().0 as i32 - base_left;
    let ends = lines.iter().filter_map(|l| {
        let last = l.points.last()?;
        Some((chart.backend_coord(&(last.0, last.1)).1 - base_top, l))
    });
    draw_names(area, ends.collect(), right)
}

/// Writes each line's name beside its end, at a height from the top.
fn draw_names(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    mut labels: Vec<(i32, &Line)>,
    right: i32,
) -> Result<(), Box<dyn std::error::Error>> {
    labels.sort_by_key(|l| l.0);
    let mut free = i32::MIN;
    for (y, line) in labels {
        let y = y.max(free);
        free = y + 17;
        let style = (FONT, 14).into_font().color(&line.colour);
        area.draw(&Text::new(line.name.clone(), (right + 8, y - 7), style))?;
    }
    Ok(())
}

/// The scores of every probe along a curve.
fn lines_of(data: &ReportData, curve: &Curve) -> Vec<Line> {
    let line = |(i, probe): (usize, &ProbeRecord)| Line {
        name: probe.spec.id.clone(),
        role: probe.spec.role,
        colour: colour(i),
        points: curve
            .points
            .iter()
            .filter_map(|p| {
                let e = &data.main(&p.variant, probe)?.estimate;
                let (low, high) = e.interval.map_or((e.value, e.value), |i| (i.low, i.high));
                Some((p.alpha, e.value, low, high))
            })
            .collect(),
    };
    data.manifest.probes.iter().enumerate().map(line).collect()
}

struct Line {
    name: String,
    role: ProbeRole,
    colour: RGBColor,
    /// Alpha, value, low, high.
    points: Vec<(f64, f64, f64, f64)>,
}
