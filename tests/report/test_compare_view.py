import math
from bisect import bisect_right
from dataclasses import replace
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report.comparisons import (
    COMPARISONS,
    SIXTEEN,
    all_diverged,
    incomplete,
    make_comparison,
    nothing_yet,
    one_seed,
    sixteen_arms,
    three_arms,
    two_arms,
    with_diverged,
)

from stepsize.comparison.intervals import mean_interval
from stepsize.records import Evaluation
from stepsize.report.compare_panels import STRONG, panels_of
from stepsize.report.compare_view import view_of
from stepsize.schedules import parse


@pytest.fixture(params=COMPARISONS)
def comparison(request):
    return COMPARISONS[request.param]()


def panel_of(view, metric):
    return next(panel for panel in view.panels if panel.metric == metric)


def series_of(panel, arm):
    return next(one for one in panel.series if one.arm == arm)


def numbers(text):
    return [float(part) for part in text.strip("[]").split(", ")]


def test_every_arm_and_run_appears_everywhere_in_the_order_of_the_ranking(comparison):
    view = view_of(comparison)
    order = [row.arm for row in comparison.ranking]
    assert [row.arm for row in view.rows] == order
    assert set(order) == set(comparison.arms)
    for panel in view.panels:
        assert [one.arm for one in panel.series] == order
    assert len(view.forest.rows) == len(order)
    assert sorted(row.key for row in view.runs) == sorted(run.key for run in comparison.runs)
    styles = {row.arm: row.style for row in view.rows}
    for curve in view.rates.curves:
        assert curve.style == styles[curve.arm]


def test_arms_appear_before_anything_is_ranked():
    view = view_of(replace(nothing_yet(), ranking=()))
    assert [row.arm for row in view.rows] == ["cosine(0.28)", "0.1"]
    assert {row.place for row in view.rows} == {"incomplete"}
    assert len(view.rates.curves) == 2


def test_numbers_shown_are_the_rankings(comparison):
    for row, shown in zip(comparison.ranking, view_of(comparison).rows, strict=True):
        if row.mean is not None:
            assert float(shown.mean) == pytest.approx(row.mean, abs=5.1e-5)
        if row.ci95 is not None:
            assert numbers(shown.interval) == pytest.approx(row.ci95, abs=5.1e-5)
        if row.difference_to_best is not None and row.place != "best":
            assert float(shown.difference) == pytest.approx(row.difference_to_best, abs=5.1e-5)
        if row.difference_ci95 is not None:
            ends = numbers(shown.difference_interval)
            assert ends == pytest.approx(row.difference_ci95, abs=5.1e-5)
        for name, text in {**shown.final}.items():
            assert float(text) == pytest.approx(row.final[name], rel=1e-3)


@pytest.mark.parametrize("size", [1e-6, 1e-3, 1.0, 1e3, 1e9])
def test_as_many_digits_as_tell_the_arms_apart(size):
    plain = three_arms(accuracy=False)
    runs = tuple(replace(run, history=_scaled(run.history, size)) for run in plain.runs)
    ranking = tuple(
        replace(row, mean=row.mean * size, ci95=tuple(end * size for end in row.ci95))
        for row in plain.ranking
    )
    view = view_of(replace(plain, runs=runs, ranking=ranking))
    for row, shown in zip(ranking, view.rows, strict=True):
        assert float(shown.mean) == pytest.approx(row.mean, rel=1e-3)
        assert len(shown.mean) < 12
    axis = view.panels[0].axis
    assert len({tick.text for tick in axis.ticks}) == len(axis.ticks) >= 2


def _scaled(history, size):
    return tuple(
        Evaluation(each.epoch, each.updates, {n: v * size for n, v in each.values.items()})
        for each in history
    )


def test_the_ranking_decides_which_panel_comes_first():
    metrics = [panel.metric for panel in view_of(three_arms()).panels]
    assert metrics == ["val_loss", "val_accuracy", "train_loss"]
    by_accuracy = view_of(sixteen_arms(metric="val_accuracy", higher=True)).panels
    assert [panel.metric for panel in by_accuracy] == ["val_accuracy", "val_loss", "train_loss"]
    assert [panel.higher for panel in by_accuracy] == [True, False, False]


def test_sixteen_arms_are_told_apart_and_the_best_stand_out():
    styles = [row.style for row in view_of(sixteen_arms()).rows]
    assert len({(style.colour, style.dash) for style in styles}) == 16
    assert len({(style.dark, style.dash) for style in styles}) == 16
    assert [style.strong for style in styles] == [True] * STRONG + [False] * (16 - STRONG)


