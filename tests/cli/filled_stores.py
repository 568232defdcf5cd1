"""Runs databases with comparisons in them, filled through the store's own interface."""

import hashlib
import subprocess
import sys

from stepsize.comparison.plan import Plan, PlannedArm

ENVIRONMENT = {
    "versions": {"stepsize": "0.4.0", "torch": "2.7.1"},
    "git": {"commit": "be3d35c", "changed": False},
    "machine": {"system": "Linux", "processor": "some"},
}
#: Updates whose rate and loss are logged.
LOGGED = 40


def fill(store, comparison, *, finished=True):
    """Enter a comparison with all its runs; return its number and theirs."""
    numbers = [_enter(store, comparison, run) for run in comparison.runs]
    plan = Plan(
        task=comparison.task,
        epochs=comparison.epochs,
        updates=comparison.updates,
        seeds=comparison.seeds,
        arms=tuple(
            PlannedArm(arm, comparison.of(arm)[0].schedule, 275, "find (275 updates)")
            for arm in comparison.arms
        ),
        metric=comparison.metric,
        higher=comparison.higher,
        name=comparison.name,
    )
    arms = [run.arm for run in comparison.runs]
    pairs = list(zip(numbers, arms, strict=True))
    key = hashlib.sha256(repr(comparison.name).encode()).hexdigest()
    number = store.add_comparison(key, comparison.name, plan.to_dict(), pairs)
    if finished:
        store.finish_comparison(number, comparison.to_dict())
    return number, numbers


def _enter(store, comparison, run):
    definition = {
        "task": comparison.task,
        "schedule": run.schedule,
        "seed": run.seed,
        "epochs": comparison.epochs,
        "updates": run.updates,
    }
    number = store.add_run(run.key, definition)
    if run.status == "waiting":
        return number
    lease = store.claim(number, ENVIRONMENT)
    if lease is None:
        return number  # it is there from another comparison
    lease.event("started", "from the beginning")
    lease.facts(initial_weights=f"weights of seed {run.seed}")
    for update in range(LOGGED):
        lease.log(update, 0.28 - 0.001 * update, 2.0 / (1 + update))
    for evaluation in run.history:
        lease.evaluate(evaluation)
    status = "interrupted" if run.status == "running" else run.status
    lease.finish(status, run.error, run.seconds)
    return number


def crash(path, number):
    """Have another process take the run and die."""
    code = (
        "import os, sys; from stepsize.store import Store; "
        "lease = Store(sys.argv[1]).claim(int(sys.argv[2]), {}); "
        "[lease.log(i, 0.1, 1.0) for i in range(12)]; lease.flush(); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path), str(number)], check=False)
    assert done.returncode == 9
