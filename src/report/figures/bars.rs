//! Each probe's score for the checkpoints and the chosen points of the curves.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::{FractionAxis, Scale};
use super::canvas::{FONT, INK, PALETTE, bar_mesh, curve_colour, text_width};
use super::legend::{Legend, Mark};
use super::{Figure, Sheet};
use crate::base::registry::Named;
use crate::report::ReportData;
use crate::store::{CheckpointRecord, ProbeRecord};
use crate::suite::{CheckpointRole, ProbeRole};

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
    fn draw(&self, data: &ReportData, sheet: Sheet) -> Result<Option<String>, String> {
        let (variants, probes) = (variants(data), probes(data));
        if variants.is_empty() || variants.len() > MOST_BARS || probes.is_empty() {
            return Ok(None);
        }
        let mut svg = String::new();
        {
            let width = sheet.width((130 * probes.len() as u32 + 110).clamp(420, 1600));
            let layout = Layout::new(data, &variants, &probes, width as i32);
            let root = SVGBackend::with_string(&mut svg, (width, layout.height())).into_drawing_area();
            root.fill(&WHITE).map_err(|e| e.to_string())?;
            paint(&root, data, (&variants, &probes), &layout).map_err(|e| e.to_string())?;
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
        let chosen = data.chosen_alpha(&curve.id);
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

/// Units of the plot's left and right side, and around all.
const LEFT: i32 = 78;
const MARGIN: i32 = 14;
/// Units down of the bars.
const PLOT: i32 = 320;

/// Where legend, bars and names have their room.
struct Layout {
    legend: Legend,
    /// Units across for a probe.
    step: f64,
    /// Whether names of probes are written downwards, for lack of room.
    down: bool,
    /// Units below the bars.
    names: i32,
    colours: Vec<RGBColor>,
}

impl Layout {
    fn new(data: &ReportData, variants: &[String], probes: &[&ProbeRecord], width: i32) -> Self {
        let room = width - LEFT - MARGIN;
        let step = f64::from(room) / probes.len() as f64;
        let longest = probes.iter().map(|p| text_width(&p.spec.id, 14)).max().unwrap_or(0);
        let down = f64::from(longest.max(text_width("generality", 12))) + 6.0 > step;
        let colours = colours(data, variants);
        let entry = |(v, paint): (&String, &RGBColor)| (data.label(v), Mark::Bar(*paint));
        let legend = Legend::rows(variants.iter().zip(&colours).map(entry).collect(), room);
        Self { legend, step, down, names: if down { longest * 11 / 10 + 24 } else { 56 }, colours }
    }

    const fn top(&self) -> i32 {
        MARGIN + self.legend.height + 12
    }

    const fn height(&self) -> u32 {
        (self.top() + PLOT + self.names + MARGIN) as u32
    }
}

/// Grey for the pretrained model, for each curve's end its colour, paler for the point that was chosen on it, and what is left
/// for the rest.
fn colours(data: &ReportData, variants: &[String]) -> Vec<RGBColor> {
    let curves = &data.manifest.curves;
    let used: Vec<RGBColor> = (0..curves.len()).map(|i| curve_colour(data, i)).collect();
    let mut left = PALETTE.iter().filter(|c| !used.contains(c)).cycle();
    let pale = |RGBColor(r, g, b): RGBColor| {
        let half = |v: u8| 255 - (255 - v) / 2;
        RGBColor(half(r), half(g), half(b))
    };
    let of = |variant: &String| {
        let pretrained = |c: &CheckpointRecord| c.id == *variant && c.role == CheckpointRole::Pretrained;
        if data.manifest.checkpoints.iter().any(pretrained) {
            return GREY;
        }
        if let Some(i) = curves.iter().position(|c| c.to == *variant) {
            return used[i];
        }
        match curves.iter().position(|c| c.points.iter().any(|p| p.variant == *variant)) {
            Some(i) => pale(used[i]),
            None => left.next().copied().unwrap_or(GREY),
        }
    };
    variants.iter().map(of).collect()
}

const GREY: RGBColor = RGBColor(120, 120, 120);

fn paint(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    data: &ReportData,
    (variants, probes): (&[String], &[&ProbeRecord]),
    layout: &Layout,
) -> Result<(), Box<dyn std::error::Error>> {
    let estimates = probes.iter().flat_map(|p| variants.iter().filter_map(|v| data.main(v, p)));
    let highs = estimates.map(|m| m.estimate.interval.map_or(m.estimate.value, |i| i.high));
    let y = FractionAxis::around(Scale::Linear, highs.chain([0.0]));
    let mut chart = ChartBuilder::on(root)
        .margin(MARGIN)
        .margin_top(layout.top())
        .x_label_area_size(layout.names)
        .y_label_area_size(LEFT - MARGIN)
        .build_cartesian_2d(0.0..probes.len() as f64, y)?;
    bar_mesh(&mut chart)?;
    let width = 0.8 / variants.len() as f64;
    for (p, probe) in probes.iter().enumerate() {
        for (v, variant) in variants.iter().enumerate() {
            let Some(score) = data.main(variant, probe) else { continue };
            let left = p as f64 + 0.1 + v as f64 * width;
            let corners = [(left + width * 0.06, 0.0), (left + width * 0.94, score.estimate.value)];
            chart.draw_series(std::iter::once(Rectangle::new(corners, layout.colours[v].filled())))?;
            if let Some(i) = score.estimate.interval {
                let middle = left + width / 2.0;
                let bar = vec![(middle, i.low), (middle, i.high)];
                chart.draw_series(std::iter::once(PathElement::new(bar, INK.stroke_width(2))))?;
            }
        }
    }
    names(root, probes, layout)?;
    layout.legend.draw(root, (LEFT, MARGIN))
}

/// Each probe's name and role below its bars.
fn names(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    probes: &[&ProbeRecord],
    layout: &Layout,
) -> Result<(), Box<dyn std::error::Error>> {
    let styled = |size: i32, paint: &RGBColor| {
        let font = (FONT, size).into_font();
        if layout.down {
            font.transform(FontTransform::Rotate90).color(paint).pos(Pos::new(HPos::Left, VPos::Center))
        } else {
            font.color(paint).pos(Pos::new(HPos::Center, VPos::Top))
        }
    };
    for (p, probe) in probes.iter().enumerate() {
        let x = LEFT + (layout.step * (p as f64 + 0.5)) as i32;
        let y = layout.top() + PLOT + 8;
        let (name, role) = if layout.down { ((x + 8, y), (x - 8, y)) } else { ((x, y), (x, y + 18)) };
        root.draw(&Text::new(probe.spec.id.clone(), name, styled(14, &INK)))?;
        root.draw(&Text::new(probe.spec.role.name(), role, styled(12, &GREY)))?;
    }
    Ok(())
}
