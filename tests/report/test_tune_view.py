import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report.tune_examples import EXAMPLES, decays, diverged, flat, other_optimizer, recommend, sgd

from stepsize.records import FATES, STAGES, TUNE_VERDICTS, RaceArm, Reading
from stepsize.report.tune_arms import colours, winner_of
from stepsize.report.tune_html import page
from stepsize.report.tune_terminal import summary
from stepsize.report.tune_view import view_of
from stepsize.report.tune_words import (
    BASIS_WORDS,
    FATE_WORDS,
    STAGE_WORDS,
    VERDICT_WORDS,
    attempts,
    expected_texts,
    sensitivity_text,
    title,
)


@pytest.fixture(params=EXAMPLES)
def recommendation(request):
    return EXAMPLES[request.param]()


def test_every_finite_reading_has_a_place(recommendation):
    view = view_of(recommendation)
    assert [arm.arm for arm in view.arms] == list(recommendation.evidence)
    for arm in view.arms:
        read = [r for r in arm.arm.readings if math.isfinite(r.val_loss)]
        assert [(r.updates, r.val_loss) for r in read] == list(arm.points)
        for updates, loss in arm.points:
            assert 0 <= view.time(updates) <= 1
            assert view.losses.place(loss) >= 0
        assert (arm.lost is not None) == (arm.arm.fate == "diverged")


def test_the_answer_and_its_interval_are_inside(recommendation):
    view = view_of(recommendation)
    for rate in (view.lr, *(view.interval or ())):
        assert rate is None or 0 < view.place(rate) < 1
    assert sum(arm.winner for arm in view.arms) <= (recommendation.lr is not None)


def test_a_valley_is_the_readings_of_its_rung():
    given = sgd()
    view = view_of(given)
    assert [rung for rung, _ in view.rungs] == [34, 68, 135, 270]
    for valley in view.valleys:
        read = {
            arm.lr: reading.val_loss
            for arm in given.evidence
            for reading in arm.readings
            if arm.stage not in ("schedule", "cool_down") and reading.updates == valley.updates
        }
        finite = sorted((rate, loss) for rate, loss in read.items() if math.isfinite(loss))
        assert [(rate, loss) for rate, loss, _ in valley.points] == finite
    depths = [valley.depth for valley in view.valleys]
    assert depths == sorted(depths)
    assert depths[-1] == 1.0


def test_a_seed_more_is_a_mean_in_the_valley():
    arms = [
        RaceArm("constant(0.1)", rate, readings=(Reading(9, loss, loss),), updates=9, seed=seed)
        for rate, loss, seed in ((0.1, 1.0, 0), (0.1, 2.0, 1), (0.2, 3.0, 0))
    ]
    points = view_of(recommend(arms, 0.1)).valleys[0].points
    assert [(rate, loss) for rate, loss, _ in points] == [(0.1, 1.5), (0.2, 3.0)]


def test_optimizers_have_valleys_of_their_own():
    view = view_of(other_optimizer())
    assert {valley.optimizer for valley in view.valleys} == {"", "AdamW"}
    winner = next(arm for arm in view.arms if arm.winner)
    assert (winner.arm.optimizer, winner.arm.lr) == ("AdamW", 0.003)


def test_the_winner_is_the_nearest_rate_of_the_recommended_kind():
    given = sgd()
    assert winner_of(given).lr == 0.178  # 0.21 was trained with other schedules only
    assert winner_of(replace(given, schedule="one_cycle(0.21)")).lr == 0.21
    assert winner_of(replace(given, optimizer="AdamW")) is None
    assert winner_of(flat()) is None


def test_a_decay_on_trial_leaves_the_arm_that_it_went_on_from():
    view = view_of(decays())
    trials = [arm for arm in view.arms if arm.arm.stage == "cool_down"]
    assert len(trials) == 2
    for trial in trials:
        trunk = next(arm for arm in view.arms if arm.arm.lr == trial.arm.lr)
        assert trial.line[0] == trial.root == trunk.points[-1]
        assert not trial.style.strong
        assert trial not in view.named
    assert all(arm.root is None for arm in view_of(sgd()).arms)


