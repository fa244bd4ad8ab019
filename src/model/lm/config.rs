//! What a decoder computes, family apart: shapes, norms, positions, attention, and where each tensor lies.

use std::collections::BTreeMap;

use serde::Serialize;

use super::positions::{Positions, Rotary};

/// The function between the two layers of a perceptron.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Activation {
    /// x sigmoid(x).
    Silu,
    /// Exact, by the error function.
    Gelu,
    /// By the hyperbolic tangent.
    GeluTanh,
    /// max(x, 0).
    Relu,
}

/// A norm over the width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum NormKind {
    /// Mean and variance, weight and bias.
    Layer,
    /// Mean and variance alone.
    LayerPlain,
    /// Root of the mean square.
    Rms,
    /// The same, times one plus the weight (Gemma).
    RmsPlusOne,
}

/// Where a block's norms stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Arrangement {
    /// Before each branch.
    Before,
    /// After each branch's sum (OPT 350M).
    After,
    /// Before each branch, and on its result (Gemma 2 and 3).
    Both,
    /// On each branch's result alone (OLMo 2).
    Results,
    /// Before each branch, both branches from the block's input (GPT-NeoX).
    Parallel,
    /// One norm before both branches, which start from the block's input (Phi 1 and 2, StableLM 2 12B).
    ParallelShared,
}

/// Norms of queries and keys before they turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum HeadNorm {
    /// None.
    None,
    /// Over each head (Qwen 3, Gemma 3).
    Each,
    /// Over all heads together (OLMo 2).
    Whole,
}

/// Factors of what flows between blocks; one where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Scales {
    /// Of the embedding (Gemma, Granite).
    pub embedding: Option<f64>,
    /// Of each branch before it is added (Granite).
    pub branch: Option<f64>,
    /// What logits are divided by (Granite).
    pub logits: Option<f64>,
}

/// A projection within a block: where its rows lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Place {
    /// A tensor of its own.
    Own(&'static str),
    /// One after the other in a joint tensor.
    Joint(&'static str),
    /// In a joint tensor, head by head: query, key, value (GPT-NeoX).
    ByHead(&'static str),
}

/// Names of tensors; those of a block come after `layers`, its number and a dot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Names {
    /// Token embedding.
    pub embedding: &'static str,
    /// Learned positions.
    pub positions: &'static str,
    /// Projections from and to the embedding's width, if it is another (OPT 350M).
    pub project: (&'static str, &'static str),
    /// What comes before a block's number.
    pub layers: &'static str,
    /// Query, key, value.
    pub qkv: [Place; 3],
    /// Attention's output.
    pub out: &'static str,
    /// Gate, if there is one, and up.
    pub gate_up: [Place; 2],
    /// The perceptron's output.
    pub down: &'static str,
    /// Norm before (or after) attention.
    pub norm_attention: &'static str,
    /// Norm on attention's result.
    pub norm_attention_out: &'static str,
    /// Norm before (or after) the perceptron.
    pub norm_mlp: &'static str,
    /// Norm on the perceptron's result.
    pub norm_mlp_out: &'static str,
    /// Norm after the last block.
    pub norm_final: &'static str,
    /// Vocabulary.
    pub head: &'static str,
    /// Whether projections are stored `[in, out]` (GPT-2).
    pub transposed: bool,
}

/// Names as Llama and its descendants have them.
pub const LLAMA: Names = Names {
    embedding: "model.embed_tokens",
    positions: "",
    project: ("", ""),
    layers: "model.layers.",
    qkv: [Place::Own("self_attn.q_proj"), Place::Own("self_attn.k_proj"), Place::Own("self_attn.v_proj")],
    out: "self_attn.o_proj",
    gate_up: [Place::Own("mlp.gate_proj"), Place::Own("mlp.up_proj")],
    down: "mlp.down_proj",
    norm_attention: "input_layernorm",
    norm_attention_out: "",
    norm_mlp: "post_attention_layernorm",
    norm_mlp_out: "",
    norm_final: "model.norm",
    head: "lm_head",
    transposed: false,
};

/// Perceptrons of which each token takes some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExpertsConfig {
    /// How many there are.
    pub count: usize,
    /// How many a token takes.
    pub chosen: usize,
    /// Whether the shares of those add up to one.
    pub normed: bool,
    /// The router.
    pub router: &'static str,
    /// What comes before an expert's number.
    pub prefix: &'static str,
    /// Gate, up and down after it.
    pub parts: [&'static str; 3],
}

/// Norms of queries and keys.
pub const HEAD_NORMS: [&str; 2] = ["self_attn.q_norm", "self_attn.k_norm"];

/// A decoder's shapes and hyper-parameters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DecoderConfig {
    /// Tokens.
    pub vocab_size: usize,
    /// Width.
    pub width: usize,
    /// Width of the embedding.
    pub embedding_width: usize,
    /// Blocks.
    pub layers: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_width: usize,
    /// Width of the perceptron.
    pub hidden: usize,
    /// Its function.
    pub activation: Activation,
    /// Whether it is gated.
    pub gated: bool,
    /// The norms.
    pub norm: NormKind,
    /// Added to variances.
    pub eps: f64,
    /// Where norms stand.
    pub arrangement: Arrangement,
    /// Norms of queries and keys.
    pub norm_heads: HeadNorm,
    /// Whether there is a norm after the last block.
    pub norm_final: bool,
    /// Biases of query, key, value.
    pub bias_qkv: bool,
    /// Bias of attention's output.
    pub bias_out: bool,
    /// Biases of the perceptron.
    pub bias_mlp: bool,
    /// Bias of the vocabulary (Phi 1 and 2).
    pub bias_head: bool,
    /// Where tokens stand.
    pub positions: Positions,
    /// Angles of the layers with a window, if they differ.
    pub local: Option<Rotary>,
    /// Blocks whose queries and keys do not turn (SmolLM3).
    pub unturned: Vec<usize>,
    /// How many positions back each block sees, itself included; all if `None`.
    pub windows: Vec<Option<usize>>,
    /// Positions that the model was made for.
    pub length: usize,
    /// Factor of the scores.
    pub scale: f64,
    /// Scores s become cap tanh(s / cap).
    pub cap_scores: Option<f64>,
    /// Logits likewise.
    pub cap_logits: Option<f64>,
    /// Queries, keys and values are cut to at most this far from zero (OLMo 1).
    pub clip_qkv: Option<f64>,
    /// Factors between blocks.
    pub scales: Scales,
    /// Whether the vocabulary is the embedding.
    pub tied: bool,
    /// Experts in place of the one perceptron; `hidden` is the width of each.
    pub experts: Option<ExpertsConfig>,
    /// Tensor names.
    pub names: Names,
}

