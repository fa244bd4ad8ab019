//! Areas of the methods' curves, a line each.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::canvas::{FONT, GRID, INK, method_colour};
use crate::base::registry::Named;
use crate::report::{MethodsReport, ReportData};

/// The figure.
pub(super) struct Methods;

impl Named for Methods {
    fn name(&self) -> &'static str {
        "methods"
    }
    fn summary(&self) -> &'static str {
        "the area that each way of fine-tuning dominates, with intervals and the spread over seeds"
    }
    fn reference(&self) -> &'static str {
        "hypervolume: Zitzler et al. 2003"
    }
}

const LINE: i32 = 26;
const LEFT: i32 = 250;
const WIDTH: i32 = 760;

impl Figure for Methods {
    fn draw(&self, data: &ReportData) -> Result<Option<String>, String> {
        let Some(report) = &data.frontier.methods else { return Ok(None) };
        let mut svg = String::new();
        {
            let height = LINE * report.methods.len() as i32 + 84;
            let root = SVGBackend::with_string(&mut svg, (WIDTH as u32, height as u32)).into_drawing_area();
            paint(&root, data, report, height).map_err(|e| e.to_string())?;
            root.present().map_err(|e| e.to_string())?;
        }
        Ok(Some(svg))
    }

    fn caption(&self, data: &ReportData) -> String {
        let level = data.manifest.suite.stats.confidence * 100.0;
        format!(
            "Area between speciality and generality that the curve of each way of fine-tuning dominates, in squared \
             percentage points: mean over seeds with {level}% intervals over examples; thin marks are single seeds' means \
             plus and minus one standard deviation. The dashed line is `{}`.",
            data.frontier.methods.as_ref().map_or("", |m| &m.baseline)
        )
    }
}

fn paint(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    data: &ReportData,
    report: &MethodsReport,
    height: i32,
) -> Result<(), Box<dyn std::error::Error>> {
    root.fill(&WHITE)?;
    let reach = report.methods.iter().flat_map(|m| {
        let sd = m.area_sd.unwrap_or(0.0);
        let ends = m.area_ci.map_or([m.area, m.area], |i| [i.low, i.high]);
        [ends[0], ends[1], m.area - sd, m.area + sd]
    });
    let (low, high) = reach.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let margin = ((high - low) * 0.06).max(1e-9);
    let (low, high) = ((low - margin).max(0.0), high + margin);
    let x = |v: f64| LEFT + ((v - low) / (high - low) * f64::from(WIDTH - LEFT - 30)) as i32;
    let bottom = height - 58;
    let small = (FONT, 14).into_font().color(&INK).pos(Pos::new(HPos::Center, VPos::Top));
    for i in 0..=4 {
        let value = low + (high - low) * f64::from(i) / 4.0;
        root.draw(&PathElement::new(vec![(x(value), 14), (x(value), bottom)], GRID))?;
        root.draw(&Text::new(format!("{:.0}", value * 1e4), (x(value), bottom + 6), small.clone()))?;
    }
    let title = Text::new(
        "dominated area, squared percentage points",
        (x(f64::midpoint(low, high)), bottom + 28),
        small,
    );
    root.draw(&title)?;
    if let Some(base) = report.methods.iter().find(|m| m.method == report.baseline) {
        for top in (14..bottom).step_by(10) {
            let dash = vec![(x(base.area), top), (x(base.area), (top + 5).min(bottom))];
            root.draw(&PathElement::new(dash, INK.mix(0.5)))?;
        }
    }
    let name = (FONT, 15).into_font().color(&INK).pos(Pos::new(HPos::Right, VPos::Center));
    for (i, method) in report.methods.iter().enumerate() {
        let middle = 14 + LINE * i as i32 + LINE / 2;
        let paint = method_colour(data, &method.method);
        root.draw(&Text::new(method.method.clone(), (LEFT - 14, middle), name.clone()))?;
        if let Some(i) = method.area_ci {
            let bar = vec![(x(i.low), middle), (x(i.high), middle)];
            root.draw(&PathElement::new(bar, paint.stroke_width(3)))?;
        }
        if let Some(sd) = method.area_sd {
            for v in [method.area - sd, method.area + sd] {
                let v = x(v.max(low));
                root.draw(&PathElement::new(vec![(v, middle - 6), (v, middle + 6)], paint.stroke_width(1)))?;
            }
        }
        root.draw(&Circle::new((x(method.area), middle), 5, paint.filled()))?;
    }
    Ok(())
}
