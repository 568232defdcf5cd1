"""Whole trainings at K rates: each engine of ``compare``, and what a user would write without it.

    python benchmarks/engines/trainings.py [--repetitions 3] [--seconds 15]

A job is K trainings of one workload at constant rates from one seed. Its length is chosen on the
spot: the plain loop, with one thread, takes about ``--seconds`` for all K. The engines make it by
``ss.compare`` with a store: every update logged, a validation after every epoch, checkpoints. The
peers have the easier job: the plain loop with the same data and epochs, one validation at the end,
no log. *Optuna*: ``GridSampler`` over the rates, ``study.optimize(objective, n_jobs=2)``, which are
threads. *Ray Tune*: ``grid_search``, two trials at once, one core each, workers that are used again
(``reuse_actors``), in a process of its own; starting Ray is not counted, its workers are. Worker
processes compute with one thread each, everything else with as many as torch takes by itself,
unless the row says otherwise.

Wall time. In each repetition the contestants take turns in an order shuffled anew; the peers are
part of the first ``--peer-repetitions``, at the smallest K. Ratios are serial / contestant within a
repetition. *Until the first*: seconds until the first run began: measuring for ``auto``, starting
workers for ``processes``; the ratio *without* leaves them out, as in a job that is long enough.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from measuring import HERE, machine, middle, ratios, say, shown, table, verdict
from plain import steps, train
from workloads import BATCHES, WORKLOADS, Workload

import stepsize as ss
from stepsize.comparison import Watcher

#: With 64 where fusing gains most; ``--only`` and ``--copies`` say others.
CASES = (*((name, 16) for name in WORKLOADS), ("mlp_2k", 64))
ENGINES = ("serial", "fused", "processes:2", "auto")
ONE_THREAD, OPTUNA, RAY = "serial, one thread", "Optuna, two threads", "Ray Tune, two at once"
#: Where threads make a difference to a single training.
THREADED = ("mlp_506k",)
PROCESSES_TARGET, AUTO_TARGET = 1.7, 1.05


class Spent(NamedTuple):
    """What a job took.

    Attributes:
        seconds: of wall time.
        first: of them until the first run began; NaN where that is not known.
        chosen: the engine that made it; of ``auto`` empty where it took serial without a look at
            the others, for the job was short.
        reason: why.
        diverged: runs that did not come to their end.
    """

    seconds: float
    first: float = math.nan
    chosen: str = ""
    reason: str = ""
    diverged: int = 0


class Job(NamedTuple):
    """K trainings of a workload."""

    name: str
    copies: int
    epochs: int

    @property
    def workload(self) -> Workload:
        return WORKLOADS[self.name]

    @property
    def rates(self) -> list[float]:
        return self.workload.spread(self.copies)


class Beginning(Watcher):
    """Notes when the first run began, and who makes it."""

    def __init__(self) -> None:
        self.first, self.chosen, self.reason = math.nan, "", ""
        self.diverged = 0

    def engine(self, name: str, reason: str) -> None:
        self.chosen, self.reason = name, reason

    def started(self, trial: object, run_id: int, done: int) -> None:
        if math.isnan(self.first):
            self.first = time.perf_counter()

    def ended(self, trial: object, run_id: int, status: str, error: str) -> None:
        self.diverged += status != "finished"


def by_engine(job: Job, engine: str, threads: int | None = None) -> Spent:
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    seen = Beginning()
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        ss.compare(
            f"{HERE / 'workloads.py'}:{job.name}",
            [f"constant({rate!r})" for rate in job.rates],
            job.epochs,
            [0],
            store=Path(folder) / "runs.db",
            engine=engine,
            watchers=[seen],
        )
        seconds = time.perf_counter() - start
    torch.set_num_threads(before)
    return Spent(seconds, seen.first - start, seen.chosen, seen.reason, seen.diverged)


def by_optuna(job: Job) -> Spent:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("lr", *job.workload.rates)
        return train(job.workload(0), rate, job.epochs)

    start = time.perf_counter()
    study = optuna.create_study(sampler=optuna.samplers.GridSampler({"lr": job.rates}))
    study.optimize(objective, n_trials=job.copies, n_jobs=2)
    return Spent(time.perf_counter() - start, diverged=job.copies - len(study.trials))


def by_ray(job: Job) -> Spent:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    source = str(HERE.parents[1] / "src")
    done = subprocess.run(
        [sys.executable, str(HERE / "ray_job.py"), job.name, str(job.copies), str(job.epochs)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**environment, "PYTHONPATH": source},
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found = json.loads(done.stdout.splitlines()[-1])
    return Spent(found["job"], diverged=job.copies - found["finished"])


PEERS: dict[str, Callable[[Job], Spent]] = {OPTUNA: by_optuna, RAY: by_ray}


def calibrated(name: str, copies: int, seconds: float) -> Job:
    """A job whose K plain loops take about so long with one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    step, times = steps(WORKLOADS[name](0)), []
    for _ in range(6):
        start = time.perf_counter()
        for _ in range(BATCHES):
            step()
        times.append(time.perf_counter() - start)
    torch.set_num_threads(before)
    return Job(name, copies, max(1, round(seconds / copies / median(times[1:]))))


