//! Heads made of another model's texts, for image towers whose features were brought to its width (PromptKD, arXiv:2403.02781).

use std::sync::Arc;

use super::folder::CheckpointFolder;
use super::image_projector::ImageProjector;
use super::meta_net::MetaNet;
use crate::model::{Architecture, ModelError};

/// The checkpoint whose texts make the head of another.
#[derive(Clone)]
pub struct BorrowedHead(Arc<dyn Architecture>);

impl BorrowedHead {
    /// The texts of `other` for the images of `folder`.
    ///
    /// # Errors
    /// If they do not fit, or either has a head of another kind.
    pub fn new(folder: &CheckpointFolder, other: &Arc<dyn Architecture>) -> Result<Self, ModelError> {
        let this = Self(Arc::clone(other));
        let (path, at) = (folder.path.display(), other.path().display());
        let unlike = |reason: String| Err(ModelError::Unlike(reason));
        let Some(texts) = this.lender() else {
            return unlike(format!("`{at}` is not of CLIP's kind, and makes no head for `{path}`"));
        };
        if folder.classifier.is_some() || folder.has_context() {
            return unlike(format!("`{path}` holds a head of its own; it takes no other's"));
        }
        if texts.classifier.is_some() || MetaNet::is_in(&*texts.weights) || texts.borrowed_head.is_some() {
            return unlike(format!(
                "the head of `{at}` is a classifier, or depends on its own images; only one made of texts fits other images"
            ));
        }
        let (own, theirs) = (folder.feature_width(), texts.feature_width());
        if own != theirs || ImageProjector::width(&*texts.weights).is_some() {
            return unlike(format!(
                "the images of `{path}` have features of {own} values, the texts of `{at}` {}",
                texts.config.projection_dim
            ));
        }
        Ok(this)
    }

    /// Whose texts they are.
    fn lender(&self) -> Option<&CheckpointFolder> {
        self.0.as_any().downcast_ref()
    }

    /// The checkpoint as the engine sees it.
    pub fn architecture(&self) -> &Arc<dyn Architecture> {
        &self.0
    }
}

impl CheckpointFolder {
    /// Whose texts make its head: another's, or its own.
    pub(super) fn head_maker(&self) -> &Self {
        self.borrowed_head.as_ref().and_then(BorrowedHead::lender).unwrap_or(self)
    }

    /// Refuses a checkpoint that is evaluated alone.
    ///
    /// # Errors
    /// If it holds a projector, whose head is not its own.
    pub fn check_tunable(&self) -> Result<(), ModelError> {
        match ImageProjector::width(&*self.weights) {
            None => Ok(()),
            Some(_) => Err(ModelError::Unlike(format!(
                "`{}` holds PromptKD's projector; such a checkpoint is evaluated, not tuned",
                self.path.display()
            ))),
        }
    }

    /// Width of an image's features.
    #[must_use]
    pub fn feature_width(&self) -> usize {
        ImageProjector::width(&*self.weights).unwrap_or(self.config.projection_dim)
    }
}