impl DecoderConfig {
    /// Rows of query, key, value.
    #[must_use]
    pub const fn qkv_rows(&self) -> [usize; 3] {
        let kv = self.kv_heads * self.head_width;
        [self.heads * self.head_width, kv, kv]
    }

    /// Name of a block's tensor, without its ending.
    #[must_use]
    pub fn block(&self, layer: usize, part: &str) -> String {
        format!("{}{layer}.{part}", self.names.layers)
    }

    /// Name of an expert's tensor, without its ending.
    #[must_use]
    pub fn expert(&self, layer: usize, number: usize, part: &str) -> String {
        let prefix = self.experts.as_ref().map_or("", |e| e.prefix);
        format!("{}{layer}.{prefix}{number}.{part}", self.names.layers)
    }

    /// Names of a block's norms, where it has them: before attention, on its result, before the perceptron, on its result.
    #[must_use]
    pub const fn block_norms(&self) -> [Option<&'static str>; 4] {
        let n = &self.names;
        let before = [Some(n.norm_attention), None, Some(n.norm_mlp), None];
        match self.arrangement {
            Arrangement::Before | Arrangement::After | Arrangement::Parallel => before,
            Arrangement::ParallelShared => [Some(n.norm_attention), None, None, None],
            Arrangement::Both => {
                [Some(n.norm_attention), Some(n.norm_attention_out), Some(n.norm_mlp), Some(n.norm_mlp_out)]
            }
            Arrangement::Results => [None, Some(n.norm_attention_out), None, Some(n.norm_mlp_out)],
        }
    }

    /// Widths of the norms of queries and keys.
    #[must_use]
    pub const fn head_norm_widths(&self) -> [usize; 2] {
        match self.norm_heads {
            HeadNorm::Whole => [self.heads * self.head_width, self.kv_heads * self.head_width],
            HeadNorm::None | HeadNorm::Each => [self.head_width; 2],
        }
    }

