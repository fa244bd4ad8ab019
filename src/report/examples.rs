//! What happened to single examples on the way from the pretrained to the fine-tuned model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::ReportError;
use crate::base::digest::Digest;
use crate::stats::{Drawing, Flips, Interval, clustered_wilson, wilson};
use crate::store::{Clusters, Manifest, Predictions, ProbeRecord};
use crate::suite::ProbeRole;

/// Regressions listed for each curve and probe.
const REGRESSIONS: usize = 6;
/// Confusions listed for each curve and probe.
const CONFUSIONS: usize = 5;

/// One curve on one probe, example by example.
#[derive(Clone, Debug, Serialize)]
pub struct ExampleView {
    /// The curve.
    pub curve: String,
    /// The probe.
    pub probe: String,
    /// Examples.
    pub n: usize,
    /// Examples right at alpha 0.
    pub right_before: usize,
    /// From alpha 0 to alpha 1.
    pub gained: usize,
    /// From alpha 0 to alpha 1.
    pub lost: usize,
    /// Negative-flip rate, lost among all examples, with Wilson's interval.
    pub negative_flips: Option<Interval>,
    /// Examples wrong at both ends and right somewhere between.
    pub only_between: usize,
    /// Examples right at both ends and wrong somewhere between.
    pub dip_between: usize,
    /// Step by step along alpha.
    pub steps: Vec<Step>,
    /// The most confident new mistakes of the fine-tuned end.
    pub regressions: Vec<Regression>,
    /// The pairs of classes whose confusion changed most.
    pub confusions: Vec<Confusion>,
}

/// From one alpha of the grid to the next.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The alpha before.
    pub from: f64,
    /// The alpha after.
    pub to: f64,
    /// Forgetting events: right before, wrong after (Toneva et al. 2019, arXiv:1812.05159, along alpha).
    pub lost: usize,
    /// Wrong before, right after.
    pub gained: usize,
}

/// An example that the pretrained model has right and the fine-tuned one wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Regression {
    /// Its id.
    pub example: String,
    /// Its class.
    pub label: String,
    /// What the fine-tuned model says.
    pub prediction: String,
    /// How sure it is.
    pub score: f32,
    /// Whether each alpha of the grid has it right.
    pub along: Vec<bool>,
    /// Log-likelihood of each choice by the pretrained and by the fine-tuned model, where there are choices.
    pub likelihoods: Vec<[f64; 2]>,
    /// What the pretrained and the fine-tuned model wrote, where they wrote.
    pub written: Option<[String; 2]>,
    /// Instructions that the fine-tuned model's text does not follow, by their place.
    pub failed: Vec<usize>,
}

/// How often one class is taken for another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// The class.
    pub label: String,
    /// What it is taken for.
    pub prediction: String,
    /// By the pretrained model.
    pub before: usize,
    /// By the fine-tuned model.
    pub after: usize,
}

/// Where the picture of an example lies below the results folder.
#[must_use]
pub fn picture_path(out: &Path, probe: &str, example: &str) -> PathBuf {
    let name = Digest::of_bytes(example.as_bytes());
    out.join("examples").join(probe).join(format!("{}.png", name.short()))
}

/// Looks at every finished curve on every probe that is no selection probe.
pub fn example_views(out: &Path, manifest: &Manifest) -> Result<Vec<ExampleView>, ReportError> {
    let mut all = Vec::new();
    for curve in &manifest.curves {
        for probe in manifest.probes.iter().filter(|p| p.spec.role != ProbeRole::Selection) {
            let done = curve
                .points
                .iter()
                .all(|p| manifest.cell(&p.variant, &probe.spec.id).is_some_and(|c| c.stated.is_empty()));
            if !done {
                continue;
            }
            let read = |variant: &str| match manifest.cell(variant, &probe.spec.id) {
                Some(record) => Predictions::read_record(out, record, probe.class_names.len()),
                None => Predictions::read(&Predictions::path(out, variant, &probe.spec.id)),
            };
            let points: Vec<(f64, Predictions)> = curve
                .points
                .iter()
                .map(|p| Ok((p.alpha, read(&p.variant)?)))
                .collect::<Result<_, ReportError>>()?;
            let clusters = match (&probe.spec.cluster, points.first()) {
                (Some(_), Some((_, first))) => {
                    let path = Clusters::path(out, &probe.spec.id);
                    Some(Clusters::names(&path, &first.example_id)?)
                }
                _ => None,
            };
            let level = manifest.suite.stats.confidence;
            all.extend(view(&curve.id, probe, &points, clusters, level));
        }
    }
    Ok(all)
}

