"""Memory of planning and of merging two checkpoints of 8 billion parameters that are mostly holes on the disk.

    cargo build --release
    python benches/eight_billion.py FOLDER

FOLDER takes two sparse safetensors files of 16 GB in bf16 with real headers (Llama 3 8B's shapes), and the merge, 16 GB for real.
Prints seconds, the peak of the memory that is the program's own, and of all that is resident: pages of the mapped files count
there as long as the system has nothing better to do with them.
"""

import json
import shutil
import struct
import sys
from pathlib import Path

import peak
SHAPE = dict(model_type="llama", vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
             num_key_value_heads=8, max_position_embeddings=8192, rms_norm_eps=1e-5, rope_theta=500000.0, tie_word_embeddings=False,
             bos_token_id=0, eos_token_id=1)


def tensors():
    h, m, kv, v = 4096, 14336, 1024, 128256
    yield "lm_head.weight", [v, h]
    yield "model.embed_tokens.weight", [v, h]
    yield "model.norm.weight", [h]
    for i in range(32):
        p = f"model.layers.{i}."
        for name, shape in {"input_layernorm": [h], "post_attention_layernorm": [h], "self_attn.q_proj": [h, h], "self_attn.k_proj": [kv, h],
                            "self_attn.v_proj": [kv, h], "self_attn.o_proj": [h, h], "mlp.gate_proj": [m, h], "mlp.up_proj": [m, h], "mlp.down_proj": [h, m]}.items():
            yield f"{p}{name}.weight", shape


def write(folder, mark):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(SHAPE))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(peak.ROOT / "suites/lm_demo" / name, folder / name)
    head, at, places = {}, 0, []
    for name, shape in tensors():
        size = 2
        for n in shape:
            size *= n
        head[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        places.append(at)
        at += size
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        start = f.tell()
        f.truncate(start + at)
        # One value of each tensor, so that the ends differ everywhere.
        for place in places:
            f.seek(start + place)
            f.write(mark)


def printed(*arguments):
    code, seconds, own, whole = peak.measured(*arguments)
    print(f"{arguments[0]}: exit {code}, {seconds:.0f} s, {own / 1e9:.2f} GB of its own, {whole / 1e9:.2f} GB with mapped files", flush=True)


def main():
    folder = Path(sys.argv[1]).resolve()
    write(folder / "a", b"\x80\x3f")
    write(folder / "b", b"\x00\x40")
    suite = folder / "suite.toml"
    suite.write_text(f"""[suite]
name = "big"
track = "lm"
[[checkpoint]]
id = "a"
role = "pretrained"
source = "{folder}/a"
[[checkpoint]]
id = "b"
role = "finetuned"
source = "{folder}/b"
[[sweep]]
merge = "wise-ft"
from = "a"
to = ["b"]
alphas = "0:1:0.1"
[[probe]]
id = "medicine"
task = "suites/lm_demo/medicine.yaml"
role = "speciality"
""")
    printed("plan", str(suite))
    printed("merge", "wise-ft", "--from", str(folder / "a"), "--to", str(folder / "b"), "--out", str(folder / "merged"))
    for part in ("a", "b", "merged"):
        shutil.rmtree(folder / part, ignore_errors=True)


main()
