//! Checkpoints that hold a part of the weights, on top of the one that holds the rest: a LoRA adapter, an
//! image encoder with a head, a head alone, learned context.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;

use super::error::CheckpointError;
use super::lora::{LowRank, Piece, piece};
use super::state_dict::{Below, Entry, StateDict};
use super::weights::Weights;

/// The factors of one module as they are found.
#[derive(Default)]
struct Factors {
    a: Option<String>,
    b: Option<String>,
    bias: Option<String>,
    embedding: bool,
}

/// An adapter's tensors by module, and all of them by the names under which they lie over the base.
type Sorted = (BTreeMap<String, Factors>, BTreeMap<String, Entry>);

fn sort_pieces(
    sources: BTreeMap<String, Entry>,
    placed: impl Fn(&str, &str) -> String,
) -> Result<Sorted, String> {
    let mut factors: BTreeMap<String, Factors> = BTreeMap::new();
    let mut whole = BTreeMap::new();
    for (stored, entry) in sources {
        let slot = match piece(&stored) {
            Some(Piece::Factor(module, is_a, embedding)) => {
                let slot = factors.entry(module.to_owned()).or_default();
                slot.embedding = embedding;
                if is_a { &mut slot.a } else { &mut slot.b }
            }
            Some(Piece::Bias(module)) => &mut factors.entry(module.to_owned()).or_default().bias,
            Some(Piece::Whole(name)) => {
                whole.insert(placed(&name, ""), entry);
                continue;
            }
            None => return Err(format!("tensor `{stored}` is not understood")),
        };
        *slot = Some(stored.clone());
        whole.insert(stored, entry);
    }
    Ok((factors, whole))
}

/// How many values the update by factors of shapes `a` and `b` has, if it does not fit the tensor.
fn misfit(a: &[usize], b: &[usize], tensor: &[usize]) -> Option<usize> {
    let first = |shape: &[usize]| shape.first().copied().unwrap_or(0);
    let rest = |shape: &[usize]| shape.iter().skip(1).product::<usize>();
    let update = first(b) * rest(a);
    (first(a) != rest(b) || update != tensor.iter().product::<usize>()).then_some(update)
}

impl StateDict {
    /// Whether this is a LoRA adapter.
    #[must_use]
    pub const fn is_adapter(&self) -> bool {
        self.adapter.is_some()
    }

    /// Names that this checkpoint itself holds or changes; the rest comes from the one below.
    #[must_use]
    pub fn own(&self) -> Vec<&str> {
        let updated = self.below.iter().flat_map(|b| b.updates.keys().chain(b.shifts.keys()));
        let whole = self.sources.iter().filter(|(_, e)| !e.is_factor()).map(|(name, _)| name);
        whole.chain(updated).map(String::as_str).collect()
    }

    /// This checkpoint on top of another that gives every tensor it does not have.
    pub fn over(mut self, base: Arc<dyn Weights>) -> Result<Self, CheckpointError> {
        let (mut updates, mut shifts) = (BTreeMap::new(), BTreeMap::new());
        if self.adapter.is_some() {
            (updates, shifts) = self.take_adapter(&*base)?;
        }
        let info = |name: &str| Some((name.to_owned(), base.info(name)?));
        self.entries = base.names().into_iter().filter_map(info).collect();
        let own = self.sources.iter().filter(|(_, e)| !e.is_factor());
        self.entries.extend(own.map(|(name, e)| (name.clone(), e.info.clone())));
        self.below = Some(Below { base, updates, shifts });
        Ok(self)
    }

