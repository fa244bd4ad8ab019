//! Attention over the segments of a forest, or over caches in generation.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::kv_cache::Cache;

use super::config::{DecoderConfig, HEAD_NORMS, HeadNorm, NormKind, Place};
use super::forest::Forest;
use super::positions::{Positions, Rotary};
use crate::checkpoint::{InputAxis, Observer, of_tensor};
use crate::model::layers::{Built, Kernels, Linear, Loader, RmsNorm, softmax_f32};
use crate::model::spare;

/// Keys and values of one sequence in one block, `[positions, heads, width]`.
pub struct Past {
    keys: Cache,
    values: Cache,
}

impl Past {
    /// Nothing yet; room for so many positions at first.
    pub fn new(positions: usize) -> Self {
        Self { keys: Cache::new(0, positions), values: Cache::new(0, positions) }
    }
}

/// What attention needs to know of a batch besides its hidden states.
pub struct Scene {
    /// The sequences.
    pub forest: Forest,
    /// Angles of the rows: all layers', and those of layers with a window where they differ.
    turns: Vec<(Tensor, Tensor)>,
    /// What is added to the scores, by rows, columns and window.
    masks: BTreeMap<(usize, usize, Option<usize>), Tensor>,
}

impl Scene {
    /// Prepares angles and masks. `past` is the number of positions before each chain, in generation.
    pub fn new(
        config: &DecoderConfig,
        mut forest: Forest,
        past: &[usize],
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let mut masks = BTreeMap::new();
        for (i, segment) in forest.segments.iter().enumerate() {
            let earlier = past.get(i).copied().unwrap_or(0);
            let rows = segment.start..segment.start + segment.len;
            forest.positions[rows].iter_mut().for_each(|p| *p += earlier as u32);
            let total = earlier + segment.depth() + segment.len;
            for window in config.windows.iter().copied() {
                let window = window.filter(|w| *w < total);
                if segment.len > 1 || window.is_some() {
                    let key = (segment.len, total, window);
                    if let std::collections::btree_map::Entry::Vacant(place) = masks.entry(key) {
                        place.insert(mask(segment.len, total, window, dtype, device)?);
                    }
                }
            }
        }
        let mut turns = Vec::new();
        if let Positions::Rotary(rotary) = &config.positions {
            turns.push(angles(rotary, &forest.positions, dtype, device)?);
            if let Some(local) = &config.local {
                turns.push(angles(local, &forest.positions, dtype, device)?);
            }
        }
        Ok(Self { forest, turns, masks })
    }
}

/// Cosines and sines `[rows, dims / 2]`.
fn angles(rotary: &Rotary, positions: &[u32], dtype: DType, device: &Device) -> Result<(Tensor, Tensor)> {
    let frequencies = rotary.frequencies();
    // As the reference: angles in f32.
    let all: Vec<f32> =
        positions.iter().flat_map(|&p| frequencies.iter().map(move |&f| p as f32 * f as f32)).collect();
    let all = Tensor::from_vec(all, (positions.len(), frequencies.len()), &Device::Cpu)?;
    let place = |t: Tensor| (t * rotary.scale)?.to_device(device)?.to_dtype(dtype);
    Ok((place(all.cos()?)?, place(all.sin()?)?))
}

/// Zero where row `i`, at position `total - rows + i`, sees a column, minus infinity elsewhere.
fn mask(rows: usize, total: usize, window: Option<usize>, dtype: DType, device: &Device) -> Result<Tensor> {
    let sees = |i: usize, j: usize| {
        let own = total - rows + i;
        j <= own && window.is_none_or(|w| own - j < w)
    };
    let all: Vec<f32> = (0..rows)
        .flat_map(|i| (0..total).map(move |j| if sees(i, j) { 0.0 } else { f32::NEG_INFINITY }))
        .collect();
    Tensor::from_vec(all, (rows, total), &Device::Cpu)?.to_device(device)?.to_dtype(dtype)
}

