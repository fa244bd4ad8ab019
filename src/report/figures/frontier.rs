//! Speciality on x, generality on y, one curve per fine-tuned model.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Figure;
use super::axis::{FractionAxis, Scale};
use super::canvas::{FONT, GRID, INK, colour, diamond, method_colour, star};
use crate::base::registry::Named;
use crate::report::{MANY_CURVES, MethodsReport, Point, ReportData};

/// The figure, on one of two scales.
pub(super) struct Frontier {
    scale: Scale,
    name: &'static str,
}

/// On plain axes.
pub(super) static FRONTIER: Frontier = Frontier { scale: Scale::Linear, name: "frontier" };
/// On logit axes.
pub(super) static FRONTIER_LOGIT: Frontier = Frontier { scale: Scale::Logit, name: "frontier-logit" };

impl Named for Frontier {
    fn name(&self) -> &'static str {
        self.name
    }
    fn summary(&self) -> &'static str {
        "generality over speciality, a curve per fine-tuned model, with intervals"
    }
    fn reference(&self) -> &'static str {
        "after arXiv:2109.01903, figure 1"
    }
}

const SIZE: (u32, u32) = (760, 560);

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<FractionAxis, FractionAxis>>;

impl Figure for Frontier {
    fn draw(&self, data: &ReportData) -> Result<Option<String>, String> {
        if data.frontier.points.is_empty() {
            return Ok(None);
        }
        let mut svg = String::new();
        {
            let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            self.paint(&root, data).map_err(|e| e.to_string())?;
            root.present().map_err(|e| e.to_string())?;
        }
        Ok(Some(svg))
    }

    fn caption(&self, data: &ReportData) -> String {
        let level = data.manifest.suite.stats.confidence * 100.0;
        let scale = if self.scale == Scale::Logit { " Both axes are logit-scaled." } else { "" };
        if data.manifest.curves.len() > MANY_CURVES && data.frontier.methods.is_some() {
            return format!(
                "Generality over speciality ({}), a line for each way of fine-tuning, the mean over its seeds at each alpha, \
                 from the pretrained model (star) to the fine-tuned one (diamond). Intervals are in the tables.{scale}",
                data.frontier.axes
            );
        }
        format!(
            "Generality over speciality ({}). A curve runs from the pretrained model (star) to the \
             fine-tuned one (diamond); small numbers are alpha, the weight of the fine-tuned model. \
             The ring marks the alpha that was chosen on the selection probes. Bars are {level}% \
             intervals from a paired bootstrap over examples.{scale}",
            data.frontier.axes
        )
    }
}

