//! Effective robustness: accuracy under each shift over accuracy in distribution, on logit axes.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::Figure;
use super::axis::{FractionAxis, Scale};
use super::canvas::{FONT, GRID, INK, colour, diamond, star};
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
const GREY: RGBColor = RGBColor(165, 165, 165);

/// The probe on x and those on y.
fn probes(data: &ReportData) -> Option<(&ProbeRecord, Vec<&ProbeRecord>)> {
    let all = &data.manifest.probes;
    let x = all.iter().find(|p| p.spec.role == ProbeRole::Speciality)?;
    let y: Vec<&ProbeRecord> = all.iter().filter(|p| p.spec.role == ProbeRole::Generality).collect();
    (!y.is_empty() && !data.manifest.curves.is_empty()).then_some((x, y))
}

impl Figure for Shifts {
    fn draw(&self, data: &ReportData) -> Result<Option<String>, String> {
        let Some((x, shifts)) = probes(data) else { return Ok(None) };
        let rows = shifts.len().div_ceil(COLUMNS);
        let columns = shifts.len().min(COLUMNS);
        let mut svg = String::new();
        {
            let size = (PANEL.0 * columns as u32, PANEL.1 * rows as u32);
            let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            root.fill(&WHITE).map_err(|e| e.to_string())?;
            for (area, y) in root.split_evenly((rows, columns)).iter().zip(&shifts) {
                panel(area, data, x, y).map_err(|e| e.to_string())?;
            }
            root.present().map_err(|e| e.to_string())?;
        }
        Ok(Some(svg))
    }

    fn caption(&self, data: &ReportData) -> String {
        let references = if data.manifest.references.is_empty() {
            String::new()
        } else {
            " Grey circles are published zero-shot models, the line is their trend in logit space, grey \
             crosses are digitised from a published figure; the reference file names each source."
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

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    data: &ReportData,
    x: &ProbeRecord,
    y: &ProbeRecord,
) -> Result<(), Box<dyn std::error::Error>> {
    let curves = points_of(data, x, y);
    let published = |kind_is_bank: bool| -> Vec<(f64, f64)> {
        let of = |r: &Reference| Some((*r.scores.get(&x.spec.dataset)?, *r.scores.get(&y.spec.dataset)?));
        let all = data.manifest.references.iter();
        all.filter(|r| (r.kind == "zero-shot") == kind_is_bank).filter_map(of).collect()
    };
    let (bank, shown) = (published(true), published(false));
    let own = curves.iter().flatten().map(|p| (p.1, p.2));
    let every: Vec<(f64, f64)> = own.chain(bank.iter().copied()).chain(shown.iter().copied()).collect();
    let axis = |f: fn(&(f64, f64)) -> f64| FractionAxis::around(Scale::Logit, every.iter().map(f));
    let (x_axis, y_axis) = (axis(|p| p.0), axis(|p| p.1));
    let (low, high) = x_axis.bounds();
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
        .label_style((FONT, 13).into_font().color(&INK))
        .axis_desc_style((FONT, 14).into_font().color(&INK))
        .x_desc(format!("{}, %", x.spec.id))
        .y_desc(format!("{}, %", y.spec.id))
        .draw()?;
    chart.draw_series(bank.iter().map(|&p| Circle::new(p, 2, GREY.stroke_width(1))))?;
    chart.draw_series(shown.iter().map(|&p| Cross::new(p, 3, GREY.stroke_width(1))))?;
    if let Some(fit) = LogitFit::new(&bank) {
        let steps = (0..=40).map(|i| (low + (high - low) * f64::from(i) / 40.0).clamp(1e-4, 1.0 - 1e-4));
        let line = steps.map(|p| (p, fit.predict(p)));
        chart.draw_series(LineSeries::new(line, GREY.stroke_width(1)))?;
    }
    for (number, points) in curves.iter().enumerate() {
        // Curves are in the order of methods where they are means, and then of one colour each as in the other figures.
        let paint = colour(number);
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
                plot.draw(&Polygon::new(diamond(pixel, 6), paint.filled()))?;
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
