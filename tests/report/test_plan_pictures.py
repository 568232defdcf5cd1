"""The timeline of a plan: the same in every form, and what the plan says."""

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest
from fine_tuning.plan_strategies import plans
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from report.comparisons import HOSTILE
from report.transfer_examples import decisions, groups

from stepsize.errors import InputError, OutputError
from stepsize.fine_tuning.phase import Phase
from stepsize.fine_tuning.plan import TransferPlan
from stepsize.fine_tuning.presets import PLANS
from stepsize.report import plan_figure, plan_svg, plan_terminal
from stepsize.report.plan_view import view_of
from stepsize.report.wording import rate_text

GRADUAL = Phase("gradual", "50%", "gradual", "warmup(cosine(lr), steps=10%)", "find", 2.6)
MANY = TransferPlan(
    f"mine {HOSTILE}",
    (
        Phase("head", 1, "head", lr=0.02, precompute=True),
        GRADUAL,
        Phase(HOSTILE, 1, 3, lr="previous", ratios=(1.0,) * 40),
        Phase("all", schedule="cosine(lr, steps=77)", lr="tune", ratios="measured", frozen="train"),
    ),
    about=f"{HOSTILE} " * 30,
)
#: Timelines that are hard to draw.
HARD = {
    "fastai": lambda: [PLANS["fastai"].timeline(12, ["stem … layer2", "layer3", "fc"])],
    "many": lambda: [MANY.timeline(90, ["W" * 40, *(f"{HOSTILE}.{i}" for i in range(39))])],
    "short": lambda: [plan.timeline(5, 4) for plan in (PLANS["measured"], PLANS["scratch"])],
}


def made(plan, epochs, count):
    try:
        return plan.timeline(epochs, count)
    except InputError:
        return None


@settings(max_examples=15)
@given(plans(), st.integers(1, 40), st.integers(1, 7))
def test_lanes_show_what_trains_in_every_epoch(plan, epochs, count):
    timeline = made(plan, epochs, count)
    if timeline is None:
        return
    view = view_of(timeline)
    assert [lane.name for lane in view.lanes] == list(timeline.names)
    for depth, lane in enumerate(reversed(view.lanes), 1):
        seen = [cell for cell in lane.cells for _ in range(cell.start, cell.stop)]
        assert len(seen) == epochs
        for epoch, cell in enumerate(seen):
            stretch = timeline.at(epoch)
            trains = stretch.trainable[epoch - stretch.first_epoch] >= depth
            frozen = "precomputed" if stretch.phase.precompute else "frozen"
            assert cell.state == ("trained" if trains else frozen)
            assert bool(cell.text) == trains == (cell.strength > 0)
    for block in view.blocks:
        places = [place for place, _ in block.shape]
        assert places == sorted(places)
        assert (places[0], places[-1]) == (block.start, block.stop)
        assert max(height for _, height in block.shape) == pytest.approx(1.0)
        assert min(height for _, height in block.shape) >= 0.0
    assert {cell.state for lane in view.lanes for cell in lane.cells} <= set(view.legend)
    lines = plan_terminal.text(timeline, 60, ascii_only=True).splitlines()
    assert max(map(len, lines[1:])) <= 60
    assert all(line.isascii() for line in lines[1:])
    ElementTree.fromstring(plan_svg.html(timeline))


def test_the_rates_of_a_run_take_the_place_of_those_planned():
    whole = groups()
    plan = PLANS["measured"]
    timeline = plan.timeline(8, whole)
    decided = list(decisions(plan, 0, whole, 8))
    lanes = view_of(timeline, decided).lanes
    _, everything = decided
    for lane, rate in zip(lanes, everything.rates, strict=True):
        assert lane.cells[-1].text == rate_text(rate)
        assert lane.tests == (1,)
    planned = {cell.text for lane in view_of(timeline).lanes for cell in lane.cells}
    assert planned == {"", "lr", "measured"}
    assert rate_text(everything.peak) in plan_svg.html(timeline, decided)
    assert rate_text(everything.peak) not in plan_svg.html(timeline)


def test_a_restart_is_upright_and_a_cycle_is_marked():
    _, head, everything = view_of(PLANS["fastai"].timeline(12, 3)).blocks
    assert head.cycle_ends == (3, 4)
    assert everything.cycle_ends == (6, 8)
    for end in (3, 4, 6, 8):
        block = head if end < 5 else everything
        heights = [height for place, height in block.shape if place == end]
        assert heights == [pytest.approx(0.0, abs=1e-3), 1.0]
    assert head.shape[-1] == (5, pytest.approx(0.0, abs=1e-3))


def test_a_schedule_in_updates_needs_to_know_how_many_there_are():
    timeline = TransferPlan("mine", (Phase("all", schedule="cosine(lr, steps=90)"),)).timeline(3, 2)
    assert view_of(timeline).blocks[0].shape == ()
    assert len(view_of(timeline, updates_per_epoch=30).blocks[0].shape) > 50
    assert "by updates" in plan_svg.svg(view_of(timeline))
    assert "rate  ????" in plan_terminal.text(timeline)


def test_every_text_in_the_svg_is_text():
    timeline = MANY.timeline(90, [f"<b>&{i}" for i in range(40)])
    page = ElementTree.fromstring(plan_svg.html(timeline))
    assert not page.findall(".//b")
    assert any(text.text == "<b>&0" for text in page.iter("text"))
    assert "style=" not in plan_svg.html(timeline)
    width, height = map(float, page.find(".//svg").get("viewBox").split()[2:])
    for rect in page.find(".//svg").iter("rect"):
        x, y, wide, tall = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + wide <= width
        assert 0 <= y <= y + tall <= height
    assert "<ol>" not in plan_svg.html(timeline, words=False)


@pytest.fixture(scope="module", params=HARD)
def drawn(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "timeline.png"
    return plan_figure.draw(HARD[request.param](), path), path


def boxes(figure):
    """Every text that is written, with its box in pixels."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    labels = [
        text
        for axes in figure.axes
        for text in (*axes.texts, *axes.get_xticklabels(), axes.xaxis.label)
    ]
    shown = [text for text in (*figure.texts, *labels) if text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in shown]


def test_texts_neither_overlap_nor_leave_the_picture(drawn):
    figure, path = drawn
    with Image.open(path) as picture:
        assert picture.size[0] == 1600
    written = boxes(figure)
    width, height = figure.get_size_inches() * figure.dpi
    for text, box in written:
        assert min(box.x0, box.y0) >= -1, text
        assert box.x1 <= width + 1, text
        assert box.y1 <= height + 1, text
    for (one, a), (other, b) in combinations(written, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        along = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across <= 1 or along <= 5, (one, other)


def test_doors_of_a_timeline(tmp_path):
    cut = PLANS["fastai"].timeline(12, ["a" * 50, "head"])  # names that are cut
    said = [plan_terminal.text(cut, 60, ascii_only=ascii_only) for ascii_only in (True, False)]
    assert [len(line) for line in said[0].split("\n")] == [
        len(line) for line in said[1].split("\n")
    ]
    timeline = PLANS["ulmfit"].timeline(6, 3)
    assert str(timeline) == plan_terminal.text(timeline)
    page = ElementTree.fromstring(timeline._repr_html_())
    assert re.search(r"ulmfit: 6 epochs", page.find(".//b").text)
    with pytest.raises(OutputError, match="must end in"):
        timeline.plot(tmp_path / "plan.jpg")
    with pytest.raises(InputError, match="at least one timeline"):
        plan_figure.png([])
