import os
import subprocess
import sys
from dataclasses import replace
from itertools import combinations

import matplotlib as mpl
import pytest
from PIL import Image
from report.comparisons import (
    COMPARISONS,
    SIXTEEN,
    hostile,
    make_comparison,
    sixteen_arms,
    three_arms,
    with_diverged,
)

from stepsize.errors import MissingDependencyError, OutputError
from stepsize.report.compare_figure import draw


@pytest.fixture(scope="module", params=COMPARISONS)
def drawn(request, tmp_path_factory):
    """A figure of every kind, and the PNG that was made of it."""
    path = tmp_path_factory.mktemp("pictures") / "compare.png"
    return draw(COMPARISONS[request.param](), path), path


def _boxes(figure):
    """Every text that is written, with its box in pixels."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    texts = [*figure.texts, *(text for axes in figure.axes for text in _texts(axes))]
    shown = [text for text in texts if text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in shown]


def _texts(axes):
    labels = [axes.xaxis.label, axes.yaxis.label]
    return [*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels(), *labels]


def test_a_picture_of_every_kind_without_a_warning(drawn):
    _, path = drawn
    with Image.open(path) as picture:
        assert picture.size[0] == 1600
        assert 900 < picture.size[1] < 2400


def test_texts_neither_overlap_nor_leave_the_picture(drawn):
    _check_texts(drawn[0])


def test_wide_numbers_stay_in_their_columns():
    plain = three_arms()
    wide = tuple(
        replace(
            row,
            ci95=(row.mean - 1e-6, row.mean + 1e-6),
            difference_to_best=row.difference_to_best * 1e4,
            difference_ci95=row.difference_ci95 and tuple(e * 1e4 for e in row.difference_ci95),
        )
        for row in plain.ranking
    )
    _check_texts(draw(replace(plain, ranking=wide)))


def _check_texts(figure):
    width, height = figure.get_size_inches() * figure.dpi
    boxes = _boxes(figure)
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.x1 <= width, text
        assert box.y0 >= 0, text
        assert box.y1 <= height, text
    for (one, box), (other, other_box) in combinations(boxes, 2):
        overlap = box.padded(-2).overlaps(other_box.padded(-2))
        assert not overlap, (one, other)


def test_every_arm_and_its_numbers_are_written():
    comparison = sixteen_arms()
    said = " ".join(text for text, _ in _boxes(draw(comparison)))
    for row in comparison.ranking:
        assert f"{row.mean:.4f} [{row.ci95[0]:.4f}, {row.ci95[1]:.4f}]" in said
        assert row.arm.split(",")[0] in said
        if row.place != "best":
            assert f"{row.difference_to_best:+.4f}" in said


def test_the_lines_are_the_means_and_their_numbers_the_places():
    comparison = three_arms()
    loss, rates, forest = draw(comparison).axes
    drawn = [list(line.get_ydata()) for line in loss.lines if len(line.get_ydata()) == 20]
    for row in comparison.ranking:
        runs = comparison.of(row.arm)
        ends = [sum(run.history[i].values["val_loss"] for run in runs) / 3 for i in range(20)]
        assert any(line == pytest.approx(ends) for line in drawn)
    numbers = {text.get_text(): text.get_color() for text in loss.texts}
    assert {"1", "2", "3"} <= numbers.keys()
    assert len({numbers[place] for place in "123"}) == 3
    assert len(rates.lines) == 3
    marks = {float(line.get_xdata()[0]) for line in forest.lines if len(line.get_xdata()) == 1}
    assert marks == {row.difference_to_best for row in comparison.ranking}


def test_what_cannot_be_told_from_the_best_is_shaded():
    def shaded(comparison):
        return len([one for one in draw(comparison).artists if hasattr(one, "get_height")])

    assert shaded(three_arms()) == 2
    assert shaded(COMPARISONS["two arms"]()) == 0
    assert shaded(COMPARISONS["one seed"]()) == 3


def test_what_is_cut_off_is_told():
    said = " ".join(text for text, _ in _boxes(draw(with_diverged())))
    assert "cut off above" in said
    assert "diverged (2 of 3 seeds)" in said


def test_where_a_run_diverged_there_is_a_cross():
    changes = {seed: {"status": "diverged", "done": 12} for seed in (0, 2)}
    arms = {"good": (SIXTEEN[0], 0.3), "lost": (SIXTEEN[1], 0.31, changes)}
    loss = draw(make_comparison(arms)).axes[0]
    crosses = [line for line in loss.lines if line.get_marker() == "x"]
    assert [list(line.get_xdata()) for line in crosses] == [[11], [11]]


def test_many_notes_leave_the_picture_readable(tmp_path):
    few, many = three_arms(), three_arms(notes=tuple(f"Note {i} " * 40 for i in range(50)))
    heights = [draw(each).get_size_inches()[1] for each in (few, many)]
    assert heights[1] < heights[0] + 2


def test_hostile_texts_are_only_text(tmp_path):
    for ending in ("png", "svg", "pdf"):
        draw(hostile(), tmp_path / f"compare.{ending}")
    assert "<img" not in (tmp_path / "compare.svg").read_text()


@pytest.mark.parametrize("ending", ["svg", "pdf"])  # two PNGs are compared below
def test_the_same_comparison_gives_the_same_file(tmp_path, ending):
    first, second = tmp_path / f"1.{ending}", tmp_path / f"2.{ending}"
    draw(three_arms(), first)
    draw(three_arms(), second)
    assert first.read_bytes() == second.read_bytes()


def test_the_users_style_neither_changes_nor_shows(tmp_path):
    draw(three_arms(), tmp_path / "plain.png")
    with mpl.rc_context({"axes.facecolor": "black", "savefig.dpi": 30, "font.size": 30}):
        before = dict(mpl.rcParams)
        draw(three_arms(), tmp_path / "styled.png")
        assert dict(mpl.rcParams) == before
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "styled.png").read_bytes()


def test_pyplot_is_not_imported():
    code = (
        "import sys; from report.comparisons import three_arms; from stepsize.report import "
        "compare_figure, compare_terminal; assert 'matplotlib' not in sys.modules; "
        "compare_figure.draw(three_arms()); assert 'matplotlib.pyplot' not in sys.modules; "
        "assert 'torch' not in sys.modules"
    )
    path = os.pathsep.join(sys.path)
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path})


def test_a_comparison_draws_itself(tmp_path):
    three_arms().plot(tmp_path / "own.svg")
    assert "<svg" in (tmp_path / "own.svg").read_text()


def test_a_missing_matplotlib_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'stepsize\[plot\]'"):
        draw(three_arms())


@pytest.mark.parametrize("name", ["compare", "compare.bmp", "missing/compare.png"])
def test_a_picture_that_cannot_be_saved_is_explained(tmp_path, name):
    with pytest.raises(OutputError, match="compare"):
        draw(three_arms(), tmp_path / name)
    assert os.listdir(tmp_path) == []