    /// Every stored tensor and its shape.
    #[must_use]
    pub fn tensors(&self) -> BTreeMap<String, Vec<usize>> {
        let mut all = BTreeMap::new();
        let n = &self.names;
        let mut weight = |name: &str, shape: &[usize]| {
            all.insert(format!("{name}.weight"), shape.to_vec());
        };
        weight(n.embedding, &[self.vocab_size, self.embedding_width]);
        if let Positions::Learned { offset } = self.positions {
            weight(n.positions, &[self.length + offset, self.width]);
        }
        if self.embedding_width != self.width {
            weight(n.project.0, &[self.width, self.embedding_width]);
            weight(n.project.1, &[self.embedding_width, self.width]);
        }
        if !self.tied {
            weight(n.head, &[self.vocab_size, self.embedding_width]);
        }
        if self.bias_head {
            all.insert(format!("{}.bias", n.head), vec![self.vocab_size]);
        }
        if self.norm_final {
            self.add_norm(&mut all, n.norm_final, self.width);
        }
        for layer in 0..self.layers {
            self.add_block(&mut all, layer);
        }
        all
    }

    fn add_norm(&self, all: &mut BTreeMap<String, Vec<usize>>, name: &str, width: usize) {
        if self.norm != NormKind::LayerPlain {
            all.insert(format!("{name}.weight"), vec![width]);
        }
        if self.norm == NormKind::Layer {
            all.insert(format!("{name}.bias"), vec![width]);
        }
    }

    fn add_block(&self, all: &mut BTreeMap<String, Vec<usize>>, layer: usize) {
        let n = &self.names;
        let mut linear = |part: &str, rows: usize, columns: usize, bias: bool| {
            let name = self.block(layer, part);
            let shape = if n.transposed { vec![columns, rows] } else { vec![rows, columns] };
            all.insert(format!("{name}.weight"), shape);
            if bias {
                all.insert(format!("{name}.bias"), vec![rows]);
            }
        };
        let rows = self.qkv_rows();
        for (place, one) in n.qkv.iter().zip(rows) {
            match place {
                Place::Own(part) => linear(part, one, self.width, self.bias_qkv),
                Place::Joint(part) | Place::ByHead(part) => {
                    linear(part, rows.iter().sum(), self.width, self.bias_qkv);
                }
            }
        }
        linear(n.out, self.width, rows[0], self.bias_out);
        let dense = self.experts.is_none();
        for place in n.gate_up[usize::from(!self.gated)..].iter().filter(|_| dense) {
            match place {
                Place::Own(part) => linear(part, self.hidden, self.width, self.bias_mlp),
                Place::Joint(part) | Place::ByHead(part) => {
                    linear(part, 2 * self.hidden, self.width, self.bias_mlp);
                }
            }
        }
        if dense {
            linear(n.down, self.width, self.hidden, self.bias_mlp);
        }
        if let Some(experts) = &self.experts {
            linear(experts.router, experts.count, self.width, false);
            let [gate, up, down] = experts.parts;
            for number in 0..experts.count {
                for (part, shape) in [
                    (gate, [self.hidden, self.width]),
                    (up, [self.hidden, self.width]),
                    (down, [self.width, self.hidden]),
                ] {
                    all.insert(format!("{}.weight", self.expert(layer, number, part)), shape.to_vec());
                }
            }
        }
        for part in self.block_norms().into_iter().flatten() {
            self.add_norm(all, &self.block(layer, part), self.width);
        }
        if self.norm_heads != HeadNorm::None {
            for (part, width) in HEAD_NORMS.iter().zip(self.head_norm_widths()) {
                all.insert(format!("{}.weight", self.block(layer, part)), vec![width]);
            }
        }
    }

    /// Refuses shapes that do not fit together.
    pub fn validate(&self) -> Result<(), String> {
        if self.kv_heads == 0 || !self.heads.is_multiple_of(self.kv_heads) {
            return Err(format!("{} heads cannot share {} of keys", self.heads, self.kv_heads));
        }
        if let Positions::Rotary(r) = &self.positions
            && (r.dims % 2 == 1 || r.dims > self.head_width || r.dims == 0)
        {
            return Err(format!("{} of {} values of a head cannot turn in pairs", r.dims, self.head_width));
        }
        if let Some(experts) = &self.experts
            && (experts.chosen == 0 || experts.chosen > experts.count)
        {
            return Err(format!("{} of {} experts cannot be chosen", experts.chosen, experts.count));
        }
        if self.eps.is_nan() || self.eps < 0.0 || !self.scale.is_finite() {
            return Err(format!("epsilon {} and scale {} of the scores", self.eps, self.scale));
        }
        Ok(())
    }
}