fn view(
    curve: &str,
    probe: &ProbeRecord,
    points: &[(f64, Predictions)],
    clusters: Option<Vec<String>>,
    level: f64,
) -> Option<ExampleView> {
    let ((_, first), (_, last)) = (points.first()?, points.last()?);
    let right =
        |p: &Predictions| -> Vec<bool> { p.label.iter().zip(&p.prediction).map(|(l, p)| l == p).collect() };
    let along: Vec<Vec<bool>> = points.iter().map(|(_, p)| right(p)).collect();
    let (before, after) = (along.first()?, along.last()?);
    let flips = Flips::count(before, after);
    let n = before.len();
    let inside = |i: usize, wanted: bool| along[1..along.len() - 1].iter().any(|r| r[i] == wanted);
    let steps = points.windows(2).zip(along.windows(2)).map(|(p, r)| {
        let f = Flips::count(&r[0], &r[1]);
        Step { from: p[0].0, to: p[1].0, lost: f.lost, gained: f.gained }
    });
    let name =
        |class: u32| probe.class_names.get(class as usize).cloned().unwrap_or_else(|| class.to_string());
    let mut worst: Vec<usize> = (0..n).filter(|&i| before[i] && !after[i]).collect();
    worst.sort_by(|&a, &b| last.score[b].total_cmp(&last.score[a]).then(a.cmp(&b)));
    let regressions = worst.into_iter().take(REGRESSIONS).map(|i| Regression {
        example: last.example_id[i].clone(),
        label: name(last.label[i]),
        prediction: name(last.prediction[i]),
        score: last.score[i],
        along: along.iter().map(|r| r[i]).collect(),
        likelihoods: pairs(list(first, "loglikelihoods", i), list(last, "loglikelihoods", i)),
        written: text(first, i).zip(text(last, i)).map(|(a, b)| [a, b]),
        failed: failed(list(last, "strict", i)),
    });
    Some(ExampleView {
        curve: curve.to_owned(),
        probe: probe.spec.id.clone(),
        n,
        right_before: before.iter().filter(|r| **r).count(),
        gained: flips.gained,
        lost: flips.lost,
        negative_flips: negative_flips(before, after, clusters, level),
        only_between: (0..n).filter(|&i| !before[i] && !after[i] && inside(i, true)).count(),
        dip_between: (0..n).filter(|&i| before[i] && after[i] && inside(i, false)).count(),
        steps: steps.collect(),
        regressions: regressions.collect(),
        confusions: confusions(first, last, name),
    })
}

/// A list that the task keeps of an example.
fn list<'a>(predictions: &'a Predictions, name: &str, i: usize) -> &'a [f64] {
    let found = predictions.lists.iter().find(|l| l.0 == name);
    found.and_then(|l| l.1.get(i)).map(Vec::as_slice).unwrap_or_default()
}

fn text(predictions: &Predictions, i: usize) -> Option<String> {
    predictions.texts.as_ref()?.get(i).cloned()
}

fn pairs(before: &[f64], after: &[f64]) -> Vec<[f64; 2]> {
    before.iter().zip(after).map(|(a, b)| [*a, *b]).collect()
}

fn failed(followed: &[f64]) -> Vec<usize> {
    (0..followed.len()).filter(|&i| followed[i] == 0.0).collect()
}

/// Interval of the share of examples that were right and are wrong.
fn negative_flips(
    before: &[bool],
    after: &[bool],
    clusters: Option<Vec<String>>,
    level: f64,
) -> Option<Interval> {
    let lost: Vec<bool> = before.iter().zip(after).map(|(b, a)| *b && !a).collect();
    match clusters {
        Some(names) => {
            let drawing = Drawing::of(vec![(String::new(), names)]).pop()?;
            clustered_wilson(&lost, &drawing.places, level)
        }
        None => wilson(lost.iter().filter(|l| **l).count() as f64, lost.len() as f64, level),
    }
}

fn confusions(before: &Predictions, after: &Predictions, name: impl Fn(u32) -> String) -> Vec<Confusion> {
    let mut counts: BTreeMap<(u32, u32), (usize, usize)> = BTreeMap::new();
    for (&label, &prediction) in before.label.iter().zip(&before.prediction).filter(|(l, p)| l != p) {
        counts.entry((label, prediction)).or_default().0 += 1;
    }
    for (&label, &prediction) in after.label.iter().zip(&after.prediction).filter(|(l, p)| l != p) {
        counts.entry((label, prediction)).or_default().1 += 1;
    }
    let mut changed: Vec<_> = counts.into_iter().filter(|(_, (b, a))| a != b).collect();
    changed.sort_by_key(|(pair, (b, a))| (std::cmp::Reverse(a.abs_diff(*b)), *pair));
    let one = |((label, prediction), (before, after))| Confusion {
        label: name(label),
        prediction: name(prediction),
        before,
        after,
    };
    changed.into_iter().take(CONFUSIONS).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions(predicted: &[u32]) -> Predictions {
        Predictions {
            example_id: (0..predicted.len()).map(|i| format!("e{i}")).collect(),
            label: vec![0; predicted.len()],
            prediction: predicted.to_vec(),
            score: (0..predicted.len()).map(|i| i as f32 / 10.0).collect(),
            ..Predictions::default()
        }
    }

    fn probe() -> ProbeRecord {
        let json = r#"{"id": "p", "dataset": "d", "split": "test", "role": "generality", "group": "",
            "metric": "top1", "classes": "all", "limit": null, "templates": null, "licence": "",
            "data": "853659cbd9a726248a20de8c0c9f9b29916da2f711a12e6a18023fd159c5aa2d",
            "examples": 5, "class_names": ["cat", "dog"], "templates_used": []}"#;
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn flips_events_and_confusions_by_hand() {
        // Right is 0. Columns: kept, lost, lost late and most surely, right only between, dip between.
        let points = [
            (0.0, predictions(&[0, 0, 0, 1, 0])),
            (0.5, predictions(&[0, 1, 0, 0, 1])),
            (1.0, predictions(&[0, 1, 1, 1, 0])),
        ];
        let v = view("ft", &probe(), &points, None, 0.95).unwrap();
        assert_eq!((v.right_before, v.lost, v.gained, v.only_between, v.dip_between), (4, 2, 0, 1, 1));
        assert_eq!(v.steps[0], Step { from: 0.0, to: 0.5, lost: 2, gained: 1 });
        assert_eq!(v.steps[1], Step { from: 0.5, to: 1.0, lost: 2, gained: 1 });
        let names: Vec<&str> = v.regressions.iter().map(|r| r.example.as_str()).collect();
        assert_eq!(names, ["e2", "e1"]);
        assert_eq!(v.regressions[0].along, [true, true, false]);
        assert_eq!((v.confusions[0].before, v.confusions[0].after), (1, 3));
        assert_eq!((v.confusions[0].label.as_str(), v.confusions[0].prediction.as_str()), ("cat", "dog"));
    }
}
