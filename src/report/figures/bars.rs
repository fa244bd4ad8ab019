//! Each probe's score for the checkpoints and the chosen points of the curves.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::Figure;
use super::axis::{FractionAxis, Scale};
use super::canvas::{FONT, INK, bar_mesh, colour};
use crate::base::registry::Named;
use crate::report::ReportData;
use crate::store::ProbeRecord;
use crate::suite::ProbeRole;

/// The figure.
pub(super) struct Bars;

impl Named for Bars {
    fn name(&self) -> &'static str {
        "probes"
    }
    fn summary(&self) -> &'static str {
        "bars of each probe for the checkpoints and the chosen alphas"
    }
    fn reference(&self) -> &'static str {
        "-"
    }
}

impl Figure for Bars {
    fn draw(&self, data: &ReportData) -> Result<Option<String>, String> {
        let (variants, probes) = (variants(data), probes(data));
        if variants.is_empty() || variants.len() > MOST_BARS || probes.is_empty() {
            return Ok(None);
        }
        let mut svg = String::new();
        {
            let width = (130 * probes.len() as u32 + 110).clamp(420, 1600);
            let root = SVGBackend::with_string(&mut svg, (width, 440)).into_drawing_area();
            root.fill(&WHITE).map_err(|e| e.to_string())?;
            paint(&root, data, &variants, &probes).map_err(|e| e.to_string())?;
            root.present().map_err(|e| e.to_string())?;
        }
        Ok(Some(svg))
    }

    fn caption(&self, data: &ReportData) -> String {
        let level = data.manifest.suite.stats.confidence * 100.0;
        format!(
            "Score of each probe for the checkpoints and the chosen point of each curve, with {level}% intervals."
        )
    }
}

/// Bars a probe at most: of more, colours repeat, the legend has no room, and the table of the probes is read instead.
const MOST_BARS: usize = 14;

/// Checkpoints, and the chosen variant of each curve if it is not one of them.
fn variants(data: &ReportData) -> Vec<String> {
    let mut all: Vec<String> = data.manifest.checkpoints.iter().map(|c| c.id.clone()).collect();
    for curve in &data.manifest.curves {
        let report = data.frontier.curves.iter().find(|r| r.curve == curve.id);
        let chosen = report.and_then(|r| r.best_alpha.as_ref()).map(|b| b.alpha);
        let point = curve.points.iter().find(|p| Some(p.alpha) == chosen);
        if let Some(point) = point.filter(|p| !all.contains(&p.variant)) {
            all.push(point.variant.clone());
        }
    }
    all
}

fn probes(data: &ReportData) -> Vec<&ProbeRecord> {
    data.manifest.probes.iter().filter(|p| p.spec.role != ProbeRole::Selection).collect()
}

fn paint(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    data: &ReportData,
    variants: &[String],
    probes: &[&ProbeRecord],
) -> Result<(), Box<dyn std::error::Error>> {
    let estimates = probes.iter().flat_map(|p| variants.iter().filter_map(|v| data.main(v, p)));
    let highs = estimates.map(|m| m.estimate.interval.map_or(m.estimate.value, |i| i.high));
    let y = FractionAxis::around(Scale::Linear, highs.chain([0.0]));
    let mut chart = ChartBuilder::on(root)
        .margin(14)
        .margin_top(46)
        .x_label_area_size(56)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..probes.len() as f64, y)?;
    bar_mesh(&mut chart)?;
    let width = 0.8 / variants.len() as f64;
    for (p, probe) in probes.iter().enumerate() {
        for (v, variant) in variants.iter().enumerate() {
            let Some(score) = data.main(variant, probe) else { continue };
            let left = p as f64 + 0.1 + v as f64 * width;
            let corners = [(left + width * 0.06, 0.0), (left + width * 0.94, score.estimate.value)];
            chart.draw_series(std::iter::once(Rectangle::new(corners, colour(v).filled())))?;
            if let Some(i) = score.estimate.interval {
                let middle = left + width / 2.0;
                let bar = vec![(middle, i.low), (middle, i.high)];
                chart.draw_series(std::iter::once(PathElement::new(bar, INK.stroke_width(2))))?;
            }
        }
    }
    let (left, _) = chart.plotting_area().get_base_pixel();
    let (plot_width, plot_height) = chart.plotting_area().dim_in_pixel();
    let step = f64::from(plot_width) / probes.len() as f64;
    let centred = |size: i32, paint: &RGBColor| {
        use plotters::style::text_anchor::{HPos, Pos, VPos};
        (FONT, size).into_font().color(paint).pos(Pos::new(HPos::Center, VPos::Top))
    };
    for (p, probe) in probes.iter().enumerate() {
        let x = left + (step * (p as f64 + 0.5)) as i32;
        let y = 46 + plot_height as i32 + 8;
        root.draw(&Text::new(probe.spec.id.clone(), (x, y), centred(14, &INK)))?;
        let role = probe.spec.role.name();
        root.draw(&Text::new(role, (x, y + 18), centred(12, &RGBColor(110, 110, 110))))?;
    }
    let mut x = left + 4;
    for (v, variant) in variants.iter().enumerate() {
        let label = data.label(variant);
        root.draw(&Rectangle::new([(x, 16), (x + 13, 29)], colour(v).filled()))?;
        root.draw(&Text::new(label.clone(), (x + 19, 16), (FONT, 14).into_font().color(&INK)))?;
        x += 44 + label.len() as i32 * 7;
    }
    Ok(())
}
