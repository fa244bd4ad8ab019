//! Bars of base, novel and H for each method: averages over data sets.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::axis::{FractionAxis, Scale};
use super::canvas::{FONT, INK, bar_mesh, colour, text_width};
use super::legend::{Legend, Mark};
use super::{Figure, Sheet};
use crate::base::registry::Named;
use crate::report::ReportData;
use crate::report::halves::{MethodHalves, halves};

/// The figure.
pub(super) struct BaseNovel;

impl Named for BaseNovel {
    fn name(&self) -> &'static str {
        "base-novel"
    }
    fn summary(&self) -> &'static str {
        "bars of base, novel and their harmonic mean for each method"
    }
    fn reference(&self) -> &'static str {
        "CoCoOp, arXiv:2203.05557"
    }
}

const PARTS: [&str; 3] = ["base", "novel", "H"];

impl Figure for BaseNovel {
    fn draw(&self, data: &ReportData, sheet: Sheet) -> Result<Option<String>, String> {
        let methods = chosen(data);
        if methods.is_empty() {
            return Ok(None);
        }
        let mut svg = String::new();
        {
            let width = sheet.width((110 * methods.len() as u32 + 130).clamp(420, 1600));
            let height = 380 + names_height(&methods, width) as u32;
            let root = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
            root.fill(&WHITE).map_err(|e| e.to_string())?;
            let level = data.manifest.suite.stats.confidence;
            paint(&root, &methods, level, width).map_err(|e| e.to_string())?;
            root.present().map_err(|e| e.to_string())?;
        }
        Ok(Some(svg))
    }

    fn caption(&self, data: &ReportData) -> String {
        let sets = chosen(data).iter().map(|m| m.pairs.len()).max().unwrap_or(0);
        let level = data.manifest.suite.stats.confidence * 100.0;
        let over =
            if sets == 1 { "on one data set".to_owned() } else { format!("averaged over {sets} data sets") };
        format!(
            "Base classes, novel classes and their harmonic mean, {over}, averaged over seeds, with {level}% \
             intervals over seeds and examples. Of each curve the alpha chosen on the selection probes is shown, or \
             0.5 where none was chosen."
        )
    }
}

/// The checkpoints, and of each curve the alpha that was chosen on the selection probes, or the one halfway.
fn chosen(data: &ReportData) -> Vec<MethodHalves> {
    let mut all = halves(data);
    all.retain(|m| m.alpha.is_none_or(|a| alphas_of(data, m).contains(&a)));
    all
}

/// The alphas that were chosen on the curves of a method; halfway where there was none.
fn alphas_of(data: &ReportData, method: &MethodHalves) -> Vec<f64> {
    let of = |c: &&crate::plan::Curve| {
        method.label.strip_prefix(&c.method).is_some_and(|r| r.starts_with(" at alpha "))
    };
    let curves = data.manifest.curves.iter().filter(of);
    curves.map(|c| data.chosen_alpha(&c.id).unwrap_or(0.5)).collect()
}

/// Units beside the bars.
const SIDES: i32 = 92;

/// Whether names have no room beside one another: they are then written downwards.
fn downwards(methods: &[MethodHalves], width: u32) -> bool {
    let longest = methods.iter().map(|m| text_width(&m.label, 14)).max().unwrap_or(0);
    longest + 8 > (width as i32 - SIDES) / methods.len().max(1) as i32
}

/// Units below the bars for the names.
fn names_height(methods: &[MethodHalves], width: u32) -> i32 {
    let longest = methods.iter().map(|m| text_width(&m.label, 14)).max().unwrap_or(0);
    if downwards(methods, width) { (longest + 16).min(320) } else { 40 }
}

fn paint(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    methods: &[MethodHalves],
    level: f64,
    width: u32,
) -> Result<(), Box<dyn std::error::Error>> {
    let bars: Vec<[super::super::points::Axis; 3]> = methods
        .iter()
        .map(|m| {
            let [base, novel, h, _] = m.average();
            [base, novel, h]
        })
        .collect();
    let highs = bars.iter().flatten().map(|a| a.interval(level).map_or(a.value, |i| i.high));
    let y = FractionAxis::around(Scale::Linear, highs.chain([0.0]));
    let mut chart = ChartBuilder::on(root)
        .margin(14)
        .margin_top(46)
        .x_label_area_size(names_height(methods, width))
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..methods.len() as f64, y)?;
    bar_mesh(&mut chart)?;
    let bar = 0.8 / 3.0;
    for (m, axes) in bars.iter().enumerate() {
        for (i, axis) in axes.iter().enumerate() {
            let left = m as f64 + 0.1 + i as f64 * bar;
            let corners = [(left + bar * 0.06, 0.0), (left + bar * 0.94, axis.value)];
            chart.draw_series(std::iter::once(Rectangle::new(corners, colour(i).filled())))?;
            if let Some(ci) = axis.interval(level) {
                let middle = left + bar / 2.0;
                let line = vec![(middle, ci.low), (middle, ci.high)];
                chart.draw_series(std::iter::once(PathElement::new(line, INK.stroke_width(2))))?;
            }
        }
    }
    let (left, _) = chart.plotting_area().get_base_pixel();
    let (plot_width, plot_height) = chart.plotting_area().dim_in_pixel();
    let step = f64::from(plot_width) / methods.len() as f64;
    for (m, method) in methods.iter().enumerate() {
        use plotters::style::text_anchor::{HPos, Pos, VPos};
        let font = (FONT, 14).into_font();
        let style = if downwards(methods, width) {
            font.transform(FontTransform::Rotate90).color(&INK).pos(Pos::new(HPos::Left, VPos::Center))
        } else {
            font.color(&INK).pos(Pos::new(HPos::Center, VPos::Top))
        };
        let place = (left + (step * (m as f64 + 0.5)) as i32, 46 + plot_height as i32 + 8);
        root.draw(&Text::new(method.label.clone(), place, style))?;
    }
    let entry = |(i, part): (usize, &&str)| ((*part).to_owned(), Mark::Bar(colour(i)));
    Legend::rows(PARTS.iter().enumerate().map(entry).collect(), plot_width as i32).draw(root, (left, 14))
}
