import os
import subprocess
import sys
from itertools import combinations

import matplotlib as mpl
import pytest
from PIL import Image
from report.results import ODD_LOSSES, RULES, make_result

from stepsize.errors import MissingDependencyError, OutputError
from stepsize.report.find_figure import draw


def test_a_picture_for_every_verdict(tmp_path, verdict):
    path = tmp_path / "find.png"
    draw(make_result(verdict), path)
    with Image.open(path) as picture:
        assert picture.size == (1600, 1000)


@pytest.mark.parametrize("name", ODD_LOSSES)
def test_odd_curves_are_drawn_without_a_warning(tmp_path, name):
    for verdict in ("ok", "diverged_at_start"):
        draw(make_result(verdict, ODD_LOSSES[name]), tmp_path / "find.png")


def test_only_a_suggestion_has_a_line(verdict):
    loss, _ = draw(make_result(verdict)).axes
    lines = [line for line in loss.lines if list(line.get_xdata()) == [0.03, 0.03]]
    assert len(lines) == (verdict == "ok")


def _boxes(figure, texts):
    renderer = figure.canvas.get_renderer()
    return [(text.get_text(), text.get_window_extent(renderer)) for text in texts]


@pytest.mark.parametrize("best", [1.2e-5, 0.002, 0.021, 3.0, 9.5])
def test_labels_of_rules_neither_overlap_nor_leave_the_picture(best):
    rules = {name: rate and rate * best / 0.021 for name, rate in RULES.items()}
    figure = draw(make_result(rules=rules))
    boxes = _boxes(figure, figure.axes[0].texts)
    labels = [(text, box) for text, box in boxes if box.y0 >= figure.axes[0].bbox.y1]
    assert len(labels) >= 4
    for (one, box), (other, other_box) in combinations(labels, 2):
        assert not box.overlaps(other_box), (one, other)
    for text, box in labels:
        assert box.x0 >= 0, text
        assert box.x1 <= 1600, text
        assert box.y1 <= min(head.y0 for _, head in _boxes(figure, figure.texts)), text


def test_long_texts_stay_on_the_page():
    result = make_result("flat", task="W" * 200, rules={"m" * 90: 0.1})
    figure = draw(result)
    for text, box in _boxes(figure, [*figure.texts, *figure.axes[0].texts]):
        assert box.x1 <= 1600, text


def test_wide_names_do_not_overlap():
    rules = {name * 26: 2e-5 * 100**i for i, name in enumerate("MW@")}
    figure = draw(make_result(rules=rules))
    labels = _boxes(figure, [text for text in figure.axes[0].texts if len(text.get_text()) == 26])
    assert len(labels) == 3
    assert not any(one.overlaps(other) for (_, one), (_, other) in combinations(labels, 2))


def test_hostile_names_are_only_text(tmp_path):
    name = "$\\frac{ $ \0\n 日本 \ud800 </script>"
    result = make_result(task=name, rules={name: 0.1}, notes=(name,))
    for ending in ("png", "svg", "pdf"):
        draw(result, tmp_path / f"find.{ending}")


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_same_result_gives_the_same_file(tmp_path, result, ending):
    first, second = tmp_path / f"1.{ending}", tmp_path / f"2.{ending}"
    draw(result, first)
    draw(result, second)
    assert first.read_bytes() == second.read_bytes()


def test_the_users_style_neither_changes_nor_shows(tmp_path, result):
    draw(result, tmp_path / "plain.png")
    with mpl.rc_context({"axes.facecolor": "black", "savefig.dpi": 30, "font.size": 30}):
        before = dict(mpl.rcParams)
        draw(result, tmp_path / "styled.png")
        assert dict(mpl.rcParams) == before
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "styled.png").read_bytes()


def test_pyplot_is_not_imported():
    code = (
        "import sys; from report.results import make_result; from stepsize.report import "
        "find_figure, find_html, terminal; assert 'matplotlib' not in sys.modules; "
        "find_figure.draw(make_result()); assert 'matplotlib.pyplot' not in sys.modules"
    )
    path = os.pathsep.join(sys.path)
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path})


def test_a_missing_matplotlib_is_explained(monkeypatch, result):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'stepsize\[plot\]'"):
        draw(result)


@pytest.mark.parametrize("name", ["find", "find.bmp", "missing/find.png"])
def test_a_picture_that_cannot_be_saved_is_explained(tmp_path, result, name):
    with pytest.raises(OutputError, match="find"):
        draw(result, tmp_path / name)
    assert os.listdir(tmp_path) == []