def test_what_is_far_above_is_cut_and_counted():
    arms = [
        RaceArm("constant(0.1)", rate, readings=(Reading(9, loss, loss), Reading(18, loss, loss)))
        for rate, loss in ((0.1, 1.0), (0.2, 1.1), (0.3, 1.05), (9.0, 1e6))
    ]
    view = view_of(recommend(arms, 0.1, expected={}))
    assert view.losses.high < 10
    assert view.cut == 2


def test_rates_differ_in_colour_and_the_same_rate_does_not():
    shades = [colours(10 ** (i / 2), (1.0, 1e4)) for i in range(9)]
    assert len(set(shades)) == 9
    assert colours(0.1, (0.1, 0.1)) == colours(0.2, (0.2, 0.2))


def test_the_range_test_is_cut_to_the_rates_of_the_race():
    given = sgd()
    view = view_of(given)
    assert view.tested
    assert all(view.rates[0] <= rate <= view.rates[1] for rate, _ in view.tested)
    assert view_of(replace(given, find=None)).tested == ()


def test_the_legend_names_what_is_there():
    assert {name for name, _ in view_of(diverged()).legend} == {"diverged"}
    assert {"winner", "schedule", "answer", "expected"} <= {n for n, _ in view_of(sgd()).legend}


def test_there_are_words_for_everything():
    assert VERDICT_WORDS.keys() == set(TUNE_VERDICTS)
    assert FATE_WORDS.keys() == set(FATES)
    assert STAGE_WORDS.keys() == set(STAGES)
    assert BASIS_WORDS.keys() == {"measured", "expected"}


@pytest.mark.parametrize("verdict", TUNE_VERDICTS)
def test_an_abstention_says_what_to_try(verdict):
    given = replace(flat(), verdict=verdict) if verdict != "ok" else sgd()
    assert bool(attempts(given)) == (verdict != "ok")
    assert ("0.21" in title(given)) == (verdict == "ok")


def test_sensitivity_is_told_in_words_and_percent():
    said = [sensitivity_text(sgd(sensitivity=share)) for share in (0.01, 0.05, 0.2, 0.6)]
    assert len({text.partition(":")[0] for text in said}) == 4
    assert "hardly matters" in said[0]
    assert "1.0 %" in said[0]
    assert sensitivity_text(sgd(sensitivity=None)) == ""


@pytest.mark.parametrize(
    "value",
    [{}, {"mean": None}, {"mean": "much"}, {"mean": 0.3, "ci95": None}, {"mean": 0.3, "ci95": [1]}],
)
def test_an_expectation_may_lack_anything(value):
    given = sgd(expected={"val_loss": value})
    assert [ends for _, _, ends in expected_texts(given)] in ([], [""])
    assert view_of(given).expected in (None, (0.3, 0.3, 0.3))


numbers = st.floats(allow_nan=True, allow_infinity=True)
readings = st.builds(Reading, st.integers(0, 10**9), numbers, numbers)
arms = st.builds(
    RaceArm,
    st.text(max_size=30),
    st.floats(1e-30, 1e30),
    st.sampled_from(STAGES),
    st.sampled_from(FATES),
    st.lists(readings, max_size=5).map(tuple),
    st.integers(0, 10**9),
    st.sampled_from(("", "AdamW")),
    st.integers(0, 2),
)


@given(st.lists(arms, max_size=6), st.one_of(st.none(), st.floats(1e-12, 1e12)), numbers)
def test_any_race_can_be_seen(evidence, lr, start):
    verdict = "flat" if lr is None else "ok"
    given = recommend(evidence, lr, verdict=verdict, start_loss=start)
    view = view_of(given)
    assert len(view.arms) == len(evidence)
    for arm in view.arms:
        for updates, loss in arm.points:
            assert 0 <= view.time(updates) <= 1 + 1e-9
            assert 0 <= view.height(loss) <= 1
    assert view.losses.low < view.losses.high
    markup = page(given)
    assert not {"nan", "inf"} & set(re.findall(r'="(\w+)"', markup))
    assert len(summary(given).splitlines()) > 3