def test_a_bad_arm_is_cut_off_with_a_remark_and_does_not_flatten_the_others():
    view = view_of(with_diverged())
    loss, accuracy = panel_of(view, "val_loss"), panel_of(view, "val_accuracy")
    good = series_of(loss, "cosine(0.28)").values
    assert min(good) > loss.axis.low
    assert max(good) < loss.axis.high < 2 * max(good)
    end = series_of(loss, "constant(1)").mean[-1]
    assert "constant(1)" in loss.remark
    assert f"{end:.4g}" in loss.remark
    assert accuracy.axis.low > 0.5 > min(series_of(accuracy, "constant(1)").values)
    assert accuracy.axis.high > max(series_of(accuracy, "cosine(0.28)").values)
    assert "constant(1)" in accuracy.remark
    assert any("constant(1)" in remark for remark in view.remarks)


@pytest.mark.parametrize("epochs", [1, 2, 20])
@pytest.mark.parametrize("name", ["three arms", "two arms", "sixteen arms", "many seeds"])
def test_what_fits_is_not_cut(name, epochs):
    view = view_of(COMPARISONS[name](epochs=epochs))
    assert view.remarks == ()
    for panel in view.panels:
        for one in panel.series:
            assert all(0 <= panel.axis.place(value) <= 1 for value in one.values)


def test_a_steep_start_is_cut_off_with_a_remark():
    plain = two_arms()
    runs = tuple(
        replace(run, history=(Evaluation(1, 1250, {"val_loss": 2.2}), *run.history[1:]))
        for run in plain.runs
    )
    panel = view_of(replace(plain, runs=runs)).panels[0]
    assert panel.axis.high < 1
    assert "first epoch" in panel.remark
    assert "wsd" in panel.remark


def test_a_loss_that_falls_by_orders_of_magnitude_is_on_a_logarithmic_axis():
    plain = three_arms()
    runs = tuple(
        replace(
            run,
            history=tuple(
                Evaluation(e.epoch, e.updates, {"val_loss": 0.3, "train_loss": 2 / 1.6**e.epoch})
                for e in run.history
            ),
        )
        for run in plain.runs
    )
    view = view_of(replace(plain, runs=runs))
    axis = panel_of(view, "train_loss").axis
    assert axis.log
    assert 0 < axis.low < 2 / 1.6**20
    assert not panel_of(view, "val_loss").axis.log


def test_bands_are_the_extremes_of_few_seeds_and_an_interval_of_many():
    for comparison in (three_arms(), two_arms(seeds=tuple(range(8)))):
        arm = comparison.arms[0]
        one = series_of(view_of(comparison).panels[0], arm)
        for i in range(20):
            values = [run.history[i].values["val_loss"] for run in comparison.of(arm)]
            assert one.mean[i] == pytest.approx(mean(values))
            band = (min(values), max(values)) if len(values) < 5 else mean_interval(values)
            assert (one.low[i], one.high[i]) == pytest.approx(band)
    assert view_of(one_seed()).bands == ""
    assert all(value is None for value in view_of(one_seed()).panels[0].series[0].low)


def test_there_is_no_mean_of_the_seeds_that_are_left():
    one = series_of(view_of(with_diverged()).panels[0], "constant(3)")
    assert [value is not None for value in one.mean] == [True] * 3 + [False] * 17
    assert [run.values.count(None) for run in one.runs] == [17, 0, 17]
    (row,) = (row for row in view_of(with_diverged()).rows if row.arm == "constant(3)")
    assert row.number == ""
    assert row.final == {}
    assert "2 of 3" in row.place_text


def test_runs_that_have_not_begun_do_not_hide_those_that_have():
    one = series_of(view_of(incomplete()).panels[0], "linear(0.28)")
    assert [value is not None for value in one.mean] == [True] * 7 + [False] * 13
    assert [sum(v is not None for v in run.values) for run in one.runs] == [7, 11, 0]


def test_the_answer_names_the_best_and_what_equals_it():
    answer = view_of(three_arms()).answer
    best, equal, worse = three_arms().ranking
    assert answer.index(best.arm) < answer.index(f"{best.mean:.4f}") < answer.index(equal.arm)
    assert worse.arm not in answer.replace("0.28", "").replace(f"{best.mean:.4f}", "")


@pytest.mark.parametrize("make", [one_seed, nothing_yet, all_diverged, incomplete, with_diverged])
def test_an_answer_that_is_none_or_not_the_last_word_says_so(make):
    plain = view_of(three_arms()).answer
    answer = view_of(make()).answer
    words = {
        one_seed: "cannot tell",
        nothing_yet: "no answer yet: 0 of 6",
        all_diverged: "diverged",
        incomplete: "so far",
        with_diverged: "diverged: constant(3)",
    }
    assert words[make] in answer
    assert words[make] not in plain


