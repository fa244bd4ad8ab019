//! What chosen examples show, for the report: small pictures, or prompts and choices.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::RunError;
use crate::base::fs::write_atomic;
use crate::image::{Filter, Rgb, resize_region};
use crate::model::{Input, Reading};
use crate::plan::Plan;
use crate::store::{Shown, StoreError};
use crate::task::{Ask, Request};

/// Longest side of a picture.
const SIDE: usize = 96;

/// Writes pictures of examples as the models see them (without corruption), at most 96 pixels a side. `wanted` holds
/// probe, example and file; files that are there are written again, since data may have changed.
pub fn pictures(plan: &Plan, wanted: &[(String, String, PathBuf)]) -> Result<(), RunError> {
    let Some(reader) = plan.checkpoints.values().next() else { return Ok(()) };
    for probe in &plan.probes {
        let missing: Vec<&(String, String, PathBuf)> =
            wanted.iter().filter(|(p, _, _)| *p == probe.spec.id).collect();
        if missing.is_empty() {
            continue;
        }
        let places: BTreeMap<&str, usize> =
            probe.data.examples().iter().enumerate().map(|(i, e)| (e.id.as_str(), i)).collect();
        for (_, example, path) in missing {
            let Some(&place) = places.get(example.as_str()) else { continue };
            let wrap = |source| RunError::Data { name: probe.spec.dataset.clone(), source };
            let record = probe.data.read(place..place + 1).map_err(wrap)?.pop();
            let question = record.and_then(|r| probe.task.question(place, r).ok());
            if let Some(shown) = question.as_ref().and_then(|q| Shown::of(&q.ask)) {
                let text = serde_json::to_string(&shown).expect("plain data always has a JSON form");
                write_atomic(&path.with_extension("json"), text.as_bytes()).map_err(StoreError::from)?;
                continue;
            }
            let reading = Reading { most_pixels: plan.suite.most_pixels, border: probe.border };
            let input = question.and_then(|q| reader.architecture.reader().read(q, reading).ok());
            // An image that cannot be decoded is no example of any prediction.
            let Some(Input::Image(crop)) = input else { continue };
            write_atomic(path, &small(crop).to_png()).map_err(StoreError::from)?;
        }
    }
    Ok(())
}

impl Shown {
    /// The prompt and what is asked of it, if it is a text.
    fn of(ask: &Ask) -> Option<Self> {
        let continuation = |request: &Request| request.continuation.trim().to_owned();
        Some(match ask {
            Ask::Choose(_) => return None,
            Ask::Likelihood(requests) => {
                let first = requests.first()?;
                let same = requests.iter().all(|r| r.context == first.context);
                // Where choices are contexts, the contexts are what differs.
                let choices = if same {
                    requests.iter().map(continuation).collect()
                } else {
                    requests.iter().map(|r| r.context.shown()).collect()
                };
                let prompt = if same { first.context.shown() } else { continuation(first) };
                Self { prompt, choices }
            }
            Ask::Rolling(text) => Self { prompt: text.clone(), choices: Vec::new() },
            Ask::Generate { context, .. } => Self { prompt: context.shown(), choices: Vec::new() },
        })
    }
}

fn small(image: Rgb) -> Rgb {
    let longest = image.width.max(image.height);
    if longest <= SIDE {
        return image;
    }
    let part = |n: usize| (n * SIDE / longest).max(1);
    let (width, height) = (part(image.width), part(image.height));
    resize_region(&image, Filter::Box, (width, height), (0, 0), (width, height))
}
