"""Suites of one checkpoint and one probe, written and run for the other scripts."""

import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def write(work, name, model, more=""):
    """A suite around the task file `<work>/<name>.yaml`; `more` are lines of the probe."""
    (work / f"{name}.toml").write_text(f"""[suite]
name = "{name}"
track = "lm"
[[checkpoint]]
id = "m"
role = "pretrained"
source = "{model}"
[[probe]]
id = "{name}"
task = "{work}/{name}.yaml"
role = "generality"
{more}
""")


def run(work, name):
    """Evaluates it anew; the results folder and the seconds it took."""
    out = work / f"{name}-out"
    command = [ROOT / "target/release/specbench", "run", work / f"{name}.toml", "--out", out, "--fresh", "--quiet"]
    start = time.time()
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return out, time.time() - start
