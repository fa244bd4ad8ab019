//! Areas of the methods' curves, a line each.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::{FONT, GRID, INK, method_colour, text_width};
use super::{Figure, Sheet};
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
const WIDTH: u32 = 760;

impl Figure for Methods {
    fn draw(&self, data: &ReportData, sheet: Sheet) -> Result<Option<String>, String> {
        let Some(report) = &data.frontier.methods else { return Ok(None) };
        let mut svg = String::new();
        {
            let width = sheet.width(WIDTH);
            let height = LINE * report.methods.len() as i32 + 84;
            let root = SVGBackend::with_string(&mut svg, (width, height as u32)).into_drawing_area();
            paint(&root, data, report, (width as i32, height)).map_err(|e| e.to_string())?;
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
    (width, height): (i32, i32),
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
    let names = report.methods.iter().map(|m| text_width(&m.method, 15)).max().unwrap_or(0);
    let left = (names + 28).min(width * 3 / 5);
    let x = |v: f64| left + ((v - low) / (high - low) * f64::from(width - left - 30)) as i32;
    let bottom = height - 58;
    let small = (FONT, 14).into_font().color(&INK).pos(Pos::new(HPos::Center, VPos::Top));
    for value in round_values(low * 1e4, high * 1e4, ((width - left) / 70).clamp(2, 8) as usize) {
        let at = x(value / 1e4);
        root.draw(&PathElement::new(vec![(at, 14), (at, bottom)], GRID))?;
        root.draw(&Text::new(value.to_string(), (at, bottom + 6), small.clone()))?;
    }
    let title = Text::new(
        if width < 500 { "area, squared points" } else { "dominated area, squared percentage points" },
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
        root.draw(&Text::new(method.method.clone(), (left - 14, middle), name.clone()))?;
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

/// Round values within a range, at most so many: 1, 2 or 5 times a power of ten apart.
fn round_values(low: f64, high: f64, most: usize) -> Vec<f64> {
    let power = 10f64.powf(((high - low) / most as f64).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0, 20.0].map(|s| s * power);
    let within = |step: f64| ((low / step).ceil() as i64, (high / step).floor() as i64);
    let fits = |step: &f64| within(*step).1 - within(*step).0 < most as i64;
    let step = steps.into_iter().find(fits).unwrap_or(high - low);
    let (first, last) = within(step);
    // Of a step below one, as many digits as it has.
    let digits = (-power.log10()).round().max(0.0) as i32;
    let round = |v: f64| (v * 10f64.powi(digits)).round() / 10f64.powi(digits);
    (first..=last).map(|i| round(i as f64 * step)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(round_values(1834.0, 2911.0, 6), [2000.0, 2200.0, 2400.0, 2600.0, 2800.0]);
        assert_eq!(round_values(0.0, 100.0, 4), [0.0, 50.0, 100.0]);
        assert_eq!(round_values(0.12, 0.48, 4), [0.2, 0.3, 0.4]);
    }
}
