//! From a decoded image to the model's input, as `preprocessor_config.json` says.
//!
//! Follows Hugging Face's `CLIPImageProcessor` on Pillow images: RGB first, shortest side (long
//! side truncated to an integer), Pillow resampling on 8-bit data, centre crop, rescale,
//! normalise. The crop stays 8-bit until the batch is made, so it can be kept and shared.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Filter, Rgb, resize_region};
use crate::base::account::Fields;
use crate::base::harmless::PREPROCESSOR;

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

    /// Reads a Hugging Face `preprocessor_config.json`, with the defaults of the class that it names
    /// (`CLIPImageProcessor`, `SiglipImageProcessor`).
    pub fn from_hf(config: &Value) -> Result<Self, PreprocessError> {
        let fields = Fields::new("", config).map_err(PreprocessError)?;
        Self::of_fields(&fields).map_err(PreprocessError)
    }

    fn of_fields(fields: &Fields) -> Result<Self, String> {
        let class = fields.get::<String>("image_processor_type")?.or(fields.get("feature_extractor_type")?);
        // Names end in Fast or Pil where the same arithmetic is another implementation's.
        let siglip = match class.as_deref().map(|c| c.trim_end_matches("Fast").trim_end_matches("Pil")) {
            None | Some("CLIPImageProcessor" | "CLIPFeatureExtractor") => false,
            Some("SiglipImageProcessor") => true,
            Some(other) => {
                return Err(format!(
                    "`{other}` is not supported (CLIPImageProcessor and SiglipImageProcessor are)"
                ));
            }
        };
        let plain = Self::clip(224);
        let flag = |key: &str, default: bool| fields.or(key, default);
        let number: u64 = fields.or("resample", 3)?;
        let filter = Filter::from_pillow(number)
            .ok_or_else(|| format!("`resample = {number}` is not supported (1 to 4 are)"))?;
        let size = match fields.value("size") {
            Some(size) => resize_rule(size)?,
            None if siglip => ResizeRule::Exact(224, 224),
            None => ResizeRule::ShortestEdge(224),
        };
        let extents = fields.value("crop_size").map(|v| extent(v, "crop_size")).transpose()?;
        // A preprocessor with its own `crop_size` but no word on cropping is the first releases' CLIP.
        let crop = if flag("do_center_crop", !siglip)? {
            let (height, width) = extents.unwrap_or((224, 224));
            Some((height, width, CropRule::Floor))
        } else {
            None
        };
        let rescale = fields.or("rescale_factor", 1.0 / 255.0)?;
        let rescale = if flag("do_rescale", true)? { rescale } else { 1.0 };
        let (mean, std) = if siglip { ([0.5; 3], [0.5; 3]) } else { (plain.mean, plain.std) };
        let (mean, std) = (fields.or("image_mean", mean)?, fields.or("image_std", std)?);
        let (mean, std) = if flag("do_normalize", true)? { (mean, std) } else { ([0.0; 3], [1.0; 3]) };
        if std.iter().any(|s| *s <= 0.0)
            || ![mean, std].concat().iter().chain([&rescale]).all(|v| v.is_finite())
        {
            return Err(format!("means {mean:?}, deviations {std:?} and factor {rescale} cannot be"));
        }
        let resize = if flag("do_resize", true)? { Some((size, filter)) } else { None };
        fields.only("do_pad", &[Value::Bool(false)])?;
        fields.only("use_square_size", &[Value::Bool(false)])?;
        fields.only("rescale_offset", &[Value::Bool(false)])?;
        fields.finish(&[PREPROCESSOR])?;
        let this = Self { resize, crop, rescale, mean, std };
        match this.output_size() {
            Some(_) => Ok(this),
            None => Err("neither `crop_size` nor an exact `size` fixes the output".to_owned()),
        }
    }

    /// The Hugging Face spelling; an error for what it cannot say (torchvision's rounding of an odd margin).
    pub fn to_hf(&self) -> Result<Value, PreprocessError> {
        if matches!(self.crop, Some((_, _, CropRule::HalfEven))) {
            return Err(PreprocessError(
                "torchvision's centre crop cannot be said in `transformers`' form".to_owned(),
            ));
        }
        let (size, resample) = match self.resize {
            Some((ResizeRule::ShortestEdge(edge), filter)) => {
                (json!({"shortest_edge": edge}), filter.pillow())
            }
            Some((ResizeRule::Exact(height, width), filter)) => {
                (json!({"height": height, "width": width}), filter.pillow())
            }
            None => (json!({"shortest_edge": 224}), 3),
        };
        let mut value = json!({
            "image_processor_type": "CLIPImageProcessor", "do_convert_rgb": true,
            "do_resize": self.resize.is_some(), "size": size, "resample": resample,
            "do_center_crop": self.crop.is_some(), "do_rescale": true, "rescale_factor": self.rescale,
            "do_normalize": true, "image_mean": self.mean, "image_std": self.std,
        });
        if let Some((height, width, _)) = self.crop {
            value["crop_size"] = json!({"height": height, "width": width});
        }
        Ok(value)
    }

    /// (height, width) of every output, if the configuration fixes it.
    #[must_use]
    pub const fn output_size(&self) -> Option<(usize, usize)> {
        match (self.crop, self.resize) {
            (Some((h, w, _)), _) | (None, Some((ResizeRule::Exact(h, w), _))) => Some((h, w)),
            _ => None,
        }
    }

    /// The whole image in the output's size, by the preprocessor's filter (bicubic where it has none).
    #[must_use]
    pub fn resized(&self, image: &Rgb) -> Rgb {
        let (height, width) = self.output_size().unwrap_or((image.height, image.width));
        let filter = self.resize.as_ref().map_or(Filter::Bicubic, |(_, filter)| *filter);
        resize_region(image, filter, (width, height), (0, 0), (width, height))
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
    // At least one pixel, where Pillow refuses to make none.
    let long = |short: usize, long: usize| ((size * long) / short).max(1);
    if image.width <= image.height {
        (size, long(image.width, image.height))
    } else {
        (long(image.height, image.width), size)
    }
}

