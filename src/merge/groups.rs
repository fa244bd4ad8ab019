//! Alphas by group of tensors: parts of a model go different lengths of the way.
//!
//! Heterogeneous model averaging (Lin et al. 2023, arXiv:2309.06256v4, section 5) keeps the mean alpha over the groups; its
//! printed formula keeps the sum, which is a mean only after multiplication by the number of groups. Here a group's alpha is
//! `min(1, c * weight)` with the `c` that keeps the mean, so that no alpha leaves the path and both ends are on the curve.

/// Groups of tensors with the weight of each: how far it goes beside the others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Groups(pub Vec<(Vec<glob::Pattern>, f64)>);

impl Groups {
    /// The alpha of a tensor on a curve at `alpha`; of several groups that match, the first one's. A tensor of no group has
    /// the curve's own.
    #[must_use]
    pub fn alpha(&self, alpha: f64, name: &str) -> f64 {
        match self.0.iter().position(|(globs, _)| globs.iter().any(|g| g.matches(name))) {
            Some(group) => self.alphas(alpha)[group],
            None => alpha,
        }
    }

    /// Alphas of all groups on a curve at `alpha`; their mean is `alpha`.
    #[must_use]
    pub fn alphas(&self, alpha: f64) -> Vec<f64> {
        let mut alphas = vec![1.0; self.0.len()];
        // The heaviest reach the end first; what is left of the sum is divided among the others.
        let mut order: Vec<usize> = (0..self.0.len()).collect();
        order.sort_by(|&a, &b| self.0[b].1.total_cmp(&self.0[a].1).then(a.cmp(&b)));
        let mut sum = alpha * self.0.len() as f64;
        for first in 0..order.len() {
            let weights: f64 = order[first..].iter().map(|&i| self.0[i].1).sum();
            if sum * self.0[order[first]].1 <= weights {
                for &i in &order[first..] {
                    alphas[i] = sum * self.0[i].1 / weights;
                }
                break;
            }
            sum -= 1.0;
        }
        alphas
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(weights: &[f64]) -> Groups {
        Groups(weights.iter().map(|&w| (vec![glob::Pattern::new("*").unwrap()], w)).collect())
    }

    #[test]
    fn the_mean_stays_and_no_alpha_leaves_the_path() {
        let three = groups(&[3.0, 2.0, 1.0]);
        for step in 0..=20 {
            let alpha = f64::from(step) / 20.0;
            let all = three.alphas(alpha);
            assert!((all.iter().sum::<f64>() / 3.0 - alpha).abs() < 1e-12, "{all:?}");
            assert!(all.iter().all(|a| (0.0..=1.0 + 1e-12).contains(a)), "{all:?}");
            assert!(all[0] >= all[1] && all[1] >= all[2], "{all:?}");
        }
        // While nothing is cut off, the paper's formula times the number of groups.
        assert_eq!(three.alphas(0.2), [3.0, 2.0, 1.0].map(|w| 0.2 * 3.0 * w / 6.0));
        assert_eq!(three.alphas(1.0), [1.0; 3]);
        assert_eq!(groups(&[3.0, 1.0]).alphas(0.75), [1.0, 0.5]);
    }

    #[test]
    fn the_first_group_that_matches_counts() {
        let glob = |g: &str| vec![glob::Pattern::new(g).unwrap()];
        let all = Groups(vec![(glob("text*"), 1.0), (glob("*proj"), 3.0)]);
        assert_eq!(all.alpha(0.2, "text_proj"), 0.1);
        assert!((all.alpha(0.2, "visual_proj") - 0.3).abs() < 1e-12);
        assert_eq!(all.alpha(0.2, "head"), 0.2);
    }
}
