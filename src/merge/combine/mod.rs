//! Combinations of many checkpoints into one. To add one, write a file with a `Combine` and list it here.

mod fisher;
mod kept;
mod layer;
mod linear;
mod model_stock;
mod model_tailor;
mod regmean;
mod settings;
mod task_arithmetic;

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
pub use settings::{CombineSettings, Compensate, Each, Rescale};

use super::beside::{Beside, check_grams};
use super::error::{MergeError, differences};
use super::importance;
use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;
use crate::base::registry::{Named, Registry};
use crate::checkpoint::{
    CheckpointError, InputAxis, TensorInfo, Weights, mapped, missing, of_tensor, slice_of,
};

/// A way to combine checkpoints.
pub trait Combine: Named + Sync {
    /// Whether it works on differences to a `base`.
    fn needs_base(&self) -> bool;

    /// What it reads beside each checkpoint.
    fn reads(&self) -> Option<Beside> {
        None
    }

    /// Whether what is combined is decided on a selection probe.
    fn selects(&self) -> bool {
        false
    }

    /// Which settings it reads; the others are mistakes.
    fn keys(&self) -> &'static [&'static str];

    /// The rule by which tensors are combined, with its settings.
    ///
    /// # Errors
    /// In words, if the settings mean nothing.
    fn rule(&self, settings: &CombineSettings, count: usize) -> Result<Box<dyn TensorRule>, String>;
}

/// One tensor of all checkpoints.
pub struct TensorView<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its shape.
    pub shape: &'a [usize],
    /// The base's values, if there is a base.
    pub base: Option<&'a [f32]>,
    /// The values of each checkpoint.
    pub of: Vec<&'a [f32]>,
    /// What lies beside each for this tensor, if that is asked for and is there.
    pub beside: Vec<&'a [f32]>,
    /// Along which axis the inputs of its layer lie, where products of inputs lie beside.
    pub inputs: InputAxis,
}

/// How a tensor is combined.
pub trait TensorRule: Send + Sync {
    /// Looks at a whole tensor once (thresholds, norms), and says how its stretches are made.
    ///
    /// # Errors
    /// If what lies beside the checkpoints cannot be what it should be.
    fn look<'a>(&'a self, tensor: &'a TensorView<'a>) -> candle_core::Result<Box<dyn Stretches + 'a>>;
}

/// How the stretches of one tensor are made; none of it is copied.
pub trait Stretches: Send + Sync {
    /// Fills `out` with the values from `first` on.
    fn fill(&self, first: usize, out: &mut [f32]);
}

/// All combinations.
pub static COMBINES: Registry<dyn Combine> = Registry {
    kind: "combination",
    items: &[
        &task_arithmetic::BREADCRUMBS,
        &task_arithmetic::BREADCRUMBS_TIES,
        &task_arithmetic::DARE,
        &task_arithmetic::DARE_TIES,
        &task_arithmetic::DELLA,
        &task_arithmetic::DELLA_LINEAR,
        &fisher::FisherMean,
        &linear::GreedySoup,
        &linear::Linear,
        &model_stock::ModelStock,
        &model_tailor::ModelTailor,
        &regmean::RegMean,
        &task_arithmetic::TASK_ARITHMETIC,
        &task_arithmetic::TIES,
        &linear::UniformSoup,
    ],
};

/// Values that one task combines.
const STRETCH: usize = 1 << 16;

/// One weight a checkpoint.
fn weights_of(settings: &CombineSettings, count: usize) -> Result<Vec<f64>, String> {
    match &settings.weights {
        None => Ok(vec![1.0; count]),
        Some(all) if all.len() == count => Ok(all.clone()),
        Some(all) => Err(format!("{} weights for {count} checkpoints", all.len())),
    }
}

/// One density a checkpoint.
fn densities_of(settings: &CombineSettings, count: usize) -> Result<Vec<f64>, String> {
    match &settings.density {
        None => Ok(vec![1.0; count]),
        Some(Each::All(one)) => Ok(vec![*one; count]),
        Some(Each::List(all)) if all.len() == count => Ok(all.clone()),
        Some(Each::List(all)) => Err(format!("{} densities for {count} checkpoints", all.len())),
    }
}

