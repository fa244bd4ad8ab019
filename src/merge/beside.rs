//! What merges ask of a checkpoint besides its weights: a file that `specbench tune` writes beside them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::MergeError;
use crate::checkpoint::{FISHER_FILE, GRAM_FILE, InputAxis, StateDict, Weights};

/// A file of statistics beside a checkpoint's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Beside {
    /// The diagonal of its Fisher information: how much each value matters.
    Fisher,
    /// Products of the inputs of its linear layers.
    Gram,
}

impl Beside {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Fisher, Self::Gram];

    /// Name of the file.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Fisher => FISHER_FILE,
            Self::Gram => GRAM_FILE,
        }
    }

    /// The key of a recipe that writes it.
    #[must_use]
    pub const fn written_by(self) -> &'static str {
        match self {
            Self::Fisher => "save_fisher",
            Self::Gram => "save_gram",
        }
    }

    /// What messages call it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Fisher => "Fisher information",
            Self::Gram => "products of inputs",
        }
    }

    /// Opens the file that is named, or the one in the folder that is.
    ///
    /// # Errors
    /// If it is not there, or damaged.
    pub fn open(self, path: &Path) -> Result<Arc<dyn Weights>, MergeError> {
        let file: PathBuf = if path.is_dir() { path.join(self.file()) } else { path.to_owned() };
        Ok(Arc::new(StateDict::open(&file)?))
    }
}

/// Whether products of inputs fit weights: each is square, and as wide as an axis of a matrix among them; all checkpoints have
/// the same.
///
/// # Errors
/// With the first for which that does not hold.
pub(super) fn check_grams(weights: &dyn Weights, grams: &[Arc<dyn Weights>]) -> Result<(), MergeError> {
    let Some((first, others)) = grams.split_first() else { return Ok(()) };
    let wrong = |of: &dyn Weights, what: String| MergeError::Beside {
        label: of.label(),
        what,
        by: Beside::Gram.written_by(),
    };
    if first.names().is_empty() {
        return Err(wrong(&**first, "holds nothing".to_owned()));
    }
    for other in others {
        if let Some(name) = first.names().into_iter().find(|n| !other.contains(n)) {
            return Err(wrong(&**other, format!("has nothing for `{name}`, which `{}` has", first.label())));
        }
    }
    for gram in grams {
        for name in gram.names() {
            if !first.contains(name) {
                return Err(wrong(
                    &**first,
                    format!("has nothing for `{name}`, which `{}` has", gram.label()),
                ));
            }
            let of = |axis: InputAxis| {
                let found = weights.names().into_iter().find(|w| axis.gram_name(w) == name)?;
                let shape = weights.info(found)?.shape;
                let [rows, columns] = shape[..] else { return None };
                Some(if axis == InputAxis::Last { columns } else { rows })
            };
            let width = of(InputAxis::Last).or_else(|| of(InputAxis::First));
            let shape = gram.info(name).map(|i| i.shape).unwrap_or_default();
            match width {
                Some(width) if shape == [width, width] => {}
                Some(width) => {
                    let what = format!("has {shape:?} for `{name}`, whose layer has {width} inputs");
                    return Err(wrong(&**gram, what));
                }
                None => {
                    return Err(wrong(
                        &**gram,
                        format!("has `{name}`, of which the checkpoints have no matrix"),
                    ));
                }
            }
        }
    }
    Ok(())
}
