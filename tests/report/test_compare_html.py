import json
import math
import struct
from base64 import b64decode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report.comparisons import (
    COMPARISONS,
    HOSTILE,
    hostile,
    incomplete,
    make_trace,
    sixteen_arms,
    three_arms,
    two_arms,
)
from report.pages import Page, assert_self_contained

from stepsize.errors import OutputError
from stepsize.records import Comparison, Trace
from stepsize.report.compare_html import fragment, render, save
from stepsize.report.compare_traces import trace_panel
from stepsize.report.wording import plain_text


def traces_of(comparison, buckets=100):
    runs = [run for run in comparison.runs if run.done]
    return {run.key: make_trace(replace(run, key=ascii(run.key)), buckets) for run in runs}


def data_of(text):
    return json.loads(Page(text).inside["script"][0])


def unpacked(column):
    raw = b64decode(column)
    values = struct.unpack(f"<{len(raw) // 4}f", raw)
    return [None if math.isnan(value) else value for value in values]


@pytest.fixture(params=COMPARISONS)
def comparison(request):
    return COMPARISONS[request.param]()


def test_every_comparison_has_a_self_contained_page_that_stays_the_same(comparison):
    traces = traces_of(comparison)
    text = render(comparison, traces)
    assert text == render(Comparison.from_dict(comparison.to_dict()), dict(traces))
    for one in (text, render(comparison)):
        assert_self_contained(one)
        page = Page(one)
        assert page.count("script") == 3
        panels = data_of(one)["panels"]
        assert page.count("figure") == len(panels)
        assert all(len(panel["arms"]) == len(comparison.arms) for panel in panels)
        rows = [attrs for tag, attrs in page.tags if tag == "tr" and "data-arm" in attrs]
        assert len(rows) == 2 * len(comparison.arms) + len(comparison.runs)


def everything_hostile():
    """Every text that can come from a user, a file or a machine."""
    plain = hostile()
    runs = tuple(
        replace(run, key=f"{HOSTILE} {i}", error=HOSTILE) for i, run in enumerate(plain.runs)
    )
    ranking = tuple(replace(row, rates_from=HOSTILE) for row in plain.ranking)
    nasty = HOSTILE + "\u2028\u2029\"'`"
    return replace(
        plain,
        runs=runs,
        ranking=ranking,
        metric=plain.metric,
        interval=nasty,
        settings={nasty: nasty, "command": nasty, "versions": {nasty: [nasty, {nasty: nasty}]}},
        test={"arm": nasty, "seeds": {nasty: {nasty: 0.3}}, "mean": {nasty: 0.3}, "read": nasty},
        store=nasty,
        notes=(nasty,),
    )


@pytest.mark.parametrize(
    "make", [everything_hostile, lambda: replace(hostile(), test={"a": HOSTILE})]
)
def test_hostile_text_adds_no_markup(make):
    comparison = make()
    text = render(comparison, traces_of(comparison))
    page = Page(text)
    assert page.count("script") == 3
    assert page.count("img") == 0
    assert not any(key.startswith("on") for _, attrs in page.tags for key in attrs)
    assert "<" not in text.partition('id="compare-data">')[2].partition("</script>")[0]
    assert plain_text(HOSTILE) in data_of(text)["arms"][0]["name"]
    text.encode("utf-8")


def test_a_notebook_gets_the_ranking_without_a_script(comparison):
    shown = Page(fragment(comparison))
    simple = {"div", "strong", "table", "thead", "tbody", "tr", "th", "td", "small"}
    assert {tag for tag, _ in shown.tags} <= simple
    assert shown.count("tr") == 1 + len(comparison.arms)
    assert comparison._repr_html_() == fragment(comparison)


def test_what_is_packed_is_the_trace():
    comparison = two_arms(seeds=(0,))
    traces = traces_of(comparison)
    panels = {panel["label"]: panel for panel in data_of(render(comparison, traces))["panels"]}
    best = traces[comparison.of(comparison.best.arm)[0].key]
    losses, rates = panels["training loss"]["arms"][0], panels["learning rate"]["arms"][0]
    for packed, expected in (
        (losses["mean"], best.loss_mean),
        (losses["low"], best.loss_low),
        (losses["high"], best.loss_high),
        (losses["runs"][0]["values"], best.loss_mean),
        (rates["low"], best.lr_low),
        (rates["high"], best.lr_high),
    ):
        assert unpacked(packed) == pytest.approx(expected, rel=1e-6)
    assert panels["training loss"]["width"] == best.width


def test_what_is_not_finite_or_not_there_is_missing():
    comparison = two_arms(seeds=(0, 1))
    traces = traces_of(comparison)
    arm = comparison.best.arm
    first, second = (run.key for run in comparison.of(arm))
    trace = traces[first]
    broken = (*trace.loss_mean[:-2], math.inf, 1e300)
    traces[first] = replace(trace, loss_mean=broken, loss_high=broken)
    del traces[comparison.of("constant(0.1)")[0].key]
    shown = trace_panel(comparison, traces)
    assert shown.series[0].mean[-3:] == (
        pytest.approx((trace.loss_mean[-3] + traces[second].loss_mean[-3]) / 2),
        None,
        None,
    )
    assert [line.seed for line in shown.series[1].runs] == [1]
    columns = data_of(render(comparison, traces))["panels"][-2]["arms"][0]["runs"][0]["values"]
    assert unpacked(columns)[-2:] == [None, None]