/// Turns the leading values of each head, `x` being `[rows, heads, width]`: pairs lie half the turning values apart.
fn turn(x: &Tensor, (cos, sin): &(Tensor, Tensor), kernels: Kernels) -> Result<Tensor> {
    let (width, dims) = (x.dim(2)?, 2 * cos.dim(1)?);
    let turning = if dims == width { x.clone() } else { x.narrow(2, 0, dims)? };
    let turned = match kernels {
        Kernels::Inference => {
            candle_nn::rotary_emb::rope_thd(&turning.contiguous()?.unsqueeze(0)?, cos, sin)?.squeeze(0)?
        }
        Kernels::Differentiable => {
            let (a, b) = (turning.narrow(2, 0, dims / 2)?, turning.narrow(2, dims / 2, dims / 2)?);
            let (cos, sin) = (cos.unsqueeze(1)?, sin.unsqueeze(1)?);
            let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
            let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
            Tensor::cat(&[first, second], 2)?
        }
    };
    if dims == width {
        return Ok(turned);
    }
    Tensor::cat(&[turned, x.narrow(2, dims, width - dims)?], 2)
}

/// Rows of a block's projection that may lie in a joint tensor.
pub fn projection(
    weights: &Loader<'_>,
    config: &DecoderConfig,
    layer: usize,
    (places, rows, index): (&[Place], &[usize], usize),
    bias: bool,
) -> Built<Linear> {
    let (Place::Own(part) | Place::Joint(part) | Place::ByHead(part)) = &places[index];
    let name = config.block(layer, part);
    let all = match &places[index] {
        Place::Own(_) => rows[index],
        Place::Joint(_) | Place::ByHead(_) => rows.iter().sum(),
    };
    let first: usize = rows[..index].iter().sum();
    let cut = |t: Tensor| -> Result<Tensor> {
        match &places[index] {
            Place::Own(_) => Ok(t),
            Place::Joint(_) => t.narrow(0, first, rows[index]),
            Place::ByHead(_) => {
                let mut shape = vec![config.heads, 3, config.head_width];
                shape.extend(&t.dims()[1..]);
                let one = t.reshape(shape)?.narrow(1, index, 1)?.contiguous()?;
                let mut shape = vec![rows[index]];
                shape.extend(&t.dims()[1..]);
                one.reshape(shape)
            }
        }
    };
    let width = config.width;
    let shape = if config.names.transposed { [width, all] } else { [all, width] };
    let weight = weights.get(&format!("{name}.weight"), &shape)?;
    let turned = if config.names.transposed { weight.t() } else { Ok(weight) };
    let weight = turned.and_then(cut).map_err(of_tensor(weights.weights, &name))?;
    let bias = if bias {
        let bias = weights.get(&format!("{name}.bias"), &[all])?;
        Some(cut(bias).map_err(of_tensor(weights.weights, &name))?)
    } else {
        None
    };
    // Parts of a joint tensor are given the same; one of them tells.
    let tells = index == 0 || matches!(places[index], Place::Own(_));
    Ok(Linear::new(weight, bias).observed(if tells { observer(weights, config, &name) } else { None }))
}

/// Who hears of the inputs of a block's layer.
fn observer(weights: &Loader<'_>, config: &DecoderConfig, name: &str) -> Option<Arc<dyn Observer>> {
    let inputs = if config.names.transposed { InputAxis::First } else { InputAxis::Last };
    weights.weights.observer(&format!("{name}.weight"), inputs)
}

/// A block's projection back to its width.
pub fn output(
    weights: &Loader<'_>,
    config: &DecoderConfig,
    name: &str,
    from: usize,
    bias: bool,
) -> Built<Linear> {
    let to = config.width;
    let shape = if config.names.transposed { [from, to] } else { [to, from] };
    let weight = weights.get(&format!("{name}.weight"), &shape)?;
    let weight = if config.names.transposed { weight.t() } else { Ok(weight) };
    let weight = weight.map_err(of_tensor(weights.weights, name))?;
    let bias = bias.then(|| weights.get(&format!("{name}.bias"), &[to])).transpose()?;
    Ok(Linear::new(weight, bias).observed(observer(weights, config, name)))
}