    /// Sorts an adapter's tensors into low-rank updates and shifts of biases, which are returned, and whole tensors.
    #[expect(clippy::type_complexity, reason = "the two halves of what lies below")]
    fn take_adapter(
        &mut self,
        base: &dyn Weights,
    ) -> Result<(BTreeMap<String, LowRank>, BTreeMap<String, (String, f64)>), CheckpointError> {
        let Some(config) = &self.adapter else { return Ok(Default::default()) };
        let path = self.path.clone();
        let bad = |reason: String| CheckpointError::Adapter { path: path.clone(), reason };
        // A tower's own adapter leaves out the tower's name.
        let placed = |name: &str, ending: &str| match config.tower() {
            Some(tower) if !base.contains(&format!("{name}{ending}")) => format!("{tower}{name}"),
            _ => name.to_owned(),
        };
        let (factors, whole) = sort_pieces(std::mem::take(&mut self.sources), placed).map_err(bad)?;
        let (mut updates, mut shifts) = (BTreeMap::new(), BTreeMap::new());
        let missing = |name: &str| format!("adapts `{name}`, which `{}` does not have", base.label());
        for (stored, found) in factors {
            let module = placed(&stored, ".weight");
            let name = format!("{module}.weight");
            if !base.contains(&name) {
                return Err(bad(missing(&name)));
            }
            let (Some(a), Some(b)) = (found.a, found.b) else {
                return Err(bad(format!("`{module}` has only one of its two factors")));
            };
            // Patterns see the name as it was when it was trained.
            let scale = config.scale(&stored);
            if let Some(bias) = found.bias {
                let target = format!("{module}.bias");
                if base.info(&target).map(|i| i.shape).as_ref() != whole.get(&bias).map(|e| &e.info.shape) {
                    return Err(bad(missing(&target)));
                }
                shifts.insert(target, (bias, scale));
            }
            let transposed = found.embedding || config.transposed();
            let shape = |stored: &str| whole.get(stored).map(|e| e.info.shape.clone()).unwrap_or_default();
            let tensor = base.info(&name).map(|i| i.shape).unwrap_or_default();
            if let Some(update) = misfit(&shape(&a), &shape(&b), &tensor) {
                let reason = format!(
                    "its update of `{name}` has {update} values, the tensor is {:?} in `{}`: is this the \
                     checkpoint that it was trained on?",
                    tensor,
                    base.label()
                );
                return Err(bad(reason));
            }
            updates.insert(name, LowRank { a, b, scale, transposed });
        }
        if let Some(name) = whole.keys().find(|n| !n.contains(".lora_") && !base.contains(n)) {
            return Err(bad(format!("holds `{name}`, which `{}` does not have", base.label())));
        }
        self.sources = whole;
        Ok((updates, shifts))
    }

    /// What lies below, if it stores a tensor and this checkpoint does not change it.
    pub(super) fn elsewhere(&self, name: &str) -> Option<&dyn Weights> {
        let below = self.below.as_ref()?;
        (!self.sources.contains_key(name) && !self.is_adapted(name)).then_some(&*below.base)
    }

    /// Whether a low-rank update or a shift changes the tensor.
    pub(super) fn is_adapted(&self, name: &str) -> bool {
        self.below.as_ref().is_some_and(|b| b.updates.contains_key(name) || b.shifts.contains_key(name))
    }

    /// The base's tensor plus its low-rank update.
    pub(super) fn adapted(&self, name: &str) -> Result<Tensor, CheckpointError> {
        let missing = || CheckpointError::MissingTensor {
            path: self.path.clone(),
            name: name.to_owned(),
            hint: String::new(),
        };
        let below = self.below.as_ref().ok_or_else(missing)?;
        if let Some((stored, scale)) = below.shifts.get(name) {
            // A bias that was trained as well is stored whole, and shifted all the same.
            let base =
                if self.sources.contains_key(name) { self.plain(name)? } else { below.base.load(name)? };
            let shift = self.plain(stored)?;
            return (base + (shift * *scale).map_err(|e| self.fail(name, e))?)
                .map_err(|e| self.fail(name, e));
        }
        let update = below.updates.get(name).ok_or_else(missing)?;
        let base = below.base.load(name)?;
        let (a, b) = (self.plain(&update.a)?, self.plain(&update.b)?);
        let compute = || -> candle_core::Result<Tensor> {
            // Convolutions: the factors' other axes belong to the input side.
            let product = b.flatten_from(1)?.matmul(&a.flatten_from(1)?)?;
            let product = if update.transposed { product.t()?.contiguous()? } else { product };
            base.clone() + (product.reshape(base.shape())? * update.scale)?
        };
        compute().map_err(|e| self.fail(name, e))
    }
}

impl Entry {
    /// Whether this is a factor of a low-rank update, which no model asks for.
    pub(super) fn is_factor(&self) -> bool {
        self.stored.contains(".lora_")
    }
}