@st.composite
def traces_and_width(draw):
    updates = draw(st.integers(1, 300))
    width = draw(st.integers(1, 40))
    count = -(-updates // width)
    column = st.lists(st.floats(0.1, 10), min_size=count, max_size=count)
    mean = draw(column)
    low = [value * draw(st.floats(0.1, 1)) for value in mean]
    high = [value * draw(st.floats(1, 10)) for value in mean]
    columns = map(tuple, (low, high, low, mean, high))
    return Trace(width, updates, *columns), width * draw(st.integers(1, 5)) + draw(
        st.integers(0, 7)
    )


@given(traces_and_width())
def test_a_finer_trace_joins_a_coarser_one_with_its_mean_and_extremes(drawn):
    trace, width = drawn
    plain = two_arms(seeds=(0,))
    first, second = (replace(run, key=run.arm) for run in plain.runs)
    comparison = replace(plain, runs=(first, second))
    count = max(1, -(-trace.updates // width))
    flat = ((1.0,) * count,) * 5
    shown = trace_panel(
        comparison, {first.key: trace, second.key: Trace(width, count * width, *flat)}
    )
    series = next(one for one in shown.series if one.arm == first.arm)
    assert shown.width == width
    sizes = [min(width, trace.updates - i * width) for i in range(count)]
    total = sum(mean * size for mean, size in zip(series.mean, sizes, strict=True))
    fine = [min(trace.width, trace.updates - trace.start(i)) for i in range(len(trace))]
    assert total == pytest.approx(sum(map(math.prod, zip(trace.loss_mean, fine, strict=True))))
    assert min(series.low) == min(trace.loss_low)
    assert max(series.high) == max(trace.loss_high)
    low, high = shown.rates[first.arm]
    assert (min(low), max(high)) == (min(trace.lr_low), max(trace.lr_high))


def test_of_runs_that_each_found_their_rate_one_is_drawn():
    """Lowest and highest of several would be a zigzag between them; the longest run is chosen."""
    comparison = two_arms(seeds=(0, 1))
    traces = traces_of(comparison)
    arm = comparison.best.arm
    first, second = (run.key for run in comparison.of(arm))
    ten = tuple(10.0 * rate for rate in traces[second].lr_low)
    traces[second] = replace(traces[second], lr_low=ten, lr_high=ten)
    assert trace_panel(comparison, traces).rates[arm] == (
        traces[first].lr_low,
        traces[first].lr_high,
    )
    cut = [column[:-1] for column in columns_of(traces[first])]
    short = len(cut[0]) * traces[first].width
    traces[first] = Trace(traces[first].width, short, *cut)
    assert trace_panel(comparison, traces).rates[arm] == (ten, ten)


def columns_of(trace):
    return trace.lr_low, trace.lr_high, trace.loss_low, trace.loss_mean, trace.loss_high


def test_rates_that_were_higher_than_the_schedule_are_in_the_picture():
    comparison = two_arms()
    traces = traces_of(comparison)
    key = comparison.runs[0].key
    traces[key] = replace(traces[key], lr_high=(7.0,) * len(traces[key]))
    axis = data_of(render(comparison, traces))["panels"][-1]["axis"]
    assert axis["high"] >= 7.0
    assert axis["ticks"]


def test_fifty_runs_are_a_small_page():
    comparison = sixteen_arms()
    assert len(render(comparison, traces_of(comparison, 1000))) < 1_500_000


def test_the_test_set_is_shown_seed_by_seed():
    test = {
        "arm": "cosine(0.28)",
        "seeds": {"0": {"loss": 0.31, "accuracy": 0.9}, "1": {"loss": 0.33, "accuracy": 0.89}},
        "mean": {"loss": 0.32, "accuracy": 0.895},
    }
    page = Page(render(three_arms(test=test)))
    cells = [cell for cell in page.inside["td"] if cell.startswith(("0.31", "0.33", "0.32"))]
    assert {"0.3100", "0.3300", "0.3200"} <= set(cells)


def test_many_runs_are_folded_away():
    folded = [dict(attrs) for tag, attrs in Page(render(sixteen_arms())).tags if tag == "details"]
    opened = [dict(attrs) for tag, attrs in Page(render(incomplete())).tags if tag == "details"]
    assert ["open" in attrs for attrs in (*folded, *opened)] == [False, True]


def test_save_writes_utf8_or_explains(tmp_path):
    comparison = hostile()
    path = save(comparison, tmp_path / "compare.html", traces_of(comparison))
    assert path.read_bytes().decode("utf-8").startswith("<!doctype html>")
    with pytest.raises(OutputError):
        save(comparison, tmp_path / "missing" / "compare.html")
