//! Colours, marks and the way from SVG to PNG.

use std::sync::Arc;

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb::Database};

use super::axis::FractionAxis;
use crate::report::ReportData;
use crate::report::methods::by_method;

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

/// Pixels of a PNG per unit of the SVG.
const PNG_SCALE: f32 = 2.0;

/// Colour number `i`.
pub const fn colour(i: usize) -> RGBColor {
    PALETTE[i % PALETTE.len()]
}

/// The colour of a method, the same in all figures.
pub fn method_colour(data: &ReportData, method: &str) -> RGBColor {
    colour(method_number(data, method))
}

/// The colour of a method, as a page writes it.
pub fn method_paint(data: &ReportData, method: &str) -> String {
    let RGBColor(red, green, blue) = method_colour(data, method);
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

/// Renders an SVG to PNG bytes with the bundled font.
pub fn to_png(svg: &str) -> Result<Vec<u8>, String> {
    let mut fonts = Database::new();
    fonts.load_font_data(include_bytes!("../fonts/Roboto-Regular.ttf").to_vec());
    fonts.load_font_data(include_bytes!("../fonts/Roboto-Medium.ttf").to_vec());
    fonts.set_sans_serif_family("Roboto");
    let options = Options { font_family: "Roboto".to_owned(), fontdb: Arc::new(fonts), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|e| e.to_string())?;
    let size = tree.size().to_int_size().scale_by(PNG_SCALE).ok_or("the figure has no size")?;
    let mut pixmap = Pixmap::new(size.width(), size.height()).ok_or("the figure is too large")?;
    resvg::render(&tree, Transform::from_scale(PNG_SCALE, PNG_SCALE), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|e| e.to_string())
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
