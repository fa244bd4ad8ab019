//! Exponentials of many values at once: softmax and gates without a call for each.
//!
//! The compiler vectorises plain loops for the widest instructions that the processor has; `pulp` chooses at run time.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};

/// `e^x` by Cody and Waite's reduction and the polynomial of Cephes' `expf`, within two units of the last place.
/// Infinities and NaN go through; results below 2^-126 are 0.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Adding it rounds to whole numbers: 1.5 * 2^23.
    const ROUND: f32 = 12_582_912.0;
    // Beyond these the result is 0 or infinite in f32; a NaN passes `clamp`.
    let inside = x.clamp(-87.3, 88.8);
    let shifted = inside * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = inside - whole * 0.693_359_4 + whole * 2.121_944_4e-4;
    let mut sum = 1.987_569_1e-4;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5] {
        sum = sum * rest + coefficient;
    }
    let value = sum * rest * rest + rest + 1.0;
    // Two factors: 2^128 alone does not fit.
    let power = shifted.to_bits().wrapping_sub(ROUND.to_bits());
    let half = (power.cast_signed() >> 1).cast_unsigned();
    let scale = |n: u32| f32::from_bits(n.wrapping_add(127) << 23);
    let scaled = value * scale(half) * scale(power.wrapping_sub(half));
    if x < -87.3 { 0.0 } else { scaled }
}

/// Sum of `e^(x - from)`, in lanes of f32 within 64 values and in f64 beyond.
pub fn sum_of_exponentials(values: &[f32], from: f32) -> f64 {
    let sum = || {
        let chunk = |c: &[f32]| {
            let mut lanes = [0.0f32; 16];
            let (whole, rest) = c.as_chunks::<16>();
            for part in whole {
                for (lane, &v) in lanes.iter_mut().zip(part) {
                    *lane += exp(v - from);
                }
            }
            lanes.iter().sum::<f32>() + rest.iter().map(|&v| exp(v - from)).sum::<f32>()
        };
        values.chunks(64).map(|c| f64::from(chunk(c))).sum()
    };
    pulp::Arch::new().dispatch(sum)
}

/// What a gate does to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// `x / (1 + e^-x)`.
    Silu,
    /// `x / 2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
    GeluTanh,
}

impl Gate {
    #[inline(always)]
    fn of(self, x: f32) -> f32 {
        match self {
            Self::Silu => x / (1.0 + exp(-x)),
            // (1 + tanh u) / 2 = 1 / (1 + e^-2u).
            Self::GeluTanh => {
                const TWICE: f32 = 1.595_769;
                x / (1.0 + exp(-TWICE * (x + 0.044_715 * x * x * x)))
            }
        }
    }
}

fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((from, to))) => Ok(&values[from..to]),
        _ => bail!("exponentials on the CPU need contiguous f32"),
    }
}

/// `gate(a) * b`.
struct Gated(Gate);

impl CustomOp2 for Gated {
    fn name(&self) -> &'static str {
        "gated"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gate_layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (slice(gate, gate_layout)?, slice(up, up_layout)?);
        let all = |of: Gate| {
            let each = || gate.iter().zip(up).map(|(&g, &u)| of.of(g) * u).collect::<Vec<f32>>();
            pulp::Arch::new().dispatch(each)
        };
        // One loop for each kind: the choice stays outside.
        let values = match self.0 {
            Gate::Silu => all(Gate::Silu),
            Gate::GeluTanh => all(Gate::GeluTanh),
        };
        Ok((CpuStorage::F32(values), up_layout.shape().clone()))
    }
}

/// `gate(a) * b` for f32 on the CPU, without gradients.
pub fn gated(gate: &Tensor, up: &Tensor, kind: Gate) -> Result<Tensor> {
    gate.contiguous()?.apply_op2_no_bwd(&up.contiguous()?, &Gated(kind))
}

