import os
import subprocess
import sys
from itertools import combinations

import matplotlib as mpl
import pytest
from PIL import Image
from report.tune_examples import EXAMPLES, flat, sgd, twenty_arms

from stepsize.errors import OutputError
from stepsize.report.tune_arms import colours
from stepsize.report.tune_figure import draw


@pytest.fixture(scope="module", params=EXAMPLES)
def drawn(request, tmp_path_factory):
    """A figure of every kind, and the PNG that was made of it."""
    path = tmp_path_factory.mktemp("pictures") / "tune.png"
    return draw(EXAMPLES[request.param](), path), path


def boxes(figure):
    """Every text that is written, with its box in pixels."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    labels = [
        text
        for axes in figure.axes
        for text in (
            *axes.texts,
            *axes.get_xticklabels(),
            *axes.get_yticklabels(),
            axes.xaxis.label,
            axes.yaxis.label,
        )
    ]
    shown = [text for text in (*figure.texts, *labels) if text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in shown]


def test_a_picture_of_every_kind_without_a_warning(drawn):
    with Image.open(drawn[1]) as picture:
        assert picture.size[0] == 1600
        assert 800 < picture.size[1] < 1400


def test_texts_neither_overlap_nor_leave_the_picture(drawn):
    figure = drawn[0]
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


def test_both_pictures_have_the_same_axis_of_losses():
    race, valleys, *_ = draw(twenty_arms()).axes
    assert race.get_ylim() == valleys.get_ylim()


def test_every_arm_is_a_line_in_the_colour_of_its_rate():
    given = sgd()
    race = draw(given).axes[0]
    seen = {(line.get_color(), tuple(line.get_ydata())) for line in race.lines}
    rates = [arm.lr for arm in given.evidence]
    for arm in given.evidence:
        losses = tuple(r.val_loss for r in arm.readings if r.val_loss < 100)
        colour = colours(arm.lr, (min(rates), max(rates)))[0]
        assert not losses or (colour, losses) in seen


def test_the_range_test_has_a_panel_only_where_there_is_one():
    assert len(draw(sgd()).axes) == 3
    assert len(draw(sgd(find=None)).axes) == 2


def test_the_interval_is_shaded_where_there_is_an_answer():
    assert draw(sgd()).axes[1].patches
    assert not draw(flat()).axes[1].patches


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_file_every_time(tmp_path, suffix):
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        sgd().plot(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(OutputError, match="must end in"):
        draw(sgd(), tmp_path / "tune.jpg")


def test_no_global_state_is_touched():
    before = dict(mpl.rcParams)
    draw(sgd())
    assert dict(mpl.rcParams) == before
    code = (
        "import sys; sys.path.insert(0, 'tests'); from report.tune_examples import sgd;"
        "from stepsize.report.tune_figure import draw; draw(sgd());"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
