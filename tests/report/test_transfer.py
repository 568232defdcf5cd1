"""The forms of a comparison of transfer plans: page, picture, table, files."""

import json
import re
from dataclasses import replace
from html import unescape
from itertools import combinations

import pytest
from report.comparisons import HOSTILE, make_trace
from report.pages import Page, assert_self_contained
from report.transfer_examples import (
    ACTIVATIONS,
    RESULTS,
    UPDATES_PER_EPOCH,
    all_diverged,
    broken,
    hostile,
    make_result,
    one_plan,
    usual,
)

from stepsize.errors import OutputError
from stepsize.fine_tuning.transfer_result import TransferResult
from stepsize.report.transfer_figure import draw
from stepsize.report.transfer_files import FILES, write
from stepsize.report.transfer_html import fragment, render
from stepsize.report.transfer_terminal import line, summary
from stepsize.report.transfer_view import view_of
from stepsize.report.transfer_words import (
    activations_text,
    ratios_text,
    trained_text,
    worth_headline,
)
from stepsize.report.wording import plain_text
from stepsize.schedules import parse
from stepsize.store import Store


@pytest.fixture(scope="module", params=RESULTS)
def result(request):
    return RESULTS[request.param]()


def traces_of(result):
    runs = [run for run in result.comparison.runs if run.done]
    return {run.key: make_trace(replace(run, key=ascii(run.key)), 50) for run in runs}


# -- what is shown -------------------------------------------------------------------------------


@pytest.mark.parametrize("worth", ["worth it", "not distinguishable", "not worth it", None])
def test_whether_it_was_worth_it_is_said_in_every_form(worth):
    result = make_result(["full", "scratch"], worth=worth)
    view = view_of(result)
    for form in (summary(result, width=10_000), unescape(render(result))):
        assert view.headline in form
        assert view.evidence in form
    others = ("worth it", "not distinguishable", "not worth it", None)
    headlines = {worth_headline(make_result(["full", "scratch"], worth=other)) for other in others}
    assert len(headlines) == 4


def test_without_a_run_from_scratch_the_way_out_is_said():
    assert "--no-scratch" in view_of(one_plan()).evidence
    assert "--no-scratch" not in view_of(all_diverged()).evidence


def test_rates_by_layer_are_those_of_the_last_phase_that_trains_a_group():
    result = usual()
    plans = {plan.arm: plan for plan in view_of(result).plans}
    decisions = result.decisions["measured"]
    for group in range(5):
        product = 1.0
        for seed in (0, 1, 2):
            product *= decisions[seed][1].rates[group]
        assert plans["measured"].rates[group] == pytest.approx(product ** (1 / 3))
    low, also_low, middle, high, head = plans["fastai"].rates  # three groups of five
    assert head / high == pytest.approx(10) or head / middle == pytest.approx(100)
    assert low == also_low
    only = view_of(make_result(["head-only"])).plans[0].rates
    assert only[:4] == (None,) * 4
    assert only[4] is not None


def test_what_trains_and_how_the_groups_differ_is_told():
    assert trained_text((4, 4), 4) == "all 4"
    assert trained_text((2, 3, 4, 4), 4) == "the last 2, 3, then 4 of 4"
    assert trained_text(tuple(range(1, 13)), 12) != trained_text((1, 2), 12)
    result = usual()
    of = {arm: [runs[0][-1]] for arm, runs in result.decisions.items()}
    assert "10 times lower" in ratios_text(of["fastai"])
    assert ratios_text(of["full"]) == "equal"
    assert "3068" in activations_text(ACTIVATIONS).replace(",", "")
    assert "no BatchNorm" in activations_text({"refused": "no BatchNorm"})


# -- the page ------------------------------------------------------------------------------------


def test_every_result_has_a_self_contained_page_that_stays_the_same(result):
    traces = traces_of(result)
    text = render(result, traces)
    assert text == render(TransferResult.from_dict(result.to_dict()), dict(traces))
    assert_self_contained(text)
    page = Page(text)
    assert page.count("article") == len(result.plans)
    assert text.count('class="timeline"') == len(result.plans)
    measured = sum(
        decision.layer_tests is not None
        for runs in result.decisions.values()
        for known in runs.values()
        for decision in known
    )
    assert text.count('class="layers"') == measured
    rows = [attrs for tag, attrs in page.tags if tag == "tr" and "data-arm" in attrs]
    assert len(rows) == 2 * len(result.plans) + len(result.comparison.runs)


