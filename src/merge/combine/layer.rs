//! The weight of a linear layer as a matrix, and its linear algebra in f64.

use candle_core::Result;
use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

use super::{Stretches, TensorView};
use crate::checkpoint::InputAxis;

/// A weight of so many outputs by so many inputs, stored either way.
#[derive(Clone, Copy)]
pub(super) struct Layer {
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    axis: InputAxis,
}

impl Layer {
    /// The layer that a tensor is the weight of, if products of its inputs lie beside.
    pub(super) fn of(tensor: &TensorView<'_>) -> Option<Self> {
        let [rows, columns] = tensor.shape[..] else { return None };
        let (outputs, inputs) = match tensor.inputs {
            InputAxis::Last => (rows, columns),
            InputAxis::First => (columns, rows),
        };
        (!tensor.beside.is_empty()).then_some(Self { outputs, inputs, axis: tensor.inputs })
    }

    /// Where a value is stored.
    pub(super) const fn place(self, output: usize, input: usize) -> usize {
        match self.axis {
            InputAxis::Last => output * self.inputs + input,
            InputAxis::First => input * self.outputs + output,
        }
    }

    /// Values as they are stored, from those by output and input.
    pub(super) fn stored(self, value: impl Fn(usize, usize) -> f64) -> Vec<f32> {
        let mut all = vec![0.0; self.outputs * self.inputs];
        for output in 0..self.outputs {
            for input in 0..self.inputs {
                all[self.place(output, input)] = value(output, input) as f32;
            }
        }
        all
    }
}

/// Products of inputs as a matrix; inputs that were always zero have a diagonal of zero.
///
/// # Errors
/// If they cannot be sums of squares.
pub(super) fn gram(values: &[f32], inputs: usize) -> Result<Mat<f64>> {
    if (0..inputs).any(|i| values[i * inputs + i] < 0.0) {
        candle_core::bail!("its products of inputs have a diagonal below 0; it is one of squares");
    }
    Ok(Mat::from_fn(inputs, inputs, |i, j| f64::from(values[i * inputs + j])))
}

/// The solution X of `a X = b` for a symmetric matrix that is positive definite.
///
/// # Errors
/// If it is not.
pub(super) fn solved(a: &Mat<f64>, b: &Mat<f64>) -> Result<Mat<f64>> {
    match a.llt(Side::Lower) {
        Ok(factors) => Ok(factors.solve(b)),
        Err(_) => candle_core::bail!("its products of inputs are singular"),
    }
}

/// A tensor that was made whole when it was looked at.
pub(super) struct Made(pub(super) Vec<f32>);

impl Stretches for Made {
    fn fill(&self, first: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.0[first..][..out.len()]);
    }
}
