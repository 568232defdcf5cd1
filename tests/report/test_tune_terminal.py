import ast
import re
import shlex

import pytest
from report.tune_examples import EXAMPLES, flat, hostile, interrupted, other_optimizer, sgd

from stepsize.report.tune_terminal import summary


@pytest.fixture(params=EXAMPLES)
def recommendation(request):
    return EXAMPLES[request.param]()


def test_prose_is_short_and_only_what_is_copied_is_long(recommendation):
    for line in summary(recommendation).splitlines():
        copied = line.strip().startswith(("stepsize ", "scheduler = "))
        of_a_user = recommendation == hostile()
        assert copied or of_a_user or len(line) <= 80
    assert len(summary(recommendation).splitlines()) <= 26


def test_ascii_terminals_get_ascii(recommendation):
    assert summary(recommendation, ascii_only=True).isascii()


def test_control_characters_never_reach_a_terminal():
    assert "\x1b" not in summary(hostile())


def test_the_answer_comes_first():
    first, second, *_ = summary(sgd()).splitlines()
    assert [part in first for part in ("0.21", "0.12", "0.34")] == [True] * 3
    assert second.strip() == sgd().schedule
    assert "no rate" in summary(flat()).splitlines()[0]


def test_the_lowest_losses_are_in_the_table():
    lines = summary(sgd()).splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:1] == ["rate"])
    losses = [float(re.findall(r"\d\.\d{4}", line)[-1]) for line in lines[start + 1 : start + 6]]
    ends = sorted(a.readings[-1].val_loss for a in sgd().evidence if a.updates == 270)
    assert losses == pytest.approx(ends[:5], abs=5.1e-5)


def test_what_to_run_next_can_be_copied():
    lines = [line.strip() for line in summary(sgd()).splitlines()]
    command = next(line for line in lines if line.startswith("stepsize "))
    assert shlex.split(command)[-2:] == ["--schedule", sgd().schedule]
    ast.parse(next(line for line in lines if line.startswith("scheduler = ")))
    assert "AdamW" in summary(other_optimizer()).partition("stepsize compare")[0].splitlines()[-2]


def test_an_early_stop_is_told():
    assert "early" in summary(interrupted())
