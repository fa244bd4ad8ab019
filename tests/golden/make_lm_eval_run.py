"""An output folder of lm-evaluation-harness: both models of the language demo on the first documents of its tasks.

    pip install lm-eval==0.4.13 torch==2.15.0 transformers==5.24.0
    python make_lm_eval_run.py

Writes `lm-eval-run/`, from which what names this machine is taken out.
"""

import json
import re
import shutil
import tempfile
from pathlib import Path

import yaml
from lm_eval import simple_evaluate
from lm_eval.loggers import EvaluationTracker
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

HERE = Path(__file__).parent
DEMO = HERE.parents[1] / "suites/lm_demo"
TASKS = ["medicine", "animals", "instructions"]
KEPT = ["results", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "config", "date", "model_name", "lm_eval_version"]


def main():
    out = HERE / "lm-eval-run"
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for task in TASKS:
            text = yaml.safe_load((DEMO / f"{task}.yaml").read_text())
            files = text["dataset_kwargs"]["data_files"]
            text["dataset_kwargs"]["data_files"] = {k: str(DEMO / v) for k, v in files.items()}
            names.append(text["task"])
            (Path(folder) / f"{task}.yaml").write_text(yaml.safe_dump(text))
        manager = TaskManager(include_path=folder)
        for model in ("base", "medicine"):
            tracker = EvaluationTracker(output_path=str(out / model))
            lm = HFLM(pretrained=str(DEMO / model), dtype="float32", batch_size=8, device="cpu")
            found = simple_evaluate(model=lm, tasks=names, task_manager=manager, limit=20, log_samples=True, evaluation_tracker=tracker, bootstrap_iters=100)
            samples = found.pop("samples")
            tracker.save_results_aggregated(results=found, samples=samples)
            for name, lines in samples.items():
                tracker.save_results_samples(task_name=name, samples=lines)
    for path in list(out.rglob("results_*.json")):
        json_ = {k: v for k, v in json.loads(path.read_text()).items() if k in KEPT}
        for config in json_["configs"].values():
            config.pop("metadata", None)
        path.write_text(re.sub(r'"[^"]*/suites/lm_demo', '"suites/lm_demo', json.dumps(json_, indent=1)) + "\n")
        folder = path.parent
        for file in list(folder.iterdir()):
            file.rename(folder.parent / re.sub(r"_\d{4}-[^.]*\.\d+", "_2026", file.name))
        folder.rmdir()


main()
