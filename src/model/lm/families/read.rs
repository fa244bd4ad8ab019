//! What several families' configurations have in common.

use serde_json::{Value, json};

use crate::base::account::Fields;
use crate::model::lm::config::{Activation, Arrangement, DecoderConfig, HeadNorm, LLAMA, NormKind, Scales};
use crate::model::lm::positions::{Positions, Rotary, Stretch};

/// A size that must be there.
pub fn need_size(fields: &Fields, key: &str) -> Result<usize, String> {
    fields.size(key)?.ok_or_else(|| format!("`{key}` is missing"))
}

/// An activation by its name in `transformers`.
pub fn activation(fields: &Fields, key: &str, default: &str) -> Result<Activation, String> {
    let name = fields.or(key, default.to_owned())?;
    Ok(match name.as_str() {
        "silu" | "swish" => Activation::Silu,
        "gelu" => Activation::Gelu,
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Activation::GeluTanh,
        "relu" => Activation::Relu,
        other => return Err(format!("`{key}` is `{other}`, which is not supported")),
    })
}

/// Rotary positions: `rope_parameters` (transformers 5), else `rope_theta` and `rope_scaling`. `layers` names the
/// entry for a type of layer where there are several.
pub fn rotary(fields: &Fields, head_width: usize, layers: Option<&str>) -> Result<Rotary, String> {
    rotary_share(fields, head_width, layers, 1.0)
}

/// The same for a family of which `default` of each head's values turn where nothing is said.
pub fn rotary_share(
    fields: &Fields,
    head_width: usize,
    layers: Option<&str>,
    default: f64,
) -> Result<Rotary, String> {
    if let Some(all) = fields.section("rope_parameters")? {
        let own = layers.map(|l| all.section(l)).transpose()?.flatten();
        let part = own.as_ref().unwrap_or(&all);
        let theta: f64 = part.need("rope_theta")?;
        let share: f64 = match part.get("partial_rotary_factor")? {
            Some(share) => share,
            None => partial(fields, default)?,
        };
        let dims = turning(head_width, share);
        let (stretch, scale) = stretch((fields, part), "rope_type", (theta, dims))?;
        part.finish(&[])?;
        return checked(Rotary { theta, dims, stretch, scale });
    }
    let theta: Option<f64> = fields.get("rope_theta")?;
    let theta = theta.ok_or("neither `rope_parameters` nor `rope_theta` is there")?;
    let dims = turning(head_width, partial(fields, default)?);
    let (stretch, scale) = match fields.section("rope_scaling")? {
        Some(part) => {
            let key = if part.has("rope_type") { "rope_type" } else { "type" };
            let found = stretch((fields, &part), key, (theta, dims))?;
            part.value("rope_type");
            part.value("type");
            part.finish(&[])?;
            found
        }
        None => (Stretch::None, 1.0),
    };
    checked(Rotary { theta, dims, stretch, scale })
}

fn partial(fields: &Fields, default: f64) -> Result<f64, String> {
    fields.or("partial_rotary_factor", default)
}

fn turning(head_width: usize, share: f64) -> usize {
    (head_width as f64 * share) as usize
}

fn checked(rotary: Rotary) -> Result<Rotary, String> {
    if rotary.theta.is_finite() && rotary.theta > 0.0 {
        Ok(rotary)
    } else {
        Err(format!("`rope_theta` is {}", rotary.theta))
    }
}

/// How frequencies are stretched, and what cosines and sines are multiplied by. Some of it stands in the configuration itself.
fn stretch(
    (fields, part): (&Fields, &Fields),
    key: &str,
    turning: (f64, usize),
) -> Result<(Stretch, f64), String> {
    let kind = part.or(key, "default".to_owned())?;
    let plain = match kind.as_str() {
        "default" => Stretch::None,
        "linear" => Stretch::Linear(part.need("factor")?),
        // It stretches texts alone that are longer than the model was made for, and those are cut.
        "dynamic" => {
            part.need::<f64>("factor")?;
            Stretch::None
        }
        "llama3" => Stretch::Llama3 {
            factor: part.need("factor")?,
            low: part.need("low_freq_factor")?,
            high: part.need("high_freq_factor")?,
            original: part.need("original_max_position_embeddings")?,
        },
        "yarn" => return yarn(fields, part, turning),
        "longrope" | "su" => return longrope(fields, part, turning.1),
        other => return Err(format!("rotary positions of type `{other}` are not supported")),
    };
    Ok((plain, 1.0))
}