impl Frontier {
    fn paint(
        &self,
        root: &DrawingArea<SVGBackend<'_>, Shift>,
        data: &ReportData,
    ) -> Result<(), Box<dyn std::error::Error>> {
        root.fill(&WHITE)?;
        let points = &data.frontier.points;
        let ends = |value: fn(&Point) -> f64, ci: fn(&Point) -> Option<crate::stats::Interval>| {
            points
                .iter()
                .flat_map(|p| [Some(value(p)), ci(p).map(|i| i.low), ci(p).map(|i| i.high)])
                .flatten()
                .collect::<Vec<f64>>()
        };
        let methods = data.frontier.methods.as_ref().filter(|_| data.manifest.curves.len() > MANY_CURVES);
        let (x, y) = match methods {
            // Means over seeds are drawn without bars.
            Some(report) => {
                let all = || report.methods.iter().flat_map(|m| m.points.iter());
                (all().map(|p| p.0).collect(), all().map(|p| p.1).collect())
            }
            None => {
                (ends(|p| p.speciality, |p| p.speciality_ci), ends(|p| p.generality, |p| p.generality_ci))
            }
        };
        let x = FractionAxis::around(self.scale, x.into_iter());
        let y = FractionAxis::around(self.scale, y.into_iter());
        let mut chart = ChartBuilder::on(root)
            .margin(14)
            .margin_right(24)
            .x_label_area_size(52)
            .y_label_area_size(64)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK.stroke_width(1))
            .label_style((FONT, 15).into_font().color(&INK))
            .axis_desc_style((FONT, 17).into_font().color(&INK))
            .x_desc("speciality, %")
            .y_desc("generality, %")
            .draw()?;
        if let Some(report) = methods {
            return mean_curves(&mut chart, data, report);
        }
        for (number, curve) in data.manifest.curves.iter().enumerate() {
            self.curve(&mut chart, data, &curve.id, number)?;
        }
        for point in points.iter().filter(|p| p.curve.is_none()) {
            let at = (point.speciality, point.generality);
            chart.draw_series(std::iter::once(Circle::new(at, 5, INK.filled())))?;
            let label = Text::new(data.label(&point.variant), at, (FONT, 14).into_font().color(&INK));
            chart.draw_series(std::iter::once(label))?;
        }
        legend(root, data)?;
        Ok(())
    }

    fn curve(
        &self,
        chart: &mut Chart<'_, '_>,
        data: &ReportData,
        id: &str,
        number: usize,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let Some(curve) = data.manifest.curves.iter().find(|c| c.id == id) else { return Ok(()) };
        let paint = colour(number);
        let along: Vec<(f64, &Point)> =
            curve.points.iter().filter_map(|p| Some((p.alpha, data.frontier.point(&p.variant)?))).collect();
        for (_, p) in &along {
            let faint = paint.mix(0.35).stroke_width(1);
            if let Some(i) = p.speciality_ci {
                let bar = vec![(i.low, p.generality), (i.high, p.generality)];
                chart.draw_series(std::iter::once(PathElement::new(bar, faint)))?;
            }
            if let Some(i) = p.generality_ci {
                let bar = vec![(p.speciality, i.low), (p.speciality, i.high)];
                chart.draw_series(std::iter::once(PathElement::new(bar, faint)))?;
            }
        }
        let line = along.iter().map(|(_, p)| (p.speciality, p.generality));
        chart.draw_series(LineSeries::new(line, paint.stroke_width(2)))?;
        let chosen = data.frontier.curves.iter().find(|c| c.curve == id).and_then(|c| c.best_alpha.as_ref());
        for (alpha, p) in &along {
            let at = (p.speciality, p.generality);
            let pixel = chart.backend_coord(&at);
            let area = chart.plotting_area().strip_coord_spec();
            let (left, top) = chart.plotting_area().get_base_pixel();
            let pixel = (pixel.0 - left, pixel.1 - top);
            let is_chosen = chosen.is_some_and(|c| c.alpha == *alpha);
            if *alpha == 0.0 {
                area.draw(&Polygon::new(star(pixel, 11.0), INK.filled()))?;
            } else if *alpha == 1.0 {
                area.draw(&Polygon::new(diamond(pixel, 8), paint.filled()))?;
            } else {
                area.draw(&Circle::new(pixel, 3, paint.filled()))?;
                // Right of the point and a little up, off the curve, which falls to the right.
                let style = (FONT, 12).into_font().color(&paint);
                area.draw(&Text::new(
                    alpha.to_string(),
                    (pixel.0 + if is_chosen { 12 } else { 6 }, pixel.1 - 14),
                    style,
                ))?;
            }
            if is_chosen {
                area.draw(&Circle::new(pixel, 9, INK.stroke_width(2)))?;
            }
        }
        Ok(())
    }
}

