//! Which head a variant uses on a probe: its fine-tuned classifier, learned context, or names and templates.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::classes::ClassSpace;
use crate::base::account::some_of;
use crate::model::CheckpointFolder;
use crate::suite::HeadRule;

/// Kind of a checkpoint's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadKind {
    /// The fine-tuned classifier.
    Classifier,
    /// The text tower on class names after learned context.
    Context,
    /// The text tower on class names in templates.
    ZeroShot,
}

impl fmt::Display for HeadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classifier => "classifier",
            Self::Context => "learned context",
            Self::ZeroShot => "zero-shot",
        })
    }
}

/// The head of one checkpoint on a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndHead {
    /// Which it is.
    pub kind: HeadKind,
    /// Rows of the classifier, if it is that.
    pub rows: Vec<u32>,
    /// Classes for which a classifier that is there has no row of its own, so that it is not used.
    pub missing: Vec<String>,
}

impl EndHead {
    /// The head of a checkpoint on some classes.
    #[must_use]
    pub fn of(folder: &CheckpointFolder, classes: &ClassSpace) -> Self {
        let other = if folder.has_context() { HeadKind::Context } else { HeadKind::ZeroShot };
        let rows = folder.classifier.as_ref().map(|c| c.rows(&classes.names, &classes.rows));
        match rows {
            Some(Ok(rows)) => Self { kind: HeadKind::Classifier, rows, missing: Vec::new() },
            Some(Err(missing)) => Self { kind: other, rows: Vec::new(), missing },
            None => Self { kind: other, rows: Vec::new(), missing: Vec::new() },
        }
    }
}

/// The head of a variant on a probe, for manifest, plan and tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadRecord {
    /// The head, or that of the pretrained end of a curve.
    pub from: HeadKind,
    /// That of the fine-tuned end, where heads are interpolated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<HeadKind>,
    /// Classes that a classifier lacks, so that it was left aside: how many and the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Dropped>,
}

/// Why a classifier was left aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Classes without a row of their own.
    pub missing: usize,
    /// The first of them.
    pub first: Vec<String>,
}

impl HeadRecord {
    pub(super) fn single(head: &EndHead) -> Self {
        Self { from: head.kind, to: None, dropped: dropped(head) }
    }

    pub(super) fn pair(from: &EndHead, to: &EndHead, rule: HeadRule) -> Self {
        match rule {
            HeadRule::From => Self::single(from),
            HeadRule::To => Self::single(to),
            HeadRule::Interpolate => {
                Self { from: from.kind, to: Some(to.kind), dropped: dropped(from).or(dropped(to)) }
            }
        }
    }
}

fn dropped(head: &EndHead) -> Option<Dropped> {
    let first = head.missing.iter().take(3).cloned().collect();
    (!head.missing.is_empty()).then_some(Dropped { missing: head.missing.len(), first })
}

impl fmt::Display for HeadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            Some(to) if to != self.from => write!(f, "{} to {to}", self.from),
            _ => self.from.fmt(f),
        }
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.first.iter().map(String::as_str).collect();
        write!(
            f,
            "its classifier is not used: {} classes have no row of their own, first {}",
            self.missing,
            some_of(&names)
        )
    }
}