/// The length of the first training, in the configuration or else in the part, and by how much it is exceeded.
fn lengths(fields: &Fields, part: &Fields) -> Result<(f64, f64), String> {
    const ORIGINAL: &str = "original_max_position_embeddings";
    let longest = need_size(fields, "max_position_embeddings")? as f64;
    let (own, outer): (Option<f64>, Option<f64>) = (part.get(ORIGINAL)?, fields.get(ORIGINAL)?);
    let original = outer.or(own).ok_or_else(|| format!("`{ORIGINAL}` is missing"))?;
    let factor: Option<f64> = part.get("factor")?;
    let factor = factor.unwrap_or(longest / original);
    if original.is_finite() && original > 1.0 && factor.is_finite() && factor > 0.0 {
        Ok((original, factor))
    } else {
        Err(format!("`{ORIGINAL}` is {original} and `factor` {factor}"))
    }
}

/// YaRN as `_compute_yarn_parameters` of transformers reads it.
fn yarn(fields: &Fields, part: &Fields, (theta, dims): (f64, usize)) -> Result<(Stretch, f64), String> {
    let (original, factor) = lengths(fields, part)?;
    let scale_of = |weight: f64| if factor <= 1.0 { 1.0 } else { 0.1 * weight * factor.ln() + 1.0 };
    let (above, below): (Option<f64>, Option<f64>) = (part.get("mscale")?, part.get("mscale_all_dim")?);
    let usual = match (above.filter(|w| *w != 0.0), below.filter(|w| *w != 0.0)) {
        (Some(above), Some(below)) => scale_of(above) / scale_of(below),
        _ => scale_of(1.0),
    };
    let scale: Option<f64> = part.get("attention_factor")?;
    let turns = |key: &str, usual: f64| -> Result<f64, String> {
        let given: Option<f64> = part.get(key)?;
        Ok(given.filter(|v| *v != 0.0).unwrap_or(usual))
    };
    // The pair that turns so often within the first length.
    let pair =
        |turns: f64| dims as f64 * (original / (turns * std::f64::consts::TAU)).ln() / (2.0 * theta.ln());
    let (mut first, mut last) = (pair(turns("beta_fast", 32.0)?), pair(turns("beta_slow", 1.0)?));
    if part.or("truncate", true)? {
        (first, last) = (first.floor(), last.ceil());
    }
    (first, last) = (first.max(0.0), last.min(dims as f64 - 1.0));
    if first == last {
        last += 0.001;
    }
    if !(first.is_finite() && last.is_finite()) {
        return Err(format!("its YaRN parameters mean nothing: the ramp is from {first} to {last}"));
    }
    Ok((Stretch::Yarn { factor, ramp: [first, last] }, scale.unwrap_or(usual)))
}

/// LongRoPE for texts no longer than the first training's, to which the model is held: transformers takes other factors
/// for longer ones, by the longest text of a batch, so that a score would depend on its neighbours.
fn longrope(fields: &Fields, part: &Fields, dims: usize) -> Result<(Stretch, f64), String> {
    let (original, factor) = lengths(fields, part)?;
    let factors: Vec<f64> = part.need("short_factor")?;
    let long: Vec<f64> = part.need("long_factor")?;
    for (key, factors) in [("short_factor", &factors), ("long_factor", &long)] {
        if factors.len() != dims / 2 || factors.iter().any(|f| !f.is_finite() || *f <= 0.0) {
            return Err(format!("`{key}` has {} factors; {} above 0 are needed", factors.len(), dims / 2));
        }
    }
    let usual = if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / original.ln()).sqrt() };
    let scale: Option<f64> = part.get("attention_factor")?;
    Ok((Stretch::Each { factors, original: original as usize }, scale.unwrap_or(usual)))
}

