//! Which head a variant uses on a probe: its fine-tuned classifier, learned context, or names and templates.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::account::some_of;
use crate::model::{HeadChoice, HeadKind};
use crate::suite::HeadRule;

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
    pub(super) fn single(head: &HeadChoice) -> Self {
        Self { from: head.kind, to: None, dropped: dropped(head) }
    }

    pub(super) fn pair(from: &HeadChoice, to: &HeadChoice, rule: HeadRule) -> Self {
        match rule {
            HeadRule::From => Self::single(from),
            HeadRule::To => Self::single(to),
            HeadRule::Interpolate => {
                Self { from: from.kind, to: Some(to.kind), dropped: dropped(from).or(dropped(to)) }
            }
        }
    }
}

fn dropped(head: &HeadChoice) -> Option<Dropped> {
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
