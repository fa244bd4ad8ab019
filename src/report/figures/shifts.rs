//! Effective robustness: accuracy under each shift over accuracy in distribution, on logit axes.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::axis::{FractionAxis, Scale};
use super::canvas::{FONT, GRID, INK, colour, curve_colour, diamond, end_mark, star};
use super::legend::{Legend, Mark};
use super::{Figure, Sheet};
use crate::base::registry::Named;
use crate::plan::{Curve, CurvePoint, Reference};
use crate::report::methods::{Plane, by_method, mean_curve};
use crate::report::{MANY_CURVES, ReportData};
use crate::stats::LogitFit;
use crate::store::ProbeRecord;
use crate::suite::ProbeRole;

/// The figure.
pub(super) struct Shifts;

impl Named for Shifts {
    fn name(&self) -> &'static str {
        "shifts"
    }
    fn summary(&self) -> &'static str {
        "each generality probe over the speciality probe on logit axes, with published references"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2109.01903, figure 1; arXiv:2007.00644"
    }
}

const PANEL: (u32, u32) = (380, 350);
const COLUMNS: usize = 3;
/// Units of a panel at least.
const NARROWEST: u32 = 250;
const SHORTEST: u32 = 240;
const GREY: RGBColor = RGBColor(165, 165, 165);

/// The probe on x and those on y.
fn probes(data: &ReportData) -> Option<(&ProbeRecord, Vec<&ProbeRecord>)> {
    let all = &data.manifest.probes;
    let x = all.iter().find(|p| p.spec.role == ProbeRole::Speciality)?;
    let y: Vec<&ProbeRecord> = all.iter().filter(|p| p.spec.role == ProbeRole::Generality).collect();
    (!y.is_empty() && !data.manifest.curves.is_empty()).then_some((x, y))
}

impl Figure for Shifts {
    fn draw(&self, data: &ReportData, sheet: Sheet) -> Result<Option<String>, String> {
        let Some((x, shifts)) = probes(data) else { return Ok(None) };
        let room = sheet.width(PANEL.0 * shifts.len().min(COLUMNS) as u32);
        let columns = shifts.len().min((room / NARROWEST).clamp(1, COLUMNS as u32) as usize);
        let (rows, across) = (shifts.len().div_ceil(columns), room / columns as u32);
        let down = (across * PANEL.1 / PANEL.0).max(SHORTEST);
        let (width, height) = (across * columns as u32, down * rows as u32);
        // The legend stands in the empty place of the last row, or below.
        let cell =
            (shifts.len() % columns != 0).then(|| Legend::column(entries(data, x), across as i32 - 60));
        let (legend, place, below) = match cell.filter(|l| l.height + 60 < down as i32) {
            Some(legend) => {
                let left = (shifts.len() % columns) as u32 * across + 50;
                (legend, (left as i32, (height - down) as i32 + 30), 0)
            }
            None => {
                let legend = Legend::rows(entries(data, x), width as i32 - 40);
                let below = legend.height + 16;
                (legend, (20, height as i32), below)
            }
        };
        let mut svg = String::new();
        {
            let size = (width, height + below as u32);
            let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            root.fill(&WHITE).map_err(|e| e.to_string())?;
            let (upper, _) = root.split_vertically(height as i32);
            for (area, y) in upper.split_evenly((rows, columns)).iter().zip(&shifts) {
                panel(area, data, x, y).map_err(|e| e.to_string())?;
            }
            legend.draw(&root, place).map_err(|e| e.to_string())?;
            root.present().map_err(|e| e.to_string())?;
        }
        Ok(Some(svg))
    }

    fn caption(&self, data: &ReportData) -> String {
        let references = if data.manifest.references.is_empty() {
            String::new()
        } else {
            " Grey circles are published zero-shot models, the line is their trend in logit space, grey \
             crosses are digitised from a published figure; the reference file names each source. Axes range over the \
             suite's own curves; published models outside are counted in the corner."
                .to_owned()
        };
        let many = if data.manifest.curves.len() > MANY_CURVES {
            " One line a way of fine-tuning, the mean over its seeds."
        } else {
            ""
        };
        format!(
            "Accuracy on each generality probe over accuracy on the speciality probe, both axes logit-scaled. \
             Star: pretrained; diamond: fine-tuned; the curve runs over alpha.{many}{references}"
        )
    }
}

/// Published scores on both probes: zero-shot models, or what was read off a figure.
fn published(data: &ReportData, x: &ProbeRecord, y: &ProbeRecord, zero_shot: bool) -> Vec<(f64, f64)> {
    let of = |r: &Reference| Some((*r.scores.get(&x.spec.dataset)?, *r.scores.get(&y.spec.dataset)?));
    let all = data.manifest.references.iter();
    all.filter(|r| (r.kind == "zero-shot") == zero_shot).filter_map(of).collect()
}

