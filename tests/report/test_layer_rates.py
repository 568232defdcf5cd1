"""The picture of measured layer rates, as a figure and as a table with strips."""

import re
from html import unescape
from itertools import combinations

import pytest
from report.comparisons import HOSTILE
from report.layer_rates_examples import LAYER_TESTS, layer_tests, nothing_to_read
from report.pages import Page

from stepsize.errors import OutputError
from stepsize.fine_tuning.layer_tests import LayerRangeTests
from stepsize.report.layer_rates_figure import draw
from stepsize.report.layer_rates_svg import fragment, layer_rates
from stepsize.report.layer_rates_view import view_of
from stepsize.report.wording import plain_text


@pytest.fixture(scope="module", params=LAYER_TESTS)
def tests(request):
    return LAYER_TESTS[request.param]()


@pytest.mark.parametrize(
    ("factor", "beside", "word"),
    [(1.6, 1.3, "lower"), (1.1, 1.3, "No clear"), (0.4, 1.3, "higher"), (5.0, 1.3, "lower")],
)
def test_the_headline_says_which_way_the_rates_go_and_only_if_the_interval_does(
    factor, beside, word
):
    assert word in view_of(layer_tests(factor=factor)).title


def test_every_mark_is_on_the_axis_and_the_folk_band_is_where_the_advice_puts_it():
    tests = layer_tests(factor=1.3)
    view = view_of(tests)
    for row in view.rows:
        assert all(0 < view.place(rate) < 1 for rate in (row.rate, row.read[0], row.ceiling))
    head = tests.rates.peak
    assert view.rows[-1].folk is None
    assert view.rows[-2].folk == pytest.approx((head / 10, head / 3))
    assert view.rows[-4].folk == pytest.approx((head / 1000, head / 27))
    assert view.brackets == ((0, 1),)


def test_heights_of_all_rows_are_on_one_scale_and_a_flat_one_looks_flat():
    view = view_of(layer_tests(flat=(2,), factor=1.3))
    spans = []
    for row in view.rows:
        before = [height for rate, height in row.curve if rate <= row.ceiling / 9]
        spans.append(max(before) - min(before))
    assert spans[2] < 0.1
    assert spans[1] / spans[3] == pytest.approx(0.4 / 0.6, rel=0.05)  # as the losses fall
    assert view.rows[2].read is None
    assert view.rows[2].ends == "from the others"


def test_what_says_nothing_has_a_ceiling_at_most():
    view = view_of(nothing_to_read())
    assert [row.value for row in view.rows] == ["–"] * 3
    assert [row.ceiling for row in view.rows] == [None, None, 0.2]
    assert {kind for kind, _ in view.legend} == {"ceiling", "curve"}


def boxes(figure):
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    (axes,) = figure.axes
    texts = [*figure.texts, *axes.texts, *axes.get_xticklabels(), axes.xaxis.label]
    shown = [text for text in texts if text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in shown]


def test_texts_of_the_figure_neither_overlap_nor_leave_it(tests):
    figure = draw(tests)
    written = boxes(figure)
    width, height = figure.get_size_inches() * figure.dpi
    for text, box in written:
        assert min(box.x0, box.y0) >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text
    for (one, a), (other, b) in combinations(written, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        along = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across <= 1 or along <= 2, (one, other)


def test_the_figure_has_the_suggested_rates_in_the_order_of_the_depth(tmp_path):
    tests = layer_tests(flat=(4,))
    (axes,) = draw(tests, tmp_path / "rates.png").axes
    dots = [line for line in axes.lines if line.get_marker() == "o" and line.get_markersize() == 8]
    assert [line.get_xdata()[0] for line in dots] == pytest.approx(tests.rates.rates)
    heights = [axes.transData.transform((1, line.get_ydata()[0]))[1] for line in dots]
    assert heights == sorted(heights, reverse=True)
    assert [line.get_markerfacecolor() == "white" for line in dots] == [False] * 4 + [True]
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(OutputError, match="must end in"):
        tests.plot(tmp_path / "rates.jpg")


def test_the_table_has_a_strip_and_the_numbers_of_every_group(tests):
    markup = layer_rates(tests)
    assert markup == layer_rates(LayerRangeTests.from_dict(tests.to_dict()))
    rows = re.findall(r"<tr>.*?</tr>", markup.partition("<tbody>")[2].partition("</tbody>")[0])
    view = view_of(tests)
    assert len(rows) == len(tests.names) == len(view.rows)
    for row, shown in zip(view.rows, rows, strict=True):
        assert row.name in unescape(shown)
        assert f'<td class="value">{row.value}' in shown
        assert ("no information" in shown) == (not row.informative)
        assert shown.count('class="ceiling"') == (row.ceiling is not None)
        assert ("pooled" in shown) == (row.rate is not None and not row.informative)


def test_hostile_text_adds_no_markup():
    markup = layer_rates(LAYER_TESTS["hostile"]()) + fragment(LAYER_TESTS["hostile"]())
    found = Page(markup)
    assert found.count("script") == found.count("img") == 0
    assert not any(key.startswith("on") for _, attrs in found.tags for key in attrs)
    assert plain_text(HOSTILE) in unescape(markup)


def test_a_notebook_gets_the_rates_without_a_script(tests):
    shown = Page(tests._repr_html_())
    simple = {"div", "strong", "small", "table", "thead", "tbody", "tr", "th", "td"}
    assert {tag for tag, _ in shown.tags} <= simple
    assert shown.count("tr") == 1 + len(tests.names)