/// One line a method, the mean over seeds, named at its fine-tuned end; names move apart where they would meet.
fn mean_curves(
    chart: &mut Chart<'_, '_>,
    data: &ReportData,
    report: &MethodsReport,
) -> Result<(), Box<dyn std::error::Error>> {
    let area = chart.plotting_area().strip_coord_spec();
    let (left, top) = chart.plotting_area().get_base_pixel();
    let (width, height) = area.dim_in_pixel();
    let mut names: Vec<(i32, i32, &str, RGBColor)> = Vec::new();
    for method in report.methods.iter().rev() {
        let paint = method_colour(data, &method.method);
        chart.draw_series(LineSeries::new(method.points.iter().copied(), paint.stroke_width(2)))?;
        let pixels: Vec<(i32, i32)> =
            method.points.iter().map(|p| chart.backend_coord(p)).map(|(x, y)| (x - left, y - top)).collect();
        for pixel in pixels.iter().skip(1) {
            area.draw(&Circle::new(*pixel, 2, paint.filled()))?;
        }
        if let Some(&end) = pixels.last() {
            area.draw(&Polygon::new(diamond(end, 6), paint.filled()))?;
            names.push((end.0, end.1, &method.method, paint));
        }
        if let Some(&start) = pixels.first() {
            area.draw(&Polygon::new(star(start, 11.0), INK.filled()))?;
        }
    }
    names.sort_by_key(|n| (n.1, n.0));
    let mut taken: Vec<Label> = Vec::new();
    for (x, y, name, paint) in names {
        let label = Label::free((x, y), name, (width as i32, height as i32), &taken);
        // The name begins or ends at its point's side, however wide it is drawn.
        let (side, from) =
            if label.left > x { (HPos::Left, label.left) } else { (HPos::Right, label.left + label.long) };
        let style = (FONT, 13).into_font().color(&paint).pos(Pos::new(side, VPos::Center));
        area.draw(&PathElement::new(vec![(x, y), (from, label.middle)], paint.mix(0.4).stroke_width(1)))?;
        area.draw(&Text::new(name.to_owned(), (from, label.middle), style))?;
        taken.push(label);
    }
    Ok(())
}

/// Where a name stands, in pixels of the plotting area.
struct Label {
    left: i32,
    long: i32,
    middle: i32,
}

impl Label {
    /// The nearest free place beside a point, right or left of it, level with it or some lines away.
    fn free((x, y): (i32, i32), name: &str, (width, height): (i32, i32), taken: &[Self]) -> Self {
        const LINE: i32 = 15;
        let long = name.chars().count() as i32 * 7;
        let at = |right: bool, lines: i32| Self {
            left: if right { x + 12 } else { x - 12 - long },
            long,
            middle: y + lines * LINE,
        };
        let places = (0..40).flat_map(|n: i32| {
            let lines = if n % 2 == 0 { n / 2 } else { -(n + 1) / 2 };
            [at(true, lines), at(false, lines)]
        });
        let inside =
            |l: &Self| l.left >= 0 && l.left + long <= width && l.middle > 6 && l.middle < height - 6;
        let clear = |l: &Self| {
            taken.iter().all(|t| {
                (t.middle - l.middle).abs() >= LINE || t.left > l.left + l.long || l.left > t.left + t.long
            })
        };
        places.into_iter().find(|l| inside(l) && clear(l)).unwrap_or_else(|| at(true, 0))
    }
}

/// The legend, in the lower left corner, where curves of this kind rarely run.
fn legend(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    data: &ReportData,
) -> Result<(), Box<dyn std::error::Error>> {
    let style = (FONT, 14).into_font().color(&INK);
    let mut entries: Vec<(String, Mark)> = Vec::new();
    if let Some(curve) = data.manifest.curves.first() {
        entries.push((format!("{} (pretrained)", curve.from), Mark::Star));
    }
    for (i, curve) in data.manifest.curves.iter().enumerate() {
        entries.push((format!("{} ({}), {}", curve.id, curve.method, curve.merge), Mark::Curve(i)));
    }
    if data.frontier.curves.iter().any(|c| c.best_alpha.is_some()) {
        entries.push(("alpha chosen on selection probes".to_owned(), Mark::Ring));
    }
    let (left, line) = (96, 22);
    let bottom = SIZE.1 as i32 - 14 - 52 - 16;
    let top = bottom - line * entries.len() as i32;
    for (i, (text, mark)) in entries.into_iter().enumerate() {
        let middle = top + line * i as i32 + line / 2;
        match mark {
            Mark::Star => root.draw(&Polygon::new(star((left, middle), 9.0), INK.filled()))?,
            Mark::Ring => root.draw(&Circle::new((left, middle), 7, INK.stroke_width(2)))?,
            Mark::Curve(c) => {
                let ends = vec![(left - 12, middle), (left + 12, middle)];
                root.draw(&PathElement::new(ends, colour(c).stroke_width(2)))?;
                root.draw(&Polygon::new(diamond((left, middle), 6), colour(c).filled()))?;
            }
        }
        root.draw(&Text::new(text, (left + 20, middle - 7), style.clone()))?;
    }
    Ok(())
}

enum Mark {
    Star,
    Ring,
    Curve(usize),
}
