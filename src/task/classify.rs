//! Classification of images: from a data set's labels to the classes that a head tells apart.
//!
//! Three rules, alone or with the base/novel halves: all classes of the list; a restriction to some of
//! them (ImageNet-A and -R: the 1000 logits masked to 200, WiSE-FT `src/datasets`), which is the same as a
//! head with only those rows; and groups (ObjectNet: a class's logit is the largest of its ImageNet classes').

use std::sync::Arc;

use super::{Answer, Ask, AskKind, Candidates, Choice, Judged, Piece, Question, TOP, Task, TaskKind};
use crate::base::digest::Digest;
use crate::base::registry::Named;
use crate::data::{ClassSubset, Example, Record};

/// The kind.
pub(super) struct Classification;

impl Named for Classification {
    fn name(&self) -> &'static str {
        "classification"
    }
    fn summary(&self) -> &'static str {
        "image classification with the zero-shot or fine-tuned head"
    }
    fn reference(&self) -> &'static str {
        "arXiv:2103.00020, section 3.1; CLIP_benchmark zeroshot_classification"
    }
}

impl TaskKind for Classification {}

/// Which of the listed classes a data set has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClassRule {
    /// All of them.
    #[default]
    All,
    /// These, by their places in the list.
    Only(Vec<usize>),
    /// Its own, each a group of places in the list.
    Groups(Vec<(String, Vec<usize>)>),
}

/// Classification among some classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classify {
    candidates: Arc<Candidates>,
    /// Names of the classes that predictions and labels count.
    outputs: Vec<String>,
    /// Candidates that make up each output, if outputs are not the candidates themselves.
    groups: Option<Vec<Vec<u32>>>,
    /// Output of each label of the data set; `None` where the probe does not use it.
    labels: Vec<Option<u32>>,
}

impl Classify {
    /// Classes out of the list `names` by a rule, or a half of them.
    #[must_use]
    pub fn new(names: &[String], rule: &ClassRule, subset: ClassSubset, templates: Vec<String>) -> Self {
        match rule {
            ClassRule::All => Self::plain(names, &(0..names.len()).collect::<Vec<_>>(), subset, templates),
            ClassRule::Only(listed) => Self::plain(names, listed, subset, templates),
            ClassRule::Groups(groups) => Self::grouped(names, groups, subset, templates),
        }
    }

    fn plain(names: &[String], listed: &[usize], subset: ClassSubset, templates: Vec<String>) -> Self {
        let chosen = &listed[subset.range(listed.len())];
        let outputs: Vec<String> = chosen.iter().map(|&i| names[i].clone()).collect();
        let mut labels = vec![None; names.len()];
        for (output, &label) in chosen.iter().enumerate() {
            labels[label] = Some(output as u32);
        }
        let candidates =
            Candidates { names: outputs.clone(), templates, list: names.to_vec(), places: chosen.to_vec() };
        Self { candidates: Arc::new(candidates), outputs, groups: None, labels }
    }

    fn grouped(
        names: &[String],
        groups: &[(String, Vec<usize>)],
        subset: ClassSubset,
        templates: Vec<String>,
    ) -> Self {
        let range = subset.range(groups.len());
        let mut rows: Vec<usize> = groups[range.clone()].iter().flat_map(|g| g.1.iter().copied()).collect();
        rows.sort_unstable();
        rows.dedup();
        let row_of = |i: &usize| rows.binary_search(i).unwrap_or(0) as u32;
        let mut labels = vec![None; groups.len()];
        for (output, label) in range.clone().enumerate() {
            labels[label] = Some(output as u32);
        }
        let outputs = groups[range.clone()].iter().map(|g| g.0.clone()).collect();
        let groups = groups[range].iter().map(|g| g.1.iter().map(row_of).collect()).collect();
        let candidates = Candidates {
            names: rows.iter().map(|&i| names[i].clone()).collect(),
            templates,
            list: names.to_vec(),
            places: rows,
        };
        Self { candidates: Arc::new(candidates), outputs, groups: Some(groups), labels }
    }

    /// Scores of the outputs from scores of the candidates.
    fn reduce(&self, rows: &[f32]) -> Option<Vec<f32>> {
        let groups = self.groups.as_ref()?;
        // `max` of f32 ignores NaN; a NaN must reach the check for finite logits.
        let largest = |g: &Vec<u32>| {
            g.iter().map(|&i| rows[i as usize]).reduce(|a, b| if b > a || b.is_nan() { b } else { a })
        };
        Some(groups.iter().map(|g| largest(g).unwrap_or(f32::NAN)).collect())
    }
}

impl Task for Classify {
    fn question(&self, _: usize, record: Record) -> Result<Question, String> {
        let image = record.into_image().ok_or("the record has no image")?;
        Ok(Question { prompt: vec![Piece::Image(image)], ask: Ask::Choose(Arc::clone(&self.candidates)) })
    }

    fn asks(&self) -> AskKind {
        AskKind::Choose
    }

    fn prompt(&self) -> Digest {
        Digest::of_value(Record::IMAGE)
    }

