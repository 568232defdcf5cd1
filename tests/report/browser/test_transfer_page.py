import pytest
from report.browser.conftest import PHONE, settle
from report.browser.looks import OVERFLOW, PALE
from report.transfer_examples import RESULTS, usual

from stepsize.report.transfer_html import render

#: Letters of pictures that reach out of them.
CUT = """() => [...document.querySelectorAll("svg")].flatMap((svg) => {
  const frame = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter((text) => {
    const box = text.getBoundingClientRect();
    return box.width && (box.left < frame.left - 1 || box.right > frame.right + 1
      || box.top < frame.top - 2 || box.bottom > frame.bottom + 2);
  }).map((text) => text.textContent);
})"""


@pytest.mark.parametrize("name", ["usual", "broken", "long names", "hostile"])
def test_all_text_is_readable_on_a_desktop_and_on_a_telephone(show, name):
    markup = render(RESULTS[name]())
    for size in ({"dark": True}, {"size": PHONE, "touch": True}):
        opened = show(markup, **size)
        opened.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
        settle(opened)
        assert opened.evaluate(PALE) == []
        assert opened.evaluate(CUT) == []
        assert opened.evaluate(OVERFLOW) <= 0
        assert opened.locator("img").count() == 0


def test_the_picture_of_layer_rates_keeps_one_scale_in_all_rows_at_every_width(show):
    """A strip is drawn for itself: the numbers below must belong to all of them."""
    lefts = "rows => rows.map((row) => [row.getBoundingClientRect().left, row.clientWidth])"
    for size in ((1280, 900), PHONE):
        opened = show(render(usual()), size)
        table = opened.locator("table.layers").first
        places = table.locator("svg.strip").evaluate_all(lefts)
        assert len(places) == 7  # above, five groups, the axis
        assert len({tuple(map(round, place)) for place in places}) == 1
        suggested = table.locator("tbody g.rate circle")
        centres = suggested.evaluate_all("all => all.map((one) => one.getBoundingClientRect().x)")
        assert centres == sorted(centres)  # each group's rate is lower than the next one's


def test_the_charts_of_a_comparison_are_alive_among_the_plans(show):
    opened = show(render(usual()))
    assert opened.locator(".panel canvas").count() == 4
    opened.locator("#legend .only").nth(1).click(force=True)
    settle(opened)
    assert opened.locator("#legend .off").count() == 4
