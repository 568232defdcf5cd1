"""The progress bars: what they show is what the store says."""

import io

import pytest

from stepsize.comparison import Plan, PlannedArm, Trial, conduct
from stepsize.comparison.progress import shown
from stepsize.records import Evaluation
from stepsize.schedules import Constant
from stepsize.store import Store
from stepsize.tasks import LoadedTask

pytest.importorskip("tqdm")

TASK = LoadedTask("mine", lambda seed: None)


def train(trial, lease, *, watch):
    if trial.arm == "bad":
        lease.finish("diverged", error="the loss was not finite at update 0")
        return
    for epoch in (1, 2):
        evaluation = Evaluation(epoch, 2 * epoch, {"val_loss": 0.5, "val_accuracy": 0.8})
        lease.evaluate(evaluation)
        watch(evaluation)
    lease.finish("finished")


def test_each_run_is_told_and_the_ranking_is_by_the_comparisons_metric(tmp_path, monkeypatch):
    said = io.StringIO()
    said.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", said)
    trials = [Trial(arm, TASK, Constant(i + 1), 0, 2, 2) for i, arm in enumerate(["good", "bad"])]
    arms = tuple(PlannedArm(trial.arm, str(trial.schedule)) for trial in trials)
    plan = Plan("mine", 2, 4, (0,), arms, metric="val_accuracy", higher=True)
    with Store(tmp_path) as store, shown(True) as (bars,):
        ids = [store.add_run(trial.key, trial.definition()) for trial in trials]
        pairs = list(zip(ids, ["good", "bad"], strict=True))
        bars.entered(store, store.add_comparison("abc", "", plan.to_dict(), pairs))
        conduct(trials, store, train, environment={}, watcher=bars)
        bars.close()
    text = said.getvalue()
    assert "good, seed 0: val_loss 0.5" in text
    assert "bad, seed 0: diverged: the loss was not finite at update 0" in text
    assert "val_accuracy so far: good 0.8" in text


def test_without_progress_there_is_nothing():
    with shown(False) as watchers:
        assert watchers == ()
