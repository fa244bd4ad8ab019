//! Reads questions that show one image.

use super::{Input, Kept, Reader, Reading};
use crate::base::digest::Digest;
use crate::image::{DECODER, Preprocessor, Rgb, recycle};
use crate::task::{Piece, Question};

/// Decodes, cuts the border off, resizes and crops.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageReader(pub Preprocessor);

impl Reader for ImageReader {
    fn read(&self, question: Question, reading: Reading) -> Result<Input, String> {
        let mut pieces = question.prompt.into_iter();
        let (Some(Piece::Image(image)), None) = (pieces.next(), pieces.next()) else {
            return Err("the model reads one image and nothing else".to_owned());
        };
        let image = image.decode(reading.most_pixels).map_err(|e| e.to_string())?;
        let image = without_border(image, reading.border);
        let crop = self.0.crop_u8(&image);
        recycle(image);
        Ok(Input::Image(crop))
    }

    fn digest(&self) -> Digest {
        Digest::of_value(&self.0)
    }

    fn record(&self) -> serde_json::Value {
        serde_json::to_value(&self.0).expect("plain data always has a JSON form")
    }

    fn kept(&self) -> Option<Kept> {
        let (height, width) = self.0.output_size()?;
        let key = Digest::of_value(&(&self.0.resize, &self.0.crop, DECODER));
        Some(Kept { height, width, key })
    }
}

/// The image without `border` pixels on each side; unchanged if nothing would remain.
fn without_border(image: Rgb, border: usize) -> Rgb {
    if border == 0 || image.width <= 2 * border || image.height <= 2 * border {
        return image;
    }
    let (width, height) = (image.width - 2 * border, image.height - 2 * border);
    image.crop(border as isize, border as isize, width, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_border_goes_on_all_sides() {
        let mut image = Rgb::filled(6, 5, [255, 0, 0]);
        image.data[(2 * 6 + 3) * 3] = 7;
        let inner = without_border(image.clone(), 2);
        assert_eq!((inner.width, inner.height, inner.data[3]), (2, 1, 7));
        assert_eq!(without_border(image.clone(), 3), image);
    }
}