/// Bytes that attention scores may take at a time.
const SCORES: usize = 128 << 20;

/// Attention of one block.
pub struct Attention {
    qkv: [Linear; 3],
    out: Linear,
    /// Norms of queries and keys.
    norms: Option<(RmsNorm, RmsNorm)>,
    window: Option<usize>,
    /// Which angles of the scene, if queries and keys turn.
    turn: Option<usize>,
    kernels: Kernels,
}

impl Attention {
    /// Takes the tensors of a block.
    pub fn load(weights: &Loader<'_>, config: &DecoderConfig, layer: usize) -> Built<Self> {
        let rows = config.qkv_rows();
        let one = |i| projection(weights, config, layer, (&config.names.qkv, &rows, i), config.bias_qkv);
        let out = output(weights, config, &config.block(layer, config.names.out), rows[0], config.bias_out)?;
        let norms = if config.norm_heads == HeadNorm::None {
            None
        } else {
            let norm = |i: usize| -> Built<RmsNorm> {
                let name = format!("{}.weight", config.block(layer, HEAD_NORMS[i]));
                let weight = weights.get(&name, &[config.head_norm_widths()[i]])?;
                let weight = if config.norm == NormKind::RmsPlusOne { &weight + 1.0 } else { Ok(weight) };
                let weight = weight.map_err(of_tensor(weights.weights, &name))?;
                Ok(RmsNorm::new(weight, config.eps, weights.kernels))
            };
            Some((norm(0)?, norm(1)?))
        };
        let window = config.windows[layer];
        Ok(Self {
            qkv: [one(0)?, one(1)?, one(2)?],
            out,
            norms,
            window,
            turn: (!config.unturned.contains(&layer))
                .then(|| usize::from(window.is_some() && config.local.is_some())),
            kernels: weights.kernels,
        })
    }

    /// `x` is `[rows, width]`. With `past`, one entry per segment, keys and values are appended to it and all are seen.
    pub fn forward(
        &self,
        config: &DecoderConfig,
        x: &Tensor,
        scene: &Scene,
        mut past: Option<&mut [Past]>,
    ) -> Result<Tensor> {
        let rows = x.dim(0)?;
        let (kv, width) = (config.kv_heads, config.head_width);
        let split = |i: usize, heads: usize| {
            let mut y = self.qkv[i].forward(x)?;
            if let (HeadNorm::Whole, Some(norms)) = (config.norm_heads, &self.norms) {
                y = match i {
                    0 => norms.0.forward(&y)?,
                    1 => norms.1.forward(&y)?,
                    _ => y,
                };
            }
            if let Some(most) = config.clip_qkv {
                y = y.clamp(-most, most)?;
            }
            y.reshape((rows, heads, width))
        };
        let (mut q, mut k, v) = (split(0, config.heads)?, split(1, kv)?, split(2, kv)?);
        if let (HeadNorm::Each, Some((of_queries, of_keys))) = (config.norm_heads, &self.norms) {
            (q, k) = (of_queries.forward(&q)?, of_keys.forward(&k)?);
        }
        if let Some(angles) = self.turn.and_then(|i| scene.turns.get(i)) {
            (q, k) = (turn(&q, angles, self.kernels)?, turn(&k, angles, self.kernels)?);
        }
        let q = (q * config.scale)?;
        let mut mixed = Vec::with_capacity(scene.forest.segments.len());
        for (i, segment) in scene.forest.segments.iter().enumerate() {
            let of = |t: &Tensor| -> Result<Tensor> {
                let own = t.narrow(0, segment.start, segment.len)?;
                if segment.before.is_empty() {
                    return Ok(own);
                }
                let mut all: Vec<Tensor> = segment
                    .before
                    .iter()
                    .map(|&(start, len)| t.narrow(0, start, len))
                    .collect::<Result<_>>()?;
                all.push(own);
                Tensor::cat(&all, 0)
            };
            let (keys, values) = match &mut past {
                None => (of(&k)?, of(&v)?),
                Some(past) => {
                    past[i].keys.append(&of(&k)?.contiguous()?)?;
                    past[i].values.append(&of(&v)?.contiguous()?)?;
                    let now = |cache: &Cache| {
                        cache.current_data()?.ok_or_else(|| candle_core::Error::msg("an empty cache"))
                    };
                    (now(&past[i].keys)?, now(&past[i].values)?)
                }
            };
            let queries = q.narrow(0, segment.start, segment.len)?;
            mixed.push(self.segment(config, scene, &queries, &keys, &values)?);
        }
        let mixed = if mixed.len() == 1 { mixed.remove(0) } else { Tensor::cat(&mixed, 0)? };
        self.out.forward(&mixed)
    }

