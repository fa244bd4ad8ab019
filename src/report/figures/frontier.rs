//! Speciality on x, generality on y, one curve per fine-tuned model.

use plotters::coord::Shift;
use plotters::coord::ranged1d::Ranged as _;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::{FractionAxis, Scale};
use super::canvas::{FONT, GRID, INK, colour, curve_colour, diamond, end_mark, method_number, star};
use super::legend::{Legend, Mark};
use super::{Figure, Sheet};
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
/// Units down at least.
const SHORTEST: u32 = 300;
/// Units around the plot.
const MARGIN: i32 = 14;
const RIGHT: i32 = 24;
const X_LABELS: i32 = 52;
const Y_LABELS: i32 = 58;

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<FractionAxis, FractionAxis>>;

impl Figure for Frontier {
    fn draw(&self, data: &ReportData, sheet: Sheet) -> Result<Option<String>, String> {
        if data.frontier.points.is_empty() {
            return Ok(None);
        }
        let width = sheet.width(SIZE.0);
        let height = (width * SIZE.1 / SIZE.0).max(SHORTEST) as i32;
        let axes = self.axes(data);
        let plot = (MARGIN + Y_LABELS, MARGIN, width as i32 - RIGHT, height - MARGIN - X_LABELS);
        let legend = methods(data).is_none().then(|| {
            let column = Legend::column(entries(data), plot.2 - plot.0 - 40);
            match column.corner(plot, &self.taken(data, &axes, plot)) {
                Some(corner) => (column, corner),
                // Below the plot, where no curve runs.
                None => (Legend::rows(entries(data), width as i32 - 2 * MARGIN), (MARGIN, height)),
            }
        });
        let below = legend.as_ref().filter(|l| l.1.1 == height).map_or(0, |l| l.0.height + MARGIN);
        let mut svg = String::new();
        {
            let size = (width, (height + below) as u32);
            let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            root.fill(&WHITE).map_err(|e| e.to_string())?;
            let (upper, _) = root.split_vertically(height);
            self.paint(&upper, data, axes).map_err(|e| e.to_string())?;
            if let Some((legend, place)) = legend {
                legend.draw(&root, place).map_err(|e| e.to_string())?;
            }
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
        // Only what is there is told.
        let curves = if data.manifest.curves.is_empty() {
            ""
        } else {
            " A curve runs from the pretrained model (star) to the fine-tuned one (diamond); small numbers are alpha, the \
             weight of the fine-tuned model."
        };
        let ring = if has_chosen(data) {
            " The ring marks the alpha that was chosen on the selection probes."
        } else {
            ""
        };
        format!(
            "Generality over speciality ({}).{curves}{ring} Bars are {level}% intervals from a paired bootstrap over \
             examples.{scale}",
            data.frontier.axes
        )
    }
}

/// The methods, where they stand for too many curves.
fn methods(data: &ReportData) -> Option<&MethodsReport> {
    data.frontier.methods.as_ref().filter(|_| data.manifest.curves.len() > MANY_CURVES)
}

fn has_chosen(data: &ReportData) -> bool {
    data.frontier.curves.iter().any(|c| c.best_alpha.is_some())
}

impl Frontier {
    fn axes(&self, data: &ReportData) -> (FractionAxis, FractionAxis) {
        let ends = |value: fn(&Point) -> f64, ci: fn(&Point) -> Option<crate::stats::Interval>| {
            let all = data.frontier.points.iter();
            all.flat_map(|p| [Some(value(p)), ci(p).map(|i| i.low), ci(p).map(|i| i.high)])
                .flatten()
                .collect::<Vec<f64>>()
        };
        let (x, y): (Vec<f64>, Vec<f64>) = match methods(data) {
            // Means over seeds are drawn without bars.
            Some(report) => report.methods.iter().flat_map(|m| m.points.iter().copied()).unzip(),
            None => {
                (ends(|p| p.speciality, |p| p.speciality_ci), ends(|p| p.generality, |p| p.generality_ci))
            }
        };
        let axis = |values: Vec<f64>| FractionAxis::around(self.scale, values.into_iter());
        (axis(x), axis(y))
    }