def test_the_test_sets_values_are_those_that_were_read():
    view = view_of(COMPARISONS["with a test set"]())
    assert view.test == {"test loss": "0.3304", "test accuracy": "0.8841"}
    assert "cosine(0.28)" in view.test_about
    assert view_of(three_arms()).test == {}


def test_the_forest_has_the_rankings_intervals_and_a_far_arm_leaves_it():
    comparison = with_diverged()
    forest = view_of(comparison).forest
    assert 0 < forest.axis.place(0) < 1
    for row, shown in zip(comparison.ranking, forest.rows, strict=True):
        assert shown.difference == row.difference_to_best
        if row.place in ("equal", "worse"):
            assert (shown.low, shown.high) == row.difference_ci95
    assert [shown.off for shown in forest.rows] == [0, 0, 1, 0]
    assert all(0 <= forest.axis.place(end) <= 1 for end in comparison.ranking[1].difference_ci95)
    assert view_of(all_diverged()).forest.empty


def test_an_incomplete_arm_has_its_mean_but_no_place():
    comparison = incomplete()
    best, other = comparison.ranking
    other = replace(other, mean=0.31, difference_to_best=-0.01, seeds=1)
    view = view_of(replace(comparison, ranking=(best, other)))
    assert view.rows[1].mean == "0.3100"
    assert view.rows[1].number == ""
    assert view.forest.rows[1].difference is None


def test_rate_curves_are_the_schedules_to_the_eye():
    view = view_of(sixteen_arms())
    assert len(view.rates.curves) == 16
    for curve in view.rates.curves:
        values = parse(curve.arm, steps=25_000).values(25_000).tolist()
        steps = [step for step, _ in curve.points]
        assert all(values[step] == rate for step, rate in curve.points[:-1])
        assert curve.points[-1] == (25_000, values[-1])
        assert max(rate for _, rate in curve.points) == max(values)
        assert len(steps) < 600
        height = view.rates.axis.high - view.rates.axis.low
        for step in range(0, 25_000, 7):
            i = min(bisect_right(steps, step), len(steps) - 1)
            (left, low), (right, high) = curve.points[i - 1], curve.points[i]
            drawn = low + (high - low) * (step - left) / (right - left)
            near = values[max(step - 50, 0) : step + 51]  # a five-hundredth of the picture
            room = 0.001 * height
            assert min(near) - room <= drawn <= max(near) + room, (curve.arm, step)


def test_rates_far_apart_are_on_a_logarithmic_axis():
    view = view_of(with_diverged())
    assert view.rates.axis.log
    best = view.rates.curves[0].points[0][1]
    assert 0.2 < view.rates.axis.place(best) < 0.9
    assert not view_of(three_arms()).rates.axis.log


def test_a_function_in_a_stored_text_is_not_called(tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("def rate(step): raise SystemExit('called')\n")
    monkeypatch.syspath_prepend(tmp_path)
    arms = {"mine": ('function("trap:rate")', 0.3), "cosine": (SIXTEEN[0], 0.31)}
    rates = view_of(make_comparison(arms)).rates
    assert [curve.arm for curve in rates.curves] == ["cosine"]
    assert "mine" in rates.remark


losses = (
    st.floats().filter(lambda value: value == 0 or not abs(value) < 1e-100)  # lost beside a 0
    | st.floats(1e-6, 10)
    | st.just(0.3)
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(losses, min_size=1, max_size=4), min_size=1, max_size=6), st.booleans())
def test_any_values_have_an_axis(arms, higher):
    """Law: whatever was measured, the axis is finite, its ticks are on it, better values are."""
    plain = make_comparison({str(i): (SIXTEEN[i], 0.3) for i in range(len(arms))}, seeds=(0,))
    runs = tuple(
        replace(
            run,
            history=tuple(Evaluation(i + 1, i + 1, {"score": v}) for i, v in enumerate(values)),
        )
        for run, values in zip(plain.runs, arms, strict=True)
    )
    changed = replace(plain, runs=runs, metric="score", higher=higher)
    (panel,) = panels_of(changed)
    axis = panel.axis
    assert math.isfinite(axis.low)
    assert math.isfinite(axis.high)
    assert axis.low < axis.high
    assert all(-1e-9 <= axis.place(tick.value) <= 1 + 1e-9 for tick in axis.ticks)
    known = [value for one in panel.series for value in one.values]
    if known:
        assert axis.ticks
        assert 0 <= axis.place(max(known) if higher else min(known)) <= 1
        inside = all(0 <= axis.place(value) <= 1 for value in known)
        assert inside == (panel.remark == "")
