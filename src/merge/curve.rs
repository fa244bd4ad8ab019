//! The path between two checkpoints, and its points: weights that are made when they are wanted.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::error::{MergeError, differences};
use super::groups::Groups;
use super::importance;
use super::path::{PathMethod, blend, blend_weighed};
use crate::base::digest::Digest;
use crate::base::file_digests::FileDigests;
use crate::checkpoint::{Cached, CheckpointError, TensorInfo, Weights, missing, of_tensor, slice_of};

/// What happens to a tensor along the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Differs between the ends and is interpolated.
    Interpolated,
    /// Differs, but the filter leaves it as it is in the pretrained checkpoint.
    Kept,
    /// Equal at both ends.
    Shared,
}

/// Which tensors take part, and how far they go, by glob patterns on their names.
#[derive(Clone, Debug, Default)]
pub struct TensorFilter {
    /// If not empty, only matching tensors take part.
    pub include: Vec<glob::Pattern>,
    /// Matching tensors do not take part.
    pub exclude: Vec<glob::Pattern>,
    /// Parts that go different lengths of the way.
    pub groups: Groups,
}

impl TensorFilter {
    fn admits(&self, name: &str) -> bool {
        let included = self.include.is_empty() || self.include.iter().any(|p| p.matches(name));
        included && !self.exclude.iter().any(|p| p.matches(name))
    }

    /// What happens to a tensor that both ends have.
    pub(super) fn fate(&self, from: &dyn Weights, to: &dyn Weights, name: &str) -> Fate {
        match (from.same(to, name), self.admits(name)) {
            (true, _) => Fate::Shared,
            (false, true) => Fate::Interpolated,
            (false, false) => Fate::Kept,
        }
    }
}

/// The two ends of a curve. Nothing is loaded before a point needs it; tensors that are equal at both ends are loaded
/// from one and held once.
pub struct Ends {
    from: Arc<Cached>,
    to: Arc<Cached>,
    fates: BTreeMap<String, Fate>,
    groups: Groups,
    /// How much the values of each end matter, where the path weighs by that.
    importance: Option<[Arc<dyn Weights>; 2]>,
}

impl Ends {
    /// Checks names and shapes of all floating-point tensors, and compares both ends. Tensors for
    /// which `skip` says so (heads, which are combined row by row) stay out.
    pub fn new(
        from: Arc<Cached>,
        to: Arc<Cached>,
        filter: &TensorFilter,
        skip: impl Fn(&str) -> bool,
    ) -> Result<Self, MergeError> {
        let problems = differences(&*from, &*to, &skip);
        if !problems.is_empty() {
            return Err(MergeError::Mismatch { from: from.label(), to: to.label(), problems });
        }
        let names: Vec<&str> = from.floats().into_iter().filter(|n| !skip(n)).collect();
        let fate = |name: &&str| ((*name).to_owned(), filter.fate(&*from, &*to, name));
        let fates = names.par_iter().map(fate).collect();
        Ok(Self { from, to, fates, groups: filter.groups.clone(), importance: None })
    }

    /// With the Fisher information of both ends, for a path that weighs by it.
    ///
    /// # Errors
    /// If a tensor that is interpolated has none.
    pub fn weighed(mut self, importance: [Arc<dyn Weights>; 2]) -> Result<Self, MergeError> {
        let interpolated = |name: &str| self.fates.get(name) == Some(&Fate::Interpolated);
        importance::check(&[&*self.from as &dyn Weights, &*self.to], &importance, interpolated)?;
        self.importance = Some(importance);
        Ok(self)
    }

    /// What happens to each tensor.
    #[must_use]
    pub const fn fates(&self) -> &BTreeMap<String, Fate> {
        &self.fates
    }

    /// The alpha of a tensor where the curve is at `alpha`.
    #[must_use]
    pub fn alpha(&self, alpha: f64, name: &str) -> f64 {
        self.groups.alpha(alpha, name)
    }

    /// Whether all tensors that `owns` names are the same at every alpha.
    pub fn shares(&self, owns: impl Fn(&str) -> bool) -> bool {
        !self.fates.iter().any(|(name, fate)| *fate == Fate::Interpolated && owns(name))
    }

    /// Number of values that are interpolated among the tensors that `owns` names: one variant's own.
    pub fn interpolated_values(&self, owns: impl Fn(&str) -> bool) -> usize {
        let own = self.fates.iter().filter(|(name, fate)| **fate == Fate::Interpolated && owns(name));
        own.filter_map(|(name, _)| self.from.info(name)).map(|i| i.shape.iter().product::<usize>()).sum()
    }

    /// The weights at `alpha`. Nothing is written to disk.
    #[must_use]
    pub fn at<'a>(&'a self, method: &'a dyn PathMethod, alpha: f64) -> Point<'a> {
        Point { ends: self, method, alpha }
    }
}

/// The weights at one point of a curve.
#[derive(Clone, Copy)]
pub struct Point<'a> {
    ends: &'a Ends,
    method: &'a dyn PathMethod,
    alpha: f64,
}

