//! Legends: wrapped to the room that there is, in a free corner or in a place of their own.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::canvas::{FONT, INK, end_mark, star, text_width};

/// Size of a legend's text.
const SIZE: i32 = 14;
/// Units from line to line.
const LINE: i32 = 20;
/// Units for a mark.
const MARK: i32 = 34;

/// What stands before a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mark {
    /// The pretrained model.
    Star,
    /// A point that was chosen.
    Ring,
    /// A curve with its fine-tuned end, and its number.
    Curve(RGBColor, usize),
    /// A bar.
    Bar(RGBColor),
    /// A published model.
    Circle(RGBColor),
    /// A point that was read off a figure.
    Cross(RGBColor),
    /// A trend.
    Line(RGBColor),
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Entries laid out below each other or in rows.
pub struct Legend {
    /// Mark, lines of text, left and top.
    entries: Vec<(Mark, Vec<String>, i32, i32)>,
    /// Units across.
    pub width: i32,
    /// Units down.
    pub height: i32,
}

impl Legend {
    /// One entry below the other, texts wrapped within `room` units.
    pub fn column(entries: Vec<(String, Mark)>, room: i32) -> Self {
        let mut legend = Self { entries: Vec::new(), width: 0, height: 0 };
        for (text, mark) in entries {
            let lines = wrapped(&text, room - MARK);
            let longest = lines.iter().map(|l| text_width(l, SIZE)).max().unwrap_or(0);
            legend.width = legend.width.max(MARK + longest);
            let height = LINE * lines.len() as i32;
            legend.entries.push((mark, lines, 0, legend.height));
            legend.height += height;
        }
        legend
    }

    /// One entry beside the other, in as many rows as `room` units ask for.
    pub fn rows(entries: Vec<(String, Mark)>, room: i32) -> Self {
        let mut legend = Self { entries: Vec::new(), width: room, height: LINE };
        let (mut left, mut top) = (0, 0);
        for (text, mark) in entries {
            let lines = wrapped(&text, room - MARK);
            let longest = lines.iter().map(|l| text_width(l, SIZE)).max().unwrap_or(0);
            if left > 0 && left + MARK + longest > room {
                (left, top) = (0, legend.height);
            }
            legend.height = legend.height.max(top + LINE * lines.len() as i32);
            legend.entries.push((mark, lines, left, top));
            left += MARK + longest + 16;
        }
        legend
    }

    /// The corner of a plot `(left, top, right, bottom)` in which none of the points lies, if there is one.
    pub fn corner(&self, plot: (i32, i32, i32, i32), points: &[(i32, i32)]) -> Option<(i32, i32)> {
        const GAP: i32 = 10;
        let (left, top, right, bottom) = plot;
        if self.width + 2 * GAP > right - left || self.height + 2 * GAP > bottom - top {
            return None;
        }
        let (right, bottom) = (right - GAP - self.width, bottom - GAP - self.height);
        let corners = [(left + GAP, bottom), (right, top + GAP), (right, bottom), (left + GAP, top + GAP)];
        let free = |&(x, y): &(i32, i32)| {
            let across = x - GAP..=x + self.width + GAP;
            let down = y - GAP..=y + self.height + GAP;
            !points.iter().any(|p| across.contains(&p.0) && down.contains(&p.1))
        };
        corners.into_iter().find(free)
    }

    /// Draws it with its upper left corner at a place.
    pub fn draw(&self, root: &Area<'_>, (left, top): (i32, i32)) -> Drawn {
        let style = (FONT, SIZE).into_font().color(&INK);
        for (mark, lines, x, y) in &self.entries {
            let (x, y) = (left + x, top + y);
            mark.draw(root, (x + 12, y + LINE / 2))?;
            for (i, line) in lines.iter().enumerate() {
                let place = (x + MARK - 4, y + LINE * i as i32 + LINE / 2 - 6);
                root.draw(&Text::new(line.clone(), place, style.clone()))?;
            }
        }
        Ok(())
    }
}

impl Mark {
    fn draw(self, root: &Area<'_>, (x, y): (i32, i32)) -> Drawn {
        let line = |paint: RGBColor, thick: u32| {
            PathElement::new(vec![(x - 12, y), (x + 12, y)], paint.stroke_width(thick))
        };
        match self {
            Self::Star => root.draw(&Polygon::new(star((x, y), 9.0), INK.filled()))?,
            Self::Ring => root.draw(&Circle::new((x, y), 7, INK.stroke_width(2)))?,
            Self::Curve(paint, number) => {
                root.draw(&line(paint, 2))?;
                root.draw(&Polygon::new(end_mark(number, (x, y), 6), paint.filled()))?;
            }
            Self::Bar(paint) => {
                root.draw(&Rectangle::new([(x - 6, y - 6), (x + 7, y + 7)], paint.filled()))?;
            }
            Self::Circle(paint) => root.draw(&Circle::new((x, y), 3, paint.stroke_width(1)))?,
            Self::Cross(paint) => root.draw(&Cross::new((x, y), 4, paint.stroke_width(1)))?,
            Self::Line(paint) => root.draw(&line(paint, 1))?,
        }
        Ok(())
    }
}

/// A text in lines of at most so many units.
fn wrapped(text: &str, room: i32) -> Vec<String> {
    let letters = (f64::from(room.max(40)) / (f64::from(SIZE) * 0.44)) as usize;
    let lines = textwrap::wrap(text, letters);
    if lines.is_empty() { vec![String::new()] } else { lines.into_iter().map(Into::into).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(n: usize) -> Vec<(String, Mark)> {
        (0..n).map(|i| (format!("a way of fine-tuning, number {i}"), Mark::Star)).collect()
    }

    #[test]
    fn no_entry_is_lost_and_a_free_corner_is_taken() {
        let wide = Legend::column(entries(3), 400);
        let narrow = Legend::column(entries(3), 140);
        assert_eq!((wide.entries.len(), wide.height), (3, 60));
        assert!(narrow.width <= 140 && narrow.height > 60 && narrow.entries.len() == 3);
        let plot = (0, 0, 600, 400);
        assert_eq!(wide.corner(plot, &[]), Some((10, 330)));
        let (x, y) = wide.corner(plot, &[(30, 350)]).unwrap();
        assert!(x > 300 && y < 100, "{x} {y}");
        let everywhere: Vec<(i32, i32)> = (0..600).step_by(20).flat_map(|x| [(x, 20), (x, 380)]).collect();
        assert_eq!(wide.corner(plot, &everywhere), None);
        let rows = Legend::rows(entries(5), 500);
        assert!(rows.height == 60 && rows.entries.iter().all(|e| e.2 < 500), "{}", rows.height);
    }
}
