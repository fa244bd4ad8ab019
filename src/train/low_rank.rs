//! LoRA under training (Hu et al. 2021, arXiv:2106.09685): factors by module, and the weights that they change.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor, Var};
use serde_json::{Value, json};

use super::recipe::{LoraSpec, Recipe};
use crate::base::rng::CounterRng;
use crate::checkpoint::Tensors;

/// Factors of the adapted modules.
pub struct LowRank {
    spec: LoraSpec,
    /// Names of the adapted weights.
    modules: Vec<String>,
}

const A: &str = "lora_A";
const B: &str = "lora_B";

fn factor(module: &str, which: &str) -> String {
    format!("base_model.model.{module}.{which}.weight")
}

impl LowRank {
    /// Adds factors of every targeted weight to `parameters`: A drawn as PEFT draws it (uniform within one over the root of
    /// its inputs), B zero.
    pub fn new(
        recipe: &Recipe,
        weights: &Tensors,
        parameters: &mut BTreeMap<String, Var>,
    ) -> std::result::Result<Self, super::TrainError> {
        let spec = recipe.lora.clone();
        let mut modules = Vec::new();
        let rng = CounterRng::new(recipe.seed, "lora");
        for (name, weight) in weights {
            let Some(module) = name.strip_suffix(".weight") else { continue };
            let last = module.rsplit('.').next().unwrap_or_default();
            if weight.rank() != 2 || !spec.targets.iter().any(|t| t == last) {
                continue;
            }
            let (to, from) = weight.dims2()?;
            let mut own = rng.stream(modules.len() as u64);
            let bound = (from as f64).powf(-0.5);
            let values: Vec<f32> = (0..spec.rank * from).map(|_| own.range(-bound, bound) as f32).collect();
            let a = Tensor::from_vec(values, (spec.rank, from), &Device::Cpu)?;
            let b = Tensor::zeros((to, spec.rank), a.dtype(), &Device::Cpu)?;
            parameters.insert(factor(module, A), Var::from_tensor(&a)?);
            parameters.insert(factor(module, B), Var::from_tensor(&b)?);
            modules.push(module.to_owned());
        }
        if modules.is_empty() {
            return Err(recipe.mistake(format!("no module is called {}", spec.targets.join(" or "))));
        }
        Ok(Self { spec, modules })
    }

    /// The weights with the product added, under gradient.
    pub fn applied(&self, weights: &Tensors, parameters: &BTreeMap<String, Var>) -> Result<Tensors> {
        let mut all = weights.clone();
        let scale = self.spec.alpha / self.spec.rank as f64;
        for module in &self.modules {
            let product = parameters[&factor(module, B)].matmul(&parameters[&factor(module, A)])?;
            let name = format!("{module}.weight");
            let changed = (&weights[&name] + (product * scale)?)?;
            all.insert(name, changed);
        }
        Ok(all)
    }

    /// `adapter_config.json` as PEFT reads it.
    #[must_use]
    pub fn config(&self) -> Value {
        json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "r": self.spec.rank,
            "lora_alpha": self.spec.alpha,
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": false,
            "target_modules": self.spec.targets,
        })
    }
}
