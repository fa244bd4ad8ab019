//! How tensors of a file become tensors of a model.

use std::ops::Range;

use candle_core::Tensor;

/// How a tensor is made from a stored one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Share {
    /// As it is.
    Whole,
    /// A range of thirds of the first axis, such as the keys in a joint projection.
    Third(usize),
    /// Transposed (two axes).
    Transposed,
    /// Rows of each of so many heads, stored as pairs side by side and wanted as two halves (llama.cpp's order of queries
    /// and keys that turn).
    Halves(usize),
    /// Rows of queries, keys and values, each of so many heads one after the other, wanted head by head (llama.cpp's order
    /// of GPT-NeoX's joint projection).
    ByHead(usize),
    /// One of the parts that lie one behind the other along the first axis, which it then lacks (llama.cpp's experts).
    Part(usize),
    /// Less one (llama.cpp stores what multiplies, Gemma one less).
    LessOne,
}

impl Share {
    /// Rows of a stored tensor with `rows` rows.
    pub fn rows(&self, rows: usize) -> Range<usize> {
        match self {
            Self::Third(i) => i * rows / 3..(i + 1) * rows / 3,
            Self::Part(i) => *i..i + 1,
            Self::Whole | Self::Transposed | Self::Halves(_) | Self::ByHead(_) | Self::LessOne => 0..rows,
        }
    }

    /// Shape of the result.
    pub fn shape(&self, stored: &[usize]) -> Vec<usize> {
        match self {
            Self::Whole | Self::Halves(_) | Self::ByHead(_) | Self::LessOne => stored.to_vec(),
            Self::Part(_) => stored.iter().skip(1).copied().collect(),
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

    /// The tensor made from a stored one.
    pub fn of(&self, whole: Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Whole => Ok(whole),
            Self::Transposed => whole.t()?.contiguous(),
            Self::Third(_) => {
                let rows = self.rows(whole.dim(0)?);
                whole.narrow(0, rows.start, rows.len())?.contiguous()
            }
            Self::Halves(heads) => {
                let (rows, rest) = (whole.dim(0)?, whole.elem_count() / whole.dim(0)?.max(1));
                let pairs = whole.reshape((*heads, rows / heads / 2, 2, rest))?;
                pairs.transpose(1, 2)?.contiguous()?.reshape(whole.shape())
            }
            Self::ByHead(heads) => {
                let (rows, rest) = (whole.dim(0)?, whole.elem_count() / whole.dim(0)?.max(1));
                let thirds = whole.reshape((3, *heads, rows / heads / 3, rest))?;
                thirds.transpose(0, 1)?.contiguous()?.reshape(whole.shape())
            }
            Self::Part(i) => whole.get(*i)?.contiguous(),
            Self::LessOne => whole.affine(1.0, -1.0),
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