/// What a combination is made of.
#[derive(Default)]
pub struct Ingredients {
    /// What differences are taken to, if there is one.
    pub base: Option<Arc<dyn Weights>>,
    /// The checkpoints.
    pub of: Vec<Arc<dyn Weights>>,
    /// What lies beside each, if the method reads that.
    pub beside: Vec<Arc<dyn Weights>>,
    /// Tensors that the base lacks: they are not among the combined weights, and [`Combination::of_values`] combines them with what
    /// stands for them.
    pub apart: Vec<String>,
}

impl Ingredients {
    fn is_apart(&self, name: &str) -> bool {
        self.apart.iter().any(|a| a == name)
    }
}

/// Weights combined from many, tensor by tensor, when they are wanted.
pub struct Combination {
    method: &'static dyn Combine,
    ingredients: Ingredients,
    rule: Box<dyn TensorRule>,
    settings: CombineSettings,
}

impl Combination {
    /// Checks that all have the same tensors, and lets the method look at them.
    ///
    /// # Errors
    /// If names or shapes differ, or there is nothing to combine, or the method weighs by what is not given.
    pub fn new(
        method: &'static dyn Combine,
        settings: &CombineSettings,
        base: Option<Arc<dyn Weights>>,
        of: Vec<Arc<dyn Weights>>,
    ) -> Result<Self, MergeError> {
        Self::reading(method, settings, Ingredients { base, of, ..Ingredients::default() })
    }

    /// As [`Combination::new`], with what lies beside each checkpoint for a method that reads it.
    ///
    /// # Errors
    /// As there, and if it does not fit: Fisher information for a tensor that is not the same in all of them, products of
    /// inputs for matrices of that width.
    pub fn reading(
        method: &'static dyn Combine,
        settings: &CombineSettings,
        ingredients: Ingredients,
    ) -> Result<Self, MergeError> {
        let Ingredients { base, of, beside, .. } = &ingredients;
        let wrong = |problem: String| MergeError::Settings { method: method.name().to_owned(), problem };
        let first = of.first().ok_or_else(|| wrong("nothing is combined".to_owned()))?;
        if method.needs_base() && base.is_none() {
            return Err(wrong("it combines differences to a `base`, which is not named".to_owned()));
        }
        let below = base.iter().map(|base| (base, true));
        for (other, is_base) in of[1..].iter().map(|w| (w, false)).chain(below) {
            let problems = differences(&**first, &**other, |name| is_base && ingredients.is_apart(name));
            if !problems.is_empty() {
                return Err(MergeError::Mismatch { from: first.label(), to: other.label(), problems });
            }
        }
        if let Some(kind) = method.reads() {
            if beside.len() != of.len() {
                let (what, key) = (kind.words(), kind.written_by());
                return Err(wrong(format!(
                    "it reads {what}, which not all of its checkpoints have: write them with `{key}` in their recipes"
                )));
            }
            let weights: Vec<&dyn Weights> = of.iter().map(|w| &**w).collect();
            match kind {
                Beside::Fisher => importance::check(&weights, beside, |_| true)?,
                Beside::Gram => check_grams(&**first, beside)?,
            }
        }
        let rule = method.rule(settings, of.len()).map_err(wrong)?;
        Ok(Self { method, ingredients, rule, settings: settings.clone() })
    }
}

/// One tensor of one checkpoint.
enum Source<'a> {
    /// Where it lies in a mapped file.
    Mapped(&'a [f32]),
    /// Read, as contiguous f32.
    Read(Tensor),
}

impl<'a> Source<'a> {
    fn of(weights: &'a dyn Weights, name: &str) -> Result<Self, CheckpointError> {
        if let Some(values) = mapped(weights, name) {
            return Ok(Self::Mapped(values));
        }
        let tensor = weights.load(name)?.to_dtype(DType::F32).and_then(|t| t.contiguous());
        tensor.map(Self::Read).map_err(of_tensor(weights, name))
    }
}

impl Combination {
    /// What the method reads beside the checkpoints for a tensor, under which name, if there is any.
    fn beside(&self, name: &str) -> Option<(String, InputAxis)> {
        let first = self.ingredients.beside.first()?;
        let names = [InputAxis::Last, InputAxis::First].map(|axis| (axis.gram_name(name), axis));
        names.into_iter().find(|(name, _)| first.contains(name))
    }