/// Windows by `layer_types`, or by a rule if it is not there.
pub fn windows(
    fields: &Fields,
    layers: usize,
    window: Option<usize>,
    rule: impl Fn(usize) -> bool,
) -> Result<Vec<Option<usize>>, String> {
    let types: Option<Vec<String>> = fields.get("layer_types")?;
    let is_local = match types {
        Some(types) if types.len() != layers => {
            return Err(format!("`layer_types` has {} entries for {layers} layers", types.len()));
        }
        Some(types) => types
            .iter()
            .map(|t| match t.as_str() {
                "sliding_attention" => Ok(true),
                "full_attention" => Ok(false),
                other => Err(format!("layers of type `{other}` are not supported")),
            })
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..layers).map(rule).collect(),
    };
    is_local
        .into_iter()
        .map(|local| match (local, window) {
            (true, Some(w)) => Ok(Some(w)),
            (true, None) => Err("`sliding_window` is missing".to_owned()),
            (false, _) => Ok(None),
        })
        .collect()
}

/// The keys that Llama and its descendants share.
pub fn llama_like(fields: &Fields) -> Result<DecoderConfig, String> {
    let (width, heads) = (need_size(fields, "hidden_size")?, need_size(fields, "num_attention_heads")?);
    let head_width = fields.size("head_dim")?.unwrap_or(width / heads);
    let layers = need_size(fields, "num_hidden_layers")?;
    let vocab_size = need_size(fields, "vocab_size")?;
    // Said apart by some families below.
    fields.only("pretraining_tp", &[json!(1)])?;
    fields.only("use_bidirectional_attention", &[json!(false), Value::Null])?;
    Ok(DecoderConfig {
        vocab_size,
        width,
        embedding_width: width,
        layers,
        heads,
        kv_heads: fields.size("num_key_value_heads")?.unwrap_or(heads),
        head_width,
        hidden: need_size(fields, "intermediate_size")?,
        activation: Activation::Silu,
        gated: true,
        norm: NormKind::Rms,
        eps: fields.or("rms_norm_eps", 1e-6)?,
        arrangement: Arrangement::Before,
        norm_heads: HeadNorm::None,
        norm_final: true,
        bias_qkv: false,
        bias_out: false,
        bias_mlp: false,
        bias_head: false,
        positions: Positions::Learned { offset: 0 },
        local: None,
        unturned: Vec::new(),
        windows: vec![None; layers],
        length: need_size(fields, "max_position_embeddings")?,
        scale: (head_width as f64).powf(-0.5),
        cap_scores: None,
        cap_logits: None,
        clip_qkv: None,
        scales: Scales::default(),
        experts: None,
        tied: fields.or("tie_word_embeddings", false)?,
        names: LLAMA,
    })
}

/// The same with a SiLU perceptron and rotary positions, as most of them have.
pub fn turning_llama(fields: &Fields) -> Result<DecoderConfig, String> {
    let mut config = llama_like(fields)?;
    config.activation = activation(fields, "hidden_act", "silu")?;
    config.positions = Positions::Rotary(rotary(fields, config.head_width, None)?);
    Ok(config)
}

/// Biases of all four projections of attention, or of none.
pub fn attention_bias(fields: &Fields, config: &mut DecoderConfig) -> Result<(), String> {
    let bias = fields.or("attention_bias", false)?;
    (config.bias_qkv, config.bias_out) = (bias, bias);
    Ok(())
}

/// Windows in the later blocks, where Qwen uses them at all.
pub fn late_windows(fields: &Fields, config: &mut DecoderConfig) -> Result<(), String> {
    let window = fields.size("sliding_window")?;
    let used = fields.or("use_sliding_window", false)?;
    let first = fields.or("max_window_layers", 28)?;
    config.windows = windows(fields, config.layers, window, |i| used && i >= first)?;
    Ok(())
}
