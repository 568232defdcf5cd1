"""Rates tried times a few factors."""

import math

from hypothesis import given
from hypothesis import strategies as st

from stepsize.comparison import best_factor
from stepsize.records import Evaluation, Run


def run(*losses, status="finished"):
    history = tuple(Evaluation(i + 1, i + 1, {"v": loss}) for i, loss in enumerate(losses))
    return Run("a", "a", 3, status, len(losses), len(losses), history)


def best(runs, higher=False, at="final"):
    return best_factor(runs, metric="v", higher=higher, at=at)


def test_the_best_mean_wins():
    runs = {0.3: [run(0.5), run(0.1)], 1.0: [run(0.35), run(0.35)], 3.0: [run(0.2), run(0.2)]}
    assert best(runs) == 3.0
    assert best(runs, higher=True) == 1.0


def test_what_diverged_or_failed_is_out():
    runs = {1.0: [run(0.5)], 3.0: [run(0.1), run(status="diverged")], 9.0: [run(math.nan)]}
    assert best(runs) == 1.0
    assert best({3.0: [run(status="failed")]}) is None


def test_judged_by_the_best_epoch_if_that_is_asked_for():
    runs = {1.0: [run(0.3, 0.3)], 3.0: [run(0.1, 0.5)]}
    assert (best(runs), best(runs, at="best")) == (1.0, 3.0)


@given(st.lists(st.sampled_from([0.01, 0.1, 0.3, 1.0, 3.0, 10.0]), min_size=1, unique=True))
def test_of_equals_the_nearest_to_one_wins(factors):
    chosen = best({factor: [run(0.5)] for factor in factors})
    assert abs(math.log(chosen)) == min(abs(math.log(factor)) for factor in factors)