    /// Values that stand for some of a tensor's rows, in each checkpoint and in the base, combined by the method's rule.
    ///
    /// # Errors
    /// If they are of other shapes, or what lies beside the checkpoints cannot be read.
    pub fn of_values(&self, name: &str, of: &[Tensor], base: &Tensor) -> Result<Tensor, CheckpointError> {
        let (beside, inputs) = self.sources_beside(name)?;
        let contiguous = |t: &Tensor| t.to_dtype(DType::F32).and_then(|t| t.contiguous()).map(Source::Read);
        let values = || {
            let of = of.iter().map(contiguous).collect::<candle_core::Result<Vec<_>>>()?;
            let sources: Vec<Source<'_>> = of.into_iter().chain(beside).chain([contiguous(base)?]).collect();
            self.combined((name, base.dims()), inputs, &sources)
        };
        values().map_err(of_tensor(self, name))
    }

    /// What the method reads beside the checkpoints for a tensor, and along which axis its inputs lie.
    fn sources_beside(&self, name: &str) -> Result<(Vec<Source<'_>>, InputAxis), CheckpointError> {
        let Some((name, inputs)) = self.beside(name) else { return Ok((Vec::new(), InputAxis::Last)) };
        let sources =
            self.ingredients.beside.iter().map(|w| Source::of(&**w, &name)).collect::<Result<_, _>>()?;
        Ok((sources, inputs))
    }

    /// One tensor of the checkpoints, then what lies beside each, the base last; values are read where they lie.
    fn combined(
        &self,
        (name, shape): (&str, &[usize]),
        inputs: InputAxis,
        sources: &[Source<'_>],
    ) -> candle_core::Result<Tensor> {
        let lying = |source| match source {
            &Source::Mapped(values) => (Some(values), None),
            Source::Read(tensor) => (None, Some(tensor.storage_and_layout())),
        };
        let lying: Vec<_> = sources.iter().map(lying).collect();
        let slices = lying.iter().filter_map(|(mapped, read)| match (mapped, read) {
            (Some(values), _) => Some(Ok(*values)),
            (None, read) => read.as_ref().map(slice_of),
        });
        let mut slices = slices.collect::<candle_core::Result<Vec<&[f32]>>>()?;
        let base = if self.ingredients.base.is_some() { slices.pop() } else { None };
        let beside = slices.split_off(self.ingredients.of.len());
        if self.method.reads() == Some(Beside::Fisher) {
            importance::squares(&beside)?;
        }
        let view = TensorView { name, shape, base, of: slices, beside, inputs };
        let mut out = vec![0.0f32; shape.iter().product()];
        let made = self.rule.look(&view)?;
        out.par_chunks_mut(STRETCH).enumerate().for_each(|(i, out)| made.fill(i * STRETCH, out));
        Tensor::from_vec(out, shape, &Device::Cpu)
    }
}

impl Weights for Combination {
    fn names(&self) -> Vec<&str> {
        let mut all = self.ingredients.of[0].names();
        all.retain(|name| !self.ingredients.is_apart(name));
        all
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        let info = self.ingredients.of[0].info(name).filter(|_| !self.ingredients.is_apart(name))?;
        let dtype = if info.is_float() { "F32".to_owned() } else { info.dtype };
        Some(TensorInfo { shape: info.shape, dtype })
    }

    fn load(&self, name: &str) -> Result<Tensor, CheckpointError> {
        let info = self.info(name).ok_or_else(|| missing(self, name))?;
        if !info.is_float() {
            return self.ingredients.of[0].load(name);
        }
        let (beside, inputs) = self.sources_beside(name)?;
        let mut sources: Vec<Source<'_>> =
            self.ingredients.of.iter().map(|w| Source::of(&**w, name)).collect::<Result<_, _>>()?;
        sources.extend(beside);
        sources.extend(self.ingredients.base.as_ref().map(|w| Source::of(&**w, name)).transpose()?);
        self.combined((name, &info.shape), inputs, &sources).map_err(of_tensor(self, name))
    }