/// Softmax over rows of a width; the rows of a mask, if it has any, are added in turn.
fn softmax_rows(scores: &[f32], width: usize, mask: &[f32]) -> Vec<f32> {
    let mut out = scores.to_vec();
    let rows = || {
        for (i, row) in out.chunks_exact_mut(width).enumerate() {
            if !mask.is_empty() {
                let at = i * width % mask.len();
                row.iter_mut().zip(&mask[at..at + width]).for_each(|(v, &m)| *v += m);
            }
            // A NaN anywhere reaches the sum, and with it the whole row.
            let mut lanes = [f32::NEG_INFINITY; 16];
            let (whole, rest) = row.as_chunks::<16>();
            for part in whole {
                for (lane, &v) in lanes.iter_mut().zip(part) {
                    *lane = if v > *lane { v } else { *lane };
                }
            }
            let largest = lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
            let mut sums = [0.0f32; 16];
            let (whole, rest) = row.as_chunks_mut::<16>();
            for part in whole {
                for (sum, v) in sums.iter_mut().zip(part) {
                    *v = exp(*v - largest);
                    *sum += *v;
                }
            }
            rest.iter_mut().for_each(|v| *v = exp(*v - largest));
            let sum = sums.iter().sum::<f32>() + rest.iter().sum::<f32>();
            row.iter_mut().for_each(|v| *v /= sum);
        }
    };
    pulp::Arch::new().dispatch(rows);
    out
}

/// Softmax over the last axis.
struct Softmax;

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, scores: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let width = layout.dims().last().copied().unwrap_or(1);
        let values = softmax_rows(slice(scores, layout)?, width, &[]);
        Ok((CpuStorage::F32(values), layout.shape().clone()))
    }
}

/// Softmax of scores plus a mask of fewer rows, repeated.
struct MaskedSoftmax;

impl CustomOp2 for MaskedSoftmax {
    fn name(&self) -> &'static str {
        "masked softmax"
    }

    fn cpu_fwd(
        &self,
        scores: &CpuStorage,
        layout: &Layout,
        mask: &CpuStorage,
        mask_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let &[_, width] = mask_layout.dims() else { bail!("a mask has rows and columns") };
        let values = softmax_rows(slice(scores, layout)?, width, slice(mask, mask_layout)?);
        Ok((CpuStorage::F32(values), layout.shape().clone()))
    }
}

/// Softmax over the last axis of f32 scores `[…, rows, columns]` on the CPU, a mask `[rows, columns]` added first; without
/// gradients.
pub fn masked_softmax(scores: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let scores = scores.contiguous()?;
    match mask {
        Some(mask) => scores.apply_op2_no_bwd(&mask.contiguous()?, &MaskedSoftmax),
        None => scores.apply_op1_no_bwd(&Softmax),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn exponentials_within_two_units_of_the_last_place() {
        let mut worst = 0.0f64;
        for i in -87_000..88_700 {
            let x = i as f32 * 1e-3 + 1.7e-5;
            let right = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - right).abs() / right);
        }
        assert!(worst < 2.0 * f64::from(f32::EPSILON), "{worst}");
        assert_eq!(
            [exp(f32::NEG_INFINITY), exp(-200.0), exp(0.0), exp(90.0)],
            [0.0, 0.0, 1.0, f32::INFINITY]
        );
        assert!(exp(f32::NAN).is_nan() && exp(f32::INFINITY).is_infinite());
        assert!(sum_of_exponentials(&[0.0, f32::NAN], 0.0).is_nan());
    }

    #[test]
    fn gates_are_candles() {
        let values: Vec<f32> = (-400..400).map(|i| i as f32 * 0.05).collect();
        let x = Tensor::new(&values[..], &Device::Cpu).unwrap();
        let up = (&x * 0.5).unwrap();
        for (gate, right) in [(Gate::Silu, x.silu().unwrap()), (Gate::GeluTanh, x.gelu().unwrap())] {
            let right = (right * &up).unwrap().to_vec1::<f32>().unwrap();
            for (a, b) in gated(&x, &up, gate).unwrap().to_vec1::<f32>().unwrap().iter().zip(right) {
                assert!((a - b).abs() <= 2e-6 * b.abs().max(1.0), "{gate:?}: {a} {b}");
            }
        }
    }

    #[test]
    fn a_mask_is_repeated_for_each_head() {
        let scores: Vec<f32> = (0..2 * 3 * 37).map(|i| (i as f32 * 0.37).sin() * 9.0).collect();
        let scores = Tensor::from_vec(scores, (2, 3, 37), &Device::Cpu).unwrap();
        let mask = |i: usize| if i % 37 > i / 37 + 30 { f32::NEG_INFINITY } else { 0.0 };
        let mask =
            Tensor::from_vec((0..3 * 37).map(mask).collect::<Vec<_>>(), (3, 37), &Device::Cpu).unwrap();
        let sum = scores.broadcast_add(&mask).unwrap();
        let right = candle_nn::ops::softmax_last_dim(&sum).unwrap();
        let found = masked_softmax(&scores, Some(&mask)).unwrap();
        let plain = masked_softmax(&sum, None).unwrap();
        for found in [found, plain] {
            let off = (found - &right).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(off < 3e-7, "{off}");
        }
    }
}
