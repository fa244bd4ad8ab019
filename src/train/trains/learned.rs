//! Values that are learned beside the weights: a part that is written on top of the checkpoint.

use candle_core::Result;

use crate::checkpoint::Tensors;
use crate::train::outputs::Parameters;
use crate::train::parts::Trained;

/// Learned values, and what goes with them.
#[derive(Default)]
pub(super) struct Learned {
    /// The values.
    pub parameters: Parameters,
    /// Tensors that stay as they are.
    pub fixed: Tensors,
    /// Second names of some values.
    pub copies: Vec<(String, String)>,
}

impl Learned {
    fn tensors(&self) -> Tensors {
        let value = |name: &String| self.parameters.get(name).map(|var| var.as_tensor().clone());
        let own = self.parameters.keys().filter_map(|name| Some((name.clone(), value(name)?)));
        let copies = self.copies.iter().filter_map(|(from, to)| Some((to.clone(), value(from)?)));
        own.chain(copies).chain(self.fixed.clone()).collect()
    }
}

impl Trained for Learned {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn weights(&self, start: &Tensors) -> Result<Tensors> {
        let mut all = start.clone();
        all.extend(self.tensors());
        Ok(all)
    }

    fn part(&self) -> Option<Tensors> {
        Some(self.tensors())
    }

    fn are_weights(&self) -> bool {
        false
    }
}
