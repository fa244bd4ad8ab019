//! How tensors of a file become tensors of a model.

use std::ops::Range;

/// How a tensor is made from a stored one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Share {
    /// As it is.
    Whole,
    /// A range of thirds of the first axis, such as the keys in a joint projection.
    Third(usize),
    /// Transposed (two axes).
    Transposed,
}

impl Share {
    /// Rows of a stored tensor with `rows` rows.
    pub fn rows(&self, rows: usize) -> Range<usize> {
        match self {
            Self::Third(i) => i * rows / 3..(i + 1) * rows / 3,
            Self::Whole | Self::Transposed => 0..rows,
        }
    }

    /// Shape of the result.
    pub fn shape(&self, stored: &[usize]) -> Vec<usize> {
        match self {
            Self::Whole => stored.to_vec(),
            Self::Third(_) => {
                let mut shape = stored.to_vec();
                if let Some(first) = shape.first_mut() {
                    *first /= 3;
                }
                shape
            }
            Self::Transposed => stored.iter().rev().copied().collect(),
        }
    }
}

/// How an architecture calls the tensors of a file.
pub trait Naming {
    /// The tensors that each stored one becomes, in the order of `stored`; none for one that changes no result.
    fn translate(&self, stored: &[&str]) -> Vec<Vec<(String, Share)>>;
}

/// Names as they are stored.
pub struct AsStored;

impl Naming for AsStored {
    fn translate(&self, stored: &[&str]) -> Vec<Vec<(String, Share)>> {
        stored.iter().map(|name| vec![((*name).to_owned(), Share::Whole)]).collect()
    }
}
