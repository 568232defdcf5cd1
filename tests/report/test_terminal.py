import pytest
from report.results import ODD_LOSSES, make_result

from stepsize.report.terminal import plot, table


@pytest.mark.parametrize("name", ODD_LOSSES)
@pytest.mark.parametrize("size", [(72, 16), (40, 8), (1, 1), (200, 50)])
def test_the_plot_keeps_its_size(name, size, verdict):
    lines = plot(make_result(verdict, ODD_LOSSES[name]), *size).splitlines()
    assert len(lines) == max(size[1], 6)
    assert max(map(len, lines)) <= max(size[0], 30)


def test_without_colour_there_is_no_escape_code(result):
    assert "\x1b" not in plot(result) + table(result)
    assert "\x1b[" in plot(result, colour=True)


def test_colour_changes_only_the_colour(result):
    import re

    assert re.sub("\x1b\\[[0-9]*m", "", plot(result, colour=True)) == plot(result)


def test_ascii_terminals_are_served(verdict):
    result = make_result(verdict, task="日本 – \x1b[31m…")
    text = table(result, ascii_only=True) + plot(result, ascii_only=True)
    assert text.isascii()
    assert "\x1b" not in text


def test_the_suggestion_is_a_vertical_line(result):
    lines = plot(result).splitlines()[:-2]
    axis = lines[0].index("│")
    column = lines[0].index("│", axis + 1)
    assert sum(line[column : column + 1] == "│" for line in lines) >= len(lines) - 2
    assert not any(line.count("│") > 1 for line in plot(make_result("flat")).splitlines())


def test_the_table_has_the_answer_and_every_rule(result):
    text = table(result)
    for expected in ("0.03", "0.02", "0.045", "base_lr 0.003", "valley", "no answer: stubborn"):
        assert expected in text
