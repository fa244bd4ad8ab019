//! The size that figures are drawn at: for a screen, or for print, where text has its size at the width that is printed.

use std::sync::{Arc, LazyLock};

use krilla::Document;
use krilla::geom::Size;
use krilla::page::PageSettings;
use krilla_svg::{SurfaceExt as _, SvgSettings};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb::Database};

/// What axes are labelled with, in units of the drawings: size 15 as `plotters` counts it, which writes 15 / 1.24.
const TEXT: f64 = 15.0 / 1.24;

/// Pixels of a PNG per unit of the drawing, on a screen.
const SCREEN_SCALE: f32 = 2.0;

/// Pixels of a PNG per CSS pixel of a printed figure: 300 an inch.
const PRINT_SCALE: f32 = 300.0 / 96.0;

/// Units that a figure needs across, and may have.
const NARROWEST: f64 = 260.0;
const WIDEST: f64 = 4000.0;

/// The paper that figures are drawn on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sheet {
    print: Option<Print>,
}

/// Sizes of print, in points of 1/72 inch.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Print {
    width: f64,
    text: f64,
}

impl Sheet {
    /// A screen.
    pub const SCREEN: Self = Self { print: None };

    /// Figures that are so many points wide, their axes labelled in text of so many points.
    ///
    /// # Errors
    ///
    /// If there is no room for text of that size.
    pub fn print(width: f64, text: f64) -> Result<Self, String> {
        let units = width * TEXT / text;
        if !((NARROWEST..=WIDEST).contains(&units) && text >= 3.0) {
            let least = NARROWEST * text / TEXT;
            return Err(format!(
                "a figure of {width:.0} points with text of {text:.1} points cannot be drawn: with text of that size it needs \
                 {least:.0} to {:.0} points, and text needs 3",
                WIDEST * text / TEXT
            ));
        }
        Ok(Self { print: Some(Print { width, text }) })
    }

    /// Units across of a figure that is `natural` wide on a screen.
    pub fn width(self, natural: u32) -> u32 {
        self.print.map_or(natural, |p| (p.width * TEXT / p.text).round() as u32)
    }

    /// The drawing with its printed size in its head.
    pub fn sized(self, svg: String) -> String {
        let Some(print) = self.print else { return svg };
        let Some((head, rest)) = svg.split_once('>') else { return svg };
        let unit = print.text / TEXT;
        let points = |name: &str, head: String| {
            let start = format!(" {name}=\"");
            let Some((before, after)) = head.split_once(&start) else { return head };
            let Some((value, after)) = after.split_once('"') else { return head };
            let value =
                value.parse::<f64>().map_or_else(|_| value.to_owned(), |v| format!("{:.2}pt", v * unit));
            format!("{before}{start}{value}\"{after}")
        };
        format!("{}>{rest}", points("height", points("width", head.to_owned())))
    }

    /// A drawing as PNG.
    pub fn png(self, tree: &Tree) -> Result<Vec<u8>, String> {
        let scale = if self.print.is_some() { PRINT_SCALE } else { SCREEN_SCALE };
        let size = tree.size().to_int_size().scale_by(scale).ok_or("the figure has no size")?;
        let mut pixmap = Pixmap::new(size.width(), size.height()).ok_or("the figure is too large")?;
        resvg::render(tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
        pixmap.encode_png().map_err(|e| e.to_string())
    }
}

/// A drawing as a page of PDF, its fonts embedded.
pub fn pdf(tree: &Tree) -> Result<Vec<u8>, String> {
    // CSS pixels are 3/4 of a point.
    let (width, height) = (tree.size().width() * 0.75, tree.size().height() * 0.75);
    let size = Size::from_wh(width, height).ok_or("the figure has no size")?;
    let mut document = Document::new();
    let settings = PageSettings::from_wh(width, height).ok_or("the figure has no size")?;
    let mut page = document.start_page_with(settings);
    let mut surface = page.surface();
    surface.draw_svg(tree, size, SvgSettings::default()).ok_or("the figure cannot be drawn")?;
    surface.finish();
    page.finish();
    document.finish().map_err(|e| format!("{e:?}"))
}

/// The bundled fonts.
static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(include_bytes!("../fonts/Roboto-Regular.ttf").to_vec());
    fonts.load_font_data(include_bytes!("../fonts/Roboto-Medium.ttf").to_vec());
    fonts.set_sans_serif_family("Roboto");
    Arc::new(fonts)
});

/// A drawing, its text in the bundled font.
pub fn tree(svg: &str) -> Result<Tree, String> {
    let fonts = Arc::clone(&FONTS);
    let options = Options { font_family: "Roboto".to_owned(), fontdb: fonts, ..Options::default() };
    Tree::from_str(svg, &options).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SVG: &str = "<svg width=\"400\" height=\"200\" viewBox=\"0 0 400 200\" xmlns=\"http://www.w3.org/2000/svg\">\
                       <text x=\"10\" y=\"50\" font-family=\"Roboto\" font-size=\"12\">alpha</text></svg>";

    #[test]
    fn text_has_its_size_at_the_printed_width() {
        let sheet = Sheet::print(234.0, 8.0).unwrap();
        // 234 points hold 354 units of 8 / 12.1 points.
        assert_eq!((sheet.width(760), Sheet::SCREEN.width(760)), (354, 760));
        let sized = sheet.sized(SVG.replace("400", "354"));
        assert!(
            sized.starts_with("<svg width=\"234.11pt\" height=\"132.27pt\" viewBox=\"0 0 354 200\""),
            "{sized}"
        );
        assert_eq!(Sheet::SCREEN.sized(SVG.to_owned()), SVG);
        let png = image::load_from_memory(&sheet.png(&tree(&sized).unwrap()).unwrap()).unwrap();
        // 3.25 inches at 300 dots, up to the rounding of units.
        assert!(png.width().abs_diff(975) <= 4, "{}", png.width());
        assert!(Sheet::print(40.0, 8.0).is_err() && Sheet::print(f64::NAN, 8.0).is_err());
    }

    #[test]
    fn a_pdf_embeds_its_font_and_is_the_same_each_time() {
        let page = || pdf(&tree(SVG).unwrap()).unwrap();
        let pdf = page();
        assert!(pdf.starts_with(b"%PDF-") && pdf.windows(6).any(|w| w == b"Roboto"));
        assert_eq!(pdf, page());
    }
}
