"""GGUF files of some of the tiny models in `lm/`, as llama.cpp's converter lays tensors out, and blocks of every type.

    pip install torch==2.15.0 transformers==5.24.0 gguf==0.19.0 safetensors tokenizers
    python make_gguf.py

Writes `gguf/NAME.gguf`, of which `transformers` must give the logits that `lm/NAME/golden.json` holds (where it reads all of
the architecture); `gguf/blocks.gguf` with random blocks and `gguf/blocks.json` with their values by gguf-py; and
`gguf/pieces.json` with the tokens that `transformers` cuts by a SentencePiece vocabulary.
"""

import json
import math
import re
import shutil
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import load_file

HERE = Path(__file__).parent
OUT = HERE / "gguf"
ARCHITECTURES = {"mistral": "llama", "llama-bias": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma2": "gemma2", "phi3": "phi3",
                 "qwen3-yarn": "qwen3", "phi3-long": "phi3", "gemma": "gemma", "gpt2": "gpt2", "gpt-neox": "gptneox",
                 "gpt-neox-sequential": "gptneox", "phi2": "phi2", "stablelm": "stablelm", "stablelm-parallel": "stablelm",
                 "olmo": "olmo", "olmo2": "olmo2", "olmoe": "olmoe", "granite": "granite", "smollm3": "smollm3",
                 "qwen3-moe": "qwen3moe", "mixtral": "llama"}
# Of which the converter turns rows of queries and keys round.
PAIRED = ["llama", "granite", "olmo", "smollm3"]
# `transformers` takes the width of a head from elsewhere for the others.
READ_WHOLE = ["mistral", "qwen2"]


def renamed(name, architecture, layers):
    """By gguf-py's own table."""
    kind = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == architecture)
    return gguf.get_tensor_name_map(kind, layers).get_name(name, try_suffixes=(".weight", ".bias"))


def paired(tensor, heads):
    rows = tensor.shape[0]
    return tensor.reshape(heads, 2, rows // heads // 2, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)


def shapes(w, config):
    if config["model_type"] == "gpt2":
        w.add_context_length(config["n_positions"])
        w.add_embedding_length(config["n_embd"])
        w.add_block_count(config["n_layer"])
        w.add_feed_forward_length(4 * config["n_embd"])
        w.add_head_count(config["n_head"])
        w.add_layer_norm_eps(config["layer_norm_epsilon"])
        return
    w.add_context_length(config["max_position_embeddings"])
    w.add_embedding_length(config["hidden_size"])
    w.add_block_count(config["num_hidden_layers"])
    w.add_feed_forward_length(config["intermediate_size"])
    w.add_head_count(config["num_attention_heads"])
    if "num_key_value_heads" in config:
        w.add_head_count_kv(config["num_key_value_heads"])
    if "rms_norm_eps" in config:
        w.add_layer_norm_rms_eps(config["rms_norm_eps"])
    else:
        w.add_layer_norm_eps(config.get("layer_norm_eps", 1e-5))
    own(w, config)
    if config.get("head_dim"):
        w.add_key_length(config["head_dim"])
        w.add_value_length(config["head_dim"])
    rope = config["rope_parameters"]
    w.add_rope_freq_base(rope["rope_theta"])
    if rope.get("partial_rotary_factor", 1) != 1:
        w.add_rope_dimension_count(int(rope["partial_rotary_factor"] * config["hidden_size"] // config["num_attention_heads"]))
    if rope["rope_type"] == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(rope["factor"])
        w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        w.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
        w.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
    if rope["rope_type"] == "longrope":
        original = rope["original_max_position_embeddings"]
        w.add_rope_scaling_orig_ctx_len(original)
        w.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(config["max_position_embeddings"] / original) / math.log(original)))
        for which in ("short", "long"):
            w.add_tensor(f"rope_factors_{which}.weight", np.array(rope[f"{which}_factor"], dtype=np.float32))


def own(w, config):
    """What only some architectures have."""
    if "use_parallel_residual" in config:
        w.add_parallel_residual(config["use_parallel_residual"])
    if config.get("clip_qkv"):
        w.add_clamp_kqv(config["clip_qkv"])
    if "attention_multiplier" in config:
        w.add_attention_scale(config["attention_multiplier"])
        w.add_embedding_scale(config["embedding_multiplier"])
        w.add_residual_scale(config["residual_multiplier"])
        w.add_logit_scale(config["logits_scaling"])
    if "num_experts_per_tok" in config:
        w.add_expert_count(config.get("num_local_experts", config.get("num_experts")))
        w.add_expert_used_count(config["num_experts_per_tok"])
    if "moe_intermediate_size" in config:
        w.add_expert_feed_forward_length(config["moe_intermediate_size"])


def architecture_of(kind):
    return "llama" if kind in ("mistral", "mixtral") else kind


def stored(key, value, config):
    """A tensor's values in the converter's order."""
    kind = config["model_type"]
    if kind == "gpt2" and re.search(r"(c_attn|c_proj|c_fc)\.weight$", key):
        return value.T
    if kind == "gpt_neox" and ".query_key_value." in key:
        heads = config["num_attention_heads"]
        return value.reshape(heads, 3, -1, *value.shape[1:]).swapaxes(0, 1).reshape(value.shape)
    if architecture_of(kind) in PAIRED and re.search(r"\.[qk]_proj\.", key):
        return paired(value, config["num_attention_heads" if ".q_proj." in key else "num_key_value_heads"])
    if kind.startswith("gemma") and key.endswith("norm.weight"):
        return value + 1
    return value


def write(name, architecture):
    folder = HERE / "lm" / name
    config, tensors = json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")
    w = gguf.GGUFWriter(OUT / f"{name}.gguf", architecture)
    w.add_name("tiny")
    shapes(w, config)
    if name in ("mistral", "gemma2", "phi3"):
        w.add_sliding_window(config["sliding_window"])
    if architecture == "gemma2":
        w.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        w.add_final_logit_softcapping(config["final_logit_softcapping"])
    tokenizer = json.loads((HERE / "lm/tokenizer.json").read_text())
    vocabulary = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(vocabulary)
    w.add_token_types([3 if t in ("<s>", "</s>") else 1 for t in vocabulary])
    w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]])
    w.add_bos_token_id(0)
    w.add_eos_token_id(1)
    w.add_add_bos_token(False)
    stacks, layers = {}, config.get("num_hidden_layers", config.get("n_layer"))
    for key, tensor in tensors.items():
        value = stored(key, tensor.float().numpy(), config)
        expert = re.search(r"\.experts\.(\d+)\.", key)
        if expert:
            stacks.setdefault(key.replace(expert.group(), ".experts."), {})[int(expert.group(1))] = value
        else:
            w.add_tensor(renamed(key, architecture, layers), np.ascontiguousarray(value))
    for key, parts in stacks.items():
        w.add_tensor(renamed(key, architecture, layers), np.stack([parts[i] for i in range(len(parts))]))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    if name in READ_WHOLE:
        golden = json.loads((folder / "golden.json").read_text())
        model = transformers.AutoModelForCausalLM.from_pretrained(OUT, gguf_file=f"{name}.gguf", dtype=torch.float32).eval()
        # `transformers` reads no window of this architecture; the first positions see everything.
        seen = 6 if name == "mistral" else 14
        with torch.no_grad():
            found = model(torch.tensor([golden["ids"][0]])).logits[0]
        gap = (found - torch.tensor(golden["logits"][0]))[:seen].abs().max().item()
        print(name, "transformers' logits within", gap)