    fn digest(&self, digests: &FileDigests) -> Result<Digest, CheckpointError> {
        let Ingredients { base, of, beside, .. } = &self.ingredients;
        let base = base.as_ref().map(|b| b.digest(digests)).transpose()?;
        let of: Vec<Digest> = of.iter().map(|w| w.digest(digests)).collect::<Result<_, _>>()?;
        let beside: Vec<Digest> = beside.iter().map(|w| w.digest(digests)).collect::<Result<_, _>>()?;
        Ok(Digest::of_value(&(self.method.name(), &self.settings, base, of, beside)))
    }

    fn label(&self) -> String {
        let of: Vec<String> = self.ingredients.of.iter().map(|w| w.label()).collect();
        format!("{} of {}", self.method.name(), of.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Tensors;

    fn weights(values: &[f32]) -> Arc<dyn Weights> {
        let tensor = Tensor::from_slice(values, values.len(), &Device::Cpu).unwrap();
        Arc::new(Tensors::from([("w".to_owned(), tensor)]))
    }

    fn combined(method: &str, settings: &CombineSettings, base: Option<&[f32]>, of: &[&[f32]]) -> Vec<f32> {
        let method = COMBINES.get(method).unwrap();
        let of = of.iter().map(|v| weights(v)).collect();
        let all = Combination::new(method, settings, base.map(weights), of).unwrap();
        all.load("w").unwrap().to_vec1::<f32>().unwrap()
    }

    #[test]
    fn many_of_one_are_that_one() {
        let values: Vec<f32> = (0..STRETCH + 7).map(|i| (i as f32).sin()).collect();
        for method in COMBINES.items.iter().filter(|m| !m.needs_base() && m.reads().is_none()) {
            let found = combined(method.name(), &CombineSettings::default(), None, &[&values[..]; 3]);
            assert_eq!(found, values, "{}", method.name());
        }
    }

    #[test]
    fn of_the_base_alone_nothing_is_made_but_the_base() {
        let values: Vec<f32> = (0..300).map(|i| (i as f32).sin()).collect();
        for method in COMBINES.items.iter().filter(|m| m.needs_base() && m.reads().is_none()) {
            let found =
                combined(method.name(), &CombineSettings::default(), Some(&values), &[&values[..]; 2]);
            assert_eq!(found, values, "{}", method.name());
        }
    }

    #[test]
    fn lambda_zero_is_the_base_and_one_of_one_is_that_one() {
        let base: Vec<f32> = (0..300).map(|i| (i as f32).sin()).collect();
        let tuned: Vec<f32> = (0..300).map(|i| (i as f32 * 1.7).cos()).collect();
        for name in ["task-arithmetic", "ties", "breadcrumbs", "dare-linear", "dare-ties"] {
            let whole = CombineSettings { density: Some(Each::All(1.0)), ..Default::default() };
            let whole = if name == "task-arithmetic" { CombineSettings::default() } else { whole };
            let found = combined(name, &whole, Some(&base), &[&tuned[..]]);
            assert!(found.iter().zip(&tuned).all(|(a, b)| (a - b).abs() < 1e-6), "{name}");
            let none = CombineSettings { lambda: Some(0.0), ..whole };
            assert_eq!(combined(name, &none, Some(&base), &[&tuned[..]]), base, "{name}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let method = COMBINES.get("uniform-soup").unwrap();
        let new = |of| Combination::new(method, &CombineSettings::default(), None, of);
        let error = new(vec![weights(&[1.0]), weights(&[1.0, 2.0])]).err().unwrap();
        assert!(error.to_string().contains("`w` is [1] in the first and [2] in the second"), "{error}");
        assert!(new(Vec::new()).is_err());
        let ties = COMBINES.get("ties").unwrap();
        let error =
            Combination::new(ties, &CombineSettings::default(), None, vec![weights(&[1.0])]).err().unwrap();
        assert!(error.to_string().contains("differences to a `base`"), "{error}");
        let two = CombineSettings { weights: Some(vec![1.0]), ..Default::default() };
        let error =
            Combination::new(ties, &two, Some(weights(&[1.0])), vec![weights(&[1.0]); 2]).err().unwrap();
        assert!(error.to_string().contains("1 weights for 2 checkpoints"), "{error}");
    }
}
