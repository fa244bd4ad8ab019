//! Where a variant stands: its curve, what made it, and from which seed.

use super::ReportData;
use crate::suite::CheckpointRole;

/// One place of a variant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin {
    /// The curve; empty for a variant on none.
    pub curve: String,
    /// Its place on the curve.
    pub alpha: Option<f64>,
    /// What made it; empty where nothing did.
    pub method: String,
    /// The seed that it was tuned from, if it is on record.
    pub seed: Option<u64>,
}

impl ReportData {
    /// All places of a variant: one for each curve that it is on, or one without a curve.
    #[must_use]
    pub fn origins(&self, variant: &str) -> Vec<Origin> {
        let checkpoint = |id: &str| self.manifest.checkpoints.iter().find(|c| c.id == id);
        let own = checkpoint(variant);
        // The pretrained model was made by none of the methods whose curves it is on.
        let pretrained = own.is_some_and(|c| c.role == CheckpointRole::Pretrained);
        let made = |method: &str| if pretrained { String::new() } else { method.to_owned() };
        let seed = |id: &str| checkpoint(id).filter(|_| !pretrained).and_then(|c| c.seed);
        let mut places = Vec::new();
        for curve in &self.manifest.curves {
            for point in curve.points.iter().filter(|p| p.variant == variant) {
                places.push(Origin {
                    curve: curve.id.clone(),
                    alpha: Some(point.alpha),
                    method: made(&curve.method),
                    seed: seed(&curve.to),
                });
            }
        }
        if places.is_empty() {
            let method = own.and_then(|c| c.method.clone()).unwrap_or_default();
            places.push(Origin { method: made(&method), seed: seed(variant), ..Origin::default() });
        }
        places
    }

    /// The first place of a variant.
    #[must_use]
    pub fn origin(&self, variant: &str) -> Origin {
        self.origins(variant).into_iter().next().unwrap_or_default()
    }

    /// What made a curve's fine-tuned end.
    #[must_use]
    pub fn origin_of_curve(&self, curve: &str) -> Origin {
        let Some(curve) = self.manifest.curves.iter().find(|c| c.id == curve) else {
            return Origin::default();
        };
        let seed = self.manifest.checkpoints.iter().find(|c| c.id == curve.to).and_then(|c| c.seed);
        Origin { curve: curve.id.clone(), alpha: None, method: curve.method.clone(), seed }
    }
}
