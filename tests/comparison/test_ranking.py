import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepsize.comparison.adjustment import holm
from stepsize.comparison.ranking import pairwise, rank
from stepsize.errors import InputError
from stepsize.records import Evaluation, Run
from stepsize.records.comparison import Standing

values = st.floats(0.01, 100).map(lambda value: round(value, 3))


def run(arm, seed, *losses, status="finished", **more):
    """A run whose epochs ended with these losses, and other metrics by list."""
    history = tuple(
        Evaluation(i + 1, 10 * (i + 1), {"val_loss": loss, **{n: m[i] for n, m in more.items()}})
        for i, loss in enumerate(losses)
    )
    return Run(arm, f"{arm} as text", seed, status, 10 * max(1, len(losses)), 0, history)


def runs_of(table):
    return [run(arm, seed, loss) for arm, own in table.items() for seed, loss in enumerate(own)]


def places(rows):
    return {row.arm: row.place for row in rows}


@st.composite
def tables(draw, least=1):
    """Losses by arm, all with the same seeds."""
    seeds = draw(st.integers(least, 5))
    arms = draw(st.integers(1, 5))
    losses = st.lists(values, min_size=seeds, max_size=seeds)
    return {f"arm{i}": draw(losses) for i in range(arms)}


def test_the_clearly_better_arm_is_best_and_the_rest_is_told_apart_or_not():
    noise = [0.0, 0.01, -0.01, 0.004, -0.006]
    table = {
        "worse": [0.5 + 0.01 * x + 0.002 * i for i, x in enumerate(noise)],
        "best": [0.3 + x for x in noise],
        "equal": [0.303 + x + y for x, y in zip(noise, reversed(noise), strict=True)],
    }
    best, equal, worse = rank(runs_of(table))
    assert (best.arm, best.place, best.difference_to_best) == ("best", "best", 0.0)
    assert (equal.arm, equal.place) == ("equal", "equal")
    assert (worse.arm, worse.place, worse.schedule) == ("worse", "worse", "worse as text")
    differences = [a - b for a, b in zip(table["worse"], table["best"], strict=True)]
    assert worse.difference_to_best == pytest.approx(statistics.mean(differences))
    assert worse.mean == pytest.approx(statistics.mean(table["worse"]))


@given(tables())
def test_rows_are_sorted_and_their_numbers_fit(table):
    rows = rank(runs_of(table))
    assert sorted(row.arm for row in rows) == sorted(table)
    assert [row.mean for row in rows] == sorted(row.mean for row in rows)
    for row in rows:
        own, best = table[row.arm], table[rows[0].arm]
        difference = statistics.mean(a - b for a, b in zip(own, best, strict=True))
        assert row.difference_to_best == pytest.approx(difference, abs=1e-12)
        assert row.seeds == len(own)
        assert Standing.from_dict(row.to_dict()) == row
        if row.place == "worse":
            low, high = row.difference_ci95 or (1.0, 1.0)
            assert low > 0.0 or high < 0.0


@given(tables(least=2))
def test_no_verdict_is_bolder_than_holm_allows(table):
    stats = pytest.importorskip("scipy.stats", reason="needs scipy")
    rows = rank(runs_of(table))
    best = table[rows[0].arm]
    gaps = [[a - b for a, b in zip(table[row.arm], best, strict=True)] for row in rows[1:]]
    if all(len({round(gap, 9) for gap in gap_of_arm}) > 1 for gap_of_arm in gaps):
        own = [stats.ttest_1samp(gap, 0.0).pvalue for gap in gaps]
        for row, least in zip(rows[1:], holm(own), strict=True):
            assert row.p_adjusted >= least * (1.0 - 1e-6)
            assert row.place == ("worse" if row.p_adjusted <= 0.05 else "equal")


@given(st.data(), tables())
def test_the_order_of_runs_and_seeds_changes_nothing(data, table):
    runs = runs_of(table)
    renamed = data.draw(st.permutations(range(10)))
    arms = sorted(runs, key=lambda each: (each.arm, renamed[each.seed]))
    again = [run(each.arm, 100 + renamed[each.seed], each.final["val_loss"]) for each in arms]
    assert rank(again) == rank(sorted(runs, key=lambda each: each.arm))


@given(tables(), st.sampled_from([0.25, 4.0]))
def test_scaling_scales_and_keeps_every_verdict(table, scale):
    plain = rank(runs_of(table))
    scaled = rank(runs_of({arm: [scale * x for x in own] for arm, own in table.items()}))
    assert places(scaled) == places(plain)
    for a, b in zip(scaled, plain, strict=True):
        assert a.difference_to_best == pytest.approx(scale * b.difference_to_best)
        assert a.p_adjusted == pytest.approx(b.p_adjusted)


