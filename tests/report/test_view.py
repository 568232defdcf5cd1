import math

import pytest
from report.results import ODD_LOSSES, make_result

from stepsize.records import Curve, FindResult
from stepsize.report.find_view import view_of
from stepsize.suggest import nine_tenths, smooth


def test_an_abstention_suggests_nothing(verdict):
    view = view_of(make_result(verdict))
    suggested = (view.lr, view.interval, view.clr, view.answer)
    assert all(suggested) if verdict == "ok" else not any(suggested)
    assert ("no rate suggested" in view.title) == (verdict != "ok")


@pytest.mark.parametrize("name", ODD_LOSSES)
def test_odd_curves_have_a_view(name, verdict):
    view = view_of(make_result(verdict, ODD_LOSSES[name]))
    assert view.y[0] < view.y[1]
    assert all(view.x[0] <= rate <= view.x[1] for rate in view.rates)


def test_no_point_is_hidden_silently():
    losses = [2.0] * 20 + [1.0] * 10 + [50.0, 1e9, math.inf]
    view = view_of(make_result(losses=losses, stop="not_finite"))
    shown = [loss for loss in losses if view.y[0] <= loss <= view.y[1]]
    assert len(shown) == 30
    assert view.above[0] == view.rates[30]


def test_divergence_starts_where_the_loss_stays_above_its_start():
    losses = [2.0] * 20 + [1.0] * 10 + [1.5, 2.5, 1.9, 3.0, 9.0]
    view = view_of(make_result(losses=losses, stop="rise"))
    assert view.diverges_from == view.rates[33]
    assert view_of(make_result("still_falling", losses)).diverges_from is None


def test_divergence_is_the_first_loss_that_is_lost():
    losses = [2.0] * 20 + [1.0] * 10 + [math.inf, 1.2]
    result = make_result(losses=losses)
    assert view_of(result).diverges_from == pytest.approx(result.curve.at_effect().lr[30])


def test_the_suggestion_stands_on_the_line_where_the_rule_saw_it():
    """Few rates, so that a picture drawn one rung off would show."""
    rates = tuple(10.0 ** (i / 3 - 5) for i in range(17))
    fall = [2.0 - 1.0 / (1.0 + (0.003 / rate) ** 2) for rate in rates]
    curve = Curve(rates, tuple(fall))
    answer = nine_tenths([Curve(curve.lr, curve.loss, stop="rise")])
    view = view_of(FindResult(answer, curve, smooth(curve), (curve,)))
    (i,) = [i for i in range(16) if view.rates[i] <= answer.lr < view.rates[i + 1]]
    share = [(view.line[0] - view.line[j]) / (view.line[0] - min(view.line)) for j in (i, i + 1)]
    assert share[0] <= 0.9 <= share[1]


def test_smoothing_does_not_move_the_cliff():
    losses = [2.0] * 20 + [1.0] * 10 + [1e6]
    smeared = tuple([2.0] * 20 + [1.0] * 5 + [1e5] * 6)
    view = view_of(make_result(losses=losses, smoothed=smeared, stop="rise"))
    assert view.diverges_from == view.rates[30]


def test_the_ladder_counts_updates():
    curve = Curve((0.1, 0.2, 0.4), (3.0, 2.0, 1.0), updates=(10, 20, 50))
    view = view_of(make_result("too_few_points", curve=curve, smoothed=()))
    assert view.ladder == ((0, 0.1), (10, 0.2), (30, 0.4), (80, 0.4))