/// What the legend explains.
fn entries(data: &ReportData, x: &ProbeRecord) -> Vec<(String, Mark)> {
    let curves = &data.manifest.curves;
    let mut all = vec![("pretrained".to_owned(), Mark::Star)];
    if curves.len() <= MANY_CURVES {
        let curve = |(i, c): (usize, &Curve)| (c.id.clone(), Mark::Curve(curve_colour(data, i), i));
        all.extend(curves.iter().enumerate().map(curve));
    } else {
        let method = |(i, m): (usize, (String, Vec<&Curve>))| (m.0, Mark::Curve(colour(i), i));
        all.extend(by_method(curves).into_iter().enumerate().map(method));
    }
    let some = |zero_shot| {
        let on = |y: &ProbeRecord| !published(data, x, y, zero_shot).is_empty();
        data.manifest.probes.iter().filter(|p| p.spec.role == ProbeRole::Generality).any(on)
    };
    if some(true) {
        all.push(("published zero-shot models".to_owned(), Mark::Circle(GREY)));
        all.push(("their trend in logit space".to_owned(), Mark::Line(GREY)));
    }
    if some(false) {
        all.push(("digitised from a published figure".to_owned(), Mark::Cross(GREY)));
    }
    all
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    data: &ReportData,
    x: &ProbeRecord,
    y: &ProbeRecord,
) -> Result<(), Box<dyn std::error::Error>> {
    let curves = points_of(data, x, y);
    let own = || curves.iter().flatten();
    let x_axis = FractionAxis::around(Scale::Logit, own().map(|p| p.1));
    let y_axis = FractionAxis::around(Scale::Logit, own().map(|p| p.2));
    let ((left, right), (low, high)) = (x_axis.bounds(), y_axis.bounds());
    let inside = |p: &(f64, f64)| (left..=right).contains(&p.0) && (low..=high).contains(&p.1);
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .x_label_area_size(44)
        .y_label_area_size(52)
        .build_cartesian_2d(x_axis, y_axis)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK.stroke_width(1))
        .label_style((FONT, 15).into_font().color(&INK))
        .axis_desc_style((FONT, 15).into_font().color(&INK))
        .x_desc(format!("{}, %", x.spec.id))
        .y_desc(format!("{}, %", y.spec.id))
        .draw()?;
    let (bank, shown) = (published(data, x, y, true), published(data, x, y, false));
    let seen = |all: &[(f64, f64)]| all.iter().copied().filter(inside).collect::<Vec<_>>();
    chart.draw_series(seen(&bank).into_iter().map(|p| Circle::new(p, 2, GREY.stroke_width(1))))?;
    chart.draw_series(seen(&shown).into_iter().map(|p| Cross::new(p, 3, GREY.stroke_width(1))))?;
    let beyond = bank.iter().chain(&shown).filter(|p| !inside(p)).count();
    if beyond > 0 {
        let text = format!("{beyond} published beyond the axes");
        let style = (FONT, 12).into_font().color(&GREY);
        chart.plotting_area().strip_coord_spec().draw(&Text::new(text, (6, 4), style))?;
    }
    if let Some(fit) = LogitFit::new(&bank) {
        // Straight in logit space; only where it runs within the plot.
        let steps = (0..=400).map(|i| (left + (right - left) * f64::from(i) / 400.0).clamp(1e-4, 1.0 - 1e-4));
        let line = steps.map(|p| (p, fit.predict(p))).filter(inside);
        chart.draw_series(LineSeries::new(line, GREY.stroke_width(1)))?;
    }
    for (number, points) in curves.iter().enumerate() {
        // Curves are in the order of methods where they are means.
        let few = data.manifest.curves.len() <= MANY_CURVES;
        let paint = if few { curve_colour(data, number) } else { colour(number) };
        let line = points.iter().map(|p| (p.1, p.2));
        chart.draw_series(LineSeries::new(line, paint.stroke_width(2)))?;
        let (left, top) = chart.plotting_area().get_base_pixel();
        for &(alpha, px, py) in points {
            let (a, b) = chart.backend_coord(&(px, py));
            let pixel = (a - left, b - top);
            let plot = chart.plotting_area().strip_coord_spec();
            if alpha == 0.0 {
                plot.draw(&Polygon::new(star(pixel, 9.0), INK.filled()))?;
            } else if alpha == 1.0 {
                plot.draw(&Polygon::new(end_mark(number, pixel, 6), paint.filled()))?;
            } else {
                plot.draw(&Polygon::new(diamond(pixel, 3), paint.filled()))?;
            }
        }
    }
    Ok(())
}

/// Alpha and both scores along a curve.
type Points = Vec<(f64, f64, f64)>;

/// Alpha and both scores of every point, curve by curve; of many curves, the mean over each method's seeds.
fn points_of(data: &ReportData, x: &ProbeRecord, y: &ProbeRecord) -> Vec<Points> {
    let value = |variant: &str, probe| data.main(variant, probe).map(|m| m.estimate.value);
    let at = |p: &CurvePoint| Some((p.alpha, value(&p.variant, x)?, value(&p.variant, y)?));
    let along = |c: &Curve| -> Points { c.points.iter().filter_map(at).collect() };
    let curves = &data.manifest.curves;
    if curves.len() <= MANY_CURVES {
        return curves.iter().map(along).collect();
    }
    let mean = |seeds: Vec<Points>| -> Points {
        let planes: Vec<Plane> = seeds.iter().map(|s| s.iter().map(|p| (p.1, p.2)).collect()).collect();
        // Where the seeds' alphas are not the same in number, all points, seed by seed.
        let alphas = seeds.iter().flatten().map(|p| p.0);
        alphas.zip(mean_curve(&planes)).map(|(alpha, (x, y))| (alpha, x, y)).collect()
    };
    by_method(curves).into_iter().map(|m| mean(m.1.into_iter().map(along).collect())).collect()
}
