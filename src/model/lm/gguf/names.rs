//! llama.cpp's names of tensors.

use super::config::{ROPE_FACTORS, Read};
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
            _ => {}
        }
        let (layer, part) = stem.strip_prefix("blk.")?.split_once('.')?;
        let joint = |place: &Place| matches!(place, Place::Joint(_));
        let named = |place: &Place| match place {
            Place::Own(name) | Place::Joint(name) | Place::ByHead(name) => *name,
        };
        let found = match part {
            "attn_q" => named(&n.qkv[0]),
            "attn_k" => named(&n.qkv[1]),
            "attn_v" => named(&n.qkv[2]),
            "attn_qkv" if joint(&n.qkv[0]) => named(&n.qkv[0]),
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
            _ => return None,
        };
        Some(self.config.block(layer.parse().ok()?, found))
    }

    fn share(&self, stem: &str) -> Share {
        if self.read.pairs && stem.ends_with(".attn_q") {
            Share::Halves(self.config.heads)
        } else if self.read.pairs && stem.ends_with(".attn_k") {
            Share::Halves(self.config.kv_heads)
        } else if self.read.one_more && stem.ends_with("_norm") {
            Share::LessOne
        } else {
            Share::Whole
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
            let known = name.rsplit_once('.').and_then(|(stem, ending)| {
                Some((format!("{}.{ending}", self.known(stem)?), self.share(stem)))
            });
            vec![known.unwrap_or_else(|| ((*name).to_owned(), Share::Whole))]
        };
        stored.iter().map(one).collect()
    }
}
