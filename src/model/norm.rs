//! Normalisation of rows: layer normalisation by two passes, and by the root of the mean square.
//!
//! candle's fused kernel takes the variance as E[x^2] - mean^2, which loses digits where the mean is large against
//! the spread; PyTorch does not (Welford). On the CPU, in f32; elsewhere candle's operators are used.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape};

/// `(x - mean) / sqrt(variance + eps) * weight + bias` over the last axis of a contiguous tensor.
pub(super) struct TwoPassNorm {
    /// Added to the variance.
    pub(super) eps: f32,
}

impl TwoPassNorm {
    fn rows(&self, x: &[f32], weight: &[f32], bias: &[f32], out: &mut [f32]) {
        let width = weight.len();
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let mean = sum(x, |v| v) / width as f32;
            let variance = sum(x, |v| (v - mean) * (v - mean)) / width as f32;
            let scale = 1.0 / (variance + self.eps).sqrt();
            for (((o, &v), &w), &b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                *o = (v - mean) * scale * w + b;
            }
        }
    }
}

/// `x / sqrt(mean of squares + eps) * weight` over the last axis of a contiguous tensor. candle's kernel adds squares one after
/// the other, which loses digits where a few values are large.
pub(super) struct RootMeanSquare {
    /// Added to the mean.
    pub(super) eps: f32,
}

impl CustomOp2 for RootMeanSquare {
    fn name(&self) -> &'static str {
        "root-mean-square"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (CpuStorage::F32(x), CpuStorage::F32(w)) = (x, weight) else {
            candle_core::bail!("norms on the CPU are computed in f32");
        };
        let (Some((xa, xz)), Some((wa, wz))) =
            (x_layout.contiguous_offsets(), weight_layout.contiguous_offsets())
        else {
            candle_core::bail!("norms need contiguous tensors");
        };
        let weight = &w[wa..wz];
        let mut out = vec![0.0; xz - xa];
        for (x, out) in x[xa..xz].chunks_exact(weight.len()).zip(out.chunks_exact_mut(weight.len())) {
            let scale = 1.0 / (sum(x, |v| v * v) / weight.len() as f32 + self.eps).sqrt();
            for ((o, &v), &w) in out.iter_mut().zip(x).zip(weight) {
                *o = v * scale * w;
            }
        }
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }
}

/// A sum in sixteen lanes: vectorised, and with shorter chains of rounding than one after the other.
fn sum(x: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let (whole, rest) = x.as_chunks::<16>();
    let mut lanes = [0.0f32; 16];
    for chunk in whole {
        for (lane, &v) in lanes.iter_mut().zip(chunk) {
            *lane += of(v);
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|&v| of(v)).sum::<f32>()
}

impl CustomOp3 for TwoPassNorm {
    fn name(&self) -> &'static str {
        "two-pass-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (CpuStorage::F32(x), CpuStorage::F32(w), CpuStorage::F32(b)) = (x, weight, bias) else {
            candle_core::bail!("layer norms on the CPU are computed in f32");
        };
        let slice = |values: &'_ [f32], layout: &Layout| {
            layout.contiguous_offsets().map(|(a, z)| (a, z, values.len()))
        };
        let (Some((xa, xz, _)), Some((wa, wz, _)), Some((ba, bz, _))) =
            (slice(x, x_layout), slice(w, weight_layout), slice(b, bias_layout))
        else {
            candle_core::bail!("layer norms need contiguous tensors");
        };
        let mut out = vec![0.0; xz - xa];
        self.rows(&x[xa..xz], &w[wa..wz], &b[ba..bz], &mut out);
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_mean_costs_no_digits() {
        // By hand in f64; candle's kernel gives 30 % error here.
        let x: Vec<f32> = (0..64).map(|i| 4096.0 + (i % 5) as f32 * 0.25).collect();
        let mut out = vec![0.0; 64];
        TwoPassNorm { eps: 1e-5 }.rows(&x, &[1.0; 64], &[0.5; 64], &mut out);
        let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / 64.0;
        let variance = x.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / 64.0;
        for (o, &v) in out.iter().zip(&x) {
            let right = (f64::from(v) - mean) / (variance + 1e-5).sqrt() + 0.5;
            assert!((f64::from(*o) - right).abs() < 2e-3, "{o} {right}");
        }
    }
}
