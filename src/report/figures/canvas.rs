//! Colours, marks and lengths of text.

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::axis::FractionAxis;
use crate::report::ReportData;
use crate::report::methods::{by_method, method_of};

/// Okabe and Ito's colours, told apart with any colour vision, from the most contrasting on.
pub const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
];

/// Colour of text and axes.
pub const INK: RGBColor = RGBColor(40, 40, 40);

/// Colour of grid lines.
pub const GRID: RGBColor = RGBColor(228, 228, 228);

/// Family of all text; the PNG rendering and the page both have it.
pub const FONT: &str = "Roboto, Helvetica, Arial, sans-serif";

/// Colour number `i`.
pub fn colour(i: usize) -> RGBColor {
    let RGBColor(r, g, b) = PALETTE[i % PALETTE.len()];
    // Of more than the palette has: darker, then lighter.
    let tone = |v: u8| match i / PALETTE.len() % 3 {
        0 => v,
        1 => (u16::from(v) * 5 / 9) as u8,
        _ => 255 - ((255 - u16::from(v)) / 2) as u8,
    };
    RGBColor(tone(r), tone(g), tone(b))
}

/// The colour of a method, the same in all figures.
pub fn method_colour(data: &ReportData, method: &str) -> RGBColor {
    colour(method_number(data, method))
}

/// The colour of a method, as a page writes it.
pub fn method_paint(data: &ReportData, method: &str) -> String {
    hexadecimal(method_colour(data, method))
}

/// Colour number `i`, as a page writes it.
pub fn paint(i: usize) -> String {
    hexadecimal(colour(i))
}

fn hexadecimal(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// The number of a method among those of the suite.
pub fn method_number(data: &ReportData, method: &str) -> usize {
    let known = by_method(&data.manifest.curves);
    known.iter().position(|k| k.0 == method).unwrap_or(known.len())
}

/// Corners of a star around a pixel.
pub fn star((x, y): (i32, i32), radius: f64) -> Vec<(i32, i32)> {
    (0..10)
        .map(|i| {
            let r = if i % 2 == 0 { radius } else { radius * 0.45 };
            let turn = f64::from(i) * std::f64::consts::PI / 5.0 - std::f64::consts::FRAC_PI_2;
            (x + (r * turn.cos()).round() as i32, y + (r * turn.sin()).round() as i32)
        })
        .collect()
}

/// Corners of a diamond around a pixel.
pub fn diamond((x, y): (i32, i32), radius: i32) -> Vec<(i32, i32)> {
    vec![(x, y - radius), (x + radius, y), (x, y + radius), (x - radius, y)]
}

/// Corners of the mark at the end of curve number `i` around a pixel: a diamond, and another where colours begin again.
pub fn end_mark(i: usize, (x, y): (i32, i32), radius: i32) -> Vec<(i32, i32)> {
    let (r, side) = (radius, radius * 5 / 6);
    match i / (3 * PALETTE.len()) % 3 {
        0 => diamond((x, y), r),
        1 => vec![(x - side, y - side), (x + side, y - side), (x + side, y + side), (x - side, y + side)],
        _ => vec![(x, y - r), (x + r, y + side), (x - r, y + side)],
    }
}

/// About how many units a text of some size is long.
pub fn text_width(text: &str, size: i32) -> i32 {
    (text.chars().count() as f64 * f64::from(size) * 0.44).ceil() as i32
}

/// The colour of each curve of a few, the same in all figures: its method's where each curve has a method of its own.
pub fn curve_colour(data: &ReportData, number: usize) -> RGBColor {
    let curves = &data.manifest.curves;
    let methods = by_method(curves).len();
    match curves.get(number) {
        Some(curve) if methods == curves.len() => method_colour(data, &method_of(curve)),
        _ => colour(number),
    }
}

/// The axes of a bar chart of scores: fractions upwards, nothing along.
pub fn bar_mesh(
    chart: &mut ChartContext<'_, SVGBackend<'_>, Cartesian2d<RangedCoordf64, FractionAxis>>,
) -> Result<(), Box<dyn std::error::Error>> {
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK.stroke_width(1))
        .label_style((FONT, 15).into_font().color(&INK))
        .axis_desc_style((FONT, 17).into_font().color(&INK))
        .y_desc("score, %")
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_times_as_many_colours_as_the_palette_has_and_three_marks() {
        let told = |i: usize| {
            let RGBColor(r, g, b) = colour(i);
            ((r, g, b), end_mark(i, (50, 50), 6))
        };
        let several = 3 * PALETTE.len();
        let distinct = |all: &mut Vec<_>| {
            all.sort_unstable();
            all.dedup();
            all.len()
        };
        assert_eq!(distinct(&mut (0..several).map(told).collect()), several);
        assert_eq!(distinct(&mut (0..3 * several).map(told).collect()), 3 * several);
        assert_eq!(told(several).0, told(0).0);
        assert_eq!(colour(0), PALETTE[0]);
        assert_eq!(end_mark(several - 1, (50, 50), 6), diamond((50, 50), 6));
    }
}
