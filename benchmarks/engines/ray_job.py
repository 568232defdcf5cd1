"""What a user would write with Ray Tune; a program of its own, for Ray needs its own environment.

    python benchmarks/engines/ray_job.py WORKLOAD COPIES EPOCHS TASK_FOLDER

Prints ``{"start": s, "job": s, "finished": n}``: seconds until Ray stands, seconds of the job.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_DEDUP_LOGS", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")

import ray
from ray import tune

HERE = Path(__file__).resolve().parent


def objective(config: dict) -> dict:
    """One training; carried out by one of Ray's workers."""
    sys.path[:0] = config["path"]
    from plain import train
    from workloads import WORKLOADS

    task = WORKLOADS[config["workload"]](0)
    return {"val_loss": train(task, config["lr"], config["epochs"])}


def main() -> None:
    workload, copies, epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    sys.path.insert(0, str(HERE))
    from workloads import WORKLOADS

    rates = WORKLOADS[workload].spread(copies)
    start = time.perf_counter()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    stands = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(objective, {"cpu": 1}),
            param_space={
                "lr": tune.grid_search(rates),
                "workload": workload,
                "epochs": epochs,
                "path": [str(HERE), *os.environ.get("PYTHONPATH", "").split(os.pathsep)],
            },
            tune_config=tune.TuneConfig(
                metric="val_loss", mode="min", max_concurrent_trials=2, reuse_actors=True
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        results = tuner.fit()
    done = time.perf_counter()
    finished = sum("val_loss" in (result.metrics or {}) for result in results)
    ray.shutdown()
    print(json.dumps({"start": stands - start, "job": done - stands, "finished": finished}))


if __name__ == "__main__":
    main()
