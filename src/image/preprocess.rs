//! From a decoded image to the model's input, as `preprocessor_config.json` says.
//!
//! Follows Hugging Face's `CLIPImageProcessor` on Pillow images: RGB first, shortest side (long
//! side truncated to an integer), Pillow resampling on 8-bit data, centre crop, rescale,
//! normalise. The crop stays 8-bit until the batch is made, so it can be kept and shared.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Filter, Rgb, resize_region};

/// Why a preprocessing configuration cannot be followed.
#[derive(Debug, thiserror::Error)]
#[error("preprocessor configuration: {0}")]
pub struct PreprocessError(String);

/// How the target size of the resize is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResizeRule {
    /// The shorter side becomes this many pixels, the aspect ratio stays.
    ShortestEdge(usize),
    /// Exactly (height, width), whatever the aspect ratio ("squash").
    Exact(usize, usize),
}

/// How the offset of the centre crop is rounded when the margin is odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CropRule {
    /// `(extent - crop) // 2` (Hugging Face).
    Floor,
    /// `round((extent - crop) / 2)`, ties to even (torchvision, open_clip, OpenAI).
    HalfEven,
}

impl CropRule {
    fn offset(self, extent: usize, crop: usize) -> isize {
        let margin = extent as isize - crop as isize;
        match self {
            Self::Floor => margin.div_euclid(2),
            Self::HalfEven => (margin as f64 / 2.0).round_ties_even() as isize,
        }
    }
}

/// A complete preprocessing: everything that turns pixels into model input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocessor {
    /// Resize, or none.
    pub resize: Option<(ResizeRule, Filter)>,
    /// Centre crop to (height, width), or none.
    pub crop: Option<(usize, usize, CropRule)>,
    /// Multiplies the 0..255 value (1/255).
    pub rescale: f64,
    /// Per-channel mean after rescaling.
    pub mean: [f64; 3],
    /// Per-channel standard deviation after rescaling.
    pub std: [f64; 3],
}

impl Preprocessor {
    /// CLIP's preprocessing at `size` pixels: bicubic shortest side, centre crop, OpenAI's
    /// mean and standard deviation.
    #[must_use]
    pub const fn clip(size: usize) -> Self {
        Self {
            resize: Some((ResizeRule::ShortestEdge(size), Filter::Bicubic)),
            crop: Some((size, size, CropRule::Floor)),
            rescale: 1.0 / 255.0,
            mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            std: [0.268_629_54, 0.261_302_58, 0.275_777_11],
        }
    }

    /// Reads a Hugging Face `preprocessor_config.json`.
    pub fn from_hf(config: &Value) -> Result<Self, PreprocessError> {
        let flag = |key: &str| config.get(key).and_then(Value::as_bool).unwrap_or(true);
        let resize = if flag("do_resize") {
            let number = config.get("resample").and_then(Value::as_u64).unwrap_or(3);
            let filter = Filter::from_pillow(number).ok_or_else(|| {
                PreprocessError(format!("`resample = {number}` is not supported (1, 2 and 3 are)"))
            })?;
            Some((resize_rule(config.get("size"))?, filter))
        } else {
            None
        };
        let crop = if config.get("crop_size").is_some() && flag("do_center_crop") {
            let (height, width) = extent(config.get("crop_size"), "crop_size")?;
            Some((height, width, CropRule::Floor))
        } else {
            None
        };
        let rescale = if flag("do_rescale") {
            config.get("rescale_factor").and_then(Value::as_f64).unwrap_or(1.0 / 255.0)
        } else {
            1.0
        };
        let (mean, std) = if flag("do_normalize") {
            (channels(config, "image_mean")?, channels(config, "image_std")?)
        } else {
            ([0.0; 3], [1.0; 3])
        };
        let this = Self { resize, crop, rescale, mean, std };
        this.output_size().map(|_| this.clone()).ok_or_else(|| {
            PreprocessError("neither `crop_size` nor an exact `size` fixes the output".to_owned())
        })
    }

    /// (height, width) of every output, if the configuration fixes it.
    #[must_use]
    pub const fn output_size(&self) -> Option<(usize, usize)> {
        match (self.crop, self.resize) {
            (Some((h, w, _)), _) | (None, Some((ResizeRule::Exact(h, w), _))) => Some((h, w)),
            _ => None,
        }
    }

    /// Resizes and crops; the result is 8-bit. Only the pixels inside the crop are computed.
    #[must_use]
    pub fn crop_u8(&self, image: &Rgb) -> Rgb {
        let (width, height) = match self.resize {
            Some((ResizeRule::ShortestEdge(size), _)) => shortest_edge(image, size),
            Some((ResizeRule::Exact(height, width), _)) => (width, height),
            None => (image.width, image.height),
        };
        let (crop_height, crop_width, rule) = self.crop.unwrap_or((height, width, CropRule::Floor));
        let left = rule.offset(width, crop_width);
        let top = rule.offset(height, crop_height);
        let Some((_, filter)) = self.resize else {
            return image.crop(left, top, crop_width, crop_height);
        };
        if left < 0 || top < 0 {
            let whole = resize_region(image, filter, (width, height), (0, 0), (width, height));
            return whole.crop(left, top, crop_width, crop_height);
        }
        let origin = (left as usize, top as usize);
        resize_region(image, filter, (width, height), origin, (crop_width, crop_height))
    }