def contestants(job: Job) -> dict[str, Callable[[], Spent]]:
    found = {engine: lambda engine=engine: by_engine(job, engine) for engine in ENGINES}
    if job.name in THREADED:
        found[ONE_THREAD] = lambda: by_engine(job, "serial", threads=1)
    for name, make in PEERS.items():
        if installed(name):
            found[name] = lambda make=make: make(job)
    return found


def installed(peer: str) -> bool:
    return importlib.util.find_spec({OPTUNA: "optuna", RAY: "ray"}[peer]) is not None


def measure_case(job: Job, repetitions: int, peer_repetitions: int) -> dict:
    tried = contestants(job)
    spent: dict[str, list[Spent]] = {name: [] for name in tried}
    failures: dict[str, str] = {}
    shuffler = random.Random(job.name)
    for repetition in range(repetitions):
        rested = repetition >= peer_repetitions or job.copies > CASES[0][1]
        names = [name for name in tried if not (rested and name in PEERS)]
        for name in shuffler.sample(names, len(names)):
            try:
                spent[name].append(tried[name]())
            except Exception as error:  # noqa: BLE001 - a peer's failure is a result, too
                failures[name] = f"{type(error).__name__}: {error!s:.300}"
                say(f"  {name} failed: {failures[name]}")
                continue
            say(f"  {name}: {spent[name][-1].seconds:.1f} s {spent[name][-1].chosen}")
    base = [each.seconds for each in spent["serial"]]
    rows = {name: row(each, base) for name, each in spent.items() if each}
    return {
        "workload": job.name,
        "copies": job.copies,
        "epochs": job.epochs,
        "rows": rows,
        "auto_over_best": auto_over_best(spent),
        "failures": failures,
    }


def row(spent: list[Spent], serial: list[float]) -> dict[str, Any]:
    seconds = [each.seconds for each in spent]
    first = [each.first for each in spent if math.isfinite(each.first)]
    without = [each.seconds - each.first for each in spent if math.isfinite(each.first)]
    known = serial[: len(spent)]
    return {
        "seconds": middle(seconds),
        "first_seconds": middle(first) if first else None,
        "chosen": sorted({each.chosen or "serial" for each in spent}),
        "reasons": [each.reason for each in spent if each.reason],
        "diverged": max(each.diverged for each in spent),
        "ratio": ratios(known, seconds),
        "ratio_without": ratios(known, without) if without else None,
        "repetitions": len(spent),
    }


def auto_over_best(spent: dict[str, list[Spent]]) -> list[float] | None:
    """``auto``'s time over that of the engine with the best median, within a repetition."""
    others = {name: spent[name] for name in ENGINES if name != "auto" and spent[name]}
    if not spent["auto"] or not others:
        return None
    best = min(others, key=lambda name: median(each.seconds for each in others[name]))
    return ratios([each.seconds for each in spent["auto"]], [each.seconds for each in others[best]])


