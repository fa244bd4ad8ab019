"""Four checkpoints combined by TIES and by DARE: time of specbench and of mergekit's own code on the same files.

    pip install mergekit==0.1.5 torch safetensors
    python benches/against_mergekit.py [--millions 300]

Writes five files of so many million f32 values in a temporary folder (20 bytes a value), in tensors of 1024 by 4096. mergekit
reads each tensor, merges and drops it, on as many threads as there are; specbench does the same in `cargo bench`, group
`combine-four`. Neither writes the result. The two take turns; medians count. While specbench runs, its own memory (`RssAnon`: what is
no mapped file) is looked at fifty times a second; the largest is printed beside the size of a tensor.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import torch
from mergekit.merge_methods import registry
from mergekit.merge_methods.base import TensorGroup
from safetensors import safe_open
from safetensors.torch import save_file

ROOT = Path(__file__).parent.parent
NAMES = ["base", "tuned-0", "tuned-1", "tuned-2", "tuned-3"]
CASES = {"ties": ("ties", 0.2), "dare-linear": ("dare_linear", 0.5)}


def mergekit(folder, name, density):
    method = registry.get(name)
    start = time.time()
    files = [safe_open(folder / f"{n}.safetensors", "pt") for n in NAMES]
    for tensor in files[0].keys():
        group = TensorGroup.from_tensors([f.get_tensor(tensor) for f in files], base_index=0, name=tensor)
        given = {}
        for spec in method.spec.parameters:
            value = {"weight": 1.0, "density": density}.get(spec.name, spec.default)
            each = spec.name in ("weight", "density")
            given[spec.name] = {e.id: value for e in group.non_base} if each else value
        method.merge_group(group, **given)
    return time.time() - start


def own_memory():
    """Bytes of the running benchmark that are no mapped file; nothing while it is being built."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if "/deps/main-" in os.readlink(process / "exe"):
                lines = (process / "status").read_text().splitlines()
                return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), 0)
        except OSError:
            continue
    return 0


def specbench(folder):
    """Seconds by case, and the most memory of its own."""
    command = ["cargo", "bench", "--bench", "main", "--", "combine-four"]
    running = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "SPECBENCH_COMBINE": str(folder)}, stdout=subprocess.DEVNULL)
    most = 0
    while running.poll() is None:
        most = max(most, own_memory())
        time.sleep(0.02)
    if running.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    read = lambda name: json.loads((ROOT / f"target/criterion/combine-four/{name}/new/estimates.json").read_text())
    return {name: read(name)["median"]["point_estimate"] / 1e9 for name in CASES}, most


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--millions", type=int, default=300)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        count = max(1, given.millions * 1_000_000 // (1024 * 4096))
        torch.manual_seed(0)
        base = {f"layer.{i}.weight": torch.randn(1024, 4096) * 0.02 for i in range(count)}
        save_file(base, folder / "base.safetensors")
        for name in NAMES[1:]:
            save_file({n: t + 0.002 * torch.randn_like(t) for n, t in base.items()}, folder / f"{name}.safetensors")
        del base
        theirs = {name: [mergekit(folder, *CASES[name])] for name in CASES}
        ours, memory = specbench(folder)
        for name in CASES:
            theirs[name].append(mergekit(folder, *CASES[name]))
            a, b = statistics.median(theirs[name]), ours[name]
            print(f"{name}, four checkpoints of {count * 4.194304:.0f} million values: mergekit {a:.1f} s, specbench {b:.1f} s, {a / b:.1f} times")
        tensor, threads = 1024 * 4096 * 4, os.cpu_count()
        print(f"specbench's own memory: {memory / 1e6:.1f} MB at most; a tensor is {tensor / 1e6:.1f} MB, threads are {threads}")


main()
