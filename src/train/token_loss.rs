//! Cross-entropy of tokens in one pass: a vocabulary is too wide for a chain of operators that keep each step.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::model::sum_of_exponentials;

/// `-log p(target)` of each row of logits, summed.
struct TokenLoss {
    targets: Vec<u32>,
}

/// Largest value of a row and the logarithm of the sum of exponentials above it.
fn log_sum(row: &[f32]) -> f64 {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f64::from(most) + sum_of_exponentials(row, most).ln()
}

impl CustomOp1 for TokenLoss {
    fn name(&self) -> &'static str {
        "token loss"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (CpuStorage::F32(all), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            bail!("token loss needs contiguous f32 logits");
        };
        let width = layout.dims().last().copied().unwrap_or(1);
        let one = |(row, target): (&[f32], &u32)| {
            row.get(*target as usize).map(|own| log_sum(row) - f64::from(*own))
        };
        let rows = all[start..end].par_chunks(width).zip(&self.targets);
        let losses: Option<Vec<f64>> = rows.map(one).collect();
        let Some(losses) = losses else { bail!("a target is no token") };
        Ok((CpuStorage::F32(vec![losses.iter().sum::<f64>() as f32]), Shape::from(())))
    }

    /// Probabilities, less one at the target.
    fn bwd(&self, logits: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let width = logits.dim(1)?;
        let scale = gradient.to_dtype(DType::F32)?.to_scalar::<f32>()?;
        let mut values = logits.flatten_all()?.to_vec1::<f32>()?;
        values.par_chunks_mut(width).zip(&self.targets).for_each(|(row, target)| {
            let total = log_sum(row);
            for v in row.iter_mut() {
                *v = scale * (f64::from(*v) - total).exp() as f32;
            }
            row[*target as usize] -= scale;
        });
        Tensor::from_vec(values, logits.shape(), logits.device()).map(Some)
    }
}

/// Sum over rows of `-log p(target)`, in nats, of logits `[n, vocabulary]`.
pub fn token_loss(logits: &Tensor, targets: Vec<u32>) -> Result<Tensor> {
    logits.contiguous()?.apply_op1(TokenLoss { targets })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{D, Device, Var};
    use candle_nn::ops::log_softmax;

    #[test]
    fn loss_and_gradient_are_those_of_the_operators() {
        let values: Vec<f32> = (0..15).map(|i| (i as f32 * 1.3).sin() * 4.0).collect();
        let logits = Var::from_vec(values, (3, 5), &Device::Cpu).unwrap();
        let targets = vec![1u32, 4, 0];
        let index = Tensor::from_vec(targets.clone(), (3, 1), &Device::Cpu).unwrap();
        let plain = log_softmax(&logits, D::Minus1).unwrap().gather(&index, 1).unwrap();
        let plain = (plain.sum_all().unwrap() * -0.5).unwrap();
        let fused = (token_loss(&logits, targets).unwrap() * 0.5).unwrap();
        let both = [plain, fused].map(|loss| {
            let store = loss.backward().unwrap();
            let gradient = store.get(logits.as_tensor()).unwrap().to_vec2::<f32>().unwrap().concat();
            (loss.to_scalar::<f32>().unwrap(), gradient)
        });
        assert!((both[0].0 - both[1].0).abs() < 1e-5);
        for (a, b) in both[0].1.iter().zip(&both[1].1) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }
}
