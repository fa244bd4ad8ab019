//! Greedy generation, many prompts at a time, with keys and values kept.

use candle_core::{DType, Device, Result, Tensor};

use super::attention::{Past, Scene};
use super::decoder::Decoder;
use super::forest::Forest;
use super::reader::Prompt;
use super::score::best;
use super::tokenizer::LanguageTokenizer;
use crate::task::Generated;

/// Tokens of prompts that are read at a time.
const PREFILL: usize = 2048;

/// One prompt at work.
struct Line {
    tokens: Vec<u32>,
    /// The next token to read.
    next: u32,
    done: bool,
    /// Where a stop text begins, once one is there.
    text: Option<String>,
}

/// Continues every prompt until one of its stop texts, an end token, or its limit.
///
/// A stop text counts wherever it appears in what was generated, and cuts it there (lm-eval 0.4.13,
/// `stop_sequences_criteria` and `postprocess_generated_text`).
pub fn generate(
    decoder: &Decoder,
    tokenizer: &LanguageTokenizer,
    ends: &[u32],
    prompts: &[Prompt],
    dtype: DType,
    device: &Device,
) -> Result<Vec<Generated>> {
    let mut all = Vec::with_capacity(prompts.len());
    let mut first = 0;
    while first < prompts.len() {
        // As many prompts as can be read at once; at least one.
        let mut last = first;
        let mut tokens = 0;
        while last < prompts.len() && (last == first || tokens + prompts[last].tokens.len() <= PREFILL) {
            tokens += prompts[last].tokens.len();
            last += 1;
        }
        all.extend(some(decoder, tokenizer, ends, &prompts[first..last], dtype, device)?);
        first = last;
    }
    Ok(all)
}

fn some(
    decoder: &Decoder,
    tokenizer: &LanguageTokenizer,
    ends: &[u32],
    prompts: &[Prompt],
    dtype: DType,
    device: &Device,
) -> Result<Vec<Generated>> {
    let config = &decoder.config;
    let forest = Forest::chains(prompts.iter().map(|p| p.tokens.as_slice()));
    let last_rows: Vec<u32> = forest.segments.iter().map(|s| (s.start + s.len - 1) as u32).collect();
    let mut lengths: Vec<usize> = prompts.iter().map(|p| p.tokens.len()).collect();
    let room = |i: usize| lengths[i] + prompts[i].limit.min(256);
    let fresh = |_| (0..prompts.len()).map(|i| Past::new(room(i))).collect::<Vec<Past>>();
    let mut past: Vec<Vec<Past>> = (0..config.layers).map(fresh).collect();
    let scene = Scene::new(config, forest, &[], dtype, device)?;
    let x = decoder.blocks(&decoder.embed(&scene, dtype)?, &scene, 0..config.layers, Some(&mut past))?;
    let rows = last_rows.len();
    let x = x.index_select(&Tensor::from_vec(last_rows, rows, device)?, 0)?;
    let mut lines: Vec<Line> =
        prompts.iter().map(|_| Line { tokens: Vec::new(), next: 0, done: false, text: None }).collect();
    let everyone: Vec<usize> = (0..prompts.len()).collect();
    take(&decoder.logits(&x)?, &everyone, &mut lines, tokenizer, ends, prompts)?;
    let mut active = everyone;
    loop {
        let still: Vec<usize> = active.iter().copied().filter(|&i| !lines[i].done).collect();
        if still.is_empty() {
            break;
        }
        if still.len() < active.len() {
            // Caches of finished lines go.
            for layer in &mut past {
                let mut place = 0;
                layer.retain(|_| {
                    place += 1;
                    !lines[active[place - 1]].done
                });
            }
        }
        active = still;
        let next: Vec<u32> = active.iter().map(|&i| lines[i].next).collect();
        let forest = Forest::chains(next.chunks(1));
        let before: Vec<usize> = active.iter().map(|&i| lengths[i]).collect();
        let scene = Scene::new(config, forest, &before, dtype, device)?;
        let x = decoder.blocks(&decoder.embed(&scene, dtype)?, &scene, 0..config.layers, Some(&mut past))?;
        active.iter().for_each(|&i| lengths[i] += 1);
        take(&decoder.logits(&x)?, &active, &mut lines, tokenizer, ends, prompts)?;
    }
    let finish = |line: Line| {
        let text = line.text.unwrap_or_else(|| tokenizer.decode(&line.tokens));
        Generated { text, tokens: line.tokens.len() as u32 }
    };
    Ok(lines.into_iter().map(finish).collect())
}

/// Takes the next token of each active line from its logits.
fn take(
    logits: &Tensor,
    active: &[usize],
    lines: &mut [Line],
    tokenizer: &LanguageTokenizer,
    ends: &[u32],
    prompts: &[Prompt],
) -> Result<()> {
    for (&i, logits) in active.iter().zip(logits.to_vec2::<f32>()?) {
        let (line, prompt) = (&mut lines[i], &prompts[i]);
        line.next = best(&logits) as u32;
        if ends.contains(&line.next) {
            line.done = true;
            continue;
        }
        line.tokens.push(line.next);
        if !prompt.until.is_empty() {
            let text = tokenizer.decode(&line.tokens);
            let cut =
                prompt.until.iter().filter(|u| !u.is_empty()).filter_map(|u| text.find(u.as_str())).min();
            if let Some(cut) = cut {
                line.text = Some(text[..cut].to_owned());
                line.done = true;
            }
        }
        line.done |= line.tokens.len() >= prompt.limit;
    }
    Ok(())
}
