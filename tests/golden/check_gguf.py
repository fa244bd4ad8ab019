"""llama.cpp reads the files of `gguf/` and gives the probabilities that `transformers` gave for the folders they were made from.

    pip install xllamacpp==2026.10.11549 torch
    python tests/golden/check_gguf.py

For every position, the largest difference of log-probabilities over the vocabulary; fails above 1e-5, and above 5e-3 where a GELU is
computed, which llama.cpp looks up in a table of halves. Left out are files of which llama.cpp makes something else than the model:
"""

import json
import sys
from pathlib import Path

import torch
import xllamacpp

HERE = Path(__file__).parent
OTHERWISE = {
    "mistral": "llama.cpp leaves its window out",
    "phi3": "llama.cpp leaves its window out",
    "phi3-long": "llama.cpp takes the long factors, by the length of the context",
    "gemma2": "the tiny model's scale is not its head's, which the format cannot say",
    "smollm3": "the tiny model's second block does not turn; there it is every fourth",
    "olmoe": "llama.cpp wants as many heads of keys as of queries",
}
GELU = ["gemma", "gpt2", "gpt-neox", "gpt-neox-sequential", "phi2"]


def server(name):
    params = xllamacpp.CommonParams()
    params.model.path = str(HERE / f"gguf/{name}.gguf")
    params.n_ctx, params.n_gpu_layers, params.warmup = 64, 0, False
    # Else caches and products are of halves.
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    rope = json.loads((HERE / f"lm/{name}/config.json").read_text()).get("rope_parameters", {})
    if "beta_fast" in rope:
        # In the file too, which llama.cpp does not ask for this architecture.
        params.yarn_beta_fast, params.yarn_beta_slow = rope["beta_fast"], rope["beta_slow"]
    return xllamacpp.Server(params)


def worst(name):
    golden = json.loads((HERE / f"lm/{name}/golden.json").read_text())
    asked, found = server(name), 0.0
    for ids, logits in zip(golden["ids"], golden["logits"], strict=True):
        for n in range(1, len(ids) + 1):
            asks = {"prompt": ids[:n], "n_predict": 1, "n_probs": 96, "temperature": 0, "cache_prompt": False}
            top = asked.handle_completions(asks)["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            assert len(top) == 96, name
            right = torch.log_softmax(torch.tensor(logits[n - 1], dtype=torch.float64), -1)
            found = max([found, *(abs(t["logprob"] - right[t["id"]].item()) for t in top)])
    return found


def main():
    bad = False
    for path in sorted((HERE / "gguf").glob("*.gguf")):
        name = path.stem
        if name.startswith(("blocks", "pieces")):
            continue
        if name in OTHERWISE:
            print(f"{name}: left out, {OTHERWISE[name]}", flush=True)
            continue
        gap = worst(name)
        bad |= gap > (5e-3 if name in GELU else 1e-5)
        print(f"{name}: {gap:.1e}", flush=True)
    sys.exit(bad)


main()