    /// Queries `[rows, heads, width]` over keys and values `[columns, kv heads, width]`; heads of queries that share a head
    /// of keys are rows of one product.
    fn segment(
        &self,
        config: &DecoderConfig,
        scene: &Scene,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
    ) -> Result<Tensor> {
        let (rows, total) = (q.dim(0)?, k.dim(0)?);
        let window = self.window.filter(|w| *w < total);
        let mask = scene.masks.get(&(rows, total, window));
        // Scores of a long text are computed some rows at a time.
        let parts =
            (config.heads * rows * total * size_of::<f32>()).div_ceil(SCORES).clamp(1, rows.div_ceil(16));
        let part = |from: usize, len: usize| {
            let mask = mask.map(|m| m.narrow(0, from, len)).transpose()?;
            self.rows(config, &q.narrow(0, from, len)?, k, v, mask.as_ref())
        };
        let at_once = if q.track_op() || !q.device().is_cpu() { 1 } else { spare::parts(rows) };
        if at_once > 1 {
            let parts = parts.next_multiple_of(at_once).min(rows.div_ceil(16));
            return Tensor::cat(&spare::in_parts(rows, parts, part)?, 0);
        }
        if parts == 1 {
            return self.rows(config, q, k, v, mask);
        }
        let bounds = (0..parts).map(|i| (i * rows / parts, (i + 1) * rows / parts));
        let all = bounds.map(|(from, to)| part(from, to - from)).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&all, 0)
    }

    fn rows(
        &self,
        config: &DecoderConfig,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        mask: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (rows, total) = (q.dim(0)?, k.dim(0)?);
        let (kv, width) = (config.kv_heads, config.head_width);
        let group = config.heads / kv;
        let q = q.reshape((rows, kv, group, width))?.permute((1, 2, 0, 3))?.contiguous()?;
        let q = q.reshape((kv, group * rows, width))?;
        let keys = k.permute((1, 2, 0))?;
        let keys =
            if self.kernels == Kernels::Inference && k.device().is_cpu() { keys } else { keys.contiguous()? };
        let mut scores = q.matmul(&keys)?;
        if let Some(cap) = config.cap_scores {
            scores = ((scores / cap)?.tanh()? * cap)?;
        }
        let scores = scores.reshape((kv * group, rows, total))?;
        let weights = softmax_f32(&scores, mask, self.kernels)?.to_dtype(v.dtype())?;
        let weights = weights.reshape((kv, group * rows, total))?;
        let values = v.transpose(0, 1)?.contiguous()?;
        let mixed = weights.matmul(&values)?.reshape((kv, group, rows, width))?;
        mixed.permute((2, 0, 1, 3))?.contiguous()?.reshape((rows, config.heads * width))
    }
}