    /// Pixels that points, their bars, their numbers and the lines between them take.
    fn taken(
        &self,
        data: &ReportData,
        (x, y): &(FractionAxis, FractionAxis),
        (left, top, right, bottom): (i32, i32, i32, i32),
    ) -> Vec<(i32, i32)> {
        let pixel = |(px, py): (f64, f64)| (x.map(&px, (left, right)), y.map(&py, (bottom, top)));
        let mut all = Vec::new();
        for p in &data.frontier.points {
            let (px, py) = pixel((p.speciality, p.generality));
            all.extend([(px, py), (px + 26, py - 10)]);
            let across = p.speciality_ci.iter().flat_map(|i| [(i.low, p.generality), (i.high, p.generality)]);
            let along = p.generality_ci.iter().flat_map(|i| [(p.speciality, i.low), (p.speciality, i.high)]);
            all.extend(across.chain(along).map(pixel));
        }
        for curve in &data.manifest.curves {
            let points = curve.points.iter().filter_map(|p| data.frontier.point(&p.variant));
            let line: Vec<(i32, i32)> = points.map(|p| pixel((p.speciality, p.generality))).collect();
            for pair in line.windows(2) {
                let ((ax, ay), (bx, by)) = (pair[0], pair[1]);
                all.extend((1..10).map(|i| (ax + (bx - ax) * i / 10, ay + (by - ay) * i / 10)));
            }
        }
        all
    }

