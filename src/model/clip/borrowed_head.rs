//! Heads made of another model's texts, for image towers whose features were brought to its width (PromptKD, arXiv:2403.02781).

use std::sync::Arc;

use super::folder::CheckpointFolder;
use super::image_projector::ImageProjector;
use super::meta_net::MetaNet;
use crate::model::{Architecture, ModelError};

impl CheckpointFolder {
    /// The same checkpoint with a head made of the texts of `other`.
    ///
    /// # Errors
    /// If they do not fit, or either has a head of another kind.
    pub(super) fn with_head_of(&self, other: &Arc<dyn Architecture>) -> Result<Self, ModelError> {
        let (path, at) = (self.path.display(), other.path().display());
        let unlike = |reason: String| Err(ModelError::Unlike(reason));
        let Some(texts) = other.as_any().downcast_ref::<Self>() else {
            return unlike(format!("`{at}` is not of CLIP's kind, and makes no head for `{path}`"));
        };
        if self.classifier.is_some() || self.has_context() {
            return unlike(format!("`{path}` holds a head of its own; it takes no other's"));
        }
        if texts.classifier.is_some() || MetaNet::is_in(&*texts.weights) || texts.borrowed_head.is_some() {
            return unlike(format!(
                "the head of `{at}` is a classifier, or depends on images; only one made of texts fits other images"
            ));
        }
        let (own, theirs) = (self.feature_width(), texts.config.projection_dim);
        if own != theirs {
            return unlike(format!(
                "the images of `{path}` have features of {own} values, the texts of `{at}` {theirs}"
            ));
        }
        if ImageProjector::width(&*texts.weights).is_some() {
            return unlike(format!(
                "`{at}` holds a projector, so its texts are not what its images are held against"
            ));
        }
        Ok(self.borrowing(Arc::clone(other)))
    }

    /// Whose texts make its head: another's, or its own.
    pub(super) fn head_maker(&self) -> &Self {
        self.borrowed_head.as_ref().and_then(|other| other.as_any().downcast_ref()).unwrap_or(self)
    }
}