def measure(
    repetitions: int = 3,
    peer_repetitions: int = 1,
    seconds: float = 15.0,
    cases: tuple[tuple[str, int], ...] = CASES,
) -> dict[str, Any]:
    found = []
    for name, copies in cases:
        job = calibrated(name, copies, seconds)
        say(f"trainings: {name}, K = {copies}, {job.epochs} epochs of {BATCHES} updates")
        found.append(measure_case(job, repetitions, peer_repetitions))
    return {
        **machine(),
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "repetitions": repetitions,
        "missing": [name for name in PEERS if not installed(name)],
        "cases": found,
    }


def markdown(record: dict[str, Any]) -> list[str]:
    lines = [
        "## Whole trainings at K rates",
        "",
        "`trainings.py`; wall time; ratio = serial / contestant within a repetition, median "
        f"[quartiles] of {record['repetitions']}. Jobs of about {record['seconds']:g} s (the plain "
        "loop, one thread). The engines log every update, evaluate every epoch and write "
        "checkpoints; the peers have the easier job, the plain loop. Torch computes with "
        f"{record['threads']} threads where the row does not say otherwise, in worker processes "
        "with one.",
        "",
        *targets(record),
        *[f"Not measured here, for it is not installed: {name}." for name in record["missing"]],
        "",
    ]
    rows = []
    for case in record["cases"]:
        title = f"{WORKLOADS[case['workload']].title}, K = {case['copies']}"
        for name, found in case["rows"].items():
            rows.append(
                (
                    title if name == "serial" else "",
                    name + (f": {', '.join(found['chosen'])}" if name == "auto" else ""),
                    f"{found['seconds']:.1f}",
                    "-" if found["first_seconds"] is None else f"{found['first_seconds']:.1f}",
                    shown(found["ratio"]) if found["repetitions"] > 1 else once(found["ratio"]),
                    "" if name == "serial" else shown(found["ratio_without"]),
                )
            )
        for name, failure in case["failures"].items():
            rows.append(("", name, f"failed: {failure}", "", "", ""))
    head = ("", "contestant", "s", "until the first, s", "ratio", "without")
    return [*lines, *table(head, rows)]


def once(found: list[float]) -> str:
    return f"{found[0]:.2f} (once)"


def targets(record: dict[str, Any]) -> list[str]:
    """What was aimed at, and whether it was reached."""
    lines = []
    for case in record["cases"]:
        rows, where = case["rows"], f"`{case['workload']}`, K = {case['copies']}"
        if case["auto_over_best"]:
            ratio = case["auto_over_best"]
            lines.append(
                f"- {where}: auto takes {shown(ratio)} of the best engine's time "
                f"(at most {AUTO_TARGET}: {verdict(ratio[0] <= AUTO_TARGET)})."
            )
        if case["workload"] == "mlp_506k" and "processes:2" in rows:
            ratio, without = rows["processes:2"]["ratio"], rows["processes:2"]["ratio_without"]
            alone = rows.get(ONE_THREAD, rows["serial"])["ratio"][0]
            lines.append(
                f"- {where}: two processes are {ratio[0]:.2f}x serial with all threads and "
                f"{ratio[0] / alone:.2f}x serial with one; once they have started, "
                f"{without[0]:.2f}x and {without[0] / alone:.2f}x (at least {PROCESSES_TARGET}: "
                f"{verdict(without[0] >= PROCESSES_TARGET)} and "
                f"{verdict(without[0] / alone >= PROCESSES_TARGET)})."
            )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--peer-repetitions", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--only", nargs="+", choices=list(WORKLOADS), help="workloads")
    parser.add_argument("--copies", type=int, nargs="+", default=[16, 64], help="of these")
    parser.add_argument("--out", type=Path, help="a file for the figures")
    options = parser.parse_args()
    cases = tuple((name, count) for name in options.only or () for count in options.copies)
    record = measure(options.repetitions, options.peer_repetitions, options.seconds, cases or CASES)
    if options.out:
        options.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print("\n".join(markdown(record)))


if __name__ == "__main__":
    main()
