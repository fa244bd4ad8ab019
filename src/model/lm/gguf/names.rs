//! llama.cpp's names of tensors.

use super::config::Read;
use super::rope::ROPE_FACTORS;
use crate::checkpoint::{Naming, Share};
use crate::model::lm::config::{DecoderConfig, Place};

/// Names of a configuration.
pub struct GgufNames<'a> {
    config: &'a DecoderConfig,
    read: &'a Read,
}

impl<'a> GgufNames<'a> {
    /// Of `config`.
    #[must_use]
    pub const fn new(config: &'a DecoderConfig, read: &'a Read) -> Self {
        Self { config, read }
    }

    /// What a tensor without its ending is called here; `None` if it is unknown.
    fn known(&self, stem: &str) -> Option<String> {
        let n = &self.config.names;
        match stem {
            "token_embd" => return Some(n.embedding.to_owned()),
            "output" => return Some(n.head.to_owned()),
            "output_norm" => return Some(n.norm_final.to_owned()),
            "position_embd" if !n.positions.is_empty() => return Some(n.positions.to_owned()),
            _ => {}
        }
        let (layer, part) = stem.strip_prefix("blk.")?.split_once('.')?;
        let own = |place: &Place| matches!(place, Place::Own(_));
        let named = |place: &Place| match place {
            Place::Own(name) | Place::Joint(name) | Place::ByHead(name) => *name,
        };
        let found = match part {
            "attn_q" => named(&n.qkv[0]),
            "attn_k" => named(&n.qkv[1]),
            "attn_v" => named(&n.qkv[2]),
            "attn_qkv" if !own(&n.qkv[0]) => named(&n.qkv[0]),
            "attn_output" => n.out,
            "attn_norm" => n.norm_attention,
            "ffn_norm" => n.norm_mlp,
            "attn_q_norm" => "self_attn.q_norm",
            "attn_k_norm" => "self_attn.k_norm",
            "post_attention_norm" if !n.norm_attention_out.is_empty() => n.norm_attention_out,
            "post_ffw_norm" if !n.norm_mlp_out.is_empty() => n.norm_mlp_out,
            "ffn_gate" => named(&n.gate_up[0]),
            "ffn_up" => named(&n.gate_up[1]),
            "ffn_down" => n.down,
            "ffn_gate_inp" => self.config.experts.as_ref()?.router,
            _ => return None,
        };
        Some(self.config.block(layer.parse().ok()?, found))
    }

    /// The tensors of experts that a stored one holds, of which each is a matrix of it, or is the one that older files
    /// number.
    fn experts(&self, stem: &str, ending: &str) -> Option<Vec<(String, Share)>> {
        let experts = self.config.experts.as_ref()?;
        let (layer, part) = stem.strip_prefix("blk.")?.split_once('.')?;
        let layer = layer.parse().ok()?;
        let (part, number) = match part.split_once('.') {
            Some((part, number)) => (part, Some(number.parse().ok()?)),
            None => (part.strip_suffix("_exps")?, None),
        };
        let place = ["ffn_gate", "ffn_up", "ffn_down"].iter().position(|p| *p == part)?;
        let named = |i| format!("{}.{ending}", self.config.expert(layer, i, experts.parts[place]));
        Some(match number {
            Some(number) => vec![(named(number), Share::Whole)],
            None => (0..experts.count).map(|i| (named(i), Share::Part(i))).collect(),
        })
    }

    fn share(&self, stem: &str, ending: &str) -> Share {
        let part = stem.split('.').next_back().unwrap_or(stem);
        let (n, format) = (&self.config.names, self.read.format);
        match part {
            "attn_q" if format.pairs => Share::Halves(self.config.heads),
            "attn_k" if format.pairs => Share::Halves(self.config.kv_heads),
            "attn_qkv" if matches!(n.qkv[0], Place::ByHead(_)) => Share::ByHead(self.config.heads),
            "attn_qkv" | "attn_output" | "ffn_up" | "ffn_down" if n.transposed && ending == "weight" => {
                Share::Transposed
            }
            norm if format.one_more && norm.ends_with("_norm") => Share::LessOne,
            _ => Share::Whole,
        }
    }
}

impl Naming for GgufNames<'_> {
    fn translate(&self, stored: &[&str]) -> Vec<Vec<(String, Share)>> {
        let one = |name: &&str| {
            if ROPE_FACTORS.contains(name) {
                // Taken with the configuration.
                return Vec::new();
            }
            let found = name.rsplit_once('.').and_then(|(stem, ending)| {
                let one = || {
                    let name = format!("{}.{ending}", self.known(stem)?);
                    Some(vec![(name, self.share(stem, ending))])
                };
                self.experts(stem, ending).or_else(one)
            });
            found.unwrap_or_else(|| vec![((*name).to_owned(), Share::Whole)])
        };
        stored.iter().map(one).collect()
    }
}
