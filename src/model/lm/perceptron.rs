//! The perceptron of a block: one, or experts of which each token takes some.

use candle_core::{D, Result, Tensor};

use super::attention::{output, projection};
use super::config::{Activation, DecoderConfig, ExpertsConfig};
use crate::model::exponential::{Gate, gated};
use crate::model::layers::{Built, Kernels, Linear, Loader, softmax_f32};

/// A block's perceptron.
pub enum Perceptron {
    /// The same for all rows.
    One(Box<Mlp>),
    /// Some for each row.
    Experts(Experts),
}

impl Perceptron {
    /// Takes the tensors of a block.
    pub fn load(weights: &Loader<'_>, config: &DecoderConfig, layer: usize) -> Built<Self> {
        Ok(match &config.experts {
            None => Self::One(Box::new(Mlp::load(weights, config, layer)?)),
            Some(experts) => Self::Experts(Experts::load(weights, config, experts, layer)?),
        })
    }

    /// `x` is `[rows, width]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::One(mlp) => mlp.forward(x),
            Self::Experts(experts) => experts.forward(x),
        }
    }
}

/// Perceptrons of which a router chooses some for each row (Mixtral, arXiv:2401.04088, equation 2 and section 2.1).
pub struct Experts {
    router: Linear,
    all: Vec<Mlp>,
    config: ExpertsConfig,
    kernels: Kernels,
}

impl Experts {
    fn load(
        weights: &Loader<'_>,
        config: &DecoderConfig,
        experts: &ExpertsConfig,
        layer: usize,
    ) -> Built<Self> {
        let router = weights.projection(&config.block(layer, experts.router), config.width, experts.count)?;
        let one = |i: usize| -> Built<Mlp> {
            let get = |part: &str, from, to| weights.projection(&config.expert(layer, i, part), from, to);
            let [gate, up, down] = experts.parts;
            Ok(Mlp {
                gate: Some(get(gate, config.width, config.hidden)?),
                up: get(up, config.width, config.hidden)?,
                down: get(down, config.hidden, config.width)?,
                activation: config.activation,
                fused: fused(weights.kernels, config.activation),
            })
        };
        let all = (0..experts.count).map(one).collect::<Built<_>>()?;
        Ok(Self { router, all, config: experts.clone(), kernels: weights.kernels })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let rows = x.dim(0)?;
        let shares = softmax_f32(&self.router.forward(x)?, None, self.kernels)?;
        let chosen = chosen(&shares.detach().to_vec2::<f32>()?, self.config.chosen);
        let mask = |row: &Vec<usize>| {
            let mut mask = vec![0f32; self.all.len()];
            row.iter().for_each(|&e| mask[e] = 1.0);
            mask
        };
        let mask: Vec<f32> = chosen.iter().flat_map(mask).collect();
        let mask = Tensor::from_vec(mask, shares.shape(), shares.device())?;
        let mut shares = (shares * mask)?;
        if self.config.normed {
            shares = shares.broadcast_div(&shares.sum_keepdim(D::Minus1)?)?;
        }
        let shares = shares.to_dtype(x.dtype())?;
        let mut sum = x.zeros_like()?;
        for (number, expert) in self.all.iter().enumerate() {
            let mut own: Vec<u32> =
                (0..rows).filter(|&r| chosen[r].contains(&number)).map(|r| r as u32).collect();
            let n = own.len();
            if n == 0 {
                continue;
            }
            if n == 1 {
                // One row alone is summed in another order than one of several.
                own.push(own[0]);
            }
            let index = Tensor::from_vec(own, n.max(2), x.device())?;
            let share = shares.narrow(1, number, 1)?.contiguous()?.index_select(&index, 0)?;
            let found = expert.forward(&x.index_select(&index, 0)?)?.broadcast_mul(&share)?;
            sum = sum.index_add(&index.narrow(0, 0, n)?, &found.narrow(0, 0, n)?.contiguous()?, 0)?;
        }
        Ok(sum)
    }
}

/// The experts with the largest shares of each row, the first of equal ones first.
fn chosen(shares: &[Vec<f32>], count: usize) -> Vec<Vec<usize>> {
    let of = |row: &Vec<f32>| {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
        order.truncate(count);
        order
    };
    shares.iter().map(of).collect()
}

/// The gate that is computed in one loop where there are no gradients.
fn fused(kernels: Kernels, activation: Activation) -> Option<Gate> {
    match (kernels, activation) {
        (Kernels::Inference, Activation::Silu) => Some(Gate::Silu),
        (Kernels::Inference, Activation::GeluTanh) => Some(Gate::GeluTanh),
        _ => None,
    }
}

/// One perceptron.
pub struct Mlp {
    gate: Option<Linear>,
    up: Linear,
    down: Linear,
    activation: Activation,
    /// The gate, where it is computed without gradients.
    fused: Option<Gate>,
}

impl Mlp {
    fn load(weights: &Loader<'_>, config: &DecoderConfig, layer: usize) -> Built<Self> {
        let rows = [config.hidden; 2];
        let one = |i| projection(weights, config, layer, (&config.names.gate_up, &rows, i), config.bias_mlp);
        let down = config.block(layer, config.names.down);
        Ok(Self {
            gate: config.gated.then(|| one(0)).transpose()?,
            up: one(1)?,
            down: output(weights, config, &down, config.hidden, config.bias_mlp)?,
            activation: config.activation,
            fused: fused(weights.kernels, config.activation),
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let up = self.up.forward(x)?;
        if let (Some(gate), Some(kind), true) = (&self.gate, self.fused, up.device().is_cpu()) {
            return self.down.forward(&gated(&gate.forward(x)?, &up, kind)?);
        }
        let act = |x: &Tensor| match self.activation {
            Activation::Silu => x.silu(),
            Activation::Gelu => x.gelu_erf(),
            Activation::GeluTanh => x.gelu(),
            Activation::Relu => x.relu(),
        };
        let hidden = match &self.gate {
            Some(gate) => (act(&gate.forward(x)?)? * up)?,
            None => act(&up)?,
        };
        self.down.forward(&hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_shares_are_chosen() {
        let rows = [vec![0.1, 0.4, 0.3, 0.2], vec![0.25; 4], vec![0.0, f32::NAN, 0.5, 0.5]];
        assert_eq!(chosen(&rows, 2), [vec![1, 2], vec![0, 1], vec![1, 2]]);
    }
}
