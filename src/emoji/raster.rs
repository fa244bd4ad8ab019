//! SVG drawings to square bitmaps with `resvg`.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

/// Side of a master bitmap in pixels.
pub const MASTER: usize = 64;

/// A drawing with premultiplied alpha, channels in `[0, 1]`.
pub struct Master {
    pixels: Vec<[f32; 4]>,
}

impl Master {
    /// Rasterises an SVG document into a centred square.
    pub fn from_svg(svg: &str) -> Result<Self, String> {
        let tree = Tree::from_str(svg, &Options::default()).map_err(|e| e.to_string())?;
        let mut pixmap = Pixmap::new(MASTER as u32, MASTER as u32).ok_or("no bitmap")?;
        let (w, h) = (tree.size().width(), tree.size().height());
        let scale = MASTER as f32 / w.max(h);
        let transform = Transform::from_scale(scale, scale)
            .post_translate((MASTER as f32 - w * scale) / 2.0, (MASTER as f32 - h * scale) / 2.0);
        resvg::render(&tree, transform, &mut pixmap.as_mut());
        let pixels: Vec<[f32; 4]> = pixmap
            .pixels()
            .iter()
            .map(|p| [p.red(), p.green(), p.blue(), p.alpha()].map(|v| f32::from(v) / 255.0))
            .collect();
        if pixels.iter().all(|p| p[3] == 0.0) {
            return Err("the drawing is empty".to_owned());
        }
        Ok(Self { pixels })
    }

    /// Bilinear sample at (x, y) in units of the drawing's side; transparent outside.
    pub fn sample(&self, x: f64, y: f64) -> [f32; 4] {
        let (px, py) = (x * MASTER as f64 - 0.5, y * MASTER as f64 - 0.5);
        let (x0, y0) = (px.floor(), py.floor());
        let (fx, fy) = ((px - x0) as f32, (py - y0) as f32);
        let mut out = [0.0; 4];
        for (dy, wy) in [(0.0, 1.0 - fy), (1.0, fy)] {
            for (dx, wx) in [(0.0, 1.0 - fx), (1.0, fx)] {
                let pixel = self.at(x0 + dx, y0 + dy);
                for c in 0..4 {
                    out[c] += pixel[c] * wx * wy;
                }
            }
        }
        out
    }

    fn at(&self, x: f64, y: f64) -> [f32; 4] {
        let side = MASTER as f64;
        if x < 0.0 || y < 0.0 || x >= side || y >= side {
            return [0.0; 4];
        }
        self.pixels[y as usize * MASTER + x as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_square_fills_the_master() {
        let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"8\" height=\"8\">\
                   <path fill=\"#ff0000\" d=\"M0 0h8v8H0z\"/></svg>";
        let master = Master::from_svg(svg).unwrap();
        assert_eq!(master.sample(0.5, 0.5), [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(master.sample(1.5, 0.5), [0.0; 4]);
    }

    #[test]
    fn empty_and_broken_drawings_are_errors() {
        assert!(
            Master::from_svg("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"8\" height=\"8\"/>").is_err()
        );
        assert!(Master::from_svg("<svg").is_err());
    }
}
