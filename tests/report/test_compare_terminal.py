import re

import pytest
from report.comparisons import COMPARISONS, hostile, sixteen_arms, three_arms, with_diverged

from stepsize.report.compare_terminal import line, table


@pytest.fixture(params=COMPARISONS)
def comparison(request):
    return COMPARISONS[request.param]()


def test_every_arm_appears_and_lines_are_short(comparison):
    text = table(comparison)
    for arm in comparison.arms:
        assert " ".join(arm.split())[:8] in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_narrow_terminal_wraps_names_but_not_numbers():
    lines = table(sixteen_arms(), width=40).splitlines()
    assert all(len(one) <= 40 for one in lines if "[" not in one and "validation" not in one)


def test_the_numbers_are_the_rankings():
    comparison = sixteen_arms()
    lines = table(comparison).splitlines()
    for place, row in enumerate(comparison.ranking, start=1):
        at = next(i for i, text in enumerate(lines) if text.startswith(f"{place:>2}  {row.arm}"))
        below = next(text for text in lines[at + 1 :] if re.match(r" +\d\.", text))
        numbers = [float(word) for word in re.findall(r"[-+]?\d+\.\d+", below)]
        wanted = [row.mean, *row.ci95]
        if row.place != "best":
            wanted += [row.difference_to_best, *row.difference_ci95]
        wanted.append(row.best["val_loss"])
        assert numbers == pytest.approx(wanted, abs=5.1e-5)


def test_what_went_wrong_and_what_cannot_be_told_is_in_words():
    text = table(with_diverged())
    assert re.search(r"constant\(3\): diverged \(2 of 3 seeds\)", text)
    assert re.search(r"linear\(0\.28\): not distinguishable", text)


def test_effort_and_notes_are_told():
    text = table(three_arms(notes=("Rates were chosen with unequal effort.",)))
    assert "rates: find (275 updates)" in text
    assert "note: Rates were chosen with unequal effort." in text


def test_the_test_sets_values_are_told_once_they_are_read():
    assert "test loss 0.3304, test accuracy 0.8841" in table(COMPARISONS["with a test set"]())
    assert "test loss" not in table(three_arms())


def test_colour_changes_nothing_but_the_colour():
    painted = table(with_diverged(), colour=True)
    assert painted.count("\x1b[") >= 4
    assert re.sub(r"\x1b\[\d*m", "", painted) == table(with_diverged())


def test_an_ascii_terminal_and_hostile_text():
    for comparison in (hostile(), sixteen_arms()):
        table(comparison, ascii_only=True).encode("ascii")
        line(comparison, ascii_only=True).encode("ascii")
    assert "\x1b" not in table(hostile())
    assert "\0" not in table(hostile())


def test_the_quiet_answer_is_one_line(comparison):
    text = line(comparison)
    assert text
    assert len(text.splitlines()) == 1
    assert table(comparison, width=10_000).startswith(text)
