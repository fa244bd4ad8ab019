"""Tiny random language models of every family, with the logits and greedy continuations of `transformers`.

    pip install torch==2.15.0 transformers==5.24.0 safetensors tokenizers
    python make_language.py

Writes one folder a family below `lm/`, each with `config.json`, `model.safetensors`, `golden.json`; and the tokenizer
that all share, trained on a text of this file. Weights are drawn wide, so that every part of a block matters.
"""

import json
import shutil
from pathlib import Path

import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent / "lm"
TEXT = [
    "The heart pumps blood through the body. A doctor listens to the heart.",
    "Question: Which organ filters blood? Answer: the kidney.",
    "Plants make sugar from light, water and air. 12 + 30 = 42!",
]
SMALL = dict(hidden_size=16, num_hidden_layers=2, vocab_size=96, max_position_embeddings=64)
HEADS = dict(num_attention_heads=4, num_key_value_heads=2, intermediate_size=24)
IDS = dict(bos_token_id=0, eos_token_id=1, pad_token_id=1)


def families():
    t = transformers
    rope = {"rope_type": "default", "rope_theta": 5000.0}
    llama3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0,
              "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
    yield "llama", t.LlamaConfig(**SMALL, **HEADS, **IDS, rope_parameters=llama3), t.LlamaForCausalLM
    yield "llama-bias", t.LlamaConfig(**SMALL, **HEADS, **IDS, attention_bias=True, mlp_bias=True,
                                      tie_word_embeddings=True, rope_parameters={**rope, "rope_type": "linear", "factor": 2.0}), t.LlamaForCausalLM
    yield "mistral", t.MistralConfig(**SMALL, **HEADS, **IDS, sliding_window=6, rope_parameters=rope), t.MistralForCausalLM
    yield "qwen2", t.Qwen2Config(**SMALL, **HEADS, **IDS, rope_parameters=rope, tie_word_embeddings=True), t.Qwen2ForCausalLM
    yield "qwen3", t.Qwen3Config(**SMALL, **HEADS, **IDS, head_dim=8, rope_parameters=rope), t.Qwen3ForCausalLM
    gemma = dict(head_dim=8, sliding_window=6, hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=12)
    yield "gemma2", t.Gemma2Config(**SMALL, **HEADS, **IDS, **gemma, rope_parameters=rope, attn_logit_softcapping=5.0,
                                   final_logit_softcapping=3.0), t.Gemma2ForCausalLM
    yield "gemma3", t.Gemma3TextConfig(**{**SMALL, "num_hidden_layers": 3}, **HEADS, **IDS, **gemma,
                                       layer_types=["sliding_attention", "sliding_attention", "full_attention"],
                                       rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 1e6},
                                                        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}), t.Gemma3ForCausalLM
    yield "phi3", t.Phi3Config(**SMALL, **HEADS, **IDS, sliding_window=6, rope_parameters=rope,
                               original_max_position_embeddings=64), t.Phi3ForCausalLM
    opt = dict(hidden_size=16, ffn_dim=24, num_hidden_layers=2, num_attention_heads=4, vocab_size=96,
               max_position_embeddings=64, **IDS)
    yield "opt", t.OPTConfig(**opt, word_embed_proj_dim=16), t.OPTForCausalLM
    yield "opt-post-norm", t.OPTConfig(**opt, word_embed_proj_dim=8, do_layer_norm_before=False), t.OPTForCausalLM
    yield "galactica", t.OPTConfig(**opt, word_embed_proj_dim=16, activation_function="gelu", enable_bias=False,
                                   layer_norm_elementwise_affine=False), t.OPTForCausalLM
    yield "gpt2", t.GPT2Config(n_embd=16, n_layer=2, n_head=4, n_positions=64, vocab_size=96, bos_token_id=0,
                               eos_token_id=1), t.GPT2LMHeadModel
    neox = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, vocab_size=96,
                max_position_embeddings=64, bos_token_id=0, eos_token_id=1,
                rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5})
    yield "gpt-neox", t.GPTNeoXConfig(**neox), t.GPTNeoXForCausalLM
    yield "gpt-neox-sequential", t.GPTNeoXConfig(**{**neox, "use_parallel_residual": False}), t.GPTNeoXForCausalLM

    # Families added later come last: their seeds follow from their places.
    yield "gemma", t.GemmaConfig(**SMALL, **HEADS, **IDS, head_dim=8, rope_parameters=rope), t.GemmaForCausalLM
    yield "granite", t.GraniteConfig(**SMALL, **HEADS, **IDS, rope_parameters=rope, embedding_multiplier=3.0, logits_scaling=1.5,
                                     residual_multiplier=0.7, attention_multiplier=0.4, attention_bias=True), t.GraniteForCausalLM
    yield "olmo", t.OlmoConfig(**SMALL, **HEADS, **IDS, rope_parameters=rope, clip_qkv=0.5), t.OlmoForCausalLM
    yield "olmo2", t.Olmo2Config(**SMALL, **HEADS, **IDS, rope_parameters=rope), t.Olmo2ForCausalLM
    half = {**rope, "partial_rotary_factor": 0.5}
    yield "phi2", t.PhiConfig(**SMALL, **HEADS, **IDS, rope_parameters=half), t.PhiForCausalLM
    yield "smollm3", t.SmolLM3Config(**{**SMALL, "num_hidden_layers": 3}, **HEADS, **IDS, rope_parameters=rope,
                                     no_rope_layer_interval=2), t.SmolLM3ForCausalLM
    yield "stablelm", t.StableLmConfig(**SMALL, **HEADS, **IDS, rope_parameters=half, use_qkv_bias=True), t.StableLmForCausalLM
    yield "stablelm-parallel", t.StableLmConfig(**SMALL, **HEADS, **IDS, rope_parameters=half,
                                                use_parallel_residual=True), t.StableLmForCausalLM
    yield "starcoder2", t.Starcoder2Config(**SMALL, **HEADS, **IDS, sliding_window=6, rope_parameters=rope), t.Starcoder2ForCausalLM

    experts = dict(num_experts_per_tok=2, rope_parameters=rope)
    yield "mixtral", t.MixtralConfig(**SMALL, **HEADS, **IDS, **experts, num_local_experts=4), t.MixtralForCausalLM
    yield "olmoe", t.OlmoeConfig(**SMALL, **HEADS, **IDS, **experts, num_experts=4), t.OlmoeForCausalLM
    yield "qwen3-moe", t.Qwen3MoeConfig(**SMALL, **HEADS, **IDS, **experts, num_experts=4, head_dim=8, moe_intermediate_size=12,
                                        norm_topk_prob=True), t.Qwen3MoeForCausalLM

    # Long contexts: the ramp lies inside the four pairs; the longest continuation stays below LongRoPE's first length.
    yarn = {"rope_type": "yarn", "rope_theta": 10.0, "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 2.0, "beta_slow": 0.5}
    yield "qwen3-yarn", t.Qwen3Config(**SMALL, **HEADS, **IDS, head_dim=8, rope_parameters=yarn), t.Qwen3ForCausalLM
    long = {"rope_type": "longrope", "rope_theta": 5000.0, "short_factor": [1.0, 1.1, 1.7, 2.5], "long_factor": [1.0, 2.0, 4.0, 8.0],
            "original_max_position_embeddings": 32}
    two = {**HEADS, "num_attention_heads": 2, "num_key_value_heads": 1}
    dynamic = {"rope_type": "dynamic", "rope_theta": 5000.0, "factor": 2.0}
    yield "llama-dynamic", t.LlamaConfig(**SMALL, **HEADS, **IDS, rope_parameters=dynamic), t.LlamaForCausalLM
    yield "phi3-long", t.Phi3Config(**SMALL, **two, **IDS, rope_parameters=long, original_max_position_embeddings=32), t.Phi3ForCausalLM


def tokenizer():
    tok = tokenizers.Tokenizer(tokenizers.models.BPE())
    tok.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = tokenizers.decoders.ByteLevel()
    letters = sorted({c for text in TEXT for c in text} | set("abcdefghijklmnopqrstuvwxyz"))
    alphabet = [tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(c)[0][0] for c in letters]
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=96, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    tok.train_from_iterator(TEXT, trainer)
    return tok


def main():
    torch.set_num_threads(1)
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    tok = tokenizer()
    tok.save(str(HERE / "tokenizer.json"))
    ids = [tok.encode(text).ids[:14] for text in TEXT]
    for seed, (name, config, cls) in enumerate(families()):
        torch.manual_seed(seed)
        config._attn_implementation = "eager"
        model = cls(config).eval().float()
        with torch.no_grad():
            for key, p in model.named_parameters():
                wide = torch.randn_like(p) * (0.25 if p.dim() > 1 else 0.2)
                p.copy_(wide if p.dim() > 1 or key.endswith("bias") else p + wide)
        model.tie_weights()
        folder = HERE / name
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        save_file(load_file(folder / "model.safetensors"), folder / "model.safetensors", {"format": "pt"})
        golden = {"ids": ids, "logits": [], "greedy": []}
        with torch.no_grad():
            for one in ids:
                golden["logits"].append([[round(v, 6) for v in row] for row in model(torch.tensor([one])).logits[0].tolist()])
                out = torch.tensor([one])
                for _ in range(12):
                    out = torch.cat([out, model(out).logits[:, -1].argmax(-1, keepdim=True)], 1)
                golden["greedy"].append(out[0, len(one):].tolist())
        (folder / "golden.json").write_text(json.dumps(golden))
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
    (HERE / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")


main()