impl Weights for Point<'_> {
    fn names(&self) -> Vec<&str> {
        self.ends.fates.keys().map(String::as_str).collect()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        let shape = self.ends.fates.get(name).and_then(|_| self.ends.from.info(name))?.shape;
        Some(TensorInfo { shape, dtype: "F32".to_owned() })
    }

    fn load(&self, name: &str) -> Result<Tensor, CheckpointError> {
        match self.ends.fates.get(name) {
            None => Err(missing(self, name)),
            // Every model along the curve has the same one.
            Some(Fate::Shared | Fate::Kept) => self.ends.from.load_shared(name),
            Some(Fate::Interpolated) => {
                // Both ends are part of the curve: what is wrong with either is said, whatever alpha is.
                let (from, to) = (self.ends.from.load(name)?, self.ends.to.load(name)?);
                let alpha = self.ends.alpha(self.alpha, name);
                let merged = match (self.method.weighs(), &self.ends.importance) {
                    (true, Some([a, b])) => {
                        merge_weighed(alpha, [&from, &to], [&a.load(name)?, &b.load(name)?])
                    }
                    (true, None) => Err(candle_core::Error::Msg("no Fisher information is given".to_owned())),
                    (false, _) => merge_tensors(self.method, alpha, &from, &to),
                };
                merged.map_err(of_tensor(self, name))
            }
        }
    }

    fn digest(&self, digests: &FileDigests) -> Result<Digest, CheckpointError> {
        let ends = (self.ends.from.digest(digests)?, self.ends.to.digest(digests)?);
        let importance = self.ends.importance.iter().flatten().map(|w| w.digest(digests));
        let importance: Vec<Digest> = importance.collect::<Result<_, _>>()?;
        let of = |(name, fate): (&String, &Fate)| {
            (name.clone(), format!("{fate:?}"), self.ends.alpha(self.alpha, name))
        };
        let fates: Vec<_> = self.ends.fates.iter().map(of).collect();
        Ok(Digest::of_value(&(ends, importance, fates, self.method.name())))
    }

    fn label(&self) -> String {
        format!("{} to {} at alpha {}", self.ends.from.label(), self.ends.to.label(), self.alpha)
    }
}

/// Values that one task combines.
const STRETCH: usize = 1 << 18;

/// Combines two f32 tensors of one shape.
pub fn merge_tensors(
    method: &dyn PathMethod,
    alpha: f64,
    from: &Tensor,
    to: &Tensor,
) -> candle_core::Result<Tensor> {
    let (from, to) = (from.contiguous()?, to.contiguous()?);
    let mut out = vec![0.0f32; from.elem_count()];
    {
        let (a, b) = (from.storage_and_layout(), to.storage_and_layout());
        let (a, b) = (slice_of(&a)?, slice_of(&b)?);
        let factors = method.factors(alpha, a, b);
        let stretches = out.par_chunks_mut(STRETCH).zip(a.par_chunks(STRETCH)).zip(b.par_chunks(STRETCH));
        stretches.for_each(|((out, a), b)| blend(alpha, factors, a, b, out));
    }
    Tensor::from_vec(out, from.shape(), &Device::Cpu)
}

/// Combines two f32 tensors of one shape, weighed by how much their values matter (`fisher`).
pub fn merge_weighed(
    alpha: f64,
    ends: [&Tensor; 2],
    importance: [&Tensor; 2],
) -> candle_core::Result<Tensor> {
    let [from, to, f, g] = [ends[0], ends[1], importance[0], importance[1]].map(Tensor::contiguous);
    let all = [from?, to?, f?, g?];
    let lying = all.each_ref().map(Tensor::storage_and_layout);
    let slices = lying.iter().map(slice_of).collect::<candle_core::Result<Vec<_>>>()?;
    importance::squares(&slices[2..])?;
    let mut out = vec![0.0f32; all[0].elem_count()];
    out.par_chunks_mut(STRETCH).enumerate().for_each(|(i, out)| {
        let part = |of: usize| &slices[of][i * STRETCH..][..out.len()];
        let (ends, importance) = ([part(0), part(1)], [part(2), part(3)]);
        blend_weighed(alpha, ends, importance, out);
    });
    Tensor::from_vec(out, all[0].shape(), &Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Budget, StateDict, write_safetensors};
    use crate::merge::PATHS;
    use candle_core::DType;
    use std::path::Path;

    fn dict(dir: &Path, name: &str, tensors: &[(&str, &[f32])]) -> Arc<Cached> {
        let path = dir.join(name);
        let tensors = tensors
            .iter()
            .map(|(n, v)| ((*n).to_owned(), Tensor::from_slice(v, v.len(), &Device::Cpu).unwrap()))
            .collect();
        write_safetensors(&path, &tensors, DType::F32).unwrap();
        Cached::new(Arc::new(StateDict::open(&path).unwrap()), Budget::new(1 << 20))
    }

    #[test]
    fn shared_kept_and_interpolated() {
        let dir = tempfile::tempdir().unwrap();
        let a = dict(dir.path(), "a", &[("x", &[1.0]), ("y", &[2.0]), ("z", &[3.0])]);
        let b = dict(dir.path(), "b", &[("x", &[1.0]), ("y", &[4.0]), ("z", &[5.0])]);
        let filter = TensorFilter { exclude: vec![glob::Pattern::new("z*").unwrap()], ..Default::default() };
        let ends = Ends::new(a, b, &filter, |_| false).unwrap();
        let fates: Vec<Fate> = ends.fates().values().copied().collect();
        assert_eq!(fates, [Fate::Shared, Fate::Interpolated, Fate::Kept]);
        let merged = ends.at(PATHS.get("wise-ft").unwrap(), 0.5).load_all().unwrap();
        let values: Vec<f32> = merged.values().map(|t| t.to_vec1::<f32>().unwrap()[0]).collect();
        assert_eq!(values, [1.0, 3.0, 3.0]);
    }

    #[test]
    fn every_mismatch_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let a = dict(dir.path(), "a", &[("x", &[1.0]), ("y", &[2.0])]);
        let b = dict(dir.path(), "b", &[("x", &[1.0, 2.0]), ("w", &[4.0])]);
        let text = Ends::new(a, b, &TensorFilter::default(), |_| false).err().unwrap().to_string();
        for part in [
            "`x` is [1] in the first and [2] in the second",
            "`y` is only in the first",
            "`w` is only in the second",
        ] {
            assert!(text.contains(part), "{part} not in {text}");
        }
    }
}
