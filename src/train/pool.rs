//! Training images, decoded once, kept as 8-bit crops (and whole, where crops are drawn anew at each step).

use std::ops::Range;

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

use super::crops::RandomCrop;
use super::inputs::{OpenData, open_data};
use super::problem::Use;
use super::{Recipe, TrainError};
use crate::base::digest::Digest;
use crate::base::python_random::PythonRandom;
use crate::base::rng::CounterRng;
use crate::catalog::Catalog;
use crate::data::{ClassSubset, Dataset};
use crate::image::{MOST_PIXELS, Preprocessor, Rgb};

/// Examples decoded at a time.
const BLOCK: usize = 1024;

/// All training examples of a recipe. Memory: examples x 3 x side x side bytes.
pub struct Pool {
    preprocessor: Preprocessor,
    crops: Vec<Rgb>,
    /// The images themselves and how they are cropped anew at each step, if they are. Memory: their pixels.
    drawn: Option<(RandomCrop, CounterRng, Vec<Rgb>)>,
    /// Class of each example, an index into `classes`.
    pub labels: Vec<u32>,
    /// Class names.
    pub classes: Vec<String>,
    /// Caption templates.
    pub templates: Vec<String>,
    /// Examples of each data set, and what they are for.
    pub parts: Vec<(Range<usize>, Use)>,
    /// Digest of each data set's files.
    pub digests: Vec<Digest>,
}

impl Pool {
    /// Loads every data set of the recipe. All must share one list of class names.
    pub fn load(
        recipe: &Recipe,
        catalog: &Catalog,
        preprocessor: &Preprocessor,
    ) -> std::result::Result<Self, TrainError> {
        let mut pool: Option<Self> = None;
        for (part, purpose) in recipe.all_data() {
            let OpenData { entry, open, .. } = open_data(recipe, part, catalog)?;
            let data = open.data;
            let names = catalog.class_names(&entry, &*data)?;
            let range = recipe.classes.range(names.len());
            let pool = pool.get_or_insert_with(|| Self {
                preprocessor: preprocessor.clone(),
                crops: Vec::new(),
                drawn: recipe.crop.map(|crop| (crop, CounterRng::new(recipe.seed, "crops"), Vec::new())),
                labels: Vec::new(),
                classes: names[range.clone()].to_vec(),
                templates: Vec::new(),
                parts: Vec::new(),
                digests: Vec::new(),
            });
            if pool.classes != names[range.clone()] {
                return Err(
                    recipe.mistake(format!("`{}` has other classes than the first data set", part.dataset))
                );
            }
            if pool.templates.is_empty() {
                pool.templates = catalog.templates(&entry)?;
            }
            let labels: Vec<u32> = data.examples().iter().map(|e| e.label).collect();
            // Drawn over all classes first, as the reference does; then the classes of the recipe.
            let mut drawn = match part.shots {
                Some(shots) => {
                    let mut random = PythonRandom::new(part.shots_seed);
                    catalog.draw_shots(&entry, &part.split, &labels, shots, &mut random)?
                }
                None => (0..labels.len()).collect(),
            };
            drawn.sort_unstable();
            drawn.retain(|&i| range.contains(&(labels[i] as usize)));
            let first = pool.labels.len();
            for block in drawn.chunks(BLOCK) {
                let images = images(&entry.name, &*data, block)?;
                pool.crops.par_extend(images.par_iter().map(|image| preprocessor.crop_u8(image)));
                if let Some((.., whole)) = &mut pool.drawn {
                    whole.extend(images);
                }
                pool.labels.extend(block.iter().map(|&i| labels[i] - range.start as u32));
            }
            pool.parts.push((first..pool.labels.len(), purpose));
            pool.digests.push(open.digest);
        }
        let pool = pool.ok_or_else(|| recipe.mistake("no `[[data]]`"))?;
        if pool.labels.is_empty() {
            let what = if recipe.classes == ClassSubset::All { "" } else { " in the chosen classes" };
            return Err(recipe.mistake(format!("no training example{what}")));
        }
        Ok(pool)
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether images look different at each step.
    pub const fn is_drawn(&self) -> bool {
        self.drawn.is_some()
    }

    /// Input tensor `[examples, 3, side, side]` of some examples, as they are evaluated.
    pub fn batch(&self, examples: &[usize]) -> Result<Tensor> {
        self.tensor(examples, |i, values| self.preprocessor.normalise_into(&self.crops[i], values))
    }

    /// Input tensor `[examples, 3, side, side]` of some examples as they are learned from at a step; what is only watched is
    /// seen as it is evaluated.
    pub fn batch_at(&self, step: usize, examples: &[usize]) -> Result<Tensor> {
        let Some((crop, rng, whole)) = &self.drawn else { return self.batch(examples) };
        let held = |i: usize| self.parts.iter().any(|(range, of)| *of == Use::Held && range.contains(&i));
        self.tensor(examples, |i, values| {
            if held(i) {
                return self.preprocessor.normalise_into(&self.crops[i], values);
            }
            let mut own = rng.stream(step as u64).stream(i as u64);
            self.preprocessor.normalise_into(&crop.of(&whole[i], &self.preprocessor, &mut own), values);
        })
    }

    fn tensor(&self, examples: &[usize], add: impl Fn(usize, &mut Vec<f32>)) -> Result<Tensor> {
        let (height, width) = (self.crops[0].height, self.crops[0].width);
        let mut values = Vec::with_capacity(examples.len() * 3 * height * width);
        examples.iter().for_each(|&i| add(i, &mut values));
        Tensor::from_vec(values, (examples.len(), 3, height, width), &Device::Cpu)
    }

    /// Examples of each class.
    pub fn by_class(&self) -> Vec<Vec<usize>> {
        let mut all = vec![Vec::new(); self.classes.len()];
        for (i, &label) in self.labels.iter().enumerate() {
            all[label as usize].push(i);
        }
        all
    }
}

/// The images of some examples, ascending.
fn images(dataset: &str, data: &dyn Dataset, block: &[usize]) -> std::result::Result<Vec<Rgb>, TrainError> {
    let (first, last) = (block[0], block[block.len() - 1]);
    let raw = data.images(first..last + 1)?;
    let decode = |&i: &usize| {
        let image = raw[i - first].clone().decode(MOST_PIXELS);
        image.map_err(|e| TrainError::Image {
            dataset: dataset.to_owned(),
            id: data.examples()[i].id.clone(),
            reason: e.to_string(),
        })
    };
    block.par_iter().map(decode).collect()
}
