//! Texts that begin alike: what they have in common goes through a causal tower once.

use candle_core::{Result, Tensor};

/// Texts that go through a tower together.
const BATCH: usize = 256;

/// So many texts are a batch of their own when those that follow begin otherwise.
const ENOUGH: usize = 32;

/// The places at the start that all texts of a batch share.
pub struct SharedPrefix {
    /// What is added to their scores, `[places, places]`.
    pub mask: Tensor,
    /// What is added to the scores of the places that follow, `[length - places, length]`.
    pub mask_after: Tensor,
}

impl SharedPrefix {
    /// The first `places` of texts whose causal mask is `[length, length]`.
    pub fn new(places: usize, mask: &Tensor) -> Result<Self> {
        let rest = mask.dim(0)? - places;
        let mask_after = mask.narrow(0, places, rest)?.contiguous()?;
        Ok(Self { mask: mask.narrow(0, 0, places)?.narrow(1, 0, places)?.contiguous()?, mask_after })
    }

    /// How many places they are.
    pub fn places(&self) -> usize {
        self.mask.dims()[0]
    }

    /// Rows `[1, rows, width]` as what is shared `[1, places, width]` and what is each text's own `[texts, length - places, width]`.
    pub fn split(&self, rows: &Tensor) -> Result<(Tensor, Tensor)> {
        let (_, all, width) = rows.dims3()?;
        let own = rows.narrow(1, self.places(), all - self.places())?;
        Ok((rows.narrow(1, 0, self.places())?, own.reshape(((), self.mask_after.dim(0)?, width))?))
    }

    /// The inverse of [`SharedPrefix::split`].
    pub fn join(shared: &Tensor, own: &Tensor) -> Result<Tensor> {
        Tensor::cat(&[shared, &own.reshape((1, (), own.dim(2)?))?], 1)
    }
}

/// How many tokens two texts have in common at their start.
fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// How many tokens all texts have in common at their start while each keeps one of its own; 0 of a single text.
pub fn common_places(texts: &[Vec<u32>]) -> usize {
    let [first, others @ ..] = texts else { return 0 };
    let shortest = texts.iter().map(Vec::len).min().unwrap_or(0);
    others.iter().map(|text| common(first, text)).min().unwrap_or(0).min(shortest.saturating_sub(1))
}

/// Batches of texts, as their indices: those that begin alike are together, and among them those of like length.
pub fn alike(texts: &[Vec<u32>]) -> Vec<Vec<usize>> {
    let mut sorted: Vec<usize> = (0..texts.len()).collect();
    sorted.sort_by(|&a, &b| texts[a].cmp(&texts[b]));
    let mut families: Vec<(usize, Vec<usize>)> = Vec::new();
    for i in sorted {
        match families.last_mut() {
            Some((shared, family)) => {
                let now = common(&texts[family[0]], &texts[i]).min(*shared);
                if now == *shared || family.len() < ENOUGH {
                    *shared = now;
                    family.push(i);
                } else {
                    families.push((texts[i].len(), vec![i]));
                }
            }
            None => families.push((texts[i].len(), vec![i])),
        }
    }
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for (_, mut family) in families {
        family.sort_by_key(|&i| texts[i].len());
        let mut rest = &family[..];
        while let Some(&first) = rest.first() {
            let mut longest = texts[first].len();
            let fits = |(n, &i): (usize, &usize)| {
                let grows = texts[i].len() > longest;
                longest = texts[i].len();
                n < BATCH && (n < ENOUGH || !grows)
            };
            let n = rest.iter().enumerate().map(fits).take_while(|fits| *fits).count();
            batches.push(rest[..n].to_vec());
            rest = &rest[n..];
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_begin_alike_are_a_batch() {
        let text = |template: u32, class: u32, more: usize| {
            let mut text = vec![1, template, template, class];
            text.extend(vec![7; more]);
            text.push(2);
            text
        };
        let texts: Vec<Vec<u32>> = (0..40)
            .flat_map(|class| (50..52).map(move |t| text(t, 100 + class, class as usize % 3)))
            .collect();
        let batches = alike(&texts);
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [40, 40]);
        for batch in &batches {
            let own: Vec<Vec<u32>> = batch.iter().map(|&i| texts[i].clone()).collect();
            assert_eq!(common_places(&own), 3);
            assert!(own.is_sorted_by_key(Vec::len));
        }
        let mut all: Vec<usize> = batches.concat();
        all.sort_unstable();
        assert_eq!(all, (0..80).collect::<Vec<_>>());
    }

    #[test]
    fn each_text_keeps_a_place_of_its_own() {
        assert_eq!(common_places(&[vec![1, 2, 3], vec![1, 2, 3]]), 2);
        assert_eq!(common_places(&[vec![1, 2], vec![1, 2, 3]]), 1);
        assert_eq!(common_places(&[vec![1, 2]]), 0);
        assert_eq!(common_places(&[vec![5, 2], vec![1, 2]]), 0);
    }
}
