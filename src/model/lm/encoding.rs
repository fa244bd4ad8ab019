//! From requests to token sequences: how a context and its continuation are cut apart, and what is left out where both
//! are longer than the model (lm-eval 0.4.13, `TemplateLM._encode_pair`, `HFLM._loglikelihood_tokens`, `loglikelihood_rolling`).

use super::forest::Scored;
use super::tokenizer::LanguageTokenizer;

/// Whether Python's `str.rstrip` takes a character off.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// A context and the continuation that is scored after it.
///
/// White space at the context's end goes to the continuation; both are encoded together, and the continuation is what
/// comes after as many tokens as the context alone has. An empty context is the first special token.
pub fn pair(tokenizer: &LanguageTokenizer, context: &str, continuation: &str) -> Result<Scored, String> {
    let text = |e: crate::model::ModelError| e.to_string();
    if context.is_empty() {
        let prefix = tokenizer.prefix().ok_or("the tokenizer has no token for an empty context")?.0;
        let tokens = tokenizer.encode_plain(continuation).map_err(text)?;
        return match tokens.first() {
            None => Err("a continuation without tokens".to_owned()),
            Some(&first) if first == prefix && tokens.len() > 1 => {
                Ok(Scored { scored: tokens.len() - 1, tokens })
            }
            Some(_) => {
                let tokens: Vec<u32> = std::iter::once(prefix).chain(tokens).collect();
                Ok(Scored { scored: tokens.len() - 1, tokens })
            }
        };
    }
    let trimmed = context.trim_end_matches(is_space);
    let moved = &context[trimmed.len()..];
    let tokens = tokenizer.encode(&format!("{trimmed}{moved}{continuation}")).map_err(text)?;
    let before = tokenizer.encode(trimmed).map_err(text)?.len();
    if tokens.len() <= before || before == 0 {
        return Err("a continuation without tokens of its own".to_owned());
    }
    Ok(Scored { scored: tokens.len() - before, tokens })
}

/// Leaves out leading tokens beyond what a model of `length` positions reads.
pub fn fit(mut sequence: Scored, length: usize) -> Result<Scored, String> {
    if sequence.scored > length {
        return Err(format!(
            "a continuation of {} tokens; the model has {length} positions",
            sequence.scored
        ));
    }
    let over = sequence.tokens.len().saturating_sub(length + 1);
    sequence.tokens.drain(..over);
    Ok(sequence)
}

/// A whole text in windows that predict each token once, with as much before it as there is room for in the last one.
pub fn rolling(tokenizer: &LanguageTokenizer, text: &str, length: usize) -> Result<Vec<Scored>, String> {
    let tokens = tokenizer.encode(text).map_err(|e| e.to_string())?;
    let prefix = tokenizer.prefix().ok_or("the tokenizer has no token for an empty context")?.0;
    let mut windows = Vec::new();
    let first = length.min(tokens.len());
    if first == 0 {
        return Err("a text without tokens".to_owned());
    }
    windows.push(Scored {
        tokens: std::iter::once(prefix).chain(tokens[..first].iter().copied()).collect(),
        scored: first,
    });
    let mut done = first;
    while done < tokens.len() {
        let scored = (tokens.len() - done).min(length);
        let end = done + scored;
        // One window of the model's length that ends here; what comes before `done` is context.
        windows.push(Scored { tokens: tokens[end - length - 1..end].to_vec(), scored });
        done = end;
    }
    Ok(windows)
}