def blocks():
    random = np.random.default_rng(0)
    types = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "F16", "BF16"]
    w = gguf.GGUFWriter(OUT / "blocks.gguf", "llama")
    values = {}
    for name in types:
        kind = gguf.GGMLQuantizationType[name]
        block, size = gguf.GGML_QUANT_SIZES[kind]
        count = 2 if block > 1 else 64
        # Small scales, whichever bytes hold them: no exponent of a half is large.
        raw = random.integers(0, 256, (1, count * size), dtype=np.uint8) & 0b1011_1111
        found = gguf.quants.dequantize(raw, kind)
        assert np.isfinite(found).all()
        w.add_tensor(name, raw, raw_shape=raw.shape, raw_dtype=kind)
        values[name] = found.flatten().astype(np.float64).tolist()
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    (OUT / "blocks.json").write_text(json.dumps(values))


def pieces():
    letters = list("▁abcdehilnorst.,") + ["\n"]
    words = ["he", "the", "▁the", "er", "▁t", "in", "▁in", "st", "▁s", "and", "▁and", "an", "nd", "▁a", "\n\n", "▁▁", "▁▁▁"]
    tokens = ["<unk>", "<s>", "</s>", "<turn>"] + [f"<0x{b:02X}>" for b in range(256)] + letters + words
    scores = [0.0] * (4 + 256 + len(letters)) + [-float(i * 7 % 17) for i in range(len(words))]
    kinds = [2, 3, 3, 4] + [6] * 256 + [1] * (len(letters) + len(words))
    texts = ["the stand in the sand", " the  thin   lines\n\nand others", "<turn>she is<turn> in", "é\n\n\nan", ""]
    found = {}
    for architecture in ("llama", "gemma2"):
        w = gguf.GGUFWriter(OUT / f"pieces-{architecture}.gguf", architecture)
        w.add_tokenizer_model("llama")
        w.add_token_list([t.replace("▁", " ") if architecture == "gemma2" and set(t) == {"▁"} and len(t) > 1 else t for t in tokens])
        w.add_token_scores(scores)
        w.add_token_types(kinds)
        w.add_unk_token_id(0)
        w.add_bos_token_id(1)
        w.add_eos_token_id(2)
        w.add_add_bos_token(True)
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.write_tensors_to_file()
        w.close()
        tok = transformers.AutoTokenizer.from_pretrained(OUT, gguf_file=f"pieces-{architecture}.gguf")
        found[architecture] = [[t, tok(t)["input_ids"]] for t in texts]
    (OUT / "pieces.json").write_text(json.dumps(found, ensure_ascii=False))
    print(found)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    for name, architecture in ARCHITECTURES.items():
        write(name, architecture)
    blocks()
    pieces()
    versions = {m.__name__: m.__version__ for m in (torch, transformers, np)}
    (OUT / "versions.json").write_text(json.dumps(versions))


main()
