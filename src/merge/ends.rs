//! Two resident checkpoints and what lies between them.

use std::collections::BTreeMap;

use candle_core::{Device, Storage, Tensor};
use rayon::prelude::*;

use super::MergeMethod;
use crate::checkpoint::{CheckpointError, StateDict, Tensors};

/// Why two checkpoints cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A tensor cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Shapes or names differ; every difference is listed.
    #[error("`{from}` and `{to}` cannot be merged: {}", list(problems))]
    Mismatch {
        /// The pretrained checkpoint.
        from: String,
        /// The fine-tuned checkpoint.
        to: String,
        /// Each difference in words.
        problems: Vec<String>,
    },
    /// The arithmetic failed.
    #[error("cannot merge `{name}`: {source}")]
    Compute {
        /// The tensor.
        name: String,
        /// What candle said.
        source: candle_core::Error,
    },
}

fn list(problems: &[String]) -> String {
    let shown: Vec<&str> = problems.iter().take(5).map(String::as_str).collect();
    let more = problems.len().saturating_sub(shown.len());
    let tail = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{tail}", shown.join("; "))
}

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

/// Which tensors take part, by glob patterns on their names.
#[derive(Clone, Debug, Default)]
pub struct TensorFilter {
    /// If not empty, only matching tensors take part.
    pub include: Vec<glob::Pattern>,
    /// Matching tensors do not take part.
    pub exclude: Vec<glob::Pattern>,
}

impl TensorFilter {
    fn admits(&self, name: &str) -> bool {
        let included = self.include.is_empty() || self.include.iter().any(|p| p.matches(name));
        included && !self.exclude.iter().any(|p| p.matches(name))
    }

    /// What happens to a tensor that both ends have.
    pub(super) fn fate(&self, from: &StateDict, to: &StateDict, name: &str) -> Fate {
        match (from.same_tensor(to, name), self.admits(name)) {
            (true, _) => Fate::Shared,
            (false, true) => Fate::Interpolated,
            (false, false) => Fate::Kept,
        }
    }
}

/// The two ends of a curve, in memory; tensors that are equal are held once.
pub struct Ends {
    from: Tensors,
    to: Tensors,
    fates: BTreeMap<String, Fate>,
}

impl Ends {
    /// Checks names and shapes of all floating-point tensors, then loads both ends. Tensors for
    /// which `skip` says so (a classifier that only one end has) stay out.
    pub fn load(
        from: &StateDict,
        to: &StateDict,
        filter: &TensorFilter,
        skip: impl Fn(&str) -> bool,
    ) -> Result<Self, MergeError> {
        let problems = differences(from, to, &skip);
        if !problems.is_empty() {
            let name = |d: &StateDict| d.path.display().to_string();
            return Err(MergeError::Mismatch { from: name(from), to: name(to), problems });
        }
        let mut this = Self { from: Tensors::new(), to: Tensors::new(), fates: BTreeMap::new() };
        for (name, info) in from.entries() {
            if !info.is_float() || skip(name) {
                continue;
            }
            let fate = filter.fate(from, to, name);
            this.from.insert(name.clone(), from.load(name)?);
            if fate == Fate::Interpolated {
                this.to.insert(name.clone(), to.load(name)?);
            }
            this.fates.insert(name.clone(), fate);
        }
        Ok(this)
    }

    /// What happens to each tensor.
    #[must_use]
    pub const fn fates(&self) -> &BTreeMap<String, Fate> {
        &self.fates
    }

    /// Whether all tensors that `owns` names are the same at every alpha.
    pub fn shares(&self, owns: impl Fn(&str) -> bool) -> bool {
        !self.to.keys().any(|name| owns(name))
    }

    /// Number of values that are interpolated: one variant's own.
    #[must_use]
    pub fn interpolated_values(&self) -> usize {
        self.to.values().map(Tensor::elem_count).sum()
    }

    /// The tensors at `alpha`. Shared tensors are not copied; nothing is written to disk.
    pub fn at(&self, method: &dyn MergeMethod, alpha: f64) -> Result<Tensors, MergeError> {
        let mut all = self.from.clone();
        let merged: Vec<(String, Tensor)> = self
            .to
            .par_iter()
            .map(|(name, to)| {
                let tensor = merge_tensors(method, alpha, &self.from[name], to);
                let wrap = |source| MergeError::Compute { name: name.clone(), source };
                Ok((name.clone(), tensor.map_err(wrap)?))
            })
            .collect::<Result<_, MergeError>>()?;
        all.extend(merged);
        Ok(all)
    }
}