@given(tables(), st.lists(st.integers(-64, 64), min_size=5, max_size=5))
def test_what_a_seed_adds_to_all_its_runs_cancels(table, luck):
    """Pairing: differences and verdicts do not see it. (Quarters, so that sums are exact.)"""
    exact = {arm: [round(4 * x) / 4 for x in own] for arm, own in table.items()}
    moved = {arm: [x + luck[i] for i, x in enumerate(own)] for arm, own in exact.items()}
    for a, b in zip(rank(runs_of(exact)), rank(runs_of(moved)), strict=True):
        assert (a.arm, a.place) == (b.arm, b.place)
        assert a.difference_to_best == pytest.approx(b.difference_to_best, abs=1e-12)
        assert a.p_adjusted == pytest.approx(b.p_adjusted)


@given(tables(), st.sampled_from(["final", "best"]))
def test_higher_is_lower_of_the_negative(table, at):
    low = rank(runs_of(table), at=at)
    high = rank(runs_of({a: [-x for x in own] for a, own in table.items()}), higher=True, at=at)
    assert places(high) == places(low)
    for a, b in zip(high, low, strict=True):
        assert (a.arm, a.mean, a.p_adjusted) == (b.arm, -b.mean, b.p_adjusted)
        assert a.difference_to_best == -b.difference_to_best


@given(tables(), st.data())
def test_a_divergence_never_stands_above_what_came_to_an_end(table, data):
    status = st.sampled_from(["finished", "diverged", "failed", "running"])
    runs = [
        run(each.arm, each.seed, each.final["val_loss"], status=data.draw(status))
        for each in runs_of(table)
    ]
    rows = rank(runs)
    order = ["best", "worse equal unknown", "incomplete", "diverged"]
    at = [next(i for i, words in enumerate(order) if row.place in words.split()) for row in rows]
    assert at == sorted(at)
    lost = [sum(r.status == "diverged" for r in runs if r.arm == row.arm) for row in rows]
    assert lost == sorted(lost)
    assert all((row.place == "diverged") == (n > 0) for row, n in zip(rows, lost, strict=True))
    assert all(row.mean is None for row in rows if row.place == "diverged")


def test_one_seed_is_unknown():
    best, other = rank(runs_of({"a": [0.5], "b": [0.3]}))
    assert (best.arm, best.place, best.ci95) == ("b", "best", None)
    assert (other.place, other.p_adjusted, other.difference_ci95) == ("unknown", None, None)
    assert other.difference_to_best == pytest.approx(0.2)


def test_ties_stay_in_the_order_asked_for_and_twins_are_equal():
    rows = rank(runs_of({"b": [0.3, 0.4, 0.5], "a": [0.3, 0.4, 0.5], "c": [0.5, 0.4, 0.3]}))
    assert [row.arm for row in rows] == ["b", "a", "c"]
    assert [row.place for row in rows] == ["best", "equal", "equal"]
    assert rows[1].p_adjusted == 1.0


def test_an_incomplete_arm_is_paired_over_shared_seeds_and_never_best():
    runs = runs_of({"done": [0.5, 0.6, 0.7]})
    runs += [run("part", 1, 0.1), run("part", 2, 0.3), run("part", 0, 0.2, status="running")]
    best, part = rank(runs)
    assert (best.arm, best.place) == ("done", "best")
    assert (part.place, part.seeds, part.p_adjusted) == ("incomplete", 2, None)
    assert part.mean == pytest.approx(0.2)
    assert part.difference_to_best == pytest.approx(-0.45)
    assert part.difference_ci95 is not None


def test_of_incomplete_arms_the_one_with_more_seeds_comes_first():
    runs = [run("few", 0, 0.1), run("many", 0, 0.9), run("many", 1, 0.9), run("none", 2, 0.5)]
    assert [row.arm for row in rank(runs)] == ["many", "few", "none"]


def test_a_seed_that_only_another_arm_has_is_missing():
    rows = rank([*runs_of({"a": [0.5, 0.6]}), run("b", 0, 0.1)])
    assert places(rows) == {"a": "best", "b": "incomplete"}


@pytest.mark.parametrize("status", ["running", "failed", "interrupted", "crashed", "waiting"])
def test_nothing_is_best_before_an_arm_is_complete(status):
    runs = [run("a", 0, 0.3), run("a", 1, 0.3, status=status), run("b", 0, 0.2, status=status)]
    runs.append(run("b", 1, 0.2, status=status))
    rows = rank(runs)
    assert [(row.arm, row.place) for row in rows] == [("a", "incomplete"), ("b", "incomplete")]
    assert [row.difference_to_best for row in rows] == [None, None]
    assert rows[1].mean is None