/// Largest side that images are made to: more than any model reads.
const LARGEST_SIDE: u64 = 1 << 13;

fn side(value: &Value, key: &str) -> Result<usize, String> {
    match value.as_u64() {
        Some(n) if (1..=LARGEST_SIDE).contains(&n) => Ok(n as usize),
        _ => Err(format!("`{key}` is {value}; a number of pixels from 1 to {LARGEST_SIDE} is needed")),
    }
}

fn resize_rule(size: &Value) -> Result<ResizeRule, String> {
    if size.is_number() {
        return Ok(ResizeRule::ShortestEdge(side(size, "size")?));
    }
    let Some(edge) = size.get("shortest_edge") else {
        return extent(size, "size").map(|(h, w)| ResizeRule::Exact(h, w));
    };
    let fields = Fields::new("size", size)?;
    fields.value("shortest_edge");
    fields.finish(&[])?;
    Ok(ResizeRule::ShortestEdge(side(edge, "size.shortest_edge")?))
}

fn extent(value: &Value, key: &str) -> Result<(usize, usize), String> {
    if value.is_number() {
        let n = side(value, key)?;
        return Ok((n, n));
    }
    let fields = Fields::new(key, value)?;
    let one = |name: &str| match fields.value(name) {
        Some(v) => side(v, &format!("{key}.{name}")),
        None => Err(format!("`{key}` must be a number or have `height` and `width`")),
    };
    let both = (one("height")?, one("width")?);
    fields.finish(&[])?;
    Ok(both)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_two_spellings_of_size() {
        let norm = json!({"size": 224, "crop_size": 224, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]});
        let a = Preprocessor::from_hf(&norm).unwrap();
        assert_eq!(a.resize, Some((ResizeRule::ShortestEdge(224), Filter::Bicubic)));
        let squash = json!({"size": {"height": 8, "width": 9}, "resample": 2, "do_center_crop": false,
            "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]});
        let b = Preprocessor::from_hf(&squash).unwrap();
        assert_eq!((b.output_size(), b.crop), (Some((8, 9)), None));
        for preprocessor in [a, b] {
            assert_eq!(Preprocessor::from_hf(&preprocessor.to_hf().unwrap()).unwrap(), preprocessor);
        }
    }

    #[test]
    fn a_class_has_its_own_defaults() {
        let siglip = Preprocessor::from_hf(&json!({"image_processor_type": "SiglipImageProcessor"})).unwrap();
        assert_eq!((siglip.output_size(), siglip.crop, siglip.mean), (Some((224, 224)), None, [0.5; 3]));
        let clip = Preprocessor::from_hf(&json!({"image_processor_type": "CLIPImageProcessorFast"})).unwrap();
        assert_eq!(clip, Preprocessor::clip(224));
    }

    #[test]
    fn impossible_sizes_and_unknown_keys_are_refused() {
        for size in [json!(0), json!(1u64 << 62), json!(u64::MAX), json!({"shortest_edge": 0})] {
            let error =
                Preprocessor::from_hf(&json!({"size": size, "crop_size": 8})).unwrap_err().to_string();
            assert!(error.contains("`size"), "{error}");
        }
        let error = |v: Value| Preprocessor::from_hf(&v).unwrap_err().to_string();
        assert!(error(json!({"size": {"shortest_edge": 8, "longest_edge": 9}})).contains("longest_edge"));
        assert!(error(json!({"twist": 1})).contains("`twist`"));
        assert!(error(json!({"image_processor_type": "BlipImageProcessor"})).contains("Blip"));
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