def test_every_phase_is_in_the_table_of_its_plan_with_the_rates_of_all_seeds():
    result = usual()
    text = unescape(render(result))
    assert "as JSON" not in text  # what the settings say of plans is here already
    articles = re.findall(r"<article.*?</article>", text, re.S)
    for plan, article in zip(view_of(result).plans, articles, strict=True):
        body = article.partition('class="phases"')[2].partition("</table>")[0]
        rows = re.findall(r"<tr><th scope.*?</tr>", body)
        assert len(rows) == len(plan.phases)
        for phase, row in zip(plan.phases, rows, strict=True):
            for said in (phase.name, phase.span, phase.peak, phase.peaks, phase.lr_from):
                assert said in row


def test_the_rates_of_the_chart_are_those_that_were_decided():
    """Without traces: the phases of the first run, one after the other."""
    result = make_result(["gradual"], seeds=(0,), worth=None)
    data = json.loads(Page(render(result)).inside["script"][0])
    rates = data["panels"][-1]["arms"][0]
    head, rest = (parse(one.schedule) for one in result.decisions["gradual"][0])
    at = dict(zip(rates["x"], rates["values"], strict=True))
    later = next(update for update in rates["x"] if update >= UPDATES_PER_EPOCH)
    assert at[0] == pytest.approx(head(0), rel=1e-3)
    assert at[later] == pytest.approx(rest(later - UPDATES_PER_EPOCH), rel=1e-3)
    peaks = [max(each(t) for t in range(500)) for each in (head, rest)]
    assert max(at.values()) == pytest.approx(max(peaks), rel=1e-3)


def test_hostile_text_adds_no_markup():
    text = render(hostile(), traces_of(hostile()))
    found = Page(text + fragment(hostile()))
    assert found.count("script") == 3
    assert found.count("img") == 0
    assert not any(key.startswith("on") for _, attrs in found.tags for key in attrs)
    assert plain_text(HOSTILE) in unescape(text)
    text.encode("utf-8")


def test_a_notebook_gets_the_ranking_without_a_script(result):
    shown = Page(result._repr_html_())
    simple = {"div", "strong", "table", "thead", "tbody", "tr", "th", "td", "small"}
    assert {tag for tag, _ in shown.tags} <= simple


# -- the picture ---------------------------------------------------------------------------------


def boxes(figure):
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    labels = [
        text
        for axes in figure.axes
        for text in (*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels())
    ]
    shown = [text for text in (*figure.texts, *labels) if text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in shown]


@pytest.mark.parametrize("name", ["usual", "long names", "hostile", "all diverged"])
def test_texts_of_the_figure_neither_overlap_nor_leave_it(name):
    figure = draw(RESULTS[name]())
    written = boxes(figure)
    width, height = figure.get_size_inches() * figure.dpi
    for text, box in written:
        assert min(box.x0, box.y0) >= -1, text
        assert box.x1 <= width + 1, text
        assert box.y1 <= height + 1, text
    for (one, a), (other, b) in combinations(written, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        along = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across <= 1 or along <= 2, (one, other)


def test_the_rates_of_every_plan_are_drawn_over_the_depth():
    result = usual()
    figure = draw(result)
    axes = figure.axes[1]
    (top,) = [t for t in figure.texts if view_of(result).headline in t.get_text()]
    assert top.get_position()[1] > 0.8
    drawn = {tuple(line.get_ydata()) for line in axes.lines}
    assert drawn == {plan.rates for plan in view_of(result).plans}
    assert [text.get_text() for text in axes.get_xticklabels()] == list(result.groups.names)


# -- the terminal and the files ------------------------------------------------------------------


def test_the_table_has_every_plan_and_what_the_best_did(result):
    said = summary(result, ascii_only=True, width=80)
    assert max(map(len, said.splitlines())) <= 80
    assert said.isascii()
    assert len(line(result).splitlines()) == 1
    whole = summary(result, width=10_000)
    assert all(plan.arm in whole for plan in view_of(result).plans)


def test_a_plan_that_never_began_has_no_phases_and_one_that_failed_those_it_came_to():
    plans = {plan.arm: plan for plan in view_of(broken()).plans}
    assert plans["gradual"].phases == ()
    assert plans["ulmfit"].phases != ()
    assert summary(make_result(["full", "scratch"], changes={
        name: {seed: {"status": "waiting", "done": 0} for seed in range(3)}
        for name in ("full", "scratch")
    }, worth=None))  # fmt: skip


def test_all_files_are_written_or_none(tmp_path):
    result = one_plan()
    with Store(tmp_path / "stepsize.db") as store:
        files = write(result, tmp_path, store)
        with pytest.raises(OutputError, match="does not exist"):
            write(result, tmp_path / "nowhere", store)
    assert tuple(files) == FILES
    read = json.loads((tmp_path / "transfer.json").read_text())
    assert TransferResult.from_dict(read) == result
    assert (tmp_path / "transfer.html").read_text(encoding="utf-8") == render(result)
    for name in ("transfer.png", "timeline.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
