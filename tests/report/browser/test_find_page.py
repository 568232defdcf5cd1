import math

import pytest
from report.browser.conftest import PHONE, settle
from report.browser.looks import OVERFLOW, PALE, PIXELS, rgb
from report.results import make_result

from stepsize.report.find_html import render
from stepsize.report.find_view import view_of

LINE = rgb("#0b3c6f")


@pytest.mark.parametrize("verdict", ["ok", "flat"])
def test_the_charts_are_drawn(show, verdict):
    page = show(render(make_result(verdict)))
    assert page.locator(".chart canvas").count() == 2
    assert max(page.evaluate(PIXELS, LINE)) > 100


def test_pointing_reads_the_rate_and_the_loss(show):
    result = make_result()
    page = show(render(result))
    box = page.locator("#loss-chart .u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    settle(page)
    rate, loss, _ = page.locator("#loss-readout b").all_inner_texts()
    view = view_of(result)
    assert float(rate) == pytest.approx(math.sqrt(math.prod(view.x)), rel=0.2)
    measured = zip(view.rates, view.losses, strict=True)
    assert (float(rate), float(loss)) in [pytest.approx(pair, rel=1e-2) for pair in measured]


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_is_readable(show, dark):
    assert show(render(make_result()), dark=dark).evaluate(PALE) == []


def test_a_telephone_never_scrolls_sideways(show):
    assert show(render(make_result()), PHONE, touch=True).evaluate(OVERFLOW) <= 0


def test_without_scripts_there_is_a_picture(show):
    page = show(render(make_result()), scripts=False)
    assert page.locator("#loss-chart svg polyline").count() >= 1
