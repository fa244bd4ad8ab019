//! Random crops of training images, drawn anew at each step: torchvision's `RandomResizedCrop` and `RandomHorizontalFlip`.

use crate::base::rng::CounterRng;
use crate::image::{Preprocessor, Rgb};

/// How training images are cropped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomCrop {
    /// Bounds of the share of the image's area that a crop has; the crop of evaluation if there are none.
    pub scale: Option<[f64; 2]>,
    /// Whether half of them are mirrored.
    pub flip: bool,
}

/// Bounds of width over height.
const RATIO: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0];
/// Draws before the middle is taken.
const TRIES: usize = 10;

impl RandomCrop {
    /// One crop, in the size and by the filter of `preprocessor`.
    pub fn of(self, image: &Rgb, preprocessor: &Preprocessor, rng: &mut CounterRng) -> Rgb {
        let crop = match self.scale {
            None => preprocessor.crop_u8(image),
            Some(scale) => {
                let (left, top, width, height) = region(scale, image.width, image.height, rng);
                preprocessor.resized(&image.crop(left as isize, top as isize, width, height))
            }
        };
        if self.flip && rng.uniform() < 0.5 { mirrored(crop) } else { crop }
    }
}

/// Left, top, width and height of a crop (`RandomResizedCrop.get_params`).
fn region(
    scale: [f64; 2],
    width: usize,
    height: usize,
    rng: &mut CounterRng,
) -> (usize, usize, usize, usize) {
    let area = (width * height) as f64;
    for _ in 0..TRIES {
        let target = area * rng.range(scale[0], scale[1]);
        let ratio = rng.range(RATIO[0].ln(), RATIO[1].ln()).exp();
        // Python rounds halves to even.
        let w = (target * ratio).sqrt().round_ties_even() as usize;
        let h = (target / ratio).sqrt().round_ties_even() as usize;
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let top = rng.below(height - h + 1);
            return (rng.below(width - w + 1), top, w, h);
        }
    }
    let ratio = width as f64 / height as f64;
    let (w, h) = if ratio < RATIO[0] {
        (width, (width as f64 / RATIO[0]).round_ties_even() as usize)
    } else if ratio > RATIO[1] {
        ((height as f64 * RATIO[1]).round_ties_even() as usize, height)
    } else {
        (width, height)
    };
    ((width - w) / 2, (height - h) / 2, w, h)
}

fn mirrored(mut image: Rgb) -> Rgb {
    for row in image.data.chunks_mut(image.width * 3) {
        row.as_chunks_mut::<3>().0.reverse();
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_are_within_their_bounds_and_reach_them() {
        let mut rng = CounterRng::new(1, "crops");
        let (mut least, mut most, mut places) = (f64::INFINITY, 0.0f64, std::collections::BTreeSet::new());
        for _ in 0..4000 {
            let (left, top, w, h) = region([0.5, 1.0], 80, 60, &mut rng);
            assert!(left + w <= 80 && top + h <= 60 && w > 0 && h > 0);
            let share = (w * h) as f64 / 4800.0;
            (least, most) = (least.min(share), most.max(share));
            assert!((0.49..=1.0).contains(&share), "{share}");
            assert!((0.73..=1.37).contains(&(w as f64 / h as f64)));
            places.insert((left, top));
        }
        assert!(least < 0.52 && most > 0.97 && places.len() > 300, "{least} {most} {}", places.len());
        // What no ratio fits is taken from the middle.
        assert_eq!(region([1.0, 1.0], 300, 10, &mut rng), (143, 0, 13, 10));
        assert_eq!(region([1.0, 1.0], 10, 300, &mut rng), (0, 143, 10, 13));
    }

    #[test]
    fn a_mirror_image_is_turned_row_by_row() {
        let image = Rgb { width: 2, height: 2, data: (0..12).collect() };
        assert_eq!(mirrored(image).data, [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]);
    }
}