    fn paint(
        &self,
        root: &DrawingArea<SVGBackend<'_>, Shift>,
        data: &ReportData,
        (x, y): (FractionAxis, FractionAxis),
    ) -> Result<(), Box<dyn std::error::Error>> {
        let mut chart = ChartBuilder::on(root)
            .margin(MARGIN)
            .margin_right(RIGHT)
            .x_label_area_size(X_LABELS)
            .y_label_area_size(Y_LABELS)
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
        if let Some(report) = methods(data) {
            return mean_curves(&mut chart, data, report);
        }
        for (number, curve) in data.manifest.curves.iter().enumerate() {
            self.curve(&mut chart, data, &curve.id, number)?;
        }
        for point in data.frontier.points.iter().filter(|p| p.curve.is_none()) {
            let at = (point.speciality, point.generality);
            chart.draw_series(std::iter::once(Circle::new(at, 5, INK.filled())))?;
            let label = Text::new(data.label(&point.variant), at, (FONT, 14).into_font().color(&INK));
            chart.draw_series(std::iter::once(label))?;
        }
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
        let paint = curve_colour(data, number);
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
        let chosen = data.chosen_alpha(id);
        for (alpha, p) in &along {
            let at = (p.speciality, p.generality);
            let pixel = chart.backend_coord(&at);
            let area = chart.plotting_area().strip_coord_spec();
            let (left, top) = chart.plotting_area().get_base_pixel();
            let pixel = (pixel.0 - left, pixel.1 - top);
            let is_chosen = chosen == Some(*alpha);
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

/// A part of a curve, in pixels of the plotting area.
type Segment = [(i32, i32); 2];

/// Half of a fine-tuned end's diamond.
const DIAMOND: i32 = 6;

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
    let mut lines: Vec<Segment> = Vec::new();
    for method in report.methods.iter().rev() {
        let number = method_number(data, &method.method);
        let paint = colour(number);
        chart.draw_series(LineSeries::new(method.points.iter().copied(), paint.stroke_width(2)))?;
        let pixels: Vec<(i32, i32)> =
            method.points.iter().map(|p| chart.backend_coord(p)).map(|(x, y)| (x - left, y - top)).collect();
        lines.extend(pixels.array_windows());
        for pixel in pixels.iter().skip(1) {
            area.draw(&Circle::new(*pixel, 2, paint.filled()))?;
        }
        if let Some(&end) = pixels.last() {
            area.draw(&Polygon::new(end_mark(number, end, DIAMOND), paint.filled()))?;
            lines.push([(end.0 - DIAMOND, end.1), (end.0 + DIAMOND, end.1)]);
            names.push((end.0, end.1, &method.method, paint));
        }
        if let Some(&start) = pixels.first() {
            area.draw(&Polygon::new(star(start, 11.0), INK.filled()))?;
        }
    }
    names.sort_by_key(|n| (n.1, n.0));
    let mut taken: Vec<Label> = Vec::new();
    for (x, y, name, paint) in names {
        let label = Label::free((x, y), name, (width as i32, height as i32), (&taken, &lines));
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
    /// Half of what a name takes upwards.
    const HALF: i32 = 6;

    /// The best free place beside a point, right or left of it, level with it or some lines of text away: near, and crossed by few
    /// curves.
    fn free(
        (x, y): (i32, i32),
        name: &str,
        (width, height): (i32, i32),
        (taken, curves): (&[Self], &[Segment]),
    ) -> Self {
        const LINE: i32 = 15;
        /// Lines of text that a name goes further for one curve less.
        const CROSSING: usize = 3;
        let long = name.chars().count() as i32 * 7;
        let at = |right: bool, lines: i32| Self {
            left: if right { x + 12 } else { x - 12 - long },
            long,
            middle: y + lines * LINE,
        };
        let places = (0..40).flat_map(|n: i32| {
            let lines = if n % 2 == 0 { n / 2 } else { -(n + 1) / 2 };
            [(n, at(true, lines)), (n, at(false, lines))]
        });
        let inside =
            |l: &Self| l.left >= 0 && l.left + long <= width && l.middle > 6 && l.middle < height - 6;
        let clear = |l: &Self| {
            taken.iter().all(|t| {
                (t.middle - l.middle).abs() >= LINE || t.left > l.left + l.long || l.left > t.left + t.long
            })
        };
        let cost = |(n, label): &(i32, Self)| {
            let crossings = curves.iter().filter(|curve| label.is_crossed(**curve)).count();
            n.unsigned_abs() as usize / 2 + CROSSING * crossings
        };
        let free = places.filter(|(_, label)| inside(label) && clear(label));
        free.min_by_key(cost).map_or_else(|| at(true, 0), |(_, label)| label)
    }

    /// Whether a straight line goes through it.
    fn is_crossed(&self, [(x, y), (to_x, to_y)]: Segment) -> bool {
        // The part of the line, from 0 to 1, that lies between two bounds.
        let within = |from: i32, to: i32, low: i32, high: i32| {
            let (from, way) = (f64::from(from), f64::from(to - from));
            let (low, high) = (f64::from(low) - from, f64::from(high) - from);
            if way == 0.0 {
                return if low <= 0.0 && 0.0 <= high { (0.0, 1.0) } else { (1.0, 0.0) };
            }
            ((low / way).min(high / way), (low / way).max(high / way))
        };
        let across = within(x, to_x, self.left, self.left + self.long);
        let upwards = within(y, to_y, self.middle - Self::HALF, self.middle + Self::HALF);
        across.0.max(upwards.0).max(0.0) <= across.1.min(upwards.1).min(1.0)
    }
}

fn entries(data: &ReportData) -> Vec<(String, Mark)> {
    let mut entries: Vec<(String, Mark)> = Vec::new();
    if let Some(curve) = data.manifest.curves.first() {
        entries.push((format!("{} (pretrained)", curve.from), Mark::Star));
    }
    for (i, curve) in data.manifest.curves.iter().enumerate() {
        let text = format!("{} ({}), {}", curve.id, curve.method, curve.merge);
        entries.push((text, Mark::Curve(curve_colour(data, i), i)));
    }
    if has_chosen(data) {
        entries.push(("alpha chosen on selection probes".to_owned(), Mark::Ring));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_goes_where_no_curve_is() {
        let label = Label { left: 10, long: 20, middle: 50 };
        assert!(label.is_crossed([(0, 50), (40, 50)]) && label.is_crossed([(20, 0), (20, 90)]));
        assert!(label.is_crossed([(15, 52), (16, 53)]) && label.is_crossed([(0, 30), (40, 70)]));
        assert!(!label.is_crossed([(0, 60), (40, 60)]) && !label.is_crossed([(40, 0), (40, 90)]));
        assert!(!label.is_crossed([(0, 0), (12, 40)]) && !label.is_crossed([(20, 0), (20, 43)]));
        // A level curve goes through the name at the right; one line further there is none.
        let (around, point) = ((200, 200), (100, 100));
        let free = |curves: &[Segment]| Label::free(point, "ab", around, (&[], curves));
        assert_eq!((free(&[]).left, free(&[]).middle), (112, 100));
        assert_eq!(free(&[[(100, 100), (190, 100)]]).left, 100 - 12 - 14);
        let both = free(&[[(10, 100), (190, 100)]]);
        assert_eq!((both.left, both.middle), (112, 85));
    }
}