def test_nothing_is_best_where_all_diverge():
    runs = [run(arm, seed, 9.0, status="diverged") for arm in "ab" for seed in range(2)]
    assert places(rank(runs)) == {"a": "diverged", "b": "diverged"}


def test_a_final_value_that_is_not_finite_is_a_divergence():
    runs = [run("a", 0, 0.3, math.inf), run("a", 1, 0.3, 0.4), *runs_of({"b": [0.5, 0.6]})]
    assert places(rank(runs)) == {"b": "best", "a": "diverged"}
    assert places(rank(runs, at="best")) == {"a": "best", "b": "equal"}
    lost = [run("a", seed, math.nan) for seed in range(2)]
    assert places(rank([*lost, *runs_of({"b": [0.5, 0.6]})], at="best"))["a"] == "diverged"


def test_the_survivors_of_a_diverged_arm_are_shown():
    runs = [run("a", 0, 0.3, 0.4), run("a", 1, 0.3, status="diverged")]
    (row,) = rank(runs)
    assert (row.place, row.mean, row.ci95, row.seeds) == ("diverged", None, None, 1)
    assert (row.final, row.best, row.best_epoch) == ({"val_loss": 0.4}, {"val_loss": 0.3}, 1.0)


def test_final_and_best_epoch_are_both_told():
    runs = [
        run("a", 0, 0.4, 0.2, 0.3, val_accuracy=[0.7, 0.8, 0.9]),
        run("a", 1, 0.2, 0.4, 0.5, val_accuracy=[0.5, 0.6, 0.7]),
    ]
    (final,) = rank(runs)
    assert final.mean == pytest.approx(0.4)
    assert final.final == pytest.approx({"val_loss": 0.4, "val_accuracy": 0.8})
    assert final.best == pytest.approx({"val_loss": 0.2, "val_accuracy": 0.65})
    assert final.best_epoch == 1.5
    (best,) = rank(runs, at="best")
    assert best.mean == pytest.approx(0.2)
    (accuracy,) = rank(runs, metric="val_accuracy", higher=True, at="best")
    assert (accuracy.mean, accuracy.best_epoch) == (pytest.approx(0.8), 3.0)


def test_the_effort_is_told():
    rows = rank(runs_of({"a": [0.3], "b": [0.4]}), rates={"b": (275, "find (275 updates)")})
    assert [(row.effort, row.rates_from) for row in rows] == [
        (None, "given"),
        (275, "find (275 updates)"),
    ]


def test_the_bootstrap_is_of_the_interval_and_changes_no_verdict():
    draw = random.Random(1)
    table = {arm: [draw.expovariate(1.0) for _ in range(6)] for arm in "abc"}
    plain, other = rank(runs_of(table)), rank(runs_of(table), method="bootstrap")
    assert places(plain) == places(other)
    assert [row.difference_ci95 for row in plain[1:]] != [row.difference_ci95 for row in other[1:]]


@given(tables())
def test_pairs_are_told_both_ways(table):
    runs = runs_of(table)
    pairs = pairwise(runs)
    assert len(pairs) == len(table) * (len(table) - 1)
    for (a, b), pair in pairs.items():
        back = pairs[b, a]
        assert (pair.mean, pair.p, pair.seeds) == (-back.mean, back.p, back.seeds)
    best, *others = rank(runs)
    for row in others:
        pair = pairs[row.arm, best.arm]
        assert (pair.mean, pair.ci95) == (row.difference_to_best, row.difference_ci95)


def test_pairs_without_a_shared_seed_are_left_out():
    assert pairwise([run("a", 0, 0.3), run("b", 1, 0.4)]) == {}


@pytest.mark.parametrize(
    "wrong", [{"metric": "val_los"}, {"at": "end"}, {"method": "bca"}], ids=str
)
def test_what_cannot_be_ranked_is_said(wrong):
    for verb in (rank, pairwise):
        with pytest.raises(InputError):
            verb(runs_of({"a": [0.3, 0.4]}), **wrong)


def test_a_metric_that_is_missing_names_those_there_are():
    with pytest.raises(InputError, match="val_loss"):
        rank(runs_of({"a": [0.3]}), metric="val_acuracy")


def test_two_runs_of_one_seed_are_refused():
    with pytest.raises(InputError):
        rank([run("a", 0, 0.3), run("a", 0, 0.4)])


def test_no_runs_make_no_ranking():
    assert rank([]) == ()
    assert places(rank([run("a", 0, status="running")])) == {"a": "incomplete"}