/// Combines two f32 tensors of one shape.
pub(crate) fn merge_tensors(
    method: &dyn MergeMethod,
    alpha: f64,
    from: &Tensor,
    to: &Tensor,
) -> candle_core::Result<Tensor> {
    let (from, to) = (from.contiguous()?, to.contiguous()?);
    let mut out = vec![0.0f32; from.elem_count()];
    {
        let (a, b) = (from.storage_and_layout(), to.storage_and_layout());
        let n = out.len();
        let (Storage::Cpu(x), Storage::Cpu(y)) = (&*a.0, &*b.0) else {
            candle_core::bail!("the ends of a merge live on the CPU");
        };
        let a = &x.as_slice::<f32>()?[a.1.start_offset()..][..n];
        let b = &y.as_slice::<f32>()?[b.1.start_offset()..][..n];
        method.merge(alpha, a, b, &mut out);
    }
    Tensor::from_vec(out, from.shape(), &Device::Cpu)
}

pub(super) fn differences(from: &StateDict, to: &StateDict, skip: &impl Fn(&str) -> bool) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, info) in from.entries().iter().filter(|(n, i)| i.is_float() && !skip(n)) {
        match to.entries().get(name) {
            None => problems.push(format!("`{name}` is only in the first")),
            Some(other) if other.shape != info.shape => {
                problems.push(format!(
                    "`{name}` is {:?} in the first and {:?} in the second",
                    info.shape, other.shape
                ));
            }
            Some(_) => {}
        }
    }
    let extra = to.entries().iter().filter(|(n, i)| i.is_float() && !skip(n) && !from.contains(n));
    problems.extend(extra.map(|(name, _)| format!("`{name}` is only in the second")));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::write_safetensors;
    use crate::merge::MERGES;
    use candle_core::DType;
    use std::path::Path;

    fn dict(dir: &Path, name: &str, tensors: &[(&str, &[f32])]) -> StateDict {
        let path = dir.join(name);
        let tensors = tensors
            .iter()
            .map(|(n, v)| ((*n).to_owned(), Tensor::from_slice(v, v.len(), &Device::Cpu).unwrap()))
            .collect();
        write_safetensors(&path, &tensors, DType::F32).unwrap();
        StateDict::open(&path).unwrap()
    }

    #[test]
    fn shared_kept_and_interpolated() {
        let dir = tempfile::tempdir().unwrap();
        let a = dict(dir.path(), "a", &[("x", &[1.0]), ("y", &[2.0]), ("z", &[3.0])]);
        let b = dict(dir.path(), "b", &[("x", &[1.0]), ("y", &[4.0]), ("z", &[5.0])]);
        let filter = TensorFilter { exclude: vec![glob::Pattern::new("z*").unwrap()], ..Default::default() };
        let ends = Ends::load(&a, &b, &filter, |_| false).unwrap();
        let fates: Vec<Fate> = ends.fates().values().copied().collect();
        assert_eq!(fates, [Fate::Shared, Fate::Interpolated, Fate::Kept]);
        let merged = ends.at(MERGES.get("wise-ft").unwrap(), 0.5).unwrap();
        let values: Vec<f32> = merged.values().map(|t| t.to_vec1::<f32>().unwrap()[0]).collect();
        assert_eq!(values, [1.0, 3.0, 3.0]);
    }

    #[test]
    fn every_mismatch_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let a = dict(dir.path(), "a", &[("x", &[1.0]), ("y", &[2.0])]);
        let b = dict(dir.path(), "b", &[("x", &[1.0, 2.0]), ("w", &[4.0])]);
        let text = Ends::load(&a, &b, &TensorFilter::default(), |_| false).err().unwrap().to_string();
        for part in [
            "`x` is [1] in the first and [2] in the second",
            "`y` is only in the first",
            "`w` is only in the second",
        ] {
            assert!(text.contains(part), "{part} not in {text}");
        }
    }
}
