//! Names of stored tensors: some files leave out what all names begin with.

use std::collections::BTreeSet;

use super::config::DecoderConfig;
use crate::checkpoint::{Naming, Share};

/// What may be missing before a name.
const MISSING: [&str; 5] = ["model.", "transformer.", "gpt_neox.", "model.decoder.", "decoder."];

/// The names of a configuration.
pub struct LanguageNames(BTreeSet<String>);

impl LanguageNames {
    /// Those of `config`.
    #[must_use]
    pub fn new(config: &DecoderConfig) -> Self {
        let mut all: BTreeSet<String> = config.tensors().into_keys().collect();
        all.insert(format!("{}.weight", config.names.head));
        Self(all)
    }
}

impl Naming for LanguageNames {
    fn translate(&self, stored: &[&str]) -> Vec<Vec<(String, Share)>> {
        let one = |name: &&str| {
            let known = |n: &String| self.0.contains(n);
            let full = MISSING.iter().map(|start| format!("{start}{name}")).find(known);
            let found = if self.0.contains(*name) { None } else { full };
            vec![(found.unwrap_or_else(|| (*name).to_owned()), Share::Whole)]
        };
        stored.iter().map(one).collect()
    }
}
