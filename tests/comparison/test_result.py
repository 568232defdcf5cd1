"""From stored runs to the comparison, as far as they have come."""

import pytest

from stepsize.comparison import Plan, PlannedArm, Trial, result_of
from stepsize.errors import StoreError
from stepsize.records import Evaluation
from stepsize.schedules import Constant
from stepsize.store import Store
from stepsize.tasks import LoadedTask

TASK = LoadedTask("mine", lambda seed: None)


def entered(store, losses, *, facts=None, versions=None, seeds=(0, 1, 2)):
    """A comparison whose arms end with these losses, seed by seed; None is a run not made yet."""
    pairs = []
    for i, (arm, values) in enumerate(losses.items()):
        for seed, loss in zip(seeds, values, strict=True):
            trial = Trial(arm, TASK, Constant(i + 1), seed, 1, 2)
            run_id = store.add_run(trial.key, trial.definition())
            pairs.append((run_id, arm))
            if loss is None:
                continue
            environment = {"versions": (versions or {}).get(arm, {"torch": "2.13"})}
            with store.claim(run_id, environment) as lease:
                lease.facts(**(facts or {}).get((arm, seed), {"initial_weights": f"w{seed}"}))
                lease.evaluate(Evaluation(1, 2, {"val_loss": loss}))
                lease.finish("finished")
    arms = tuple(PlannedArm(arm, f"constant({i + 1})") for i, arm in enumerate(losses))
    plan = Plan("mine", 1, 2, seeds, arms)
    return store.add_comparison("abc", "", plan.to_dict(), pairs)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path) as opened:
        yield opened


def test_the_runs_are_in_the_order_asked_for_and_ranked(store):
    number = entered(store, {"b": (0.5, 0.6, 0.7), "a": (0.1, 0.2, 0.31)})
    result = result_of(store, number)
    assert [(run.arm, run.seed) for run in result.runs] == [
        (arm, seed) for arm in "ba" for seed in (0, 1, 2)
    ]
    assert [row.arm for row in result.ranking] == ["a", "b"]
    assert result.settings["initial_weights"] == {"0": "w0", "1": "w1", "2": "w2"}
    assert result.notes == ()


def test_an_unfinished_comparison_says_what_is_missing(store):
    result = result_of(store, entered(store, {"a": (0.1, None, None), "b": (0.2, 0.3, None)}))
    assert result.best is None
    assert any("3 of 6 runs" in note for note in result.notes)


def test_without_any_evaluation_nothing_is_best(store):
    result = result_of(store, entered(store, {"a": (None,) * 3}))
    assert (result.best, [row.place for row in result.ranking]) == (None, ["incomplete"])


def test_runs_that_are_not_paired_are_told_with_their_seed(store):
    facts = {("b", 1): {"initial_weights": "others"}}
    result = result_of(store, entered(store, {"a": (0.1,) * 3, "b": (0.2,) * 3}, facts=facts))
    assert any("seed 1 begin from different weights" in note for note in result.notes)


def test_other_versions_are_told(store):
    versions = {"b": {"torch": "2.4"}}
    result = result_of(store, entered(store, {"a": (0.1,) * 3, "b": (0.2,) * 3}, versions=versions))
    assert any("2.13" in note and "2.4" in note for note in result.notes)


def test_a_verdict_that_seems_to_contradict_its_interval_is_explained(store):
    losses = {
        "a": (0.10, 0.20, 0.30),
        "b": (0.15, 0.24, 0.36),
        **{f"c{i}": (0.5, 0.9, 0.6) for i in range(5)},
    }
    result = result_of(store, entered(store, losses))
    row = result.ranking[1]
    assert (row.place, row.difference_ci95[0] > 0) == ("equal", True)
    assert any("leaves out zero: b" in note for note in result.notes)


def test_what_is_not_there_cannot_be_read(store):
    with pytest.raises(StoreError):
        result_of(store)