    fn target(&self, _: usize, example: &Example) -> Option<u32> {
        self.labels.get(example.label as usize).copied().flatten()
    }

    fn candidates(&self) -> Option<&Arc<Candidates>> {
        Some(&self.candidates)
    }

    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn known_labels(&self) -> usize {
        self.labels.len()
    }

    fn judge(&self, _: usize, target: u32, answer: &Answer) -> Option<Judged> {
        let Answer::Scores(scores) = answer else { return None };
        let reduced = self.reduce(scores);
        choice(target, reduced.as_deref().unwrap_or(scores)).map(Judged::from)
    }

    fn inputs(&self) -> Vec<(&'static str, Digest)> {
        vec![
            ("classes", Digest::of_value(&(&self.candidates.names, &self.groups, &self.labels))),
            ("templates", Digest::of_value(&self.candidates.templates)),
        ]
    }
}

/// What is stored of one row of logits; `None` if any logit is not finite.
///
/// The prediction is the first of the largest logits, as in NumPy and PyTorch. The softmax is
/// computed in f64 from f32 logits.
pub(super) fn choice(target: u32, logits: &[f32]) -> Option<Choice> {
    if logits.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let mut top_classes = [u32::MAX; TOP];
    let mut top_logits = [f32::NEG_INFINITY; TOP];
    for (class, &logit) in logits.iter().enumerate() {
        if logit > top_logits[TOP - 1] || top_classes[TOP - 1] == u32::MAX {
            // Insertion into a sorted list of five; equal values keep the order of the classes.
            let mut place = TOP - 1;
            while place > 0 && (top_classes[place - 1] == u32::MAX || logit > top_logits[place - 1]) {
                top_classes[place] = top_classes[place - 1];
                top_logits[place] = top_logits[place - 1];
                place -= 1;
            }
            top_classes[place] = class as u32;
            top_logits[place] = logit;
        }
    }
    let largest = f64::from(top_logits[0]);
    let total: f64 = logits.iter().map(|&v| (f64::from(v) - largest).exp()).sum();
    let own = f64::from(*logits.get(target as usize)?) - largest;
    Some(Choice {
        prediction: top_classes[0],
        score: (1.0 / total) as f32,
        loss: (total.ln() - own) as f32,
        top_classes,
        top_logits,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("c{i}")).collect()
    }

    fn output(task: &Classify, label: u32) -> Option<u32> {
        task.target(0, &Example { id: "x".to_owned(), label })
    }

    #[test]
    fn a_restriction_renumbers_labels() {
        let new = |subset| Classify::new(&names(6), &ClassRule::Only(vec![1, 4, 5]), subset, Vec::new());
        let task = new(ClassSubset::All);
        assert_eq!(task.candidates.names, ["c1", "c4", "c5"]);
        assert_eq!((output(&task, 4), output(&task, 0), output(&task, 99)), (Some(1), None, None));
        let base = new(ClassSubset::Base);
        assert_eq!((base.outputs.len(), output(&base, 4), output(&base, 5)), (2, Some(1), None));
    }

    #[test]
    fn a_group_has_the_largest_logit_of_its_members() {
        // By hand: groups {c3, c1} and {c4} over rows c1, c3, c4.
        let groups = ClassRule::Groups(vec![("alarm".to_owned(), vec![3, 1]), ("bag".to_owned(), vec![4])]);
        let task = Classify::new(&names(6), &groups, ClassSubset::All, Vec::new());
        assert_eq!(task.candidates.names, ["c1", "c3", "c4"]);
        assert_eq!(task.reduce(&[0.5, -1.0, 0.25]).unwrap(), [0.5, 0.25]);
        assert!(task.reduce(&[0.5, f32::NAN, 0.0]).unwrap()[0].is_nan());
        assert!(task.judge(0, 0, &Answer::Scores(vec![0.5, f32::NAN, 0.0])).is_none());
        assert_eq!(task.outputs, ["alarm", "bag"]);
        assert_eq!(output(&task, 1), Some(1));
    }

    #[test]
    fn top_five_in_order_with_ties_to_the_first() {
        let row = choice(1, &[1.0, 3.0, 3.0, -1.0, 0.0, 2.0, 9.0]).unwrap();
        assert_eq!(row.top_classes, [6, 1, 2, 5, 0]);
        let row = choice(0, &[2.0, 2.0]).unwrap();
        assert_eq!((row.prediction, row.top_classes[1], row.top_classes[2]), (0, 1, u32::MAX));
        assert!((row.score - 0.5).abs() < 1e-6 && (row.loss - 2f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn loss_is_stable_for_large_logits() {
        let row = choice(0, &[1000.0, 0.0]).unwrap();
        assert_eq!((row.loss, row.score), (0.0, 1.0));
        assert!(choice(0, &[f32::NAN, 0.0]).is_none());
    }

    #[test]
    fn negative_logits_fill_the_list() {
        let row = choice(0, &[-5.0, -4.0, -6.0]).unwrap();
        assert_eq!(row.top_classes, [1, 0, 2, u32::MAX, u32::MAX]);
    }
}