    /// Appends the normalised crop to `out` as `[3, height, width]` in f32.
    pub fn normalise_into(&self, crop: &Rgb, out: &mut Vec<f32>) {
        for c in 0..3 {
            let table = self.table(c);
            out.extend(crop.data.as_chunks::<3>().0.iter().map(|p| table[usize::from(p[c])]));
        }
    }

    /// The normalised value of each 8-bit level, in the reference's order of rounding: the
    /// rescaled value, mean and deviation are f32, and so is the result.
    fn table(&self, c: usize) -> [f32; 256] {
        let (mean, std) = (self.mean[c] as f32, self.std[c] as f32);
        std::array::from_fn(|v| ((v as f64 * self.rescale) as f32 - mean) / std)
    }
}

fn shortest_edge(image: &Rgb, size: usize) -> (usize, usize) {
    let long = |short: usize, long: usize| (size * long) / short;
    if image.width <= image.height {
        (size, long(image.width, image.height))
    } else {
        (long(image.height, image.width), size)
    }
}

fn resize_rule(size: Option<&Value>) -> Result<ResizeRule, PreprocessError> {
    let number = |v: &Value, key: &str| v.get(key).and_then(Value::as_u64).map(|n| n as usize);
    match size {
        Some(v) if v.is_u64() => Ok(ResizeRule::ShortestEdge(v.as_u64().unwrap_or(0) as usize)),
        Some(v) if number(v, "shortest_edge").is_some() => {
            Ok(ResizeRule::ShortestEdge(number(v, "shortest_edge").unwrap_or(0)))
        }
        other => extent(other, "size").map(|(h, w)| ResizeRule::Exact(h, w)),
    }
}

fn extent(value: Option<&Value>, key: &str) -> Result<(usize, usize), PreprocessError> {
    let bad = || PreprocessError(format!("`{key}` must be a number or have `height` and `width`"));
    let value = value.ok_or_else(bad)?;
    if let Some(n) = value.as_u64() {
        return Ok((n as usize, n as usize));
    }
    let side = |k: &str| value.get(k).and_then(Value::as_u64).map(|n| n as usize).ok_or_else(bad);
    Ok((side("height")?, side("width")?))
}

fn channels(config: &Value, key: &str) -> Result<[f64; 3], PreprocessError> {
    let list = config.get(key).and_then(Value::as_array);
    let list = list.map(|l| l.iter().filter_map(Value::as_f64).collect::<Vec<_>>());
    list.and_then(|l| <[f64; 3]>::try_from(l).ok())
        .ok_or_else(|| PreprocessError(format!("`{key}` must be three numbers")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_the_two_spellings_of_size() {
        let norm = json!({"size": 224, "crop_size": 224, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]});
        let a = Preprocessor::from_hf(&norm).unwrap();
        assert_eq!(a.resize, Some((ResizeRule::ShortestEdge(224), Filter::Bicubic)));
        let squash = json!({"size": {"height": 8, "width": 9}, "resample": 2,
            "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]});
        let b = Preprocessor::from_hf(&squash).unwrap();
        assert_eq!((b.output_size(), b.crop), (Some((8, 9)), None));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let bad = json!({"size": 8, "crop_size": 8, "resample": 5, "image_mean": [0], "image_std": [1]});
        let text = Preprocessor::from_hf(&bad).unwrap_err().to_string();
        assert!(text.contains("resample = 5"), "{text}");
    }

    #[test]
    fn crop_offsets_follow_the_two_conventions() {
        // Margins 3 and 7: Hugging Face floors, torchvision rounds half to even.
        assert_eq!((CropRule::Floor.offset(227, 224), CropRule::HalfEven.offset(227, 224)), (1, 2));
        assert_eq!((CropRule::Floor.offset(229, 224), CropRule::HalfEven.offset(229, 224)), (2, 2));
    }

    #[test]
    fn long_side_is_truncated() {
        assert_eq!(shortest_edge(&Rgb::filled(500, 375, [0; 3]), 224), (298, 224));
        assert_eq!(shortest_edge(&Rgb::filled(375, 500, [0; 3]), 224), (224, 298));
    }

    #[test]
    fn normalisation_is_per_channel_and_planar() {
        let mut p = Preprocessor::clip(1);
        (p.mean, p.std) = ([0.0, 0.5, 1.0], [1.0, 0.5, 0.25]);
        let mut out = Vec::new();
        p.normalise_into(&Rgb { width: 2, height: 1, data: vec![255, 255, 255, 0, 0, 0] }, &mut out);
        assert_eq!(out, [1.0, 0.0, 1.0, -1.0, 0.0, -4.0]);
    }
}
